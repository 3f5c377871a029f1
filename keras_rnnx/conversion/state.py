"""Copies the state of a layer that its config does not contain."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import keras

from keras_rnnx._sublayers import walk

Pairs = dict[int, tuple[Any, Any]]


def build(pairs: Pairs) -> None:
    """Builds the copies of layers that are built.

    Args:
        pairs: layers and their copies, by the `id` of the layer, inner layers first.
    """
    # The `build` of a user's class also builds the layers inside. The `build` that
    # Keras provides expects them to be built.
    for old, new in _outer_first(pairs):
        if type(old).build is not keras.Layer.build:
            _build(old, new)
    for old, new in _layers(pairs):
        _build(old, new)


def _build(old: keras.Layer, new: keras.Layer) -> None:
    if old.built and not new.built:
        new.build_from_config(old.get_build_config())


def copy(pairs: Pairs) -> None:
    """Gives the copies the weights, the states and the trainable flags.

    Raises:
        ValueError: if a copy does not have the weights of its layer.
    """
    variables: list[tuple[Any, Any]] = []
    for old, new in _layers(pairs):
        inside = {id(layer) for _, layer in walk(new)}
        inner = [pairs[id(a)] for _, a in walk(old) if id(a) in pairs and a is not old]
        inner = [(a, b) for a, b in inner if id(b) in inside]
        theirs = own_weights(old, (a for a, _ in inner))
        ours = own_weights(new, (b for _, b in inner))
        shapes = [[tuple(v.shape) for v in each] for each in (theirs, ours)]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"Layer {old.name!r} ({type(old).__name__}) cannot be copied: it has "
                f"weights of shapes {shapes[0]}, but the copy by its `from_config`, "
                f"`get_config` and `build_from_config` has {shapes[1]}."
            )
        variables.extend(zip(theirs, ours))
        theirs = states_of(old, [a for a, _ in inner])
        variables.extend(zip(theirs, states_of(new, [b for _, b in inner])))
    for old, new in variables:
        new.assign(old.numpy())
    # Setting the flag of a layer sets those of all layers inside.
    for old, new in _outer_first(pairs):
        new.trainable = old.trainable
    for old, new in variables:
        new.trainable = old.trainable


def compile_copies(pairs: Pairs) -> dict[int, str]:
    """Compiles the copies of compiled models.

    Returns:
        The reasons for copies that could not be compiled, by the `id` of the model.
    """
    reasons = {}
    for old, new in _layers(pairs):
        if not getattr(old, "compiled", False) or not isinstance(old, keras.Model):
            continue
        cls = type(old)
        if (
            cls.compile is not keras.Model.compile
            and cls.compile_from_config is keras.Model.compile_from_config
        ):
            reasons[id(old)] = "it has its own `compile`"
            continue
        try:
            with keras.saving.custom_object_scope(_custom_objects(old)):
                new.compile_from_config(old.get_compile_config())
        except (TypeError, ValueError) as error:
            cause = str(error).split(". ")[0]
            reasons[id(old)] = f"Keras cannot restore how it was compiled: {cause}"
    return reasons


def custom_objects(objects: Iterable[Any]) -> dict[str, Any]:
    """The classes and functions of these objects that are not Keras', by name."""
    items = (item if hasattr(item, "__name__") else type(item) for item in objects)
    return {
        item.__name__: item
        for item in items
        if str(item.__module__).split(".")[0] not in ("keras", "builtins")
    }


def _custom_objects(model: keras.Model) -> dict[str, Any]:
    parts = keras.tree.flatten([model.loss, model.optimizer, model.metrics])
    return custom_objects(parts)


def _layers(pairs: Pairs) -> list[tuple[keras.Layer, keras.Layer]]:
    return [
        (old, new)
        for old, new in pairs.values()
        if isinstance(old, keras.Layer) and old is not new
    ]


def _outer_first(pairs: Pairs) -> Iterator[tuple[keras.Layer, keras.Layer]]:
    return reversed(_layers(pairs))


def own_weights(
    layer: keras.Layer, inner: Iterable[keras.Layer]
) -> list[keras.Variable]:
    """The variables of a layer that are none of those layers' and no states."""
    excluded = {id(variable) for child in inner for variable in child.variables}
    # On JAX, layers of keras_rnnx list their states among their variables.
    excluded.update(map(id, states_of(layer, inner)))
    return [v for v in layer.variables if id(v) not in excluded]


def states_of(layer: keras.Layer, inner: Iterable[keras.Layer]) -> list[keras.Variable]:
    """The states of stateful layers, which Keras does not count as weights."""
    others = {id(item) for child in inner for _, item in walk(child)}
    return [
        state
        for _, item in walk(layer)
        if isinstance(item, keras.layers.RNN) and id(item) not in others
        for state in keras.tree.flatten(item.states)
        if state is not None
    ]
