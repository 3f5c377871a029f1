"""Linear recurrences: every way to compute one gives the numbers of a plain loop."""

import contextlib
import doctest
import importlib

import keras
import numpy as np
import pytest

import keras_rnnx
from keras_rnnx import testing
from keras_rnnx.engine import backends, linear
from keras_rnnx.engine.linear_ways import WAYS, block_steps

BACKEND = keras.backend.backend()
BATCH, UNITS = 3, 4
EXACT = {"rtol": 1e-12, "atol": 1e-13}


@pytest.fixture(autouse=True)
def double():
    """JAX computes in float64 only where it is told to."""
    jax = BACKEND == "jax" and importlib.import_module("jax")
    with jax.enable_x64(True) if jax else contextlib.nullcontext():
        yield


def loop(a, b, initial, reverse=False):
    """The definition."""
    a, h, states = np.broadcast_to(a, b.shape), initial, np.empty_like(b)
    for t in range(len(b))[:: -1 if reverse else 1]:
        h = states[t] = a[t] * h + b[t]
    return states


def loop_gradients(a, b, initial, d, reverse=False):
    """Gradients of the real part of `sum(conj(d) * states)`."""
    if reverse:
        a = a if len(a) == 1 else a[::-1]
        d_a, g, d_initial = loop_gradients(a, b[::-1], initial, d[::-1])
        return d_a if len(a) == 1 else d_a[::-1], g[::-1], d_initial
    full = np.broadcast_to(a, b.shape).conj()
    before = np.concatenate([initial[None], loop(a, b, initial)[:-1]])
    g = np.zeros_like(b)
    for t in reversed(range(len(b))):
        g[t] = d[t] if t == len(b) - 1 else d[t] + full[t + 1] * g[t + 1]
    axes = tuple(i for i in (0, 1) if a.shape[i] < b.shape[i])
    return np.sum(g * before.conj(), axes, keepdims=True), g, full[0] * g[0]


def drawn(shape, steps, seed=0, number="real", batch=BATCH, units=UNITS):
    """Coefficients of `shape`, what is added, first states and cotangents."""
    rng = np.random.default_rng([seed, steps, *shape])
    a = rng.uniform(-1, 1, shape)
    rest = [rng.normal(size=(steps, batch, units)) for _ in range(2)]
    initial = rng.normal(size=(batch, units))
    if number == "real":
        return a, rest[0], initial, rest[1]
    a = np.abs(a) * np.exp(1j * rng.uniform(0, 2 * np.pi, shape))
    rest = [x + 1j * rng.normal(size=x.shape) for x in rest]
    return a, rest[0], initial + 1j * rng.normal(size=initial.shape), rest[1]


def computed(a, b, initial, d, reverse=False, way=None):
    """States and gradients of ours, as `loop` and `loop_gradients` give them."""
    if not np.iscomplexobj(b):
        outputs, found = testing.gradients(
            lambda *x: [linear.linear_recurrence(*x, reverse, way)],
            [a, b, initial],
            [],
            [d],
        )
        return outputs[0], found

    def run(*x):
        pairs = x[:2], x[2:4], x[4:]
        return list(linear.complex_linear_recurrence(*pairs, reverse, way))

    parts = [part for x in (a, b, initial) for part in (x.real, x.imag)]
    outputs, found = testing.gradients(run, parts, [], [d.real, d.imag])
    joined = [x + 1j * y for x, y in zip(found[::2], found[1::2])]
    return outputs[0] + 1j * outputs[1], joined


def compare(given, reverse=False, way=None, **tolerance):
    states, found = computed(*given, reverse, way)
    tolerance = tolerance or EXACT
    np.testing.assert_allclose(states, loop(*given[:3], reverse), **tolerance)
    expected = loop_gradients(*given, reverse)
    for name, x, y in zip(("a", "b", "initial"), found, expected, strict=True):
        np.testing.assert_allclose(x, y, err_msg=f"gradient of {name}", **tolerance)


@pytest.mark.parametrize("shape", [(6, 2, 2), (1, 1, 2), (6, 1, 2), (1, 2, 2)])
@pytest.mark.parametrize("number", ["real", "complex"])
@pytest.mark.parametrize("reverse", [False, True])
def test_the_formula_for_gradients_is_that_of_finite_differences(
    shape, number, reverse
):
    *inputs, d = drawn(shape, 6, number=number, batch=2, units=2)

    def loss():
        return np.sum(d.conj() * loop(*inputs, reverse)).real

    for x, found in zip(inputs, loop_gradients(*inputs, d, reverse), strict=True):
        for i in np.ndindex(x.shape):
            for part in (1, 1j) if number == "complex" else (1,):
                value, losses = x[i], []
                for sign in (1, -1):
                    x[i] = value + sign * 1e-5 * part
                    losses.append(loss())
                x[i] = value
                slope = found[i].real if part == 1 else found[i].imag
                difference = (losses[0] - losses[1]) / 2e-5
                np.testing.assert_allclose(slope, difference, rtol=1e-6, atol=1e-8)


