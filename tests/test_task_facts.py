"""What is said of tasks before they are loaded is true of their data."""

import inspect
import os

import numpy as np
import pytest

from keras_rnnx.datasets import list_tasks, load_task, registry
from keras_rnnx.datasets.facts import FACTS, PUBLISHED

pytestmark = pytest.mark.any_backend

# Downloads, which the raw files at hand are none of.
DOWNLOADED = {"ag_news", "imdb_reviews", "tiny_shakespeare", "uea"}


def takes_files(name):
    return "manual_dir" in inspect.signature(registry._TASKS[name]).parameters


def check(name, **options):
    task, facts = load_task(name, **options), FACTS[name]
    assert task.kind == facts.kind
    assert tuple(len(part.x) for part in task.parts) == facts.sizes
    if facts.lengths is not None:
        lengths = [len(row) for part in task.parts for row in part.x]
        assert (min(lengths), max(lengths)) == facts.lengths
    if facts.baseline is None:
        assert task.baseline is None
    else:
        assert task.baseline[:2] == facts.baseline[:2]
        np.testing.assert_allclose(task.baseline.value, facts.baseline.value, rtol=5e-4)
    assert tuple(task.published) == PUBLISHED.get(name, ())
    return task


@pytest.mark.parametrize("name", [n for n in FACTS if not takes_files(n)])
def test_facts_of_what_is_drawn(name):
    check(name)


@pytest.mark.raw_data
@pytest.mark.parametrize("name", [n for n in FACTS if takes_files(n)])
def test_facts_of_raw_files(name, tmp_path_factory):
    folder = tmp_path_factory.getbasetemp() / "prepared"
    check(name, manual_dir=os.environ["KERAS_RNNX_RAW"], data_dir=folder)


def test_there_are_facts_of_all_tasks_of_the_package():
    ours = {n for n in list_tasks() if registry._TASKS[n].__module__ != __name__}
    ours = {n for n in ours if registry._TASKS[n].__module__.startswith("keras_rnnx.")}
    assert set(FACTS) == ours - DOWNLOADED
    assert set(PUBLISHED) <= set(FACTS) | DOWNLOADED


def test_the_best_published_result_is_the_least_loss_or_the_greatest_accuracy():
    assert FACTS["jsb_chorales"].best.method == "convolutions"
    assert FACTS["trec"].best.value == 0.948
    assert FACTS["adding"].best is None
