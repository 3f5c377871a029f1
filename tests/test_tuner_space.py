"""What a search chooses from, and the models of what it chose."""

import math

import keras
import keras_tuner
import numpy as np
import pytest
from small_searches import adding

import keras_rnnx
from keras_rnnx.cells import ranges
from keras_rnnx.datasets import KINDS
from keras_rnnx.tuner import HyperRNN, recurrent_block

QUICK = {"preset": "quick", "space": {"units": (2, 4)}}


@pytest.fixture(scope="module")
def task():
    return adding()


def declared(hypermodel):
    hp = keras_tuner.HyperParameters()
    hypermodel.declare_hyperparameters(hp)
    return hp


def choices(**values):
    hp = keras_tuner.HyperParameters()
    hp.values = dict(values)
    return hp


def at_random(space, seed):
    hp = keras_tuner.HyperParameters()
    for number, one in enumerate(space):
        hp.merge([one])
        if hp.is_active(one):
            hp.values[one.name] = one.random_sample(1000 * seed + number)
    return hp


# --- presets and changes ----------------------------------------------------------


@pytest.mark.any_backend
def test_presets_are_what_the_docstring_says():
    """Every hyperparameter of a preset, and none of a larger one."""
    found = {}
    for preset in ("quick", "standard", "thorough"):
        hypermodel = HyperRNN((4, 2), cells=["gru", "lem"], preset=preset)
        found[preset] = {one.name for one in declared(hypermodel).space}
    assert found["quick"] == {"cell", "units", "dropout", "learning_rate"}
    assert found["standard"] - found["quick"] == {
        *("pooling", "layers", "bidirectional", "global_clipnorm", "normalization"),
        *("regularizer", "recurrent_dropout", "zoneout"),
        *("gru/recipe", "lem/recipe", "lem/dt"),
    }
    assert found["thorough"] - found["standard"] == {
        *("weight_dropout", "update_dropout", "initial_state_trainable"),
        *("optimizer", "weight_decay", "schedule", "batch_size"),
    }


@pytest.mark.any_backend
@pytest.mark.parametrize(
    ("kind", "has", "lacks"),
    [
        ("next_step", {"connection"}, {"bidirectional", "pooling"}),
        ("tagging", {"connection", "bidirectional"}, {"pooling"}),
        ("language_model", {"steps", "tied", "embedding"}, {"bidirectional"}),
        ("sequence_to_sequence", {"attention", "embedding"}, {"pooling"}),
        ("forecasting", {"bidirectional"}, {"pooling", "connection"}),
    ],
)
def test_kinds_have_what_they_use(kind, has, lacks):
    tokens = 9 if kind in ("language_model", "sequence_to_sequence") else None
    hypermodel = HyperRNN(
        (None,) if tokens else (None, 3),
        classes=3 if kind == "tagging" else None,
        outputs=(2, 3) if kind == "forecasting" else 4,
        kind=kind,
        tokens=tokens,
        preset="thorough",
    )
    names = {one.name for one in declared(hypermodel).space}
    assert has <= names and not lacks & names


@pytest.mark.any_backend
def test_a_trial_has_what_it_uses_and_no_more():
    """Of every hyperparameter that is active, the model shows the value."""
    cells = ["lstm", "min_gru", "leaky_rnn", "simple_rnn"]
    hypermodel = HyperRNN((9, 2), classes=3, cells=cells, preset="thorough", seed=1)
    space = declared(hypermodel).space
    for seed in range(25):
        hp = at_random(space, seed)
        before = dict(hp.values)
        model = hypermodel.build(hp)
        # Nothing was drawn that the sampler did not give, and it gave nothing idle.
        assert hp.values == before
        stack = model.get_layer("stack")
        cell = stack.layers[0].cell
        name = before["cell"]
        mine = {k.rpartition("/")[2]: v for k, v in before.items()}
        assert keras_rnnx.cells.registry.cell_name(type(cell)) == name
        assert {k.partition("/")[0] for k in before if "/" in k} <= {name}
        assert (stack.depth, stack.units[0]) == (before["layers"], before["units"])
        assert stack.bidirectional == before["bidirectional"]
        chosen = mine.get("regularizer", "none")
        for rate in (
            "recurrent_dropout",
            "zoneout",
            "weight_dropout",
            "update_dropout",
        ):
            assert (rate in mine) == (rate == chosen)
            assert getattr(cell, rate) == mine.get(rate, 0)
        norm = mine.get("normalization", "none")
        assert cell.layer_norm == (norm == "layer_norm")
        assert cell.batch_norm == (norm == "batch_norm")
        optimizer = model.optimizer
        assert type(optimizer).__name__.lower() == before["optimizer"]
        assert optimizer.global_clipnorm == before["global_clipnorm"]
        assert optimizer.clipnorm is None
        assert ("weight_decay" in before) == (before["optimizer"] == "adamw")
        assert float(optimizer.learning_rate) == pytest.approx(before["learning_rate"])


