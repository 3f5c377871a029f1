"""What the fused engine needs from JAX."""

from __future__ import annotations

from collections.abc import Callable

import jax

KERNEL = "lax.scan"

where = jax.numpy.where
concatenate = jax.numpy.concatenate


def total(x):
    """The sum over the first two axes."""
    return jax.numpy.sum(x, axis=(0, 1))


def product(matrix, beside, xla):
    """A function that multiplies by `matrix` from the right."""
    return lambda vector: vector @ matrix


def outer(left, right):
    """The sum over the first two axes of the outer products, as one product."""
    return left.reshape(-1, left.shape[-1]).T @ right.reshape(-1, right.shape[-1])


def scan(step, carry, xs, length, loose, reverse=False, unroll=False):
    """Runs `step(carry, slices) -> (carry, outs)` over the first axis of `xs`.

    Arguments as in the file for TensorFlow; here loose outputs are stacked too.

    Returns:
        The last carry, and the outputs of all steps.
    """
    return jax.lax.scan(
        step, list(carry), list(xs), length=length, reverse=reverse, unroll=unroll or 1
    )


def pullback(function, inputs):
    """Evaluates `function(inputs)`, a list of tensors.

    Returns:
        Its outputs, and a function from their cotangents (None for zero) and the
        positions of some inputs to the cotangents of those inputs.
    """
    outputs, pull_all = jax.vjp(function, inputs)

    def pull(cotangents, positions):
        cotangents = [
            jax.numpy.zeros_like(o) if c is None else c
            for o, c in zip(outputs, cotangents)
        ]
        (gradients,) = pull_all(cotangents)
        return [gradients[p] for p in positions]

    return outputs, pull


def differentiable(forward, backward, spared):
    """A function of a list of tensors with a backward pass of its own.

    Args:
        forward: from inputs to `(outputs, residuals)`, lists of tensors.
        backward: from inputs, residuals and the cotangents of the outputs to those of
            the inputs.
        spared: positions of inputs that `backward` does not read; it may get None.
    """

    @jax.custom_vjp
    def run(inputs):
        return forward(inputs)[0]

    def forward_rule(inputs):
        outputs, residuals = forward(inputs)
        inputs = [None if i in spared else x for i, x in enumerate(inputs)]
        return outputs, (inputs, residuals)

    def backward_rule(kept, cotangents):
        inputs, residuals = kept
        return (backward(inputs, residuals, list(cotangents)),)

    run.defvjp(forward_rule, backward_rule)
    return run


def compiled(function: Callable, xla: bool) -> Callable:
    """`function` compiled, so that calls outside of a compiled step are fast too."""
    return jax.jit(function)


def prefers_xla(batch, length, units: int, training: bool) -> bool:
    """JAX always compiles."""
    return True
