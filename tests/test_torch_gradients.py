"""torch: derivatives of gradients, transforms of functions, inference mode."""

import keras
import pytest
import torch

from benchmarks.linear_recurrence import linear_recurrence
from keras_rnnx import engine, layers
from keras_rnnx.engine.loop.differentiable import Differentiable
from keras_rnnx.regularizers import GradientFlow

UNITS, STEPS, FEATURES = 3, 4, 2
# One of each kind. The engine that the plan takes is named.
KINDS = {
    "kernel": (layers.LSTM, {}, "native"),
    "kernel forward": (layers.GRU, {}, "native"),
    "loop": (layers.LSTM, {"recurrent_dropout": 0.3}, "fused"),
    "late gates": (layers.GRU, {"reset_after": False}, "fused"),
    "two sums": (layers.LEM, {}, "fused"),
    "diagonal": (layers.IndRNN, {}, "fused"),
    "projected": (layers.LSTMP, {"projection_units": 2}, "native"),
    "normalized": (layers.LSTM, {"layer_norm": True}, "fused"),
    "scan": (layers.MinGRU, {}, "scan"),
    "complex scan": (layers.LRU, {}, "scan"),
    "window": (layers.QRNN, {}, "scan"),
    "checkpoint": (layers.LEM, {"checkpoint": 2}, "fused"),
    "checkpoint of a kernel": (layers.LSTM, {"checkpoint": 3}, "native"),
}
MASK = torch.tensor([[True, False, True, True], [False, True, True, False]])


def make(kind):
    """A layer in float64 with weights that are not at their start."""
    cls, kwargs, name = KINDS[kind]
    keras.utils.set_random_seed(sum(map(ord, kind)))
    layer = cls(4, return_sequences=True, dtype="float64", seed=1, **kwargs)
    layer.build((None, STEPS, FEATURES))
    for variable in layer.trainable_variables:
        noise = keras.random.normal(variable.shape, stddev=0.3, dtype="float64")
        variable.assign_add(noise)
    assert engine.plan(layer).engine == name
    return layer


def inputs(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, STEPS, FEATURES, generator=generator, dtype=torch.float64)


def function(layer, mask=None):
    """What a layer computes, of its inputs and weights; its masks are always those of
    the first call."""
    others = [v.value.clone() for v in layer.non_trainable_variables]

    def call(x, *weights):
        return layer.stateless_call(weights, others, x, mask=mask, training=True)[0]

    return call, [v.value.detach().clone() for v in layer.trainable_variables]


def in_the_step_engine(layer, run):
    """What `run` gives where Keras' loop and autodiff of it compute all."""
    checkpoint, layer.checkpoint = layer.checkpoint, None
    with engine.force("step"):
        found = run()
    layer.checkpoint = checkpoint
    return found


def by_grad(penalty, tensors):
    return torch.autograd.grad(penalty, tensors)


def by_backward(penalty, tensors):
    for tensor in tensors:
        tensor.grad = None
    penalty.backward()
    return [tensor.grad for tensor in tensors]


def by_backward_of_inputs(penalty, tensors):
    for tensor in tensors:
        tensor.grad = None
    penalty.backward(inputs=tensors)
    return [tensor.grad for tensor in tensors]


@pytest.mark.parametrize("kind", KINDS)
def test_second_derivatives_are_right_in_every_form(kind):
    layer = make(kind)
    call, weights = function(layer, MASK)

    def second(form):
        tensors = [t.clone().requires_grad_() for t in (inputs(), *weights)]
        loss = (call(*tensors) ** 3).sum()
        first = torch.autograd.grad(loss, tensors, create_graph=True)
        return form(sum((g**2).sum() for g in first), tensors)

    expected = in_the_step_engine(layer, lambda: second(by_grad))
    for form in (by_grad, by_backward, by_backward_of_inputs):
        torch.testing.assert_close(second(form), expected, rtol=1e-9, atol=1e-11)


