"""Sequences of many lengths: in batches, behind a mask, and through a model."""

import keras
import numpy as np
import pytest
from tensors import numpy

from keras_rnnx import layers
from keras_rnnx.datasets import PaddedBatches


def drawn(n=30, features=3, longest=12, seed=0):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, longest + 1, n)
    return [rng.normal(size=(k, features)).astype("float32") for k in lengths]


def rows_of(batches):
    """Every sequence of an epoch without its padding, with what stands beside it."""
    for x, *others in (batches[k] for k in range(len(batches))):
        for n, row in enumerate(x):
            valid = ~np.isnan(row).all(-1)
            assert valid[: valid.sum()].all(), "padding stands at the end"
            yield (row[valid], *(None if o is None else o[n] for o in others))


@pytest.mark.any_backend
@pytest.mark.parametrize("shuffle", [False, True])
def test_each_epoch_has_every_sequence_once_with_its_target(shuffle):
    x = drawn()
    y, weights = np.arange(30), np.linspace(0, 1, 30)
    batches = PaddedBatches(x, y, 8, weights, shuffle=shuffle, bucket_size=16)
    orders = []
    for _ in range(3):
        order = []
        for row, target, weight in rows_of(batches):
            np.testing.assert_array_equal(row, x[target])
            assert weight == np.float32(weights[target])
            order.append(int(target))
        assert sorted(order) == list(range(30))
        orders.append(order)
        batches.on_epoch_begin()
        batches.on_epoch_end()
    if not shuffle:
        assert orders[0] == orders[1] == list(range(30))
        return
    assert orders[0] != orders[1] != orders[2]
    batches.seek(1)
    assert [int(target) for _, target, _ in rows_of(batches)] == orders[1]


@pytest.mark.any_backend
def test_like_lengths_come_together():
    x = drawn(200, longest=100)
    real = sum(map(len, x))

    def padded(**options):
        batches = PaddedBatches(x, batch_size=10, **options)
        return sum(batches[k][0][..., 0].size for k in range(len(batches)))

    assert padded(shuffle=False) > 1.5 * real
    assert padded() < 1.15 * real
    assert padded(bucket_size=40) < 1.4 * real


@pytest.mark.any_backend
def test_lengths_are_rounded_up_and_remainders_left_out():
    x = drawn(13)
    batches = PaddedBatches(x, batch_size=4, pad_to_multiple_of=5, drop_remainder=True)
    shapes = [batches[k][0].shape for k in range(len(batches))]
    assert len(shapes) == 3
    assert all(n == 4 and steps % 5 == 0 for n, steps, _ in shapes)


def test_a_sequence_alone_and_in_a_batch_have_the_same_outputs():
    keras.utils.set_random_seed(0)
    x = drawn(9)
    x[2][:2] = 0  # valid, and masked by keras.layers.Masking
    model = keras.Sequential(
        [
            keras.Input((None, 3)),
            layers.MaskPadding(),
            layers.Bidirectional(layers.GRU(4)),
            keras.layers.Dense(2),
        ]
    )
    together = model.predict(PaddedBatches(x, batch_size=4, shuffle=False), verbose=0)
    alone = [numpy(model(row[None]))[0] for row in x]
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-6)


def test_targets_of_each_step_train_behind_a_mask(tmp_path):
    """With two batches of one length ahead, which TensorFlow must not take for all."""
    keras.utils.set_random_seed(0)
    x = [np.ones((5, 3), "float32")] * 20 + drawn(10)
    y = [(row.sum(-1) > 0).astype("int32") for row in x]
    batches = PaddedBatches(x, y, 4, bucket_size=4)
    model = keras.Sequential(
        [
            keras.Input((None, 3)),
            layers.MaskPadding(),
            layers.LSTM(4, return_sequences=True),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy")
    losses = model.fit(batches, epochs=3, verbose=0).history["loss"]
    assert batches.epoch in (3, 4)  # Keras may begin one to build the model.
    assert losses[-1] < losses[0]
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert np.isfinite(again.evaluate(batches, verbose=0))


@pytest.mark.any_backend
def test_tokens_are_padded_with_zero():
    x = [[3, 1], [2], [4, 4, 4]]
    first, y = PaddedBatches(x, [[1, 1], [0], [1, 0, 1]], 3, shuffle=False)[0]
    np.testing.assert_array_equal(first, [[3, 1, 0], [2, 0, 0], [4, 4, 4]])
    np.testing.assert_array_equal(y, [[1, 1, 0], [0, 0, 0], [1, 0, 1]])
    assert first.dtype == y.dtype == np.int32


def test_a_step_that_is_partly_nan_stays_and_masks_are_joined():
    x = np.array([[[np.nan, 1.0], [np.nan, np.nan], [0.0, 0.0], [2.0, 1.0]]], "float32")
    layer = layers.MaskPadding()
    masked = numpy(layer(x))
    assert np.isnan(masked[0, 0, 0]) and not np.isnan(masked[0, 1:]).any()
    mask = np.array([[True, True, True, False]])
    joined = numpy(layer.compute_mask(x, mask))
    np.testing.assert_array_equal(joined, [[True, False, True, False]])


@pytest.mark.any_backend
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": []}, "no sequence"),
        ({"x": [np.ones((2, 3)), np.ones((0, 3))]}, "Row 1 of `x` has no steps"),
        ({"x": [np.ones((2, 3)), np.ones((2, 4))]}, "Row 1 of `x` has 4 features"),
        ({"x": [np.ones((2, 3)), np.full((2, 3), np.nan)]}, "Row 1 .* NaN at step 0"),
        ({"x": [[1, 2], [3, 0]]}, "Row 1 of `x` holds 0 at step 1"),
        ({"x": [["a", "b"]]}, "row 0 has shape"),
        ({"y": np.zeros(3)}, "2 sequences; `y`"),
        ({"y": [np.zeros(2), np.zeros(4)]}, "Row 1 of `y`"),
        ({"y": [np.zeros(2)]}, "`y` has 1"),
        ({"sample_weight": [1.0]}, "`sample_weight`"),
        ({"batch_size": 0}, "`batch_size`"),
        ({"bucket_size": 1}, "`bucket_size`"),
        ({"batch_size": 3, "drop_remainder": True}, "leaves no batch"),
    ],
)
def test_what_does_not_fit_says_which_row(arguments, message):
    given = {"x": [np.ones((2, 3)), np.ones((3, 3))], "batch_size": 2} | arguments
    with pytest.raises(ValueError, match=message):
        PaddedBatches(**given)
