"""DivergenceGuard: training that diverges is stopped, and the report is right."""

import keras
import numpy as np
import pytest

import keras_rnnx
from keras_rnnx import _states
from keras_rnnx.callbacks import DivergenceError, DivergenceGuard, TruncatedBPTT
from keras_rnnx.datasets import ContiguousBatches

BACKEND = keras.backend.backend()
RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 3)).astype("float32")
Y = RNG.normal(size=(12, 2)).astype("float32")


def linear(rate=0.1, **kwargs):
    keras.utils.set_random_seed(1)
    made = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="dense")])
    made.compile(keras.optimizers.SGD(rate), "mse", **kwargs)
    return made


def diverge(made, data, guard, **kwargs):
    with pytest.warns(UserWarning, match="Training diverged"):
        made.fit(data, callbacks=[guard], verbose=0, **{"epochs": 3, **kwargs})
    return guard.report


def row(report, name):
    return next(row for row in report.layers if row.layer == name)


def test_training_that_converges_is_left_alone():
    runs = []
    for guard in (None, DivergenceGuard(restore_weights=True)):
        made = linear()
        data = guard.watch(X, Y, batch_size=4, shuffle=False) if guard else X
        targets = {} if guard else {"y": Y, "batch_size": 4, "shuffle": False}
        callbacks = [guard] if guard else []
        options = {"epochs": 2, "verbose": 0, **targets}
        if guard:
            options["shuffle"] = False
        made.fit(data, callbacks=callbacks, **options)
        runs.append(made.get_weights())
    for a, b in zip(*runs):
        np.testing.assert_array_equal(a, b)
    assert guard.report is None


def test_nan_in_the_data_is_found_in_its_batch():
    x = X.copy()
    x[9, 1] = np.nan
    x[10, 0] = np.inf
    guard, made = DivergenceGuard(), linear()
    data = guard.watch(x, Y, batch_size=4, shuffle=False)
    report = diverge(made, data, guard, shuffle=False)
    assert (report.epoch, report.batch, report.inputs) == (0, 2, 2)
    assert made.stop_training and len(made.history.history["loss"]) == 1
    assert "epoch 0, batch 2" in str(report)
    assert "2 values in the data of the batch are NaN" in str(report)


@pytest.mark.parametrize("shuffle", [False, True])
def test_batches_are_the_right_ones_in_any_order(shuffle):
    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 6

        def __getitem__(self, index):
            x = X[2 * index : 2 * index + 2].copy()
            x[:, 0] = np.nan if index == 4 else index
            return x, Y[:2]

    guard, made = DivergenceGuard(factor=None), linear(rate=1e-4)
    report = diverge(made, guard.watch(Batches()), guard, shuffle=shuffle)
    assert report.inputs == 2
    assert report.index == 4
    assert shuffle or report.batch == 4
    place = "In the order of the data it is batch 4."
    assert (place in str(report)) == (report.batch != 4)


def test_the_place_in_the_data_is_known_where_fit_shuffles():
    x, batches = X.copy(), set()
    x[8] = np.nan
    for seed in range(4):
        guard, made = DivergenceGuard(), linear()
        keras.utils.set_random_seed(seed)
        data = guard.watch(x, Y, batch_size=1, shuffle=False)
        report = diverge(made, data, guard)
        assert report.index == 8
        batches.add(report.batch)
    if tuple(map(int, keras.__version__.split(".")[:2])) < (3, 16):
        assert len(batches) > 1
    else:  # It shuffles alike whatever the seed.
        assert batches != {8}


def test_the_loss_is_that_of_the_batch_and_gradients_those_of_numpy():
    y = Y.copy()
    y[8:] *= 100
    guard, made = DivergenceGuard(limit=100.0), linear(rate=0.0)
    data = guard.watch(X, y, batch_size=4, shuffle=False)
    report = diverge(made, data, guard)
    kernel, bias = made.get_weights()
    outputs = X @ kernel + bias
    error = (outputs - y)[8:]
    assert report.loss == pytest.approx(np.mean(error**2), rel=1e-4)
    assert "above the limit 100" in report.reason
    gradients = X[8:].T @ error / 4, error.sum(axis=0) / 4
    norm = np.sqrt(sum(np.sum(g**2) for g in gradients))
    found = row(report, "dense")
    assert found.gradient == pytest.approx(norm, rel=1e-3)
    assert found.weights == pytest.approx(np.linalg.norm(kernel), rel=1e-3)
    assert found.output == pytest.approx(np.abs(outputs[8:]).max(), rel=1e-3)


