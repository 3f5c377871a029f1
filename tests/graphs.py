"""Recorded loops, and an emulator of CUDA graphs; for `test_cuda_graphs*.py`."""

import types
import weakref

import catalogue
import numpy as np
import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from keras_rnnx import engine, layers
from keras_rnnx.engine.backends.torch import cuda_graphs
from keras_rnnx.regularizers import GradientFlow
from keras_rnnx.testing.gradients import gradients

BATCH, STEPS, FEATURES = 3, 5, 4
# One for each kind of loop, and for what else goes into one.
LOOPS = {
    "merged gates": ("peephole_lstm", {}),
    "masks of a sequence": ("lstm", {"recurrent_dropout": 0.4, "zoneout": 0.3}),
    "masks of a step": ("lstm", {"recurrent_dropout": 0.4, "dropout_mask": "step"}),
    "one after the other": ("gru_reset_before", {"recurrent_dropout": 0.4}),
    "vectors": ("brc", {"zoneout": 0.3}),
    "no product": ("ind_rnn", {"zoneout": 0.3}),
    "layer_norm": ("lstm", {"layer_norm": True}),
    "batch_norm": ("gru", {"batch_norm": True}),
    "GradientFlow": ("ugrnn", {"recurrent_regularizer": GradientFlow(2.0)}),
}


def put(groups, tensors):
    """The groups with these tensors for theirs."""
    tensors = iter(tensors)
    return tuple([None if t is None else next(tensors) for t in g] for g in groups)


class Emulated:
    """Operations on tensors that stay where they are, with all else as it was when they
    were recorded: what a graph is."""

    def __init__(self, function, inputs):
        self.inputs, found = cuda_graphs.tensors_of(inputs), []

        def flat(*tensors):
            found[:] = function(*put(inputs, tensors))
            return cuda_graphs.tensors_of(found)

        self.graph = make_fx(flat)(*self.inputs)
        self.results = put(found, self.graph(*self.inputs))

    def replay(self):
        results = cuda_graphs.tensors_of(self.results)
        for own, new in zip(results, self.graph(*self.inputs)):
            own.copy_(new)


def counted(kind, monkeypatch):
    """What the fixture `played` is."""
    if kind == "emulated":
        stream = types.SimpleNamespace(cuda_stream=0)
        monkeypatch.setattr(torch.cuda, "current_stream", lambda: stream)
        monkeypatch.setattr(torch.cuda, "current_device", lambda: -1)
        monkeypatch.setattr(cuda_graphs, "recordable", lambda tensors: True)
        monkeypatch.setattr(cuda_graphs, "memory", lambda: (2**40, 2**40))
        monkeypatch.setattr(cuda_graphs, "Captured", Emulated)
    elif not torch.cuda.is_available():
        pytest.skip("torch finds no GPU")
    monkeypatch.setattr(cuda_graphs, "_recorders", weakref.WeakSet())
    calls = []

    class Counted(cuda_graphs.Recording):
        def play(self, groups):
            calls.append(self)
            return super().play(groups)

    monkeypatch.setattr(cuda_graphs, "Recording", Counted)
    return calls


def built(variant, arguments):
    cell = catalogue.make(variant, dtype="float64", seed=3, **arguments)
    layer = layers.RNN(cell, dtype="float64", return_sequences=True)
    layer.build((BATCH, STEPS, FEATURES))
    return layer


def pair(variant, arguments):
    """Two layers with the same random weights and the same noise."""
    first, second = built(variant, arguments), built(variant, arguments)
    rng = np.random.default_rng(5)
    for a, b in zip(first.trainable_variables, second.trainable_variables):
        a.assign(a + 0.2 * rng.normal(size=a.shape))
        b.assign(a)
    return first, second


def drawn(seed, steps=STEPS):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(BATCH, steps, FEATURES)), rng.random((BATCH, steps)) < 0.7


def values(layer, x, mask=None, calls=1):
    """Outputs of the last of some calls, and the gradients of all of them."""
    cotangent = np.random.default_rng(6).normal(
        size=(*x.shape[:2], layer.cell.output_size)
    )

    def call(x):
        with engine.force("fused"):
            found = [layer((1 + i) * x, mask=mask, training=True) for i in range(calls)]
        return [sum(found)]

    outputs, found = gradients(call, [x], layer.trainable_variables, [cotangent])
    return [*outputs, *found]


def unrecorded(*args, **kwargs):
    with engine.cuda_graphs(False):
        return values(*args, **kwargs)


def smaller(*layers):
    """Changes all weights: what was recorded must read them anew."""
    for layer in layers:
        for weight in layer.trainable_variables:
            weight.assign(0.9 * weight)


def same(found, expected):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def rounds(ours, plain, shapes, many):
    """Calls with each shape in turn, and that again."""
    for number in range(many):
        for steps in shapes:
            x, mask = drawn(number, steps)
            same(values(ours, x, mask), unrecorded(plain, x, mask))
