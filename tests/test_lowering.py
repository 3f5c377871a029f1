"""Lowerings: a cell on a vendor's kernel is the cell, in its gradients too.

On torch the kernels are those for the CPU; on TensorFlow an emulator stands for cuDNN.
"""

from dataclasses import dataclass

import catalogue
import keras
import numpy as np
import oracles
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tensors import numpy, randomize

from keras_rnnx import cells, engine, layers, testing
from keras_rnnx.engine import backends, costs
from keras_rnnx.testing import Case
from keras_rnnx.testing.conformance import _run

BACKEND = keras.backend.backend()
# On JAX the helpers here serve test_gpu.py alone.
ENGINE = "native" if BACKEND == "torch" else "cudnn"
# On TensorFlow every shape is traced anew, on both engines.
EXAMPLES = 40 if BACKEND == "torch" else 2

# name: (catalogue name, arguments). The catalogue's, and the pairs of a family and an
# activation that are missing there.
LOWERED = {
    variant: catalogue.VARIANTS[variant][:2]
    for variant in catalogue.VARIANTS
    if variant not in catalogue.WITHOUT_LOWERING
} | {
    "gru_sigmoid": ("gru", {"activation": "sigmoid"}),
    "mgu_reset_after_sigmoid": (
        "mgu",
        {"reset_after": True, "activation": "sigmoid"},
    ),
    "simple_rnn_linear": ("simple_rnn", {"activation": "linear"}),
    "leaky_rnn_linear": ("leaky_rnn", {"activation": "linear"}),
    "leaky_rnn_at_one": ("leaky_rnn", {"leak": 1.0}),
    "leaky_rnn_learned_tanh": ("leaky_rnn", {"leak_trainable": True}),
    "leaky_rnn_learned_sigmoid": (
        "leaky_rnn",
        {"leak_trainable": True, "activation": "sigmoid"},
    ),
    "leaky_rnn_learned_relu": (
        "leaky_rnn",
        {"leak_trainable": True, "activation": "relu"},
    ),
    "fast_rnn_sigmoid": ("fast_rnn", {"activation": "sigmoid"}),
    "fast_rnn_leaky_relu": ("fast_rnn", {"activation": "leaky_relu"}),
}
# One variant or two for each way to lower: as it is, two states, gates tied, a gate
# held, the state rescaled, units repeated, the first state given with the inputs.
KINDS = [
    *(["lstmp"] if BACKEND == "torch" else []),
    "gru",
    "cifg",
    "mgu_reset_after",
    "leaky_rnn_learned_tanh",
    "fast_rnn_sigmoid",
    "simple_rnn_relu",
    "simple_rnn_leaky_relu",
    "leaky_rnn_learned_relu",
    "leaky_rnn_learned",
]
# The kernels project to less than there are units.
LEAST_UNITS = {"lstmp": 2, "lstmp_narrow": 3}
# On TensorFlow an example takes about a second, and the maps are those of torch: what
# remains to be seen is the call of the kernel.
SOME = [
    pytest.param(kind, marks=[pytest.mark.any_backend] if k % 3 else [])
    for k, kind in enumerate(KINDS)
]
DRAWN = LOWERED if BACKEND == "torch" else ["lstm", "simple_rnn", *KINDS]


def make(variant, units=3, **kwargs):
    name, arguments = LOWERED[variant]
    return cells.get(name, **{"units": units, **arguments, **kwargs})


@pytest.fixture
def kernel_calls(monkeypatch):
    """Counts calls of the kernel: a one-element list."""
    count = [0]
    module = backends.current()
    if BACKEND == "tensorflow":
        cudnn = pytest.importorskip("cudnn")
        emulator = cudnn.installed(monkeypatch)
    real = module.run_kernel

    def counting(*args):
        if BACKEND == "tensorflow":
            before = len(emulator.calls)
            results = real(*args)
            count[0] += len(emulator.calls) - before
            return results
        count[0] += 1
        return real(*args)

    monkeypatch.setattr(module, "run_kernel", counting)
    return count


@dataclass(frozen=True)
class Drawn(Case):
    """A case with a mask given as it is."""

    pattern: tuple | None = None

    def make_mask(self, rng):
        return None if self.pattern is None else np.array(self.pattern, bool)


