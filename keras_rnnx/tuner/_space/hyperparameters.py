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
# Layers of these models are built without the length of the sequences, and read them in
# pieces or step by step.
ANY_LENGTH = ("language_model", "sequence_to_sequence")
# Regularizers inside of a step, with range and default. A trial uses one at a time.
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
        name: its name in the search.
        values: its range, of a kind in `keras_rnnx.cells.ranges`; or None: it is not
            searched and has its default.
        default: the value that is tried first.
        preset: the smallest preset that searches over it.
        when: conditions: pairs of another hyperparameter and its values with which
            this one is used. KerasTuner needs chains: each condition also depends on
            the ones before it.
        cells: the cells with which it is used. Default: all.
        part: "stack", the recurrent layers; "option", an option of a cell; "model",
            the model around the layers; or "training".

    KerasTuner allows one range for each name. So hyperparameters with different ranges
    for different cells are called `CELL/NAME`.
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
        """The argument that it sets: its name without the cell."""
        return self.name.rpartition("/")[2]


def of_cells(
    cells: Sequence[str], steps: int | None, preset: str, kind: str
) -> list[Hyperparameter]:
    """The hyperparameters of the recurrent layers.

    Args:
        cells: names of cells to choose from.
        steps: number of steps of the longest sequence, or None if it is not known.
        preset: the preset; larger ones have more regularizers and normalizations.
        kind: kind of the task.
    """
    result = [_choice("cell", cells)]
    for cell in cells:
        result += _of_one_cell(cell, steps)
    return [
        *result,
        Hyperparameter("units", LogInt(16, 256), 64),
        Hyperparameter("layers", Int(1, 3), 1, "standard"),
        *_of_wiring(cells, kind),
        Hyperparameter("dropout", Uniform(0.0, 0.6), 0.2),
        *_of_regularizers(cells, preset),
        *_of_normalization(cells, steps, preset, kind),
        *_of_states(kind),
    ]


def _of_states(kind: str) -> list[Hyperparameter]:
    """The hyperparameters of the states that sequences start from."""
    if kind == "language_model":
        return []  # A text starts from the last states of the batch before.
    return [Hyperparameter("initial_state_trainable", Boolean(), False, "thorough")]


def _of_wiring(cells: Sequence[str], kind: str) -> list[Hyperparameter]:
    """The hyperparameters of directions and of connections around layers."""
    linear = tuple(cell for cell in cells if lookup(cell).linear_outputs)
    others = tuple(cell for cell in cells if cell not in linear)
    deep = (("layers", (2, 3, 4, 5, 6)),)
    result = []
    # Not for a single answer: the last outputs of two directions belong to different
    # steps, so that no single input goes with them.
    if others and kind in EACH_STEP:
        values = (NONE, "residual", "highway", "glu")
        result.append(_choice("connection", values, "thorough", when=deep))
    # Linear layers on top of each other are linear without a unit between them. It is
    # not searched: KerasTuner has no hyperparameter with two conditions, `cell` and
    # `layers`, that do not depend on each other.
    if linear:
        name = f"{linear[0]}/connection" if others else "connection"
        result.append(Hyperparameter(name, None, "glu", when=deep, cells=linear))
    both_ways = tuple(cells) if kind in EACH_STEP else others
    if both_ways and kind not in CAUSAL:
        both = kind == "ctc"
        result.append(
            Hyperparameter(
                "bidirectional", Boolean(), both, "standard", cells=both_ways
            )
        )
    return result


def of_model(kind: str, tokens: bool) -> list[Hyperparameter]:
    """The hyperparameters of the model around the recurrent layers."""
    result = []
    if kind in ONE_ANSWER:
        result.append(
            _choice("pooling", ("last", "mean", "max"), "standard", part="model")
        )
    if kind == "sequence_to_sequence":
        values = (NONE, "additive", "multiplicative")
        result.append(_choice("attention", values, "standard", part="model"))
    if kind == "language_model":
        result.append(
            Hyperparameter("tied", Boolean(), False, "thorough", part="model")
        )
    if tokens:
        result.append(
            Hyperparameter("embedding", LogInt(16, 256), 64, "thorough", part="model")
        )
    return result


