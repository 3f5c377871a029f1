"""Truncated backpropagation through time: long sequences in batches, and states."""

import doctest
import importlib

import keras
import numpy as np
import pytest
from tensors import close, numpy

import keras_rnnx
from keras_rnnx import _states
from keras_rnnx.callbacks import ResetStates, TruncatedBPTT
from keras_rnnx.datasets import ContiguousBatches, RandomSteps

BACKEND = keras.backend.backend()
ROWS, FEATURES, UNITS = 2, 3, 4


def series(steps, seed=0):
    return np.random.default_rng(seed).normal(size=(steps, FEATURES)).astype("float32")


def gru(**kwargs):
    return keras_rnnx.layers.GRU(UNITS, return_sequences=True, **kwargs)


def stateful():
    return gru(stateful=True)


def model(layer=stateful, rate=0.1, seed=0, **compile_options):
    keras.utils.set_random_seed(seed)
    made = keras.Sequential(
        [
            keras.Input(batch_shape=(ROWS, None, FEATURES)),
            layer(),
            keras.layers.Dense(FEATURES),
        ]
    )
    made.compile(keras.optimizers.SGD(rate), "mse", **compile_options)
    return made


class Watch(keras.callbacks.Callback):
    """Notes the states before and after each batch, and the learning rates."""

    def __init__(self):
        super().__init__()
        self.before, self.after, self.rates, self.after_test = [], [], [], []

    def on_train_batch_begin(self, batch, logs=None):
        self.before.append(_states.get(self.model)[0])
        self.rates.append(float(self.model.optimizer.learning_rate))

    def on_train_batch_end(self, batch, logs=None):
        self.after.append(_states.get(self.model)[0])

    def on_test_batch_begin(self, batch, logs=None):
        self.tested = _states.get(self.model)[0]

    def on_epoch_end(self, epoch, logs=None):
        self.after_test.append(_states.get(self.model)[0])


def fit(made, data, *callbacks, **kwargs):
    options = {"shuffle": False, "verbose": 0, **kwargs}
    return made.fit(data, callbacks=list(callbacks), **options)


# --- the data ---


def test_batches_continue_each_other():
    tokens = np.arange(50)
    batches = ContiguousBatches(tokens, 4, steps=5)
    parts = [batches[i] for i in range(len(batches))]
    x, y = (np.concatenate(part, axis=1) for part in zip(*parts))
    np.testing.assert_array_equal(x, tokens[:48].reshape(4, 12))
    np.testing.assert_array_equal(y, x + 1)
    assert [p[0].shape[1] for p in parts] == [2, 5, 5]
    dropped = ContiguousBatches(tokens, 4, steps=5, drop_remainder=True)
    assert [len(dropped[i][0][0]) for i in range(len(dropped))] == [5, 5]


def test_targets_of_ones_own_are_not_shifted():
    data, targets = series(12), np.arange(12)
    batches = ContiguousBatches(data, 3, steps=2, targets=targets)
    np.testing.assert_array_equal(batches[1][0], data.reshape(3, 4, FEATURES)[:, 2:])
    np.testing.assert_array_equal(batches[1][1], targets.reshape(3, 4)[:, 2:])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.arange(9), 4, 3, None, True), "too short: 8 .*=4 rows, give 2 .* steps=3"),
        ((np.arange(9), 0, 3), "`batch_size` .* received 0"),
        ((np.arange(9), 2, 2.5), "`steps` .* received 2.5"),
        ((np.arange(9), 2, 2, np.arange(8)), r"received\s+shapes \(9,\) and \(8,\)"),
        ((np.float32(3), 2, 2, np.float32(3)), "as many steps"),
        ((5, 4, 5), r"as many steps each, received\s+shapes \(\) and"),
        ((np.arange(99), 2, RandomSteps(9), None, True), "`drop_remainder=True`"),
    ],
)
def test_data_that_cannot_be_cut_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        ContiguousBatches(*arguments)


@pytest.mark.parametrize(
    "options",
    [{"steps": 1}, {"full": 1.5}, {"deviation": -1.0}, {"least": 0}, {"round_to": 0}],
)
def test_random_steps_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match=f"`{next(iter(options))}`"):
        RandomSteps(**options)


def test_random_steps_have_the_distribution_of_the_paper():
    lengths = np.array(RandomSteps(70, round_to=1, seed=3).draw(400_000)[:-1])
    short = lengths < 53
    # The noise is rounded, and 35 - 53 is 3.6 standard deviations.
    assert abs(short.mean() - 0.05) < 0.01
    assert abs(lengths[~short].mean() - 70) < 0.3
    assert abs(lengths[~short].std() - 5) < 0.2
    assert abs(lengths[short].mean() - 35) < 1.5
    assert lengths.min() >= 5
    assert min(RandomSteps(8, full=0.5, round_to=1).draw(1000)[:-1]) == 5
    rounded = RandomSteps(70, seed=3).draw(100_000)[:-1]
    assert {n % 5 for n in rounded} == {0} and len(set(rounded)) < 15