@st.composite
def masks(draw, batch, steps):
    """None, padding on either side, any pattern with empty rows, nothing but those."""
    kind = draw(st.sampled_from(["none", "right", "left", "holes", "empty"]))
    if kind == "none":
        return None
    if kind == "holes":
        row = st.lists(st.booleans(), min_size=steps, max_size=steps)
        return tuple(map(tuple, draw(st.lists(row, min_size=batch, max_size=batch))))
    length = st.just(0) if kind == "empty" else st.integers(0, steps)
    lengths = draw(st.lists(length, min_size=batch, max_size=batch))
    rows = [(True,) * n + (False,) * (steps - n) for n in lengths]
    return tuple(row[::-1] for row in rows) if kind == "left" else tuple(rows)


@st.composite
def cases(draw):
    batch, steps = draw(st.integers(1, 4)), draw(st.integers(1, 8))
    return Drawn(
        "drawn",
        dtype=draw(st.sampled_from(["float32", "float64"])),
        training=draw(st.booleans()),
        batch=batch,
        steps=steps,
        features=draw(st.integers(1, 4)),
        return_sequences=draw(st.booleans()),
        go_backwards=draw(st.booleans()),
        zero_output_for_mask=draw(st.booleans()),
        pattern=draw(masks(batch, steps)),
    )


def compare(found, expected, tolerance):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        value, other = np.asarray(value, "float64"), np.asarray(found[name], "float64")
        assert other.shape == value.shape, name
        scale = max(1.0, np.max(np.abs(value)))
        error = np.max(np.abs(other - value))
        assert error <= tolerance * scale, f"{name} is off by {error:.2e}"


def on_both(cell, case, seed, kernel_calls):
    """Values on the step engine and on the kernel's, which must have been called."""
    expected = _run(cell, case, "step", seed)
    before = kernel_calls[0]
    found = _run(cell, case, ENGINE, seed)
    assert kernel_calls[0] == before + 1
    return expected, found


@pytest.mark.cases(3)
@pytest.mark.parametrize("variant", DRAWN)
def test_outputs_states_and_gradients_are_those_of_the_step_engine(
    variant, kernel_calls
):
    """For any sizes, mask, direction, initial states and weights."""

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        case=cases(),
        units=st.integers(LEAST_UNITS.get(variant, 1), 5),
        use_bias=st.booleans(),
        seed=st.integers(0, 2**16),
    )
    def check(case, units, use_bias, seed):
        arguments = {"use_bias": use_bias}
        if isinstance(LOWERED[variant][1].get("leak"), list):
            arguments["leak"] = catalogue.RATES[:units]
        cell = make(variant, units, **arguments)
        expected, found = on_both(cell, case, seed, kernel_calls)
        compare(found, expected, {"float32": 1e-5, "float64": 1e-10}[case.dtype])

    check()


@pytest.mark.parametrize("derived", [True, False] if BACKEND == "torch" else [False])
@pytest.mark.parametrize("variant", SOME)
def test_segments_have_the_gradients_of_the_whole(
    variant, derived, kernel_calls, monkeypatch
):
    """Those of weights that a lowering alone reads, too."""
    if not derived:
        # The backward pass is autodiff of the lowering and of the kernel.
        monkeypatch.setattr(costs, "DERIVED", 0)
    case = Drawn(
        "segments",
        dtype="float64",
        training=True,
        batch=4,
        steps=5,
        features=3,
        go_backwards=True,
        checkpoint=2,
        pattern=tuple(map(tuple, HOLES)),
    )
    cell = make(variant, 5)
    expected = _run(cell, case, "step", 3)
    found = _run(cell, case, ENGINE, 3)
    # Two whole segments and the rest, each of them again on the way back. In compiled
    # code one program stands for the whole ones.
    assert kernel_calls[0] >= (6 if BACKEND == "torch" else 4)
    compare(found, expected, 1e-10)


def built(cell, x, seed=0, scale=0.5, **loop):
    layer = layers.RNN(cell, dtype=cell.dtype_policy, **loop)
    layer.build(x.shape)
    randomize(layer, seed, scale)
    return layer


def normal(*shape, seed=0, dtype="float32"):
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(dtype)


