"""What the fused engine needs from TensorFlow."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

KERNEL = "loop compiled by XLA in training on fixed lengths, else one graph"

where = tf.where
concatenate = tf.concat


def total(x):
    """The sum over the first two axes."""
    return tf.reduce_sum(x, axis=(0, 1))


def scan(step, carry, xs, length, loose, reverse=False, unroll=False):
    """Runs `step(carry, slices) -> (carry, outs)` over time.

    Args:
        step: the step function, over lists of tensors.
        carry: the first carry.
        xs: tensors with time first, or loose outputs of another scan.
        length: number of steps.
        loose: for every output whether it will only be given to another scan, so that
            its steps need not be stacked into one tensor.
        reverse: whether to run from the last step to the first.
        unroll: whether to write the loop out.

    Returns:
        The last carry, and the outputs of all steps.
    """
    if unroll:
        return _unrolled(step, carry, xs, length, loose, reverse)
    carry = list(carry)
    dtype, shape = carry[0].dtype, carry[0].shape
    readers = [
        x if isinstance(x, tf.TensorArray) else _array(x.dtype, length).unstack(x)
        for x in xs
    ]
    writers = [_array(dtype, length, element_shape=shape) for _ in loose]

    def body(i, carry, writers):
        t = length - 1 - i if reverse else i
        new, outs = step(carry, [reader.read(t) for reader in readers])
        for n, o in zip(new, carry):
            n.set_shape(o.shape)
        return i + 1, list(new), [w.write(t, out) for w, out in zip(writers, outs)]

    _, carry, writers = tf.while_loop(
        lambda i, *_: i < length,
        body,
        (tf.constant(0), carry, writers),
        maximum_iterations=length,
    )
    return carry, [w if kept else w.stack() for w, kept in zip(writers, loose)]


def _array(dtype, length, **kwargs):
    return tf.TensorArray(dtype, length, clear_after_read=False, **kwargs)


def _unrolled(step, carry, xs, length, loose, reverse):
    xs = [x if isinstance(x, list) else tf.unstack(x) for x in xs]
    outs = [None] * length
    for t in reversed(range(length)) if reverse else range(length):
        carry, outs[t] = step(carry, [x[t] for x in xs])
    sequences = [[out[k] for out in outs] for k in range(len(loose))]
    return carry, [s if kept else tf.stack(s) for s, kept in zip(sequences, loose)]


def pullback(function, inputs):
    """Evaluates `function(inputs)`, a list of tensors.

    Returns:
        Its outputs, and a function from their cotangents (None for zero) and the
        positions of some inputs to the cotangents of those inputs (None for zero).
    """
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(inputs)
        outputs = function(inputs)

    def pull(cotangents, positions):
        pairs = [(o, c) for o, c in zip(outputs, cotangents) if c is not None]
        return tape.gradient(
            [o for o, _ in pairs],
            [inputs[p] for p in positions],
            output_gradients=[c for _, c in pairs],
        )

    return outputs, pull


def differentiable(forward, backward):
    """A function of a list of tensors with a backward pass of its own.

    Args:
        forward: from inputs to `(outputs, residuals)`, lists of tensors.
        backward: from inputs, residuals and the cotangents of the outputs to those of
            the inputs.
    """

    @tf.custom_gradient
    def run(*inputs):
        outputs, residuals = forward(list(inputs))

        def gradient(*cotangents):
            return backward(list(inputs), residuals, list(cotangents))

        return outputs, gradient

    return lambda inputs: list(run(*inputs))


def compiled(function: Callable, xla: bool) -> Callable:
    """`function` as one graph, so that the eager loop does not run op by op.

    With `xla` the graph is compiled for every shape it meets, without it one graph
    serves all shapes.
    """
    return tf.function(
        function, autograph=False, jit_compile=xla or None, reduce_retracing=not xla
    )


def prefers_xla(length, training: bool) -> bool:
    """Whether to compile the loop with XLA.

    It removes the overhead of single ops, which is most of the time at small sizes,
    but costs seconds for every new shape: only worth it in training on sequences
    of one length.
    """
    return bool(training) and isinstance(length, int)
