"""try_cures: the same start for all, and what each cure changes."""

import random
import time

import keras
import numpy as np
import pytest

import keras_rnnx
from keras_rnnx import layers
from keras_rnnx.constraints import SpectralRadius as Bound
from keras_rnnx.diagnosis import cures as kinds
from keras_rnnx.diagnosis.cures import _batches, _budget, _copies, prescriptions
from keras_rnnx.diagnosis.cures._treatment import Treatment
from keras_rnnx.diagnosis.report import Finding
from keras_rnnx.initializers import Chrono, SpectralRadius

STEPS = 12

pytestmark = pytest.mark.usefixtures("uncompiled")


def data(samples=40, features=2):
    """The first value of each sequence."""
    x = np.random.default_rng(0).normal(size=(samples, STEPS, features))
    x = x.astype("float32")
    return x, x[:, 0, :1]


def model_of(*made, optimizer="adam", features=2):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((STEPS, features))
    model = keras.Sequential([inputs, *made, keras.layers.Dense(1)])
    model.compile(optimizer, "mse", metrics=["mae"])
    return model


def simple(**arguments):
    start = SpectralRadius(0.3)
    return layers.SimpleRNN(4, recurrent_initializer=start, name="rnn", **arguments)


def arrays(model):
    return [np.array(keras.ops.convert_to_numpy(v)) for v in model.variables]


def report_of(model, *given):
    return keras_rnnx.diagnose(model, *(given or data()), measures="gradients")


def tried(model, cures, budget="3 steps", **options):
    # Findings are needed for the names of their cures alone.
    measures = "gradients" if isinstance(cures, str) else ()
    report = keras_rnnx.diagnose(model, *data(), measures=measures)
    options = {"verbose": False, "batch_size": 8, **options}
    return report.try_cures(budget, cures=cures, **options)


def changed(model, cure, name="rnn", **options):
    """The layer of a copy with a cure."""
    found = tried(model, cure, "1 steps", **options)
    assert not found.refused, str(found)
    return found.trials[1], found.trials[1].model.get_layer(name)


CLIP = kinds.OtherOptimizer(keras.optimizers.Adam, 1e-3, {"global_clipnorm": 1.0})


# --- the same start ---


@pytest.mark.slow
@pytest.mark.compiled
@pytest.mark.parametrize("kind", [layers.SimpleRNN, keras.layers.SimpleRNN])
def test_it_trains_as_a_loop_by_hand(kind):
    """The same weights and batches, an optimizer as it was."""
    model = model_of(kind(4, name="rnn"), optimizer=keras.optimizers.Adam(0.01))
    x, y = data()
    held, by_hand = data(10), model_of(kind(4, name="rnn"), optimizer="sgd")
    by_hand.set_weights(model.get_weights())
    by_hand.compile(keras.optimizers.Adam(0.01), "mse")
    found = tried(model, CLIP, "7 steps", validation_data=held, seed=5)
    for step in range(7):
        # 40 samples are five batches, in a new order in each epoch.
        order = np.random.default_rng([5, step // 5]).permutation(40)
        rows = order[8 * (step % 5) :][:8]
        by_hand.train_on_batch(x[rows], y[rows])
    for own, other in zip(found.as_it_is.model.weights, by_hand.weights):
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(own),
            keras.ops.convert_to_numpy(other),
            rtol=1e-5,
            atol=1e-6,
        )
    curve = found.as_it_is.curve
    assert curve.steps.tolist() == list(range(8))
    expected = by_hand.evaluate(*held, verbose=0, return_dict=True)["loss"]
    assert curve.val_loss[-1] == pytest.approx(expected, rel=1e-4)
    assert curve.end == curve.val_loss[-1] and set(curve.metrics) == {"mae"}
    first = np.mean((model.predict(held[0], verbose=0) - held[1]) ** 2)
    for trial in found.trials:
        assert trial.curve.val_loss[0] == pytest.approx(first, rel=1e-4)
    assert found.given == pytest.approx(first, rel=1e-4)


@pytest.mark.compiled
def test_the_model_stays_as_it_is():
    model = model_of(simple(), keras.layers.Dropout(0.5, seed=1))
    x, y = data()
    model.fit(x, y, verbose=0)
    before = arrays(model), arrays(model.optimizer)
    config, python = model.get_config(), random.getstate()
    report = keras_rnnx.diagnose(model, x, y, measures=["gradients", "updates"])
    found = report.try_cures("3 steps", limit=9, verbose=False)
    assert len(found.trials) > 4 and random.getstate() == python
    for one, other in zip(before, (arrays(model), arrays(model.optimizer))):
        assert all(a.tobytes() == b.tobytes() for a, b in zip(one, other, strict=True))
    assert model.get_config() == config
    assert "drawn anew, since the model has trained for 2 steps" in found.start


@pytest.mark.any_backend
@pytest.mark.parametrize(("start", "same"), [("weights", True), ("anew", False)])
def test_where_a_trained_model_starts(start, same):
    normalization = keras.layers.Normalization(name="scale")
    normalization.adapt(data()[0] * 3 + 1)
    model = model_of(normalization, simple())
    model.fit(*data(), verbose=0)
    found = tried(model, CLIP, start=start)
    first = [trial.curve.val_loss[0] for trial in found.trials]
    assert first[0] == pytest.approx(first[1], rel=1e-5)
    assert (first[0] == pytest.approx(found.given, rel=1e-5)) == same
    # Statistics of the inputs are not trained, and stay.
    means = [m.get_layer("scale").mean for m in (model, found.best)]
    np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, means))


