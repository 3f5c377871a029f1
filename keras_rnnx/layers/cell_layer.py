"""Named layers: a cell and the loop over it under one name, as Keras has them."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Self

from keras_rnnx.cells._base import arguments
from keras_rnnx.cells.registry import cell_name
from keras_rnnx.layers import recipes
from keras_rnnx.layers.recurrent import RNN

if TYPE_CHECKING:
    from keras_rnnx.cells import Cell

LOOP = (
    "return_sequences",
    "return_state",
    "go_backwards",
    "stateful",
    "unroll",
    "zero_output_for_mask",
    "use_cudnn",
    "checkpoint",
    "initial_state_trainable",
    "initial_state_initializer",
    "initial_state_noise",
)
LAYER = ("activity_regularizer", "input_shape", "batch_input_shape", "batch_shape")


class CellLayer(RNN):
    """Base class of the named layers. A subclass names its `cell_class`.

    It takes the arguments of the cell and those of `RNN`, and has the arguments of the
    cell as attributes. `recipe` names a published combination of arguments (see
    `keras_rnnx.layers.recipes`); `keras_rnnx.explain` shows what it set.
    """

    cell_class: type[Cell]
    __signature__: inspect.Signature
    _cell_arguments: list[str]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        parameters = list(cls.cell_class.__signature__.parameters.values())
        names = [p.name for p in parameters if p.kind is not p.VAR_KEYWORD]
        loop = [
            p.replace(kind=p.KEYWORD_ONLY)
            for p in inspect.signature(RNN.__init__).parameters.values()
            if p.name in LOOP
        ]
        recipe = inspect.Parameter(
            "recipe", inspect.Parameter.KEYWORD_ONLY, default=None
        )
        cls.__signature__ = inspect.Signature(
            [*parameters[:-1], *loop, recipe, parameters[-1]]
        )
        cls._cell_arguments = names
        for name in names:
            if name not in vars(cls):
                setattr(cls, name, _of_cell(name))

    def __init__(self, *args: Any, **kwargs: Any):
        cls = type(self)
        valid = [
            *cls._cell_arguments,
            *LOOP,
            *LAYER,
            "recipe",
            *arguments.LAYER,
            *arguments.COMPATIBILITY,
        ]
        arguments.check_names(cls.__name__, kwargs, valid)
        cell_names = (*cls._cell_arguments, *arguments.COMPATIBILITY)
        cell = {name: kwargs.pop(name) for name in cell_names if name in kwargs}
        recipe = kwargs.pop("recipe", None)
        by_name = {}
        if recipe is not None:
            passed = cell | dict(zip(cls._cell_arguments, args))
            by_name = recipes.arguments(recipe, cls.cell_class, passed)
        shared: dict[str, Any] = {
            name: kwargs[name] for name in ("dtype", "trainable") if name in kwargs
        }
        shared["name"] = f"{cell_name(cls.cell_class)}_cell"
        super().__init__(cls.cell_class(*args, **cell, **by_name, **shared), **kwargs)
        self.recipe = recipe

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["cell"]
        cell = self.cell.get_config()
        # The recipe sets its arguments again.
        by_name = recipes.RECIPES[self.recipe].arguments if self.recipe else ()
        cell_config = {n: cell[n] for n in self._cell_arguments if n not in by_name}
        return {**config, **cell_config, "recipe": self.recipe}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**config)


def _of_cell(name: str) -> property:
    return property(lambda self: getattr(self.cell, name))
