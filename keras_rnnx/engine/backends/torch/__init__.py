"""The functions that the engines need, for torch."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import keras
import torch

from keras_rnnx import _trees
from keras_rnnx.engine import recording
from keras_rnnx.engine.backends.protocol import (
    Batch,
    DType,
    Function,
    Length,
    Shape,
    Step,
    Tensor,
    Tensors,
    Tree,
)
from keras_rnnx.engine.backends.torch import cuda_graphs, export
from keras_rnnx.engine.backends.torch.cuda_graphs import Recorder as Recorder
from keras_rnnx.engine.backends.torch.export import exporting as exporting
from keras_rnnx.engine.backends.torch.gradients import differentiable as differentiable
from keras_rnnx.engine.backends.torch.gradients import gradients as gradients
from keras_rnnx.engine.backends.torch.gradients import may_write as may_write
from keras_rnnx.engine.backends.torch.gradients import pullback as pullback
from keras_rnnx.engine.backends.torch.gradients import takes_kernels
from keras_rnnx.engine.backends.torch.recurrent_kernels import run_kernel as run_kernel

# No sequence is too long: an eager loop frees what it does not need as it goes.
LONG = math.inf
EAGER = True
associative_scan = None
# Numbers of steps, and of values per step, of a linear recurrence: see `linear_way`.
MANY = 150
FEW = 512

# Kernels are called without lengths: with lengths, torch needs them on the host, sorts
# the rows, and leaves its fast path.
KERNELS_TAKE_LENGTHS = False

where = torch.where
concatenate = torch.cat
rsqrt = torch.rsqrt
plus_bias = operator.add


DTYPES = {
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "float32": torch.float32,
    "float64": torch.float64,
}


def tensor(value: Any, dtype: str) -> Tensor:
    """A variable, an array or a tensor, as a tensor of a dtype.

    A tensor that fits is returned after a single check. Keras checks devices, scopes
    and symbols several times, which takes a large part of the time of a short sequence.
    """
    held = value.value if isinstance(value, keras.Variable) else value
    fits = type(held) in cuda_graphs.KINDS and held.dtype is DTYPES.get(dtype)
    if fits and held.is_cpu and _has_cpu_alone():
        return held
    return keras.ops.cast(keras.ops.convert_to_tensor(value), dtype)


@functools.cache
def _has_cpu_alone() -> bool:
    others = torch.cuda, torch.xpu, torch.backends.mps
    return not any(device.is_available() for device in others)


def plan_key() -> tuple | None:
    """A key of all that a plan depends on besides its layer and the arguments of a
    call, or None if plans cannot be kept."""
    if kernels()[0] != "native" or exporting():
        return None
    return (takes_kernels(),)


def total(x: Tensor) -> Tensor:
    """The sum over the first two axes, in float32 at least."""
    return torch.sum(x, dim=(0, 1), dtype=_wide(x))


def _wide(x: Tensor) -> DType:
    return torch.float32 if x.dtype in (torch.float16, torch.bfloat16) else x.dtype


def over_units(values: Tensor) -> Tensor:
    """The mean over the last axis, which is kept."""
    return values.mean(-1, keepdim=True)


def product(matrix: Tensor, beside: int, xla: bool) -> Callable[[Tensor], Tensor]:
    """A function that multiplies by `matrix` from the right."""
    return lambda vector: vector @ matrix


def split(x: Tensor, n: int) -> Sequence[Tensor]:
    """`n` equal blocks of the last axis."""
    return (x,) if n == 1 else x.chunk(n, -1)


def empty(shape: tuple[int, ...], like: Tensor) -> Tensor:
    """A tensor without values yet."""
    return torch.empty(shape, dtype=like.dtype, device=like.device)


def add_product(term: Tensor, vectors: Tensor, matrix: Tensor) -> Tensor:
    """`term + vectors @ matrix`, of one step or of all."""
    if vectors.ndim == 2:
        return torch.addmm(term, vectors, matrix)
    product = vectors @ matrix
    return product.add_(term) if may_write() else product + term


def outer(left: Tensor, right: Tensor) -> Tensor:
    """The sum over the first two axes of the outer products, as one product; in float32
    at least."""
    left, right = (x.flatten(0, 1).to(_wide(x)) for x in (left, right))
    return left.T @ right


def loop_kernel(in_segments: bool) -> str:
    """In words, what runs the loop of the fused engine."""
    recorded = records_loops() and not in_segments
    return "CUDA graph of the loop" if recorded else "eager loop"


def records_loops() -> bool:
    """Whether loops over whole sequences are recorded: see `cuda_graphs.py`."""
    on_gpu = kernels()[0] == "cudnn"
    return on_gpu and recording.allowed() and cuda_graphs.possible()


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
    of_xs, of_outputs = _trees.Structure(xs), _trees.Structure(outputs)
    if export.exporting() and not unroll:
        return _exported_scan(step, carry, xs, of_xs, of_outputs, reverse)
    slices = [x.unbind(0) for x in of_xs.flat(xs)]
    results: list[Tree] = [None] * length
    for t in reversed(range(length)) if reverse else range(length):
        carry, outs = step(carry, of_xs.tree(x[t] for x in slices))
        results[t] = of_outputs.flat(outs)
    stacks = [
        torch.stack([outs[k] for outs in results]) for k in range(of_outputs.size)
    ]
    return carry, of_outputs.tree(stacks)


def _exported_scan(
    step: Step,
    carry: Tree,
    xs: Tree,
    of_xs: _trees.Structure,
    of_outputs: _trees.Structure,
    reverse: bool,
) -> tuple[Tree, Tree]:
    """`scan` as an operation of an exported graph."""
    of_carry = _trees.Structure(carry)

    def flat(carry: Tensors, slices: Tensors) -> tuple[Tensors, Tensors]:
        new, outs = step(of_carry.tree(carry), of_xs.tree(slices))
        return of_carry.flat(new), of_outputs.flat(outs)

    last, stacks = export.scan(flat, of_carry.flat(carry), of_xs.flat(xs), reverse)
    return of_carry.tree(last), of_outputs.tree(stacks)


compiled_scan = scan


def counter(n: Length) -> Tensor:
    """0, 1, ... `n - 1`, for a scan."""
    return torch.arange(n)


def steps_of(x: Tensor, start: Length, count: Length) -> Tensor:
    """`count` steps from `start` on of `x` `(batch, time, features)`."""
    return x.narrow(1, int(start), count)


def reverse_loop(
    of_gates: list[Tensor | None],
    of_states: list[list[Tensor | None]],
    outer: Tensor | None,
    last: Tensors,
    back: Tensor | None,
    dropped: Tensor | None,
    carried: bool,
    out: Tensor | None,
) -> tuple[Tensors, Tensors]:
    """The loop back in time of `EagerRecurrence`.

    Args:
        of_gates: for each state its derivative with respect to the recurrent product,
            `(time, batch, gates, units)`, or None for zero.
        of_states: for each state its derivatives with respect to the states before the
            step, `(time, batch, units)`.
        outer: cotangents of the outputs, `(time, batch, units)`, or None.
        last: cotangents of the last states.
        back: the transposed recurrent kernel, or None without a recurrent product.
        dropped: recurrent dropout mask `(batch, units)`, or one for every step `(time,
            batch, units)`, or None.
        carried: whether to return the cotangents of all states at all steps.
        out: a tensor that is filled with the cotangents of the recurrent product,
            `(time, batch, gates, units)`; or None.

    Returns:
        Cotangents of the first states, and of the states after each step if `carried`.
    """
    n = len(last)
    # All slices are taken in one call, and nothing else is looked up in the loop.
    gates = [(i, d.unbind(0)) for i, d in enumerate(of_gates) if d is not None]
    states = [
        (i, k, d.unbind(0))
        for i, of_state in enumerate(of_states)
        for k, d in enumerate(of_state)
        if d is not None
    ]
    length = len(next(slices for *_, slices in gates + states))
    if out is not None:
        by_gate, flat = out.unbind(0), out.flatten(2).unbind(0)
        (first, first_slices), others = gates[0], gates[1:]
    outer = None if outer is None else outer.unbind(0)
    if dropped is not None:
        dropped = dropped.unbind(0) if dropped.dim() == 3 else [dropped] * length
    carry, kept = list(last), []
    for t in reversed(range(length)):
        if outer is not None:
            carry[0] = carry[0] + outer[t]
        if carried:
            kept.append(list(carry))
        if out is not None:
            torch.mul(first_slices[t], carry[first].unsqueeze(1), out=by_gate[t])
            for i, slices in others:
                by_gate[t].addcmul_(slices[t], carry[i].unsqueeze(1))
        new = [None] * n
        for i, k, slices in states:
            if new[k] is None:
                new[k] = slices[t] * carry[i]
            else:
                new[k] = torch.addcmul(new[k], slices[t], carry[i])
        if out is None:
            pass
        elif dropped is not None:
            through = (flat[t] @ back) * dropped[t]
            new[0] = through if new[0] is None else new[0] + through
        elif new[0] is None:
            new[0] = flat[t] @ back
        else:
            new[0] = torch.addmm(new[0], flat[t], back)
        carry = [torch.zeros_like(c) if x is None else x for x, c in zip(new, carry)]
    stacks = [torch.stack(steps) for steps in zip(*reversed(kept))]
    return carry, stacks


def linear_loop(
    a: Tensors, b: Tensors, carry: Sequence[Tensor], reverse: bool, adjoint: bool
) -> Tensors:
    """All steps of a linear recurrence: see `scan/algorithms.py`.

    Each step writes its result to its final place. The backward pass is one call per
    step too: it adds and multiplies at once, by the coefficients of the step before.
    """
    steps = len(b[0])
    outs = [torch.empty_like(x, memory_format=torch.contiguous_format) for x in b]
    a_steps, b_steps, out_steps = (
        list(zip(*(x.expand(steps, *x.shape[1:]).unbind(0) for x in values)))
        for values in (a, b, outs)
    )
    advance = _advance if len(b) == 1 else _advance_complex
    factor = None
    for t in reversed(range(steps)) if reverse else range(steps):
        if not adjoint:
            advance(b_steps[t], a_steps[t], carry, out_steps[t], 1)
        elif factor is None:
            for x, c, out in zip(b_steps[t], carry, out_steps[t]):
                torch.add(x, c, out=out)
        else:
            advance(b_steps[t], factor, carry, out_steps[t], -1)
        carry, factor = out_steps[t], a_steps[t]
    return outs


def _advance(
    b: Sequence[Tensor],
    a: Sequence[Tensor],
    h: Sequence[Tensor],
    out: Sequence[Tensor],
    sign: int,
) -> None:
    torch.addcmul(b[0], a[0], h[0], out=out[0])


def _advance_complex(
    b: Sequence[Tensor],
    a: Sequence[Tensor],
    h: Sequence[Tensor],
    out: Sequence[Tensor],
    sign: int,
) -> None:
    """`b + a h`, or `b + conj(a) h` if `sign` is -1."""
    torch.addcmul(b[0], a[0], h[0], out=out[0])
    torch.addcmul(out[0], a[1], h[1], value=-sign, out=out[0])
    torch.addcmul(b[1], a[0], h[1], out=out[1])
    torch.addcmul(out[1], a[1], h[0], value=sign, out=out[1])


def compiled(function: Callable, xla: bool) -> Callable:
    """`function` unchanged: torch runs eagerly."""
    return function


def compiled_part(function: Callable) -> Callable:
    """`function` unchanged: torch runs eagerly."""
    return function


def prefers_xla(
    batch: Batch,
    length: Length,
    units: int,
    gates: int,
    training: bool,
    sums: bool = False,
) -> bool:
    """torch has no XLA here."""
    return False


def linear_way(steps: Length, batch: Batch, units: int) -> str:
    """The fastest of `scan/algorithms.py`.

    On an H100 the parallel way was the fastest at every size from 1 sequence of 200
    steps on, by 1.5 to 2.4 times in training.

    In training on one CPU core, for real and complex numbers: with 64 numbers per step,
    blocks are 1.5 times as fast as steps for 200 steps and 4 times for 1,000 steps.
    With 1,024 numbers both are equal; with more numbers, or fewer steps, blocks are up
    to 3 times slower.
    """
    if kernels()[0] == "cudnn":
        return "parallel"
    return "blocked" if steps >= MANY and batch * units <= FEW else "sequential"


def gather_steps(x: Tensor, index: Tensor) -> Tensor:
    """`x[b, index[b, t]]` for every `b` and `t`, of `x` `(batch, time, features)`."""
    index = index.long().unsqueeze(-1).expand(-1, -1, x.shape[-1])
    return torch.gather(x, 1, index)


def argsort(keys: Tensor) -> Tensor:
    """Positions along axis 1 in the order of `keys` `(batch, time)`, all distinct."""
    # ONNX has no operation for a stable sort, which `keras.ops.argsort` asks for.
    return torch.sort(keys, dim=1).indices


def kernels() -> tuple[str | None, str]:
    """The engine of the vendor's kernels, and the vendor.

    Returns:
        "cudnn" on a GPU, "native" on the CPU; and a name to show.
    """
    if torch.cuda.is_available() and keras.ops.zeros(()).is_cuda:
        return "cudnn", "cuDNN"
    return "native", "torch"


def kernel_refusal(kernel: str, dtype: str) -> str | None:
    """Why a kernel cannot run here in a dtype, or None."""
    if dtype == "float16" and kernels()[0] == "native":
        return "torch's kernels on the CPU have no float16"
    if not takes_kernels():
        return "torch.func.vmap and forward-mode derivatives have no rules for kernels"
    if torch.compiler.is_exporting():
        return "torch.export writes a kernel out step by step, for one number of steps"
    if kernel == "lstmp" and export.exporting():
        return "ONNX has no LSTM with a projection"
    return None


def hooked(layer: keras.layers.Layer) -> bool:
    """Whether hooks of a layer's module observe its calls."""
    # torch has public names to set hooks, but none to ask for them.
    return any(
        getattr(layer, f"_{kind}_hooks")
        for kind in ("forward", "forward_pre", "backward", "backward_pre")
    )


def stepping(
    model: keras.Model,
    flat: Callable[[Callable, Sequence[Tensor]], Tensors],
    specs: Sequence[tuple[Shape, str]],
) -> Function:
    """A fast function for one step of a model: see `models.stepper`.

    Args:
        model: a Keras model.
        flat: `flat(call, tensors)`: calls the model with a list of tensors and returns
            a list.
        specs: the shapes and dtypes of these tensors.
    """

    from torch.fx.experimental.proxy_tensor import make_fx

    def step(tensors: Tensors) -> Tensors:
        return flat(lambda inputs: model(inputs, training=False), tensors)

    def run(tensors: Tensors) -> Tensors:
        with torch.inference_mode():
            return list(graph(tensors))

    # Calls of layers take most of the time of a small step. The graph holds only the
    # operations and the model's own parameters.
    device = next(iter(model.parameters())).device
    examples = [
        torch.zeros(shape, dtype=getattr(torch, dtype), device=device)
        for shape, dtype in specs
    ]
    with torch.no_grad():
        graph = make_fx(step)(examples)
    return run