def test_random_steps_come_in_a_new_order_in_each_epoch_by_seed():
    data = np.arange(2000)
    batches, same = (
        ContiguousBatches(data, 2, RandomSteps(20, seed=5)) for _ in range(2)
    )
    orders = []
    for epoch in range(3):
        batches.seek(epoch)
        same.seek(epoch)
        orders.append(batches.lengths)
        assert same.lengths == batches.lengths
        assert sum(batches.lengths) == 999
        assert sorted(batches.lengths) == sorted(orders[0])
        # Shapes that differ are seen in the first two batches.
        assert batches.lengths[0] != batches.lengths[1]
    assert len(set(orders)) == 3
    batches.seek(0)
    assert batches.lengths == orders[0]
    other = ContiguousBatches(data, 2, RandomSteps(20, seed=6))
    assert other.lengths != orders[0]


# --- states in fit ---


def test_the_cut_sequence_gives_the_outputs_of_the_whole():
    made, data = model(rate=0.0), series(13)
    watch, batches = Watch(), ContiguousBatches(data, ROWS, steps=2)
    history = fit(made, batches, TruncatedBPTT(batches), watch, epochs=2)
    whole = keras_rnnx.layers.GRU(UNITS, return_sequences=True, return_state=True)
    rows = data[:12].reshape(ROWS, 6, FEATURES)
    whole.build(rows.shape)
    whole.set_weights(made.layers[0].get_weights())
    outputs, last = (numpy(t) for t in whole(rows))
    for epoch in range(2):
        for batch, end in enumerate((2, 4, 6)):
            close(watch.after[3 * epoch + batch], outputs[:, end - 1])
            start = outputs[:, end - 3] if batch else np.zeros((ROWS, UNITS))
            close(watch.before[3 * epoch + batch], start)
    targets = data[1:13].reshape(ROWS, 6, FEATURES)
    loss = np.mean((numpy(made.layers[1](outputs)) - targets) ** 2)
    close(history.history["loss"], [loss, loss])
    close(last, watch.after[-1])


def test_gradients_stop_at_the_borders_and_states_go_over_them():
    """Each update is that on the batch alone, from the states before it."""
    made, batches = model(), ContiguousBatches(series(9), ROWS, steps=2)
    fit(made, batches, TruncatedBPTT(batches))
    like = model(gru)
    inputs, first = keras.Input((None, FEATURES)), keras.Input((UNITS,))
    hidden = like.layers[0](inputs, initial_state=first)
    alone = keras.Model([inputs, first], like.layers[1](hidden))
    alone.compile(keras.optimizers.SGD(0.1), "mse")
    states = keras.Model([inputs, first], hidden[:, -1])
    before = np.zeros((ROWS, UNITS), "float32")
    for batch in range(2):
        x, y = batches[batch]
        after = numpy(states([x, before]))
        alone.train_on_batch([x, before], y)
        before = after
    for found, expected in zip(made.get_weights(), alone.get_weights(), strict=True):
        close(found, expected)


