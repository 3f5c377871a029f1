"""A recurrence with a backward pass of its own, whatever computes it."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from keras_rnnx.cells import Cell
from keras_rnnx.engine import recording


class Differentiable:
    """Base class of the recurrences: subclasses have `forward` and `backward`.

    Args:
        cell: the cell.
        backend: one of the backend files of this package.
        sequences: whether to return the output of every step.
        keep: whether to keep what the backward pass needs. Without it the backward
            pass, should it come, runs forward once more.

    Attributes:
        kept: number of tensors kept beside the outputs.
        kept_widths: their widths, or None where they are as wide as the outputs.
        loops: whether there are operations for every step.
    """

    kept: int
    kept_widths: list[int] | None = None
    loops = True

    def __init__(
        self, cell: Cell, backend: ModuleType, sequences: bool, keep: bool = True
    ):
        self.cell = cell
        self.backend = backend
        self.sequences = sequences
        self.keep = keep
        # Elsewhere the loop is compiled.
        self.recorder = backend.Recorder(cell) if backend.EAGER and self.loops else None

    def __call__(
        self,
        length: Any,
        source: tuple[Callable, list[Any]] | None = None,
        **groups: list[Any],
    ) -> tuple[list[Any], list[Any]]:
        """Runs the cell.

        Args:
            length: number of steps.
            source: a function and its tensors, from which `x` is made once more where
                second derivatives are asked for and `x` was not kept. Default: none,
                for recurrences that spare nothing.
            **groups: lists of tensors, `x` first. `x`, `r`, `b`: what a `Projection`
                gives; `v`: the vectors; `s`: the initial states; `m`: the mask `(time,
                batch, 1)`, or nothing; `n`: the noise of every step `(time, batch,
                units)`; `d`: that of the whole sequence `(batch, units)`.

        Returns:
            The outputs `(time, batch, units)` in a list, empty without `sequences`;
            and the last states.
        """
        sizes = {name: len(group) for name, group in groups.items()}
        flat = [tensor for group in groups.values() for tensor in group]
        n = len(flat)

        def steps(inputs):
            return self.forward(length, _regroup(inputs, sizes), self.keep)

        def steps_back(inputs, residuals, cotangents):
            given = _regroup(inputs, sizes)
            if not residuals:
                _, residuals = self.forward(length, given, keep=True)
            gradients = self.backward(length, given, residuals, cotangents)
            flat = [
                tensor
                for name, size in sizes.items()
                for tensor in gradients.get(name, [None] * size)
            ]
            return (flat,)

        recorder = self.recorder if recording.allowed() else None
        recorder = recorder or _called
        key = (length, *sizes.items())

        def forward(inputs):
            return recorder(steps, ("forward", *key), inputs[:n])

        def backward(inputs, residuals, cotangents):
            given = inputs[:n], residuals, cotangents
            (found,) = recorder(steps_back, ("backward", *key), *given)
            # The source of `x` gets its gradients through `x`.
            return found + [None] * (len(inputs) - n)

        spared = self.spared() if self.keep else set()
        if self.backend.EAGER and spared:
            # Elsewhere nothing is run again.
            flat += source[1]
        run = self.backend.differentiable(
            forward, backward, spared, *self._plainly(length, sizes, source)
        )
        outputs = run(flat)
        n_states = len(self.cell.states)
        return outputs[:-n_states], outputs[-n_states:]

    def _plainly(self, length, sizes, source):
        """The functions that second derivatives and transforms take on torch: `plain`
        and `again` of `torch.gradients.differentiable`."""
        n, n_x = sum(sizes.values()), sizes["x"]

        def plain(inputs):
            if self.keep:
                self._refuse_flow()
            return self.plain(length, _regroup(inputs, sizes))

        def again(inputs, residuals, cotangents):
            self._refuse_flow()
            inputs, tensors = inputs[:n], inputs[n:]
            if tensors:
                made = source[0](tensors)
                inputs[:n_x] = [m if x is None else x for m, x in zip(made, inputs)]
            d_inputs = self.backend.gradients(plain, inputs, cotangents)
            return d_inputs + [None] * len(tensors)

        return plain, again

    def _refuse_flow(self):
        if self.cell.gradient_flow:
            raise RuntimeError(
                "GradientFlow adds to the gradients of the fused engine what is not "
                "the gradient of a loss. So torch has no second derivatives here, no "
                "transforms of torch.func in training, and no forward-mode "
                "derivatives. Build the cell without this regularizer to take them."
            )

    def plain(self, length: Any, given: dict[str, list[Any]]) -> list[Any]:
        """What a call returns, in one list, by operations that the framework
        differentiates."""
        return self.forward(length, given, keep=False)[0]

    def spared(self) -> set[int]:
        """Positions in `x` that the backward pass does not read, where all is kept."""
        return set()

    def forward(
        self, length: Any, given: dict[str, list[Any]], keep: bool
    ) -> tuple[list[Any], list[Any]]:
        """What a call returns, in one list, and with `keep` what `backward` needs."""
        raise NotImplementedError

    def backward(
        self,
        length: Any,
        given: dict[str, list[Any]],
        residuals: list[Any],
        cotangents: list[Any],
    ) -> dict[str, list[Any]]:
        """Gradients by group; those that are left out are zero."""
        raise NotImplementedError


def _called(function, key, *groups):
    return function(*groups)


def _regroup(flat, sizes):
    groups, start = {}, 0
    for name, size in sizes.items():
        groups[name] = list(flat[start : start + size])
        start += size
    return groups
