"""The functions that the engines need, for JAX."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import jax
from jax.experimental import rnn

from keras_rnnx import _trees
from keras_rnnx.engine.backends.compiled import *  # noqa: F403
from keras_rnnx.engine.backends.protocol import (
    Backward,
    Batch,
    Combine,
    Cotangents,
    DType,
    Forward,
    Function,
    Length,
    Pull,
    Shape,
    Step,
    Tensor,
    Tensors,
    Tree,
)
from keras_rnnx.engine.kernels.served import missing

if TYPE_CHECKING:
    import keras

# From so many steps on, saving memory is worth some time: see `Segments`.
LONG: float = 1000

KERNELS_TAKE_LENGTHS = True
EAGER = False

where = jax.numpy.where
concatenate = jax.numpy.concatenate
rsqrt = jax.lax.rsqrt
plus_bias = operator.add


def total(x: Tensor) -> Tensor:
    """The sum over the first two axes, in float32 at least."""
    return jax.numpy.sum(x, axis=(0, 1), dtype=_wide(x))


def _wide(x: Tensor) -> DType:
    return jax.numpy.promote_types(x.dtype, "float32")


def over_units(values: Tensor) -> Tensor:
    """The mean over the last axis, which is kept."""
    return jax.numpy.mean(values, axis=-1, keepdims=True)


def product(matrix: Tensor, beside: int, xla: bool) -> Callable[[Tensor], Tensor]:
    """A function that multiplies by `matrix` from the right."""
    return lambda vector: vector @ matrix


def split(x: Tensor, n: int) -> Sequence[Tensor]:
    """`n` equal blocks of the last axis."""
    return jax.numpy.split(x, n, axis=-1)


def outer(left: Tensor, right: Tensor) -> Tensor:
    """The sum over the first two axes of the outer products, as one product; in float32
    at least."""
    left, right = (x.reshape(-1, x.shape[-1]) for x in (left, right))
    return jax.numpy.matmul(left.T, right, preferred_element_type=_wide(left))


def loop_kernel(in_segments: bool) -> str:
    """In words, what runs the loop of the fused engine."""
    return "lax.scan"


def scan(
    step: Step,
    carry: Tree,
    xs: Tree,
    length: Length,
    outputs: Tree,
    reverse: bool = False,
    unroll: bool = False,
) -> tuple[Tree, Tree]:
    """Runs `step(carry, slices) -> (carry, outs)` over the first axis of `xs`.

    See `protocol.py`. Here loose outputs are stacked too.
    """
    of_carry, of_xs, of_outputs = map(_trees.Structure, (carry, xs, outputs))

    def flat(carry: Tensors, slices: Tensors) -> tuple[Tensors, Tensors]:
        new, outs = step(of_carry.tree(carry), of_xs.tree(slices))
        return of_carry.flat(new), of_outputs.flat(outs)

    carry, xs = of_carry.flat(carry), of_xs.flat(xs)
    if isinstance(length, int):
        result = jax.lax.scan(
            flat, carry, xs, length=length, reverse=reverse, unroll=unroll or 1
        )
    else:
        result = _scan_of_any_length(flat, carry, xs, length, reverse)
    return of_carry.tree(result[0]), of_outputs.tree(result[1])


def _scan_of_any_length(
    step: Callable[[Tensors, Tensors], tuple[Tensors, Tensors]],
    carry: Tensors,
    xs: Tensors,
    length: Length,
    reverse: bool,
) -> tuple[Tensors, Tensors]:
    """`scan` for a symbolic length, as when Keras infers the shapes of a model."""

    def at(t: Tensor) -> Tensors:
        return [jax.lax.dynamic_index_in_dim(x, t, keepdims=False) for x in xs]

    def body(i: Tensor, state: tuple[Tensors, Tensors]) -> tuple[Tensors, Tensors]:
        t = length - 1 - i if reverse else i
        carry, outs = step(state[0], at(t))
        stacks = [
            jax.lax.dynamic_update_index_in_dim(stack, out, t, 0)
            for stack, out in zip(state[1], outs)
        ]
        return list(carry), stacks

    _, outs = jax.eval_shape(lambda carry: step(carry, at(0)), carry)
    stacks = [jax.numpy.zeros((length, *out.shape), out.dtype) for out in outs]
    return jax.lax.fori_loop(0, length, body, (carry, stacks))


compiled_scan = scan


def associative_scan(combine: Combine, elements: Tensors, reverse: bool) -> Tensors:
    """All prefixes of `elements`, combined by `combine`."""
    return jax.lax.associative_scan(combine, elements, reverse=reverse)


def counter(n: Length) -> Tensor:
    """0, 1, ... `n - 1`, for a scan."""
    return jax.numpy.arange(n)


def steps_of(x: Tensor, start: Length, count: Length) -> Tensor:
    """`count` steps from `start` on of `x` `(batch, time, features)`."""
    return jax.lax.dynamic_slice_in_dim(x, start, count, axis=1)


def pullback(function: Function, inputs: Tensors) -> tuple[Tensors, Pull]:
    """Evaluates `function(inputs)`, a list of tensors.

    Returns:
        Its outputs, and a function from their cotangents (None for zero) and the
        positions of some inputs to the cotangents of those inputs.
    """
    outputs, pull_all = jax.vjp(function, inputs)

    def pull(cotangents: Cotangents, positions: Sequence[int]) -> Cotangents:
        cotangents = [
            jax.numpy.zeros_like(o) if c is None else c
            for o, c in zip(outputs, cotangents)
        ]
        (gradients,) = pull_all(cotangents)
        return [gradients[p] for p in positions]

    return outputs, pull


def differentiable(
    forward: Forward,
    backward: Backward,
    spared: set[int],
    plain: Function | None = None,
    again: Backward | None = None,
) -> Function:
    """A function of a list of tensors with a custom backward pass.

    Args:
        forward: from inputs to `(outputs, residuals)`, lists of tensors.
        backward: from inputs, residuals and the cotangents of the outputs to the
            cotangents of the inputs.
        spared: positions of inputs that `backward` does not read; it may get None.
        plain, again: used on torch only, see `torch/gradients.py`.
    """

    @jax.custom_vjp
    def run(inputs: Tensors) -> Tensors:
        return forward(inputs)[0]

    def forward_rule(inputs: Tensors) -> tuple[Tensors, tuple[Tensors, Tensors]]:
        outputs, residuals = forward(inputs)
        inputs = [None if i in spared else x for i, x in enumerate(inputs)]
        return outputs, (inputs, residuals)

    def backward_rule(
        kept: tuple[Tensors, Tensors], cotangents: Cotangents
    ) -> tuple[Cotangents]:
        inputs, residuals = kept
        return (backward(inputs, residuals, list(cotangents)),)

    run.defvjp(forward_rule, backward_rule)
    return run


def compiled(function: Callable, xla: bool) -> Callable:
    """A compiled function of trees, so that calls outside of a compiled step are fast
    too."""
    return _trees.over_trees(jax.jit, function)


def compiled_part(function: Callable) -> Callable:
    """`function` unchanged: the whole call is compiled."""
    return function


def prefers_xla(
    batch: Batch,
    length: Length,
    units: int,
    gates: int,
    training: bool,
    sums: bool = False,
) -> bool:
    """JAX always compiles."""
    return True


def linear_way(steps: Length, batch: Batch, units: int) -> str:
    """The fastest of `scan/algorithms.py`.

    In training on an H100, blocks took 3 to 10 times and steps 15 to 100 times as long
    as the parallel way. On the CPU, XLA makes a plain loop of the steps: on 2 cores, in
    training, the other ways took 1.4 to 4 times as long, at sizes of 1 to 64 sequences,
    50 to 2,048 steps and 32 to 256 units.
    """
    known = isinstance(steps, int)
    return "parallel" if known and kernels()[0] else "sequential"


def gather_steps(x: Tensor, index: Tensor) -> Tensor:
    """`x[b, index[b, t]]` for every `b` and `t`, of `x` `(batch, time, features)`."""
    return jax.numpy.take_along_axis(x, index[:, :, None], axis=1)


def argsort(keys: Tensor) -> Tensor:
    """Positions along axis 1 in the order of `keys` `(batch, time)`, all distinct."""
    return jax.numpy.argsort(keys, axis=1)


def kernels() -> tuple[str | None, str]:
    """The engine of the vendor's kernels, and the vendor: cuDNN on a GPU."""
    return ("cudnn" if jax.default_backend() == "gpu" else None), "cuDNN"


