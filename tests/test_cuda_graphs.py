"""Loops recorded as CUDA graphs: on a GPU as they are, elsewhere with an emulator."""

import catalogue
import keras
import numpy as np
import pytest
import torch
from graphs import (
    LOOPS,
    built,
    drawn,
    pair,
    same,
    smaller,
    unrecorded,
    values,
)
from tensors import numpy

from keras_rnnx import engine, layers
from keras_rnnx.regularizers import GradientFlow


@pytest.mark.parametrize("masked", [False, True], ids=["all", "holes"])
@pytest.mark.parametrize("variant, arguments", LOOPS.values(), ids=LOOPS)
def test_what_is_played_is_what_the_loop_computes(variant, arguments, masked, played):
    """Call by call with other inputs, masks and noise, and with weights that change."""
    ours, plain = pair(variant, arguments)
    for seed in range(4):
        x, mask = drawn(seed)
        mask = mask if masked else None
        same(values(ours, x, mask), unrecorded(plain, x, mask))
        # The first call of a shape is not recorded.
        assert len(played) == 2 * seed
        smaller(ours, plain)
    assert len(set(played)) == 2
    moving = [layer.non_trainable_variables for layer in (ours, plain)]
    same(*([numpy(v) for v in group] for group in moving))


@pytest.mark.parametrize("variant", catalogue.VARIANTS)
def test_every_cell_can_be_recorded(variant, played):
    ours, plain = pair(variant, {})
    for seed in range(3):
        x, mask = drawn(seed)
        same(values(ours, x, mask), unrecorded(plain, x, mask))
        smaller(ours, plain)
    assert len(played) == 4


def test_calls_before_a_backward_pass_keep_their_own_results(played):
    """As of a layer that is shared, or when gradients are accumulated."""
    arguments = {"recurrent_dropout": 0.4}
    ours, plain = pair("lstm", arguments)
    x, _ = drawn(0)
    same(values(ours, x, calls=3), unrecorded(plain, x, calls=3))
    same(values(ours, x, calls=3), unrecorded(plain, x, calls=3))
    assert len(played) == 2 + 2 + 3 + 3


def test_results_are_not_written_to_by_a_later_call(played):
    layer = built("peephole_lstm", {})
    (x, _), (other, _) = drawn(0), drawn(1)
    with engine.force("fused"):
        layer(x)
        found = layer(x)
        before = numpy(found).copy()
        layer(other)
    assert len(played) == 2
    np.testing.assert_array_equal(numpy(found), before)


def test_inference_mode_before_and_after(played):
    ours, plain = pair("peephole_lstm", {})
    x = torch.tensor(drawn(0)[0])
    for mode in (torch.inference_mode, torch.no_grad) * 2:
        with mode(), engine.force("fused"):
            found = [ours(x).clone() for _ in range(2)][-1]
            with engine.cuda_graphs(False):
                expected = plain(x).clone()
        torch.testing.assert_close(found, expected)
    assert len(played) == 7


def test_what_a_cell_declares_may_change(played):
    """A rate that a callback lowers acts in the next call."""
    ours, plain = pair("scrn", {})
    flowing = pair("ugrnn", {"recurrent_regularizer": GradientFlow(2.0)})
    x, _ = drawn(0)
    for alpha in (0.95, 0.95, 0.5, 0.5, 0.5):
        ours.cell.alpha = plain.cell.alpha = alpha
        same(values(ours, x), unrecorded(plain, x))
        for layer in flowing:
            layer.cell.recurrent_regularizer.rate = 2 * alpha
        same(values(flowing[0], x), unrecorded(flowing[1], x))
    assert len(played) == 2 * 2 * (1 + 2)


def trained():
    """The losses of some epochs, of batches of two shapes."""
    keras.utils.set_random_seed(1)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(72, 12, 3)).astype("float32")
    y = (x.sum(axis=(1, 2)) > 0).astype("float32")
    model = keras.Sequential(
        [
            layers.LSTM(16, recurrent_dropout=0.2, zoneout=0.1, layer_norm=True),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(keras.optimizers.Adam(1e-2), "binary_crossentropy")
    return model.fit(x, y, batch_size=16, epochs=4, verbose=0).history["loss"]


def test_a_model_trains_as_it_does_without(played):
    with engine.cuda_graphs(False):
        expected = trained()
    assert not played
    np.testing.assert_allclose(trained(), expected, rtol=1e-3)
    # Two shapes, whole batches and the last one. Each first call is not recorded.
    assert len(played) == 2 * (4 * 5 - 2)
    assert len(set(played)) == 4
