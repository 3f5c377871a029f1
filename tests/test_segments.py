"""Long sequences in segments: `checkpoint=`, and what long loops keep."""

import catalogue
import keras
import numpy as np
import pytest
from tensors import numpy

from keras_rnnx import engine, layers, testing
from keras_rnnx.engine import backends
from keras_rnnx.engine.loop import segments
from keras_rnnx.engine.loop.engine import FusedEngine
from keras_rnnx.engine.sequence import CallOptions
from keras_rnnx.testing import Case
from keras_rnnx.testing.conformance import _compare, _run

BACKEND = keras.backend.backend()
# Two states; split gates with a recurrent bias; late gates; vectors that are learned;
# states of two widths.
KINDS = ["lstm", "gru", "gru_reset_before", "leaky_rnn_learned", "lstmp"]


@pytest.fixture
def runs(monkeypatch):
    """Lists, for every sequence run in segments, whether these keep what they need."""
    found = []
    init = segments.Segments.__init__

    def noted(self, segment, *args):
        found.append(segment.kept is not None)
        init(self, segment, *args)

    monkeypatch.setattr(segments.Segments, "__init__", noted)
    return found


HOLES = Case(
    "holes",
    mask="holes",
    training=True,
    arguments={"dropout": 0.3, "recurrent_dropout": 0.3, "zoneout": 0.2},
    steps=37,  # 12 segments of 3 and one more step
    zero_output_for_mask=True,
)
LAST = Case("last output", training=True, steps=32, return_sequences=False)
DROPOUT = Case(
    "dropout",
    mask="holes",
    training=True,
    arguments={"recurrent_dropout": 0.3, "dropout_mask": "step"},
    checkpoint=4,
    go_backwards=True,
)
ROOT = Case("the root", training=True, checkpoint=True, return_sequences=False)
LONGER = Case("longer than the sequence", training=True, checkpoint=50)
EACH = Case("each step", training=True, checkpoint=1, mask="left", steps=3)


@pytest.mark.any_backend
@pytest.mark.parametrize(
    "length, kept, repeated", [(5000, 250, 50), (1024, 64, 32), (37, 3, 7), (7, 1, 3)]
)
def test_segments_divide_the_steps_where_they_can(length, kept, repeated):
    """16 of those that keep what they need, else about the root: not 1 of a prime."""
    run = FusedEngine(catalogue.make("lstm"), False, False, True)
    for segments_, steps in (("kept", kept), ("repeated", repeated)):
        options = CallOptions(True, False, training=True, segments=segments_)
        assert run._segment_steps(length, options) == steps


@pytest.mark.parametrize(
    "variant, case",
    [*((variant, HOLES) for variant in KINDS), ("lstm", LAST)],
    ids=lambda value: getattr(value, "name", value),
)
def test_segments_that_keep_what_they_need(variant, case, monkeypatch, runs):
    monkeypatch.setattr("keras_rnnx.engine.loop.engine.LARGE", 0)
    monkeypatch.setattr(backends.current(), "LONG", 0)
    cell = catalogue.make(variant)
    expected = _run(cell, case, "step", 0)
    assert not runs
    found = _run(cell, case, "fused", 0)
    assert runs and all(runs)
    _compare(cell, case, "fused", expected, found)


