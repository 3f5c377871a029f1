"""Which tests `make test` runs on a backend; --everything runs them all.

torch, which compiles nothing, runs every test with every case. TensorFlow and JAX
compile for most of a test's time, and what differs between backends differs for few
reasons. So there a test has one of its cases, another on each of the two. A test marked
`cases(n)` has n of them, and a test file about one backend has all of them there.
"""

import collections
import zlib

import keras

CASES = 1

# test file: the backends that run it
ABOUT = {
    "test_tensorflow.py": ["tensorflow"],
    "test_tensorflow_xla.py": ["tensorflow"],
    "test_export_tensorflow.py": ["tensorflow"],
    "test_builders_tensorflow.py": ["tensorflow"],
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
    "test_export_jax.py": ["jax"],
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
    "test_contributing.py": ["torch"],
    "test_benchmarks.py": ["torch"],
    "test_catalogue_benchmark.py": ["torch"],
    "test_published.py": ["torch"],
    "test_tuning_benchmark.py": ["torch"],
    "test_affected.py": ["torch"],
    "test_types.py": ["torch"],
    # Pages and figures, of numbers.
    "test_diagnosis_page.py": ["torch"],
    "test_search_report.py": ["torch"],
    # What a search keeps and decides; test_cli.py has one from start to use.
    "test_search.py": ["tensorflow", "torch"],
    "test_search_oracle.py": ["torch"],
    "test_search_spaces.py": ["torch"],
    # Data, before a backend has them.
    "test_baselines.py": ["torch"],
    "test_builders_files.py": ["torch"],
    "test_drawn.py": ["torch"],
    "test_raw_files.py": ["torch"],
    "test_task_facts.py": ["torch"],
    # JAX has no kernel for the CPU and no emulator: see test_gpu.py.
    "test_lowering.py": ["tensorflow", "torch"],
}


def about_other_backends():
    """The test files that this backend leaves out."""
    backend = keras.backend.backend()
    return [file for file, backends in ABOUT.items() if backend not in backends]


def divided(tests):
    """Tests as two lists in their order: those to run, and those to leave out."""
    if keras.backend.backend() == "torch":
        return tests, []
    cases = collections.defaultdict(list)
    for test in tests:
        if not test.get_closest_marker("any_backend"):
            cases[test.parent, test.originalname].append(test)
    sample = {test for same in cases.values() for test in _sample(same)}
    kept = [test for test in tests if test in sample]
    return kept, [test for test in tests if test not in sample]


def _sample(cases):
    """Cases of one test, drawn by the backend's name and theirs: the same each time."""
    test, backend = cases[0], keras.backend.backend()
    marker = test.get_closest_marker("cases")
    alone = ABOUT.get(test.path.name) == [backend]
    count = marker.args[0] if marker else len(cases) if alone else CASES
    draw = {case: zlib.crc32(f"{backend} {case.name}".encode()) for case in cases}
    return sorted(cases, key=draw.get)[:count]