@pytest.mark.any_backend
def test_a_seed_decides_on_all():
    model = model_of(simple())
    model.fit(*data(), verbose=0)
    cures = report_of(model).findings[0].cures[:2]
    runs = [tried(model, cures, seed=seed) for seed in (1, 1, 2)]
    losses = [[t.curve.val_loss for t in run.trials] for run in runs]
    np.testing.assert_array_equal(losses[0], losses[1])
    assert not np.array_equal(losses[0], losses[2])


@pytest.mark.any_backend
def test_weights_that_fit_are_kept_and_others_are_named():
    model = model_of(layers.LSTM(4, name="rnn"))
    cure = prescriptions.other_layer(
        model, "rnn", model.get_layer("rnn"), bias_initializer=Chrono(12)
    )
    treatment = Treatment(model, {"rnn": model.get_layer("rnn")}, None)
    cure.prescribe(treatment)
    copy = _copies.Copy(treatment, seed=0)
    copy.start({id(a): np.asarray(a) for a, _ in copy.pairs})
    assert copy.anew == ["rnn/bias"]
    old, new = model.get_layer("rnn").cell, copy.model.get_layer("rnn").cell
    for name in ("kernel", "recurrent_kernel"):
        np.testing.assert_array_equal(
            *(keras.ops.convert_to_numpy(getattr(c, name)) for c in (old, new))
        )
    assert not np.array_equal(*(keras.ops.convert_to_numpy(c.bias) for c in (old, new)))


# --- what a cure changes ---


@pytest.mark.any_backend
def test_another_argument():
    model = model_of(simple(dropout=0.25))
    cure = prescriptions.other_layer(
        model, "rnn", model.get_layer("rnn"), recurrent_constraint=Bound(1.0)
    )
    trial, layer = changed(model, cure)
    assert isinstance(layer.cell.recurrent_constraint, Bound)
    assert layer.cell.dropout == 0.25 and not trial.anew
    assert cure.code == (
        "keras_rnnx.layers.SimpleRNN(4, "
        "recurrent_constraint=keras_rnnx.constraints.SpectralRadius(1.0))"
    )
    assert isinstance(eval(cure.code).cell.recurrent_constraint, Bound)


