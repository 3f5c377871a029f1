"""What stands in masked steps reaches no output, no state and no gradient."""

import catalogue
import keras
import kernels
import numpy as np
import pytest
from tensors import numpy

from keras_rnnx import cells, engine, layers, testing
from keras_rnnx.regularizers import TAR, GradientFlow

BACKEND = keras.backend.backend()
ROWS, STEPS, FEATURES, UNITS = 3, 6, 3, 4
# Holes, a first step that is masked, and a row without a step.
MASK = np.array([[0, 1, 1, 0, 1, 0], [1, 1, 0, 0, 1, 1], [0] * 6], bool)
# Half precision makes the last one infinite.
JUNK = np.array([np.nan, np.inf, -np.inf, 1e38], "float32")
# Where loops are compiled, a cell in a loop or a kernel, and one in a scan.
NAMES = cells.names() if BACKEND == "torch" else ["lstm", "qrnn"]
# name of the case: cell, arguments of the cell, arguments of the layer.
OPTIONS = {
    "layer_norm": ("lstm", {"layer_norm": True}, {}),
    "layer_norm, late gate": ("gru", {"reset_after": False, "layer_norm": True}, {}),
    "batch_norm": ("lstm", {"batch_norm": True}, {}),
    "dropout": ("ugrnn", {"dropout": 0.4, "recurrent_dropout": 0.4}, {}),
    "dropout, scan": ("min_lstm", {"dropout": 0.4, "update_dropout": 0.3}, {}),
    "dropout, window": ("tgru", {"dropout": 0.4, "update_dropout": 0.3}, {}),
    "dropout at every step": (
        "lstm",
        {"dropout": 0.4, "recurrent_dropout": 0.4, "dropout_mask": "step"},
        {"unroll": True},
    ),
    "dropout at every step, scan": (
        "qrnn",
        {"dropout": 0.4, "dropout_mask": "step", "zoneout": 0.3},
        {},
    ),
    "dropout of weights, kernel": ("gru", {"dropout": 0.4, "weight_dropout": 0.4}, {}),
    "gradient flow": ("ugrnn", {"recurrent_regularizer": GradientFlow(0.1)}, {}),
    "checkpoint": ("gru", {}, {"checkpoint": 2}),
    "checkpoint, late gate": ("mut1", {}, {"checkpoint": 3}),
    "checkpoint, window": ("tlstm", {}, {"checkpoint": 2, "go_backwards": True}),
    "backwards": ("cifg", {}, {"go_backwards": True}),
    "last output": ("tlstm", {}, {"return_sequences": False}),
    "zeros in outputs": ("sru", {}, {"zero_output_for_mask": True}),
    "penalty on outputs": ("gru", {}, {"activity_regularizer": TAR(1.0)}),
    "half precision": ("lstm", *[{"dtype": "mixed_bfloat16"}] * 2),
    "half precision, scan": ("min_gru", *[{"dtype": "mixed_bfloat16"}] * 2),
    "learned start": ("leaky_rnn", {}, {"initial_state_trainable": True}),
}
CASES = OPTIONS if BACKEND == "torch" else ["half precision, scan"]
STACKS = {
    "in one call": {},
    "both directions in one call": {"bidirectional": True},
    "residual": {"connection": "residual", "units": [FEATURES, FEATURES]},
    "highway": {"connection": "highway", "units": [FEATURES, FEATURES]},
    "glu": {"connection": "glu", "units": [FEATURES, FEATURES]},
    "gated feedback": {"gated_feedback": True},
    "dropout": {"dropout": 0.3, "input_dropout": 0.3, "seed": 1},
}


@pytest.fixture
def calls(monkeypatch):
    """Kernels are there, and are counted."""
    return kernels.installed(monkeypatch)


def filled(clean):
    """Inputs with zeros in masked steps, or with what must not be read."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(*MASK.shape, FEATURES)).astype("float32")
    junk = 0 if clean else JUNK[rng.permutation(x.size).reshape(x.shape) % len(JUNK)]
    return np.where(MASK[..., None], x, junk).astype("float32")


def built(make):
    """A layer with random weights."""
    keras.utils.set_random_seed(0)
    layer, rng = make(), np.random.default_rng(1)
    layer.build((*MASK.shape, FEATURES))
    for variable in layer.trainable_variables:
        start = numpy(variable)
        variable.assign(start + 0.4 * rng.normal(size=start.shape))
    return layer


def values(layer, way, x, first):
    """Outputs, last states, penalties; the gradients of inputs, first states and
    weights; and what a call of the layer moves, which is put back."""
    held = [numpy(v) for v in layer.non_trainable_variables]

    def call(x, *states):
        states = list(states) or None
        with engine.force(*way):
            found = layer(x, initial_state=states, mask=MASK, training=True)
        found = [*found, sum(layer.losses, keras.ops.zeros(()))]
        return [keras.ops.cast(value, "float32") for value in found]

    rng = np.random.default_rng(2)
    shapes = [*layer.compute_output_shape(x.shape), ()]
    found, gradients = testing.gradients(
        call,
        [x, *first],
        layer.trainable_variables,
        [rng.normal(size=shape) for shape in shapes],
    )
    for variable, value in zip(layer.non_trainable_variables, held):
        gradients.append(numpy(variable))
        variable.assign(value)
    return [*found, *gradients]


def check(layer, *way, states=False):
    """Holds a layer over junk in masked steps to the same over zeros there."""
    rng, first = np.random.default_rng(4), []
    if states:
        first = catalogue.first_states(layer, rng, ROWS, FEATURES)
    first = [state.astype("float32") for state in first]
    expected = values(layer, way, filled(clean=True), first)
    found = values(layer, way, filled(clean=False), first)
    for value, other in zip(found, expected, strict=True):
        assert np.all(np.isfinite(other))
        np.testing.assert_array_equal(value, other)


def rnn(name, arguments=None, options=None):
    """A layer that returns all that there is."""
    options = {"return_sequences": True, "return_state": True, **(options or {})}
    arguments = arguments or {}
    return built(lambda: layers.RNN(cells.get(name, UNITS, **arguments), **options))


def engines(layer):
    return [name for name in engine.ENGINES if not engine.refusal(layer, name)]


@pytest.mark.parametrize("name", NAMES)
def test_in_each_cell_on_each_engine(name, calls):
    layer = rnn(name)
    for way in engines(layer):
        before = len(calls)
        check(layer, way, states=True)
        assert (len(calls) > before) == (way in ("cudnn", "native"))


@pytest.mark.parametrize("option", CASES)
def test_with_options(option):
    layer = rnn(*OPTIONS[option])
    for way in engines(layer):
        check(layer, way)


@pytest.mark.parametrize("kind", STACKS if BACKEND == "torch" else ["highway"])
def test_in_stacks(kind, calls):
    options = {"units": [UNITS, UNITS], **STACKS[kind]}
    options |= {"return_sequences": True, "return_state": True}
    way = ("step",) if kind == "gated feedback" else ("fused",)
    if "call" in kind:
        way = (kernels.ENGINE, True)
    check(built(lambda: layers.Stack("lstm", **options)), *way)
    assert bool(calls) == ("call" in kind)


@pytest.mark.parametrize("kind", [keras.layers.GRUCell, cells.GRUCell])
def test_around_cells_in_keras_loop(kind):
    """It takes masked steps too, and throws their results away."""

    def make():
        both = [kind(UNITS), kind(UNITS)]
        return layers.RNN(both, return_sequences=True, return_state=True)

    check(built(make), "step")
