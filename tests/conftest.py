"""Leaves out the tests of backends that are not in use."""

import keras

ABOUT_ONE_BACKEND = {
    "tensorflow": ("test_tensorflow.py", "test_cudnn.py", "test_cudnn_emulator.py"),
    "torch": ("test_torch.py",),
    "jax": ("test_jax.py",),
}
collect_ignore = [
    path
    for backend, paths in ABOUT_ONE_BACKEND.items()
    for path in paths
    if keras.backend.backend() != backend
]
