"""keras_rnnx.diagnose with `history`: overfitting, plateaus, losses that jump."""

import keras
import numpy as np
import pytest

import keras_rnnx
from keras_rnnx import layers
from keras_rnnx.diagnosis import _measures
from keras_rnnx.diagnosis.findings import curves as findings
from keras_rnnx.diagnosis.findings import patient
from keras_rnnx.diagnosis.measured import LayerReport, Past

RANDOM = np.random.default_rng(0)
FALLING = np.exp(-np.arange(20) / 5)


def found(loss, validation=None, past=None, layer=None):
    """The findings about such losses."""
    history = {"loss": loss} | ({} if validation is None else {"val_loss": validation})
    if layer is None:
        layer = layers.LSTM(4)
        layer.build((2, 9, 3))
    report = LayerReport("rnn", "LSTMCell", 4, 9, 9)
    made = patient.Patient(
        None,
        {"rnn": layer},
        {"rnn": report},
        None,
        past,
        _measures.curves.measure(history),
    )
    troubles = (findings.overfitted, findings.unstable, findings.plateau)
    return [finding for trouble in troubles for finding in trouble(made)]


def names(*arguments, **options):
    return [finding.name for finding in found(*arguments, **options)]


@pytest.mark.any_backend
def test_measures_of_losses():
    measured = _measures.curves.measure(
        {"loss": [1.0, 0.5, 0.6, 0.4, 0.4], "val_loss": [1.0, 0.7, 0.6, 0.8, 0.9]}
    )
    assert (measured.best, measured.since_best, measured.since_progress) == (3, 2, 1)
    assert measured.gap == pytest.approx(0.5)
    assert measured.rise == pytest.approx(0.3)
    assert measured.jump == pytest.approx(0.1 / 0.5)
    measured = _measures.curves.measure({"loss": [2.0, 1.0, 1.5]})
    assert (measured.best, measured.gap) == (2, None)
    assert measured.rise == measured.jump == 0.5
    assert _measures.curves.measure({"loss": [1.0, np.nan]}).jump == np.inf


@pytest.mark.any_backend
def test_a_validation_loss_that_rises():
    validation = 0.3 + np.abs(np.arange(20) - 8) / 40
    (finding,) = found(FALLING, validation)
    assert finding.name == "overfitted" and finding.layer is None
    assert "best in epoch 9 of 20, 0.3, and 0.575 at the end" in finding.evidence
    assert "weight_dropout=0.5" in finding.cure and "zoneout=0.1" in finding.cure


@pytest.mark.any_backend
def test_a_validation_loss_that_stays_while_the_other_falls_to_nothing():
    validation = np.maximum(0.5, 1 - np.arange(20) / 8)
    validation[4:] += 0.001 * np.arange(16)
    assert names(FALLING, validation) == ["overfitted"]


@pytest.mark.any_backend
def test_a_training_that_is_as_it_should_be():
    noise = 1 + 0.03 * RANDOM.normal(size=20)
    assert names(FALLING) == []
    assert names(FALLING * noise, (FALLING + 0.05) * noise[::-1]) == []
    # It has learned what there is, and stays there.
    settled = np.maximum(FALLING, 0.2) * noise
    assert names(settled, settled[::-1].copy()[::-1] * 1.05) == []
    # The validation loss wavers around its end.
    wavers = np.maximum(FALLING, 0.2) + 0.05 * RANDOM.uniform(size=20)
    assert names(FALLING + 0.15, wavers) == []
    # With dropout the training loss is the larger one.
    assert names(FALLING + 0.3, FALLING + 0.1) == []
    assert names([1.0, 2.0], [1.0, 3.0]) == ["unstable"]
    assert names([1.0]) == []


@pytest.mark.any_backend
def test_a_loss_that_stays():
    flat = 0.69 + 0.002 * RANDOM.normal(size=20)
    assert names(flat) == ["plateau"]
    assert "for 19 of 20 epochs" in found(flat)[0].evidence
    # The first epoch has a bias to learn.
    falls_first = np.concatenate([[3.0], flat])
    assert names(falls_first) == []
    nothing = Past(4, 0.69, 0.69, 0.7)
    assert names(falls_first, past=nothing) == ["plateau"]
    assert names(flat, past=Past(4, 0.1, 0.5, 0.7)) == []
    assert names(flat[:5]) == []


@pytest.mark.any_backend
def test_a_loss_that_jumps():
    loss = FALLING.copy()
    loss[12] = 0.9
    (finding,) = found(loss)
    assert finding.name == "unstable" and "From epoch 12 to 13" in finding.evidence
    loss[15] = np.nan
    (finding,) = found(loss)
    assert "is nan in epoch 16" in finding.evidence
    assert names(-FALLING[::-1]) == []


@pytest.mark.any_backend
@pytest.mark.parametrize(
    "layer",
    [
        lambda: layers.LSTM(4),
        lambda: layers.IndRNN(4),
        lambda: layers.MinGRU(4),
        lambda: layers.SLSTM(4),
        lambda: keras.layers.GRU(4),
    ],
)
def test_each_cure_can_be_typed(layer):
    made = layer()
    made.build((2, 9, 3))
    validation = 0.3 + np.abs(np.arange(20) - 8) / 40
    (finding,) = found(FALLING, validation, layer=made)
    for line in finding.cure.splitlines():
        cured = eval(line)
        if isinstance(cured, keras.Layer):
            cured(np.ones((2, 9, 3), "float32"), training=True)


def test_a_model_that_learns_by_heart():
    """Targets that nothing says: what it learns of them is by heart."""
    keras.utils.set_random_seed(0)
    random = np.random.default_rng(0)
    x = random.normal(size=(48, 10, 3)).astype("float32")
    y = random.normal(size=(48, 1)).astype("float32")
    model = keras.Sequential(
        [keras.Input((10, 3)), layers.LSTM(32, name="lstm"), keras.layers.Dense(1)]
    )
    model.compile(keras.optimizers.Adam(0.02), "mse")
    history = model.fit(
        *(x[:32], y[:32]),
        validation_data=(x[32:], y[32:]),
        epochs=30,
        batch_size=16,
        verbose=0,
    )
    options = {"measures": "states"}
    report = keras_rnnx.diagnose(model, x[:32], y[:32], history=history, **options)
    assert "overfitted" in [finding.name for finding in report.findings]
    assert report.curves.gap > 0 and "epoch" in str(report)
    plain = keras_rnnx.diagnose(model, x[:32], y[:32], **options)
    assert plain.curves is None and not plain.findings
    for wrong, message in (
        ({"accuracy": [1.0]}, "`history` needs 'loss'"),
        ({"loss": [1.0, 2.0], "val_loss": [1.0]}, "2 values of 'loss' and 1"),
        ({"loss": 3.0}, "must be a list of numbers"),
    ):
        with pytest.raises(ValueError, match=message):
            keras_rnnx.diagnose(model, x, y, history=wrong)
    with pytest.raises(TypeError, match="what `fit` returned"):
        keras_rnnx.diagnose(model, x, y, history=[1.0])
