"""`keras_rnnx.convert`: recurrent layers wherever a model can have them."""

import collections

import keras
import numpy as np
import pytest
from conversions import (
    FEATURES,
    STEPS,
    assert_converted,
    assert_equal,
    inputs,
    is_ours,
    nested,
    randomize,
    recurrent,
    sample,
    sequential,
)
from keras import layers, ops

import keras_rnnx


def sequential_by_call():
    model = keras.Sequential(
        [layers.GRU(4, return_sequences=True), layers.SimpleRNN(3)]
    )
    model.build((None, STEPS, FEATURES))
    return model


def bidirectional():
    forward = layers.GRU(4, return_sequences=True, reset_after=False)
    return keras.Sequential(
        [
            inputs(),
            layers.Bidirectional(layers.LSTM(4, return_sequences=True), "sum"),
            layers.Bidirectional(forward),
            layers.Bidirectional(
                layers.LSTM(4), backward_layer=layers.GRU(3, go_backwards=True)
            ),
        ]
    )


def bidirectional_states():
    x = inputs()
    *outputs, h1, c1, h2, c2 = layers.Bidirectional(
        layers.LSTM(4, return_sequences=True, return_state=True), merge_mode=None
    )(x)
    again = layers.Bidirectional(layers.LSTM(4))
    return keras.Model(x, [*outputs, again(x, initial_state=[h2, c2, h1, c1])])


def time_distributed():
    x = inputs()
    y = layers.Reshape((1, STEPS, FEATURES))(x)
    inner = keras.Sequential([inputs(), layers.GRU(2)])
    outputs = [
        layers.TimeDistributed(layers.LSTM(4))(y),
        layers.TimeDistributed(layers.Bidirectional(layers.SimpleRNN(3)))(y),
        layers.TimeDistributed(inner)(y),
    ]
    return keras.Model(x, outputs)


def masked():
    x = inputs()
    y = layers.Masking()(x)
    first = layers.LSTM(4, return_sequences=True)
    first.supports_masking = True  # Keras 3.16 sets it to False
    outputs = [
        layers.LSTM(4)(y),
        layers.GRU(4, return_sequences=True, go_backwards=True)(y),
        layers.Bidirectional(layers.LSTM(4, return_sequences=True))(y),
        layers.SimpleRNN(3)(first(y)),
        layers.RNN([layers.LSTMCell(4), layers.GRUCell(3)], return_sequences=True)(y),
    ]
    return keras.Model(x, outputs)


def encoder_decoder():
    x = inputs()
    _, h, c = layers.LSTM(4, return_state=True, name="encoder")(x)
    decoder = layers.LSTM(4, return_sequences=True, return_state=True, name="decoder")
    sequence, *_ = decoder(x, initial_state=[h, c])
    attended = layers.Attention()([sequence, sequence])
    last = layers.GRU(4)(attended, initial_state=ops.tanh(h) + c)
    return keras.Model(x, {"sequence": sequence, "last": last})


