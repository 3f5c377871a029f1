"""The arguments of a stack: its cells, and checks of what fits together."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from typing import Any

from keras_rnnx.cells import Cell, registry
from keras_rnnx.cells._base import arguments
from keras_rnnx.cells._base.masks import stream_seed
from keras_rnnx.layers import recipes
from keras_rnnx.layers.cell_layer import LAYER

CHOICES = {
    "dropout_mask": ("step", "sequence"),
    "connection": (None, "residual", "highway", "glu"),
    "merge_mode": ("concat", "sum", "mul", "ave"),
}
# The connections with a nonlinear function in them.
NONLINEAR = ("highway", "glu")
# Arguments of the cell whose names the stack uses for its own.
OWN = ("units", "dropout", "seed")
# The first stream of random numbers of a backward stack: more than a stack has.
BACKWARDS = 2**20


class Template:
    """The cell of a stack; every layer gets a copy.

    Args:
        cell: a name of the catalogue, a class of cells, or a cell.
        units: the argument of the stack.
        kwargs: keyword arguments, of the cell and of `keras.layers.Layer`.
        stack: names of the arguments of the stack.

    Attributes:
        cls: the class.
        prototype: a cell with all arguments, in no layer.
        layer: the keyword arguments that are for the layer.
    """

    def __init__(self, cell: Any, units: Any, kwargs: dict[str, Any], stack: list[str]):
        self.cls = _cell_class(cell)
        names = [n for n in self.cls.__signature__.parameters if n != "kwargs"]
        cell_names = [n for n in names if n not in OWN]
        layer = [*LAYER, *arguments.LAYER]
        compatible = arguments.COMPATIBILITY
        valid = [*stack, "recipe", *cell_names, *layer, *compatible]
        arguments.check_names("Stack", kwargs, valid)
        recipe = kwargs.get("recipe")
        if recipe is not None:
            kwargs = kwargs | recipes.arguments(recipe, self.cls, kwargs)
        self.layer = {k: v for k, v in kwargs.items() if k in layer}
        chosen = {k: v for k, v in kwargs.items() if k in cell_names}
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
            **changed: arguments that differ from the prototype's.
        """
        return self.cls.from_config(_config(self.prototype) | changed)

    @property
    def name(self) -> str:
        """Name of the cell in the catalogue, for names of layers."""
        return registry.cell_name(self.cls)


def _cell_class(cell: Any) -> type[Cell]:
    if isinstance(cell, str):
        return registry.lookup(cell)
    cls = cell if isinstance(cell, type) else type(cell)
    if not issubclass(cls, Cell):
        raise ValueError(
            f"`cell` must be a name of the catalogue (keras_rnnx.cells.names()), a "
            f"class of keras_rnnx cells or such a cell, received {cell!r}."
        )
    return cls


def _config(cell: Cell) -> dict[str, Any]:
    # Keras tracks lists in attributes of a layer; a copy needs plain lists.
    config = cell.get_config()
    return {k: list(v) if isinstance(v, list) else v for k, v in config.items()}


def _first(units: Any) -> Any:
    return units[0] if isinstance(units, (list, tuple)) and units else units


def widths(units: Any, depth: Any, of_cell: int) -> list[int]:
    """The number of units of each layer.

    Args:
        units: a number, a list of numbers, or None.
        depth: number of layers, or None.
        of_cell: the units of the cell, used if `units` is None.

    Raises:
        ValueError: if one is not positive, or `units` and `depth` do not fit.
    """
    if depth is not None:
        depth = arguments.positive_int("depth", depth)
    if not isinstance(units, (list, tuple)):
        width = arguments.positive_int("units", of_cell if units is None else units)
        return [width] * (depth or 2)
    result = [arguments.positive_int("units", width) for width in units]
    if not result or (depth is not None and len(result) != depth):
        raise ValueError(
            f"`units` must have one number for each layer: received units={units!r} "
            f"with depth={depth!r}. `depth` may be left out."
        )
    return result


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
            "bidirectional=True reads sequences both ways, but go_backwards=True reads "
            "them only from the end. Pass one of them."
        )
    if stack.bidirectional and stack.connection and not stack.return_sequences:
        raise ValueError(
            f"connection={stack.connection!r} with bidirectional=True needs "
            f"return_sequences=True: the last outputs of the two directions belong to "
            f"different steps, so that no single input goes with them."
        )
    for name in ("connection", "bidirectional"):
        value = getattr(stack, name)
        if stack.gated_feedback and value:
            raise ValueError(
                f"gated_feedback=True runs all layers at every step, and does not work "
                f"with {name}={value!r}."
                + " Wrap the stack in keras.layers.Bidirectional instead."
                * (name == "bidirectional")
            )


def warn_if_linear(stack: Any, cell: Any) -> None:
    """Warns of layers that compute no more together than one of them alone.

    Args:
        stack: the stack.
        cell: the cell of its layers.
    """
    linear = cell.linear_outputs and cell.normalization is None
    if not linear or stack.depth == 1 or stack.connection in NONLINEAR:
        return
    warnings.warn(
        f"A stack of {stack.depth} layers of {type(cell).__name__} with "
        f"connection={stack.connection!r} is linear, as one of them is: more layers "
        f"learn nothing that one can't. Pass connection='glu'.",
        stacklevel=3,
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
    """Why no vendor's kernel can compute what is between the layers, or None.

    Args:
        stack: the stack.
        training: whether the call trains, with dropout on.
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
            f"would draw other masks than the seed gives"
        )
    if stack.bidirectional and stack.merge_mode != "concat":
        return (
            f"merge_mode={stack.merge_mode!r} merges the two directions between "
            f"the layers, where a kernel concatenates them"
        )
    return None


def seeds(seed: int | None, backwards: bool = False) -> Iterator[int | None]:
    """An endless iterator of seeds, of independent streams of random numbers.

    Args:
        seed: of the stack.
        backwards: whether the stack reads sequences from the end. It then gets other
            streams: `Bidirectional` gives both directions one config. Default False.
    """
    if seed is None:
        return itertools.repeat(None)
    first = BACKWARDS if backwards else 0
    return (stream_seed(seed, k) for k in itertools.count(first))
