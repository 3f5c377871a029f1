"""States of widths of their own: the LSTM with a projection, and cells of users."""

import catalogue
import keras
import methods
import numpy as np
import oracles
import pytest
from keras import ops
from tensors import all_close, numpy, randomize

import keras_rnnx
from keras_rnnx import (
    cells,
    constraints,
    engine,
    explain,
    initializers,
    layers,
    models,
    regularizers,
    testing,
)
from keras_rnnx.cells import Cell, State
from keras_rnnx.inspection.expected_engine import expected

BACKEND = keras.backend.backend()
BATCH, STEPS, FEATURES, UNITS, WIDTH = 4, 6, 3, 5, 2
MASK = np.array(
    [[0, 1, 1, 0, 1, 0], [1, 0, 0, 1, 1, 1], [0] * 6, [0, 0, 0, 0, 0, 1]], bool
)


def random(*shape, seed=1, dtype="float32"):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def drawn(layer, shape=(BATCH, STEPS, FEATURES)):
    """The layer, with random weights."""
    layer.build(shape)
    randomize(layer)
    return layer


def by_oracle(x, cell, states=None):
    weights = {v.name: numpy(v) for v in cell.trainable_variables}
    if states is None:
        states = [np.zeros((len(x), n)) for n in cell.state_size]
    return oracles.lstmp(x, weights, states)


@pytest.mark.parametrize("width", [None, 3, 5, 9])
def test_widths(width):
    layer = layers.LSTMP(UNITS, projection_units=width, return_state=True)
    width = 2 if width is None else width
    layer.build((None, STEPS, FEATURES))
    cell = layer.cell
    assert cell.state_size == [width, UNITS] and cell.output_size == width
    assert {v.name: tuple(v.shape) for v in layer.weights} == {
        "kernel": (FEATURES, 4 * UNITS),
        "recurrent_kernel": (width, 4 * UNITS),
        "projection_kernel": (UNITS, width),
        "bias": (4 * UNITS,),
    }
    shapes = [(BATCH, width), (BATCH, width), (BATCH, UNITS)]
    found = layer.compute_output_shape((BATCH, STEPS, FEATURES))
    assert [tuple(s) for s in found] == shapes
    results = layer(random(BATCH, STEPS, FEATURES))
    assert [tuple(r.shape) for r in results] == shapes
    assert [tuple(s.shape) for s in cell.get_initial_state(BATCH)] == shapes[1:]


def test_a_single_unit_has_an_output():
    assert cells.LSTMPCell(1).state_size == [1, 1]


@pytest.mark.parametrize("width", [0, -1, 2.5, True, "4"])
def test_widths_that_are_none(width):
    with pytest.raises(ValueError, match="`projection_units` must be an integer"):
        layers.LSTMP(UNITS, projection_units=width)


def test_with_the_identity_it_is_an_lstm():
    plain = drawn(layers.LSTM(UNITS, return_state=True))
    layer = layers.LSTMP(UNITS, projection_units=UNITS, return_state=True)
    layer.build((BATCH, STEPS, FEATURES))
    for variable in plain.weights:
        getattr(layer.cell, variable.name).assign(variable)
    layer.cell.projection_kernel.assign(np.eye(UNITS))
    x = random(BATCH, STEPS, FEATURES)
    all_close(layer(x, mask=MASK), plain(x, mask=MASK))


def test_what_a_kernel_does_not_project():
    def reason(**arguments):
        (row,) = explain(drawn(layers.LSTMP(UNITS, **arguments)))
        return row.engine, row.reason

    engine_name, told = reason()
    if BACKEND == "torch":
        assert (engine_name, told) == ("native", "exact")
        told = reason(projection_units=UNITS)[1]
        assert told == (
            "the kernels project to less than units=5, but projection_units=5"
        )
        assert "projection_units=7" in reason(projection_units=7)[1]
        assert "activation='relu'" in reason(activation="relu")[1]
        assert "recurrent_dropout=0.5" in reason(recurrent_dropout=0.5)[1]
        assert reason(weight_dropout=0.5)[0] == "native"
    else:
        assert engine_name == "fused"


def test_what_it_gets_elsewhere():
    cell = cells.LSTMPCell(UNITS)
    assert expected(cell, "torch", "GPU") == ("cudnn", "exact")
    assert expected(cell, "torch", "CPU") == ("native", "exact")
    assert "JAX has cuDNN's LSTM alone" in expected(cell, "JAX", "GPU").reason
    told = expected(cell, "TensorFlow", "GPU")
    assert told.engine == "fused" and "takes the projection" in told.reason


