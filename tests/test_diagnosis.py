"""keras_rnnx.diagnose: each measure is what a computation by hand gives."""

import keras
import numpy as np
import pytest
from examined import (
    data,
    lstm_gradients,
    lstm_steps,
    mean_norms,
    randomize,
    recorded,
    simple_gradients,
    simple_states,
)

import keras_rnnx
from keras_rnnx import layers
from keras_rnnx.callbacks.gradients import gradients_of_batches
from keras_rnnx.diagnosis import _derivatives, _measures

NEAR = {"rtol": 2e-4, "atol": 1e-6}


def of_last(layer, outputs=2, steps=6, features=3):
    """A model that answers once, with weights that are all different."""
    made = [keras.Input((steps, features)), layer, keras.layers.Dense(outputs)]
    model = keras.Sequential(made)
    model.compile("sgd", "mse")
    randomize(model)
    return model


def of_steps(*layers, steps=6, features=3):
    """A model with an answer for each step."""
    made = [keras.Input((steps, features)), *layers, keras.layers.Dense(2)]
    model = keras.Sequential(made)
    model.compile("sgd", "mse")
    randomize(model)
    return model


def gradients(model, x, y, name="rnn", **options):
    report = keras_rnnx.diagnose(model, x, y, measures="gradients", **options)
    return report.layers[name].gradients


# --- gradients ---


@pytest.mark.parametrize("kind", [layers.SimpleRNN, keras.layers.SimpleRNN])
def test_gradients_by_lag_of_a_simple_network(kind):
    model, (x, y) = of_last(kind(4, name="rnn")), data()
    kernel, recurrent, bias, top, offset = model.get_weights()
    states = simple_states(x, kernel, recurrent, bias)
    direct = np.zeros_like(states)
    direct[-1] = 2 * (states[-1] @ top + offset - y) / y.size @ top.T
    expected = mean_norms(simple_gradients(states, recurrent, direct))
    found = gradients(model, x, y)
    np.testing.assert_allclose(found.norms, expected, **NEAR)
    assert found.whole is None


@pytest.mark.parametrize("kind", [layers.LSTM, keras.layers.LSTM])
def test_gradients_by_lag_of_an_lstm(kind):
    model, (x, y) = of_last(kind(4, name="rnn")), data()
    kernel, recurrent, bias, top, offset = model.get_weights()
    steps = lstm_steps(x, kernel, recurrent, bias)
    last = 2 * (steps[-1]["h"] @ top + offset - y) / y.size @ top.T
    expected = mean_norms(*lstm_gradients(steps, recurrent, last))
    np.testing.assert_allclose(gradients(model, x, y).norms, expected, **NEAR)


def test_gradients_of_a_loss_at_all_steps_and_at_the_last():
    model = of_steps(layers.SimpleRNN(4, return_sequences=True, name="rnn"))
    x, _ = data()
    y = np.random.default_rng(2).normal(size=(5, 6, 2)).astype("float32")
    kernel, recurrent, bias, top, offset = model.get_weights()
    states = simple_states(x, kernel, recurrent, bias)
    wrong = states @ top + offset - y.swapaxes(0, 1)
    direct = 2 * wrong / y.size @ top.T
    found = gradients(model, x, y)
    whole = simple_gradients(states, recurrent, direct)
    np.testing.assert_allclose(found.whole, mean_norms(whole), **NEAR)
    direct[:-1] = 0
    last = simple_gradients(states, recurrent, direct)
    np.testing.assert_allclose(found.norms, mean_norms(last), **NEAR)


def test_gradients_are_those_of_finite_differences():
    both = layers.Bidirectional(layers.GRU(3, return_sequences=True))
    model, (x, y) = of_last(both, steps=4), data(samples=2, steps=4)
    model = keras.Sequential(
        [keras.Input((4, 3)), both, layers.MinGRU(3), keras.layers.Dense(2)]
    )
    randomize(model)
    model.compile("sgd", "mse")
    recorder, outputs, calls = recorded(model, x)
    objective = _objective(model, x, y, outputs, calls)
    found = _measures.gradients.by_call(recorder, x, calls, objective)["whole"]
    zeros = [np.zeros_like(call.states[0]) for call in calls]
    assert len(calls) == 3

    def value(*deltas):
        outputs, _ = recorder.run(x, [[delta] for delta in deltas])
        return objective.value(outputs)

    value = _derivatives.compiled(value, model.variables)
    for k, at in ((0, (1, 0, 2)), (1, (2, 1, 0)), (2, (0, 1, 1))):
        values = []
        for change in (-1e-2, 1e-2):
            zeros[k][at] = change
            values.append(float(value(*(z.copy() for z in zeros))))
        zeros[k][at] = 0
        slope = (values[1] - values[0]) / 2e-2
        np.testing.assert_allclose(found[k][0][at], slope, rtol=2e-2, atol=1e-4)


