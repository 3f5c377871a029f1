"""Language models, their embedding, how they are trained, and states kept beside."""

import keras
import numpy as np
import pytest
from tensors import close, numpy, randomize

import keras_rnnx
from keras_rnnx import layers, models

WORDS, BATCH, STEPS = 30, 4, 6
# Most tests are about the rest of the AWD-LSTM.
PLAIN = {"weight_dropout": 0.0, "ar": 0.0, "tar": 0.0}


def tokens(steps=STEPS, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, WORDS, (BATCH, steps)).astype("int32")


def small(name, **kwargs):
    if name == "zaremba":
        model = models.zaremba("small", WORDS, BATCH, units=5, **kwargs)
    else:
        kwargs = {**PLAIN, **kwargs}
        model = models.awd_lstm(WORDS, 4, 6, batch_size=BATCH, **kwargs)
    randomize(model, scale=0.3)
    return model


def test_sizes_are_those_published():
    # Embedding, two layers, scores: 4.65 million; the paper says 20 for medium and 66
    # for large.
    assert models.zaremba("small").count_params() == 4651600
    assert models.awd_lstm(**PLAIN).count_params() == 24210800

    def count(units, words=10000):
        return 2 * words * units + words + 2 * 4 * units * (2 * units + 1)

    assert count(200) == 4651600
    assert models.zaremba("medium", vocabulary=10).count_params() == count(650, 10)
    assert round(count(650) / 1e6) == 20 and round(count(1500) / 1e6) == 66


@pytest.mark.parametrize(("size", "rate"), [("small", 0), ("medium", 0.5)])
def test_zaremba_is_what_the_paper_says(size, rate):
    model = models.zaremba(size, 50, BATCH)
    stack = model.get_layer("stack")
    rates = (stack.input_dropout, stack.dropout, stack.output_dropout)
    assert rates == (rate, rate, rate) and stack.dropout_mask == "step"
    scale = {"small": 0.1, "medium": 0.05}[size]
    for variable in model.trainable_variables:
        value = numpy(variable)
        assert 0.9 * scale < np.abs(value).max() <= scale, variable.path
        assert value.min() < 0 < value.max()
    assert stack.states is not None and stack.units == [stack.units[0]] * 2


def test_zaremba_is_keras_layers_in_a_row():
    model = small("zaremba")
    plain = keras.Sequential(
        [
            keras.Input((STEPS,)),
            keras.layers.Embedding(WORDS, 5),
            keras.layers.LSTM(5, return_sequences=True),
            keras.layers.LSTM(5, return_sequences=True),
            keras.layers.Dense(WORDS),
        ]
    )
    plain.set_weights(model.get_weights())
    close(model(tokens()), plain(tokens()))


def test_awd_lstm_is_layers_with_tied_scores():
    model = small("awd_lstm")
    embedding, stack = model.get_layer("embedding"), model.get_layer("stack")
    assert stack.units == [6, 6, 4] and stack.dropout_mask == "sequence"
    assert (stack.input_dropout, stack.dropout) == (0.4, 0.25)
    matrix, bias = (numpy(v) for v in embedding.weights)
    h = matrix[tokens()]
    for layer in stack.layers:
        plain = keras.layers.LSTM(layer.cell.units, return_sequences=True)
        plain.build(h.shape)
        plain.set_weights(layer.get_weights())
        h = numpy(plain(h))
    close(model(tokens()), h @ matrix.T + bias)


def test_awd_lstm_starts_as_in_the_paper():
    model = models.awd_lstm(WORDS, 30, 100, batch_size=BATCH, **PLAIN)
    for variable in model.trainable_variables:
        largest = np.abs(numpy(variable)).max()
        if variable.path.startswith("embedding"):
            assert largest == 0 if variable.name == "bias" else 0.09 < largest <= 0.1
        else:
            assert 0.09 < largest <= 0.1, variable.path  # 1 / sqrt(100)


def test_every_dropout_of_awd_lstm_is_on_in_training_alone():
    rates = ("embedding_dropout", "input_dropout", "dropout", "output_dropout")
    for name in rates:
        off = dict.fromkeys(rates, 0.0)
        model = small("awd_lstm", depth=2, stateful=False, **{**off, name: 0.5})
        with keras_rnnx.engine.force("step"):
            calm, trained = model(tokens()), model(tokens(), training=True)
            assert np.any(numpy(calm) != numpy(trained)), name
            close(model(tokens()), calm)


