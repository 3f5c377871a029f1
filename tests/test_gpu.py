"""The engines on a GPU. Run by `make test-gpu`."""

import catalogue
import keras
import pytest

from keras_rnnx import testing

pytestmark = pytest.mark.gpu


def gpu():
    backend = keras.backend.backend()
    if backend == "torch":
        import torch

        return torch.cuda.is_available()
    if backend == "jax":
        import jax

        return jax.default_backend() == "gpu"
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


@pytest.fixture(autouse=True)
def needs_gpu():
    if not gpu():
        pytest.skip(f"{keras.backend.backend()} finds no GPU")


@pytest.mark.parametrize("variant", catalogue.VARIANTS)
def test_conforms(variant):
    testing.check_cell(catalogue.make(variant))
