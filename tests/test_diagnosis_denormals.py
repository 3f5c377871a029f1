"""Denormal numbers: how many there are, what they cost, and who computes with them."""

import keras
import numpy as np
import pytest

import keras_rnnx
from keras_rnnx import layers
from keras_rnnx.diagnosis import _measures, findings
from keras_rnnx.diagnosis.findings.patient import Patient
from keras_rnnx.diagnosis.measured import Denormals
from keras_rnnx.initializers import IdentityRecurrent

BACKEND = keras.backend.backend()
STEPS, FACTOR = 360, 0.7
TINY = np.finfo("float32").tiny


def examined():
    """A network whose gradient shrinks by 0.7 with each step back."""
    start = IdentityRecurrent(FACTOR)
    layer = layers.SimpleRNN(
        3, activation="linear", recurrent_initializer=start, name="rnn"
    )
    model = keras.Sequential(
        [keras.Input((STEPS, 2)), layer, keras.layers.Dense(1, name="top")]
    )
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(4, STEPS, 2)).astype("float32")
    wanted = ("gradients", "updates", "cost")
    return keras_rnnx.diagnose(model, x, x[:, 0, :1], measures=wanted)


@pytest.mark.skipif(BACKEND != "torch", reason="the others take them for 0")
def test_they_are_counted_and_timed_where_the_backend_keeps_them():
    report = examined()
    norms = report.layers["rnn"].gradients.norms
    # From 0.7 ** k < 1.2e-38 on they are denormal; they are rounded, and never 0.
    exact = norms[0] * FACTOR ** np.arange(STEPS)
    share = np.mean(exact < TINY)
    assert 0.2 < share < 0.5 and norms[-1] > 0
    assert report.denormals.share == pytest.approx(share, abs=0.02)
    assert report.denormals.seconds > 0 and report.denormals.flushed_seconds > 0
    assert _measures.denormals.kept(), "torch computes as it did before"


def test_they_are_no_matter_where_they_are_taken_for_zero():
    if BACKEND == "torch":
        with _measures.denormals.flushed():
            report = examined()
    else:
        report = examined()
    assert report.denormals is None
    assert "denormal" not in [finding.name for finding in report.findings]


def test_the_share_is_that_of_the_worst_array():
    half = np.array([[TINY / 2, 1.0], [-TINY / 8, 0.0]], "float32")
    fine = np.array([[TINY, 1.0], [-TINY, 0.0]], "float32")

    class Of:
        states = [fine, np.arange(4)]

    assert _measures.denormals.largest_share([Of], [[fine]]) == 0
    assert _measures.denormals.largest_share([Of], [[fine], [half, fine]]) == 2 / 8
    assert _measures.denormals.largest_share([], []) == 0


@pytest.mark.parametrize(("seconds", "named"), [(0.024, False), (0.026, True)])
def test_a_gradient_that_gets_a_quarter_faster_is_a_finding(seconds, named):
    found = Patient(None, {}, {}, None, None, denormals=Denormals(0.3, seconds, 0.02))
    names = [(f.name, f.cure) for f in findings.cost.denormal(found)]
    code = "torch.set_flush_denormal(True)  # before the first layer runs"
    assert names == [("denormal", code)] * named