# One step; too few for blocks; a prime number, with steps left over; blocks alone.
@pytest.mark.parametrize(
    "way, steps",
    [
        *((way, steps) for way in WAYS for steps in (1, 13)),
        *(("blocked", steps) for steps in (3, 4, 24)),
        ("parallel", 8),
        (None, 5),
    ],
)
@pytest.mark.parametrize("reverse", [False, True])
def test_equals_a_loop(way, steps, reverse):
    compare(drawn((steps, BATCH, UNITS), steps), reverse, way)


def test_the_blocks_of_these_tests():
    assert 13 % block_steps(13) and not 24 % block_steps(24)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "shape, reverse",
    [
        ((1, 1, UNITS), False),
        ((1, 1, UNITS), True),
        ((11, 1, UNITS), True),
        ((1, BATCH, UNITS), False),
    ],
)
def test_the_same_coefficients_at_all_steps_or_in_all_sequences(way, shape, reverse):
    compare(drawn(shape, 11), reverse, way)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "shape, reverse",
    [((1, 1, UNITS), False), ((11, BATCH, UNITS), True), ((11, 1, UNITS), False)],
)
def test_complex_numbers(way, shape, reverse):
    compare(drawn(shape, 11, number="complex"), reverse, way)


def holes(steps):
    mask = np.random.default_rng(3).random((steps, BATCH, 1)) < 0.6
    mask[:2, 0] = mask[-2:, 1] = mask[:, 2] = False
    return mask


@pytest.mark.parametrize("number", ["real", "complex"])
@pytest.mark.parametrize("shape", [(9, BATCH, UNITS), (1, 1, UNITS)], ids=str)
def test_masked_steps_carry_the_states_on(number, shape):
    a, b, initial, d = drawn(shape, 9, number=number)
    mask = holes(9)
    # What stands there is not looked at.
    b = np.where(mask, b, np.nan)
    if len(a) > 1:
        a = np.where(mask, a, np.inf)
    n = 2 if number == "complex" else 1

    def parts(x):
        return [x.real, x.imag][:n]

    def run(*x):
        a, b, initial = ((x[i : i + n] if n > 1 else x[i]) for i in range(0, 3 * n, n))
        recurrence = (
            linear.complex_linear_recurrence
            if n > 1
            else (lambda *x: [linear.linear_recurrence(*x)])
        )
        return list(recurrence(*linear.masked(a, b, mask), initial))

    inputs = [part for x in (a, b, initial) for part in parts(x)]
    outputs, found = testing.gradients(run, inputs, [], parts(d))
    full = np.where(mask, a, 1), np.where(mask, b, 0), initial
    states = loop(*full)
    for x, y in zip(outputs, parts(states)):
        np.testing.assert_allclose(x, y, **EXACT)
    assert np.array_equal(states[:, 2], np.broadcast_to(initial[2], states[:, 2].shape))
    d_a, d_b, d_initial = loop_gradients(*full, d)
    d_a, d_b = np.where(mask, d_a, 0), np.where(mask, d_b, 0)
    if len(a) == 1:
        d_a = d_a.sum((0, 1), keepdims=True)
    expected = [part for x in (d_a, d_b, d_initial) for part in parts(x)]
    for x, y in zip(found, expected, strict=True):
        np.testing.assert_allclose(x, y, **EXACT)


def test_a_mask_without_its_last_axis():
    a, b, _, _ = drawn((5, BATCH, UNITS), 5)
    for x, y in zip(
        linear.masked(a, b, holes(5)), linear.masked(a, b, holes(5)[..., 0])
    ):
        assert np.array_equal(keras.ops.convert_to_numpy(x), y)


@pytest.mark.parametrize("way", [None, "blocked", "parallel"])
def test_no_steps_have_no_states(way):
    given = drawn((0, BATCH, UNITS), 0)
    states = linear.linear_recurrence(*given[:3], way=way)
    assert tuple(states.shape) == (0, BATCH, UNITS)


