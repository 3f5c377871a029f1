"""Cells: each equals its oracle, and a wrong declaration is explained."""

import copy

import catalogue
import keras
import numpy as np
import pytest
from keras import ops
from tensors import numpy, randomize

import keras_rnnx
from keras_rnnx import cells, engine, layers, testing
from keras_rnnx.cells import Cell, Lowering, State

DOUBLE = {"tensorflow": 1e-10, "torch": 1e-10, "jax": 1e-5}[keras.backend.backend()]


def test_every_registered_cell_has_an_oracle():
    ours = {row.name for row in cells.catalog() if row.cls.__module__[:4] == "kera"}
    assert ours == {name for name, _, _ in catalogue.VARIANTS.values()}


def test_which_cells_a_kernel_computes():
    refusing = {
        variant
        for variant in catalogue.VARIANTS
        if isinstance(catalogue.make(variant).lowering(), str)
    }
    assert refusing == set(catalogue.WITHOUT_LOWERING)


def build(variant, rng, dtype="float64", **kwargs):
    layer = layers.RNN(
        catalogue.make(variant, dtype=dtype),
        return_sequences=True,
        return_state=True,
        dtype=dtype,
        **kwargs,
    )
    layer.build((3, 6, 4))
    randomize(layer, rng)
    weights = {v.name: numpy(v).astype("float64") for v in layer.trainable_variables}
    return layer, weights


def data(layer, rng, dtype="float64"):
    x = rng.normal(size=(3, 6, 4)).astype(dtype)
    states = catalogue.first_states(layer, rng, 3, 4)
    return x, [state.astype(dtype) for state in states]


@pytest.mark.cases(10)
@pytest.mark.parametrize("variant", catalogue.VARIANTS)
def test_equals_its_oracle(variant):
    rng = np.random.default_rng(1)
    layer, weights = build(variant, rng, "float32")
    x, states = data(layer, rng, "float32")
    outputs, last = catalogue.VARIANTS[variant][2](x.astype("float64"), weights, states)
    for name in catalogue.engines(variant, layer):
        with engine.force(name):
            found = layer(x, initial_state=states)
        for ours, theirs in zip(found, [outputs, *last], strict=True):
            np.testing.assert_allclose(
                numpy(ours),
                theirs,
                rtol=1e-5,
                atol=1e-5,
                err_msg=name,
            )


@pytest.mark.cases(5)
@pytest.mark.parametrize("variant", catalogue.VARIANTS)
def test_gradient_equals_finite_differences_of_the_oracle(variant):
    rng = np.random.default_rng(2)
    layer, weights = build(variant, rng)
    x, states = data(layer, rng)
    oracle = catalogue.VARIANTS[variant][2]
    variables = layer.trainable_variables
    cotangents = [rng.normal(size=(3, 6, layer.cell.output_size))] + [
        rng.normal(size=state.shape) for state in states
    ]

    def value(x, weights, states):
        outputs, last = oracle(x, weights, states)
        return sum(np.sum(o * c) for o, c in zip([outputs, *last], cotangents))

    names = [v.name for v in variables]
    points = [x, *states, *(weights[n] for n in names)]
    # Along random directions, one for each tensor: every entry takes part.
    directions = [rng.normal(size=point.shape) for point in points]
    for k, name in enumerate(layer.cell.states, 1):
        if layer.cell.state_kinds.get(name) == "count":
            directions[k] = np.zeros_like(points[k])
    n = 1 + len(states)
    expected = []
    for k, direction in enumerate(directions):

        def along(step, k=k, direction=direction):
            moved = list(points)
            moved[k] = points[k] + step * direction
            return value(moved[0], dict(zip(names, moved[n:])), moved[1:n])

        expected.append((along(1e-5) - along(-1e-5)) / 2e-5)
    tolerance = 1e-6 if DOUBLE < 1e-9 else 1e-4
    for engine_name in catalogue.engines(variant, layer):
        with engine.force(engine_name):
            _, found = testing.gradients(
                lambda x, *s: list(layer(x, initial_state=list(s), training=True)),
                [x, *states],
                variables,
                cotangents,
            )
        for gradient, direction, slope in zip(found, directions, expected, strict=True):
            assert abs(np.sum(gradient * direction) - slope) <= tolerance * max(
                1, abs(slope)
            ), engine_name


