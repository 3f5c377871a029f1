"""Quick compilation, seeds, and which tests run."""

import contextlib
import gc
import os
import pathlib
import time

import quick

os.environ.update(quick.environment())

import affected
import pytest
import seeds
import selection

collect_ignore = selection.about_other_backends()

NEAREST = pytest.StashKey()

STARTED = time.monotonic()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    seeds.shift_all(config)
    reference = config.getoption("changed")
    if reference:
        distances = affected.distances(affected.changed_files(reference))
        config.stash[NEAREST] = distances
        tests = pathlib.Path(__file__).parent.glob("test_*.py")
        collect_ignore.extend({path.name for path in tests} - set(distances))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    limit = item.config.getoption("seconds")
    if limit and time.monotonic() - STARTED > limit:
        pytest.skip(f"{limit} seconds are over: `make test` runs it")
    # Before its fixtures, so that what these draw does not depend on other tests.
    seeds.seed(item.nodeid)


@pytest.fixture
def seeds_as_stated(monkeypatch):
    """For a test of what one seed gives, or beside a process of its own."""
    seeds.as_stated(monkeypatch)


def pytest_addoption(parser):
    parser.addoption(
        "--seed-offset",
        type=int,
        default=0,
        metavar="N",
        help="shift the seeds of all tests by N: a test may not rest on one draw",
    )
    parser.addoption(
        "--changed",
        metavar="REF",
        help="only test files that reach what has changed since REF, nearest first",
    )
    parser.addoption(
        "--seconds",
        type=int,
        metavar="N",
        help="start no test after N seconds; it is shown as skipped",
    )
    parser.addoption(
        "--everything",
        action="store_true",
        help="run every test with every case on each backend: hours",
    )


def pytest_generate_tests(metafunc):
    if "conforming" not in metafunc.fixturenames:
        return
    # Cells are for those who ask for them.
    import catalogue

    every = metafunc.config.getoption("everything")
    found = catalogue.VARIANTS if every else catalogue.CONFORMING
    metafunc.parametrize("conforming", found)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    """The nearest to a change first; without what is left to --everything.

    Without a change the slow ones come first, so that no process ends with one of them
    while the others have nothing left.
    """
    nearest = config.stash.get(NEAREST, None)
    if nearest is not None:
        items.sort(key=lambda item: nearest[item.path.name])
    else:
        items.sort(key=lambda item: item.get_closest_marker("slow") is None)
    if config.getoption("everything"):
        return
    kept, out = selection.divided(items)
    if out:
        config.hook.pytest_deselected(items=out)
        items[:] = kept


@pytest.fixture(scope="module", autouse=True)
def little_to_collect():
    """What was imported stays: collections of garbage need not look at it again.

    Searches and benchmarks collect before each model, for half a second each time.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(params=["emulated", pytest.param("real", marks=pytest.mark.gpu)])
def played(request, monkeypatch):
    """Recordings of loops are made and counted: a list of those that were played."""
    import graphs

    return graphs.counted(request.param, monkeypatch)


@pytest.fixture
def eager_trials():
    """The models of trials run eagerly, step by step: compiling takes longer."""
    import small_searches

    with small_searches.eager():
        yield


@pytest.fixture
def uncompiled(request):
    """On TensorFlow models run eagerly, step by step, but in tests marked `compiled`.

    For small models that train for a few steps: TensorFlow compiles for seconds, and
    what a test asks for does not depend on it.
    """
    import eager_models

    marked = request.node.get_closest_marker("compiled")
    with contextlib.nullcontext() if marked else eager_models.on_tensorflow():
        yield


@pytest.fixture(scope="module")
def without_progress_bar():
    """tensorflow-datasets shows nothing while it prepares."""
    import tensorflow_datasets as tfds

    tfds.disable_progress_bar()
    yield
    tfds.enable_progress_bar()
