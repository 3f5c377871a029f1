"""`keras_rnnx.convert`: what it leaves alone and says so, and what it refuses."""

import warnings

import keras
import pytest
from conversions import (
    FEATURES,
    STEPS,
    assert_equal,
    inputs,
    is_ours,
    randomize,
    recurrent,
    run,
    sample,
)
from keras import layers, ops

import keras_rnnx


@keras.saving.register_keras_serializable("test_conversion")
class Doubling(layers.LSTM):
    """A layer of Keras with code of its own."""

    def call(self, sequences, initial_state=None, mask=None, training=False):
        return 2 * super().call(sequences, initial_state, mask, training)


def left_alone(model):
    """Converts a model with the warning it must give; returns it and the rows."""
    new, report = keras_rnnx.convert(model, report=True)
    rows = [row for row in report if not row.converted]
    with pytest.warns(UserWarning, match="left alone") as caught:
        keras_rnnx.convert(model)
    text = [str(w.message) for w in caught if "left alone" in str(w.message)]
    for row in rows:
        assert f"{row.layer!r} ({row.type}): {row.reason}" in text[0]
    return new, {row.layer: row.reason for row in rows}


def test_layers_left_alone_are_reported():
    x = inputs()
    images = layers.Reshape((STEPS, FEATURES, 1))(x)
    outputs = [
        Doubling(4, name="subclass")(x),
        layers.ConvLSTM1D(2, 2, name="convolution")(images),
        layers.GRU(4, recurrent_dropout=1.0, name="all_dropped")(x),
        layers.RNN([layers.GRUCell(4), layers.LSTMCell(4, dropout=1.0)], name="stack")(
            x
        ),
        layers.Bidirectional(Doubling(3), name="both")(x),
        layers.LSTM(4, name="converted")(x),
    ]
    model = keras.Model(x, outputs)
    randomize(model)
    new, reasons = left_alone(model)
    assert reasons == {
        "subclass": "Doubling is a subclass, whose own code would be lost",
        "convolution": "keras_rnnx has no ConvLSTM1D",
        "all_dropped": "recurrent_dropout=1.0 is not in [0, 1), the range of "
        "rates in keras_rnnx",
        "stack": "dropout=1.0 is not in [0, 1), the range of rates in keras_rnnx",
        "both/forward_doubling": reasons["subclass"],
        "both/backward_doubling": reasons["subclass"],
    }
    assert [v.name for v in recurrent(new) if is_ours(v)] == ["converted"]
    assert_equal(new.get_weights(), model.get_weights(), 0)


def test_a_layer_left_alone_keeps_its_use_cudnn():
    """Keras does not write it into the config."""
    new, _ = left_alone(layers.LSTM(4, dropout=1.0, use_cudnn=True))
    assert type(new) is layers.LSTM and new.use_cudnn is True


def test_a_report_silences_the_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        new, report = keras_rnnx.convert(Doubling(4, name="memory"), report=True)
    assert type(new) is Doubling
    assert [tuple(row) for row in report] == [
        ("memory", "Doubling", False, report[0].reason)
    ]
    assert "memory" in str(report) and "Doubling is a subclass" in str(report)


@keras.saving.register_keras_serializable("test_conversion")
class Late(keras.Layer):
    """Makes some of its layers in `build`."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.early = layers.LSTM(4, return_sequences=True, name="early")

    def build(self, input_shape):
        self.early.build(input_shape)
        self.late = layers.GRU(3, name="late")
        self.late.build((*input_shape[:-1], 4))

    def call(self, inputs):
        return self.late(self.early(inputs))


def test_layer_made_in_build_is_left_alone():
    model = keras.Sequential([inputs(), Late(name="owner")])
    randomize(model)
    new, reasons = left_alone(model)
    assert reasons == {"owner/late": "Late makes it in `build`"}
    assert is_ours(new.layers[0].early) and not is_ours(new.layers[0].late)
    assert_equal(run(new, sample()), run(model, sample()))


class Fixed(keras.Model):
    """A functional model that makes its own graph, and adds a method."""

    def __init__(self, units):
        x = inputs()
        super().__init__(x, layers.LSTM(units, name="memory")(x))

        self.units = units

    def twice(self, x):
        return 2 * self(x)

    def get_config(self):
        return {"units": self.units}


class Plain(keras.Sequential):
    """A Sequential model that makes its own layers, and nothing else."""

    def __init__(self):
        super().__init__([inputs(), layers.LSTM(4)])


def test_model_classes_that_make_their_own_graph():
    model = Fixed(4)
    randomize(model)
    new, reasons = left_alone(model)
    assert list(reasons) == ["memory"] and "twice" in reasons["memory"]
    assert_equal(new.twice(sample()), model.twice(sample()))
    model = Plain()
    randomize(model)
    new = keras_rnnx.convert(model)
    assert type(new) is keras.Sequential and is_ours(new.layers[0])
    assert_equal(run(new, sample()), run(model, sample()))


class Stepped(keras.Layer):
    """Steps a cell by hand."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.cell = layers.GRUCell(4, name="by_hand")

    def call(self, inputs):
        h = ops.zeros((ops.shape(inputs)[0], 4))
        return self.cell(inputs[:, 0], [h])[0]


def test_cell_stepped_by_hand_is_left_alone():
    model = keras.Sequential([inputs(), Stepped(name="owner")])
    randomize(model)
    new, reasons = left_alone(model)
    assert reasons == {"owner/by_hand": "stepped by code outside of a layer"}
    assert_equal(run(new, sample()), run(model, sample()))


class Unsaved(keras.Model):
    """Cannot be made anew from a config."""

    def __init__(self, layer):
        super().__init__()
        self.memory = layer

    def call(self, inputs):
        return self.memory(inputs)


class Default(keras.Model):
    """Keras makes it anew with 4 units, however many it has."""

    def __init__(self, units=4, **kwargs):
        super().__init__(**kwargs)
        self.memory = layers.LSTM(units)


def test_model_that_cannot_be_copied():
    for model in (Unsaved(layers.LSTM(4)), Default(8)):
        with pytest.raises(ValueError, match="cannot copy '.*has no `get_config`"):
            keras_rnnx.convert(model)


@pytest.mark.parametrize("given", [None, layers.LSTM, "lstm", [1]])
def test_wrong_argument(given):
    with pytest.raises(TypeError, match="takes a Keras model or layer, received"):
        keras_rnnx.convert(given)
