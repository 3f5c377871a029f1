"""Float32 sums over all steps, for computations in half precision.

Half precision holds 3 digits, and float16 only numbers up to 65,504. Gradients of
weights are sums over all steps and samples. So engines get the weights in float32, and
round them only where they compute.
"""

from __future__ import annotations

import dataclasses

import keras
from keras import ops

from keras_rnnx import _trees
from keras_rnnx.engine.backends.protocol import (
    Backend,
    Cotangents,
    Tensor,
    Tensors,
    Tree,
)
from keras_rnnx.engine.loop.tensors import LoopTensors

HALVES = ("float16", "bfloat16")


def wide(dtype: str) -> str:
    """The dtype of weights and their gradients, for computations in `dtype`."""
    return "float32" if dtype in HALVES else dtype


def cast(tensor: Tensor, like: Tensor) -> Tensor:
    """A tensor in the dtype of another."""
    dtype = keras.backend.standardize_dtype(like.dtype)
    return tensor if tensor.dtype == like.dtype else ops.cast(tensor, dtype)


def rounded(tensors: LoopTensors) -> LoopTensors:
    """The tensors of a loop with its weights in the precision of the states.

    Args:
        tensors: the tensors.
    """
    like = next(iter(tensors.states.values()))

    def fit(tensor: Tensor) -> Tensor:
        return cast(tensor, like)

    weights = {
        name: getattr(tensors, name) for name in ("matrices", "biases", "vectors")
    }
    if all(tensor.dtype == like.dtype for tensor in _trees.flatten(weights)):
        return tensors
    return dataclasses.replace(tensors, **_trees.mapped(fit, weights))


def added(sums: Tree, terms: Tree) -> Tree:
    """The sums plus a term each, in their own precision.

    Args:
        sums: a tree of tensors.
        terms: a tree like it; a term that is missing or None is zero.
    """
    structure = _trees.Structure(sums)
    pairs = zip(structure.flat(sums), structure.flat(terms))
    return structure.tree(
        total if term is None else total + cast(term, total) for total, term in pairs
    )


def along(vector: Tensor, like: Tensor) -> Tensor:
    """A vector as the equation reads it at all steps.

    If it has to be rounded, it first gets a row for each step and sample: its gradient
    is then a sum in the vector's own precision.

    Args:
        vector: `(units,)`.
        like: a tensor of the steps and samples, `(..., width)`.
    """
    if vector.dtype == like.dtype:
        return vector
    zeros = ops.zeros_like(like[..., :1], dtype=vector.dtype)
    return cast(zeros + vector, like)


def product(
    backend: Backend, x: Tensor, matrix: Tensor, bias: Tensor | None = None
) -> Tensor:
    """`x @ matrix + bias` in the precision of `x`, for weights in a higher precision.

    Args:
        backend: one of the backend files of this package.
        x: `(time, batch, features)`.
        matrix: `(features, width)`.
        bias: `(width,)`, or None.

    Returns:
        `(time, batch, width)`. The gradients of the weights are sums in their own
        precision.
    """
    # On torch, inputs that need no gradient get none.
    differentiated = getattr(x, "requires_grad", True)
    weights = [matrix] if bias is None else [matrix, bias]

    def parts(inputs: Tensors) -> tuple[Tensor, Tensors]:
        return (inputs[0], inputs[1:]) if differentiated else (x, inputs)

    def plain(inputs: Tensors) -> Tensors:
        x, (matrix, *bias) = parts(inputs)
        outputs = _times(x, cast(matrix, x))
        return [outputs + cast(bias[0], x) if bias else outputs]

    def forward(inputs: Tensors) -> tuple[Tensors, Tensors]:
        return plain(inputs), []

    def backward(
        inputs: Tensors, residuals: Tensors, cotangents: Cotangents
    ) -> Cotangents:
        (x, (matrix, *bias)), (d,) = parts(inputs), cotangents
        d_weights = [backend.outer(x, d)] + [backend.total(d)] * len(bias)
        if not differentiated:
            return d_weights
        return [_times(d, ops.transpose(cast(matrix, d))), *d_weights]

    inputs = [x, *weights] if differentiated else weights
    return backend.differentiable(forward, backward, set(), plain)(inputs)[0]


def _times(x: Tensor, matrix: Tensor) -> Tensor:
    flat = ops.reshape(x, (-1, x.shape[-1])) @ matrix
    return ops.reshape(flat, (*ops.shape(x)[:2], matrix.shape[-1]))
