"""Linear recurrences: states that enter the next step by a product with a coefficient.

These are what is left of minGRU, SRU, QRNN or an LRU once their gates are known, which
need no state. They can be computed in several ways, some of them at many steps at once
(Martin & Cundy 2018, arXiv:1709.04057), and their derivatives are again linear
recurrences, in reverse:

    h_t = a_t h_(t-1) + b_t
    g_t = d_t + conj(a_(t+1)) g_(t+1)

with `d` the cotangents of the states, and `g` those of `b`. Those of `a` are
`g_t conj(h_(t-1))`. So nothing is kept but the coefficients and the states.

There is no version in logarithms. They serve to write the recurrence as a cumulative
sum over cumulative products (Feng et al. 2024, arXiv:2410.01201), which small
coefficients take to zero and the quotient to infinity. Here nothing is divided: with
coefficients from 0 to 1 products only shrink, and one too small for a number would not
have been seen in the sum. Logarithms of long products are large, and their rounding is
that of a factor: after 10,000 steps with gates of all sizes in float32 the states have
an error of 4e-7 here, and of 3e-2 from logarithms.
"""

from __future__ import annotations

import functools
from typing import Any

import keras
from keras import ops

from keras_rnnx.engine import backends
from keras_rnnx.engine._precision import HALVES
from keras_rnnx.engine.masks import column
from keras_rnnx.engine.scan.algorithms import (
    WAYS,
    constant,
    last_of,
    states_before,
    times,
)


def linear_recurrence(
    a: Any, b: Any, initial: Any, reverse: bool = False, way: str | None = None
) -> Any:
    """The states `h_t = a_t h_(t-1) + b_t` of all steps.

    It can be differentiated once. float16 and bfloat16 are computed in float32.

    Args:
        a: coefficients `(time, batch, units)`. The first two axes may be 1, for the
            same coefficients at all steps or in all sequences; they are then not
            repeated in memory. Sizes that are not known beforehand count as more.
        b: what is added at each step, `(time, batch, units)`, of the same dtype.
        initial: the states before the first step, `(batch, units)`, of the same dtype.
        reverse: whether to start at the last step: `h_t = a_t h_(t+1) + b_t`.
        way: "sequential" (step by step), "blocked" (a step of many stretches of time
            at once) or "parallel" (about log2(time) operations on all steps). The
            default, None, takes what is fastest here. The numbers are the same up to
            rounding. Only where coefficients are larger than 1 may their products over
            a stretch overflow in the latter two, though the states do not.

    Returns:
        The states after each step, `(time, batch, units)`. Of no steps, none.

    Raises:
        ValueError: for shapes or dtypes that do not fit, or an unknown `way`, or
            "parallel" where the number of steps is not known beforehand.

    Example:

    >>> a = np.full((1, 1, 1), 0.5, "float32")
    >>> b = np.ones((3, 1, 1), "float32")
    >>> h = linear_recurrence(a, b, np.zeros((1, 1), "float32"))
    >>> np.ravel(h).tolist()
    [1.0, 1.5, 1.75]
    """
    (states,) = _recurrence([a], [b], [initial], reverse, way)
    return states


def complex_linear_recurrence(
    a: tuple[Any, Any],
    b: tuple[Any, Any],
    initial: tuple[Any, Any],
    reverse: bool = False,
    way: str | None = None,
) -> tuple[Any, Any]:
    """The complex states `h_t = a_t h_(t-1) + b_t` of all steps, as in an LRU.

    Orvieto et al. 2023, arXiv:2303.06349. Numbers are pairs of real tensors, the real
    and the imaginary parts.

    Args:
        a, b, initial: pairs of tensors, otherwise as for `linear_recurrence`.
        reverse, way: as for `linear_recurrence`.

    Returns:
        The real and the imaginary parts of the states, each `(time, batch, units)`.

    Raises:
        ValueError: as for `linear_recurrence`, and for what is not a pair.

    Example: a rotation by a quarter at each step.

    >>> number = np.ones((1, 1, 1), "float32")
    >>> zeros = np.zeros((3, 1, 1), "float32")
    >>> real, imaginary = complex_linear_recurrence(
    ...     (0 * number, number), (zeros, zeros), (number[0], 0 * number[0]))
    >>> np.ravel(real).tolist(), np.ravel(imaginary).tolist()
    ([0.0, -1.0, 0.0], [1.0, 0.0, -1.0])
    """
    for name, value in (("a", a), ("b", b), ("initial", initial)):
        if not isinstance(value, (tuple, list)) or len(value) != 2:
            raise ValueError(
                f"`{name}` must be a pair of tensors, its real and its imaginary part. "
                f"Received: {name}={value}"
            )
    return tuple(_recurrence(list(a), list(b), list(initial), reverse, way))


