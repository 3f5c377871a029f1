"""Custom backward passes on torch, and their differentiable replacements.

The fast passes write to tensors in place and leave no graph. So torch can't
differentiate them again, nor transform them by `torch.func`. If it has to, the same
function runs again with differentiable operations.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch.autograd.function import FunctionCtx

from keras_rnnx.engine.backends.protocol import (
    Backward,
    Cotangents,
    Forward,
    Function,
    Pull,
    Tensor,
    Tensors,
)
from keras_rnnx.engine.backends.torch.export import exporting


def transformed() -> bool:
    """Whether a transform of `torch.func` or forward-mode differentiation is on."""
    # torch has no public names for these. `torch.autograd.Function` asks the same.
    return torch._C._are_functorch_transforms_active() or _forward_mode()


def takes_kernels() -> bool:
    """Whether the transforms that are on have rules for torch's recurrent kernels."""
    if not torch._C._are_functorch_transforms_active():
        return not _forward_mode()
    stack = torch._C._functorch.get_interpreter_stack()
    return all(i.key() == torch._C._functorch.TransformType.Grad for i in stack)


def _forward_mode() -> bool:
    return torch.autograd.forward_ad._current_level >= 0


def _many(cotangents: Sequence[Tensor | None]) -> bool:
    """Whether the cotangents belong to several gradients at once, as with
    `is_grads_batched` of `torch.autograd.grad`, an older kind of transform."""
    return any(map(torch._C._functorch.is_legacy_batchedtensor, cotangents))


def may_write() -> bool:
    """Whether operations may write to existing tensors.

    They must not while torch records them for gradients, transforms or compiles them.
    """
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        return False
    return not (torch.is_grad_enabled() or transformed())


def pullback(function: Function, inputs: Tensors) -> tuple[Tensors, Pull]:
    """Evaluates `function(inputs)`, a list of tensors.

    Returns:
        Its outputs, and a function from their cotangents (None for zero) and the
        positions of some inputs to the cotangents of those inputs (None for zero).
        While torch records operations, all of it can be differentiated.
    """
    recorded = torch.is_grad_enabled() or torch.is_inference_mode_enabled()
    if recorded or transformed():
        return _recorded_pullback(function, inputs)
    with torch.enable_grad():
        inputs = [i.detach().requires_grad_() for i in inputs]
        outputs = function(inputs)

    def pull(cotangents: Cotangents, positions: Sequence[int]) -> Cotangents:
        pairs = [
            (o, c)
            for o, c in zip(outputs, cotangents)
            if c is not None and o.requires_grad
        ]
        return torch.autograd.grad(
            [o for o, _ in pairs],
            [inputs[p] for p in positions],
            [c for _, c in pairs],
            retain_graph=True,
            allow_unused=True,
        )

    return outputs, pull


def _recorded_pullback(function: Function, inputs: Tensors) -> tuple[Tensors, Pull]:
    outputs, pull_all = torch.func.vjp(lambda *i: tuple(function(list(i))), *inputs)

    def pull(cotangents: Cotangents, positions: Sequence[int]) -> Cotangents:
        pairs = zip(outputs, cotangents)
        d_inputs = pull_all(
            tuple(torch.zeros_like(o) if c is None else c for o, c in pairs)
        )
        return [d_inputs[p] for p in positions]

    return list(outputs), pull


