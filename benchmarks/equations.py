"""Cells of the catalogue beside the same equations in Keras' loop, and Keras' LSTM."""

from __future__ import annotations

from collections.abc import Callable

import keras
from keras import ops

import keras_rnnx
from benchmarks import peers, timing
from keras_rnnx.cells._base.tensors import StepContext
from keras_rnnx.cells._lowering.kernel_uses import linear_with

# Times faster in a training step, or the suite says which layers are not.
ELEMENTWISE_BAR = 1.3
SCAN_BARS = {"min_gru": 4.0, "min_lstm": 4.0}


class WrittenCell(keras.layers.Layer):
    """A cell of keras_rnnx as one writes it for `keras.layers.RNN`.

    A step has one product with the inputs and one with the state, for all gates at once
    as in Keras' own cells. What depends on weights alone is computed in every step,
    since Keras' loop has no other place for it.

    Args:
        cell: a `keras_rnnx.cells.Cell` without late gates, which holds the weights.
    """

    def __init__(self, cell, **kwargs):
        super().__init__(**kwargs)
        self.cell = cell
        self.state_size, self.output_size = cell.state_size, cell.output_size

    def build(self, input_shape):
        self.cell.build(input_shape)
        self.state_size = self.cell.state_size
        self.built = True

    def call(self, inputs, states, training=False):
        cell, program, layout = self.cell, self.cell.program, self.cell.layout
        x, u = ops.matmul(inputs, cell.kernel), None
        of_inputs, of_products = layout.biases(cell.bias)
        if tuple(of_inputs) == layout.input_gates and not cell.recurrent_bias:
            x, of_inputs = x + cell.bias, {}
        if layout.product_gates:
            matrix = ops.convert_to_tensor(cell.recurrent_kernel)
            u = ops.matmul(states[0], cell.recurrent_matrix(matrix))
        sums = all(gate.reads == "sum" for gate in layout.gates.values())
        if layout.product_gates == layout.input_gates and sums and not of_inputs:
            x, u = layout.blocks(x + u, "kernel"), {}
        else:
            x = _with(of_inputs, layout.blocks(x, "kernel"))
            u = {} if u is None else layout.blocks(u, "recurrent_kernel")
            u = _with(of_products, u)
        vectors, context = program.step_vectors(), StepContext()
        gates = program.read(x, u, vectors, context)
        states = dict(zip(program.states, states))
        new = list(program.update(states, gates, vectors, context).values())
        return new[0], new

    def get_initial_state(self, batch_size=None):
        return self.cell.get_initial_state(batch_size)


def _with(biases, blocks):
    return {k: v + biases[k] if k in biases else v for k, v in blocks.items()}


def elementwise() -> tuple[str, ...]:
    """Names of the cells whose step has one product with the state at most.

    The rest of such a step is elementwise. Without those that a scan computes.
    """
    return tuple(n for n in looping() if not keras_rnnx.cells.get(n, 8).late)


def looping() -> tuple[str, ...]:
    """Names of the cells that are not linear in their state."""
    rows = keras_rnnx.cells.catalog()
    return tuple(r.name for r in rows if not keras_rnnx.cells.get(r.name, 8).linear)


def linear() -> dict[str, dict]:
    """The cells that are linear in their state, with the arguments that make them so.

    The keys are titles, such as "sru, peepholes=False".
    """
    found = {}
    for row in keras_rnnx.cells.catalog():
        arguments = linear_with(row.cls)
        if arguments is not None:
            said = (f"{key}={value}" for key, value in arguments.items())
            found[", ".join([row.name, *said])] = {"name": row.name, **arguments}
    return found


def pair(name: str) -> Callable:
    """A function from units to Keras' loop over an equation, and our layer of it.

    Keras' own cell stands in the loop where it has one, and cells with several products
    in turn step by themselves.
    """

    def make(units):
        cell = keras_rnnx.cells.get(name, units)
        theirs = getattr(keras.layers, type(cell).__name__, None)
        if theirs is not None:
            cell = theirs(units)
        elif not cell.late:
            cell = WrittenCell(cell)
        ours = keras_rnnx.layers.RNN(
            keras_rnnx.cells.get(name, units), return_sequences=True
        )
        return keras.layers.RNN(cell, return_sequences=True), ours

    return make


def measure_pair(name: str, size: tuple[int, ...], seconds: float) -> dict:
    """A row of training steps: an equation in Keras' loop, and our layer."""
    x = peers.inputs(size)
    theirs, ours = peers.with_same_weights(pair(name)(size[-1]), x)
    return _row(name, size, theirs, ours, x, seconds, ELEMENTWISE_BAR)


def measure_linear(name: str, size: tuple[int, ...], seconds: float) -> dict:
    """A row of training steps: `keras.layers.LSTM`, and our linear layer."""
    x = peers.inputs(size)
    units = size[-1]
    cell = keras_rnnx.cells.get(units=units, **linear()[name])
    theirs = keras.layers.LSTM(units, return_sequences=True)
    ours = keras_rnnx.layers.RNN(cell, return_sequences=True)
    for layer in (theirs, ours):
        layer.build(x.shape)
    return _row(name, size, theirs, ours, x, seconds, SCAN_BARS.get(name))


def _row(name, size, theirs, ours, x, seconds, bar):
    layers = {"keras": theirs, "keras_rnnx": ours}
    functions = {
        "training": {peer: timing.training(layer, x) for peer, layer in layers.items()}
    }
    row = timing.row(name, size, functions, seconds)
    return row if bar is None else {**row, "bar": bar}
