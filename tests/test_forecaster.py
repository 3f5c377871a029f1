"""Forecasts: at once, and step by step from what was forecast."""

import keras
import numpy as np
import pytest
from kinds import numbers, randomized
from tensors import numpy

from keras_rnnx import models

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    "kwargs",
    [
        {"cell": "lstm", "depth": 2, "connection": "residual"},
        {"cell": "gru", "depth": 2, "gated_feedback": True},
        {"cell": "qrnn", "window": 3},
        {"cell": "slstm", "initial_state_trainable": True},
        {"cell": "unicornn", "dropout": 0.5},
        {"cell": "lru"},
    ],
    ids=lambda kwargs: kwargs["cell"],
)
@pytest.mark.cases(2)
def test_its_own_forecasts_are_the_next_steps(kwargs):
    """The last forecast is the first behind a window that the others are put to."""
    model = models.forecaster(3, features=3, mode="autoregressive", units=4, **kwargs)
    one = models.forecaster(1, features=3, mode="autoregressive", units=4, **kwargs)
    randomized(model, scale=0.4)
    one.set_weights(model.get_weights())
    x = numbers(RNG, 2)
    found, longer = numpy(model(x)), x
    for k in range(3):
        forecast = numpy(one(longer))
        np.testing.assert_allclose(found[:, k : k + 1], forecast, rtol=1e-4, atol=1e-5)
        longer = np.concatenate([longer, forecast], axis=1)
    assert np.ptp(found, axis=1).min() > 1e-4


def test_a_direct_forecast_is_a_dense_layer_on_the_last_output():
    model = randomized(models.forecaster(3, 2, features=3, units=4))
    x = numbers(RNG, 2)
    last = keras.Model(model.input, model.get_layer("stack").output)
    kernel, bias = model.get_layer("values").get_weights()
    expected = (numpy(last(x)) @ kernel + bias).reshape(2, 3, 2)
    np.testing.assert_allclose(numpy(model(x)), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.any_backend
def test_the_loss_of_a_late_step_reaches_the_weights():
    model = models.forecaster(3, mode="autoregressive", units=4)
    model.compile(keras.optimizers.Adam(0.03), "mse")
    t = np.arange(48)[:, None] + np.arange(15)
    wave = np.sin(t / 3)[..., None].astype("float32")
    history = model.fit(wave[:, :12], wave[:, 12:], epochs=25, verbose=0).history
    assert history["loss"][-1] < 0.1 * history["loss"][0]


@pytest.mark.any_backend
def test_forecasts_that_cannot_be_are_refused():
    def auto(**kwargs):
        return models.forecaster(2, features=3, mode="autoregressive", **kwargs)

    with pytest.raises(ValueError, match="outputs=2 and features=3"):
        auto(outputs=2)
    for name in ("bidirectional", "go_backwards", "batch_norm", "monte_carlo"):
        with pytest.raises(ValueError, match="mode='autoregressive' runs the stack"):
            auto(**{name: True})
    with pytest.raises(ValueError, match="'direct' or 'autoregressive'"):
        models.forecaster(2, mode="recursive")
    with pytest.raises(ValueError, match="`horizon` must be"):
        models.forecaster(0)
    assert models.forecaster(2, units=3, bidirectional=True).output_shape[1:] == (2, 1)