@pytest.mark.any_backend
def test_the_space_can_be_changed():
    hypermodel = HyperRNN(
        (4, 2),
        cells=["gru", "leaky_rnn", "clockwork_rnn"],
        space={
            "units": [8, 16],
            "learning_rate": (1e-3, 1e-2),
            "dropout": (0.1, 0.3),
            "layers": 2,
            "pooling": None,
            "checkpoint": True,
            "use_bias": False,
            "output_dropout": ranges.Uniform(0.0, 0.1),
            "leaky_rnn/leak": 0.25,
            "clockwork_rnn/periods": None,
        },
    )
    space = {one.name: one for one in declared(hypermodel).space}
    assert space["units"].values == [8, 16]
    rate = space["learning_rate"]
    assert (rate.min_value, rate.max_value, rate.sampling) == (1e-3, 1e-2, "log")
    assert (space["dropout"].min_value, space["dropout"].default) == (0.1, 0.2)
    assert not {"layers", "pooling", "checkpoint", "clockwork_rnn/periods"} & set(space)
    model = hypermodel.build(choices(cell="leaky_rnn", units=16, output_dropout=0.1))
    stack = model.get_layer("stack")
    assert (stack.depth, stack.units, stack.checkpoint) == (2, [16, 16], True)
    assert stack.layers[0].cell.leak == 0.25
    assert stack.output_dropout == 0.1
    assert stack.layers[0].cell.bias is None


@pytest.mark.any_backend
def test_equal_weights_for_each_cell():
    hypermodel = HyperRNN((20, 2), cells=["lstm", "leaky_rnn", "qrnn"], params=9_000)
    assert "units" not in {one.name for one in declared(hypermodel).space}
    units = {}
    for cell in hypermodel.cells:
        for layers in (1, 3):
            hp = choices(cell=cell, layers=layers)
            model = hypermodel.build(hp)
            assert model.count_params() == pytest.approx(9_000, rel=0.05)
            units[cell, layers] = hypermodel.settings(hp)["units"]
    assert units["lstm", 1] < 0.6 * units["leaky_rnn", 1]
    assert units["lstm", 3] < units["lstm", 1]
    with pytest.raises(ValueError, match="`params` is 8, but a model of 1 unit"):
        HyperRNN((20, 2), cells=["lstm"], params=8).build(choices())


@pytest.mark.any_backend
def test_what_stands_before():
    """A convolution whose width is searched, too."""

    def front(hp, x):
        filters = hp.Int("filters", 3, 6)
        return keras.layers.Conv1D(filters, 3, padding="same", name="front")(x)

    hypermodel = HyperRNN((9, 2), classes=3, front=front, **QUICK)
    assert "filters" in {one.name for one in declared(hypermodel).space}
    model = hypermodel.build(choices(filters=5))
    assert model.get_layer("front").filters == 5
    assert model.get_layer("stack").layers[0].cell.kernel.shape[0] == 5


@pytest.mark.any_backend
def test_a_recipe_knows_the_longest_sequence():
    """Where lengths differ, the layer does not know it."""
    hp = {"cell": "lstm", "lstm/recipe": "chrono"}
    bias = HyperRNN((None, 2), longest=77).build(choices(**hp)).get_layer("stack")
    assert bias.layers[0].cell.bias_initializer.max_steps == 77
    known = HyperRNN((33, 2)).build(choices(**hp)).get_layer("stack")
    assert known.layers[0].cell.sequence_length == 33
    without = HyperRNN((None, 2), cells=["lstm"])
    assert "lstm/recipe" not in {one.name for one in declared(without).space}


