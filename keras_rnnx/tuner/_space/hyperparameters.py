"""The hyperparameters of recurrent models: names, ranges, and when each is used."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

from keras_rnnx.cells import Cell
from keras_rnnx.cells.ranges import Boolean, Choice, Int, Log, LogInt, Uniform
from keras_rnnx.cells.registry import lookup
from keras_rnnx.layers import recipes

PRESETS = ("quick", "standard", "thorough")
NONE = "none"
# Models of these kinds must not see later steps.
CAUSAL = ("next_step", "language_model")
ONE_ANSWER = ("classification", "regression")
EACH_STEP = ("tagging", "ctc", *CAUSAL)
# What is dropped, or kept, inside of a step: one of them at a time.
REGULARIZERS = {
    "recurrent_dropout": (Uniform(0.05, 0.5), 0.2),
    "zoneout": (Uniform(0.02, 0.3), 0.1),
    "weight_dropout": (Uniform(0.1, 0.6), 0.3),
    "update_dropout": (Uniform(0.05, 0.5), 0.2),
}


@dataclasses.dataclass(frozen=True)
class Hyperparameter:
    """A hyperparameter of recurrent models.

    Attributes:
        name: in the search.
        values: what it is chosen from, one of `keras_rnnx.cells.ranges`; or None: it is
            not searched and has its default.
        default: the value that is tried first.
        preset: the smallest preset that searches over it.
        when: pairs of another hyperparameter and the values of it with which this one
            is used. KerasTuner wants chains: each is used with those before it.
        cells: the cells with which it is used. Default: all.
        part: what it is of: "stack", the recurrent layers; "option", an option of a
            cell; "model", what is around the layers; or "training".

    KerasTuner knows one hyperparameter by a name. What cells choose from different
    values is therefore called `CELL/NAME`.
    """

    name: str
    values: Any
    default: Any
    preset: str = "quick"
    when: tuple[tuple[str, tuple[Any, ...]], ...] = ()
    cells: tuple[str, ...] | None = None
    part: str = "stack"

    @property
    def target(self) -> str:
        """What it sets: its name without the cell."""
        return self.name.rpartition("/")[2]


def of_cells(
    cells: Sequence[str], steps: int | None, preset: str, kind: str
) -> list[Hyperparameter]:
    """Those of the recurrent layers.

    Args:
        cells: names of cells to choose from.
        steps: number of steps of the longest sequence, or None if it is not known.
        preset: which has more regularizers and normalizations the larger it is.
        kind: that of the task.
    """
    found = [_choice("cell", cells)]
    for cell in cells:
        found += _of_one_cell(cell, steps)
    return [
        *found,
        Hyperparameter("units", LogInt(16, 256), 64),
        Hyperparameter("layers", Int(1, 3), 1, "standard"),
        *_of_wiring(kind),
        Hyperparameter("dropout", Uniform(0.0, 0.6), 0.2),
        *_of_regularizers(cells, preset),
        *_of_normalization(cells, preset),
        Hyperparameter("initial_state_trainable", Boolean(), False, "thorough"),
    ]


def _of_wiring(kind):
    """Directions, and what goes around layers."""
    found = []
    if kind in EACH_STEP:
        # Two last outputs, of different steps, have no one input to go with them.
        deep = (("layers", (2, 3, 4, 5, 6)),)
        values = (NONE, "residual", "highway")
        found.append(_choice("connection", values, "thorough", when=deep))
    if kind not in CAUSAL:
        both = kind == "ctc"
        found.append(Hyperparameter("bidirectional", Boolean(), both, "standard"))
    return found


def of_model(kind: str, tokens: bool) -> list[Hyperparameter]:
    """Those of what is around the recurrent layers, by kind of task."""
    found = []
    if kind in ONE_ANSWER:
        found.append(
            _choice("pooling", ("last", "mean", "max"), "standard", part="model")
        )
    if kind == "sequence_to_sequence":
        values = (NONE, "additive", "multiplicative")
        found.append(_choice("attention", values, "standard", part="model"))
    if kind == "language_model":
        found.append(Hyperparameter("tied", Boolean(), False, "thorough", part="model"))
    if tokens:
        found.append(
            Hyperparameter("embedding", LogInt(16, 256), 64, "thorough", part="model")
        )
    return found


def of_training(kind: str) -> list[Hyperparameter]:
    """Those of how a model is trained."""
    part: dict[str, Any] = {"part": "training"}
    found = [
        _choice("optimizer", ("adam", "adamw", "rmsprop"), "thorough", **part),
        Hyperparameter(
            "weight_decay",
            Log(1e-4, 1e-1),
            4e-3,
            "thorough",
            when=(("optimizer", ("adamw",)),),
            **part,
        ),
        Hyperparameter("learning_rate", Log(3e-4, 2e-2), 1e-2, **part),
        _choice("schedule", ("cosine", "warmup", "constant"), "thorough", **part),
        Hyperparameter("global_clipnorm", Log(0.1, 10.0), 1.0, "standard", **part),
        Hyperparameter("batch_size", Choice([16, 32, 64, 128]), 32, "thorough", **part),
    ]
    if kind == "language_model":
        values = Choice([20, 35, 70, 140])
        found.append(Hyperparameter("steps", values, 35, "standard", **part))
    return found


def _choice(name, values, preset="quick", **kwargs):
    """A choice of names, the default first."""
    choice = Choice(values) if len(values) > 1 else None
    return Hyperparameter(name, choice, values[0], preset, **kwargs)


def _of_one_cell(cell, steps):
    cls = lookup(cell)
    found = []
    names = fitting_recipes(cell, steps)
    if names:
        found.append(
            _choice(f"{cell}/recipe", (NONE, *names), "standard", cells=(cell,))
        )
    # A recipe sets some of them. Those of other cells draw for themselves.
    if declared(cls):
        found += [
            Hyperparameter(
                f"{cell}/{option}",
                values,
                cls.options[option],
                "standard",
                when=((f"{cell}/recipe", (NONE,)),) if names else (),
                cells=(cell,),
                part="option",
            )
            for option, values in cls.search.items()
        ]
    return found


def declared(cls: type[Cell]) -> bool:
    """Whether a cell's own search space is what it declares in `search`."""
    own: Any = cls.search_space
    usual: Any = Cell.search_space
    return own.__func__ is usual.__func__