@pytest.mark.any_backend
def test_another_cell_keeps_dropout_and_the_loop():
    rnn = keras.layers.SimpleRNN(4, dropout=0.25, go_backwards=True, name="rnn")
    model = model_of(rnn)
    cure = prescriptions.long_memory(model, "rnn", rnn, STEPS)[0]
    trial, layer = changed(model, cure)
    assert type(layer) is layers.LSTM and layer.units == 4
    assert layer.cell.bias_initializer.max_steps == STEPS
    assert (layer.cell.dropout, layer.go_backwards) == (0.25, True)
    assert trial.anew == ("rnn/kernel", "rnn/recurrent_kernel", "rnn/bias")
    assert "draws anew rnn/kernel" in str(tried(model, cure)).replace("\n    ", " ")


@pytest.mark.any_backend
@pytest.mark.parametrize("kind", [layers.Bidirectional, keras.layers.Bidirectional])
def test_both_directions_change(kind):
    both = kind(layers.GRU(3, name="gru"), name="both")
    model = model_of(both)
    cure = prescriptions.normalized(model, "both/forward_gru", both.backward_layer)[0]
    assert "in both directions" in cure.code
    _, layer = changed(model, cure, "both")
    for direction in (layer.forward_layer, layer.backward_layer):
        assert direction.cell.layer_norm
    assert layer.backward_layer.go_backwards and not layer.forward_layer.go_backwards
    if kind is keras.layers.Bidirectional:
        # What does not change keeps its class.
        as_it_is = tried(model, CLIP).as_it_is.model
        assert type(as_it_is.get_layer("both")) is kind


@pytest.mark.any_backend
def test_a_stack_changes_as_a_whole():
    stack = layers.Stack("lstm", 3, depth=2, connection="highway", name="deep")
    model = model_of(stack)
    cure = prescriptions.long_memory(
        model, "deep/level_1/lstm_1", stack.layers[0], STEPS
    )[0]
    assert cure.code.startswith('keras_rnnx.layers.Stack("LSTM", [3, 3], bias_init')
    trial, layer = changed(model, cure, "deep")
    assert [type(rnn.cell.bias_initializer) for rnn in layer.layers] == [Chrono] * 2
    assert trial.anew == ("lstm_1/bias", "lstm_2/bias")


@pytest.mark.any_backend
def test_a_functional_model_with_a_shared_layer():
    one, two = keras.Input((STEPS, 2)), keras.Input((STEPS, 2))
    shared = simple()
    merged = keras.layers.Concatenate()([shared(one), shared(two)])
    model = keras.Model([one, two], keras.layers.Dense(1)(merged))
    model.compile("adam", "mse")
    x, y = data()
    report = keras_rnnx.diagnose(model, [x, x], y, measures="gradients")
    found = report.try_cures("2 steps", limit=1, verbose=False)
    new = found.trials[1].model
    kinds = [type(layer) for layer in new.layers]
    assert kinds.count(layers.LSTM) == 1 and new.predict([x, x], verbose=0).shape


def test_the_optimizer_changes_and_no_more():
    model = model_of(simple(), optimizer=keras.optimizers.Adam(0.02, beta_1=0.8))
    (better,) = prescriptions.other_rate(model, 0.0031)
    assert better.code == "model.optimizer.learning_rate = 0.003"
    clip = prescriptions.of_optimizer(model, global_clipnorm=1.0)
    assert clip.code == (
        "model.compile(keras.optimizers.Adam(0.02, global_clipnorm=1.0), model.loss)"
    )
    found = tried(model, [clip, better, kinds.Together((clip, better))])
    shown = [
        (float(o.learning_rate), o.beta_1, o.global_clipnorm)
        for o in (trial.model.optimizer for trial in found.trials)
    ]
    expected = [(0.02, None), (0.02, 1.0), (0.003, None), (0.003, 1.0)]
    for (rate, beta, norm), (expected_rate, expected_norm) in zip(shown, expected):
        assert (beta, norm) == (0.8, expected_norm)
        assert rate == pytest.approx(expected_rate, rel=1e-5)
    assert found.refused == []


@pytest.mark.any_backend
def test_layers_of_keras_are_replaced_with_their_weights():
    model = model_of(keras.layers.LSTM(4, name="rnn"))
    trial, layer = changed(model, kinds.Converted())
    assert type(layer) is layers.LSTM and not trial.anew
    found = tried(model, kinds.Converted())
    losses = [t.end for t in found.trials]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