@pytest.mark.parametrize("steps_per_epoch", [None, 2])
def test_validation_neither_leaks_nor_disturbs_states(steps_per_epoch):
    data, held_out = series(17), series(9, seed=1)
    batches = ContiguousBatches(data, ROWS, steps=2)
    valid = ContiguousBatches(held_out, ROWS, steps=2)
    kwargs = {"epochs": 2, "steps_per_epoch": steps_per_epoch}
    runs = []
    for validation in (None, valid):
        made, watch = model(), Watch()
        callbacks = (TruncatedBPTT(batches), watch)
        history = fit(made, batches, *callbacks, validation_data=validation, **kwargs)
        runs.append((made, watch, history.history))
    (made, without, _), (_, watch, history) = runs
    for a, b in zip(watch.before + watch.after, without.before + without.after):
        np.testing.assert_array_equal(a, b)
    # Put back before the next epoch, which with steps_per_epoch goes on from there.
    np.testing.assert_array_equal(
        watch.after_test[0], watch.after[len(watch.after) // 2 - 1]
    )
    second = watch.before[len(watch.before) // 2]
    assert np.any(second != 0) == (steps_per_epoch is not None)
    # The loss is that of states that begin with zero.
    assert not np.any(watch.tested == watch.after[-1])
    _states.reset(made)
    expected = made.evaluate(valid, verbose=0)
    close(history["val_loss"][-1], expected)
    left = _states.get(made)
    assert np.any(left[0] != 0)
    close(made.evaluate(valid, verbose=0, callbacks=[TruncatedBPTT(valid)]), expected)
    np.testing.assert_array_equal(_states.get(made)[0], left[0])


def test_a_batch_read_ahead_between_epochs_is_in_order():
    batches = ContiguousBatches(series(41), ROWS, steps=2)
    for reads, ahead in (((0, 1), 2), ((3, 4), 5)):
        batches.on_epoch_begin()
        for index in reads:
            batches[index]
        batches.on_epoch_end()
        batches[ahead]
    batches.on_epoch_begin()
    batches[7]
    with pytest.raises(ValueError, match="batch 7 after batch 4"):
        batches.on_epoch_end()


@pytest.mark.usefixtures("seeds_as_stated")  # They give the numbers of steps.
def test_random_steps_scale_the_learning_rate():
    steps = RandomSteps(4, deviation=3, least=1, round_to=2, seed=2)
    batches = ContiguousBatches(series(41), ROWS, steps)
    made, watch = model(rate=0.5), Watch()
    callback = TruncatedBPTT(batches)
    expected = []
    for epoch in range(2):
        batches.seek(epoch)
        expected += [0.5 * n / 4 for n in batches.lengths]
    batches.seek(0)
    fit(made, batches, callback, watch, epochs=2)
    close(watch.rates, expected)
    assert len(set(expected)) > 2
    close(float(made.optimizer.learning_rate), 0.5)
    watch = Watch()
    fit(made, batches, TruncatedBPTT(batches, scale_learning_rate=False), watch)
    close(watch.rates, [0.5] * len(batches))


@pytest.mark.parametrize("callback", [True, False])
def test_shuffled_batches_are_an_error(callback):
    batches = ContiguousBatches(series(61), ROWS, steps=3)
    made = model()
    callbacks = [TruncatedBPTT(batches)] if callback else []
    with pytest.raises(ValueError, match="shuffle=False"):
        made.fit(batches, callbacks=callbacks, verbose=0)
    made.fit(batches, callbacks=callbacks, verbose=0, shuffle=False)


@pytest.mark.usefixtures("seeds_as_stated")  # They give the number of batches.
def test_what_cannot_be_trained_is_refused():
    batches = ContiguousBatches(series(25), ROWS, steps=3)
    random = ContiguousBatches(series(25), ROWS, RandomSteps(4, least=1, round_to=2))
    with pytest.raises(ValueError, match="ContiguousBatches, received"):
        TruncatedBPTT([1, 2])
    stateless = model(gru)
    with pytest.raises(ValueError, match="has none"):
        fit(stateless, batches, TruncatedBPTT(batches))
    more = ContiguousBatches(series(25), 2 * ROWS, steps=3)
    made = model()
    with pytest.raises(ValueError, match="batch_size=4, .* batches of 2"):
        fit(made, batches, TruncatedBPTT(more), steps_per_epoch=1)
    with pytest.raises(ValueError, match="reads 4 batches .* has 1"):
        small = ContiguousBatches(series(8), ROWS, steps=3)
        fit(made, batches, TruncatedBPTT(small))
    with pytest.raises(ValueError, match="steps_per_epoch=2"):
        fit(made, random, TruncatedBPTT(random), steps_per_epoch=2)
    made.compile(keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, 9)))
    with pytest.raises(ValueError, match="scale_learning_rate=False"):
        fit(made, random, TruncatedBPTT(random))
    if BACKEND != "torch":
        made.compile("sgd", "mse", steps_per_execution=2)
        with pytest.raises(ValueError, match="steps_per_execution=2"):
            fit(made, random, TruncatedBPTT(random))


@pytest.mark.skipif(BACKEND == "torch", reason="Keras has no such option on torch.")
def test_states_are_carried_through_several_batches_at_once():
    data = series(17)
    batches, weights = ContiguousBatches(data, ROWS, steps=2), []
    for at_once in (1, 2):
        made = model(steps_per_execution=at_once)
        fit(made, batches, TruncatedBPTT(batches), epochs=2)
        weights.append(made.get_weights())
    for a, b in zip(*weights):
        close(a, b)


def test_states_of_keras_own_layers_are_lost_on_jax_alone():
    batches = ContiguousBatches(series(9), ROWS, steps=2)
    options = {"stateful": True, "return_sequences": True}
    made, watch = model(lambda: keras.layers.SimpleRNN(UNITS, **options)), Watch()
    if BACKEND == "jax":
        with pytest.raises(ValueError, match="keras_rnnx.convert"):
            fit(made, batches, TruncatedBPTT(batches))
    else:
        fit(made, batches, TruncatedBPTT(batches), watch)
        np.testing.assert_array_equal(watch.before[1], watch.after[0])


# --- layers ---