@pytest.mark.cases(2)
@pytest.mark.slow
def test_conforms(conforming, request):
    cases = catalogue.cases(conforming, request.config.getoption("everything"))
    report = testing.check_cell(catalogue.make(conforming), cases=cases)
    layer = layers.RNN(catalogue.make(conforming))
    assert list(report.engines) == catalogue.engines(conforming, layer)
    # The loop runs every case, and a kernel all that it does not refuse.
    for name in set(report.engines) - {"step"}:
        for case in cases:
            plain = case.dtype in ("float32", "float64") and not case.arguments
            scans = name != "scan" or case.checkpoint is None
            if name == "fused" or (plain and not case.unroll and scans):
                assert f"{name} equals step: {case.name}" in report.passed


def test_swapped_gates_are_noticed():
    class SwappedLSTMCell(cells.LSTMCell):
        gates = ("f", "i", "c", "o")

    rng = np.random.default_rng(3)
    layer, weights = build("lstm", rng, "float32")
    swapped = layers.RNN(SwappedLSTMCell(7), return_sequences=True)
    swapped.build((3, 6, 4))
    swapped.set_weights(layer.get_weights())
    x, states = data(layer, rng, "float32")
    outputs, _ = catalogue.VARIANTS["lstm"][2](x, weights, states)
    found = numpy(swapped(x, initial_state=states))
    assert np.max(np.abs(found - outputs)) > 0.01


def test_a_cell_whose_gradient_is_wrong_does_not_conform():
    class Hidden(Cell):
        states = ("h",)
        gates = ("h",)

        def update(self, state, gate):
            # A function of the gate that one engine is told apart from the other.
            forced = engine.plan(self.layer).engine == "fused"
            return State(h=keras.ops.tanh(gate.h * (1.001 if forced else 1.0)))

    cell = Hidden(7)
    Hidden.layer = layers.RNN(cells.SimpleRNNCell(1))
    with pytest.raises(AssertionError, match="Hidden: the fused engine differs"):
        testing.check_cell(cell)


@pytest.mark.any_backend
@pytest.mark.parametrize("variant", catalogue.VARIANTS)
def test_linear_outputs_are_declared(variant):
    """Outputs of a sum of inputs are the sum of outputs in these cells alone."""
    rng = np.random.default_rng(3)
    layer, weights = build(variant, rng)
    x, states = data(layer, rng)
    oracle = catalogue.VARIANTS[variant][2]
    start, one, other, both = (
        oracle(inputs, weights, states)[0]
        for inputs in (0 * x, x, x[::-1], x + x[::-1])
    )
    linear = np.allclose(both - start, one - start + other - start, atol=1e-9)
    assert linear == layer.cell.linear_outputs


@pytest.mark.any_backend
def test_an_unused_gate_does_not_conform():
    class Idle(Cell):
        states = ("h",)
        gates = ("h", "idle")

        def update(self, state, gate):
            return State(h=keras.ops.tanh(gate.h))

    with pytest.raises(AssertionError, match="gate 'idle' has no influence"):
        testing.check_cell(Idle(7))


def declare(**body):
    body.setdefault("update", lambda self, state, gate: state)
    return type("WrongCell", (Cell,), body)