def _objective(model, x, y, outputs, calls):
    from keras_rnnx.diagnosis._data import Batch
    from keras_rnnx.diagnosis._objective import Objective

    return Objective(model, Batch(x, y), outputs, calls)


@pytest.mark.parametrize("radius", [0.5, 0.9, 1.1])
def test_factor_and_horizon_of_a_linear_network(radius):
    """Orthogonal up to a factor: all norms change by it, to the last digit."""
    model = of_last(layers.SimpleRNN(4, activation="linear", name="rnn"), steps=20)
    weights = model.get_weights()
    weights[1] = radius * np.linalg.qr(weights[1])[0]
    model.set_weights(weights)
    found = gradients(model, *data(steps=20))
    assert found.factor == pytest.approx(radius, rel=1e-4)
    expected = int(np.ceil(np.log(1e-3) / np.log(radius))) if radius < 1 else 99
    assert found.horizon == (expected if expected < 20 else None)
    ratios = found.norms[1:] / found.norms[:-1]
    np.testing.assert_allclose(ratios, radius, rtol=1e-4)


def test_without_targets_the_outputs_are_squared():
    model, (x, _) = of_last(layers.SimpleRNN(4, name="rnn")), data()
    kernel, recurrent, bias, top, offset = model.get_weights()
    states = simple_states(x, kernel, recurrent, bias)
    direct = np.zeros_like(states)
    outputs = states[-1] @ top + offset
    direct[-1] = 2 * outputs / outputs.size @ top.T
    report = keras_rnnx.diagnose(model, x, measures="gradients")
    expected = mean_norms(simple_gradients(states, recurrent, direct))
    np.testing.assert_allclose(report.layers["rnn"].gradients.norms, expected, **NEAR)
    assert "mean square" in report.objective and "`y`" in report.notes[0]


# --- updates ---


def test_norms_and_clipping_of_batches():
    model, (x, y) = of_last(layers.GRU(4, name="rnn")), data(samples=12)
    model.compile(keras.optimizers.SGD(0.1, global_clipnorm=0.5), "mse")
    report = keras_rnnx.diagnose(model, x, y, measures="updates", batch_size=4)
    order = np.random.default_rng(0).permutation(12)
    rows = [order[k : k + 4] for k in range(0, 12, 4)]
    each = gradients_of_batches(model, [(x[r], y[r]) for r in rows])
    norms = [np.sqrt(sum(np.sum(g**2) for g in row)) for row in each]
    training, update = report.training, report.layers["rnn"].update
    np.testing.assert_allclose(training.norms, norms, rtol=1e-5)
    assert (training.clipping, training.limit) == ("global_clipnorm", 0.5)
    assert training.clipped == np.mean(np.array(norms) > 0.5)
    assert training.one_in_ten == pytest.approx(np.quantile(norms, 0.9), rel=1e-5)
    matrices = model.get_weights()[:2]
    weights = np.sqrt(sum(np.sum(w**2) for w in matrices))
    gradient = np.mean([np.sqrt(sum(np.sum(g**2) for g in row[:2])) for row in each])
    assert update.weights == pytest.approx(weights, rel=1e-5)
    assert update.ratio == pytest.approx(0.1 * gradient / weights, rel=1e-4)


def test_updates_of_adam_are_as_large_as_its_rate():
    model, (x, y) = of_last(layers.SimpleRNN(4, name="rnn")), data()
    model.compile(keras.optimizers.Adam(0.01, clipvalue=1e-6), "mse")
    report = keras_rnnx.diagnose(model, x, y, measures="updates")
    kernel, recurrent = model.get_weights()[:2]
    count = kernel.size + recurrent.size
    norm = np.sqrt(np.sum(kernel**2) + np.sum(recurrent**2))
    expected = 0.01 * np.sqrt(count) / norm
    assert report.layers["rnn"].update.ratio == pytest.approx(expected, rel=1e-5)
    assert report.training.clipped == 1.0


