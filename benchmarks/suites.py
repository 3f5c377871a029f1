"""The suites: what each times, for which layers, at which sizes."""

from __future__ import annotations

import gc
import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass

import keras_rnnx
from benchmarks import (
    device,
    equations,
    kept,
    limit,
    memory,
    peers,
    pipelines,
    recurrences,
    streaming,
    timing,
    workflow,
)
from benchmarks.peers import REGULARIZED, with_same_weights
from keras_rnnx.engine import ENGINES, backends, force

PASSES = ("forward", "training")
# Layers of a stack.
DEPTH = 2
# batch, steps, inputs, units
SHORT = [(1, 100, 32, 128), (32, 50, 32, 128), (64, 100, 64, 256), (16, 512, 128, 512)]
BATCHES, STEPS, UNITS = (1, 32, 128), (20, 100, 500), (32, 128, 512)
GRID = [(b, t, u, u) for b, t, u in itertools.product(BATCHES, STEPS, UNITS)]
SIZES = {
    "short": SHORT,
    "grid": GRID,
    "all": SHORT + GRID,
    "fit": SHORT[:3],
    "medium": [(32, 200, 32, 128)],
    "step": [(1, 1, 32, 128)],
    "pipelines": [(32, 50, 24, 128)],
    "scan": [(16, 2048, 64, 256)],
    "ways": [(1, 200, 1, 64), (16, 200, 1, 64), (64, 500, 1, 256), (16, 2048, 1, 256)],
    "long": [(16, 2000, 64, 128), (64, 2000, 64, 256)],
}


@dataclass(frozen=True)
class Suite:
    """One set of measurements.

    Attributes:
        layers: the layers it measures unless told otherwise.
        others: further layers it can measure.
        sizes: the name of its sizes unless told otherwise.
        unit: of its numbers.
        reference: what the ratios are relative to.
        check: raises a ValueError for a layer whose numbers would mean nothing.
        measure: makes a row of a layer, a size and seconds.
    """

    layers: tuple[str, ...]
    sizes: str
    reference: str
    check: Callable[[str], None]
    measure: Callable[[str, tuple[int, ...], float], dict]
    unit: str = "ms, median"
    others: tuple[str, ...] = ()

    def row(self, name: str, size: tuple[int, ...], seconds: float) -> dict:
        """Measures one row, with its ratios."""
        gc.collect()
        row = self.measure(name, size, seconds)
        row["ratios"] = {
            key: {
                peer: value / row[key][self.reference]
                for peer, value in row[key].items()
                if peer != self.reference
            }
            for key in (*kept.PASSES, "memory")
            if self.reference in row.get(key, {})
        }
        return row


def _pair_functions(make, size):
    x = peers.inputs(size)
    theirs, ours = with_same_weights(make(size[-1]), x)
    return {
        which: {
            "keras": getattr(timing, which)(theirs, x),
            "keras_rnnx": getattr(timing, which)(ours, x),
        }
        for which in PASSES
    }


def _same_name(name):
    return lambda units: peers.same_name(name, units)


def _layers(name, size, seconds):
    """Our layer beside Keras', torch.nn's and the bare products."""
    functions = _pair_functions(_same_name(name), size)
    theirs = {} if device.torch_note() else peers.torch_layer(name, size)
    for which in PASSES:
        if theirs:
            functions[which]["torch"] = theirs[which]
        functions[which] |= getattr(limit, which)(name, size)
    return timing.row(name, size, functions, seconds)


def _regularized(name, size, seconds):
    """Our layer beside what one writes with Keras alone."""
    functions = _pair_functions(REGULARIZED[name], size)
    return timing.row(name, size, functions, seconds)


def _methods(name, size, seconds):
    """Our layer with a method against overfitting beside the plain one."""
    x = peers.inputs(size)
    plain, regularized = peers.method(name, size[-1])
    for layer in (plain, regularized):
        layer.build(peers.declared(x))
    functions = {
        which: {
            "plain": getattr(timing, which)(plain, x),
            "regularized": getattr(timing, which)(regularized, x),
        }
        for which in PASSES
    }
    return timing.row(name, size, functions, seconds)


def _engines(name, size, seconds):
    """One cell on every engine that can run it."""
    x = peers.inputs(size)
    functions = {which: {} for which in PASSES}
    left_out = {}
    weights = None
    for engine in ENGINES:
        layer = keras_rnnx.layers.RNN(
            keras_rnnx.cells.get(name, size[-1]), return_sequences=True, name=name
        )
        layer.build(x.shape)
        weights = weights or layer.get_weights()
        layer.set_weights(weights)
        for which in PASSES:
            call = _forced(engine, getattr(timing, which)(layer, x))
            try:
                call()
            except ValueError as error:
                left_out[engine] = _reason(error)
            else:
                functions[which][engine] = call
    return {**timing.row(name, size, functions, seconds), "left_out": left_out}