@pytest.mark.parametrize(
    "body, message",
    [
        ({"gates": ("h",)}, r"`states` is missing; write states = \(\"h\",\)"),
        ({"states": "h", "gates": ("h",)}, "is the string 'h'; write a tuple"),
        ({"states": ("h",), "gates": ()}, "`gates` must be a tuple"),
        ({"states": ("h", "h"), "gates": ("h",)}, "holds a name twice"),
        (
            {"states": ("h",), "gates": ("h",), "feedback_gate": "c"},
            "`feedback_gate` is 'c', which is not in `gates`",
        ),
        (
            {"states": ("h",), "gates": ("h",), "recipes": "irnn"},
            "`recipes` must be a tuple",
        ),
        (
            {"states": ("h",), "gates": ("h",), "zoned": ("c",)},
            "`zoned` names 'c', which is not in `states`",
        ),
        (
            {"states": ("h",), "gates": ("h",), "vectors": {"kernel": "zeros"}},
            "`vectors` has 'kernel', which a cell has already",
        ),
        (
            {"states": ("h",), "gates": ("h",), "options": {"coefficients": 1}},
            "`options` has 'coefficients', which",
        ),
        ({"states": ("h",), "gates": ("1",)}, "'1', which is not a name"),
        ({"states": ("h",), "gates": ("x",)}, "`gate.x` is the input part"),
        ({"states": ("h",), "gates": ("h",), "split": ("z",)}, "not in `gates`"),
        (
            {"states": ("h",), "gates": ("h",), "split": ("h",), "late": ("h",)},
            "both `split` and `late`",
        ),
        ({"states": ("h",), "gate": ("h",)}, "did you write `gate` instead"),
        (
            {
                "states": ("h",),
                "gates": ("h", "z"),
                "biases": ("h",),
                "memory_gates": {"z": 1},
            },
            "`memory_gates` names 'z', which has no bias",
        ),
        (
            {"states": ("h",), "gates": ("h",), "vectors": {"p": "zeros"}},
            r"must be def update\(self, state, gate, vector\).*declares `vectors`",
        ),
        (
            {"states": ("h",), "gates": ("h",), "update": lambda self, state: state},
            r"must be def update\(self, state, gate\)",
        ),
    ],
)
def test_a_wrong_declaration_is_explained_when_the_class_is_made(body, message):
    with pytest.raises(TypeError, match=message):
        declare(**body)


def test_a_missing_equation_is_explained():
    with pytest.raises(TypeError, match="the equation is missing"):
        type("WrongCell", (Cell,), {"states": ("h",), "gates": ("h",)})


@pytest.mark.parametrize(
    "update, error, message",
    [
        (lambda self, state, gate: gate.h, TypeError, r"must return State\(h=...\)"),
        (lambda self, state, gate: State(c=gate.h), TypeError, r"returned \['c'\]"),
        (
            lambda self, state, gate: State(h=keras.ops.sum(gate.h, -1)),
            ValueError,
            "must keep the shape",
        ),
        (lambda self, state, gate: State(h=gate.z), AttributeError, "no gate 'z'"),
        (
            lambda self, state, gate: State(h=gate.h + state.c),
            AttributeError,
            r"no state 'c': it has \['h'\]. Name all states in `states`",
        ),
        (
            lambda self, state, gate: State(h=gate.x.h + gate.u.h),
            AttributeError,
            r"gate\.x\.h was read, .* as one sum, gate\.h\. .* name it in `split`",
        ),
        (
            lambda self, state, gate: State(h=gate.u.z),
            AttributeError,
            r"gate\.u\.z was read, but the cell has no such part: gate\.u has \[\]",
        ),
        (
            lambda self, state, gate: State(h=gate.h if gate.h > 0 else state.h),
            TypeError,
            r"asks for the value of a tensor .* keras\.ops\.where\(condition, a, b\)",
        ),
        (
            lambda self, state, gate: State(h=gate.h * self.kernel[0, 0]),
            ValueError,
            r"reads the weights \['kernel'\] directly",
        ),
    ],
)
def test_a_wrong_equation_is_explained_when_the_cell_is_built(update, error, message):
    for units in (1, 3):
        cell = declare(states=("h",), gates=("h",), update=update)(units)
        with pytest.raises(error, match=message):
            cell.build((2, 4))


def test_vectors_are_declared():
    def update(self, state, gate, vector):
        return State(h=gate.h * vector.size)

    declared = {"states": ("h",), "gates": ("h",), "update": update}
    message = r"must be def update\(self, state, gate\)\. .* vectors = \{\"peephole\""
    with pytest.raises(TypeError, match=message):
        declare(**declared)
    cell = declare(**declared, vectors={"scale": "ones"})(3)
    message = r"no vector 'size': it has \['scale'\]. .* as \{\"size\": \"zeros\"\}"
    with pytest.raises(AttributeError, match=message):
        cell.build((2, 4))


def test_an_if_is_explained_in_a_model():
    def update(self, state, gate):
        return State(h=gate.h if gate.h > 0 else state.h)

    cell = declare(states=("h",), gates=("h",), update=update)(1)
    model = keras.Sequential([keras_rnnx.layers.RNN(cell)])
    with pytest.raises(TypeError, match=r"keras\.ops\.where\(condition, a, b\)"):
        model.predict(np.ones((2, 3, 4), "float32"), verbose=0)


