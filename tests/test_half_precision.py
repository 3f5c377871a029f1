"""In half precision gradients of weights are sums in float32, over all steps."""

import catalogue
import keras
import numpy as np
import pytest

from keras_rnnx import cells, engine, layers, testing

BACKEND = keras.backend.backend()
ROWS, STEPS, FEATURES, UNITS = 2, 24, 3, 4
SIZE = 1e4  # of inputs
LARGEST = 65504  # number in float16
# Where loops are compiled: a scan with a matrix behind it, and a loop with vectors.
NAMES = cells.names() if BACKEND == "torch" else ["lru", "ind_rnn"]
# Cells of which Keras' loop gives gradients of weights beyond that number.
BEYOND = {
    *("ind_rnn", "irnn", "np_rnn", "leaky_rectifier_rnn", "lru", "sru"),
    *("min_gru", "min_lstm", "trnn", "tgru", "tlstm"),
}
# Its rectified states grow from step to step, and with them errors of rounding.
UNSTABLE = cells.LiGRUCell


def built(name, arguments=None, **options):
    keras.utils.set_random_seed(0)
    cell = cells.get(name, UNITS, dtype="mixed_float16", **(arguments or {}))
    options = {"return_sequences": True, "return_state": True, **options}
    layer = layers.RNN(cell, dtype="mixed_float16", **options)
    layer.build((ROWS, STEPS, FEATURES))
    return layer


def gradients(layer, way):
    """Of inputs, first states and weights, by name."""
    rng = np.random.default_rng(1)
    x = SIZE * rng.random((ROWS, STEPS, FEATURES), "float32")
    first = catalogue.first_states(layer, rng, ROWS, FEATURES)
    held = [keras.ops.convert_to_numpy(v) for v in layer.non_trainable_variables]

    def call(x, *states):
        with engine.force(way):
            found = layer(x, initial_state=list(states), training=True)
        return [keras.ops.cast(value, "float32") for value in found]

    _, found = testing.gradients(
        call,
        [x, *(state.astype("float32") for state in first)],
        layer.trainable_variables,
        [np.ones(shape) for shape in layer.compute_output_shape(x.shape)],
    )
    for variable, value in zip(layer.non_trainable_variables, held):
        variable.assign(value)
    names = ["inputs", *map(str, range(len(first)))]
    names += [variable.name for variable in layer.trainable_variables]
    return dict(zip(names, found))


def compare(layer, ways=("scan", "fused")):
    """Holds engines to Keras' loop, which adds up steps in float32.

    Vendors' kernels are left out: how they add is theirs.

    Returns:
        The largest gradient of a weight in Keras' loop.
    """
    checkpoint, layer.checkpoint = layer.checkpoint, None
    expected = gradients(layer, "step")
    layer.checkpoint = checkpoint
    for way in ways:
        if engine.refusal(layer, way):
            continue
        for name, found in gradients(layer, way).items():
            # What a step adds can be too large in Keras' loop.
            finite = np.isfinite(expected[name])
            assert np.all(np.isfinite(found[finite])), (way, name)
            value, found = expected[name][finite], found[finite]
            scale = np.max(np.abs(value), initial=1)
            if not isinstance(layer.cell, UNSTABLE):
                error = np.max(np.abs(value - found), initial=0)
                assert error <= 3e-2 * scale, (way, name)
    of_weights = [expected[variable.name] for variable in layer.trainable_variables]
    return max(np.max(v[np.isfinite(v)], initial=0) for v in map(np.abs, of_weights))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.usefixtures("seeds_as_stated")  # Other draws take other cells beyond.
def test_gradients_of_large_inputs_are_finite(name):
    layer = built(name)
    assert (compare(layer) > LARGEST) == (name in BEYOND)


@pytest.mark.any_backend
@pytest.mark.parametrize("name", ["ind_rnn", "lru", "irnn", "sru"])
def test_in_segments(name):
    assert compare(built(name, checkpoint=7), ["fused"]) > LARGEST


@pytest.mark.any_backend
def test_behind_masks_of_weights():
    masks = {"weight_dropout": 0.3, "input_weight_dropout": 0.3, "seed": 1}
    assert compare(built("irnn", masks)) > LARGEST


def test_a_cell_with_a_call_of_its_own_reads_rounded_weights():
    class Own(cells.SimpleRNNCell):
        def call(self, inputs, states, training=False):
            assert keras.ops.convert_to_tensor(self.kernel).dtype == inputs.dtype
            h = keras.ops.tanh(inputs @ self.kernel + self.bias) + states[0]
            return h, [h]

    layer = layers.RNN(Own(UNITS, dtype="mixed_bfloat16"), dtype="mixed_bfloat16")
    found = layer(np.ones((ROWS, STEPS, FEATURES), "float32"))
    assert keras.backend.standardize_dtype(found.dtype) == "bfloat16"