@pytest.mark.skipif(BACKEND != "torch", reason="torch alone has the kernel")
@pytest.mark.parametrize("bidirectional", [False, True])
def test_it_is_the_lstm_of_torch(bidirectional, monkeypatch):
    """A module with the weights of a stack; which is one call of the kernel."""
    import kernels
    import torch

    calls = kernels.installed(monkeypatch)
    stack = layers.Stack(
        "lstmp",
        UNITS,
        projection_units=WIDTH,
        depth=2,
        bidirectional=bidirectional,
        return_sequences=True,
        return_state=True,
    )
    drawn(stack)
    module = torch.nn.LSTM(
        FEATURES,
        UNITS,
        num_layers=2,
        proj_size=WIDTH,
        batch_first=True,
        bidirectional=bidirectional,
    )
    for n, rnn in enumerate(stack.layers):
        level, back = divmod(n, 1 + bidirectional)
        suffix = f"_l{level}" + "_reverse" * back
        cell = rnn.cell
        for name, value in [
            ("weight_ih", cell.kernel.value.T),
            ("weight_hh", cell.recurrent_kernel.value.T),
            ("weight_hr", cell.projection_kernel.value.T),
            ("bias_ih", cell.bias.value),
            ("bias_hh", 0 * cell.bias.value),
        ]:
            getattr(module, name + suffix).data = value.detach().clone()
    x = torch.tensor(random(BATCH, STEPS, FEATURES))
    outputs, (h, c) = module(x)
    with engine.force("native", at_once=True):
        found = stack(x)
    assert calls == [2 * (1 + bidirectional)]
    last = [state[n] for n in range(len(h)) for state in (h, c)]
    all_close(found, [outputs.detach(), *(state.detach() for state in last)])


@pytest.mark.skipif(BACKEND != "torch", reason="torch alone has the kernel")
@pytest.mark.parametrize("mask", [None, MASK], ids=["all", "holes"])
def test_a_stack_in_one_call_is_its_layers(mask):
    stack = layers.Stack("lstmp", UNITS, depth=3, return_state=True)
    drawn(stack)
    x = random(BATCH, STEPS, FEATURES)
    with engine.force("step"):
        wanted = stack(x, mask=mask)
    with engine.force("native", at_once=True):
        all_close(stack(x, mask=mask), wanted)


def test_a_stack_reads_the_projected_outputs():
    stack = layers.Stack(
        "lstmp", [6, 4], projection_units=3, return_sequences=True, return_state=True
    )
    drawn(stack)
    assert tuple(stack.layers[1].cell.kernel.shape) == (3, 16)
    assert stack.state_size == [3, 6, 3, 4] and stack.output_size == 3
    x, states = random(BATCH, STEPS, FEATURES), [random(BATCH, n) for n in (3, 6, 3, 4)]
    first, last = by_oracle(x, stack.layers[0].cell, states[:2])
    second, more = by_oracle(first, stack.layers[1].cell, states[2:])
    all_close(stack(x, initial_state=states), [second, *last, *more])
    shape = stack.compute_output_shape(x.shape)
    assert [tuple(s)[-1] for s in shape] == [3, 3, 6, 3, 4]


def test_connections_ask_for_the_widths_of_outputs():
    stack = layers.Stack("lstmp", [6, 4], projection_units=3, connection="residual")
    assert tuple(stack(random(BATCH, STEPS, FEATURES)).shape) == (BATCH, 3)
    with pytest.raises(ValueError, match=r"units=\[6, 4\], with outputs of the widths"):
        layers.Stack("lstmp", [6, 4], connection="residual")


@pytest.mark.parametrize("merge_mode", ["concat", "sum"])
def test_in_both_directions(merge_mode):
    layer = layers.LSTMP(UNITS, return_sequences=True)
    both = keras.layers.Bidirectional(layer, merge_mode=merge_mode)
    drawn(both)
    x = random(BATCH, STEPS, FEATURES)
    forward, _ = by_oracle(x, both.forward_layer.cell)
    backward, _ = by_oracle(x[:, ::-1], both.backward_layer.cell)
    backward = backward[:, ::-1]
    wanted = forward + backward
    if merge_mode == "concat":
        wanted = np.concatenate([forward, backward], -1)
    all_close(both(x), wanted)
    assert both.compute_output_shape(x.shape)[-1] == wanted.shape[-1]