@pytest.mark.parametrize("dtype, digits", [("float16", 2**-11), ("bfloat16", 2**-8)])
def test_half_precision_is_rounded_once(dtype, digits):
    # Long memory: rounded at every step, the sums would stop growing.
    a, b, initial, d = drawn((400, 2, 3), 400, batch=2, units=3)
    a, b, d = 1 - 0.01 * np.abs(a), np.abs(b), np.abs(d) / 100
    initial = np.abs(initial)
    given = [
        keras.ops.convert_to_numpy(
            keras.ops.cast(
                keras.ops.cast(keras.ops.convert_to_tensor(x), dtype), "float64"
            )
        )
        for x in (a, b, initial, d)
    ]

    def run(*x):
        states = linear.linear_recurrence(*(keras.ops.cast(t, dtype) for t in x))
        assert keras.backend.standardize_dtype(states.dtype) == dtype
        return [keras.ops.cast(states, "float64")]

    (states,), found = testing.gradients(run, given[:3], [], given[3:])
    # Half a digit of the result, and little else.
    np.testing.assert_allclose(states, loop(*given[:3]), rtol=1.01 * digits)
    # The states that gradients of `a` are made of were rounded too.
    for x, y in zip(found, loop_gradients(*given), strict=True):
        np.testing.assert_allclose(x, y, rtol=2.02 * digits)


@pytest.mark.parametrize("way", WAYS)
def test_extreme_gates_need_no_logarithms(way):
    """10,000 steps of a minGRU whose gates are open, shut, and anything between."""
    rng = np.random.default_rng(5)
    logits = rng.choice([-100, -30, -17, -8, 0, 8, 17, 30, 100], (10_000, 2, 6))
    # Whole stretches that keep nothing, that keep all, and that forget slowly.
    logits[2000:4000, :, 0], logits[2000:4000, :, 1] = 100, -100
    logits[:, 0, 2], logits[:, 0, 3], logits[:, 0, 4] = -7, -100, 100
    z = 1 / (1 + np.exp(-logits.astype("float64")))
    candidate = rng.normal(size=z.shape)
    given = [1 - z, z * candidate, rng.normal(size=(2, 6)), rng.normal(size=z.shape)]
    given = [x.astype("float32") for x in given]
    states, found = computed(*given, way=way)
    given = [x.astype("float64") for x in given]
    expected = [loop(*given[:3]), *loop_gradients(*given)]
    for x, y in zip([states, *found], expected, strict=True):
        assert x.dtype == "float32" and np.all(np.isfinite(x))
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-5 * np.abs(y).max())


def test_logarithms_would_be_less_exact():
    rng = np.random.default_rng(6)
    logits = rng.choice([-100, -17, -8, 0, 8, 17, 100], (10_000, 2, 6)).astype(float)
    candidate = rng.uniform(0.1, 2, logits.shape)
    initial = rng.uniform(0.1, 1, (2, 6))
    a, z = 1 / (1 + np.exp(logits)), 1 / (1 + np.exp(-logits))
    expected = loop(a, z * candidate, initial)
    direct = linear.linear_recurrence(
        *(x.astype("float32") for x in (a, z * candidate, initial))
    )
    # The parallel form of minGRU, in the same precision.
    log_a, log_z = (-np.logaddexp(0, x).astype("float32") for x in (logits, -logits))
    total = np.cumsum(log_a, 0)
    terms = log_z + np.log(candidate).astype("float32") - total
    first = np.log(initial[None]).astype("float32")
    sums = np.logaddexp.accumulate(np.concatenate([first, terms]), 0)[1:]
    logarithmic = np.exp(total + sums)
    assert keras.backend.standardize_dtype(direct.dtype) == logarithmic.dtype
    errors = [
        np.max(np.abs(keras.ops.convert_to_numpy(x) / expected - 1))
        for x in (direct, logarithmic)
    ]
    assert errors[0] < 1e-5 and errors[1] > 1e-3


@pytest.mark.parametrize("way", WAYS)
def test_inside_of_a_compiled_function(way):
    *inputs, d = drawn((13, BATCH, UNITS), 13)

    def run(*inputs):
        return linear.linear_recurrence(*inputs, way=way)

    if BACKEND == "tensorflow":
        tf = importlib.import_module("tensorflow")

        @tf.function(jit_compile=True)
        def compiled(*inputs):
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                states = run(*inputs)
            return [states, *tape.gradient(states, inputs, output_gradients=d)]

    elif BACKEND == "jax":
        jax = importlib.import_module("jax")

        @jax.jit
        def compiled(*inputs):
            states, pull = jax.vjp(run, *inputs)
            return [states, *pull(d)]

    else:
        torch = importlib.import_module("torch")

        def compiled(*inputs):
            with torch.inference_mode():
                found = run(*map(torch.tensor, inputs))
            return [found, *computed(*inputs, d, way=way)[1]]

    expected = [loop(*inputs), *loop_gradients(*inputs, d)]
    for x, y in zip(compiled(*inputs), expected, strict=True):
        np.testing.assert_allclose(x, y, **EXACT)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="sizes are unknown in a graph")