# --- dynamics ---


@pytest.mark.parametrize("kind", [layers.SimpleRNN, keras.layers.SimpleRNN])
def test_jacobians_of_a_tanh_network(kind):
    model, (x, _) = of_last(kind(4)), data()
    kernel, recurrent, bias, *_ = model.get_weights()
    states = simple_states(x, kernel, recurrent, bias)
    recorder, _, (call,) = recorded(model, x)
    loop, at = recorder.loop(call.layer), _measures.dynamics.places(call)
    assert at.shape == (2, 6, 2)
    pull = _measures.dynamics.pullback(model, loop)
    found = np.stack(list(_measures.dynamics.jacobians(pull, call, at)))
    for (step, row), jacobian in zip(at.reshape(-1, 2), found.reshape(-1, 4, 4)):
        expected = (1 - states[step, row] ** 2)[:, None] * recurrent.T
        np.testing.assert_allclose(jacobian, expected, **NEAR)


def test_jacobians_come_in_parts_of_one_size(monkeypatch):
    model, (x, _) = of_last(layers.LSTM(3)), data()
    recorder, _, (call,) = recorded(model, x)
    pull = _measures.dynamics.pullback(model, recorder.loop(call.layer))
    at, found = _measures.dynamics.places(call), []
    for rows in (8192, 6 * 7):
        monkeypatch.setattr(_measures.dynamics, "ROWS", rows)
        found.append(np.stack(list(_measures.dynamics.jacobians(pull, call, at))))
    np.testing.assert_allclose(*found, rtol=1e-4, atol=1e-6)


def test_exponents_of_a_linear_map_are_its_eigenvalues():
    layer = layers.SimpleRNN(3, activation="linear", name="rnn")
    model = of_last(layer, steps=80)
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    eigenvalues = np.array([0.95, 0.6, 0.3])
    weights = model.get_weights()
    weights[1] = turn @ np.diag(eigenvalues) @ turn.T
    model.set_weights(weights)
    report = keras_rnnx.diagnose(model, data(steps=80)[0], measures="dynamics")
    found = report.layers["rnn"].dynamics
    np.testing.assert_allclose(found.exponents, np.log(eigenvalues), atol=2e-3)
    assert found.steps == 64
    gain = np.sqrt(np.mean(eigenvalues**2))
    assert found.gain == pytest.approx(gain, rel=1e-4)
    radius, norm = found.kernels["h"]
    assert radius == pytest.approx(0.95, rel=1e-4)
    assert norm == pytest.approx(0.95, rel=1e-4)


def test_exponents_are_those_of_a_loop_by_hand():
    random = np.random.default_rng(4)
    matrices = random.normal(size=(2000, 4, 4)) / 2
    directions, logs = np.eye(4), []
    for matrix in matrices:
        directions, triangle = np.linalg.qr(matrix @ directions)
        logs.append(np.log(np.abs(np.diag(triangle))))
    start = np.linalg.qr(random.normal(size=(4, 4)))[0]
    found = _measures.dynamics.lyapunov(matrices, start)
    # The warm-up leaves out other steps: the error of a mean over 1,500 steps.
    np.testing.assert_allclose(found, np.mean(logs, axis=0), atol=0.08)
    np.testing.assert_allclose(found, np.mean(logs[500:], axis=0), atol=2e-3)


def test_exponents_of_wide_states_are_those_of_whole_jacobians(monkeypatch):
    """Products from the left have them too, up to what was not warmed up."""
    model = of_last(layers.SimpleRNN(3, activation="linear", name="rnn"), steps=64)
    weights = model.get_weights()
    weights[1] = np.diag([0.9, 0.5, 0.2]) + np.triu(np.full((3, 3), 0.1), 1)
    model.set_weights(weights)
    monkeypatch.setattr(_measures.dynamics, "WHOLE", 2)
    x, _ = data(steps=64)
    found = keras_rnnx.diagnose(model, x, measures="dynamics").layers["rnn"].dynamics
    np.testing.assert_allclose(found.exponents, np.log([0.9, 0.5, 0.2]), atol=5e-3)
    assert found.gain is None


