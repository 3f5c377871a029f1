"""The file of the backend in use has what the contract of backends says."""

import inspect
import typing

import keras
import pytest

from keras_rnnx.engine import backends
from keras_rnnx.engine.backends.protocol import Backend, EagerBackend

MODULE = backends.current()
CONTRACT = EagerBackend if MODULE.EAGER else Backend


def functions():
    found = inspect.getmembers(CONTRACT, inspect.isfunction)
    return [name for name, _ in found if not name.startswith("_")]


@pytest.mark.cases(99)
@pytest.mark.parametrize("name", functions())
def test_a_function_takes_what_the_contract_says(name):
    wanted = list(inspect.signature(getattr(CONTRACT, name)).parameters)[1:]
    try:
        found = list(inspect.signature(getattr(MODULE, name)).parameters)
    except ValueError:
        return  # A function of the framework that does not say what it takes.
    assert len(found) >= len(wanted)
    if inspect.getmodule(getattr(MODULE, name)).__name__.startswith("keras_rnnx"):
        assert found == wanted


def test_what_is_no_function_is_there():
    names = set(typing.get_type_hints(Backend)) | set(typing.get_type_hints(CONTRACT))
    read = inspect.getmembers(CONTRACT, lambda value: isinstance(value, property))
    names |= {name for name, _ in read}
    assert names and all(hasattr(MODULE, name) for name in names)


def test_a_tensor_has_the_dtype_that_is_asked_for():
    found = MODULE.tensor([1, 2], "float16")
    assert keras.backend.standardize_dtype(found.dtype) == "float16"
    assert tuple(found.shape) == (2,)
