"""What the states of a layer are like: dead, saturated, and in how many directions."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras_rnnx.diagnosis._loop import CellLoop
from keras_rnnx.diagnosis._measures.gates import by_unit, shares, values
from keras_rnnx.diagnosis._recording import Call
from keras_rnnx.diagnosis.measured import States

# Where the slope of tanh is below 2 %.
SATURATED = 0.99
# A unit that changes by less than this part of its size does so by rounding.
CONSTANT = 1e-6


def measure(loop: CellLoop, calls: list[Call], seed: int) -> States:
    """The measure of one layer.

    Args:
        loop: of the layer.
        calls: its calls, as arrays.
        seed: of the choice of steps for the gates.
    """
    outputs = outputs_of(calls)
    dead, constant = dead_and_constant(outputs)
    saturated = None
    if activation(loop.cell) == "tanh":
        saturated = float(np.mean(np.abs(outputs) > SATURATED))
    gates = values(loop, calls[0], seed)
    return States(
        gates=shares(loop, calls[0], gates),
        saturated=saturated,
        dead=float(np.mean(dead)),
        constant=float(np.mean(constant)),
        dimensions=dimensions(outputs),
        units=outputs.shape[1],
        gates_by_unit=by_unit(gates),
    )


def outputs_of(calls: list[Call]) -> np.ndarray:
    """The first state behind all valid steps, `(steps, units)`."""
    return np.concatenate([call.states[0][call.valid] for call in calls]).astype(
        "float64"
    )


def activation(cell: Any) -> str | None:
    """The name of the activation of a cell, or None."""
    found = getattr(cell, "activation", None)
    return getattr(found, "__name__", None) if callable(found) else None


def dead_and_constant(outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which units are always 0, and which are always something else.

    Args:
        outputs: `(steps, units)`.
    """
    largest = np.abs(outputs).max(axis=0)
    dead = largest == 0
    if len(outputs) < 2:
        return dead, np.zeros_like(dead)
    still = np.ptp(outputs, axis=0) <= CONSTANT * largest
    return dead, still & ~dead


def dimensions(outputs: np.ndarray) -> float:
    """The participation ratio of the covariance: `(sum l)² / sum l²`.

    Args:
        outputs: `(steps, units)`.
    """
    centered = outputs - outputs.mean(axis=0)
    covariance = centered.T @ centered
    # The sums of eigenvalues and of their squares, without eigenvalues.
    total = float(np.trace(covariance))
    squares = float(np.sum(np.square(covariance)))
    return total**2 / squares if squares > 0 else 0.0


def widths(layer: keras.layers.RNN) -> int:
    """The width of the output of a layer."""
    size = getattr(layer.cell, "output_size", None)
    return int(size or keras.tree.flatten(layer.cell.state_size)[0])