def test_a_lowering_that_no_gradient_would_reach_is_refused():
    def lowering(self):
        return Lowering(
            "rnn_tanh", lambda w: {"h": w.h * ops.convert_to_tensor(self.size)}
        )

    def build_vector(self, name):
        self.size = self.add_weight(shape=(self.units,), name="size")

    def update(self, state, gate, vector):
        return State(h=ops.tanh(vector.size * gate.h))

    declared = {"states": ("h",), "gates": ("h",), "vectors": {"size": "ones"}}
    methods = {"build_vector": build_vector, "update": update, "lowering": lowering}
    cell = declare(**declared, **methods)(3)
    with pytest.raises(ValueError, match=r"lowering .* weights \['size'\] directly"):
        cell.build((2, 4))


def test_a_split_gate_has_no_sum():
    def update(self, state, gate):
        return State(h=gate.h)

    cell = declare(states=("h",), gates=("h",), split=("h",), update=update)(3)
    with pytest.raises(AttributeError, match=r"read gate\.x\.h and gate\.u\.h"):
        cell.build((2, 4))


def test_names_in_the_catalogue():
    assert keras_rnnx.cells.registry.cell_name(cells.LSTMCell) == "lstm"
    for class_name, name in [
        ("LeakyRNNCell", "leaky_rnn"),
        ("MinGRUCell", "min_gru"),
        ("FastGRNNCell", "fast_grnn"),
        ("MGU2Cell", "mgu2"),
    ]:
        made = type(class_name, (), {})
        assert keras_rnnx.cells.registry.cell_name(made) == name


def test_catalogue_rows():
    rows = {row.name: row for row in cells.catalog()}
    assert rows["lstm"].cls is cells.LSTMCell
    assert rows["lstm"].year == 1997
    assert rows["gru"].gates == ("z", "r", "h")
    assert rows["leaky_rnn"].paper.startswith("Jaeger")


@pytest.mark.parametrize("info", cells.catalog(), ids=lambda info: info.name)
def test_a_cell_is_found_as_its_class_and_its_layer_are_called(info):
    name = info.cls.__name__
    for spelled in (info.name, name, name.removesuffix("Cell")):
        assert cells.registry.catalog_name(spelled) == info.name
        assert cells.registry.lookup(spelled) is info.cls


def test_a_class_name_that_two_cells_have_is_none_of_them(monkeypatch):
    monkeypatch.setattr(cells.registry, "_CELLS", dict(cells.registry._CELLS))
    made = [declare(states=("h",), gates=("h",)) for _ in range(2)]
    cells.register(made[0], name="mine", package="one")
    called = made[0].__name__
    assert cells.registry.catalog_name(called) == "mine"
    cells.register(made[0], name="mine_too", package="one")
    assert cells.registry.catalog_name(called) == "mine"
    cells.register(made[1], name="theirs", package="two")
    with pytest.raises(ValueError, match="Valid names: mine, theirs"):
        cells.registry.catalog_name(called)


def test_a_name_is_registered_once():
    with pytest.raises(ValueError, match="LSTMCell holds that name"):
        cells.register(declare(states=("h",), gates=("h",)), name="lstm")


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: cells.get("lstn", units=3), "Unknown cell.*Did you mean 'lstm'"),
        (lambda: cells.LSTMCell(0), "`units`, expected a positive integer, got 0"),
        (lambda: cells.LSTMCell(2.5), "got 2.5"),
        (lambda: cells.LSTMCell(3, dropout=1.0), r"rate in \[0, 1\), got 1.0"),
        (lambda: cells.GRUCell(3, recurrent_dropout=-0.1), "got -0.1"),
        (lambda: cells.LSTMCell(3, droput=0.1), "no argument 'droput'.*'dropout'"),
        (lambda: cells.LeakyRNNCell(3, leak=0.0), r"in \(0, 1\], received 0.0"),
        (lambda: cells.LeakyRNNCell(3, leak=[0.1, 0.2]), "units=3 rates"),
        (
            lambda: cells.LeakyRNNCell(3, leak=1.0, leak_trainable=True),
            r"in \(0, 1\), received 1.0",
        ),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_learned_leak_rates_start_where_told_and_stay_inside():
    cell = cells.LeakyRNNCell(3, leak=[0.1, 0.5, 0.9], leak_trainable=True)
    cell.build((2, 4))
    leak = numpy(cell.coefficients()["leak"])
    np.testing.assert_allclose(leak, [0.1, 0.5, 0.9], rtol=1e-6)
    cell.leak_logit.assign([-20.0, 0.0, 20.0])
    leak = numpy(cell.coefficients()["leak"])
    assert np.all((leak >= 0) & (leak <= 1))


