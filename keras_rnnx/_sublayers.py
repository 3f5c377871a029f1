"""Finds and replaces the layers inside of a layer."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Iterator
from typing import Any

import keras


def walk(
    layer: keras.Layer, owners: tuple[keras.Layer, ...] = (), seen: set | None = None
) -> Iterator[tuple[tuple[keras.Layer, ...], keras.Layer]]:
    """Iterates over a layer and all layers inside of it, each once, owners first.

    Yields:
        The layers that hold a layer, outermost first, and the layer.
    """
    seen = set() if seen is None else seen
    if id(layer) in seen:
        return
    seen.add(id(layer))
    yield owners, layer
    for child in children(layer):
        yield from walk(child, (*owners, layer), seen)


def path(owners: tuple[keras.Layer, ...], layer: keras.Layer) -> str:
    """The name of a layer after the names of its owners, without the outermost."""
    return "/".join(item.name for item in (*owners[1:], layer))


def children(layer: keras.Layer) -> list[keras.Layer]:
    """The layers that a layer holds directly, in the order in which it got them.

    These are the layers of a model, the layers in attributes, and the layers in lists,
    tuples, sets and dicts in attributes.
    """
    values = [layer.layers] if isinstance(layer, keras.Model) else []
    values.extend(vars(layer).values())
    result = {id(item): item for value in values for item in _layers(value)}
    result.pop(id(layer), None)
    return list(result.values())


def replace(owner: keras.Layer, replacements: dict[int, keras.Layer]) -> None:
    """Replaces layers in the attributes of a layer that is not built yet.

    Args:
        owner: the layer that holds them.
        replacements: the new layers, by the `id` of the layers they replace.
    """
    old = children(owner)
    new = [replacements.get(id(layer), layer) for layer in old]
    attributes = {
        k: v for k, v in _attributes(owner) if next(_layers(v), None) is not None
    }
    # If an attribute is assigned again, Keras keeps the old sublayer and appends the
    # new one, so that weights would come twice and in another order. But it forgets
    # layers that are removed from a list: so all are removed, and added in order.
    borrowed = next(iter(attributes))
    delattr(owner, borrowed)
    setattr(owner, borrowed, old)
    getattr(owner, borrowed).clear()
    setattr(owner, borrowed, new)
    delattr(owner, borrowed)
    for name, value in attributes.items():
        setattr(owner, name, _replaced(value, replacements))


def _attributes(layer: keras.Layer) -> Iterable[tuple[str, Any]]:
    """The attributes that the class of a layer has set, without those of Keras."""
    base = keras.Model if isinstance(layer, keras.Model) else keras.Layer
    inherited = vars(base(name=layer.name))
    attributes = {k: v for k, v in vars(layer).items() if k not in inherited}
    if keras.backend.backend() == "torch":
        # torch keeps modules in a separate dict.
        modules = layer.named_modules(remove_duplicate=False)
        attributes.update((k, v) for k, v in modules if k and "." not in k)
    return attributes.items()


def _layers(value: Any) -> Iterator[keras.Layer]:
    if isinstance(value, keras.Layer):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _layers(item)
    elif isinstance(value, (list, tuple, set)):
        for item in value:
            yield from _layers(item)


def _replaced(value: Any, replacements: dict[int, Any]) -> Any:
    if isinstance(value, keras.Layer):
        return replacements.get(id(value), value)
    if isinstance(value, dict):
        kind: type[dict[Any, Any]] = collections.OrderedDict
        kind = kind if isinstance(value, kind) else dict
        return kind((k, _replaced(v, replacements)) for k, v in value.items())
    if isinstance(value, (list, tuple, set)):
        items = [_replaced(item, replacements) for item in value]
        if hasattr(value, "_fields"):
            return type(value)(*items)
        kinds = (list, tuple, set)
        return next(kind for kind in kinds if isinstance(value, kind))(items)
    return value