NESTED = {
    "stack": lambda: keras_rnnx.layers.RNN(
        [keras_rnnx.cells.LSTMCell(UNITS), keras_rnnx.cells.GRUCell(3)],
        stateful=True,
        return_sequences=True,
    ),
    "bidirectional": lambda: keras.layers.Bidirectional(
        keras_rnnx.layers.LSTM(UNITS, stateful=True, return_sequences=True)
    ),
    "dropout": lambda: keras_rnnx.layers.LSTM(
        UNITS, stateful=True, return_sequences=True, recurrent_dropout=0.2, dropout=0.1
    ),
}


@pytest.mark.parametrize("name", NESTED)
def test_nested_layers_carry_and_reset_states(name):
    made, watch = model(NESTED[name]), Watch()
    batches = ContiguousBatches(series(13), ROWS, steps=2)
    weights = len(made.get_weights())
    fit(made, batches, TruncatedBPTT(batches), watch, epochs=2)
    assert len(made.get_weights()) == weights
    for batch in range(6):
        expected = watch.after[batch - 1] if batch % 3 else 0 * watch.after[0]
        np.testing.assert_array_equal(watch.before[batch], expected)
    assert len({a.tobytes() for a in watch.after}) == 6
    assert all(np.any(state != 0) for state in _states.get(made))
    for layer in _states.layers(made).values():
        layer.reset_state()
    assert not any(np.any(state != 0) for state in _states.get(made))


@pytest.mark.parametrize("engine", ["fused", "step"])
def test_stateful_layers_train_on_any_engine(engine):
    batches, weights = ContiguousBatches(series(9), ROWS, steps=2), []
    for chosen in (engine, "step"):
        with keras_rnnx.engine.force(chosen):
            made = model()
            fit(made, batches, TruncatedBPTT(batches))
            weights.append(made.get_weights())
    for a, b in zip(*weights):
        close(a, b)


def test_stateful_layers_save_without_states(tmp_path):
    made = model()
    batches = ContiguousBatches(series(9), ROWS, steps=2)
    fit(made, batches, TruncatedBPTT(batches))
    made.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for a, b in zip(loaded.get_weights(), made.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not any(np.any(state != 0) for state in _states.get(loaded))
    fit(loaded, batches, TruncatedBPTT(batches))


# --- ResetStates ---


@pytest.mark.parametrize(
    ("every", "due"),
    [
        ("epoch", [0, 5]),
        (2, [0, 2, 4, 5, 7, 9]),
        ([0, 3], [0, 3, 5, 8]),
        ([1], [0, 1, 6]),
    ],
)
def test_states_are_reset_when_asked(every, due):
    made, watch = model(), Watch()
    x = series(5 * ROWS * 2).reshape(-1, 2, FEATURES)
    fit(made, x, ResetStates(every), watch, y=x, batch_size=ROWS, epochs=2)
    zero = [i for i, state in enumerate(watch.before) if not np.any(state != 0)]
    assert zero == due


def test_prediction_has_states_of_its_own():
    made, callback = model(), ResetStates(2)
    x = series(4 * ROWS * 2).reshape(-1, 2, FEATURES)
    _states.put(made, [np.ones((ROWS, UNITS))])
    options = {"batch_size": ROWS, "verbose": 0, "callbacks": [callback]}
    found = made.predict(x, **options)
    np.testing.assert_array_equal(_states.get(made)[0], 1)
    _states.reset(made)
    first = made.predict(x[: 2 * ROWS], batch_size=ROWS, verbose=0)
    _states.reset(made)
    second = made.predict(x[2 * ROWS :], batch_size=ROWS, verbose=0)
    close(found, np.concatenate([first, second]))


@pytest.mark.parametrize("every", [0, "batch", 1.5, [-1]])
def test_unknown_times_of_reset_are_refused(every):
    with pytest.raises(ValueError, match="`every`"):
        ResetStates(every)


@pytest.mark.skipif(BACKEND == "torch", reason="Keras has no such option on torch.")
def test_a_reset_between_batches_run_at_once_is_refused():
    made = model(steps_per_execution=2)
    x = series(8 * ROWS).reshape(-1, 2, FEATURES)
    with pytest.raises(ValueError, match="multiples of 2"):
        fit(made, x, ResetStates(3), y=x, batch_size=ROWS)
    fit(made, x, ResetStates(2), y=x, batch_size=ROWS)


# --- docstrings ---


@pytest.mark.parametrize(
    "name",
    [
        "callbacks.backup",
        "callbacks.divergence_guard",
        "callbacks.reset_states",
        "callbacks.swap_averages",
        "callbacks.truncated_bptt",
        "datasets._batches.contiguous",
        "datasets._batches.random_steps",
        "optimizers.ntasgd",
    ],
)
def test_examples_of_docstrings_run(name):
    module = importlib.import_module(f"keras_rnnx.{name}")
    names = {"keras_rnnx": keras_rnnx, "keras": keras, "np": np, "ops": keras.ops}
    failed, tried = doctest.testmod(module, extraglobs=names)
    assert tried and not failed
