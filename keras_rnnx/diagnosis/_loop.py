"""The loop of a recurrent layer, written out, with something added to its states."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import keras
from keras import ops

from keras_rnnx.cells import Cell
from keras_rnnx.engine import backends

# How the input parts of a gate are named among what a step reads.
PART = "part"
# What stands in for a state behind a step.
Mark = Callable[[Any], Any]


@dataclasses.dataclass
class Steps:
    """What a loop went through; tensors have the time first.

    Attributes:
        outputs: `(time, batch, width)`.
        states: behind each step, flat: each `(time, batch, width)`.
    """

    outputs: Any
    states: list[Any]


class CellLoop:
    """A recurrent layer as a plain loop over the calls of its cell.

    Args:
        layer: a `keras.layers.RNN`, built.
    """

    def __init__(self, layer: keras.layers.RNN):
        self.layer, self.cell = layer, layer.cell
        parameters = inspect.signature(self.cell.call).parameters
        self._takes_training = "training" in parameters
        # What Keras does around a step is then to cast nothing, and half of the time.
        same = self.cell.compute_dtype == self.cell.variable_dtype
        self._call = self.cell.call if same else self.cell
        self._dropped = [
            (cell, name)
            for cell in getattr(self.cell, "cells", [self.cell])
            for name in ("dropout", "recurrent_dropout")
            if not isinstance(cell, Cell) and getattr(cell, name, None)
        ]
        # A stack of cells nests its states in another way than its sizes.
        self._nested = layer.get_initial_state(1)

    def first_states(self, batch: int) -> list[Any]:
        """The states that sequences start from, flat, in the order of the cell."""
        if self.layer.stateful:
            # Copies: the layer writes into its own.
            states = keras.tree.map_structure(ops.copy, self.layer.states)
        else:
            states = self.layer.get_initial_state(batch)
        return self.flat(states)

    def flat(self, states: Any) -> list[Any]:
        """Nested states as a list, in the precision of the cell."""
        dtype = self.cell.compute_dtype
        return [ops.cast(state, dtype) for state in keras.tree.flatten(states)]

    def packed(self, states: list[Any]) -> list[Any]:
        """Flat states as the cell takes them."""
        return keras.tree.pack_sequence_as(self._nested, states)

    def step(self, x: Any, states: list[Any]) -> tuple[Any, list[Any]]:
        """The output of one step at inference, and the states behind it, flat.

        Args:
            x: `(batch, features)`.
            states: flat, each `(batch, width)`.
        """
        options = {"training": False} if self._takes_training else {}
        with self._without_dropout():
            output, new = self._call(x, self.packed(states), **options)
        return output, keras.tree.flatten(new)

    @contextlib.contextmanager
    def _without_dropout(self) -> Iterator[None]:
        """A block in which cells of Keras draw no masks: they do at inference too, and
        JAX can't let a seed change inside of a loop."""
        rates = [(cell, name, getattr(cell, name)) for cell, name in self._dropped]
        for cell, name, _ in rates:
            setattr(cell, name, 0.0)
        try:
            yield
        finally:
            for cell, name, rate in rates:
                setattr(cell, name, rate)

    @property
    def draws(self) -> bool:
        """Whether the cell draws masks at inference, so that no two runs are alike."""
        return isinstance(self.cell, Cell) and self.cell.random_masks.on(False)

    def single(self, rows: int) -> contextlib.AbstractContextManager[Any]:
        """A block in which `step` may be called for so many rows, by itself."""
        return self.cell.masks(rows) if self.draws else contextlib.nullcontext()

    def run(
        self,
        sequences: Any,
        first: list[Any],
        valid: Any = None,
        deltas: list[Any] | None = None,
        mark: Mark | None = None,
    ) -> Steps:
        """Runs over sequences.

        Args:
            sequences: `(time, batch, features)`, in the order in which they are read.
            first: the initial states, flat.
            valid: boolean `(time, batch, 1)`: other steps leave the states alone. None:
                all are.
            deltas: what is added to the states behind each valid step, each
                `(time, batch, width)`. None: nothing.
            mark: a function from each state behind a step to the one to go on with, for
                loops that run eagerly. None: they stay.
        """
        held: contextlib.AbstractContextManager[Any] = contextlib.nullcontext()
        if isinstance(self.cell, Cell):
            sequences = ops.cast(sequences, self.cell.compute_dtype)
        if self.draws:
            steps, batch = sequences.shape[:2]
            masks = self.cell.random_masks
            drawn = masks.draw(batch, steps)
            joined = masks.joined(ops.swapaxes(sequences, 0, 1), drawn)
            sequences = ops.swapaxes(joined, 0, 1)
            held = self.cell.masks(batch, drawn)
        with held, self._sharing():
            return self._loop(sequences, first, valid, deltas, mark)

    def _input_parts(self, sequences: Any) -> dict[str, Any] | None:
        """The products of all inputs at once, of cells that need no more of them."""
        cell = self.cell
        plain = isinstance(cell, Cell) and type(cell).call is Cell.call
        return cell.keras_step.input_parts(sequences) if plain else None

    @contextlib.contextmanager
    def _sharing(self) -> Iterator[None]:
        """A block whose steps prepare the weights once. JAX compiles the step, where
        they may not come from outside."""
        cells = getattr(self.cell, "cells", [self.cell])
        with contextlib.ExitStack() as stack:
            for cell in cells if keras.backend.backend() != "jax" else []:
                if isinstance(cell, Cell):
                    stack.enter_context(cell.keras_step.sharing())
            yield

    def _loop(
        self,
        sequences: Any,
        first: list[Any],
        valid: Any,
        deltas: list[Any] | None,
        mark: Mark | None,
    ) -> Steps:
        slices: dict[Any, Any] = {"x": sequences}
        if parts := self._input_parts(sequences):
            slices = {(PART, gate): part for gate, part in parts.items()}
        if valid is not None:
            slices["valid"] = valid
        if deltas is not None:
            added = map(ops.convert_to_tensor, deltas)
            slices |= {str(k): delta for k, delta in enumerate(added)}
        names = list(slices)
        width = getattr(self.cell, "output_size", None) or first[0].shape[-1]
        shown = ops.zeros((sequences.shape[1], width), self.cell.compute_dtype)

        def body(carry: list[Any], tensors: Any) -> tuple[list[Any], list[Any]]:
            *states, shown = carry
            now = dict(zip(names, tensors))
            output, new = self._step(now, states, shown, deltas is not None, mark)
            return [*new, output], [*new, output]

        carry = [*first, shown]
        if keras.backend.backend() == "jax":
            _, found = ops.scan(body, carry, list(slices.values()))
        else:
            rows = [ops.unstack(tensor, axis=0) for tensor in slices.values()]
            each = []
            for tensors in zip(*rows):
                carry, outs = body(carry, tensors)
                each.append(outs)
            found = [ops.stack(tensors, axis=0) for tensors in zip(*each)]
        *states, outputs = found
        return Steps(outputs, list(states))

    def _step(
        self,
        now: dict[str, Any],
        states: list[Any],
        shown: Any,
        added: bool,
        mark: Mark | None,
    ) -> tuple[Any, list[Any]]:
        if "x" in now:
            output, new = self.step(now["x"], states)
        else:
            parts = {name[1]: now[name] for name in now if name[0] == PART}
            new = self.cell.keras_step.after(parts, states)
            output = new[0]
        # What is added to the state that is the output is added to the output too.
        at = next((k for k, state in enumerate(new) if state is output), None)
        if added:
            new = [s + ops.cast(now[str(k)], s.dtype) for k, s in enumerate(new)]
        if mark is not None:
            new = [mark(s) for s in new]
        new = [ops.cast(s, old.dtype) for s, old in zip(new, states, strict=True)]
        output = ops.cast(output if at is None else new[at], shown.dtype)
        if "valid" not in now:
            return output, new
        where = (backends.find() or ops).where
        new = [where(now["valid"], s, old) for s, old in zip(new, states)]
        masked = shown
        if self.layer.zero_output_for_mask:
            masked = ops.zeros_like(shown)
        return where(now["valid"], output, masked), new
