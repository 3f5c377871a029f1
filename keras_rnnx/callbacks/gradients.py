"""Gradients of a compiled model for one batch, in any backend."""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np


def batch_gradients(model: keras.Model, batch: Any) -> list[np.ndarray | None]:
    """The gradients of the training loss of one batch, for the trainable variables.

    States and random seeds advance as in a training step, except on JAX.

    Args:
        model: a compiled model.
        batch: an item of a data set: inputs, or a tuple with targets and weights.

    Returns:
        A gradient for each of `model.trainable_variables`; None if the loss does not
        depend on it.
    """
    (gradients,) = gradients_of_batches(model, [batch])
    return gradients


def gradients_of_batches(
    model: keras.Model, batches: list[Any]
) -> list[list[np.ndarray | None]]:
    """The same for several batches, compiled once for each shape.

    Args:
        model, batches: as for `batch_gradients`.
    """
    compute = gradient_function(model, often=len(batches) > 1)
    return [compute(batch) for batch in batches]


def gradient_function(
    model: keras.Model,
    often: bool = True,
    eager: bool = False,
    options: dict[str, Any] | None = None,
) -> Callable[[Any], list[np.ndarray | None]]:
    """A function from a batch to what `batch_gradients` returns.

    It reads the weights in each call, and is compiled once for each shape.

    Args:
        model: as for `batch_gradients`.
        often: whether it is called often enough that JAX should compile it. Default
            True.
        eager: whether TensorFlow compiles nothing but what the layers compile
            themselves. Default False.
        options: for XLA, where JAX compiles. Default None.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        compute = _tensorflow(model, eager)
    elif backend == "jax":
        compute = _jax(model, often, options)
    else:
        compute = _torch(model)

    def of_batch(batch: Any) -> list[np.ndarray | None]:
        parts = keras.tree.map_structure(
            lambda a: None if a is None else keras.ops.convert_to_tensor(a),
            keras.utils.unpack_x_y_sample_weight(batch),
        )
        return [
            None if g is None else keras.ops.convert_to_numpy(g)
            for g in compute(*parts)
        ]

    return of_batch


def norm(arrays: Iterable[Any]) -> float:
    """The Euclidean norm of all numbers in some arrays together, in float64."""
    squares = (np.square(np.asarray(a, "float64")).sum() for a in arrays)
    return float(np.sqrt(sum(squares)))


def forward(model: keras.Model, x: Any) -> Any:
    """Outputs of a model in training."""
    parameters = inspect.signature(model.call).parameters.values()
    takes = any(p.name == "training" or p.kind is p.VAR_KEYWORD for p in parameters)
    return model(x, training=True) if takes else model(x)


def _loss(model: keras.Model, x: Any, y: Any, weights: Any) -> Any:
    return model.compute_loss(x=x, y=y, y_pred=forward(model, x), sample_weight=weights)


def _tensorflow(model: keras.Model, eager: bool) -> Callable[..., Any]:
    tf = importlib.import_module("tensorflow")

    def compute(x: Any, y: Any, weights: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = _loss(model, x, y, weights)
        gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
        # The gradients of embeddings are sparse.
        return [None if g is None else tf.convert_to_tensor(g) for g in gradients]

    if eager:
        return compute
    # A partial, or TensorFlow takes the functions of several models for one that is
    # traced again and again, and warns: it tells them apart by their code.
    partial = functools.partial(compute)
    return tf.function(partial, autograph=False, reduce_retracing=True)


def _torch(model: keras.Model) -> Callable[..., Any]:
    torch = importlib.import_module("torch")

    def compute(x: Any, y: Any, weights: Any) -> Any:
        loss = _loss(model, x, y, weights)
        wanted = [v.value for v in model.trainable_variables]
        return torch.autograd.grad(loss, wanted, allow_unused=True)

    return compute


def _jax(
    model: keras.Model, often: bool, options: dict[str, Any] | None
) -> Callable[..., Any]:
    jax = importlib.import_module("jax")
    optimizer = model.optimizer
    gradient = jax.grad(model.compute_loss_and_updates, has_aux=True)
    if often:
        gradient = jax.jit(
            gradient, static_argnames="training", compiler_options=options
        )

    def compute(x: Any, y: Any, weights: Any) -> Any:
        state = (
            [v.value for v in model.trainable_variables],
            [v.value for v in model.non_trainable_variables],
            [v.value for v in model.metrics_variables],
        )
        of_optimizer = [v.value for v in optimizer.variables]
        gradients, _ = gradient(
            *state, x, y, weights, training=True, optimizer_variables=of_optimizer
        )
        # The optimizer may scale the loss.
        scale = float(optimizer.scale_loss(1.0))
        return [g / scale for g in gradients]

    return compute