def test_matrices_of_gates():
    model, (x, _) = of_last(layers.LSTMP(4, projection_units=3, name="rnn")), data()
    found = keras_rnnx.diagnose(model, x, measures="dynamics").layers["rnn"].dynamics
    cell = model.layers[0].cell
    kernel = keras.ops.convert_to_numpy(cell.recurrent_kernel)
    blocks = dict(zip(cell.gates_of("recurrent_kernel"), np.split(kernel, 4, axis=1)))
    for gate, (radius, norm) in found.kernels.items():
        assert radius is None
        assert norm == pytest.approx(np.linalg.norm(blocks[gate], 2), rel=1e-5)
    model, name = of_last(keras.layers.GRU(4, name="rnn")), "rnn"
    found = keras_rnnx.diagnose(model, x, measures="dynamics").layers[name].dynamics
    blocks = dict(zip("zrh", np.split(model.get_weights()[1], 3, axis=1)))
    for gate, (radius, _) in found.kernels.items():
        expected = np.abs(np.linalg.eigvals(blocks[gate])).max()
        assert radius == pytest.approx(expected, rel=1e-4)


# --- states ---


def test_states_are_counted_as_in_numpy():
    model, (x, _) = of_last(layers.SimpleRNN(5, name="rnn")), data(samples=20)
    weights = model.get_weights()
    weights[0] *= 4
    # A unit that nothing reaches, and one that is always the same.
    for k, bias in ((3, 0.0), (4, 2.0)):
        weights[0][:, k], weights[1][:, k], weights[2][k] = 0, 0, bias
    model.set_weights(weights)
    outputs = simple_states(x, *weights[:3]).reshape(-1, 5)
    found = keras_rnnx.diagnose(model, x, measures="states").layers["rnn"].states
    values = np.linalg.eigvalsh(np.cov(outputs.T))
    assert found.dimensions == pytest.approx(values.sum() ** 2 / (values**2).sum())
    assert found.saturated == pytest.approx(np.mean(np.abs(outputs) > 0.99), abs=0.01)
    assert (found.dead, found.constant, found.units) == (0.2, 0.2, 5)
    assert found.gates == {}


@pytest.mark.parametrize("kind", [layers.LSTM, keras.layers.LSTM])
def test_gates_of_an_lstm(kind):
    model, (x, _) = of_last(kind(4, name="rnn")), data()
    kernel, recurrent, bias, *_ = model.get_weights()
    steps = lstm_steps(x, kernel, recurrent, bias)
    recorder, _, (call,) = recorded(model, x)
    found = _measures.gates.values(recorder.loop(call.layer), call, seed=0)
    assert sorted(found) == ["f", "i", "o"]
    for gate, values in found.items():
        expected = np.stack([s[gate] for s in steps]).reshape(-1, 4)
        np.testing.assert_allclose(values, expected, **NEAR)
    if isinstance(call.layer, layers.RNN):
        assert not {"update", "recurrent_activation"} - set(dir(call.layer.cell))
        assert "update" not in vars(call.layer.cell)


def test_gates_with_peepholes():
    """Their sums are no sums of a gate alone."""
    model, (x, _) = of_last(layers.PeepholeLSTM(4, name="rnn")), data()
    recorder, _, (call,) = recorded(model, x)
    found = _measures.gates.values(recorder.loop(call.layer), call, seed=0)
    cell = call.layer.cell
    h, c = (state.reshape(-1, 4) for state in call.before)
    inputs = call.inputs.reshape(-1, call.inputs.shape[-1])
    weights = {v.name: keras.ops.convert_to_numpy(v) for v in cell.weights}
    total = inputs @ weights["kernel"] + h @ weights["recurrent_kernel"]
    sums = dict(zip(cell.gates_of("bias"), np.split(total + weights["bias"], 4, 1)))
    assert sorted(found) == ["f", "i", "o"]
    for gate, state in (("i", c), ("f", c), ("o", call.states[1].reshape(-1, 4))):
        expected = 1 / (1 + np.exp(-sums[gate] - weights[f"peephole_{gate}"] * state))
        np.testing.assert_allclose(found[gate], expected, **NEAR)


