"""keras_rnnx.diagnose: 126 patients that are drawn, each with one trouble or none."""

import keras
import patients
import pytest
from patients import reasons
from patients.bodies import model_of, of_the_end
from patients.troubles import FAMILIES

import keras_rnnx

TORCH = keras.backend.backend() == "torch"
# TensorFlow and JAX compile for most of the time.
COUNT = 126 if TORCH else 15
on_torch = pytest.mark.skipif(not TORCH, reason="others have no kernels on a CPU")


@pytest.mark.slow
def test_the_first_finding_is_right():
    chosen = list(patients.chosen(COUNT, seed=0))
    seen = list(patients.examine(chosen))
    named, alarmed = patients.rates(seen)
    said = "\n".join([patients.table(seen), *patients.misses(seen)])
    # One miss of the 13 with a trouble is more than one in 20. None of the five
    # healthy ones may have a finding.
    some = 0 if TORCH else 1 / 10
    assert named >= 0.95 - some and alarmed <= 0.05 + some, said
    if TORCH:
        assert len(seen) == 126
        assert sum(not one.expected for one in seen) >= 2 * len(FAMILIES)


@pytest.mark.any_backend
def test_every_kind_has_its_share():
    assert set(patients.SHARES) == set(patients.KINDS)
    kinds = [kind for kind, _ in patients.chosen(120, seed=3)]
    assert set(kinds) == set(patients.available())


@on_torch
def test_every_reason_is_known():
    """A new reason of `explain` is a trouble, or none, or not on a CPU."""
    shown = {row.template for row in (*reasons.SLOW, *reasons.FINE)}
    known = shown | set(reasons.ELSEWHERE)
    found = reasons.templates() | {reasons.KERAS}
    assert known == found
    assert not shown & set(reasons.ELSEWHERE)


@on_torch
@pytest.mark.parametrize("row", [*reasons.SLOW, *reasons.FINE], ids=lambda r: r.words)
def test_layers_have_the_reasons_that_they_stand_for(row):
    x = patients.bodies.inputs(patients.np.random.default_rng(0), 6)
    y = of_the_end(x)
    model = model_of([row.make(8)], 6, y)
    texts = [one.reason for one in keras_rnnx.explain(model)]
    assert any(reasons.matches(row.template, text) for text in texts), texts
    report = keras_rnnx.diagnose(model, x, y, measures="cost")
    names = [finding.name for finding in report.findings]
    assert names == (["slow"] if row in reasons.SLOW else [])