@pytest.mark.any_backend
def test_a_layer_in_front():
    model = model_of(layers.GRU(4, name="rnn"))
    trial, layer = changed(model, prescriptions.SCALED, "normalization")
    mean = keras.ops.convert_to_numpy(layer.mean).ravel()
    rows = np.random.default_rng(0).permutation(40)[8:]
    np.testing.assert_allclose(mean, data()[0][rows].mean((0, 1)), atol=1e-5)
    assert trial.model.layers[0] is layer
    x, y = data()
    x[3, 5:] = np.nan
    report = keras_rnnx.diagnose(model, x, y)
    assert report.findings[
        0
    ].cure == "keras_rnnx.layers.MaskPadding()  # if NaN is " + ("padding")
    found = report.try_cures("3 steps", verbose=False)
    assert found.as_it_is.diverged is not None and found.trials[1].diverged is None
    assert found.helped == [found.trials[1]]


@pytest.mark.any_backend
def test_early_stopping_keeps_the_best_weights():
    model = model_of(layers.GRU(4), optimizer=keras.optimizers.SGD(0.5))
    # Targets for validation that training goes away from.
    x, y = data()
    held = x, -3 * y - 3 * np.sign(model.predict(x, verbose=0) - y)
    found = tried(model, kinds.StopEarly(2), "20 steps", validation_data=held)
    curve = found.trials[1].curve
    assert curve.end == curve.val_loss.min()
    loss = found.trials[1].model.evaluate(*held, verbose=0)[0]
    assert loss == pytest.approx(curve.end, rel=1e-4)
    assert curve.steps[-1] <= found.as_it_is.curve.steps[-1]


# --- what can go wrong is said ---


@pytest.mark.any_backend
def test_a_candidate_that_diverges_is_said_to(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    model = model_of(layers.GRU(4), optimizer=keras.optimizers.SGD(1e-3))
    wild = kinds.OtherOptimizer(keras.optimizers.SGD, 1.0, {"learning_rate": 1e30})
    found = tried(
        model, [wild, CLIP.__class__(keras.optimizers.SGD, 1e-3, {"clipnorm": 1.0})]
    )
    diverged = found.trials[1]
    assert diverged.diverged in (1, 2) and diverged.end is None
    assert f"diverged at step {diverged.diverged}" in str(found)
    assert diverged not in found.helped and found.best is not diverged.model


@pytest.mark.any_backend
def test_cures_that_do_not_fit_are_named_with_the_reason():
    rnn = keras.layers.RNN([keras.layers.LSTMCell(3), keras.layers.LSTMCell(3)])
    model = model_of(rnn)
    cure = kinds.OtherLayer(rnn.name, "LSTM", 3, {"layer_norm": True})
    found = tried(model, [cure, prescriptions.GUARD, CLIP])
    (first, second) = found.refused
    assert "runs a list of cells" in first.refused
    assert second.refused == "it tells where training diverges, and does not prevent it"
    assert [t.name for t in found.trials[1:]] == ["global_clipnorm=1.0"]
    assert "not tried" in str(found)
    wrong = kinds.OtherLayer("gru", "GRU", 3, {"layer_norm": True})
    assert "no layer gru" in tried(model, wrong).refused[0].refused
    flow = keras_rnnx.regularizers.GradientFlow(1.0)
    model = model_of(layers.LSTM(4, name="rnn"))
    cure = kinds.OtherLayer("rnn", "LSTM", 4, {"recurrent_regularizer": flow})
    assert "GradientFlow does not fit" in tried(model, cure).refused[0].refused


@pytest.mark.any_backend
def test_none_helped_is_an_answer():
    model = model_of(layers.GRU(4))
    found = tried(model, CLIP, "1 steps")
    assert found.helped == [] and found.winner is found.as_it_is
    assert found.best is found.as_it_is.model
    assert (found.improvement, found.speedup) == (1.0, 1.0) or found.speedup != 1.0
    assert "None helped" in str(found)


@pytest.mark.any_backend
@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"budget": "soon"}, "`budget`"),
        ({"budget": -1}, "`budget`"),
        ({"budget": "0 steps"}, "`budget`"),
        ({"start": "here"}, "`start`"),
        ({"limit": 0}, "`limit`"),
        ({"batch_size": 0}, "`batch_size`"),
        ({"seed": -1}, "`seed`"),
        ({"cures": []}, "`cures`"),
        ({"cures": "no such"}, "`cures`"),
        ({"y": np.zeros((3, 1))}, "`y`"),
        ({"x": np.zeros((3, STEPS, 2))}, "`x`"),
        ({"x": np.zeros((3, STEPS, 5)), "y": np.zeros((3, 1))}, "`x`"),
        ({"x": np.zeros((1, STEPS, 2)), "y": np.zeros((1, 1))}, "`validation_data`"),
        ({"validation_data": 3}, "`validation_data`"),
        ({"validation_data": (np.zeros((3, STEPS, 5)), np.zeros(3))}, "`validation_"),
        ({"validation_data": (np.zeros((3, STEPS, 2)), np.zeros(4))}, "`validation_"),
    ],
)
def test_errors_name_the_argument(options, name):
    report = report_of(model_of(simple()))
    with pytest.raises(ValueError, match=name):
        report.try_cures(**{"budget": "1 steps", "verbose": False, **options})