@pytest.mark.parametrize("reset_after", [True, False])
def test_gates_of_both_gru_are_the_same(reset_after):
    x, found = data()[0], []
    for kind in (layers.GRU, keras.layers.GRU):
        model = of_last(kind(4, reset_after=reset_after))
        recorder, _, (call,) = recorded(model, x)
        found.append(_measures.gates.values(recorder.loop(call.layer), call, seed=0))
    for gate in ("z", "r"):
        np.testing.assert_allclose(*(each[gate] for each in found), **NEAR)


def test_a_gate_that_is_open_on_purpose_is_not_stuck():
    """Forget gates that keep for the length of the data, or 100 times as long."""
    shares = []
    for bias in (4.0, 9.0):
        model = of_last(layers.LSTM(4, name="rnn"))
        weights = [0.1 * w for w in model.get_weights()]
        weights[2][:] = np.repeat([-bias, bias, 0.0, 0.0], 4)
        model.set_weights(weights)
        x = data()[0]
        report = keras_rnnx.diagnose(model, x, measures="states")
        shares.append(report.layers["rnn"].states.gates)
    assert [each["f"].open for each in shares] == [1, 1]
    assert [each["i"].shut for each in shares] == [1, 1]
    assert [each["f"].stuck for each in shares] == [0, 1]
    assert [each["i"].stuck for each in shares] == [0, 1]
    assert shares[0]["o"].stuck == 0


# --- memory ---


def test_memory_of_a_linear_network():
    layer = layers.SimpleRNN(4, activation="linear", name="rnn")
    model = of_last(layer, steps=20)
    weights = model.get_weights()
    weights[1] = 0.5 * np.linalg.qr(weights[1])[0]
    model.set_weights(weights)
    found = keras_rnnx.diagnose(model, data(steps=20)[0], measures="memory")
    memory = found.layers["rnn"].memory
    np.testing.assert_allclose(memory.decay[:8], 0.5 ** np.arange(1, 9), rtol=1e-3)
    assert memory.forgotten == 10


def test_an_exchanged_past_comes_from_the_valid_steps_of_others():
    x = np.arange(15.0).reshape(3, 5, 1)
    valid = np.array([[1, 1, 1, 1, 1], [0, 1, 1, 1, 0], [1, 1, 0, 0, 0]], bool)
    found = _measures.memory.exchanged({"a": x}, valid, 2, np.array([1, 2, 0]))["a"]
    assert found[0, :, 0].tolist() == [6, 7, 8, 3, 4]
    assert found[1, :, 0].tolist() == [5, 10, 7, 8, 9]
    assert found[2, :, 0].tolist() == [10, 11, 12, 13, 14]
    assert x[0, 0, 0] == 0


def test_the_past_of_a_model_that_looks_back():
    """A network that copies its first input, and one that has the last one alone."""
    random = np.random.default_rng(5)
    x = random.normal(size=(20, 6, 1)).astype("float32")
    for recurrent, kernel, target, used in (
        (1.0, 1.0, x.sum(1), 1),
        (0, 1, x[:, -1], 0),
    ):
        layer = layers.SimpleRNN(1, activation="linear", use_bias=False, name="rnn")
        model = keras.Sequential([keras.Input((6, 1)), layer])
        model.compile("sgd", "mse")
        model.set_weights([np.full((1, 1), kernel), np.full((1, 1), recurrent)])
        past = keras_rnnx.diagnose(model, x, target, measures="memory").past
        assert past.kept == 3 and past.loss < 1e-10
        order = np.random.default_rng(0).permutation(20)
        circle = np.random.default_rng(0).permutation(20)
        others = np.empty_like(circle)
        others[circle] = np.roll(circle, 1)
        rows, values = x[order], target[order]
        assert past.unrelated == pytest.approx(
            np.mean((values - values[others]) ** 2), rel=1e-4
        )
        change = (rows[others] - rows)[:, :3].sum(axis=1)
        expected = np.mean(change**2) if used else 0
        assert past.exchanged == pytest.approx(expected, rel=1e-4, abs=1e-10)


