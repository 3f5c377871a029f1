"""Joins the inputs of several steps, as for a causal convolution."""

from __future__ import annotations

from keras import ops

from keras_rnnx.engine import backends
from keras_rnnx.engine.backends.protocol import Backend, Tensor, Tensors


def windows(
    x: Tensor, mask: Tensor | None, history: Tensor, size: int
) -> tuple[Tensor, Tensor]:
    """The inputs of each step, after those of the valid steps before it, oldest first.

    Args:
        x: inputs `(batch, time, features)`.
        mask: None, or boolean `(batch, time, 1)`.
        history: the last inputs before these, `(batch, (size - 1) * features)`.
        size: steps of a window, at least 2.

    Returns:
        `(batch, time, size * features)`, and the history after the last step.
    """
    backend = backends.current()
    features, count = x.shape[-1], size - 1
    history = ops.reshape(history, (-1, count, features))
    x = backend.concatenate([history, x], 1)
    if mask is None:
        steps = ops.shape(x)[1] - count
        parts = [x[:, k : steps + k] for k in range(size)]
        last = x[:, steps:]
    else:
        parts, last = _valid(x, mask[..., 0], count, backend)
    joined = backend.concatenate(parts, -1)
    return joined, ops.reshape(last, (-1, count * features))


def _valid(
    x: Tensor, mask: Tensor, count: int, backend: Backend
) -> tuple[Tensors, Tensor]:
    """The parts and the history if masked steps are skipped."""
    mask = ops.cast(mask, "int32")
    behind = ops.pad(mask, [[0, 0], [count, 0]], constant_values=1)
    steps = ops.expand_dims(ops.arange(ops.shape(x)[1], dtype="int32"), 0)
    # Keys are distinct, so that any sort keeps the order of the steps.
    keys = backend.where(behind > 0, steps, steps + ops.shape(x)[1])
    positions = ops.expand_dims(backend.argsort(keys), -1)
    # The number of valid steps before each step, including the history.
    before = ops.cumsum(behind, axis=1) - behind
    total = ops.sum(behind, axis=1, keepdims=True)

    def lagged(valid: Tensor, lag: int) -> Tensor:
        index = backend.gather_steps(positions, valid - lag)
        return backend.gather_steps(x, index[..., 0])

    at = before[:, count:]
    parts = [lagged(at, lag) for lag in range(count, 0, -1)] + [x[:, count:]]
    last = [lagged(total, lag) for lag in range(count, 0, -1)]
    return parts, backend.concatenate(last, 1)
