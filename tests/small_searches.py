"""What tests of the search share: a cell that breaks, a small task, no compiling."""

import contextlib
import math
from unittest import mock

from keras import ops

import keras_rnnx
from keras_rnnx.cells import Cell, State
from keras_rnnx.datasets import load_task
from keras_rnnx.tuner import HyperRNN


@keras_rnnx.cells.register(name="sometimes_broken")
class SometimesBrokenCell(Cell):
    """A simple RNN that is NaN throughout if so chosen."""

    states = ("h",)
    gates = ("h",)
    options = {"broken": False}

    def update(self, state, gate):
        return State(h=ops.tanh(gate.h) * (math.nan if self.broken else 1.0))

    @classmethod
    def search_space(cls, hp):
        return {"broken": hp.Boolean("broken", default=True)}


def adding(**changes):
    """The adding problem, as small as it gets."""
    sizes = {"length": 4, "train": 32, "validation": 16, "test": 16}
    return load_task("adding", **{**sizes, **changes})


@contextlib.contextmanager
def eager():
    """No compiling: it takes most of the time of trials as small as these."""
    build = HyperRNN.build

    def built(self, hp):
        model = build(self, hp)
        model.run_eagerly = True
        return model

    with (
        mock.patch.object(HyperRNN, "build", built),
        keras_rnnx.engine.force("step"),
    ):
        yield