def fitting_recipes(cell: str, steps: int | None) -> list[str]:
    """The recipes for a cell.

    Args:
        cell: its name.
        steps: number of steps of the longest sequence, or None if it is not known:
            then those that need it are left out.
    """
    names = recipes.fitting(lookup(cell))
    return [name for name in names if steps or name not in ("chrono", "leaky")]


def _of_regularizers(cells, preset):
    names = ("recurrent_dropout", "zoneout")
    if preset == "thorough":
        names = tuple(REGULARIZERS)
    found = []
    for prefix, group, taken in _groups(cells, names):
        chosen = f"{prefix}regularizer"
        found.append(_choice(chosen, (NONE, *taken), "standard", cells=group))
        for name in taken:
            values, default = REGULARIZERS[name]
            when = ((chosen, (name,)),)
            found.append(
                Hyperparameter(
                    f"{prefix}{name}", values, default, "standard", when, group
                )
            )
    return found


def _of_normalization(cells, preset):
    names = ("layer_norm", "batch_norm")[: 1 + (preset == "thorough")]
    return [
        _choice(f"{prefix}normalization", (NONE, *taken), "standard", cells=group)
        for prefix, group, taken in _groups(cells, names)
    ]


def _groups(cells, names):
    """Cells by those of the arguments that they take.

    Returns:
        Tuples of a prefix for names of hyperparameters, cells, and what they take. The
        largest group has no prefix, and cells outside of it are each by itself.
    """
    groups = {}
    for cell in cells:
        taken = tuple(name for name in names if takes(cell, name))
        groups.setdefault(taken, []).append(cell)
    largest = max(groups, key=lambda taken: len(groups[taken]))
    found = [("", tuple(groups[largest]), largest)]
    for taken, group in groups.items():
        if taken != largest:
            found += [(f"{cell}/", (cell,), taken) for cell in group]
    return found


@functools.cache
def takes(cell: str, argument: str) -> bool:
    """Whether a cell takes a regularizer or a normalization: it is asked."""
    value = True if argument.endswith("_norm") else 0.1
    steps = {"batch_norm_steps": 1} if argument == "batch_norm" else {}
    try:
        lookup(cell)(16, **{argument: value}, **steps).build((None, 1))
    except ValueError:
        return False
    return True
