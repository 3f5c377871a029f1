"""torch: one step at a time, where what stands around a step takes the time."""

import sys

import keras
import pytest
import torch

from keras_rnnx import engine, layers
from keras_rnnx.engine.backends.torch import recurrent_kernels

KERNELS = {"LSTM": "lstm", "GRU": "gru", "SimpleRNN": "rnn_tanh", "CIFG": "lstm"}


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("context", [torch.enable_grad, torch.inference_mode])
def test_a_stream_is_the_sequence(name, context, monkeypatch):
    keras.utils.set_random_seed(1)
    layer = getattr(layers, name)(5, stateful=True)
    layer.build((2, 1, 3))
    x = torch.randn(2, 6, 3)
    with engine.force("step"):
        expected = layer(x).detach()
    layer.reset_state()
    calls = []
    real = recurrent_kernels.STEPS[KERNELS[name]]
    monkeypatch.setitem(
        recurrent_kernels.STEPS,
        KERNELS[name],
        lambda *args: calls.append(1) or real(*args),
    )
    with context(), engine.force("native"):
        for t in range(6):
            found = layer(x[:, t : t + 1])
    torch.testing.assert_close(found.detach(), expected)
    assert len(calls) == 6


def test_gradients_through_a_stream_are_not_of_states_written_later():
    layer = layers.LSTM(4, stateful=True)
    layer.build((1, 1, 3))
    x = torch.randn(2, 1, 1, 3)
    first = layer(x[0])
    expected = torch.autograd.grad(
        first.sum(), layer.cell.recurrent_kernel.value, retain_graph=True
    )
    layer(x[1])
    found = torch.autograd.grad(first.sum(), layer.cell.recurrent_kernel.value)
    torch.testing.assert_close(found, expected)


def test_plans_are_kept_until_something_is_set(monkeypatch):
    layer = layers.LSTM(4)
    made = []
    module = sys.modules["keras_rnnx.engine.plan"]
    real = module.plan
    monkeypatch.setattr(module, "plan", lambda *args: made.append(1) or real(*args))
    x = torch.randn(1, 1, 3)
    for _ in range(3):
        layer(x)
    assert len(made) == 1
    layer(x, training=True)
    assert len(made) == 2
    layer.use_cudnn = False
    layer(x)
    layer.cell.activation = keras.activations.relu
    assert layer(x).shape == (1, 4) and len(made) == 4
    assert layer._plans(False, 1).engine == "fused"
    with engine.force("step"):
        assert layer._plans(False, 1).engine == "step"