@pytest.mark.any_backend
@pytest.mark.parametrize("steps", [12, None])
@pytest.mark.parametrize("kind", KINDS)
def test_whatever_is_drawn_makes_a_model(kind, steps):
    """Of every cell, whether or not a model is built with the length of sequences."""
    tokens = 9 if kind in ("language_model", "sequence_to_sequence") else None
    hypermodel = HyperRNN(
        (steps,) if tokens else (steps, 2),
        classes=3 if kind in ("classification", "tagging", "ctc") else None,
        outputs=(2, 3) if kind == "forecasting" else 4,
        kind=kind,
        tokens=tokens,
        longest=12,
        cells=keras_rnnx.cells.names(),
        preset="thorough",
        space={"units": 6},
    )
    space = declared(hypermodel).space
    for seed in range(10):
        hypermodel.build(at_random(space, seed))


@pytest.mark.any_backend
def test_deep_linear_cells_have_a_unit_between():
    """An LRU above another is one LRU: a search does not try that."""
    deep = {
        "lru": {(1, None), (2, "glu"), (3, "glu")},
        "gru": {(1, None), (2, None), (3, None)},
    }
    for cells, kind in [(["lru"], "classification"), (["gru", "lru"], "tagging")]:
        hypermodel = HyperRNN(
            (9, 2), classes=3, kind=kind, cells=cells, space={"units": 4}
        )
        space = declared(hypermodel).space
        drawn = {cell: set() for cell in cells}
        for seed in range(30):
            hp = at_random(space, seed)
            stack = hypermodel.build(hp).get_layer("stack")
            drawn[hp.values.get("cell", "lru")].add((stack.depth, stack.connection))
        for cell in cells:
            assert drawn[cell] == deep[cell]


@pytest.mark.any_backend
def test_blocks_for_a_build_function_of_ones_own():
    hp = keras_tuner.HyperParameters()
    inputs = keras.Input((9, 2))
    x = recurrent_block(hp, inputs, return_sequences=True, name="low")
    y = recurrent_block(hp, x, cells=["gru"], preset="quick", name="high")
    assert (x.shape, y.shape) == ((None, 9, 64), (None, 64))
    names = {one.name for one in hp.space}
    assert {"low/cell", "low/lstm/recipe", "high/units", "high/dropout"} <= names
    assert not {"high/cell", "low/learning_rate", "low/pooling"} & names
    hp.values["low/layers"] = 3
    again = recurrent_block(hp, inputs, return_sequences=True, name="low")
    assert again._keras_history.operation.depth == 3


@pytest.mark.any_backend
@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"cells": ["lstn"]}, "'lstn'.*Did you mean 'lstm'"),
        ({"cells": []}, "`cells` must be distinct"),
        ({"cells": ["gru", "GRU"]}, "`cells` must be distinct"),
        ({"classes": 1}, "`classes` must be at least 2, received 1"),
        ({"outputs": 0}, "`outputs` must be positive, received 0"),
        ({"outputs": (2, 3)}, "unless kind='forecasting', received \\(2, 3\\)"),
        ({"input_shape": (4,)}, r"\(time, features\), received \(4,\)"),
        ({"input_shape": (None, 3), "tokens": 7}, r"`input_shape` must be \(time,\)"),
        ({"kind": "tagger"}, "'tagger'.*Did you mean 'tagging'"),
        ({"preset": "standart"}, "'standart'.*Did you mean 'standard'"),
        ({"space": [1]}, r"`space` maps names .*received \[1\]"),
        ({"space": {"cell": "gru"}}, "pass cells="),
        ({"space": {"units": (4, 2)}}, r"'units' with \(4, 2\): .*to a larger one"),
        ({"space": {"units": [4]}}, r"'units' with \[4\].*two values or more"),
        ({"space": {"units": (1, 2, 3)}}, "bounds are .low, high. or"),
        ({"space": {"gro/leak": 1}}, "cell in `space`: received 'gro'"),
        ({"space": {"leaky_rnn/leek": 1}}, "'leek'.*Did you mean 'leak'"),
        (
            {"space": {"leaky_rnn/leak": (0.1, 0.2)}},
            "the cell itself decides.*Pass a value",
        ),
        ({"params": 5, "space": {"units": 3}}, "`params` determines the units"),
        (
            {"space": {"schedule": "cosin"}},
            "schedule in `space`.*Did you mean 'cosine'",
        ),
        ({"space": {"optimizer": ["adam", "sdg"]}}, "'sdg'.*Did you mean 'sgd'"),
        ({"params": 0}, "`params` must be an integer of at least 1"),
    ],
)
def test_the_hypermodel_refuses(kwargs, message):
    with pytest.raises(ValueError, match=message):
        HyperRNN(**{"input_shape": (4, 2), **kwargs})