def test_output_dropout_of_awd_lstm_has_one_mask_for_all_steps():
    model = models.awd_lstm(WORDS, 500, 4, depth=1, batch_size=2, **PLAIN)
    drop = model.get_layer("output_dropout")
    y = numpy(drop(np.ones((2, 3, 500), "float32"), training=True))
    assert np.all(y == y[:, :1]) and np.any(y[0] != y[1])
    np.testing.assert_allclose(np.unique(y), [0, 1 / 0.6], rtol=1e-6)


def test_activity_regularizers_are_where_the_paper_has_them(monkeypatch):
    class Sum(keras.regularizers.Regularizer):
        def __init__(self, weight):
            self.weight = weight

        def __call__(self, x):
            return self.weight * keras.ops.sum(x)

    class Regularizers:
        AR = TAR = Sum

    monkeypatch.setattr(keras_rnnx, "regularizers", Regularizers, raising=False)
    monkeypatch.setitem(__import__("sys").modules, "keras_rnnx.regularizers", None)
    off = {"embedding_dropout": 0, "input_dropout": 0, "dropout": 0}
    model = models.awd_lstm(
        WORDS, 4, 6, 1, BATCH, weight_dropout=0, ar=2.0, tar=3.0, **off
    )
    raw = keras.Model(model.input, model.get_layer("stack").output)
    model(tokens(), training=True)
    tar, ar = (float(numpy(loss)) for loss in model.losses)
    keras_rnnx.models.reset_states(model)
    # As Keras adds it, which divides by the batch size from version 3.14 on.
    alone = keras.layers.Activation("linear", activity_regularizer=Sum(1.0))
    alone(raw(tokens()))
    total = float(numpy(alone.losses[0]))
    assert tar == pytest.approx(3 * total, rel=1e-4)
    assert ar != pytest.approx(2 * total, rel=1e-4)  # of what dropout leaves


@pytest.mark.parametrize("name", ["zaremba", "awd_lstm"])
def test_models_are_saved_and_go_on_from_their_states(name, tmp_path):
    model = small(name)
    path = tmp_path / "model.keras"
    expected = model(tokens())
    states = models.get_states(model)
    model.save(path)
    loaded = keras.models.load_model(path)
    assert loaded.count_params() == model.count_params()
    close(loaded(tokens()), expected)
    # States are not in the file: it began with zeros, as the model did.
    further = model(tokens(seed=1))
    np.savez(tmp_path / "states.npz", **states)
    models.reset_states(loaded)
    assert np.any(numpy(loaded(tokens(seed=1))) != numpy(further))
    with np.load(tmp_path / "states.npz") as kept:
        models.set_states(loaded, kept)
    close(loaded(tokens(seed=1)), further)


def test_states_are_named_and_checked():
    model = small("zaremba")
    states = models.get_states(model)
    assert list(states) == [
        f"stack/level_{k}/lstm_{k}/{state}" for k in (1, 2) for state in (0, 1)
    ]
    model(tokens())
    assert all(np.all(state == 0) for state in states.values())  # copies
    kept = models.get_states(model)
    assert all(np.any(state != 0) for state in kept.values())
    wrong = {**kept, "stack/level_1/lstm_1/0": np.zeros((2, 5))}
    for bad in (wrong, {"a": np.zeros(2)}):
        with pytest.raises(ValueError, match="not the states of model 'zaremba'"):
            models.set_states(model, bad)
    for name, state in models.get_states(model).items():
        np.testing.assert_array_equal(state, kept[name])
    models.reset_states(model)
    assert all(np.all(s == 0) for s in models.get_states(model).values())
    assert models.get_states(small("zaremba", stateful=False)) == {}


def test_states_of_keras_layers_and_of_stacks_of_cells():
    model = keras.Sequential(
        [
            keras.Input(batch_shape=(2, None, 3)),
            keras.layers.Bidirectional(
                keras.layers.GRU(4, stateful=True, return_sequences=True, name="a"),
                name="both",
            ),
            layers.RNN(
                [keras.layers.LSTMCell(2), keras.layers.GRUCell(3)],
                stateful=True,
                name="cells",
            ),
        ]
    )
    x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")
    model(x)
    kept = models.get_states(model)
    assert {name: s.shape[1] for name, s in kept.items()} == {
        "both/forward_a/0": 4,
        "both/backward_a/0": 4,
        "cells/0": 2,
        "cells/1": 2,
        "cells/2": 3,
    }
    expected = model(x)
    models.set_states(model, kept)
    close(model(x), expected)