def test_an_exponential_gate_that_underflows_at_the_first_step():
    layer = layers.RNN(cells.SLSTMCell(1, use_bias=False), return_state=True)
    layer.build((1, 1, 1))
    layer.cell.kernel.assign([[100.0, 1.0, 0.5, 2.0]])
    # The state is what was stored, whatever its weight: there was nothing else.
    for x in (-2.0, -0.2, 2.0):
        h = numpy(layer(np.full((1, 1, 1), x, "float32"))[0])
        np.testing.assert_allclose(h, np.tanh(x / 2) / (1 + np.exp(-2 * x)), rtol=1e-5)
    # exp(-300) against exp(-200): nothing of the second is seen.
    _, _, c, n, m = layer(np.array([[[-2.0], [-3.0]]], "float32"))
    states = [numpy(s).item() for s in (c, n, m)]
    expected = [np.tanh(-1), 1, -200 + np.log(1 / (1 + np.exp(3)))]
    np.testing.assert_allclose(states, expected, rtol=1e-5)


def test_gates_that_both_underflow_still_weigh_the_old_against_the_new():
    layer = layers.MinLSTM(1, activation="linear", return_state=True)
    layer.build((1, 1, 1))
    for f, i in ((-200.0, -200.0), (-201.0, -199.0), (-199.0, -201.0)):
        layer.set_weights([np.array([[0.0, 0.0, 1.0]]), np.array([f, i, 0.0])])
        h = layer(np.full((1, 1, 1), 3.0, "float32"), initial_state=np.ones((1, 1)))[0]
        keep = 1 / (1 + np.exp(i - f))
        expected = keep + (1 - keep) * 3
        np.testing.assert_allclose(numpy(h), expected, rtol=1e-5)


def test_a_step_in_training_without_a_sequence_is_refused():
    cell = cells.LSTMCell(3, dropout=0.5)
    x = np.ones((2, 4), "float32")
    states = cell.get_initial_state(2)
    cell.build((2, 4))
    with pytest.raises(ValueError, match="keras_rnnx.layers.RNN"):
        cell(x, states, training=True)
    with cell.masks(2):
        first, _ = cell(x, states, training=True)
        again, _ = cell(x, states, training=True)
    np.testing.assert_array_equal(numpy(first), numpy(again))


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16", "float32"])
def test_a_clockwork_keeps_time_over_long_sequences(dtype):
    periods, steps = (1, 6, 100, 256), 600
    cell = cells.ClockworkRNNCell(4, "linear", periods=periods, dtype=dtype)
    layer = layers.RNN(cell, return_sequences=True, dtype=dtype)
    # Whole numbers that half precision holds, and of no period.
    x = (np.arange(steps) % 11).astype("float32")
    layer.build((1, steps, 1))
    cell.kernel.assign(np.ones((1, 4)))
    cell.recurrent_kernel.assign(np.zeros((4, 4)))
    last = [x[np.arange(steps) // period * period] for period in periods]
    found = numpy(ops.cast(layer(x[None, :, None]), "float32"))
    np.testing.assert_array_equal(found[0], np.stack(last, axis=-1))


@pytest.mark.parametrize(
    "dtype, period", [("mixed_bfloat16", 257), ("mixed_float16", 2049)]
)
def test_periods_that_a_dtype_cannot_count_are_refused(dtype, period):
    cell = cells.ClockworkRNNCell(4, periods=(1, period), dtype=dtype)
    with pytest.raises(ValueError, match=f"whole numbers up to {period - 1}"):
        cell.build((None, 3))
    cells.ClockworkRNNCell(4, periods=(1, period)).build((None, 3))


@pytest.mark.parametrize("seed", [-1, True, 1.5, "one"])
def test_a_seed_is_an_integer(seed):
    for make in (cells.GRUCell, layers.GRU):
        with pytest.raises(ValueError, match="`seed` must be an integer"):
            make(3, seed=seed)


def test_configs_of_cells_can_be_copied():
    cell = cells.LeakyRNNCell(2, leak=[0.1, 0.2])
    config = copy.deepcopy(cell.get_config())
    assert cells.LeakyRNNCell.from_config(config).leak == [0.1, 0.2]