@pytest.mark.any_backend
def test_other_errors():
    model = model_of(simple())
    with pytest.raises(TypeError, match="`cures` must hold cures"):
        report_of(model).try_cures("1 steps", cures=[3])
    x, _ = data()
    with pytest.raises(ValueError, match="has no targets"):
        keras_rnnx.diagnose(model, x, measures="gradients").try_cures()
    with pytest.raises(ValueError, match="may be"):
        report_of(model).try_cures(cures="Chrono")
    plain = keras.Sequential([keras.Input((STEPS, 2)), layers.GRU(1)])
    with pytest.raises(ValueError, match="the model is not compiled"):
        report_of(plain, x, x[:, 0, :1]).try_cures("1 steps")


# --- data and budgets ---


@pytest.mark.compiled
def test_a_time_is_kept():
    model = model_of(layers.GRU(4))
    report = report_of(model)
    report.try_cures("1 steps", cures=CLIP, verbose=False)
    found = report.try_cures(2.0, cures=CLIP, verbose=False)
    for trial in found.trials:
        # A step and a validation more, on a machine that others use too.
        assert 0.05 < trial.curve.seconds[-1] < 2
        assert len(trial.curve.steps) > 3
    assert found.budget == "1 s of training for each"


@pytest.mark.any_backend
def test_budgets():
    assert _budget.parse("90s").seconds == _budget.parse(90).seconds == 90
    assert _budget.parse("1.5 epochs").steps_of(10) == 15
    assert _budget.parse("20 steps").steps_of(10) == 20
    assert _budget.parse("2m").steps_of(10) is None


class Batches(keras.utils.PyDataset):
    """Batches of eight."""

    def __len__(self):
        return 5

    def __getitem__(self, index):
        x, y = data()
        return x[8 * index :][:8], y[8 * index :][:8]


@pytest.mark.any_backend
def test_data_sets():
    model, x, y = model_of(simple()), *data()

    options = {"size": 8, "seed": 0, "stateful": False}

    def split(given, validation=None, **changed):
        return _batches.split(model, given, validation, **{**options, **changed})

    found = split((Batches(), None, None))
    assert (found.training.epoch, found.validation.epoch) == (4, 1)
    np.testing.assert_array_equal(found.validation.batch(0).x, x[32:])
    firsts = sorted(found.training.batch(k).x[0, 0, 0] for k in range(4))
    assert firsts == sorted(x[:32:8, 0, 0])
    in_order = split((Batches(), None, None), stateful=True)
    for k in range(8):
        np.testing.assert_array_equal(
            in_order.training.batch(k).x, x[8 * (k % 4) :][:8]
        )
    listed = split((iter([(x, y), (x, y)]), None, None), Batches())
    assert (listed.training.epoch, listed.validation.epoch) == (2, 5)
    held = split((x, y, None))
    assert held.training.epoch == 4 and len(held.validation.batch(0).x) == 8
    rows = np.concatenate([held.training.batch(k).x for k in range(4)])
    assert len(np.unique(rows[:, 0, 0])) == 32
    task = keras_rnnx.datasets.load_task(
        "adding", length=STEPS, train=20, validation=9, test=9
    )
    assert split((task, None, None)).validation.epoch >= 1
    with pytest.raises(ValueError, match="too few to hold some out"):
        split((iter([(x, y)]), None, None))


