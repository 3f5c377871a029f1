"""Loops that are not recorded, why not, and what is planned then."""

import types
import warnings

import keras
import numpy as np
import pytest
import torch
from graphs import (
    BATCH,
    FEATURES,
    STEPS,
    built,
    drawn,
    pair,
    same,
    unrecorded,
    values,
)

import keras_rnnx
from keras_rnnx import engine, layers
from keras_rnnx.engine import backends
from keras_rnnx.engine.backends.torch import cuda_graphs
from keras_rnnx.testing.gradients import gradients


def test_the_switch(played):
    layer = built("peephole_lstm", {})
    x, _ = drawn(0)
    for _ in range(3):
        unrecorded(layer, x)
    assert not played
    values(layer, x)
    values(layer, x)
    assert len(played) == 2
    with pytest.raises(ValueError, match="`enabled` must be True or False, got 'no'"):
        engine.cuda_graphs("no").__enter__()


def says_so_once(why, ours, plain, before):
    x, _ = drawn(0)
    for _ in range(before):
        same(values(ours, x), unrecorded(plain, x))
    name = type(ours.cell).__name__
    with pytest.warns(match=f"loop of {name} cannot be recorded.*: {why}"):
        found = values(ours, x)
    same(found, unrecorded(plain, x))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        same(values(ours, x), unrecorded(plain, x))


def test_what_cannot_be_recorded_says_so_once_and_runs(played, monkeypatch):
    def refusing(*args):
        raise RuntimeError("operation not permitted")

    monkeypatch.setattr(cuda_graphs, "Recording", refusing)
    ours, plain = pair("peephole_lstm", {})
    says_so_once("operation not permitted", ours, plain, before=1)


def test_a_loop_of_which_one_way_cannot_be_recorded_keeps_none(played, monkeypatch):
    made, real = [], cuda_graphs.Captured

    def first_alone(*args):
        if made:
            raise RuntimeError("operation not permitted")
        made.append(True)
        return real(*args)

    monkeypatch.setattr(cuda_graphs, "Captured", first_alone)
    says_so_once("operation not permitted", *pair("peephole_lstm", {}), before=1)
    assert len(played) == 1
    (recording,) = played
    assert not any(
        recording in recorder.recordings.values() for recorder in cuda_graphs._recorders
    )


class Reading(keras_rnnx.cells.SimpleRNNCell):
    """Has a number that is taken to the GPU at every step."""

    def update(self, state, gate):
        return keras_rnnx.cells.State(h=keras.ops.maximum(gate.h, -0.5))


class Waiting(keras_rnnx.cells.SimpleRNNCell):
    """Asks the GPU for a number at every step."""

    def update(self, state, gate):
        rate = 0.5 if float(gate.h.detach().sum()) > 0 else 0.25
        return keras_rnnx.cells.State(h=rate * gate.h)


class Naming(keras_rnnx.cells.SimpleRNNCell):
    """Says by name what it makes a tensor of."""

    def update(self, state, gate):
        least = torch.tensor(data=-0.5, device=gate.h.device)
        return keras_rnnx.cells.State(h=torch.maximum(gate.h, least.to(gate.h.dtype)))


@pytest.mark.parametrize(
    "cell, why",
    [(Reading, "as_tensor"), (Waiting, "__float__"), (Naming, "tensor")],
)
def test_an_equation_that_asks_the_host_is_not_recorded(cell, why, played):
    first, second = (layers.RNN(cell(7), return_sequences=True) for _ in range(2))
    for layer in (first, second):
        layer.build((BATCH, STEPS, FEATURES))
    second.set_weights(first.get_weights())
    says_so_once(f"it calls torch's `{why}`", first, second, before=0)
    assert not played


@pytest.mark.parametrize(
    "name",
    [
        *("is_autocast_enabled", "is_anomaly_enabled"),
        *("jit.is_tracing", "compiler.is_compiling", None),
    ],
)
def test_where_operations_must_be_called_nothing_is_recorded(name, monkeypatch):
    here, there, host = (
        types.SimpleNamespace(is_cuda=device >= 0, get_device=lambda n=device: n)
        for device in (1, 0, -1)
    )
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    if name:
        monkeypatch.setattr(f"torch.{name}", lambda *device: True)
    assert not cuda_graphs.recordable([here, here]), "no tensors"
    monkeypatch.setattr(cuda_graphs, "KINDS", (types.SimpleNamespace,))
    assert cuda_graphs.recordable([here, here]) == (name is None)
    assert not cuda_graphs.recordable([here, there])
    assert not cuda_graphs.recordable([here, host])
    with monkeypatch.context() as patch:
        patch.setattr(cuda_graphs, "LAUNCHES_WAIT", True)
        assert not cuda_graphs.recordable([here, here])
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    assert not cuda_graphs.recordable([here, here])


@pytest.mark.parametrize("name", ["lstm", "min_gru"])
def test_kernels_and_scans_are_not_recorded(name, played):
    layer = built(name, {})
    x, _ = drawn(0)
    for _ in range(3):
        gradients(lambda x: [layer(x)], [x], [], [np.ones((BATCH, STEPS, 7))])
    assert not played


def leaky(shape, **arguments):
    """The plan of a built layer; on cuDNN it is a GRU, of three times the products."""
    layer = layers.LeakyRNN(7, leak_trainable=True, **arguments)
    layer.build(shape)
    return engine.plan(layer)


def test_a_loop_comes_before_a_kernel_of_many_more_products(monkeypatch):
    """Where the loop is recorded, and the model was made for one number of steps."""
    backend = backends.current()
    monkeypatch.setattr(backend, "kernels", lambda: ("cudnn", "cuDNN"))
    plan = leaky((None, STEPS, FEATURES))
    assert (plan.engine, plan.kernel) == ("fused", "CUDA graph of the loop")
    assert "3 times the matrix products" in plan.reason
    for shape in [(None, None, FEATURES), (BATCH, STEPS, FEATURES)]:
        assert leaky(shape).engine == "cudnn"
    with engine.cuda_graphs(False):
        assert leaky((None, STEPS, FEATURES)).engine == "cudnn"
    in_segments = leaky((None, STEPS, FEATURES), checkpoint=True)
    assert in_segments.engine == "cudnn"
    with torch.autograd.set_detect_anomaly(True):
        assert leaky((None, STEPS, FEATURES)).engine == "cudnn"
    inside = keras.Sequential([keras.Input((STEPS, FEATURES)), layers.LSTM(7)])
    assert engine.plan(inside.layers[0]).engine == "cudnn"
    dropout = layers.LSTM(7, recurrent_dropout=0.5)
    assert engine.plan(dropout).kernel == "CUDA graph of the loop"
    with engine.cuda_graphs(False):
        assert engine.plan(dropout).kernel == "eager loop"
    dropout = layers.LSTM(7, recurrent_dropout=0.5, checkpoint=2)
    assert engine.plan(dropout).kernel == "eager loop"
    assert engine.plan(dropout, training=False).engine == "cudnn"