# --- training ---------------------------------------------------------------------


@pytest.mark.any_backend
def test_a_seed_determines_a_trial():
    """Equal hyperparameters and seeds give equal weights, others do not."""

    def weights(seed, **values):
        model = HyperRNN((4, 2), seed=seed, **QUICK).build(choices(units=4, **values))
        return np.concatenate([w.ravel() for w in model.get_weights()])

    reference = weights(1)
    np.testing.assert_array_equal(weights(1), reference)
    # What a search notes is no hyperparameter, but which training it is.
    np.testing.assert_array_equal(weights(1, **{"tuner/attempt": 3}), reference)
    for other in (weights(2), weights(1, dropout=0.3), weights(1, **{"tuner/run": 1})):
        assert not np.array_equal(other, reference)


@pytest.mark.any_backend
@pytest.mark.usefixtures("eager_trials")
def test_executions_of_one_trial_differ(task, tmp_path):
    hypermodel = HyperRNN((4, 2), cells=["simple_rnn"], seed=0, **QUICK)
    scores = []

    class Recorder(keras_tuner.RandomSearch):
        def run_trial(self, *args, **kwargs):
            found = super().run_trial(*args, **kwargs)
            scores.extend(one["val_loss"] for one in found)
            return found

    tuner = Recorder(
        hypermodel, "val_loss", max_trials=1, executions_per_trial=2, directory=tmp_path
    )
    tuner.search(*task.train, validation_data=tuple(task.validation), verbose=0)
    assert len(set(scores)) == 2


@pytest.mark.any_backend
@pytest.mark.usefixtures("eager_trials")
@pytest.mark.parametrize(
    ("schedule", "factors"),
    [
        ("cosine", 0.5 * (1 + np.cos(np.pi * np.arange(4) / 4))),
        ("warmup", [0.5, *(0.5 * (1 + np.cos(np.pi * np.arange(3) / 3)))]),
        ("constant", np.ones(4)),
    ],
)
def test_the_learning_rate_follows_its_schedule(task, schedule, factors):
    space = {"units": 2, "schedule": schedule, "dropout": 0.0}
    hypermodel = HyperRNN((4, 2), cells=["simple_rnn"], preset="quick", space=space)
    rates = []
    watch = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: rates.append(logs["learning_rate"])
    )
    hp = choices(learning_rate=0.01)
    model = hypermodel.build(hp)
    hypermodel.fit(hp, model, *task.train, epochs=4, callbacks=[watch])
    np.testing.assert_allclose(rates, 0.01 * np.asarray(factors), rtol=1e-5)


@pytest.mark.any_backend
@pytest.mark.usefixtures("eager_trials")
def test_a_trial_that_diverges_scores_what_it_had_before(task, monkeypatch):
    """And KerasTuner's callbacks don't see the epoch in which it did."""
    hypermodel = HyperRNN((4, 2), cells=["simple_rnn"], **QUICK)
    hp = choices()
    model = hypermodel.build(hp)
    seen = []
    watch = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(logs["val_loss"])
    )

    class Break(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                weights = self.model.get_weights()
                self.model.set_weights([w * np.inf for w in weights])

    found = hypermodel.fit(
        hp,
        model,
        *task.train,
        validation_data=tuple(task.validation),
        epochs=6,
        callbacks=[Break(), watch],
        verbose=0,
    )
    assert len(seen) == 2
    assert found["val_loss"] == min(seen)


@pytest.mark.any_backend
@pytest.mark.usefixtures("eager_trials")
def test_divergence_from_the_start_is_worst_in_either_direction(task):
    hypermodel = HyperRNN(
        (4, 2),
        cells=["sometimes_broken"],
        metrics=["mean_absolute_error", "accuracy"],
    )
    hp = choices(**{"sometimes_broken/broken": True})
    result = hypermodel.fit(
        hp,
        hypermodel.build(hp),
        *task.train,
        validation_data=tuple(task.validation),
        epochs=3,
        verbose=0,
    )
    assert result["val_loss"] == result["mean_absolute_error"] == 1e30
    assert result["val_accuracy"] == result["accuracy"] == -1e30
    # It is not known which way is better: KerasTuner is to count it as failed.
    assert math.isnan(result["learning_rate"])