def test_a_stateful_model_reads_its_batches_in_order():
    inputs = keras.Input(batch_shape=(8, STEPS, 2))
    rnn = layers.GRU(4, stateful=True, name="rnn")
    model = keras.Sequential([inputs, rnn, keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    report = keras_rnnx.diagnose(model, Batches(), measures="gradients")
    found = report.try_cures(
        "6 steps",
        cures=kinds.OtherOptimizer(keras.optimizers.SGD, 0.01, {"clipnorm": 1.0}),
        validation_data=Batches(),
        verbose=False,
    )
    assert found.as_it_is.curve.steps[-1] == 6
    assert not np.any(keras.ops.convert_to_numpy(rnn.states[0]))


# --- the result ---


@pytest.mark.any_backend
def test_the_text_of_a_finding_is_that_of_its_cures():
    report = report_of(model_of(simple()))
    finding = report.findings[0]
    assert finding.name == "vanishing"
    assert finding.cure == "\n".join(str(cure) for cure in finding.cures)
    layers_of = [cure.code.splitlines()[0] for cure in finding.cures]
    assert [eval(code).units for code in layers_of] == [4] * 5
    assert finding.cures[1].code.endswith("model.optimizer.learning_rate = 0.003")
    # One that is written by hand stays as it is.
    assert Finding("x", None, "t", "e", "c", "code", "p").cure == "code"


@pytest.mark.any_backend
def test_what_is_shown(tmp_path):
    model = model_of(simple(), optimizer=keras.optimizers.Adam(0.01))
    found = tried(model, "LSTM", "40 steps")
    assert [row.cure for row in found.table] == list(found.curves)
    text = str(found)
    assert "1 cure tried" in text and "2 steps for each" not in text
    assert "from the weights of the model" in text
    assert "8 of 40 samples, held out at random" in text
    assert "<pre>" in found._repr_html_()
    figure = found.plot(tmp_path / "cures.png")
    assert (tmp_path / "cures.png").stat().st_size > 5000
    assert len(figure.axes) == 2
    better = found.trials[1].end < 0.95 * found.as_it_is.end
    assert (found.winner is found.trials[1]) == better
    expected = found.as_it_is.end / found.winner.end
    assert found.improvement == pytest.approx(expected)


@pytest.mark.any_backend
def test_a_faster_step_helps_against_a_slow_layer():
    model = model_of(layers.GRU(4, reset_after=False, name="rnn"))
    found = tried(model, CLIP)
    slow = Finding("slow", "rnn", "slow", "", "")
    from dataclasses import replace

    first, second = found.trials
    first = replace(first, step_seconds=0.02)
    second = replace(second, step_seconds=0.01, finding=slow)
    found = replace(found, trials=[first, second])
    assert found.helped == [second] and found.speedup == pytest.approx(2)
    assert "2 times less" in str(found).replace("\n", " ")
    found = replace(found, trials=[first, replace(second, finding=None)])
    assert found.helped == []


@pytest.mark.any_backend
def test_times_are_counted_without_compilation():
    model = model_of(layers.GRU(4))
    start = time.perf_counter()
    found = tried(model, CLIP, "5 steps")
    assert 0 < found.seconds <= time.perf_counter() - start
    assert all(trial.step_seconds > 0 for trial in found.trials)