def rich():
    """A model in which a gradient depends on seeds, states and activity losses."""
    keras.utils.set_random_seed(3)
    made = keras.Sequential(
        [
            keras.Input(batch_shape=(2, None, 3)),
            keras_rnnx.layers.LSTM(
                4,
                stateful=True,
                return_sequences=True,
                recurrent_dropout=0.5,
                name="lstm",
            ),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(3, activity_regularizer="l2", name="dense"),
        ]
    )
    made.compile(keras.optimizers.SGD(0.5), "mse")
    return made


def test_the_gradients_are_those_the_batch_was_trained_with():
    data = RNG.normal(size=(13, 3)).astype("float32")
    targets = RNG.normal(size=13).astype("float32")[:, None] * np.ones(3)
    targets[10:] = 1e3
    batches = ContiguousBatches(data[:12], 2, steps=2, targets=targets[:12])
    guard, made, noted = DivergenceGuard(limit=100.0), rich(), []
    note = keras.callbacks.LambdaCallback(
        on_train_batch_begin=lambda batch, logs: noted.append(made.get_weights())
    )
    after = []
    states = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: after.append(_states.get(note.model))
    )
    with pytest.warns(UserWarning, match="Training diverged"):
        made.fit(
            guard.watch(batches),
            callbacks=[TruncatedBPTT(batches), note, states, guard],
            shuffle=False,
            verbose=0,
        )
    report = guard.report
    assert report.batch == 2
    changes = [
        (a - b) / 0.5 for a, b in zip(noted[-1], made.get_weights(), strict=True)
    ]
    rows = [r for r in report.layers if r.weights is not None]
    assert [r.layer for r in rows] == ["lstm/lstm_cell", "dense"]
    for found, own in zip(rows, (changes[:3], changes[3:])):
        norm = np.sqrt(sum(np.sum(np.float64(c) ** 2) for c in own))
        assert found.gradient == pytest.approx(norm, rel=2e-3)
    # Looking at the batch again has left no trace.
    for a, b in zip(_states.get(made), after[-1], strict=True):
        np.testing.assert_array_equal(a, b)


@keras.saving.register_keras_serializable("test_divergence")
class Edge(keras.layers.Layer):
    """|w| x, whose derivative is infinite at w = 0 in this form."""

    def build(self, shape):
        self.w = self.add_weight(shape=(), initializer="zeros", name="w")

    def call(self, x):
        return x * keras.ops.sqrt(self.w)


def test_a_gradient_that_is_not_finite_is_found_before_the_next_batch():
    keras.utils.set_random_seed(1)
    made = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(2, name="below"),
            Edge(name="edge"),
            keras.layers.Dense(2, name="above"),
        ]
    )
    made.compile(keras.optimizers.SGD(0.1), "mse")
    guard = DivergenceGuard()
    report = diverge(made, guard.watch(X, Y, batch_size=4), guard)
    assert report.batch == 0 and np.isfinite(report.loss)
    assert "updated weights are not finite" in report.reason
    assert np.isfinite(row(report, "above").gradient)
    assert not np.isfinite(row(report, "edge").gradient)
    assert "first gradient that is not finite: 'edge'" in str(report)


def test_the_layer_whose_outputs_overflow_is_found():
    keras.utils.set_random_seed(1)
    made = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(2, name="fine"),
            keras.layers.Lambda(lambda x: keras.ops.exp(1e4 * (x + 9)), name="bursts"),
            keras.layers.Dense(2, name="above"),
        ]
    )
    made.compile("sgd", "mse")
    guard = DivergenceGuard()
    report = diverge(made, guard.watch(X, Y, batch_size=4), guard)
    assert "first outputs that are not finite: 'bursts'" in str(report)
    assert np.isfinite(row(report, "fine").output)