def of_training(kind: str) -> list[Hyperparameter]:
    """The hyperparameters of training."""
    part: dict[str, Any] = {"part": "training"}
    result = [
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
        result.append(Hyperparameter("steps", values, 35, "standard", **part))
    return result


def _choice(
    name: str, values: Sequence[Any], preset: str = "quick", **kwargs: Any
) -> Hyperparameter:
    """A choice of names, the default first."""
    choice = Choice(values) if len(values) > 1 else None
    return Hyperparameter(name, choice, values[0], preset, **kwargs)


def _of_one_cell(cell: str, steps: int | None) -> list[Hyperparameter]:
    cls = lookup(cell)
    result = []
    names = fitting_recipes(cell, steps)
    if names:
        result.append(
            _choice(f"{cell}/recipe", (NONE, *names), "standard", cells=(cell,))
        )
    # Options are searched only without a recipe, which may set some of them. Cells
    # with a `search_space` method draw their options themselves.
    if declared(cls):
        result += [
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
    return result


def declared(cls: type[Cell]) -> bool:
    """Whether a cell declares its search space in `search`, without a method."""
    method: Any = cls.search_space
    inherited: Any = Cell.search_space
    return method.__func__ is inherited.__func__


def fitting_recipes(cell: str, steps: int | None) -> list[str]:
    """The recipes for a cell.

    Args:
        cell: its name.
        steps: number of steps of the longest sequence, or None if it is not known:
            then recipes that need it are left out.
    """
    names = recipes.fitting(lookup(cell))
    return [name for name in names if steps or not recipes.RECIPES[name].by_length]


def _of_regularizers(cells: Sequence[str], preset: str) -> list[Hyperparameter]:
    names: tuple[str, ...] = ("recurrent_dropout", "zoneout")
    if preset == "thorough":
        names = tuple(REGULARIZERS)
    result = []
    for prefix, group, accepted in _groups(cells, names):
        chosen = f"{prefix}regularizer"
        result.append(_choice(chosen, (NONE, *accepted), "standard", cells=group))
        for name in accepted:
            values, default = REGULARIZERS[name]
            when = ((chosen, (name,)),)
            result.append(
                Hyperparameter(
                    f"{prefix}{name}", values, default, "standard", when, group
                )
            )
    return result


def _of_normalization(
    cells: Sequence[str], steps: int | None, preset: str, kind: str
) -> list[Hyperparameter]:
    # Batch normalization has averages for each step: it needs to know how many there
    # are, and that every sequence starts at the first one and is read as a whole.
    counted = bool(steps) and kind not in ANY_LENGTH
    names = ("layer_norm", "batch_norm")[: 1 + (preset == "thorough" and counted)]
    return [
        _choice(f"{prefix}normalization", (NONE, *accepted), "standard", cells=group)
        for prefix, group, accepted in _groups(cells, names)
    ]


def _groups(
    cells: Sequence[str], names: Sequence[str]
) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    """Groups of cells that accept the same of these arguments.

    Returns:
        Tuples of a prefix for names of hyperparameters, the cells, and the arguments
        that they accept. The largest group has no prefix; each cell outside of it is a
        group with its own prefix.
    """
    groups: dict[tuple[str, ...], list[str]] = {}
    for cell in cells:
        accepted = tuple(name for name in names if takes(cell, name))
        groups.setdefault(accepted, []).append(cell)
    largest = max(groups, key=lambda accepted: len(groups[accepted]))
    result = [("", tuple(groups[largest]), largest)]
    for accepted, group in groups.items():
        if accepted != largest:
            result += [(f"{cell}/", (cell,), accepted) for cell in group]
    return result


@functools.cache
def takes(cell: str, argument: str) -> bool:
    """Whether a cell accepts a regularizer or a normalization: tries to build one."""
    value = True if argument.endswith("_norm") else 0.1
    steps = {"batch_norm_steps": 1} if argument == "batch_norm" else {}
    try:
        lookup(cell)(16, **{argument: value}, **steps).build((None, 1))
    except ValueError:
        return False
    return True
