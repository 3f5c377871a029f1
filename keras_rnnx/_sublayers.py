"""The layers inside of a layer, and how to put others in their place."""

from __future__ import annotations

import collections
from collections.abc import Iterator
from typing import Any

import keras


def walk(
    layer: keras.Layer, owners: tuple[keras.Layer, ...] = (), seen: set | None = None
) -> Iterator[tuple[tuple[keras.Layer, ...], keras.Layer]]:
    """Yields a layer and all layers inside of it, each once, owners first.

    Yields:
        The layers that hold it, outermost first, and the layer.
    """
    seen = set() if seen is None else seen
    if id(layer) in seen:
        return
    seen.add(id(layer))
    yield owners, layer
    for child in children(layer):
        yield from walk(child, (*owners, layer), seen)


def path(owners: tuple[keras.Layer, ...], layer: keras.Layer) -> str:
    """The name of a layer under those of its owners, without the outermost."""
    return "/".join(item.name for item in (*owners[1:], layer))


def children(layer: keras.Layer) -> list[keras.Layer]:
    """The layers that a layer holds itself, in the order in which it got them.

    Those are the layers of a model, and those in attributes or in lists, tuples, sets
    and dicts in attributes.
    """
    held = [layer.layers] if isinstance(layer, keras.Model) else []
    held.extend(vars(layer).values())
    found = {id(item): item for value in held for item in _layers(value)}
    found.pop(id(layer), None)
    return list(found.values())


def replace(owner: keras.Layer, replacements: dict[int, keras.Layer]) -> None:
    """Puts layers in place of others in the attributes of a layer not yet built.

    Args:
        owner: the layer that holds them.
        replacements: the new layers, by the `id` of those they replace.
    """
    old = children(owner)
    new = [replacements.get(id(layer), layer) for layer in old]
    held = {k: v for k, v in _attributes(owner) if next(_layers(v), None) is not None}
    # Keras keeps a layer among the sublayers after its attribute was assigned anew, and
    # appends the new one, so that weights would come twice and in another order. It
    # forgets layers that are taken out of a list: all are, and come back in order.
    borrowed = next(iter(held))
    delattr(owner, borrowed)
    setattr(owner, borrowed, old)
    getattr(owner, borrowed).clear()
    setattr(owner, borrowed, new)
    delattr(owner, borrowed)
    for name, value in held.items():
        setattr(owner, name, _replaced(value, replacements))


def _attributes(layer):
    """Attributes that the class of a layer has set, those of Keras aside."""
    base = keras.Model if isinstance(layer, keras.Model) else keras.Layer
    own = vars(base(name=layer.name))
    attributes = {k: v for k, v in vars(layer).items() if k not in own}
    if keras.backend.backend() == "torch":
        # torch keeps modules in a dict of its own.
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


def _replaced(value, replacements):
    if isinstance(value, keras.Layer):
        return replacements.get(id(value), value)
    if isinstance(value, dict):
        kind = collections.OrderedDict
        kind = kind if isinstance(value, kind) else dict
        return kind((k, _replaced(v, replacements)) for k, v in value.items())
    if isinstance(value, (list, tuple, set)):
        items = [_replaced(item, replacements) for item in value]
        if hasattr(value, "_fields"):
            return type(value)(*items)
        kinds = (list, tuple, set)
        return next(kind for kind in kinds if isinstance(value, kind))(items)
    return value