def test_a_loss_far_above_its_best_is_divergence():
    y = np.zeros((12, 2), "float32")
    y[11] = 1.0
    for factor, stops in ((3.0, True), (1e9, False)):
        guard, made = DivergenceGuard(factor=factor, window=2), linear(rate=0.0)
        made.set_weights([np.zeros((3, 2)), np.full(2, 0.1)])
        data = guard.watch(X, y, batch_size=1, shuffle=False)
        if stops:
            report = diverge(made, data, guard, shuffle=False)
            assert report.batch == 11
            assert "and was 0.01 at its best" in report.reason
        else:
            made.fit(data, callbacks=[guard], verbose=0, shuffle=False)
            assert guard.report is None


def test_a_negative_loss_may_come_nearer_to_zero():
    keras.utils.set_random_seed(1)
    made = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    made.compile(
        keras.optimizers.SGD(0.0), lambda y, p: keras.ops.mean(y, -1) + 0 * p[:, 0]
    )
    y = np.full((12, 2), -5.0, "float32")
    y[6:] = -0.1
    guard = DivergenceGuard(factor=3.0, window=2)
    data = guard.watch(X, y, batch_size=1, shuffle=False)
    made.fit(data, callbacks=[guard], verbose=0, shuffle=False)
    assert guard.report is None
    y[11] = 6.0
    data = guard.watch(X, y, batch_size=1, shuffle=False)
    assert diverge(made, data, guard, shuffle=False).batch == 11


def test_weights_of_the_last_good_epoch_are_put_back():
    class Poison(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.last, self.now = getattr(self, "now", None), made.get_weights()
            if epoch == 0:
                self.good = self.now
                data.dataset.arrays[0][5] = np.nan

    keras.utils.set_random_seed(1)
    made = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    made.compile(keras.optimizers.Adam(0.1), "mse")
    guard, poison = DivergenceGuard(restore_weights=True), Poison()
    data = guard.watch(X.copy(), Y, batch_size=4)
    with pytest.warns(UserWarning, match="Training diverged"):
        made.fit(data, callbacks=[poison, guard], verbose=0, epochs=3)
    assert guard.report.epoch == 1
    for a, b in zip(made.get_weights(), poison.good, strict=True):
        np.testing.assert_array_equal(a, b)
    assert int(made.optimizer.iterations) == 3
    for variable in made.optimizer.variables:
        assert np.all(np.isfinite(keras.ops.convert_to_numpy(variable)))
    made.fit(X, Y, verbose=0)


def test_an_error_can_be_raised_and_data_need_not_be_watched():
    x = X.copy()
    x[0] = np.nan
    guard = DivergenceGuard(raise_error=True)
    with pytest.raises(DivergenceError, match="guard.watch") as caught:
        linear().fit(x, Y, callbacks=[guard], verbose=0)
    assert caught.value.report is guard.report
    assert guard.report.inputs is None and row(guard.report, "dense").gradient is None


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"factor": 1}, "factor"),
        ({"limit": np.inf}, "limit"),
        ({"window": 0}, "window"),
    ],
)
def test_options_out_of_range_are_refused(options, name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        DivergenceGuard(**options)


def test_data_that_cannot_be_watched_is_refused():
    guard = DivergenceGuard()
    with pytest.raises(ValueError, match="same number of samples.* 11, 12"):
        guard.watch(X, Y[:11])

    class Batches(keras.utils.PyDataset):
        pass

    with pytest.raises(ValueError, match="workers=2"):
        guard.watch(Batches(workers=2))
    with pytest.raises(ValueError, match="has its targets"):
        guard.watch(Batches(), Y)


@pytest.mark.skipif(BACKEND == "torch", reason="Keras has no such option on torch.")
def test_batches_run_at_once_are_refused():
    guard = DivergenceGuard()
    with pytest.raises(ValueError, match="steps_per_execution=2"):
        linear(steps_per_execution=2).fit(X, Y, callbacks=[guard], verbose=0)


@pytest.mark.parametrize("name", ["factor", "limit"])
@pytest.mark.parametrize("value", ["a", float("nan"), [1.0]])
def test_bounds_are_numbers(name, value):
    with pytest.raises(ValueError, match=f"`{name}`, expected a finite number"):
        DivergenceGuard(**{name: value})