@keras.saving.register_keras_serializable("test_conversion")
class Block(keras.Layer):
    """Layers in attributes, made by a constructor that takes none."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.head = layers.Dense(units, name="head")
        self._memory = layers.LSTM(units, return_sequences=True, name="memory")
        self.alias = self._memory
        inner = layers.GRU(units, return_sequences=True, name="inner")
        self.blocks = [layers.Dense(units, name="block"), [inner]]
        self.by_name = collections.OrderedDict(
            z=layers.SimpleRNN(units, return_sequences=True, name="z"),
            a=layers.Dense(units, name="a"),
        )
        both = layers.Bidirectional(layers.LSTM(units, name="each"), name="both")
        self.pair = (both, layers.Dense(1, name="one"))
        self.cell = self._memory.cell

    def build(self, input_shape):
        self.scale = self.add_weight(shape=(self.units,), name="scale")
        for layer in (self.head, self._memory, self.by_name["z"]):
            layer.build(input_shape)
        shape = (*input_shape[:-1], self.units)
        self.blocks[0].build(shape)
        self.blocks[1][0].build(shape)
        self.by_name["a"].build(shape)
        self.pair[0].build(shape)
        self.pair[1].build((None, 2 * self.units))

    def call(self, inputs):
        y = self._memory(inputs) * self.scale + self.head(inputs)
        y = self.blocks[1][0](self.blocks[0](y)) + self.alias(inputs)
        y = y + ops.expand_dims(self.cell.bias[: self.units], 0)
        z = inputs
        for layer in self.by_name.values():
            z = layer(z)
        return self.pair[1](self.pair[0](y + z))

    def get_config(self):
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable("test_conversion")
class Network(keras.Model):
    """A subclassed model without `build` or `get_config`."""

    def __init__(self, units, name=None):
        super().__init__(name=name)
        self.first = layers.GRU(units, return_sequences=True, name="first")
        inner = layers.LSTM(units, return_sequences=True, name="inner")
        self.blocks = {"b": [inner], "a": layers.Dense(1, name="a")}
        self.normalize = layers.BatchNormalization(name="normalize")
        tail = [layers.SimpleRNN(units, name="last"), layers.Dense(1, name="one")]
        self.tail = keras.Sequential(tail, name="tail")

    def call(self, inputs):
        y = self.normalize(self.first(inputs))
        return self.blocks["a"](self.blocks["b"][0](y))[:, -1] + self.tail(y)

    def get_config(self):
        return {"name": self.name, "units": self.first.units}


@keras.saving.register_keras_serializable("test_conversion")
class Trained(keras.Model):
    """A functional model with a training step of its own."""

    def train_step(self, *args):
        return super().train_step(*args)


def custom_layer():
    return keras.Sequential([inputs(), Block(4), layers.Dense(2)])


def subclassed():
    model = Network(4)
    model(inputs())
    return model


def functional_subclass():
    x = inputs()
    return Trained(x, layers.LSTM(4)(x))


POSITIONS = (
    sequential,
    sequential_by_call,
    bidirectional,
    bidirectional_states,
    time_distributed,
    masked,
    encoder_decoder,
    nested,
    custom_layer,
    subclassed,
    functional_subclass,
)


@pytest.mark.parametrize("make", POSITIONS)
def test_position(make, tmp_path):
    model = make()
    new = assert_converted(model, sample())
    new.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert_equal(loaded.get_weights(), new.get_weights(), 0)
    assert len(recurrent(loaded)) == len(recurrent(new))
    # A class that makes its layers itself makes those of Keras again.
    own = make in (custom_layer, subclassed)
    assert own or all(map(is_ours, recurrent(loaded)))


def test_embedding_masks_and_several_inputs():
    words = keras.Input((None,), dtype="int32", name="words")
    numbers = keras.Input((STEPS, FEATURES), name="numbers")
    embedded = layers.Embedding(7, 3, mask_zero=True)(words)
    encoded = layers.Bidirectional(layers.GRU(4))(embedded)
    state = layers.Dense(4)(encoded)
    outputs = layers.GRU(4)(numbers, initial_state=state)
    model = keras.Model({"words": words, "numbers": numbers}, [outputs, encoded])
    ids = np.array([[1, 2, 0, 0], [0, 3, 0, 4], [5, 6, 1, 2], [0, 0, 0, 0]])
    assert_converted(model, {"words": ids, "numbers": sample()})


def test_shared_layers_stay_shared():
    shared = layers.LSTM(FEATURES, return_sequences=True, name="shared")
    dense = layers.Dense(2, name="dense")
    wrapped = layers.TimeDistributed(dense, name="wrapped")
    x = inputs()
    inner = keras.Model(x, shared(x), name="inner")
    x = inputs()
    y = shared(shared(x))
    over_time = layers.TimeDistributed(shared, name="over_time")
    folded = over_time(layers.Reshape((1, STEPS, FEATURES))(y))
    outputs = [wrapped(y), wrapped(inner(x)), dense(y), folded]
    new = assert_converted(keras.Model(x, outputs), sample())
    layer = new.get_layer("shared")
    assert new.get_layer("inner").get_layer("shared") is layer
    assert new.get_layer("over_time").layer is layer
    assert new.get_layer("wrapped").layer is new.get_layer("dense")
    assert len(recurrent(new)) == 1


def test_shared_cell_stays_shared():
    cell = layers.GRUCell(4)
    x = inputs()
    outputs = [layers.RNN(cell)(x), layers.RNN(cell, go_backwards=True)(x)]
    new = assert_converted(keras.Model(x, outputs), sample())
    first, second = recurrent(new)
    assert first.cell is second.cell


def test_optional_input():
    x = inputs()
    state = keras.Input((4,), optional=True, name="state")
    hidden = Filled(4)([x, state])
    model = keras.Model([x, state], layers.GRU(4)(x, initial_state=hidden))
    randomize(model)
    new = keras_rnnx.convert(model)
    data = sample()
    assert_equal(new([data, None]), model([data, None]))


class Filled(keras.Layer):
    """Zeros for a state that is not given."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def call(self, inputs):
        x, state = inputs
        return x[:, 0, :1] * ops.zeros((1, self.units)) if state is None else state

    def compute_output_shape(self, input_shape):
        return input_shape[0][0], self.units

    def get_config(self):
        return {**super().get_config(), "units": self.units}


def test_layers_without_weights_that_cannot_be_copied_serve_both():
    factor = 2.5
    x = inputs()
    y = layers.Lambda(lambda t: t * factor, name="scaled")(x)
    y = layers.TimeDistributed(layers.Lambda(lambda t: t + factor))(y)
    assert_converted(keras.Model(x, layers.LSTM(4)(y)), sample())