@pytest.mark.parametrize(
    "variant, case",
    [
        *((variant, DROPOUT) for variant in KINDS),
        ("lstm", ROOT),
        ("gru", LONGER),
        ("leaky_rnn_learned", EACH),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_checkpoints_change_no_number(variant, case, runs):
    cell = catalogue.make(variant)
    expected = _run(cell, case, "step", 0)
    layer = layers.RNN(catalogue.make(variant, **case.arguments))
    names = [e for e in engine.ENGINES[:-1] if not engine.refusal(layer, e)]
    assert "fused" in names
    for name in names:
        runs.clear()
        found = _run(cell, case, name, 0)
        assert runs and not any(runs)
        _compare(cell, case, name, expected, found)


def test_nothing_is_run_in_segments_unasked(runs):
    x = np.zeros((2, 40, 3), "float32")
    layers.LSTM(4)(x, training=True)
    layers.LSTM(4, checkpoint=4)(x, training=False)
    assert not runs
    layers.LSTM(4, checkpoint=4)(x, training=True)
    assert runs == [False]


def test_a_checkpointed_model_trains_and_is_saved(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 9, 3)).astype("float32")
    x[3, 5:] = 0
    y = x.sum(axis=(1, 2))[:, None]
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((None, 3)),
            keras.layers.Masking(),
            keras.layers.Bidirectional(
                layers.GRU(6, checkpoint=True, return_sequences=True, dropout=0.1)
            ),
            layers.LeakyRNN(6, checkpoint=2),
            keras.layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.Adam(0.02), "mse")
    losses = model.fit(x, y, batch_size=8, epochs=30, verbose=0).history["loss"]
    assert losses[-1] < 0.7 * losses[0]
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    expected = numpy(model(x))
    np.testing.assert_allclose(loaded.predict(x, verbose=0), expected, atol=1e-5)
    assert loaded.layers[1].forward_layer.checkpoint is True
    assert loaded.layers[2].checkpoint == 2


@pytest.mark.parametrize("value", [0, -3, 2.5, "auto"])
def test_invalid_checkpoints(value):
    with pytest.raises(ValueError, match=f"checkpoint={value!r}"):
        layers.LSTM(2, checkpoint=value)


def test_what_checkpoints_cannot_go_with():
    with pytest.raises(ValueError, match="checkpoint=True.*unroll=True"):
        layers.LSTM(2, checkpoint=True, unroll=True)
    x = np.zeros((1, 3, 2), "float32")
    stack = layers.RNN([catalogue.make("lstm"), catalogue.make("gru")], checkpoint=2)
    with pytest.raises(ValueError, match="a stack of cells.*checkpoint=2.*=None"):
        stack(x)
    with (
        pytest.raises(ValueError, match="step.*checkpoint=2 is not possible"),
        engine.force("step"),
    ):
        layers.LSTM(2, checkpoint=2)(x)


@pytest.mark.skipif(BACKEND != "torch", reason="torch tells what autograd holds")
@pytest.mark.parametrize("name", ["native", "fused"])
def test_autograd_holds_less(name):
    import torch

    def held(checkpoint):
        layer = layers.LSTM(16, checkpoint=checkpoint)
        sizes = {}

        def pack(tensor):
            sizes[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with (
            engine.force(name),
            torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
        ):
            layer(torch.ones(4, 400, 8), training=True)
        return sum(sizes.values())

    assert held(True) < 0.4 * held(None)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="other backends know the length")
@pytest.mark.parametrize("checkpoint", [True, 4])
def test_a_length_that_is_not_known_beforehand(checkpoint, runs):
    import tensorflow as tf

    layer = layers.GRU(5, checkpoint=checkpoint, return_sequences=True)
    layer.build((None, None, 3))

    @tf.function(input_signature=[tf.TensorSpec((None, None, 3))])
    def gradients(x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(x, training=True) ** 2)
        return tape.gradient(loss, [v.value for v in layer.trainable_variables])

    rng = np.random.default_rng(0)
    for steps in (1, 3, 7, 9):
        x = rng.normal(size=(2, steps, 3)).astype("float32")
        whole = layers.GRU(5, return_sequences=True)
        whole.build(x.shape)
        whole.set_weights(layer.get_weights())
        _, expected = testing.gradients(
            lambda x, whole=whole: [whole(x, training=True)],
            [x],
            whole.trainable_variables,
            [2 * numpy(whole(x))],
        )
        for ours, theirs in zip(gradients(x), expected[1:], strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    assert runs == [False]