def test_the_past_of_a_model_that_answers_at_each_step_is_that_of_the_last():
    model = of_steps(layers.GRU(4, return_sequences=True, name="rnn"))
    x, _ = data()
    y = np.random.default_rng(2).normal(size=(5, 6, 2)).astype("float32")
    past = keras_rnnx.diagnose(model, x, y, measures="memory").past
    order = np.random.default_rng(0).permutation(5)
    wrong = model.predict(x[order], verbose=0) - y[order]
    # Keras divides by all steps, where weights leave some out.
    expected = np.mean(wrong[:, 3:] ** 2, axis=-1).sum() / (5 * 6)
    assert past.loss == pytest.approx(expected, rel=1e-4)


@pytest.mark.any_backend
def test_the_time_of_a_call_is_the_shortest(monkeypatch):
    """Other programs made the first and the last call longer."""
    clock = iter([0.0, 5.0, 5.0, 6.0, 6.0, 9.0])

    def compiled(function, read, optimized):
        assert optimized, "as in training"
        return function

    monkeypatch.setattr(_measures.cost, "compiled", compiled)
    monkeypatch.setattr(_measures.cost.time, "perf_counter", lambda: next(clock))
    seconds = _measures.cost._seconds(lambda: None, [], [])
    monkeypatch.undo()
    assert seconds == 1 and next(clock, None) is None


def test_the_units_of_states():
    outputs = np.array([[0.0, 1.0, 0.0], [0.0, 1.0, 2.0]])
    dead, constant = _measures.states.dead_and_constant(outputs)
    assert dead.tolist() == [True, False, False]
    assert constant.tolist() == [False, True, False]
    assert _measures.states.dimensions(outputs) == pytest.approx(1)
    assert _measures.states.dimensions(np.zeros((4, 2))) == 0


def test_a_tape_gives_the_gradients_of_a_function(monkeypatch):
    """Where operations run eagerly, one pass through the model has all of them."""
    model = keras.Sequential(
        [
            keras.Input((7, 2)),
            layers.Bidirectional(layers.GRU(3, return_sequences=True, name="gru")),
            layers.LSTM(4, name="lstm"),
            keras.layers.Dense(1),
        ]
    )
    model.compile("adam", "mse")
    x = np.random.default_rng(0).normal(size=(5, 7, 2)).astype("float32")
    runs, run = [], _measures.gradients.TapedRun.__init__
    monkeypatch.setattr(
        _measures.gradients.TapedRun,
        "__init__",
        lambda self, *arguments: (runs.append(1), run(self, *arguments))[1],
    )

    def norms():
        report = keras_rnnx.diagnose(model, x, x[:, 0, :1], measures="gradients")
        return {name: each.gradients.norms for name, each in report.layers.items()}

    taped = norms()
    assert len(runs) == (keras.backend.backend() != "jax")
    monkeypatch.setattr(_derivatives.Tape, "works", staticmethod(lambda: False))
    for name, expected in norms().items():
        np.testing.assert_allclose(taped[name], expected, rtol=1e-4, atol=1e-8)
    assert len(runs) <= 1


@pytest.mark.any_backend
def test_steps_that_share_their_tensors_equal_others():
    """All inputs at once, and weights that are cut once: but not with masks of them."""
    cell = keras_rnnx.cells.LSTMCell(4, weight_dropout=0.5, seed=0)
    x = np.random.default_rng(1).normal(size=(6, 3, 2)).astype("float32")
    cell.build((3, 2))
    cell.bias.assign(np.random.default_rng(2).normal(size=cell.bias.shape))
    first = [keras.ops.ones((3, 4)), keras.ops.full((3, 4), 0.5)]

    def numpy(states):
        return [keras.ops.convert_to_numpy(state) for state in states]

    expected = numpy(cell(x[0], first, training=False)[1])
    with cell.keras_step.sharing():
        parts = cell.keras_step.input_parts(keras.ops.convert_to_tensor(x))
        at = {gate: part[0] for gate, part in parts.items()}
        found = numpy(cell.keras_step.after(at, first))
        with cell.masks(3):
            masked = numpy(cell(x[0], first, training=True)[1])
    for one, other in zip(found, expected):
        np.testing.assert_allclose(one, other, rtol=1e-6)
    assert not np.allclose(masked[0], expected[0], rtol=1e-3)
