"""Layers that all read the last states of all layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import keras
from keras import ops

from keras_rnnx.cells import Cell
from keras_rnnx.cells._base.tensors import StepContext, StepVectors
from keras_rnnx.layers.stack import feedback_options


@keras.saving.register_keras_serializable("keras_rnnx")
class GatedFeedbackCell(keras.layers.Layer):
    """A stack of layers with gated feedback, as one cell.

    The candidate of layer `j` reads the last outputs of all layers `i`, not only of its
    own: `U_j h_j(t-1)` becomes `sum_i g_ij U_ij h_i(t-1)`, with one number
    `g_ij = sigmoid(w_ij x_j + u_ij h*)` for each pair of layers, where `x_j` are the
    inputs of layer `j` (the outputs of the layer below, at this step) and `h*` the last
    outputs of all layers, concatenated. The other gates read only their own layer; the
    reset gate of a GRU multiplies the sum. Chung, Gulcehre, Cho & Bengio 2015,
    arXiv:1502.02367, sections 3 and 3.1.

    `keras_rnnx.layers.Stack(gated_feedback=True)` makes and runs one. It is a Keras RNN
    cell and runs in Keras' loop.

    Args:
        cells: a `keras_rnnx` SimpleRNNCell, GRUCell (`reset_after=True`) or LSTMCell
            for each layer, without masks or normalization. If a
            `recurrent_initializer`, `_regularizer` or `_constraint` has an object for
            each gate, the feedback matrices get the object of the candidate.
        **kwargs: arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: `(batch, features)`; dropout masks for the inputs of all layers but the
            first may be appended to the features.
        states: the states of the layers, those of the last layer first.

    Raises:
        ValueError: for any other cell, and for options that gated feedback cannot use;
            for inputs of another width than it was built with.

    Example:

    >>> cells = [keras_rnnx.cells.GRUCell(4), keras_rnnx.cells.GRUCell(6)]
    >>> cell = keras_rnnx.layers.GatedFeedbackCell(cells)
    >>> keras_rnnx.layers.RNN(cell)(np.ones((2, 5, 3), "float32")).shape
    (2, 6)
    """

    def __init__(self, cells: list[Cell], **kwargs: Any):
        super().__init__(**kwargs)
        self.cells = list(cells)
        _check(self.cells)
        self.units = [cell.units for cell in self.cells]
        # Keras' loop treats the first state as the output.
        self.state_size = [
            cell.units for cell in reversed(self.cells) for _ in cell.states
        ]
        self.output_size = self.units[-1]

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.features = input_shape[-1]
        total, depth = sum(self.units), len(self.cells)
        self.feedback_kernels: list[keras.Variable] = []
        self.gate_kernels: list[keras.Variable] = []
        self.gate_recurrent_kernels: list[keras.Variable] = []
        for j, (cell, width) in enumerate(zip(self.cells, self._widths()), 1):
            cell.build((input_shape[0], width))
            kernels = {
                f"gate_kernel_{j}": (self.gate_kernels, width),
                f"gate_recurrent_kernel_{j}": (self.gate_recurrent_kernels, total),
            }
            for name, (held, rows) in kernels.items():
                weight = self.add_weight(
                    shape=(rows, depth), name=name, initializer="glorot_uniform"
                )
                held.append(weight)
            # The matrix of its own outputs is a block of the cell's recurrent kernel.
            others = [(i, n) for i, n in enumerate(self.units, 1) if i != j]
            candidate: Any = cell.feedback_gate
            options = feedback_options.of_feedback(
                cell, candidate, [n for _, n in others]
            )
            for (i, units), weight_options in zip(others, options):
                weight = self.add_weight(
                    shape=(units, cell.units),
                    name=f"feedback_kernel_{i}_to_{j}",
                    **weight_options,
                )
                self.feedback_kernels.append(weight)
        self.built = True

    def _widths(self) -> list[int | None]:
        """Widths of the inputs of the layers."""
        return [self.features, *self.units[:-1]]

    def call(self, inputs: Any, states: Sequence[Any]) -> tuple[Any, list[Any]]:
        states = self.by_layer(list(states))
        before, at = [], 0
        for cell in self.cells:
            before.append(states[at : at + len(cell.states)])
            at += len(cell.states)
        joined = ops.concatenate([state[0] for state in before], axis=-1)
        x, factors = inputs[:, : self.features], inputs[:, self.features :]
        dropped, at, after = factors.shape[-1] > 0, 0, []
        if factors.shape[-1] not in (0, sum(self.units[:-1])):
            raise ValueError(
                f"{self.name} was built for inputs with {self.features} features, "
                f"received {inputs.shape[-1]}."
            )
        for j, cell in enumerate(self.cells):
            if j and dropped:
                x = x * factors[:, at : at + self.units[j - 1]]
                at += self.units[j - 1]
            after.append(self._step(j, cell, x, before, joined))
            x = after[-1][0]
        return x, self.by_layer([state for layer in after for state in layer])

    def _step(
        self, j: int, cell: Cell, x: Any, before: list[list[Any]], joined: Any
    ) -> list[Any]:
        """The states of layer `j` after a step."""
        open_ = ops.sigmoid(
            ops.matmul(x, self.gate_kernels[j])
            + ops.matmul(joined, self.gate_recurrent_kernels[j])
        )
        candidate: Any = cell.feedback_gate
        layout = cell.layout
        weights = {
            name: cell.computed(ops.convert_to_tensor(value))
            for name, value in cell.program.weights().items()
        }
        of_inputs, of_products = layout.biases(weights.get("bias"))
        blocks = layout.blocks(weights["recurrent_kernel"], "recurrent_kernel")
        inputs = layout.blocks(ops.matmul(x, weights["kernel"]), "kernel")
        inputs = {k: v + of_inputs[k] if of_inputs else v for k, v in inputs.items()}
        count = len(self.cells) - 1
        others = self.feedback_kernels[j * count : (j + 1) * count]
        kernels = [*others[:j], blocks[candidate], *others[j:]]

        def multiply(gate: str, vector: Any) -> Any:
            if gate == candidate:
                product = sum(
                    open_[:, i : i + 1] * ops.matmul(state[0], kernel)
                    for i, (state, kernel) in enumerate(zip(before, kernels))
                )
            else:
                product = ops.matmul(vector, blocks[gate])
            return product + of_products[gate] if gate in of_products else product

        states = dict(zip(cell.states, before[j]))
        program = cell.program
        new = program.step(states, inputs, multiply, StepVectors(), StepContext())
        return list(new.values())

    def by_layer(self, states: list[Any]) -> list[Any]:
        """States in the order of the layers, from those in the order of the call.

        It is its own reverse.
        """
        counts = [len(cell.states) for cell in self.cells]
        return [
            states[start + k]
            for start in range(len(states) - counts[0], -1, -counts[0])
            for k in range(counts[0])
        ]

    def get_config(self) -> dict[str, Any]:
        cells = [keras.saving.serialize_keras_object(cell) for cell in self.cells]
        return {**super().get_config(), "cells": cells}

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> Self:
        cells = [
            keras.saving.deserialize_keras_object(cell, custom_objects=custom_objects)
            for cell in config.pop("cells")
        ]
        return cls(cells, **config)


def _check(cells: Sequence[Cell]) -> None:
    kinds = {type(cell) for cell in cells}
    # Not inherited: a subclass may have another equation.
    defined = all(vars(kind).get("feedback_gate") for kind in kinds)
    if len(kinds) != 1 or not defined:
        received = ", ".join(type(cell).__name__ for cell in cells) or "none"
        raise ValueError(
            f"Gated feedback is defined for SimpleRNNCell, GRUCell or LSTMCell of "
            f"keras_rnnx, all layers of one class. Received cells: {received}. Use one "
            f"of them, or gated_feedback=False."
        )
    for cell in cells:
        feedback_options.check(cell)
