"""Quick compilation, seeds, and which tests are left out on which backend."""

import os
import pathlib
import time

import quick

os.environ.update(quick.environment())

import affected
import keras
import pytest
import seeds

NEAREST = pytest.StashKey()

# test file: the backends that it is about
ABOUT = {
    "test_tensorflow.py": ["tensorflow"],
    "test_tensorflow_xla.py": ["tensorflow"],
    "test_cudnn.py": ["tensorflow"],
    "test_cudnn_emulator.py": ["tensorflow"],
    "test_torch.py": ["torch"],
    "test_torch_gradients.py": ["torch"],
    "test_export_torch.py": ["torch"],
    "test_torch_one_step.py": ["torch"],
    "test_cuda_capture.py": ["torch"],
    "test_cuda_graphs.py": ["torch"],
    "test_cuda_graphs_kept.py": ["torch"],
    "test_cuda_graphs_refused.py": ["torch"],
    "test_jax.py": ["jax"],
    # NumPy alone: once is enough.
    "test_oracles.py": ["torch"],
    "test_oracle_identities.py": ["torch"],
    "test_oracle_numbers.py": ["torch"],
    # What stands around a cell is the same on all.
    "test_every_layer.py": ["torch"],
    "test_fuzz.py": ["torch"],
    # It chooses its backends itself.
    "test_installing.py": ["torch"],
    "test_pages.py": ["torch"],
    "test_docstrings.py": ["torch"],
    "test_search_spaces.py": ["torch"],
    "test_benchmarks.py": ["torch"],
    "test_catalogue_benchmark.py": ["torch"],
    "test_affected.py": ["torch"],
    # So is what a search keeps; test_cli.py has one from start to use.
    "test_tuner.py": ["tensorflow", "torch"],
    # JAX has no kernel for the CPU and no emulator: see test_gpu.py.
    "test_lowering.py": ["tensorflow", "torch"],
}
collect_ignore = [
    path for path, about in ABOUT.items() if keras.backend.backend() not in about
]


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
        help="run the tests marked any_backend on each backend, "
        "and check_cell for all cells on backends that compile: an hour",
    )


def pytest_generate_tests(metafunc):
    if "conforming" not in metafunc.fixturenames:
        return
    # Cells are for those who ask for them.
    import catalogue

    every = metafunc.config.getoption("everything")
    found = catalogue.VARIANTS if every else catalogue.CONFORMING
    metafunc.parametrize("conforming", found)


def pytest_collection_modifyitems(config, items):
    """The nearest to a change first; without what is left to --everything."""
    nearest = config.stash.get(NEAREST, None)
    if nearest is not None:
        items.sort(key=lambda item: nearest[item.path.name])
    if config.getoption("everything") or keras.backend.backend() == "torch":
        return
    kept, out = [], []
    for item in items:
        (out if item.get_closest_marker("any_backend") else kept).append(item)
    if out:
        config.hook.pytest_deselected(items=out)
        items[:] = kept


@pytest.fixture(params=["emulated", pytest.param("real", marks=pytest.mark.gpu)])
def played(request, monkeypatch):
    """Recordings of loops are made and counted: a list of those that were played."""
    import graphs

    return graphs.counted(request.param, monkeypatch)