@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize("way", [None, "sequential"])
def test_sizes_that_are_not_known_beforehand(way, constant):
    tf = importlib.import_module("tensorflow")
    steps = tf.TensorSpec((None, None, UNITS), "float64")
    a = tf.TensorSpec((1, 1, UNITS), "float64") if constant else steps

    @tf.function(
        input_signature=[a, steps, tf.TensorSpec((None, UNITS), "float64"), steps]
    )
    def compiled(a, b, initial, d):
        with tf.GradientTape() as tape:
            tape.watch([a, b, initial])
            states = linear.linear_recurrence(a, b, initial, True, way)
        found = tape.gradient(states, [a, b, initial], output_gradients=d)
        return [states, *found]

    for steps, batch in ((13, 2), (1, 3), (2, 1), (30, 2)):
        shape = (1, 1, UNITS) if constant else (steps, batch, UNITS)
        given = drawn(shape, steps, batch=batch)
        expected = [loop(*given[:3], True), *loop_gradients(*given, True)]
        for x, y in zip(compiled(*given), expected, strict=True):
            np.testing.assert_allclose(x, y, **EXACT)
    given = drawn((1, 1, UNITS) if constant else (0, 2, UNITS), 0, batch=2)
    states, *found = compiled(*given)
    assert states.shape == (0, 2, UNITS)
    assert not np.any(found[0]) and not np.any(found[2])


@pytest.mark.skipif(BACKEND != "tensorflow", reason="sizes are unknown in a graph")
def test_a_number_of_steps_that_the_parallel_way_has_to_know():
    tf = importlib.import_module("tensorflow")
    steps = tf.TensorSpec((None, 2, UNITS))

    @tf.function(input_signature=[steps])
    def call(x):
        return linear.linear_recurrence(x, x, x[0], way="parallel")

    with pytest.raises(ValueError, match="way='parallel'.*way='blocked'"):
        call.get_concrete_function()


@pytest.mark.skipif(BACKEND != "torch", reason="torch tells what autograd holds")
@pytest.mark.parametrize("way", WAYS)
def test_coefficients_and_states_are_all_that_is_kept(way):
    torch = importlib.import_module("torch")
    a, b, initial, d = (torch.tensor(x) for x in drawn((20, BATCH, UNITS), 20))
    for x in (a, b, initial):
        x.requires_grad_()
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda x: kept.append(x.untyped_storage().nbytes()) or x, lambda x: x
    ):
        states = linear.linear_recurrence(a, b, initial, way=way)
    assert sum(kept) == sum(x.untyped_storage().nbytes() for x in (a, states, initial))
    # And none of it is used up.
    first = torch.autograd.grad(states, (a, b, initial), d, retain_graph=True)
    again = torch.autograd.grad(states, (a, b, initial), d)
    assert all(torch.equal(x, y) for x, y in zip(first, again))


@pytest.mark.skipif(BACKEND != "torch", reason="others compile for every size")
def test_all_sizes():
    hypothesis = importlib.import_module("hypothesis")
    st = importlib.import_module("hypothesis.strategies")

    @hypothesis.settings(max_examples=100, deadline=None, derandomize=True)
    @hypothesis.given(
        steps=st.integers(1, 70),
        batch=st.integers(1, 3),
        constant=st.tuples(st.booleans(), st.booleans()),
        reverse=st.booleans(),
        way=st.sampled_from([None, *WAYS]),
        number=st.sampled_from(["real", "complex"]),
        seed=st.integers(0, 99),
    )
    def check(steps, batch, constant, reverse, way, number, seed):
        sizes = [1 if c else n for c, n in zip(constant, (steps, batch))]
        given = drawn((*sizes, 2), steps, seed, number, batch, 2)
        compare(given, reverse, way, rtol=1e-10, atol=1e-11)

    check()


def test_the_way_that_is_taken(monkeypatch):
    taken = []
    for name, way in WAYS.items():

        def noted(*args, name=name, way=way):
            taken.append(name)
            return way(*args)

        monkeypatch.setitem(WAYS, name, noted)
    linear._function.cache_clear()
    for name in WAYS:
        monkeypatch.setattr(backends.current(), "linear_way", lambda *_, n=name: n)
        linear.linear_recurrence(*drawn((5, BATCH, UNITS), 5)[:3])
    linear._function.cache_clear()
    assert taken == list(WAYS)


