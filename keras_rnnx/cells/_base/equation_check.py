"""A trial run of the equation when a cell is built, to explain what is wrong."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import keras
from keras import ops

from keras_rnnx.cells._base.values import Gates, State, Vectors
from keras_rnnx.cells._lowering.spec import GateWeights, Lowering, Weights

# Sequences of the trial. More than one: `if` accepts a tensor that holds one number.
ROWS = 2
# Parts of the backends' error messages when code such as `if` needs a tensor's value.
_BRANCHES = re.compile(
    r"truth value|[Bb]oolean (value|conversion)|Python `?bool|to bool"
)


class _Recorder(keras.StatelessScope):
    """Records which variables are read: an engine could not differentiate them."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[keras.Variable] = []

    def get_current_value(self, variable: keras.Variable) -> Any:
        self.read.append(variable)
        return super().get_current_value(variable)

    @property
    def names(self) -> list[str]:
        return sorted({variable.name for variable in self.read})


def check(cell: keras.layers.Layer) -> Counter[str]:
    """Runs `cell.update` once on ones and checks what it reads and returns.

    Returns:
        How often the equation calls "drop" and "norm".

    Raises:
        TypeError: if it does not return a State of exactly the declared states.
        ValueError: if a state has another shape than declared, if a late gate
            multiplies a vector of another width than its matrix, or if the equation
            reads a weight that was not declared.
    """
    name = type(cell).__name__
    ones = ops.ones((ROWS, cell.units), dtype=cell.compute_dtype)
    apart = (*cell.split, *cell.late)
    u = {k: ones for k in cell.split} | {k: _product(cell, k) for k in cell.late}
    widths = cell.state_widths
    called: Counter[str] = Counter()

    def hook(kind: str) -> Callable[[Any], Any]:
        def call(value: Any) -> Any:
            called[kind] += 1
            return value

        return call

    arguments = {
        "state": State(
            **{k: ops.ones((ROWS, n), dtype=ones.dtype) for k, n in widths.items()}
        ),
        "gate": Gates(
            {k: ones for k in cell.gates if k not in apart},
            {k: ones for k in apart if cell.layout.gates[k].has_input},
            u,
            hook("drop"),
            hook("norm"),
        ),
    }
    if cell.vectors:
        arguments["vector"] = Vectors(**dict.fromkeys(cell.vectors, ones[0]))
    with _Recorder() as recorder:
        new = _updated(cell, arguments.values())
    if recorder.read:
        raise ValueError(
            f"{name}.update reads the weights {recorder.names} directly, so an engine "
            f"cannot give them a gradient. Declare per-unit weights in `vectors` and "
            f"read them from the third argument of `update`."
        )
    if not isinstance(new, State) or set(vars(new)) != set(cell.states):
        returned = sorted(vars(new)) if isinstance(new, State) else type(new).__name__
        wanted = ", ".join(f"{state}=..." for state in cell.states)
        raise TypeError(
            f"{name}.update must return State({wanted}), but it returned {returned}."
        )
    for state in cell.states:
        shape = tuple(getattr(new, state).shape)
        if shape != (ROWS, widths[state]):
            raise ValueError(
                f"{name}.update must keep the shape (batch, units) of its states, but "
                f"{state!r} came back as {shape} for {(ROWS, widths[state])}. A "
                f"state of another width than `units` is declared in `state_units`."
            )
    return called


def _updated(cell: keras.layers.Layer, arguments: Iterable[Any]) -> Any:
    try:
        return cell.update(*arguments)
    except (TypeError, ValueError, RuntimeError) as error:
        if not _BRANCHES.search(str(error)):
            raise
        raise TypeError(
            f"{type(cell).__name__}.update asks for the value of a tensor (a Python "
            f"`if`, `while`, `and`, `or`, `not`, `min` or `max` on one), which differs "
            f"from unit to unit. Choose by keras.ops.where(condition, a, b), and "
            f"combine by ops.logical_and, ops.minimum and the like. For a value that "
            f"is the same for all units, declare an argument in `options` and read it "
            f"from `self`."
        ) from error


def check_lowering(cell: keras.layers.Layer, features: int) -> None:
    """Runs the maps of `cell.lowering()` once and checks what they read.

    Raises:
        ValueError: if they read a weight in another way than from `Weights`.
    """
    lowering = cell.lowering()
    if not isinstance(lowering, Lowering):
        return

    def halves(*shape: int) -> Any:
        return 0.5 * ops.ones(shape, dtype=cell.compute_dtype)

    n, width, features = cell.units, cell.output_size, cell.window * features
    gate = GateWeights(halves(features, n), halves(width, n), halves(n), halves(n))
    gates = {k: gate for k in cell.gates if k not in cell.projection}
    weights = Weights(gates, dict.fromkeys(cell.vectors, halves(n)))
    states = [halves(1, k) for k in cell.state_widths.values()]
    with _Recorder() as recorder:
        lowering.gates(weights)
        lowering.inputs(halves(1, 1, features), states, weights)
        lowering.states(states, weights)
        lowering.outputs(halves(1, 1, lowering.width * width), states, weights)
    if recorder.read:
        raise ValueError(
            f"{type(cell).__name__}.lowering has maps that read the weights "
            f"{recorder.names} directly, so an engine cannot give them a gradient. "
            f"Read them from the `Weights` that a map receives: `w.vector` has the "
            f"vectors."
        )


def _product(cell: keras.layers.Layer, gate: str) -> Callable[[Any], Any]:
    """A stand-in for the product of a late gate, which checks shapes."""
    takes, gives = cell.layout.gates[gate].takes, cell.layout.gates[gate].gives

    def call(vector: Any) -> Any:
        if tuple(vector.shape) != (ROWS, takes):
            raise ValueError(
                f"{type(cell).__name__}.update passes gate.u.{gate} a vector of the "
                f"shape {tuple(vector.shape)}, but its matrix multiplies one of the "
                f"shape {(ROWS, takes)}."
            )
        return vector if takes == gives else ops.ones((ROWS, gives), dtype=vector.dtype)

    return call
