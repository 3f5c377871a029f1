"""The examples of docstrings run, and show what they say."""

import doctest
import importlib
import inspect
import pkgutil
import re
import tempfile

import keras
import numpy as np
import pytest
from keras import ops

import keras_rnnx
from keras_rnnx import _docstrings
from keras_rnnx.cells import registry
from keras_rnnx.datasets import registry as tasks

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
NAMES = {
    "np": np,
    "keras": keras,
    "keras_rnnx": keras_rnnx,
    "ops": ops,
    "State": keras_rnnx.cells.State,
    "tempfile": tempfile,
}


class _Checker(doctest.OutputChecker):
    def check_output(self, want, got, optionflags):
        # Shapes are tuples on the other backends.
        got = re.sub(r"torch\.Size\(\[([\d, ]*)\]\)", _as_tuple, got)
        return super().check_output(want, got, optionflags)


def _as_tuple(size):
    return str(tuple(int(n) for n in size[1].split(",") if n.strip()))


def examples():
    """Of all modules of the package, each docstring with examples once."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    paths = pkgutil.walk_packages(keras_rnnx.__path__, "keras_rnnx.")
    modules = [keras_rnnx]
    for found in paths:
        if not found.name.endswith("__main__"):
            modules.append(importlib.import_module(found.name))
    for module in modules:
        for example in finder.find(module, module.__name__, globs={}):
            if example.examples:
                example.globs = vars(module) | NAMES
                yield example


EXAMPLES = list(examples())


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_the_example_shows_what_it_says(example, monkeypatch, seeds_as_stated):
    # What an example registers is not there after it.
    monkeypatch.setattr(registry, "_CELLS", dict(registry._CELLS))
    monkeypatch.setattr(tasks, "_TASKS", dict(tasks._TASKS))
    shown = []
    runner = doctest.DocTestRunner(_Checker(), verbose=False, optionflags=FLAGS)
    assert runner.run(example, out=shown.append).failed == 0, "".join(shown)


def named_layers():
    found = vars(keras_rnnx.layers).values()
    return [member for member in found if hasattr(member, "cell_class")]


@pytest.mark.parametrize("layer", named_layers(), ids=lambda layer: layer.__name__)
def test_help_has_every_argument_of_a_named_layer(layer):
    said = _docstrings.arguments(layer)
    parameters = dict(inspect.signature(layer).parameters)
    assert parameters.pop("kwargs") and said.pop("**kwargs")
    assert list(said) == list(parameters)
    for name, meaning in said.items():
        assert meaning.split("Default")[0].strip(), name
        assert meaning.count("Default") == (name != "units"), name
    assert all(len(line) <= 88 for line in layer.__doc__.split("\n"))


def test_help_has_the_defaults_of_the_cell():
    leaky = _docstrings.arguments(keras_rnnx.layers.LeakyRNN)
    assert leaky["leak"].startswith("leak rate in (0, 1]")
    assert leaky["leak"].endswith("Default 0.5.")
    assert leaky["return_sequences"].endswith("Default False.")
    assert '"leaky"' in leaky["recipe"] and "irnn" not in leaky["recipe"]
    # Another default than that of all cells.
    assert _docstrings.arguments(keras_rnnx.layers.SCRN)["use_bias"].endswith("False.")
    assert "h' = (1 - leak) h" in keras_rnnx.layers.LeakyRNN.__doc__


def test_no_example_is_missed():
    """Named layers are made by a function, whose classes must say where they are."""
    named = {example.name.rpartition(".")[2] for example in EXAMPLES}
    made = {
        name
        for name, member in vars(keras_rnnx.layers).items()
        if isinstance(member, type) and issubclass(member, keras_rnnx.layers.RNN)
    }
    assert made <= named
    assert len(EXAMPLES) > 150