def rates_of(training):
    (callback,) = training.fit["callbacks"]
    optimizer = training.compile["optimizer"]
    callback.set_model(keras.Sequential())
    callback.model.optimizer = optimizer
    found = []
    for epoch in range(training.fit["epochs"]):
        callback.on_epoch_begin(epoch)
        found.append(float(optimizer.learning_rate))
    return found


def test_learning_rates_of_zaremba():
    # Rate 1 for 4 epochs, then halved after each.
    expected = [1, 1, 1, 1, *(0.5**k for k in range(1, 10))]
    np.testing.assert_allclose(rates_of(models.zaremba_training("small")), expected)
    for size, epochs, constant, decay, clip in (
        ("medium", 39, 6, 1.2, 5),
        ("large", 55, 14, 1.15, 10),
    ):
        training = models.zaremba_training(size)
        rates = rates_of(training)
        assert len(rates) == epochs and rates[:constant] == [1] * constant
        np.testing.assert_allclose(
            rates[constant:],
            [decay**-k for k in range(1, epochs - constant + 1)],
            rtol=1e-5,
        )
        assert training.compile["optimizer"].global_clipnorm == clip
        assert training.steps == 35


def test_zaremba_trains_on_the_sum_over_steps():
    model = small("zaremba", steps=STEPS)
    before = [numpy(v).copy() for v in model.trainable_variables]
    x, y = tokens(), tokens(seed=1)
    logits = numpy(model(x)).astype("float64")
    models.reset_states(model)
    lot = np.log(np.exp(logits).sum(-1))
    nll = lot - np.take_along_axis(logits, y[..., None], axis=-1)[..., 0]
    training = models.zaremba_training("small", BATCH)
    model.compile(**training.compile)
    fit = {**training.fit, "epochs": 1, "batch_size": BATCH, "verbose": 0}
    history = model.fit(x, y, **fit).history
    assert history["loss"][0] == pytest.approx(nll.sum(axis=1).mean(), rel=1e-4)
    assert history["crossentropy"][0] == pytest.approx(nll.mean(), rel=1e-4)
    # A step at rate 1; the bias of the scores has the gradient of the softmax.
    share = np.exp(logits - lot[..., None])
    share[np.arange(BATCH)[:, None], np.arange(STEPS), y] -= 1
    gradient = share.sum(axis=(0, 1)) / BATCH
    moved = [b - numpy(v) for b, v in zip(before, model.trainable_variables)]
    length = np.sqrt(sum(np.sum(m.astype("float64") ** 2) for m in moved))
    assert length <= 5.001
    clipped = moved[-1] / gradient
    np.testing.assert_allclose(clipped, clipped[0], rtol=1e-2)
    if length < 4.99:
        assert clipped[0] == pytest.approx(1, rel=1e-2)


def test_states_go_on_from_batch_to_batch_in_fit():
    """On every backend: what comes after depends on what came before."""
    model = small("zaremba")
    model.compile(keras.optimizers.SGD(0.0), "mse")
    x = np.concatenate([tokens(), tokens(seed=1)])
    y = np.zeros((2 * BATCH, STEPS, WORDS), "float32")
    model.fit(x, y, batch_size=BATCH, shuffle=False, verbose=0)
    fitted = models.get_states(model)
    models.reset_states(model)
    model(tokens()), model(tokens(seed=1))
    for name, state in models.get_states(model).items():
        close(fitted[name], state)
        assert np.any(state != 0)


def test_embedding_drops_words_and_not_elsewhere():
    embedding = layers.Embedding(1000, 3, embedding_dropout=0.25, seed=1)
    words = np.stack([np.arange(1000)] * 2)
    whole = numpy(embedding(words))
    np.testing.assert_array_equal(whole, numpy(embedding.embeddings)[words])
    dropped = numpy(embedding(words, training=True))
    factor = dropped / whole
    # All of a word, and wherever it stands.
    np.testing.assert_allclose(factor, np.broadcast_to(factor[:1, :, :1], factor.shape))
    np.testing.assert_allclose(np.unique(np.round(factor, 5)), [0, 1.33333])
    assert abs(np.mean(factor > 0) - 0.75) < 0.05
    assert np.any(numpy(embedding(words, training=True)) != dropped)
    again = layers.Embedding(1000, 3, embedding_dropout=0.25, seed=1)
    again.build()
    again.set_weights(embedding.get_weights())
    np.testing.assert_array_equal(numpy(again(words, training=True)), dropped)


