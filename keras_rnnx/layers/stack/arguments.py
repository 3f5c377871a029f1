"""The arguments of a stack: which cells it has, and what fits together."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from keras_rnnx.cells import Cell, registry
from keras_rnnx.cells._base import arguments
from keras_rnnx.cells._base.masks import stream_seed
from keras_rnnx.layers import recipes
from keras_rnnx.layers.cell_layer import LAYER

CHOICES = {
    "dropout_mask": ("step", "sequence"),
    "connection": (None, "residual", "highway"),
    "merge_mode": ("concat", "sum", "mul", "ave"),
}
# The stack has arguments of these names.
OWN = ("units", "dropout", "seed")
# More streams than a stack has.
BACKWARDS = 2**20


class Template:
    """The cell of a stack, of which every layer gets one.

    Args:
        cell: a name of the catalogue, a class of cells, or a cell.
        units: as given to the stack.
        given: keyword arguments, of the cell and of `keras.layers.Layer`.
        stack: names of the arguments of the stack.

    Attributes:
        cls: the class.
        prototype: a cell with all arguments, in no layer.
        layer: those of `given` that are for the layer.
    """

    def __init__(self, cell: Any, units: Any, given: dict[str, Any], stack: list[str]):
        self.cls = _cell_class(cell)
        names = [n for n in self.cls.__signature__.parameters if n != "kwargs"]
        own = [n for n in names if n not in OWN]
        layer = [*LAYER, *arguments.LAYER]
        compatible = arguments.COMPATIBILITY
        valid = [*stack, "recipe", *own, *layer, *compatible]
        arguments.check_names("Stack", given, valid)
        recipe = given.get("recipe")
        if recipe is not None:
            given = given | recipes.arguments(recipe, self.cls, given)
        self.layer = {k: v for k, v in given.items() if k in layer}
        chosen = {k: v for k, v in given.items() if k in own}
        if isinstance(cell, Cell):
            config = _config(cell) | chosen
            if units is not None:
                config["units"] = _first(units)
            self.prototype = self.cls.from_config(config)
        elif units is None:
            raise ValueError(
                "Stack needs `units`: the number of units of each layer, or a list "
                "with one number for each."
            )
        else:
            self.prototype = self.cls(_first(units), **chosen)

    def cell(self, **changed: Any) -> Cell:
        """A new cell, with its own weights.

        Args:
            **changed: arguments that are other than those of the prototype.
        """
        return self.cls.from_config(_config(self.prototype) | changed)

    @property
    def name(self) -> str:
        """Name of the cell in the catalogue, for names of layers."""
        return registry.cell_name(self.cls)


def _cell_class(cell):
    if isinstance(cell, str):
        return registry.lookup(cell)
    cls = cell if isinstance(cell, type) else type(cell)
    if not issubclass(cls, Cell):
        raise ValueError(
            f"`cell` must be a name of the catalogue (keras_rnnx.cells.names()), a "
            f"class of keras_rnnx cells or such a cell, received {cell!r}."
        )
    return cls


def _config(cell):
    # Lists in attributes of a layer are kept together with it.
    config = cell.get_config()
    return {k: list(v) if isinstance(v, list) else v for k, v in config.items()}


def _first(units):
    return units[0] if isinstance(units, (list, tuple)) and units else units


def widths(units: Any, depth: Any, of_cell: int) -> list[int]:
    """The number of units of each layer.

    Args:
        units: a number, a list of numbers, or None.
        depth: number of layers, or None.
        of_cell: where `units` is None.

    Raises:
        ValueError: if one is not positive, or the two do not fit.
    """
    if depth is not None:
        depth = arguments.positive_int("depth", depth)
    if not isinstance(units, (list, tuple)):
        one = arguments.positive_int("units", of_cell if units is None else units)
        return [one] * (depth or 2)
    found = [arguments.positive_int("units", one) for one in units]
    if not found or (depth is not None and len(found) != depth):
        raise ValueError(
            f"`units` must have one number for each layer: received units={units!r} "
            f"with depth={depth!r}. `depth` may be left out."
        )
    return found


def check(stack: Any) -> None:
    """Raises a ValueError for arguments of a stack that do not fit."""
    for name, valid in CHOICES.items():
        value = getattr(stack, name)
        if value not in valid:
            raise ValueError(
                f"`{name}` must be one of {', '.join(map(repr, valid))}, received "
                f"{value!r}."
            )
    if stack.bidirectional and stack.go_backwards:
        raise ValueError(
            "bidirectional=True reads sequences both ways, and go_backwards=True from "
            "the end alone. Pass one of them."
        )
    if stack.bidirectional and stack.connection and not stack.return_sequences:
        raise ValueError(
            f"connection={stack.connection!r} with bidirectional=True needs "
            f"return_sequences=True: the last outputs of the two directions are of "
            f"different steps, so that there is no one input to go with them."
        )
    for name in ("connection", "bidirectional"):
        value = getattr(stack, name)
        if stack.gated_feedback and value:
            raise ValueError(
                f"gated_feedback=True runs all layers at every step, and does not go "
                f"with {name}={value!r}."
                + " Wrap the stack in keras.layers.Bidirectional instead."
                * (name == "bidirectional")
            )


def check_widths(stack: Any, widths: list[int]) -> None:
    """Raises a ValueError for a connection around layers of unequal widths.

    Args:
        stack: the stack.
        widths: of the outputs of each layer's cell.
    """
    if stack.connection and len(set(widths)) > 1:
        units = list(stack.units)
        outputs = f", with outputs of the widths {widths}" if widths != units else ""
        raise ValueError(
            f"connection={stack.connection!r} needs layers of one width, received "
            f"units={units}{outputs}."
        )


def kernel_refusal(stack: Any, training: bool) -> str | None:
    """What stands between the layers of a stack that no vendor's kernel has, or None.

    Args:
        stack: the stack.
        training: whether for training, where dropout is on.
    """
    if stack.gated_feedback:
        return "gated_feedback=True steps all layers together"
    if stack.connection is not None:
        return f"connection={stack.connection!r} goes around every layer"
    if stack.depth == 1:
        return None
    if (training or stack.monte_carlo) and stack.dropout:
        return (
            f"dropout={stack.dropout} draws masks between the layers, and a kernel "
            f"would draw others than the seed says"
        )
    if stack.bidirectional and stack.merge_mode != "concat":
        return (
            f"merge_mode={stack.merge_mode!r} merges the two directions between "
            f"the layers, where a kernel concatenates them"
        )
    return None


def seeds(seed: int | None, backwards: bool = False) -> Iterator[int | None]:
    """Seeds without end, of streams that have nothing in common.

    Args:
        seed: of the stack.
        backwards: whether for one that reads sequences from the end, which has streams
            of its own: `Bidirectional` gives both directions one config. Default
            False.
    """
    if seed is None:
        return itertools.repeat(None)
    first = BACKWARDS if backwards else 0
    return (stream_seed(seed, k) for k in itertools.count(first))
