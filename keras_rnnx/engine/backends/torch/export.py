"""Loops over an open number of steps, in graphs that torch exports.

`torch.jit.trace` and the older exporter to ONNX run a model once and record what
happens. So they record a Python loop with the number of steps of that sequence, which
is wrong for any other. `torch.export` refuses such a loop. Here the loop becomes an
operation of the graph: a scripted loop, which is a `Loop` in ONNX, or torch's `scan`,
which is a `Scan` in ONNX.
"""

from __future__ import annotations

import concurrent.futures
import contextvars
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

import keras
import torch
from torch.overrides import TorchFunctionMode

from keras_rnnx.engine.backends.protocol import Tensor, Tensors, Tree

# A step over lists of tensors.
FlatStep: TypeAlias = Callable[[Tensors, Tensors], tuple[Tensors, Tensors]]


def exporting() -> bool:
    """Whether torch exports a graph that runs elsewhere."""
    return torch.jit.is_tracing() or torch.compiler.is_exporting()


def scan(
    step: FlatStep,
    carry: Tensors,
    xs: Tensors,
    reverse: bool = False,
) -> tuple[Tensors, Tensors]:
    """Runs `step(carry, slices) -> (carry, outs)` over the first axis of `xs`.

    Args:
        step: the step function, over lists of tensors.
        carry: the first carry, tensors of one dtype that differ only in the last axis.
        xs: tensors with time first.
        reverse: whether to run from the last step to the first.

    Returns:
        The last carry, and the outputs of all steps.
    """
    if reverse:
        carry, outs = scan(step, carry, [x.flip(0) for x in xs])
        return carry, [out.flip(0) for out in outs]
    if torch.jit.is_tracing():
        return _scripted(step, carry, xs)
    return _higher_order(step, carry, xs)


def _higher_order(
    step: FlatStep, carry: Tensors, xs: Tensors
) -> tuple[Tensors, Tensors]:
    """torch's `scan`, which is a prototype and has no public name yet."""
    from torch._higher_order_ops.scan import scan_op

    n, m = len(carry), len(carry) + len(xs)
    held, _ = _reads(step, carry, xs)

    def flat(*tensors: Tensor) -> Tensors:
        with _Exchanged(held, tensors[m:]):
            new, outs = step(list(tensors[:n]), list(tensors[n:m]))
        return copies([*new, *outs])

    def copies(tensors: Tensors) -> Tensors:
        # Inputs and outputs may share no memory, as parts of a kernel do.
        return [x.clone() for x in tensors]

    results = scan_op(flat, *map(copies, (carry, xs, held)))
    return list(results[:n]), list(results[n:])


def _reads(
    step: FlatStep, carry: Tensors, xs: Tensors
) -> tuple[Tensors, tuple[Tensors, Tensors]]:
    """The tensors that a step reads besides its arguments, and its results."""
    first = [x[0] for x in xs]
    read = _Read([*carry, *first])
    with torch.no_grad(), read:
        results = step(list(carry), list(first))
    return list(read.others.values()), results


def _scripted(step: FlatStep, carry: Tensors, xs: Tensors) -> tuple[Tensors, Tensors]:
    """A loop in TorchScript around a trace of one step."""
    n = len(xs)
    held, results = _reads(step, carry, xs)
    widths = [[x.shape[-1] for x in tensors] for tensors in results]

    def at(t: Tensor, carry: Tensor, tensors: Tensors) -> tuple[Tensor, Tensor]:
        # Otherwise tensors that the step reads besides its arguments become constants.
        with _Exchanged(held, tensors[n:]):
            slices = [x[t] for x in tensors[:n]]
            new, outs = step(list(carry.split(widths[0], -1)), slices)
        return torch.cat(new, -1), torch.cat(outs or new, -1)

    example = torch.cat(list(carry), -1), [*xs, *held]
    values = keras.tree.map_structure(lambda x: x.detach().clone(), example)
    with warnings.catch_warnings():
        # The caller of `torch.jit.trace` has seen this warning.
        warnings.filterwarnings("ignore", ".*torch.jit", DeprecationWarning)
        # Tracing is a state of the thread, and the step needs a separate trace.
        context = contextvars.copy_context()
        with concurrent.futures.ThreadPoolExecutor(1) as thread:
            traced = thread.submit(context.run, _traced, at, values).result()
        last, stack = _loop(traced)(*example)
    stacks = stack.split(widths[1], -1) if widths[1] else []
    return list(last.split(widths[0], -1)), list(stacks)


def _traced(
    function: Callable[..., tuple[Tensor, Tensor]], values: Tree
) -> torch.jit.ScriptFunction:
    with torch.no_grad():
        return torch.jit.trace(
            function, (torch.zeros((), dtype=torch.long), *values), check_trace=False
        )


def _loop(step: torch.jit.ScriptFunction) -> torch.jit.ScriptFunction:
    def loop(
        carry: torch.Tensor, tensors: list[torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        outs: list[torch.Tensor] = []
        for t in range(tensors[0].size(0)):
            carry, out = step(torch.tensor(t), carry, tensors)
            outs.append(out)
        return carry, torch.stack(outs)

    return torch.jit.script(loop)


class _Read(TorchFunctionMode):
    """Records tensors that are read but were neither passed in nor made inside."""

    def __init__(self, tensors: Tensors):
        super().__init__()
        self.known = {id(x): x for x in tensors}
        self.others: dict[int, Tensor] = {}

    def __torch_function__(
        self,
        function: Callable,
        types: Iterable[type],
        args: tuple = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        for x in keras.tree.flatten((args, kwargs)):
            if isinstance(x, torch.Tensor) and id(x) not in self.known:
                self.others[id(x)] = x
        out = function(*args, **kwargs)
        for x in keras.tree.flatten(out):
            if isinstance(x, torch.Tensor):
                self.known[id(x)] = x
        return out


class _Exchanged(TorchFunctionMode):
    """Replaces some tensors by others wherever functions read them."""

    def __init__(self, of: Tensors, others: Sequence[Tensor]):
        super().__init__()
        self.others = dict(zip(map(id, of), others))

    def __torch_function__(
        self,
        function: Callable,
        types: Iterable[type],
        args: tuple = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        args, kwargs = keras.tree.map_structure(
            lambda x: self.others.get(id(x), x), (args, kwargs or {})
        )
        return function(*args, **kwargs)
