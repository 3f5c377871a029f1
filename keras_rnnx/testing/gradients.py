"""Gradients in any backend."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

# From tensors to a scalar, and the outputs that it sums up.
Loss = Callable[..., tuple[Any, list[Any]]]


def gradients(
    function: Callable[..., list[Any]],
    inputs: list[Any],
    variables: list[keras.Variable],
    cotangents: list[np.ndarray],
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Outputs of a function, and the gradients of their weighted sum.

    Args:
        function: from the tensors `inputs` to a list of tensors; it may read
            `variables`.
        inputs: arrays or tensors.
        variables: Keras variables.
        cotangents: for each output the weights of its elements in the sum.

    Returns:
        The outputs, and the gradients of `inputs` and then of `variables`, as arrays;
        zeros if the sum does not depend on one.

    Example:

    >>> v = keras.Variable(2.0)
    >>> x = np.float32([1.0, 3.0])
    >>> gradients(lambda x: [x * v], [x], [v], [np.float32([1.0, 1.0])])
    ([array([2., 6.], dtype=float32)], [array([2., 2.], dtype=float32), array(4., ...
    """
    tensors = [keras.ops.convert_to_tensor(i) for i in inputs]

    def loss(*tensors: Any) -> tuple[Any, list[Any]]:
        outputs = list(function(*tensors))
        total = 0.0
        for output, cotangent in zip(outputs, cotangents, strict=True):
            weight = keras.ops.convert_to_tensor(cotangent, tensors[0].dtype)
            total += keras.ops.sum(keras.ops.cast(output, tensors[0].dtype) * weight)
        return total, outputs

    compute = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}
    outputs, derivatives = compute[keras.backend.backend()](loss, tensors, variables)
    arrays = [
        np.zeros(tuple(like.shape)) if g is None else keras.ops.convert_to_numpy(g)
        for g, like in zip(derivatives, [*tensors, *variables])
    ]
    return [keras.ops.convert_to_numpy(o) for o in outputs], arrays


def _tensorflow(
    loss: Loss, tensors: list[Any], variables: list[keras.Variable]
) -> tuple[list[Any], Sequence[Any]]:
    tf = importlib.import_module("tensorflow")
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        value, outputs = loss(*tensors)
    return outputs, tape.gradient(value, [*tensors, *[v.value for v in variables]])


def _jax(
    loss: Loss, tensors: list[Any], variables: list[keras.Variable]
) -> tuple[list[Any], Sequence[Any]]:
    jax = importlib.import_module("jax")

    @jax.jit
    def compute(tensors: list[Any], values: list[Any]) -> Any:
        def pure(tensors: list[Any], values: list[Any]) -> tuple[Any, list[Any]]:
            with keras.StatelessScope(list(zip(variables, values))):
                return loss(*tensors)

        return jax.grad(pure, argnums=(0, 1), has_aux=True)(tensors, values)

    (of_tensors, of_values), outputs = compute(tensors, [v.value for v in variables])
    return outputs, [*of_tensors, *of_values]


def _torch(
    loss: Loss, tensors: list[Any], variables: list[keras.Variable]
) -> tuple[list[Any], Sequence[Any]]:
    torch = importlib.import_module("torch")
    tensors = [t.detach().requires_grad_() for t in tensors]
    value, outputs = loss(*tensors)
    wanted = [*tensors, *[v.value for v in variables]]
    return outputs, torch.autograd.grad(value, wanted, allow_unused=True)