def _reason(error):
    """The message of an error without what Keras writes around it."""
    parts = re.sub(r"\x1b\[\d+m", "", str(error)).strip().split("\n\n")
    return parts[1] if len(parts) > 1 else parts[0]


def _stacks(name, size, seconds):
    """A stack in one call of a vendor's kernel, and with a call for each layer."""
    engine, _ = backends.current().kernels()
    x = peers.inputs(size)
    stack = keras_rnnx.layers.Stack(
        name, size[-1], depth=DEPTH, return_sequences=True, name=name
    )
    stack.build(x.shape)
    functions = {
        which: {
            way: _forced(engine, getattr(timing, which)(stack, x), way == "one call")
            for way in ("one call", "layer by layer")
        }
        for which in PASSES
    }
    return timing.row(name, size, functions, seconds)


def _has_kernels(name):
    if backends.current().kernels()[0] is None:
        raise ValueError("No vendor's kernels are here, so that no stack is one call.")


def _forced(engine, function, at_once=None):
    def call():
        with force(engine, at_once):
            function()

    return call


SUITES = {
    "layers": Suite(
        layers=tuple(limit.GATES),
        sizes="short",
        reference="keras_rnnx",
        check=lambda name: peers.check_same(name, _same_name(name)),
        measure=_layers,
    ),
    "regularized": Suite(
        layers=tuple(REGULARIZED),
        sizes="short",
        reference="keras_rnnx",
        check=lambda name: peers.check_same(name, REGULARIZED[name]),
        measure=_regularized,
    ),
    "methods": Suite(
        layers=tuple(peers.METHODS),
        sizes="short",
        reference="plain",
        check=lambda name: None,
        measure=_methods,
    ),
    "engines": Suite(
        layers=("lstm", "gru", "simple_rnn", "leaky_rnn"),
        others=tuple(info.name for info in keras_rnnx.cells.catalog()),
        sizes="grid",
        reference="fused",
        check=lambda name: None,
        measure=_engines,
    ),
    "stacks": Suite(
        layers=("lstm", "gru", "simple_rnn"),
        sizes="short",
        reference="one call",
        check=_has_kernels,
        measure=_stacks,
    ),
    "workflow": Suite(
        layers=("LSTM", "GRU", "SimpleRNN", "LeakyRNN"),
        sizes="fit",
        reference="keras_rnnx",
        check=lambda name: peers.check_same(name, workflow.pair(name)),
        measure=workflow.measure,
        unit=f"ms of {workflow.BATCHES} batches, median",
    ),
    "streaming": Suite(
        layers=streaming.names(),
        sizes="step",
        reference="keras_rnnx",
        check=lambda name: None,
        measure=streaming.measure,
    ),
    "pipelines": Suite(
        layers=pipelines.names(),
        sizes="pipelines",
        reference="batches",
        check=lambda name: None,
        measure=pipelines.measure,
        unit="ms of an epoch, median",
    ),
    "elementwise": Suite(
        layers=equations.elementwise(),
        others=equations.looping(),
        sizes="medium",
        reference="keras_rnnx",
        check=lambda name: peers.check_same(name, equations.pair(name)),
        measure=equations.measure_pair,
    ),
    "scan": Suite(
        layers=tuple(equations.linear()),
        sizes="scan",
        reference="keras_rnnx",
        check=lambda name: None,
        measure=equations.measure_linear,
    ),
    "ways": Suite(
        layers=recurrences.KINDS,
        sizes="ways",
        reference="sequential",
        check=lambda name: None,
        measure=recurrences.measure,
    ),
    "memory": Suite(
        layers=("LSTM", "GRU", "SimpleRNN"),
        sizes="long",
        reference="keras",
        check=lambda name: peers.check_same(name, _same_name(name)),
        measure=memory.measure,
        unit="MiB",
    ),
}


def notes(suite: str) -> list[str]:
    """What a reader of the suite's table has to know."""
    said = {
        "layers": device.torch_note(),
        "workflow": "LeakyRNN: Keras' is the same equation in keras.layers.RNN",
        "elementwise": "Keras: the same equation in keras.layers.RNN",
        "scan": "Keras: keras.layers.LSTM of as many units, which is another equation",
    }
    return [said[suite]] if said.get(suite) else []