def values(layer, x, states, mask=None, engine_name=ENGINE, seed=7):
    """Outputs, states and gradients of a layer with `return_state`, by name."""
    widths = [layer.compute_output_shape(x.shape)[0]]
    widths += [state.shape for state in states]
    cotangents = [normal(*w, seed=seed + k) for k, w in enumerate(widths)]

    def call(x, *states):
        with engine.force(engine_name):
            return layer(x, initial_state=list(states), mask=mask, training=True)

    variables = layer.trainable_variables
    outputs, found = testing.gradients(call, [x, *states], variables, cotangents)
    states = layer.cell.states
    names = ["output", *states, "gradient x", *(f"gradient {s}" for s in states)]
    names += [f"gradient {v.name}" for v in variables]
    return dict(zip(names, [*outputs, *found], strict=True))


def first_states(cell, batch, dtype="float32"):
    widths = cell.state_widths.values()
    return [normal(batch, n, seed=s, dtype=dtype) for s, n in enumerate(widths)]


HOLES = np.array(
    [[1, 1, 0, 1, 0], [0, 0, 1, 0, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]], bool
)


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu", "leaky_relu"])
def test_a_learned_leak_rate_gets_its_gradient_through_the_kernel(
    activation, kernel_calls
):
    dtype = "float64"
    cell = cells.LeakyRNNCell(
        4, activation=activation, leak_trainable=True, dtype=dtype
    )
    x = normal(3, 6, 2, dtype=dtype)
    layer = built(cell, x, return_sequences=True, return_state=True)
    states = first_states(cell, 3, dtype)
    found = values(layer, x, states)
    assert kernel_calls[0] == 1
    weights = {v.name: numpy(v).copy() for v in layer.trainable_variables}
    functions = {"tanh": np.tanh} | {
        name: getattr(oracles, name) for name in ("sigmoid", "relu", "leaky_relu")
    }
    oracle = oracles.leaky(None, functions[activation])
    cotangents = [normal(3, 6, 4, seed=7), normal(3, 4, seed=8)]

    def loss(logit):
        outputs, last = oracle(x, weights | {"leak_logit": logit}, states)
        pairs = zip([outputs, *last], cotangents, strict=True)
        return sum(np.sum(o * c) for o, c in pairs)

    step, logit = 1e-5, weights["leak_logit"]
    slopes = [
        (loss(logit + step * unit) - loss(logit - step * unit)) / (2 * step)
        for unit in np.eye(4)
    ]
    assert np.min(np.abs(slopes)) > 1e-3
    np.testing.assert_allclose(
        found["gradient leak_logit"], slopes, rtol=1e-6, atol=1e-8
    )


@pytest.mark.parametrize("variant", KINDS)
def test_half_precision(variant, kernel_calls):
    """Where it is as exact as in the equation; elsewhere the kernel is not taken."""
    dtype = {"torch": "bfloat16", "tensorflow": "float16"}[BACKEND]
    case = Drawn(
        "half",
        mask="given",
        dtype=f"mixed_{dtype}",
        training=True,
        batch=4,
        steps=5,
        features=3,
        pattern=tuple(map(tuple, HOLES)),
    )
    cell = make(variant, 5)
    if not cell.lowering().half:
        layer = layers.RNN(make(variant, dtype=case.dtype))
        assert f"not exact enough in {dtype}" in engine.refusal(layer, ENGINE)
        return
    assert engine.refusal(layers.RNN(make(variant, dtype=case.dtype)), ENGINE) is None
    expected, found = on_both(cell, case, 3, kernel_calls)
    compare(found, expected, case.tolerance)


@pytest.mark.parametrize("go_backwards", [False, True])
@pytest.mark.parametrize("variant", SOME)
def test_what_stands_in_masked_steps_is_not_read(variant, go_backwards, kernel_calls):
    """NaN there reaches neither outputs nor gradients."""
    x = normal(4, 5, 3)
    cell = make(variant)
    layer = built(
        cell, x, return_sequences=True, return_state=True, go_backwards=go_backwards
    )
    states = first_states(cell, 4)
    expected = values(layer, np.where(HOLES[..., None], x, 0), states, HOLES)
    dirty = np.where(HOLES[..., None], x, np.float32("nan"))
    found = values(layer, dirty, states, HOLES)
    assert kernel_calls[0]
    for name, value in expected.items():
        assert np.all(np.isfinite(found[name])), name
        np.testing.assert_array_equal(found[name], value, err_msg=name)
    assert np.all(found["gradient x"][~HOLES] == 0)


# Their slopes on either side of zero.
SLOPES = {"linear": (1.0, 1.0), "leaky_relu": (0.2, 1.0), "relu": (0.0, 1.0)}


