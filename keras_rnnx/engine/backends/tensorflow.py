"""The functions that the engines need, for TensorFlow."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from keras_rnnx import _trees
from keras_rnnx.engine.backends.compiled import *  # noqa: F403
from keras_rnnx.engine.backends.protocol import (
    Backward,
    Batch,
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

# Measured with benchmarks.run on 2 cores; see `prefers_xla`.
SMALL_STEP = 2**20
USUAL_BATCH = 64
# From so many steps on, saving memory is worth some time: see `Segments`.
LONG: float = 1000
# From so many units on, a graph is faster with an even number of products per step.
WIDE = 512

KERNELS_TAKE_LENGTHS = True
EAGER = False
associative_scan = None

where = tf.where
concatenate = tf.concat
rsqrt = tf.math.rsqrt


def total(x: Tensor) -> Tensor:
    """The sum over the first two axes, in float32 at least."""
    x = _wide(x)
    # More than twice as fast on the CPU as `tf.reduce_sum`.
    return tf.raw_ops.BiasAddGrad(out_backprop=tf.reshape(x, (-1, x.shape[-1])))


def plus_bias(rows: Tensor, bias: Tensor) -> Tensor:
    """`rows` `(any, width)` with `bias` `(width,)` added to each."""
    # For its gradient, which is the fast sum of `total`.
    return tf.nn.bias_add(rows, bias)


def over_units(values: Tensor) -> Tensor:
    """The mean over the last axis, which is kept."""
    if tf.config.list_logical_devices("GPU"):
        # On a GPU products may be less exact.
        return tf.reduce_mean(values, axis=-1, keepdims=True)
    # XLA on the CPU computes sums over the last axis one by one, but not products.
    units = values.shape[-1]
    return values @ tf.fill([units, 1], tf.constant(1 / units, values.dtype))


def product(matrix: Tensor, beside: int, xla: bool) -> Callable[[Tensor], Tensor]:
    """A function that multiplies by `matrix` from the right.

    Args:
        matrix: `(units, units)`.
        beside: number of products that can run at the same time, including it.
        xla: whether XLA compiles them.
    """
    units = matrix.shape[1]
    if xla or beside % 2 == 0 or units < WIDE:
        return lambda vector: vector @ matrix
    # Operations run in parallel, each on few cores: with an odd number the last one
    # would leave cores idle.
    halves = tf.split(matrix, [units // 2, units - units // 2], axis=1)
    return lambda vector: tf.concat([vector @ half for half in halves], axis=-1)


def split(x: Tensor, n: int) -> Sequence[Tensor]:
    """`n` equal blocks of the last axis."""
    return tf.split(x, n, axis=-1)


def outer(left: Tensor, right: Tensor) -> Tensor:
    """The sum over the first two axes of the outer products, as one product; in float32
    at least."""
    left, right = (tf.reshape(_wide(x), (-1, x.shape[-1])) for x in (left, right))
    return tf.matmul(left, right, transpose_a=True)


def _wide(x: Tensor) -> Tensor:
    return tf.cast(x, tf.float32) if x.dtype in (tf.float16, tf.bfloat16) else x


def loop_kernel(in_segments: bool) -> str:
    """In words, what runs the loop of the fused engine."""
    return "XLA loop for small steps of fixed shape, else graph loop"


def scan(
    step: Step,
    carry: Tree,
    xs: Tree,
    length: Length,
    outputs: Tree,
    reverse: bool = False,
    unroll: bool = False,
) -> tuple[Tree, Tree]:
    """Runs `step(carry, slices) -> (carry, outs)` over time.

    See `protocol.py`. Loose outputs are kept in pieces, one for each step.
    """
    of_carry, of_xs, of_outputs = map(_trees.Structure, (carry, xs, outputs))
    outputs = of_outputs.flat(outputs)
    if unroll or (isinstance(length, int) and length == 1):
        # A loop of one step, or a program for XLA, costs more than the step.
        carry, results = _unrolled(step, carry, of_xs, of_xs.flat(xs), length, reverse)
        pieces = map(_Pieces, zip(*map(of_outputs.flat, results)))
        stacks = [
            steps if output.loose else tf.stack(steps)
            for steps, output in zip(pieces, outputs)
        ]
        return carry, of_outputs.tree(stacks)
    carry = of_carry.flat(carry)
    shapes = [output.shape or _shape(carry[0]) for output in outputs]
    dtypes = [output.dtype or carry[0].dtype for output in outputs]
    readers = [
        x if isinstance(x, tf.TensorArray) else _array(x.dtype, length).unstack(x)
        for x in of_xs.flat(xs)
    ]
    writers = [
        _array(
            dtype,
            _some(length) if output.loose else length,
            element_shape=_static(shape),
        )
        for shape, dtype, output in zip(shapes, dtypes, outputs)
    ]

    def body(
        i: Tensor, carry: Tensors, writers: list[tf.TensorArray]
    ) -> tuple[Tensor, Tensors, list[tf.TensorArray]]:
        t = length - 1 - i if reverse else i
        slices = of_xs.tree(reader.read(t) for reader in readers)
        new, outs = step(of_carry.tree(carry), slices)
        new, outs = of_carry.flat(new), of_outputs.flat(outs)
        for n, o in zip(new, carry):
            n.set_shape(o.shape)
        return i + 1, new, [w.write(t, out) for w, out in zip(writers, outs)]

    _, carry, writers = tf.while_loop(
        lambda i, *_: i < length,
        body,
        (tf.constant(0), carry, writers),
        maximum_iterations=length,
    )
    stacks = [
        w if output.loose else _stacked(w, dtype, length, shape)
        for w, output, shape, dtype in zip(writers, outputs, shapes, dtypes)
    ]
    return of_carry.tree(carry), of_outputs.tree(stacks)


def _shape(x: Tensor) -> Shape:
    """Sizes of `x`, as tensors if they are not known in advance."""
    return [tf.shape(x)[i] if n is None else n for i, n in enumerate(x.shape)]


def _static(shape: Shape) -> list[int | None]:
    return [n if isinstance(n, int) else None for n in shape]


def _stacked(
    writer: tf.TensorArray, dtype: DType, length: Length, shape: Shape
) -> Tensor:
    if isinstance(length, int):
        return writer.stack()
    # An empty list can only be stacked if the full shape is known.
    stack = tf.raw_ops.TensorListStack(
        input_handle=writer.flow, element_shape=tf.stack(shape), element_dtype=dtype
    )
    stack.set_shape([None, *_static(shape)])
    return stack


def _some(length: Length) -> Length:
    """`length`, but at least 1 if it is a tensor: XLA cannot read an empty list."""
    return length if isinstance(length, int) else tf.maximum(length, 1)


def _array(dtype: DType, length: Length, **kwargs: Any) -> tf.TensorArray:
    return tf.TensorArray(dtype, length, clear_after_read=False, **kwargs)


class _Pieces(list):
    """The outputs of each step, in a class of its own: trees treat it as a leaf."""


def _unrolled(
    step: Step,
    carry: Tree,
    of_xs: _trees.Structure,
    xs: Tensors,
    length: int,
    reverse: bool,
) -> tuple[Tree, list[Tree]]:
    """The last carry, and the outputs of each step."""
    xs = [x if isinstance(x, list) else tf.unstack(x) for x in xs]
    results: list[Tree] = [None] * length
    for t in reversed(range(length)) if reverse else range(length):
        carry, results[t] = step(carry, of_xs.tree(x[t] for x in xs))
    return carry, results


def counter(n: Length) -> Tensor:
    """0, 1, ... `n - 1`, for a scan."""
    return tf.range(_some(n))


def steps_of(x: Tensor, start: Length, count: Length) -> Tensor:
    """`count` steps from `start` on of `x` `(batch, time, features)`."""
    part = tf.slice(x, [0, start, 0], [-1, count, -1])
    part.set_shape([x.shape[0], count if isinstance(count, int) else None, x.shape[2]])
    return part


def pullback(function: Function, inputs: Tensors) -> tuple[Tensors, Pull]:
    """Evaluates `function(inputs)`, a list of tensors.

    Returns:
        Its outputs, and a function from their cotangents (None for zero) and the
        positions of some inputs to the cotangents of those inputs (None for zero).
    """
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(inputs)
        outputs = function(inputs)

    def pull(cotangents: Cotangents, positions: Sequence[int]) -> Cotangents:
        pairs = [(o, c) for o, c in zip(outputs, cotangents) if c is not None]
        return tape.gradient(
            [o for o, _ in pairs],
            [inputs[p] for p in positions],
            output_gradients=[c for _, c in pairs],
        )

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

    @tf.custom_gradient
    def run(*inputs: Tensor) -> tuple[Tensors, Callable[..., Cotangents]]:
        outputs, residuals = forward(list(inputs))

        def gradient(*cotangents: Tensor) -> Cotangents:
            return backward(list(inputs), residuals, list(cotangents))

        return outputs, gradient

    return lambda inputs: run(*inputs)


def compiled(function: Callable, xla: bool) -> Callable:
    """A function of trees as one graph, so that the loop does not run op by op.

    With `xla` each shape gets a graph of its own; without it one graph serves all
    shapes. Inside of a graph, `function` becomes a part of that graph.
    """
    graph = _trees.over_trees(
        lambda flat: _graph(flat, reduce_retracing=not xla),
        function,
    )

    def run(*trees: Tree) -> Tree:
        # The gradient of a nested function reads shapes from its forward part. XLA
        # would treat them as constants, and compile again for every training step.
        return (function if tf.inside_function() else graph)(*trees)

    return run


def compiled_scan(
    step: Step,
    carry: Tree,
    xs: Tree,
    length: Length,
    outputs: Tree,
    reverse: bool = False,
    unroll: bool = False,
) -> tuple[Tree, Tree]:
    """`scan` with the loop compiled by XLA; the large products around it are not."""

    def run(carry: Tree, xs: Tree) -> tuple[Tree, Tree]:
        return scan(step, carry, xs, length, outputs, reverse, unroll)

    return _trees.over_trees(compiled_part, run)(carry, xs)


def compiled_part(function: Callable) -> Callable:
    """A part of a graph that XLA compiles for every new shape."""
    return _graph(function, jit_compile=True)


def _graph(function: Callable, **options: Any) -> Callable:
    # TensorFlow warns of a function that is traced again and again, and tells functions
    # apart by their code. The functions of all layers share theirs; partials have none.
    return tf.function(functools.partial(function), autograph=False, **options)


def prefers_xla(
    batch: Batch,
    length: Length,
    units: int,
    gates: int,
    training: bool,
    sums: bool = False,
) -> bool:
    """Whether to compile the loop with XLA.

    XLA removes the overhead of single operations, which takes most of the time as long
    as `batch * units**2`, the work in a step, is small. Above that a graph is faster
    for several gates: it runs their products in parallel. XLA also compiles for a
    second or more for every new shape: that is worth it only if shapes stay the same.

    Args:
        batch, length: an int if known when the layer is called.
        units: number of units.
        gates: number of gates, including the candidate.
        training: whether the layer is called in training.
        sums: whether steps have sums over units, which XLA combines with other
            operations, while a graph computes them one by one.
    """
    if not isinstance(length, int) or length == 1:
        return False
    if not training and not (isinstance(batch, int) and tf.inside_function()):
        return False
    batch = batch if isinstance(batch, int) else USUAL_BATCH
    return sums or gates == 1 or batch * units**2 < SMALL_STEP


def linear_way(steps: Length, batch: Batch, units: int) -> str:
    """The fastest of `scan/algorithms.py`, for sizes as far as known.

    The choice for a GPU was measured with JAX and torch, not with TensorFlow.

    On 2 cores, in training, XLA's plain loop of the steps is 2 to 5 times as fast as
    blocks in a graph. XLA has to compile for every number of steps; if the number is
    not known, a graph runs. In a graph, blocks are 2.5 times as fast as steps with 64
    numbers each, and about as fast with 1,024 and more.
    """
    if not isinstance(steps, int):
        return "blocked"
    return "parallel" if kernels()[0] else "sequential"


def gather_steps(x: Tensor, index: Tensor) -> Tensor:
    """`x[b, index[b, t]]` for every `b` and `t`, of `x` `(batch, time, features)`."""
    return tf.gather(x, index, batch_dims=1)


def argsort(keys: Tensor) -> Tensor:
    """Positions along axis 1 in the order of `keys` `(batch, time)`, all distinct."""
    return tf.argsort(keys, axis=1)


def kernels() -> tuple[str | None, str]:
    """The engine of the vendor's kernels, and the vendor: cuDNN on a GPU."""
    return ("cudnn" if tf.config.list_logical_devices("GPU") else None), "cuDNN"