def masked(a: Any, b: Any, mask: Any) -> tuple[Any, Any]:
    """Coefficients with which masked steps carry the states on: 1, and 0 to add.

    What stands in masked steps has no part in the states nor in any gradient, were it
    infinite or not a number.

    Args:
        a, b: as for `linear_recurrence`, or pairs as for `complex_linear_recurrence`.
        mask: boolean, `(time, batch, 1)` or `(time, batch)`; False at masked steps.

    Returns:
        `a` and `b` likewise. `a` now has every step of every sequence.

    Example:

    >>> a, b = masked(np.full((1, 1, 1), 0.5), np.ones((2, 1, 1)), [[True], [False]])
    >>> np.ravel(a).tolist(), np.ravel(b).tolist()
    ([0.5, 1.0], [1.0, 0.0])
    """
    mask = column(ops.convert_to_tensor(mask))
    where = backends.current().where

    def put(values, ones):
        single = not isinstance(values, (tuple, list))
        filled = []
        for i, x in enumerate([values] if single else values):
            x = ops.convert_to_tensor(x)
            rest = ops.ones_like(x) if ones and i == 0 else ops.zeros_like(x)
            filled.append(where(mask, x, rest))
        return filled[0] if single else tuple(filled)

    return put(a, ones=True), put(b, ones=False)


def _recurrence(a, b, initial, reverse, way):
    """Lists of parts, and the states likewise."""
    a, b, initial = (
        [ops.convert_to_tensor(x) for x in values] for values in (a, b, initial)
    )
    if way is not None and way not in WAYS:
        raise ValueError(f"`way` must be None or one of {list(WAYS)}. Received: {way=}")
    for name, (first, *others) in (("a", a), ("b", b), ("initial", initial)):
        if any(tuple(x.shape) != tuple(first.shape) for x in others):
            raise ValueError(
                f"`{name}` must be a pair of tensors of one shape. Received shapes: "
                f"{[tuple(x.shape) for x in (first, *others)]}"
            )
    for parts in zip(a, b, initial):
        _check(*parts)
    steps, batch, units = b[0].shape
    known = isinstance(steps, int)
    if known and not steps:
        return b
    way = way or backends.current().linear_way(steps, batch, units)
    # Where coefficients are fewer than the states, gradients are sums.
    axes = (0, 1)
    axes = tuple(i for i in axes if constant(a[0], i) and not constant(b[0], i))
    return _function(len(b), axes, bool(reverse), way, known)([*a, *b, *initial])


def _check(a, b, initial):
    shapes = f"a {tuple(a.shape)}, b {tuple(b.shape)}, initial {tuple(initial.shape)}"
    fit = len(a.shape) == len(b.shape) == 3 and len(initial.shape) == 2
    pairs = [*zip(a.shape, b.shape), *zip(initial.shape, b.shape[1:])] if fit else []
    for i, (n, m) in enumerate(pairs):
        # The first two are the axes of `a` that may be 1.
        known = isinstance(n, int) and isinstance(m, int)
        fit = fit and (not known or n == m or (n == 1 and i < 2))
    if not fit:
        raise ValueError(
            "`b` must be of shape (time, batch, units), `initial` of (batch, units), "
            "and `a` of that of `b` or 1 in its first two axes. "
            f"Received shapes: {shapes}"
        )
    dtypes = [keras.backend.standardize_dtype(x.dtype) for x in (a, b, initial)]
    if len(set(dtypes)) > 1 or "float" not in dtypes[0]:
        raise ValueError(
            "`a`, `b` and `initial` must be of one floating dtype: cast them. Received "
            f"dtypes: a {dtypes[0]}, b {dtypes[1]}, initial {dtypes[2]}"
        )


@functools.cache
def _function(n, axes, reverse, way, known):
    """The recurrence with its backward pass, for numbers of `n` parts.

    Made once, as a compiled function is compiled once.

    Args:
        axes: those of `a` along which it is repeated.
        known: whether the number of steps is known.
    """
    backend = backends.current()
    run = WAYS[way]

    def part(function):
        """A loop is one program for XLA where there is XLA, else many operations."""
        if known and way == "sequential":
            return backend.compiled_part(function)
        return function

    def states(inputs):
        values = _wide(inputs)
        a, b, initial = values[:n], values[n : 2 * n], values[2 * n :]
        outs = run(backend, a, b, initial, reverse, False)
        return _cast(outs, inputs[0].dtype)

    def gradients(inputs):
        values = _wide(inputs)
        a, initial, outs, d = (values[i : i + n] for i in range(0, 4 * n, n))
        start = [ops.zeros_like(x) for x in initial]
        g = run(backend, a, d, start, not reverse, True)
        first = [last_of(x, not reverse) for x in (a, g)]
        d_initial = times(*first, conjugate=True)
        d_a = times(states_before(backend, outs, initial, reverse), g, conjugate=True)
        if axes:
            d_a = [ops.sum(x, axis=axes, keepdims=True) for x in d_a]
        return _cast([*d_a, *g, *d_initial], inputs[0].dtype)

    def forward(inputs):
        outs = list(part(states)(inputs))
        return outs, outs

    def backward(inputs, residuals, cotangents):
        a, initial = inputs[:n], inputs[2 * n :]
        return list(part(gradients)([*a, *initial, *residuals, *cotangents]))

    def again(inputs, residuals, cotangents):
        a, initial = inputs[:n], inputs[2 * n :]
        return gradients([*a, *initial, *residuals, *cotangents])

    spared = set(range(n, 2 * n))
    function = backend.differentiable(forward, backward, spared, states, again)
    return backend.compiled(function, known)


def _wide(values):
    """Half precision has too few digits for sums over many steps."""
    narrow = keras.backend.standardize_dtype(values[0].dtype) in HALVES
    return _cast(values, "float32") if narrow else list(values)


def _cast(values, dtype):
    return [ops.cast(x, dtype) for x in values]