@pytest.mark.parametrize("activation", SLOPES)
@pytest.mark.parametrize("name", ["simple_rnn", "leaky_rnn", "fast_rnn"])
def test_gradients_where_the_argument_is_exactly_zero(name, activation, kernel_calls):
    """No input yet and no bias: any slope between those on either side is right."""
    cell = cells.get(name, units=4, activation=activation)
    x = np.zeros((1, 1, 3), "float32")
    layer = built(cell, x, return_sequences=True, return_state=True)
    cell.bias.assign(np.zeros(4))
    zero = [np.zeros((1, 4), "float32")]
    found = values(layer, x, zero)
    assert kernel_calls[0] == 1
    assert np.all(np.abs(found["output"]) < 1e-20)
    cotangent = (normal(1, 1, 4, seed=7) + normal(1, 4, seed=8))[0, 0]
    vectors = cell.coefficients()
    vectors = {k: numpy(v) for k, v in vectors.items()}
    write = vectors.get("leak", vectors.get("alpha", 1.0))
    keep = 1 - vectors["leak"] if "leak" in vectors else vectors.get("beta", 0.0)
    slope = found["gradient bias"] / (write * cotangent)
    below, above = SLOPES[activation]
    assert np.all((slope >= below - 1e-5) & (slope <= above + 1e-5)), slope
    # The same slope everywhere, beside what is kept, whose slope is known.
    through = slope * write * cotangent
    np.testing.assert_allclose(
        found["gradient x"][0, 0],
        numpy(cell.kernel) @ through,
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        found["gradient h"][0],
        keep * cotangent + numpy(cell.recurrent_kernel) @ through,
        rtol=1e-5,
        atol=1e-6,
    )


@pytest.mark.parametrize("name", ["simple_rnn", "leaky_rnn", "fast_rnn"])
def test_a_linear_cell_at_zero_has_the_gradients_of_the_step_engine(name, kernel_calls):
    cell = cells.get(name, units=4, activation="linear")
    x = normal(3, 6, 2)
    x[:, :3] = 0
    layer = built(cell, x, return_sequences=True, return_state=True)
    cell.bias.assign(np.zeros(4))
    zero = [np.zeros((3, 4), "float32")]
    expected = values(layer, x, zero, engine_name="step")
    compare(values(layer, x, zero), expected, 1e-6)
    assert kernel_calls[0] == 1


@pytest.mark.parametrize("scale", [1.0, 1e3])
@pytest.mark.parametrize(
    "variant", ["simple_rnn_relu", "simple_rnn_leaky_relu", "leaky_rnn_relu", "irnn"]
)
def test_states_do_not_grow_behind_the_end_of_a_row(variant, scale, kernel_calls):
    """There they would overflow, and infinity times zero is no gradient."""
    units = catalogue.UNITS
    cell = make(variant, units)
    x = scale * np.abs(normal(2, 60, 3))
    layer = built(cell, x, return_state=True)
    cell.recurrent_kernel.assign(10 + normal(units, units))
    mask = np.arange(60) < np.array([[1], [2]])
    states = first_states(cell, 2)
    found = values(layer, x, states, mask)
    assert kernel_calls[0] == 1
    for name, value in found.items():
        assert np.all(np.isfinite(value)), name
    compare(found, values(layer, x, states, mask, "step"), 1e-5)


@pytest.mark.parametrize(
    "variant", ["simple_rnn_leaky_relu", "leaky_rnn_leaky_relu", "leaky_rnn_relu"]
)
def test_a_negative_initial_state(variant, kernel_calls):
    """It is no sum of rectified parts with positive weights, as later ones are."""
    cell = make(variant, catalogue.UNITS)
    x = normal(3, 4, 2)
    layer = built(cell, x, return_sequences=True, return_state=True)
    states = [-1 - np.abs(normal(3, cell.units))]
    found = values(layer, x, states)
    assert kernel_calls[0] == 1
    weights = {v.name: numpy(v) for v in layer.trainable_variables}
    outputs, (last,) = catalogue.VARIANTS[variant][2](x, weights, states)
    np.testing.assert_allclose(found["output"], outputs, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found["h"], last, rtol=1e-5, atol=1e-5)
    assert np.min(outputs[:, 0]) < 0
    compare(found, values(layer, x, states, engine_name="step"), 1e-5)