def kernel_refusal(kernel: str, dtype: str) -> str | None:
    """Why a kernel cannot run here in a dtype, or None."""
    if tf.test.is_built_with_rocm():
        return "this build of TensorFlow is for ROCm, whose kernels are not cuDNN's"
    return missing("TensorFlow", kernel)


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
    """Runs a cuDNN kernel. See `protocol.py`."""
    # The transposed matrices, layer by layer: first the kernel, then the recurrent
    # kernel. The biases of all layers follow in the same order.
    parts = [tf.transpose(matrix) for w, u, *_ in weights for matrix in (w, u)]
    parts += [bias for _, _, *biases in weights for bias in biases]
    batch, steps = x.shape[:2]
    if lengths is None:
        lengths = tf.fill([tf.shape(x)[0]], tf.shape(x)[1])

    def swap(tensor: Tensor) -> Tensor:
        return tf.transpose(tensor, (1, 0, 2))

    # With time_major=False the op takes states of shape (batch, layers, units), but
    # passes their memory on as if layers came first: right only for a single layer.
    time_major = len(weights) > 1
    x, states = (swap(x), states) if time_major else (x, [swap(s) for s in states])
    outputs, *last, _, _ = tf.raw_ops.CudnnRNNV3(
        input=x,
        input_h=states[0],
        input_c=states[1] if kernel == "lstm" else 0,
        params=tf.concat([tf.reshape(part, [-1]) for part in parts], 0),
        sequence_lengths=tf.cast(lengths, tf.int32),
        rnn_mode=kernel,
        direction="bidirectional" if bidirectional else "unidirectional",
        is_training=True,
        time_major=time_major,
    )
    last = last[: len(states)]
    outputs, last = (
        (swap(outputs), last) if time_major else (outputs, [swap(s) for s in last])
    )
    outputs.set_shape([batch, steps, states[0].shape[-1] * (1 + bidirectional)])
    return outputs, last


def stepping(
    model: keras.Model,
    flat: Callable[[Callable, Sequence[Tensor]], Tensors],
    specs: Sequence[tuple[Shape, str]],
) -> Function:
    """One step of a model, compiled. See `protocol.py`."""
    signature = [tf.TensorSpec(shape, dtype) for shape, dtype in specs]

    @tf.function(autograph=False, input_signature=signature)
    def step(*tensors: Tensor) -> Tensors:
        return flat(lambda inputs: model(inputs, training=False), tensors)

    concrete = step.get_concrete_function()
    return lambda tensors: list(concrete(*tensors))