def test_learned_and_noisy_and_kept_initial_states():
    layer = layers.LSTMP(
        UNITS,
        return_state=True,
        initial_state_trainable=True,
        initial_state_initializer="random_normal",
        initial_state_noise=0.1,
    )
    x = random(BATCH, STEPS, FEATURES)
    layer(x, training=True)
    weights = {w.name: numpy(w) for w in layer.weights}
    first = [weights[f"initial_state_{state}"] for state in "rc"]
    assert [w.shape for w in first] == [(WIDTH,), (UNITS,)]
    states = [np.tile(w, (BATCH, 1)) for w in first]
    outputs, last = by_oracle(x, layer.cell, states)
    all_close(layer(x), [outputs[:, -1], *last])
    kept = layers.LSTMP(UNITS, stateful=True, return_sequences=True)
    kept.build(x.shape)
    found = [kept(x[:, :2]), kept(x[:, 2:])]
    all_close(ops.concatenate(found, 1), by_oracle(x, kept.cell)[0])
    all_close(kept.states, by_oracle(x, kept.cell)[1])


def test_masks_are_as_wide_as_what_they_are_for():
    cell = cells.LSTMPCell(
        UNITS,
        recurrent_dropout=0.5,
        update_dropout=0.5,
        weight_dropout=0.5,
        zoneout=[0.1, 0.2],
    )
    cell.build((None, FEATURES))
    drawn = methods.by_name(cell.random_masks.draw(BATCH, STEPS))
    shapes = {k: tuple(mask.shape) for k, mask in drawn.items()}
    assert shapes == {
        "recurrent": (BATCH, WIDTH),
        "update": (BATCH, UNITS),
        "recurrent_kernel": (WIDTH, 4 * UNITS),
        "zoneout r": (BATCH, STEPS, WIDTH),
        "zoneout c": (BATCH, STEPS, UNITS),
    }


@pytest.mark.any_backend
def test_what_is_said_of_the_projection_holds(tmp_path):
    layer = layers.LSTMP(
        UNITS,
        projection_units=3,
        projection_initializer="ones",
        projection_regularizer=keras.regularizers.L2(0.5),
        projection_constraint="non_neg",
    )
    model = keras.Sequential([keras.Input((STEPS, FEATURES)), layer])
    kernel = layer.cell.projection_kernel
    all_close(layer.losses, [0.5 * UNITS * 3])
    kernel.assign(random(UNITS, 3))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    x = random(BATCH, STEPS, FEATURES)
    all_close(loaded(x), model(x))
    config = loaded.layers[0].get_config()
    assert config == layer.get_config() and config["projection_units"] == 3
    model.compile("sgd", "mse")
    model.fit(x, random(BATCH, 3), epochs=1, verbose=0)
    assert numpy(kernel).min() >= 0 and not np.any(numpy(kernel) == 1)


@pytest.mark.parametrize(
    "argument, value",
    [
        ("recurrent_initializer", initializers.IdentityRecurrent()),
        ("recurrent_initializer", initializers.SpectralRadius()),
        ("recurrent_constraint", constraints.Orthogonal()),
        ("recurrent_regularizer", regularizers.SoftOrthogonal()),
    ],
)
def test_what_is_for_square_matrices(argument, value):
    shape = (None, STEPS, FEATURES)
    with pytest.raises(ValueError, match=r"square matrices.*have the shape \(2, 4\)"):
        layers.LSTMP(4, **{argument: value}).build(shape)
    layers.LSTMP(4, projection_units=4, **{argument: value}).build(shape)
    with pytest.raises(ValueError, match="projection_kernel"):
        prefix, kind = argument.split("_")
        layers.LSTMP(4, **{f"projection_{kind}": value}).build(shape)


def test_gates_apart():
    apart = initializers.PerGate({"i": "zeros", "default": "orthogonal"})
    layer = layers.LSTMP(6, recurrent_initializer=apart)
    layer.build((None, STEPS, FEATURES))
    blocks = np.split(numpy(layer.cell.recurrent_kernel), 4, -1)
    all_close(blocks[0], np.zeros((3, 6)))
    for block in blocks[1:]:
        all_close(block @ block.T, np.eye(3))
    with pytest.raises(ValueError, match="in its recurrent_kernel"):
        wrong = initializers.PerGate({"r": "zeros", "default": "zeros"})
        layers.LSTMP(6, recurrent_initializer=wrong).build((None, STEPS, FEATURES))


def test_scores_tied_to_words_ask_for_the_width():
    small = {"embedding": 4, "units": 6, "depth": 2, "weight_dropout": 0.2}
    with pytest.raises(ValueError, match="embedding=4, .* are 2 wide"):
        models.awd_lstm(20, cell="lstmp", **small)
    model = models.awd_lstm(20, cell="lstmp", batch_size=2, projection_units=4, **small)
    assert tuple(model(np.ones((2, 7), "int32")).shape) == (2, 7, 20)


