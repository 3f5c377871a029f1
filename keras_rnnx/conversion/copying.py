"""Copies layers, with other layers inside."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import keras

from keras_rnnx import layers
from keras_rnnx._sublayers import children, replace, walk
from keras_rnnx.conversion.counterparts import (
    CELLS,
    LAYERS,
    WRAPPERS,
    cell_refusal,
    refusal,
)
from keras_rnnx.layers.cell_layer import LOOP

if TYPE_CHECKING:
    from keras_rnnx.conversion.state import Pairs

# Methods that a class may define and still be copied as a plain Keras model.
_REMADE = ("get_config", "from_config")


class Copier:
    """Copies layers, each once, and replaces Keras' recurrent layers.

    Attributes:
        pairs: layers and their copies, by the `id` of the layer, inner layers first.
        reasons: why layers were not replaced, for reasons that `refusal` cannot know.
    """

    def __init__(self) -> None:
        self.pairs: Pairs = {}
        self.reasons: dict[int, str] = {}

    def layer(
        self, layer: keras.Operation, made: keras.Operation | None = None
    ) -> keras.Operation:
        """The copy of a layer. `made` is a layer that the copy of its owner made."""
        if id(layer) not in self.pairs:
            if isinstance(layer, keras.layers.RNN):
                new = self._recurrent(layer, made)
            elif isinstance(layer, (keras.Sequential, keras.Function)):
                new = self._graph(layer, made)
            else:
                inside = _recurrent_inside(layer)
                # Keras builds the layers that a wrapper makes from its config, and the
                # layers inside of a built layer cannot be replaced.
                usable = made is not None and not (inside and made.built)
                usable = usable and type(layer) not in WRAPPERS
                new = made if usable else _remake(layer, made)
                if isinstance(layer, keras.Layer) and new is not layer:
                    self._inside(layer, new)
            self.pairs[id(layer)] = layer, new
        return self.pairs[id(layer)][1]

    def cell(self, cell: keras.Layer, made: keras.Layer | None = None) -> keras.Layer:
        """The copy of a cell that runs in a layer."""
        if id(cell) not in self.pairs:
            if type(cell) in CELLS and not cell_refusal(cell):
                new = CELLS[type(cell)](**_arguments_of(CELLS[type(cell)], cell))
            elif type(cell) is keras.layers.StackedRNNCells:
                inner = [None] * len(cell.cells) if made is None else made.cells
                inner = [self.cell(*each) for each in zip(cell.cells, inner)]
                new = keras.layers.StackedRNNCells(inner, **_of_layer(cell))
            else:
                return self.layer(cell, made)
            self.pairs[id(cell)] = cell, new
        return self.pairs[id(cell)][1]

    def _recurrent(
        self, layer: keras.layers.RNN, made: keras.Layer | None
    ) -> keras.Layer:
        cls: Any = LAYERS.get(type(layer))
        if cls is None or refusal(layer):
            new = _remake(layer) if made is None else made
            if hasattr(layer, "use_cudnn"):
                new.use_cudnn = layer.use_cudnn  # Not in the config of Keras.
            return new
        options = {n: getattr(layer, n) for n in LOOP if hasattr(layer, n)}
        options |= _of_layer(layer)
        options["activity_regularizer"] = layer.activity_regularizer
        if cls is layers.RNN:
            cell = self.cell(layer.cell, getattr(made, "cell", None))
            return cls(cell, **options)
        new = cls(**_arguments_of(cls.cell_class, layer.cell) | options)
        self.pairs[id(layer.cell)] = layer.cell, new.cell
        return new

    def _graph(self, model: keras.Model, made: keras.Model | None) -> keras.Model:
        if made is not None and not _recurrent_inside(model):
            return made
        lost = _lost(model)
        if lost:
            new = _remake(model) if made is None else made
            return self._leave(
                model,
                new,
                f"{type(model).__name__}, which has its own constructor and methods "
                f"({', '.join(lost)}), makes it",
            )
        options = {}
        if isinstance(model, keras.Function):
            options["input_tensors"] = _inputs(model)
        with _uncompiled(model):
            return keras.models.clone_model(model, clone_function=self.layer, **options)

    def _inside(self, old: keras.Layer, new: keras.Layer) -> None:
        """Copies the layers inside of `old` into `new`, which its config made."""
        theirs, ours = children(old), children(new)
        if new.built or any(type(a) is not type(b) for a, b in zip(theirs, ours)):
            self._leave(old, new, f"{type(old).__name__} is built when it is made")
            return
        for late in theirs[len(ours) :]:
            self._leave(late, None, f"{type(old).__name__} makes it in `build`")
        theirs = list(zip(theirs, ours))
        # A cell is copied with the layer that runs it, whatever else holds it.
        theirs.sort(key=lambda pair: not _recurrent_inside(pair[0]))
        copies = {id(b): self.layer(a, b) for a, b in theirs}
        if any(id(copy) != made for made, copy in copies.items()):
            replace(new, copies)

    def _leave(
        self, old: keras.Layer, new: keras.Layer | None, reason: str
    ) -> keras.Layer | None:
        for _, layer in walk(old):
            self.reasons.setdefault(id(layer), reason)
        return new


def _recurrent_inside(layer: keras.Operation) -> bool:
    if not isinstance(layer, keras.Layer):
        return False
    return any(isinstance(item, keras.layers.RNN) for _, item in walk(layer))


def _of_layer(layer: keras.Layer) -> dict[str, Any]:
    return {
        "name": layer.name,
        "dtype": layer.dtype_policy,
        "trainable": layer.trainable,
        "autocast": layer.autocast,
    }


def _arguments_of(cls: type, cell: keras.Layer) -> dict[str, Any]:
    """The arguments that a cell was made with, for a cell of class `cls`."""
    names = [n for n in inspect.signature(cls).parameters if hasattr(cell, n)]
    return {name: getattr(cell, name) for name in names} | _of_layer(cell)


def _remake(
    layer: keras.Operation, made: keras.Operation | None = None
) -> keras.Operation:
    """A copy by config, as `keras.models.clone_model` makes it, or else `made`.

    A wrapper with a counterpart becomes its counterpart.
    """
    try:
        if _is_default(layer):
            raise NotImplementedError("the class has no `get_config`")
        cls: Any = WRAPPERS.get(type(layer), type(layer))
        return cls.from_config(layer.get_config())
    except (
        AttributeError,
        KeyError,
        NotImplementedError,
        TypeError,
        ValueError,
    ) as error:
        if made is not None:
            return made
        if _is_stateless(layer):
            return layer
        raise ValueError(
            f"keras_rnnx.convert cannot copy {getattr(layer, 'name', layer)!r}: "
            f"{type(layer).__name__}.from_config(get_config()) raises "
            f"{type(error).__name__}: {error}"
        ) from error


def _is_default(layer: keras.Operation) -> bool:
    """Whether the config of a model holds only the defaults of its class."""
    cls = type(layer)
    # Keras knows the arguments of a layer without `get_config`, but not of a model.
    if not isinstance(layer, keras.Model) or cls.__module__.startswith("keras."):
        return False
    parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
    parameters_of_class = [p for p in parameters if p.kind is not p.VAR_KEYWORD]
    parameters_of_class = [
        p for p in parameters_of_class if p.name not in ("name", "trainable", "dtype")
    ]
    return bool(parameters_of_class) and cls.get_config.__module__.startswith("keras.")


def _is_stateless(layer: keras.Operation) -> bool:
    if not isinstance(layer, keras.Layer):
        return isinstance(layer, keras.Operation)
    if isinstance(layer, keras.layers.Lambda):
        return True
    return layer.built and not layer.variables and not _recurrent_inside(layer)


def _lost(model: keras.Model) -> list[str]:
    """Members of the class of a functional or Sequential model that a clone lacks."""
    cls = type(model)
    parameters = list(inspect.signature(cls.__init__).parameters.values())
    names = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    kinds = {p.kind for p in parameters}
    variadic = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
    functional = names == ["self", "inputs", "outputs", "name"] or variadic <= kinds
    if isinstance(model, keras.Function) and functional:
        return []
    sequential = keras.Sequential.__mro__
    members = {
        name: value
        for base in cls.__mro__
        if base not in sequential and not base.__module__.startswith("keras.")
        for name, value in vars(base).items()
    }
    return [
        name
        for name, value in members.items()
        if name not in _REMADE
        and not (name.startswith("__") and name.endswith("__"))
        and (
            callable(value) or isinstance(value, (property, classmethod, staticmethod))
        )
    ]


def _inputs(model: keras.Function) -> Any:
    """New inputs for a functional model, since `clone_model` makes all required."""
    made_by = {
        id(layer.output): layer
        for layer in model.layers
        if isinstance(layer, keras.layers.InputLayer)
    }
    return keras.tree.map_structure(
        lambda x: keras.Input(
            batch_shape=x.shape,
            dtype=x.dtype,
            sparse=x.sparse,
            name=x.name,
            optional=made_by[id(x)].optional,
        ),
        model.input,
    )


@contextlib.contextmanager
def _uncompiled(model: keras.Model) -> Iterator[None]:
    # Keras compiles a clone before its trainable flags are right, and cannot clone a
    # model whose loss it does not know by name.
    compiled, model.compiled = model.compiled, False
    try:
        yield
    finally:
        model.compiled = compiled