def test_embedding_in_reverse():
    embedding = layers.Embedding(7, 3, reverse_bias=True, embedding_dropout=0.5)
    embedding.build()
    bias = np.arange(7, dtype="float32")
    matrix = numpy(embedding.embeddings)
    embedding.set_weights([matrix, bias])
    vectors = np.random.default_rng(0).normal(size=(2, 4, 3)).astype("float32")
    # The matrix is whole in training too.
    for training in (False, True):
        scores = embedding(vectors, reverse=True, training=training)
        close(scores, vectors @ matrix.T + bias)
    inputs = keras.Input((None,))
    there = embedding(inputs)
    back = embedding(there, reverse=True)
    assert there.shape == (None, None, 3) and back.shape == (None, None, 7)
    half = layers.Embedding(7, 3, dtype="mixed_bfloat16", reverse_bias=True)
    scores = half(half(np.array([[1, 2]])), reverse=True)
    assert keras.backend.standardize_dtype(scores.dtype) == "bfloat16"
    config = embedding.get_config()
    assert layers.Embedding.from_config(config).get_config() == config
    with pytest.raises(ValueError, match="`embedding_dropout`, .*got 1"):
        layers.Embedding(7, 3, embedding_dropout=1)


def test_masks_of_an_embedding_both_ways():
    words = np.array([[1, 2, 0, 0], [3, 1, 2, 0]])
    embedding = layers.Embedding(5, 4, mask_zero=True)
    inputs = keras.Input((4,), dtype="int32")
    h = layers.Stack("gru", 4, return_sequences=True)(embedding(inputs))
    model = keras.Model(inputs, embedding(h, reverse=True))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    scores = numpy(model(words)).astype("float64")
    nll = np.log(np.exp(scores).sum(-1)) - scores[..., 1]
    valid = words != 0
    loss = model.evaluate(words, np.ones_like(words), verbose=0)
    assert loss == pytest.approx(nll[valid].mean(), rel=1e-4)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: models.zaremba("smal"), "Unknown size.*Did you mean 'small'"),
        (lambda: models.zaremba_training("big"), "Unknown size"),
        (lambda: models.zaremba(dropout=1.0), "got 1.0"),
        (lambda: models.awd_lstm(weight_dropout=1.5), "`weight_dropout`"),
        (lambda: models.awd_lstm(**{**PLAIN, "ar": -1}), "`ar` must not be negative"),
        (lambda: models.awd_lstm(depth=0, **PLAIN), "`depth`"),
    ],
)
def test_what_does_not_fit_says_so(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_other_cells_take_the_place_of_the_lstm():
    model = small("zaremba", cell="gru", dropout=0.2)
    rows = keras_rnnx.explain(model)
    assert [row.cell for row in rows] == ["GRUCell"] * 2
    assert model(tokens()).shape == (BATCH, STEPS, WORDS)


@pytest.mark.any_backend
def test_awd_lstm_as_published_trains_and_is_saved(tmp_path):
    model = models.awd_lstm(WORDS, 4, 6, batch_size=BATCH)
    stack = model.get_layer("stack")
    assert [layer.cell.weight_dropout for layer in stack.layers] == [0.5] * 3
    before = [numpy(v).copy() for v in model.trainable_variables]
    crossentropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", crossentropy)
    model.fit(tokens(), tokens(seed=1), batch_size=BATCH, shuffle=False, verbose=0)
    model(tokens(), training=True)
    assert len(model.losses) == 2  # AR and TAR
    assert all(np.any(a != numpy(v)) for a, v in zip(before, model.trainable_variables))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    models.set_states(loaded, models.get_states(model))
    close(loaded(tokens()), model(tokens()))


@pytest.mark.parametrize(
    "make, name",
    [
        (lambda **options: models.zaremba(**options), "return_sequences"),
        (lambda **options: models.zaremba(**options), "input_dropout"),
        (lambda **options: models.awd_lstm(**options), "activity_regularizer"),
        (lambda **options: models.awd_lstm(**options), "dropout_mask"),
    ],
)
def test_what_a_model_sets_itself_cannot_be_given(make, name):
    with pytest.raises(ValueError, match=f"sets {name} itself, received {name}=0"):
        make(**{name: 0})


@pytest.mark.parametrize("size", [0, -1, 2.0, None])
def test_a_batch_has_a_sequence_or_more(size):
    with pytest.raises(ValueError, match="`batch_size` must be an integer of at"):
        models.zaremba_training(batch_size=size)