def differentiable(
    forward: Forward,
    backward: Backward,
    spared: set[int],
    plain: Function,
    again: Backward | None = None,
) -> Function:
    """A function of a list of tensors with a custom backward pass.

    Args:
        forward: from inputs to `(outputs, residuals)`, lists of tensors.
        backward: from inputs, residuals and the cotangents of the outputs to the
            cotangents of the inputs.
        spared: positions of inputs that `backward` does not read; it may get None.
        plain: from inputs to outputs, by operations that torch differentiates.
        again: as `backward`, by operations that torch differentiates. Default: the
            gradients of `plain`, which reads all inputs.
    """

    def gradients_of_plain(
        inputs: Tensors, residuals: Tensors, cotangents: Cotangents
    ) -> Cotangents:
        return gradients(plain, inputs, cotangents)

    passes = _Passes(forward, backward, again or gradients_of_plain, spared)

    def run(inputs: Tensors) -> Tensors:
        if transformed():
            return list(plain(inputs))
        if not torch.is_grad_enabled() or exporting():
            # An exported graph holds no backward pass.
            return list(forward(inputs)[0])
        return list(_Run.apply(passes, *inputs))

    return run


@dataclasses.dataclass(frozen=True)
class _Passes:
    """The functions that `differentiable` takes."""

    forward: Forward
    backward: Backward
    again: Backward
    spared: set[int]


class _Run(torch.autograd.Function):
    """The function with its custom backward pass."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, passes: _Passes, *inputs: Tensor
    ) -> tuple[Tensor, ...]:
        outputs, residuals = passes.forward(list(inputs))
        read = [None if i in passes.spared else x for i, x in enumerate(inputs)]
        ctx.save_for_backward(*read, *residuals)
        ctx.passes, ctx.n_inputs = passes, len(inputs)
        return tuple(outputs)

    @staticmethod
    def backward(
        ctx: FunctionCtx, *cotangents: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors
        groups = _groups(saved + cotangents, ctx.n_inputs, len(saved))
        if transformed() or _many(cotangents):
            with torch.enable_grad():
                return None, *ctx.passes.again(*groups)
        if torch.is_grad_enabled():
            sizes = ctx.n_inputs, len(saved)
            return None, *_Gradient.apply(ctx.passes, sizes, *saved, *cotangents)
        return None, *ctx.passes.backward(*groups)


class _Gradient(torch.autograd.Function):
    """The gradient, by the fast pass. Its own derivative runs the function again, with
    differentiable operations."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, passes: _Passes, sizes: tuple[int, int], *tensors: Tensor
    ) -> tuple[Tensor | None, ...]:
        ctx.save_for_backward(*tensors)
        ctx.passes, ctx.sizes = passes, sizes
        return tuple(passes.backward(*_groups(tensors, *sizes)))

    @staticmethod
    def backward(
        ctx: FunctionCtx, *cotangents: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        passes, sizes = ctx.passes, ctx.sizes
        d_tensors = gradients(
            lambda tensors: passes.again(*_groups(tensors, *sizes)),
            ctx.saved_tensors,
            cotangents,
        )
        return None, None, *d_tensors


def _groups(
    tensors: Sequence[Tensor | None], n_inputs: int, n_saved: int
) -> tuple[Tensors, Tensors, Cotangents]:
    """Inputs, residuals and cotangents."""
    return (
        list(tensors[:n_inputs]),
        list(tensors[n_inputs:n_saved]),
        list(tensors[n_saved:]),
    )


def gradients(
    function: Function, inputs: Tensors, cotangents: Sequence[Tensor | None]
) -> Cotangents:
    """The gradients of `function(inputs)`, None for zero."""
    create_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        # Inputs may depend on each other. Views separate their gradients.
        inputs = [
            i.view_as(i) if i is not None and i.requires_grad else i for i in inputs
        ]
        pairs = [
            (o, c)
            for o, c in zip(function(inputs), cotangents)
            if o is not None and c is not None and o.requires_grad
        ]
        asked = [i is not None and i.requires_grad for i in inputs]
        if not pairs or not any(asked):
            return [None] * len(inputs)
        outputs, cotangents = zip(*pairs)
        taken = torch.autograd.grad(
            outputs,
            [i for i, is_asked in zip(inputs, asked) if is_asked],
            cotangents,
            create_graph=create_graph,
            allow_unused=True,
        )
    taken = iter(taken)
    return [next(taken) if is_asked else None for is_asked in asked]