def test_second_derivatives_through_the_moments_of_a_batch():
    """Which the step engine has not."""
    layer = layers.GRU(2, batch_norm=True, dtype="float64", seed=1)
    layer.build((None, STEPS, FEATURES))
    call, weights = function(layer)
    tensors = tuple(t.clone().requires_grad_() for t in (inputs(), *weights))
    assert torch.autograd.gradgradcheck(call, tensors, fast_mode=True)


def test_third_derivatives():
    layer = make("scan")
    call, weights = function(layer)

    def third():
        x = inputs().requires_grad_()
        found = (call(x, *weights) ** 4).sum()
        for _ in range(3):
            (found,) = torch.autograd.grad((found**2).sum(), x, create_graph=True)
        return found

    torch.testing.assert_close(third(), in_the_step_engine(layer, third))


def test_the_gradient_of_a_gradient_penalty_trains_the_layer():
    """Gulrajani et al. 2017: the gradient for the inputs has norm 1."""
    layer = layers.LEM(UNITS, dtype="float64")
    head = keras.layers.Dense(1, dtype="float64")
    model = keras.Sequential([keras.Input((STEPS, FEATURES)), layer, head])

    def step():
        x = inputs().requires_grad_()
        (slope,) = torch.autograd.grad(model(x).sum(), x, create_graph=True)
        penalty = ((slope.flatten(1).norm(dim=1) - 1) ** 2).mean()
        model.zero_grad()
        penalty.backward()
        return [None if v.grad is None else v.grad.clone() for v in model.parameters()]

    expected = in_the_step_engine(layer, step)
    assert sum(g is not None for g in expected) >= len(layer.trainable_variables)
    torch.testing.assert_close(step(), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", ["loop", "scan"])
def test_a_step_of_learning_is_learned_through(kind):
    """Finn et al. 2017 (MAML): the loss behind a step of descent, for what it started
    from."""
    layer = make(kind)
    call, start = function(layer)

    def outer():
        weights = [w.clone().requires_grad_() for w in start]
        loss = (call(inputs(1), *weights) ** 2).mean()
        found = torch.autograd.grad(loss, weights, create_graph=True)
        adapted = [w - 0.5 * g for w, g in zip(weights, found)]
        return torch.autograd.grad((call(inputs(2), *adapted) ** 2).mean(), weights)

    expected = in_the_step_engine(layer, outer)
    torch.testing.assert_close(outer(), expected, rtol=1e-9, atol=1e-12)


def test_the_fast_pass_gives_first_gradients_of_a_graph(monkeypatch):
    layer = make("two sums")
    plain = Differentiable.plain
    calls = []
    monkeypatch.setattr(
        Differentiable, "plain", lambda *args: calls.append(1) or plain(*args)
    )
    x = inputs().requires_grad_()
    loss = (layer(x, training=True) ** 2).sum()
    (expected,) = torch.autograd.grad(loss, x, retain_graph=True)
    (found,) = torch.autograd.grad(loss, x, create_graph=True)
    assert torch.equal(found, expected) and not calls
    found.sum().backward()
    assert calls


def test_second_derivatives_of_a_linear_recurrence():
    a, b = inputs(1).transpose(0, 1), inputs(2).transpose(0, 1)
    tensors = [t.clone().requires_grad_() for t in (a, b, inputs(3)[:, 0])]
    for way in ("sequential", "blocked", "parallel"):
        assert torch.autograd.gradgradcheck(
            lambda *given, way=way: linear_recurrence(*given, way=way),
            tensors,
            fast_mode=True,
        )


def test_the_penalty_on_gradient_flow_has_no_second_derivatives():
    """It is added to the gradients, and is the gradient of no loss."""
    layer = layers.SimpleRNN(UNITS, recurrent_regularizer=GradientFlow(0.1))
    x = inputs().float().requires_grad_()
    loss = layer(x, training=True).sum()
    (slope,) = torch.autograd.grad(loss, x, create_graph=True)
    with pytest.raises(RuntimeError, match="GradientFlow.*no second derivatives"):
        torch.autograd.grad((slope**2).sum(), x)
    with pytest.raises(RuntimeError, match="no transforms of torch.func in training"):
        torch.func.grad(lambda x: layer(x, training=True).sum())(x)


@pytest.mark.parametrize("kind", KINDS)
def test_transforms_of_functions(kind):
    """Gradients, directional derivatives, and the gradients of each sample."""
    layer = make(kind)
    call, weights = function(layer)
    x, direction = inputs(1), inputs(2)

    def loss(x, weights):
        return (call(x, *weights) ** 2).sum()

    def first(x):
        tensors = [t.clone().requires_grad_() for t in (x, *weights)]
        return torch.autograd.grad(loss(tensors[0], tensors[1:]), tensors)

    def through():
        tensor = x.clone().requires_grad_()
        return torch.autograd.functional.jvp(
            lambda x: call(x, *weights), tensor, direction
        )[1]

    expected = in_the_step_engine(layer, lambda: first(x))
    found, of_weights = torch.func.grad(loss, argnums=(0, 1))(x, weights)
    torch.testing.assert_close([found, *of_weights], list(expected))
    _, found = torch.func.jvp(lambda x: call(x, *weights), (x,), (direction,))
    torch.testing.assert_close(found, in_the_step_engine(layer, through))
    many = torch.stack([x, direction])
    # Masks that are drawn would be others for each, or refused by torch.
    drawn = layer.cell.random_masks.on(True)
    how = {"randomness": "same"} if drawn else {}
    found = torch.func.vmap(torch.func.grad(loss), (0, None), **how)(many, weights)
    expected = [in_the_step_engine(layer, lambda y=y: first(y))[0] for y in many]
    torch.testing.assert_close(found, torch.stack(expected))
    of_each = torch.func.vmap(torch.func.grad(loss, 1), (0, None), **how)(many, weights)
    expected = in_the_step_engine(layer, lambda: first(direction))[1:]
    torch.testing.assert_close([w[1] for w in of_each], list(expected))


@pytest.mark.parametrize("kind", ["kernel", "two sums", "scan"])
def test_hessians(kind):
    layer = make(kind)
    call, weights = function(layer)

    def loss(x):
        return (call(x, *weights) ** 3).sum()

    hessian = torch.autograd.functional.hessian
    expected = in_the_step_engine(layer, lambda: hessian(loss, inputs()))
    torch.testing.assert_close(hessian(loss, inputs()), expected)
    torch.testing.assert_close(hessian(loss, inputs(), vectorize=True), expected)
    torch.testing.assert_close(torch.func.hessian(loss)(inputs()), expected)


def test_forward_mode():
    layer = make("scan")
    call, weights = function(layer)
    tensors = tuple(t.clone().requires_grad_() for t in (inputs(), *weights))
    assert torch.autograd.gradcheck(
        call, tensors, check_forward_ad=True, fast_mode=True
    )


def test_a_kernel_that_is_forced_names_what_it_has_no_rule_for():
    layer = make("kernel")
    with engine.force("native"), pytest.raises(ValueError, match="torch.func.vmap"):
        torch.func.vmap(layer)(torch.stack([inputs()] * 2))


@pytest.mark.parametrize("kind", KINDS)
def test_inference_mode(kind):
    layer = make(kind)
    for mask in (None, MASK):
        expected = layer(inputs(), mask=mask).detach()
        with torch.inference_mode():
            torch.testing.assert_close(layer(inputs(), mask=mask), expected)


def test_a_program_of_torch_writes_to_no_tensor_that_is_there(monkeypatch):
    """What `torch.compile` makes of `out=` leaves tensors as they came."""
    layer = make("scan")
    with torch.no_grad():
        expected = layer(inputs())
        monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
        monkeypatch.setattr(torch, "addcmul", None)
        torch.testing.assert_close(layer(inputs()), expected)
