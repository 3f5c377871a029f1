"""One step of a cell, for Keras' loop and for hand-written loops."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

from keras import ops

from keras_rnnx import _trees
from keras_rnnx.cells._base.masks import RATES
from keras_rnnx.cells._base.tensors import DrawnMasks, StepContext


@dataclasses.dataclass
class StepTensors:
    """What all steps of a sequence read, in the precision of the computations.

    Attributes:
        weights: by name.
        matrices: those that multiply states, by gate.
        biases: of input parts, by gate.
        product_biases: of products, by gate.
        vectors: those of the cell.
    """

    weights: dict[str, Any]
    matrices: dict[str, Any]
    biases: dict[str, Any]
    product_biases: dict[str, Any]
    vectors: Any


class KerasStep:
    """Calls a cell for one step.

    Args:
        cell: the `Cell`, built.
    """

    def __init__(self, cell: Any):
        self.cell = cell
        self.program = cell.program
        self._held: DrawnMasks | None = None
        # The number of sequences, if each call draws the masks of its step.
        self._drawing: Any = None
        # The tensors of all steps in a `sharing` block, once there are any.
        self._shared: list[StepTensors] | None = None

    def __call__(self, inputs: Any, states: list[Any], training: bool) -> list[Any]:
        """The states after a step.

        Args:
            inputs: `(batch, features)`, with the masks of the step appended if `masks`
                received drawn ones.
            states: before the step, in the order of `cell.state_names`.
            training: whether masks are drawn.
        """
        self._check(training)
        cell, program = self.cell, self.program
        inputs, drawn = self._masks(inputs, training)
        tensors = self._tensors(drawn)
        weights, product_biases = tensors.weights, tensors.product_biases
        if drawn.inputs is not None:
            inputs = inputs * drawn.inputs
        inputs = ops.cast(inputs, cell.compute_dtype)
        *states, history = states if program.window > 1 else [*states, None]
        if history is not None:
            inputs = ops.concatenate([history, inputs], axis=-1)
            history = inputs[:, inputs.shape[-1] // program.window :]
        context = drawn.whole.beside(drawn.by_step)
        # The operator, since `ops.matmul` computes float64 in float32 on torch.
        x = program.layout.blocks(inputs @ weights["kernel"], "kernel")
        if program.normalization:
            x, product_biases = program.normalization.inputs(x, weights, context), {}
        else:
            biases = tensors.biases
            x = {k: v + biases[k] if k in biases else v for k, v in x.items()}

        new = self._after(states, x, tensors, product_biases, context)
        return [*new, *([] if history is None else [history])]

    def input_parts(self, sequences: Any) -> dict[str, Any] | None:
        """What each gate gets of the inputs, for all steps at once, at inference.

        Args:
            sequences: inputs, with the features last.

        Returns:
            The parts by gate; None for a cell whose steps need more of their inputs.
        """
        cell, program = self.cell, self.program
        if program.window > 1 or program.normalization or cell.random_masks.on(False):
            return None
        tensors, layout = self._tensors(DrawnMasks()), program.layout
        inputs = ops.cast(sequences, cell.compute_dtype)
        x = layout.blocks(inputs @ tensors.weights["kernel"], "kernel")
        biases = tensors.biases
        return {k: v + biases[k] if k in biases else v for k, v in x.items()}

    def after(self, parts: dict[str, Any], states: list[Any]) -> list[Any]:
        """The states after a step at inference.

        Args:
            parts: those of the step, of what `input_parts` returned.
            states: before the step, in the order of `cell.state_names`.
        """
        tensors, context = self._tensors(DrawnMasks()), StepContext()
        return self._after(states, parts, tensors, tensors.product_biases, context)

    def _after(
        self,
        states: list[Any],
        x: dict[str, Any],
        tensors: StepTensors,
        product_biases: dict[str, Any],
        context: Any,
    ) -> list[Any]:
        def multiply(gate: str, vector: Any) -> Any:
            product = vector @ tensors.matrices[gate]
            bias = product_biases.get(gate)
            return product if bias is None else product + bias

        before = dict(zip(self.program.states, states))
        new = self.program.step(before, x, multiply, tensors.vectors, context)
        return list(new.values())

    def _check(self, training: bool) -> None:
        cell = self.cell
        if cell.normalization and cell.normalization.notes_moments:
            raise ValueError(
                f"{type(cell).__name__} with {cell.normalization.argument}=True has "
                f"moments for every step, and a single step does not know its number. "
                f"Use it in keras_rnnx.layers.RNN."
            )
        if training and cell.gradient_flow:
            raise ValueError(
                f"{type(cell).__name__} has GradientFlow as recurrent_regularizer, "
                f"which needs the gradients of a whole sequence. Pass it to "
                f"keras_rnnx.layers.RNN, as its only cell."
            )

    def _tensors(self, drawn: DrawnMasks) -> StepTensors:
        # Masks of weights are drawn: such tensors are of one step alone.
        shares = self._shared is not None and not drawn.weights
        if shares and self._shared:
            return self._shared[0]
        weights, layout = self._weights(drawn), self.program.layout
        matrices: dict[str, Any] = {}
        for name in ("recurrent_kernel", "projection_kernel"):
            if name in weights:
                matrices |= layout.blocks(weights[name], name)
        vectors = _trees.mapped(self.cell.computed, self.program.step_vectors())
        biases, of_products = layout.biases(weights.get("bias"))
        tensors = StepTensors(weights, matrices, biases, of_products, vectors)
        if shares and self._shared is not None:
            self._shared.append(tensors)
        return tensors

    @contextlib.contextmanager
    def sharing(self) -> Iterator[None]:
        """A block whose steps cut and cast the weights once, not each on its own.

        For loops in Python that no backend compiles, while the weights stay the same.
        """
        before, self._shared = self._shared, []
        try:
            yield
        finally:
            self._shared = before

    def _weights(self, drawn: DrawnMasks) -> dict[str, Any]:
        """The weights of a step in the precision of the computations."""
        weights = {
            name: ops.convert_to_tensor(value)
            for name, value in self.program.weights().items()
        }
        if "recurrent_kernel" in weights:
            matrix = self.program.recurrent_matrix(weights["recurrent_kernel"])
            weights["recurrent_kernel"] = matrix
        weights = {name: self.cell.computed(value) for name, value in weights.items()}
        return weights | {k: weights[k] * mask for k, mask in drawn.weights.items()}

    @contextlib.contextmanager
    def masks(self, batch_size: Any, drawn: DrawnMasks | None) -> Iterator[None]:
        """See `Cell.masks`."""
        draws = drawn is None
        random_masks = self.cell.random_masks
        self._held = random_masks.draw(batch_size, 1) if draws else drawn
        self._drawing = batch_size if draws else None
        try:
            yield
        finally:
            self._held = None

    def _masks(self, inputs: Any, training: bool) -> tuple[Any, DrawnMasks]:
        """The inputs of a step, and its masks."""
        cell = self.cell
        if not cell.random_masks.on(training):
            return inputs, DrawnMasks()
        if self._held is None:
            rates = [name for name in RATES if getattr(cell, name)]
            rates += ["zoneout"] * any(cell.zoneout_rates)
            arguments = ", ".join(f"{name}={getattr(cell, name)}" for name in rates)
            raise ValueError(
                f"{type(cell).__name__} with {arguments} was called for a training "
                f"step outside of a sequence, so there is no mask to keep from step to "
                f"step. Use keras_rnnx.layers.RNN (which takes all that "
                f"keras.layers.RNN takes), or step inside `with cell.masks(batch):`."
            )
        if self._drawing is None:
            inputs, of_step = cell.random_masks.parted(inputs)
        elif cell.random_masks.by_step:
            of_step = cell.random_masks.draw_step(self._drawing)
        else:
            of_step = DrawnMasks()
        by_step = any(mask.kind == "inputs" for mask in cell.random_masks.by_step)
        return inputs, DrawnMasks(
            self._held.weights,
            of_step.inputs if by_step else self._held.inputs,
            self._held.whole,
            of_step.by_step,
        )
