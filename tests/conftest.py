"""Quick compilation, seeds, and which tests are left out on which backend."""

import os

import quick

os.environ.update(quick.environment())

import keras
import pytest
import seeds

# test file: the backends that it is about
ABOUT = {
    "test_tensorflow.py": ["tensorflow"],
    "test_tensorflow_xla.py": ["tensorflow"],
    "test_cudnn.py": ["tensorflow"],
    "test_cudnn_emulator.py": ["tensorflow"],
    "test_torch.py": ["torch"],
    "test_torch_gradients.py": ["torch"],
    "test_export_torch.py": ["torch"],
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
    # So is what a search keeps; test_cli.py has one from start to use.
    "test_tuner.py": ["tensorflow", "torch"],
    # JAX has no kernel for the CPU and no emulator: see test_gpu.py.
    "test_lowering.py": ["tensorflow", "torch"],
}
collect_ignore = [
    path for path, about in ABOUT.items() if keras.backend.backend() not in about
]


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    seeds.shift_all(config)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
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
        "--everything",
        action="store_true",
        help="run the tests marked exhaustive too, those marked any_backend on each, "
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
    """Leaves what is marked as expensive, or as seen on another backend, to that."""
    if config.getoption("everything"):
        return
    left = ["exhaustive"]
    if keras.backend.backend() != "torch":
        left.append("any_backend")
    kept, out = [], []
    for item in items:
        (out if any(map(item.get_closest_marker, left)) else kept).append(item)
    if out:
        config.hook.pytest_deselected(items=out)
        items[:] = kept


@pytest.fixture(params=["emulated", pytest.param("real", marks=pytest.mark.gpu)])
def played(request, monkeypatch):
    """Recordings of loops are made and counted: a list of those that were played."""
    import graphs

    return graphs.counted(request.param, monkeypatch)
