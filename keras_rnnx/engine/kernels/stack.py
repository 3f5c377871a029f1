"""All layers of a stack in one call of a vendor's kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import ops

from keras_rnnx import _trees
from keras_rnnx.cells import Cell
from keras_rnnx.cells._base.program import CellProgram
from keras_rnnx.cells._base.tensors import DrawnMasks, StepVectors
from keras_rnnx.engine import backends, masks
from keras_rnnx.engine.backends.protocol import Tensor, Tensors, Tree
from keras_rnnx.engine.kernels import weights as kernel_weights
from keras_rnnx.engine.packing import Packing
from keras_rnnx.engine.sequence import weights_of


def reads_lengths(kernel: str, directions: int, wants_states: bool) -> bool:
    """Whether the kernel needs the lengths of the rows of a masked sequence.

    Forward in time, steps after a row's end affect only the last states.

    Args:
        kernel: name of the kernel.
        directions: 1, or 2 if layers run both ways.
        wants_states: whether the last states of all layers are wanted.
    """
    if backends.current().KERNELS_TAKE_LENGTHS:
        return True
    # Without bounds, rectified states could overflow after a row's end.
    return directions == 2 or wants_states or kernel == "rnn_relu"


class StackedKernel:
    """Runs stacked cells over sequences. A stack makes one such object and keeps it.

    Args:
        cells: for each layer from below its cell, or two cells: one reads forward, the
            other backward, and the layer above reads the outputs of both.
    """

    def __init__(self, cells: list[list[Cell]]):
        self.rows = cells
        self.cells = [cell for row in cells for cell in row]
        self.directions = len(cells[0])
        lowering = self.cells[0].lowering()
        assert not isinstance(lowering, str), "a kernel was not refused"
        self.kernel = lowering.kernel
        self.dtype = self.cells[0].compute_dtype
        self.backend = backends.current()
        self.programs = [CellProgram(cell, self.backend.where) for cell in self.cells]
        self._compiled: dict[tuple, Callable] = {}

    def __call__(
        self,
        sequences: Tensor,
        states: list[Tensors],
        mask: Tensor | None,
        drawn: list[DrawnMasks],
        return_sequences: bool,
        zero_output_for_mask: bool,
        wants_states: bool,
    ) -> tuple[Tensors, list[Tensors]]:
        """Runs the stack.

        Args:
            sequences: `(batch, time, features)`.
            states: for each cell its initial states, `(batch, units)`.
            mask: None, or boolean `(batch, time)` or `(batch, time, 1)`.
            drawn: for each cell its random masks, only on weights.
            return_sequences: whether the output of every step is wanted.
            zero_output_for_mask: whether the outputs of masked steps are zero; with two
                directions they always are.
            wants_states: whether the last states are wanted.

        Returns:
            For each direction its outputs, `(batch, time, units)`, or `(batch, units)`
            without `return_sequences`; and for each cell its last states, which are
            wrong for masked sequences unless `wants_states`.
        """
        tensors = {
            "sequences": self._tensor(sequences),
            "weights": [self._weights(*pair) for pair in zip(self.programs, drawn)],
            "vectors": [self._vectors(program) for program in self.programs],
            "states": [[self._tensor(s) for s in of_cell] for of_cell in states],
        }
        tensors["mask"] = None if mask is None else masks.column(mask)
        key = (return_sequences, zero_output_for_mask, wants_states)
        if key not in self._compiled:
            self._compiled[key] = self.backend.compiled(self._function(*key), False)
        return self._compiled[key](tensors)

    def _tensor(self, value: Any) -> Tensor:
        return ops.cast(ops.convert_to_tensor(value), self.dtype)

    def _weights(self, program: CellProgram, drawn: DrawnMasks) -> dict[str, Tensor]:
        weights = _trees.mapped(self._tensor, weights_of(program))
        of_weights = drawn.weights.items()
        return weights | {name: weights[name] * mask for name, mask in of_weights}

    def _vectors(self, program: CellProgram) -> StepVectors:
        return _trees.mapped(self._tensor, program.step_vectors())

    def _function(
        self, return_sequences: bool, zero_output_for_mask: bool, wants_states: bool
    ) -> Callable[[Tree], tuple[Tensors, list[Tensors]]]:
        lengths_read = reads_lengths(self.kernel, self.directions, wants_states)

        def run(tensors: Tree) -> tuple[Tensors, list[Tensors]]:
            x, states, mask = (tensors.get(k) for k in ("sequences", "states", "mask"))
            weights = [
                kernel_weights.lowered(*triple)
                for triple in zip(self.programs, tensors["weights"], tensors["vectors"])
            ]
            packing = lengths = None
            if mask is not None:
                packing = Packing(mask[..., 0])
                x = packing.pack(x)
                lengths = ops.maximum(packing.lengths, 1) if lengths_read else None
            outputs, last = self.backend.run_kernel(
                self.kernel,
                x,
                [ops.stack(of_all, axis=0) for of_all in zip(*states)],
                weights,
                lengths,
                self.directions == 2,
            )
            # Grouped by cell, as the initial states.
            last = [[of_all[k] for of_all in last] for k in range(len(self.cells))]
            outputs = ops.split(outputs, self.directions, axis=-1)
            top = states[-self.directions :]
            if packing is not None:
                last = [
                    list(map(packing.keep_where_empty, *pair))
                    for pair in zip(last, states)
                ]
            if not return_sequences:
                last_outputs = self._last_outputs(outputs, last, packing, top)
                if mask is not None:
                    last_outputs = [
                        masks.mask_last(output, mask, zero_output_for_mask)
                        for output in last_outputs
                    ]
                return last_outputs, last
            if packing is not None:
                zero = zero_output_for_mask or self.directions == 2
                outputs = [
                    packing.unpack(o, of_cell[0]) for o, of_cell in zip(outputs, top)
                ]
                outputs = [masks.mask_outputs(o, mask, zero) for o in outputs]
            return outputs, last

        return run

    def _last_outputs(
        self,
        outputs: Tensors,
        last: list[Tensors],
        packing: Packing | None,
        top: list[Tensors],
    ) -> Tensors:
        """The output after the last step that each direction of the last layer took."""
        if self.directions == 2:
            # Backward in time the first step is the last one.
            return [of_cell[0] for of_cell in last[-2:]]
        if packing is None:
            return [outputs[0][:, -1]]
        return [packing.last(outputs[0], top[0][0])]