def kernel_refusal(kernel: str, dtype: str) -> str | None:
    """Why a kernel cannot run here in a dtype, or None."""
    if kernel == "lstm" and dtype != "float32":
        return f"JAX has cuDNN's LSTM in float32 alone, but this is {dtype}"
    return missing("JAX", kernel)


def hooked(layer: keras.layers.Layer) -> bool:
    """Whether hooks observe the calls of a layer: not on this backend."""
    return False


def run_kernel(
    kernel: str,
    x: Tensor,
    states: Tensors,
    weights: list[Tensors],
    lengths: Tensor | None,
    bidirectional: bool = False,
) -> tuple[Tensor, Tensors]:
    """Runs cuDNN's LSTM. See `protocol.py`."""
    # All matrices of all layers come first.
    parts = [matrix.T for w, u, *_ in weights for matrix in (w, u)]
    parts += [bias for _, _, *biases in weights for bias in biases]
    batch, steps, features = x.shape
    if lengths is None:
        lengths = jax.numpy.full((batch,), steps)
    outputs, *last = rnn.lstm(
        x,
        *states,
        jax.numpy.concatenate([part.ravel() for part in parts]),
        lengths.astype("int32"),
        input_size=features,
        hidden_size=states[0].shape[-1],
        num_layers=len(weights) // (1 + bidirectional),
        dropout=0.0,
        bidirectional=bidirectional,
    )
    return outputs, last


def stepping(
    model: keras.Model,
    flat: Callable[[Callable, Sequence[Tensor]], Tensors],
    specs: Sequence[tuple[Shape, str]],
) -> Function:
    """One step of a model, compiled. See `protocol.py`."""

    @jax.jit
    def step(trainable: Tensors, others: Tensors, tensors: Tensors) -> Tensors:
        def call(inputs: Tree) -> Tree:
            outputs, _ = model.stateless_call(trainable, others, inputs, training=False)
            return outputs

        return flat(call, tensors)

    # Looking them up takes longer than a small step.
    weights = model.trainable_variables, model.non_trainable_variables

    def run(tensors: Tensors) -> Tensors:
        return step(*([v.value for v in group] for group in weights), tensors)

    return run
