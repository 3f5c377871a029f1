"""Linear chains: the scores of paths, the sum over all paths, and the best path.

A chain is a tensor `(batch, time, classes, classes)`. Element `[b, t, i, j]` is the
score of going from class `i` to class `j` at step `t`. A path begins in class 0 before
the first step: row 0 of the first valid step holds the scores of a start. At a masked
step, staying in a class scores 0 and everything else `IMPOSSIBLE`, so that sums over
paths skip the step exactly.
"""

from __future__ import annotations

from typing import Any

from keras import ops

# Finite, so that no gradient is NaN. In float32, adding a score does not change it.
IMPOSSIBLE = -1e30


def check(scores: Any) -> None:
    """Raises a ValueError for scores that are not a chain."""
    shape = tuple(scores.shape)
    if len(shape) != 4 or shape[2] != shape[3]:
        raise ValueError(
            f"Scores of a chain must come from keras_rnnx.layers.CRF, of shape "
            f"(batch, time, classes, classes); received shape {shape}."
        )


def valid_steps(scores: Any) -> Any:
    """Which steps are not masked, `(batch, time)`."""
    return scores[:, :, 0, 1] > IMPOSSIBLE / 2


def masked_step(classes: int) -> Any:
    """The scores of a masked step, `(classes, classes)`."""
    return ops.where(ops.eye(classes, dtype="bool"), 0.0, IMPOSSIBLE)


def _start(scores: Any) -> Any:
    """Log-probabilities of class 0 before the first step, `(batch, classes)`."""
    others = ops.full_like(scores[:, 0, 0, 1:], IMPOSSIBLE)
    return ops.concatenate([ops.zeros_like(others[:, :1]), others], axis=1)


def negative_log_likelihood(classes: Any, scores: Any) -> Any:
    """The negative log-probability of paths.

    Args:
        classes: `(batch, time)`, int32. Classes at masked steps are not read.
        scores: a chain.

    Returns:
        `(batch,)`. NaN if a class at a valid step is out of range.
    """
    scores = ops.cast(scores, "float32")
    count = scores.shape[-1]
    valid = valid_steps(scores)
    outside = ops.logical_or(classes < 0, classes >= count)
    wrong = ops.any(ops.logical_and(outside, valid), axis=1)
    classes = ops.where(outside, 0, classes)

    def step(carry: tuple[Any, Any, Any], at: Any) -> tuple[Any, Any]:
        alpha, path, before = carry
        pairs = ops.reshape(at[:, :-1], (-1, count, count))
        now, valid = ops.cast(at[:, -1], "int32"), valid_steps(pairs[:, None])[:, 0]
        alpha = ops.logsumexp(ops.expand_dims(alpha, -1) + pairs, axis=1)
        here = ops.one_hot(before, count)[:, :, None] * ops.one_hot(now, count)[:, None]
        # A product with the scores of a masked step would be a large number times 0.
        pairs = ops.where(valid[:, None, None], pairs, 0.0)
        path = path + ops.sum(here * pairs, axis=(1, 2))
        carry = alpha, path, ops.where(valid, now, before)
        return carry, carry

    start = _start(scores)
    nothing = ops.zeros_like(start[:, 0])
    # In one tensor: on TensorFlow `ops.scan` fails for several tensors with an open
    # number of steps.
    steps = ops.shape(scores)[1]
    flat = ops.reshape(scores, (-1, steps, count**2))
    flat = ops.concatenate([flat, ops.cast(classes[..., None], "float32")], axis=-1)
    carry = start, nothing, ops.cast(nothing, "int32")
    (alpha, path, _), _ = ops.scan(step, carry, ops.moveaxis(flat, 1, 0))
    losses = ops.logsumexp(alpha, axis=1) - path
    return ops.where(wrong, ops.full_like(losses, float("nan")), losses)


def viterbi(scores: Any) -> Any:
    """The best path through a linear chain, for a model that ends in a CRF.

    Viterbi 1967. Inside of a compiled function it is compiled.

    Args:
        scores: the output of a model that ends in `keras_rnnx.layers.CRF`,
            `(batch, time, classes, classes)`.

    Returns:
        Classes, int32, `(batch, time)`; -1 at masked steps.

    Raises:
        ValueError: for another shape.

    Example:

    >>> model = keras_rnnx.models.tagger(4, vocabulary=9, units=5, head="crf")
    >>> scores = model(np.array([[3, 1, 2, 0]]))
    >>> ops.convert_to_numpy(keras_rnnx.models.viterbi(scores)).shape
    (1, 4)
    """
    scores = ops.convert_to_tensor(scores)
    check(scores)
    scores = ops.cast(scores, "float32")

    def forward(carry: tuple[Any, Any], pairs: Any) -> tuple[Any, Any]:
        through = ops.expand_dims(carry[0], -1) + pairs
        best = ops.cast(ops.argmax(through, axis=1), "int32")
        carry = ops.max(through, axis=1), best
        return carry, carry

    def backward(carry: Any, best: Any) -> tuple[Any, Any]:
        before = ops.take_along_axis(best, ops.expand_dims(carry, -1), axis=1)[:, 0]
        return before, carry

    start = _start(scores)
    nowhere = ops.zeros_like(ops.cast(start, "int32"))
    (delta, _), (_, best) = ops.scan(
        forward, (start, nowhere), ops.moveaxis(scores, 1, 0)
    )
    last = ops.cast(ops.argmax(delta, axis=1), "int32")
    _, path = ops.scan(backward, last, best, reverse=True)
    return ops.where(valid_steps(scores), ops.transpose(path), -1)