class ProjectedPoolCell(Cell):
    """Linear in `c`, with an output of its own width."""

    states = ("r", "c")
    gates = ("z", "f", "o", "r")
    inputs_only = ("z", "f", "o")
    late = states_only = projection = ("r",)
    linear = ("c",)
    options = {"width": 3}

    def configure(self):
        self.state_units = {"r": self.width}

    def update(self, state, gate):
        f = ops.sigmoid(gate.f)
        c = f * state.c + (1 - f) * ops.tanh(gate.z)
        return State(r=gate.u.r(ops.sigmoid(gate.o) * c), c=c)


class DelayCell(Cell):
    """Remembers the outputs of two steps, side by side."""

    states = ("h", "line")
    gates = ("h",)

    def configure(self):
        self.state_units = {"line": 2 * self.units}

    def update(self, state, gate):
        h = ops.tanh(gate.h + 0.5 * state.line[..., self.units :])
        line = ops.concatenate([state.h, state.line[..., : self.units]], axis=-1)
        return State(h=h, line=line)


@pytest.mark.any_backend
@pytest.mark.slow
def test_a_linear_cell_with_a_projection_conforms(request):
    cases = catalogue.cases(everything=request.config.getoption("everything"))
    report = testing.check_cell(ProjectedPoolCell(4), cases=cases)
    assert report.engines == ("scan", "fused", "step")


@pytest.mark.skipif(BACKEND != "torch", reason="a loop of one kind, and a minute long")
@pytest.mark.slow
def test_a_cell_with_a_wide_state_conforms():
    report = testing.check_cell(DelayCell(3))
    assert report.engines == ("fused", "step")


def test_a_delay_is_one():
    layer = drawn(layers.RNN(DelayCell(2), return_sequences=True))
    x = random(BATCH, STEPS, FEATURES)
    w, u, b = (numpy(v) for v in layer.weights)
    h, found = [np.zeros((BATCH, 2))] * 4, []
    for t in range(STEPS):
        # The line holds the states before the last step and before that one.
        h.append(np.tanh(x[:, t] @ w + h[-1] @ u + b + 0.5 * h[-3]))
        found.append(h[-1])
    all_close(layer(x), np.stack(found, 1))


def declare(**body):
    body = {"states": ("r",), "gates": ("a", "r"), **body}
    body.setdefault("update", lambda self, state, gate: State(r=gate.u.r(gate.a)))
    return type("WrongCell", (Cell,), body)


@pytest.mark.parametrize(
    "body, message",
    [
        ({"projection": ("r",)}, "name them in `late` and in `states_only` too"),
        ({"projection": ("q",)}, "names 'q', which is not in `gates`"),
        ({"state_units": ("r",)}, "`state_units` must map states to widths"),
        ({"state_units": {"q": 3}}, "names 'q', which is not in `states`"),
        (
            {
                **dict.fromkeys(("projection", "late", "states_only"), ("r",)),
                "biases": ("a", "r"),
            },
            "`biases` are of width `units`, and `projection` has none",
        ),
    ],
)
def test_a_wrong_declaration_is_explained(body, message):
    with pytest.raises(TypeError, match=message):
        declare(**body)


PROJECTED = dict.fromkeys(("projection", "late", "states_only"), ("r",))


def test_a_wrong_width_is_explained():
    with pytest.raises(ValueError, match=r"state_units\['r'\]`, expected a positive"):
        declare(**PROJECTED, state_units={"r": 0})(4)
    with pytest.raises(ValueError, match=r"linear.*must be of\s+width units=4"):
        declare(
            gates=("r",),
            inputs_only=("r",),
            linear=("r",),
            state_units={"r": 3},
            update=lambda self, state, gate: State(r=gate.r),
        )(4)
    cell = declare(
        **PROJECTED,
        state_units={"r": 3},
        update=lambda self, state, gate: State(r=gate.u.r(state.r)),
    )(4)
    with pytest.raises(
        ValueError, match=r"shape \(2, 3\).* multiplies one of the shape \(2, 4\)"
    ):
        cell.build((None, 2))
    cell = declare(
        **PROJECTED,
        state_units={"r": 3},
        update=lambda self, state, gate: State(r=gate.a),
    )(4)
    with pytest.raises(ValueError, match=r"'r' came back as \(2, 4\) for \(2, 3\)"):
        cell.build((None, 2))


def test_it_is_in_the_catalogue():
    assert keras_rnnx.cells.get("lstmp", units=8).state_size == [4, 8]
    assert cells.registry.cell_name(cells.LSTMPCell) == "lstmp"
