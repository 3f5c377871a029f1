"""Ways to compute a linear recurrence, all with the same numbers.

Each is a function `way(backend, a, b, carry, reverse, adjoint)` of lists of tensors:
one for real numbers, the real and the imaginary parts for complex ones.

- a: coefficients, `(time or 1, batch or 1, units)`.
- b: the terms that are added, `(time, batch, units)`.
- carry: the value before the first step, `(batch, units)`.
- reverse: whether to go from the last step to the first.
- adjoint: False for `h = a h + b`, which returns all `h`; True for the backward pass,
  `g = b + c; c = conj(a) g` with `c` from step to step, which returns all `g`.

The results have the shape `(time, batch, units)`.

A block of steps is an affine function of the value before it, with the product of its
coefficients as the factor. Coefficients are only multiplied, never divided by, and no
logarithms are taken. So with coefficients of at most 1 nothing overflows that would not
overflow step by step.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TypeAlias, cast

from keras import ops

from keras_rnnx.engine.backends.protocol import (
    Backend,
    Combine,
    EagerBackend,
    Length,
    Shape,
    Tensor,
    Tensors,
)
from keras_rnnx.engine.loop.segments import length
from keras_rnnx.engine.loop.tensors import StepOutput

# A function as described above.
Way: TypeAlias = Callable[[Backend, Tensors, Tensors, Tensors, bool, bool], Tensors]
# Fewer steps are not cut into blocks.
FEW = 4


def times(a: Tensors, h: Tensors, conjugate: bool = False) -> Tensors:
    """The product of numbers, or with the conjugate of the first."""
    if len(a) == 1:
        return [a[0] * h[0]]
    real, imaginary = a[0] * h[0], a[0] * h[1]
    if conjugate:
        return [real + a[1] * h[1], imaginary - a[1] * h[0]]
    return [real - a[1] * h[1], imaginary + a[1] * h[0]]


def plus(a: Tensors, b: Tensors) -> Tensors:
    """The sum of numbers."""
    return [x + y for x, y in zip(a, b)]


def sequential(
    backend: Backend,
    a: Tensors,
    b: Tensors,
    carry: Tensors,
    reverse: bool,
    adjoint: bool,
) -> Tensors:
    """Step by step."""
    if backend.may_write():
        eager = cast(EagerBackend, backend)
        return eager.linear_loop(a, b, carry, reverse, adjoint)
    slices, of_step = _slices(a)

    def step(carry: Tensors, slices: Tensors) -> tuple[Tensors, Tensors]:
        a, b = of_step(slices[:-n]), slices[-n:]
        if adjoint:
            out = plus(b, carry)
            return times(a, out, conjugate=True), out
        new = plus(times(a, carry), b)
        return new, new

    steps, n = length(b[0], 0), len(b)
    _, outs = backend.scan(
        step, carry, [*slices, *b], steps, [StepOutput()] * n, reverse=reverse
    )
    return outs


def constant(x: Tensor, axis: int = 0) -> bool:
    """Whether `x` is known to be the same along an axis."""
    # Sizes that are symbols cannot always be compared.
    return isinstance(x.shape[axis], int) and x.shape[axis] == 1


def _slices(a: Tensors) -> tuple[Tensors, Callable[[Tensors], Tensors]]:
    """The tensors of `a` that a loop slices, and a function from slices to `a`.

    Coefficients that are the same at all steps are not sliced.
    """
    if constant(a[0]):
        return [], lambda slices: [x[0] for x in a]
    return a, lambda slices: slices


def blocked(
    backend: Backend,
    a: Tensors,
    b: Tensors,
    carry: Tensors,
    reverse: bool,
    adjoint: bool,
) -> Tensors:
    """In blocks of time, one step of all blocks at once.

    The first loop computes the affine function of each block, the second one goes from
    block to block, and the third computes the steps. This takes about `2 sqrt(3 time)`
    operations instead of one per step, but reads the data twice.
    """
    steps = length(b[0], 0)
    if isinstance(steps, int) and steps < FEW:
        return sequential(backend, a, b, carry, reverse, adjoint)
    inner = block_steps(steps)
    outer = (steps + inner - 1) // inner
    # The block that runs last is padded: nothing depends on the steps after it. A loop
    # over the remaining steps could have no steps at all, which XLA refuses.
    more = outer * inner - steps

    def block(x: Tensor) -> Tensor:
        if constant(x):
            return x
        if not isinstance(more, int) or more:
            filling = ops.zeros((more, *_sizes(x)[1:]), x.dtype)
            x = backend.concatenate(ordered(x, filling, reverse), 0)
        x = ops.reshape(x, (outer, inner, *_sizes(x)[1:]))
        return ops.transpose(x, (1, 0, 2, 3))

    def joined(x: Tensor) -> Tensor:
        x = ops.transpose(x, (1, 0, 2, 3))
        x = ops.reshape(x, (outer * inner, *_sizes(x)[2:]))
        return x[more:] if reverse else x[:steps]

    a, b = [block(x) for x in a], [block(x) for x in b]
    before = _before_blocks(backend, a, b, carry, inner, reverse, adjoint)
    outs = sequential(backend, a, b, before, reverse, adjoint)
    return [joined(x) for x in outs]


def block_steps(steps: Length) -> Length:
    """The length of a block that makes the three loops shortest, about sqrt(T / 3)."""
    if not isinstance(steps, int):
        root = ops.sqrt(ops.cast(steps, "float32") / 3)
        return ops.maximum(ops.cast(ops.round(root), "int32"), 1)
    root = math.sqrt(steps / 3)
    near = range(max(1, int(root * 0.7)), int(root * 1.4) + 2)
    # Blocks without padding are worth two operations.
    return min(near, key=lambda n: 3 * n - (-steps // n) + 2 * (steps % n > 0))


def _before_blocks(
    backend: Backend,
    a: Tensors,
    b: Tensors,
    carry: Tensors,
    steps: Length,
    reverse: bool,
    adjoint: bool,
) -> Tensors:
    """The value before each block, `(blocks, batch, units)`."""
    n = len(b)
    slices, of_step = _slices(a)

    def step(carry: Tensors, slices: Tensors) -> tuple[Tensors, Tensors]:
        factor, end = carry[:n], carry[n:]
        a, b = of_step(slices[:-n]), slices[-n:]
        factor = times(a, factor, conjugate=adjoint)
        if adjoint:
            end = times(a, plus(b, end), conjugate=True)
        else:
            end = plus(times(a, end), b)
        return factor + end, []

    one = ops.ones_like(a[0][0])
    start = [one, *(ops.zeros_like(one) for _ in a[1:])]
    start += [ops.zeros_like(x[0]) for x in b]
    ends, _ = backend.scan(step, start, [*slices, *b], steps, [], reverse=reverse)
    factor, ends = ends[:n], ends[n:]
    blocks = length(ends[0], 0)
    # If coefficients are the same at all steps, all blocks have the same factor.
    fixed = len(factor[0].shape) == 2
    slices, of_block = ([], lambda slices: factor) if fixed else (factor, list)

    def between(carry: Tensors, slices: Tensors) -> tuple[Tensors, Tensors]:
        of_this = of_block(slices[:-n])
        return plus(times(of_this, carry), slices[-n:]), list(carry)

    _, before = backend.scan(
        between, carry, [*slices, *ends], blocks, [StepOutput()] * n, reverse=reverse
    )
    return before


def parallel(
    backend: Backend,
    a: Tensors,
    b: Tensors,
    carry: Tensors,
    reverse: bool,
    adjoint: bool,
) -> Tensors:
    """With about log2(time) operations, each on all steps.

    Blelloch 1990, "Prefix sums and their applications".
    """
    steps, n = length(b[0], 0), len(b)
    if not isinstance(steps, int):
        raise ValueError(
            "way='parallel' needs a known number of steps, but that of `b` is not "
            "known: pass way='blocked', or None."
        )
    if adjoint:
        # The values `c` are such a recurrence too, one step behind.
        conjugate, b_next = [a[0], *(-x for x in a[1:])], times(a, b, conjugate=True)
        through = parallel(backend, conjugate, b_next, carry, reverse, False)
        return plus(b, states_before(backend, through, carry, reverse))
    at = slice(-1, None) if reverse else slice(0, 1)
    first = times([x if constant(x) else x[at] for x in a], carry)
    first = plus([x[at] for x in b], first)
    others = [x[:-1] if reverse else x[1:] for x in b]
    b = [backend.concatenate(ordered(*pair, reverse), 0) for pair in zip(first, others)]
    # A row for each step, since combined coefficients differ from step to step.
    a = [backend.concatenate([x] * steps, 0) if constant(x) else x for x in a]

    def combine(left: Tensors, right: Tensors) -> Tensors:
        factor, end = right[:n], right[n:]
        return times(left[:n], factor) + plus(times(factor, left[n:]), end)

    scan = backend.associative_scan or partial(_doubling, backend)
    return list(scan(combine, a + b, reverse)[n:])


def _doubling(
    backend: Backend, combine: Combine, elements: Tensors, reverse: bool
) -> Tensors:
    """Combines each step with the step before, then with 2, 4, ... steps before
    (Hillis & Steele 1986)."""
    steps, reach = elements[0].shape[0], 1
    while reach < steps:
        here, there = slice(reach, None), slice(None, steps - reach)
        here, there = (there, here) if reverse else (here, there)
        done = slice(steps - reach, None) if reverse else slice(None, reach)
        new = combine([x[there] for x in elements], [x[here] for x in elements])
        elements = [
            backend.concatenate(ordered(x[done], y, reverse), 0)
            for x, y in zip(elements, new)
        ]
        reach *= 2
    return elements


def states_before(
    backend: Backend, outs: Tensors, carry: Tensors, reverse: bool
) -> Tensors:
    """The value before each step: first `carry`, then `outs` of the step before."""
    pairs = [
        (ops.expand_dims(c, 0), x[1:] if reverse else x[:-1])
        for x, c in zip(outs, carry)
    ]
    return [backend.concatenate(ordered(*pair, reverse), 0) for pair in pairs]


def ordered(earlier: Tensor, later: Tensor, reverse: bool) -> Tensors:
    """Two parts in the order of time; `earlier` is the part that runs first."""
    return [later, earlier] if reverse else [earlier, later]


def last_of(outs: Tensors, reverse: bool) -> Tensors:
    """The values of the step that runs last, zero if there are no steps."""
    return [ops.sum(x[:1] if reverse else x[-1:], axis=0) for x in outs]


def _sizes(x: Tensor) -> Shape:
    return [ops.shape(x)[i] if n is None else n for i, n in enumerate(x.shape)]


WAYS: dict[str, Way] = {
    "sequential": sequential,
    "blocked": blocked,
    "parallel": parallel,
}
