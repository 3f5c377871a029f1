"""A recurrence whose steps run one after the other in a loop."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from keras import ops

from keras_rnnx.cells import Cell
from keras_rnnx.engine.loop.differentiable import Differentiable


class Looped(Differentiable):
    """What recurrences with a loop over blocks of gates share.

    Args:
        cell, backend, sequences, keep: as for `Differentiable`.
        unroll: whether to write the loop out.
        xla: whether the loop is compiled into one program.
        pieces: whether what is kept may stay in pieces, one for each step. Else all of
            the recurrence, with what stands around it, is one program for XLA.
        states_only: whether to keep the states alone. The backward pass then has the
            products of all steps once more, each as one large product.
        noise: names of the masks of every step, and of those of the whole sequence.
    """

    def __init__(
        self,
        cell: Cell,
        backend: ModuleType,
        sequences: bool,
        keep: bool = True,
        unroll: bool = False,
        xla: bool = False,
        pieces: bool = True,
        states_only: bool = False,
        noise: tuple[list[str], list[str]] = ((), ()),
    ):
        super().__init__(cell, backend, sequences, keep)
        self.unroll = unroll
        self.xla = xla
        self.compiled = xla and pieces
        # XLA holds a sequence in one buffer.
        self.loose = pieces and not xla
        self.states_only = states_only
        self.by_step, self.by_sequence = noise
        self.moments = False

    def noise(self, given: dict[str, list[Any]], of_steps: list[Any]) -> dict[str, Any]:
        """The masks by name, with those of one step or of all."""
        whole = zip(self.by_sequence, given["d"])
        return dict(zip(self.by_step, of_steps)) | dict(whole)

    def kept_states(self, states: list[Any]) -> list[Any]:
        """States before a step. The first stands in the outputs too, so that keeping
        it costs memory unless the pieces are shared."""
        return list(states) if self.loose else list(states[1:])

    def before(self, length: Any, first: Any, outputs: Any) -> Any:
        """The first state before each step."""
        first = ops.expand_dims(first, 0)
        return self.backend.concatenate([first, outputs], 0)[:length]

    def held(self, mask: Any, new: list[Any], old: list[Any]) -> list[Any]:
        """The old states where there is no step."""
        if mask is None:
            return new
        return [self.backend.where(mask, n, o) for n, o in zip(new, old)]

    def scan(self, *args: Any, **kwargs: Any) -> tuple[list[Any], list[Any]]:
        """The backend's loop."""
        run = self.backend.compiled_scan if self.compiled else self.backend.scan
        return run(*args, unroll=self.unroll, **kwargs)