@pytest.mark.parametrize("jit", [False] if BACKEND == "torch" else [False, True])
def test_in_a_model_for_sequences_of_any_length(jit):
    class Forgetting(keras.layers.Layer):
        """A minGRU without candidate."""

        def build(self, shape):
            self.dense = keras.layers.Dense(shape[-1])
            self.dense.build(shape)

        def call(self, x):
            x = keras.ops.transpose(x, (1, 0, 2))
            z = keras.ops.sigmoid(self.dense(x))
            initial = keras.ops.zeros_like(x[0])
            h = linear.linear_recurrence(1 - z, z * x, initial)
            return keras.ops.transpose(h, (1, 0, 2))

    model = keras.Sequential([keras.Input((None, 3)), Forgetting()])
    assert model.output_shape == (None, None, 3)
    model.compile("sgd", "mse", jit_compile=jit)
    # 30 steps make whole blocks; a batch is smaller than the others.
    for steps in (1, 7, 30):
        x = np.random.default_rng(steps).normal(size=(3, steps, 3)).astype("float32")
        loss = model.fit(x, np.zeros_like(x), batch_size=2, verbose=0).history["loss"]
        kernel, bias = (
            keras.ops.convert_to_numpy(v) for v in model.trainable_variables
        )
        assert np.all(np.isfinite(loss)) and np.any(bias)
        z = 1 / (1 + np.exp(-(x @ kernel + bias)))
        z, x_t = (v.astype("float64").transpose(1, 0, 2) for v in (z, x))
        expected = loop(1 - z, z * x_t, np.zeros((3, 3))).transpose(1, 0, 2)
        found = model.predict(x, verbose=0)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.skipif(BACKEND != "jax", reason="sizes are symbols in JAX alone")
@pytest.mark.parametrize("reverse", [False, True])
def test_an_exported_function_of_any_length(reverse):
    jax = importlib.import_module("jax")
    export = importlib.import_module("jax.export")
    t, b = export.symbolic_shape("t, b")
    sizes = (t, b, UNITS), (t, b, UNITS), (b, UNITS)
    exported = export.export(jax.jit(lambda *x: linear.linear_recurrence(*x, reverse)))(
        *(jax.ShapeDtypeStruct(size, "float64") for size in sizes)
    )
    for steps in (1, 9):
        *given, _ = drawn((steps, BATCH, UNITS), steps)
        found = exported.call(*given)
        np.testing.assert_allclose(found, loop(*given, reverse), **EXACT)


def test_the_way_that_is_chosen():
    way = backends.current().linear_way
    large, small = way(2048, 16, 256), way(1000, 1, 64)
    assert large == "sequential"
    assert small == ("blocked" if BACKEND == "torch" else "sequential")
    if BACKEND == "tensorflow":
        assert way(None, None, 256) == "blocked"


def test_what_cannot_be_computed_is_told():
    a, b, initial, _ = drawn((5, BATCH, UNITS), 5)
    run = linear.linear_recurrence
    for wrong in (
        (a[:4], b, initial),
        (a[:, :2], b, initial),
        (a[..., :1], b, initial),
        (a, b, initial[:1]),
        (a, b, initial[None]),
        (a[0], b, initial),
        (a, b[:1], initial),
    ):
        with pytest.raises(
            ValueError, match=r"must be of shape.*Received shapes: a \("
        ):
            run(*wrong)
    with pytest.raises(ValueError, match="dtypes: a float32, b float64"):
        run(a.astype("float32"), b, initial)
    with pytest.raises(ValueError, match="one floating dtype"):
        run(*(x.astype("int32") for x in (a, b, initial)))
    with pytest.raises(ValueError, match="`way`.*'sequential'.*way='fast'"):
        run(a, b, initial, way="fast")
    with pytest.raises(ValueError, match="`b` must be a pair"):
        linear.complex_linear_recurrence((a, a), b, (initial, initial))
    with pytest.raises(ValueError, match="`a` must be a pair of tensors of one shape"):
        linear.complex_linear_recurrence((a[:1], a), (b, b), (initial, initial))


def test_the_examples_in_docstrings():
    names = {"keras": keras, "keras_rnnx": keras_rnnx, "np": np}
    failed, tried = doctest.testmod(linear, extraglobs=names)
    assert tried and not failed
