"""Tensors in dataclasses, dicts and tuples, as a flat list and back.

Frameworks take and return lists of tensors where they loop, differentiate and compile.
Everything else goes by names. `Structure` is the way from one to the other.

A tree is a dataclass, a dict, a tuple or a list of trees. What is none of these is a
leaf, a subclass of list too. None is nothing at all.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any

# By dataclass the names of its fields: to ask for them takes long.
_names: dict[type, tuple[str, ...]] = {}
# The structures there are, by their signature.
_known: dict[Any, tuple[int, Callable, Callable]] = {}


class Structure:
    """Where each leaf is in a tree.

    Where every operation is a call, trees are taken apart at every step. So there is
    one expression for it, compiled once for each structure: `[t["a"], t.b]`.

    Args:
        example: a tree of this structure.

    Attributes:
        size: number of leaves.
    """

    def __init__(self, example: Any):
        key = signature(example)
        if key not in _known:
            _known[key] = _compiled(example)
        self.size, self._read, self._build = _known[key]

    def flat(self, tree: Any) -> list[Any]:
        """The leaves of a tree. Where it lacks one there is None.

        Args:
            tree: of this structure, or a part of it.
        """
        try:
            return self._read(tree)
        except (AttributeError, IndexError, KeyError, TypeError):
            return list(_parts(self.positions(), tree))

    def tree(self, leaves: Iterable[Any]) -> Any:
        """The tree with these leaves."""
        listed = isinstance(leaves, (list, tuple))
        return self._build(leaves if listed else list(leaves))

    def positions(self) -> Any:
        """The tree with the position of each leaf in the list."""
        return self.tree(range(self.size))


def _compiled(example):
    """Number of leaves; a function that reads a tree; one that builds it."""
    places: list[str] = []
    values: dict[str, Any] = {}

    def named(value):
        """A name for a value in the expressions."""
        name = f"v{len(values)}"
        values[name] = value
        return name

    def built(tree, place):
        """The expression for a tree with its leaves from the list `l`."""
        if tree is None:
            return "None"
        children = _children(tree)
        if children is None:
            places.append(place)
            return f"l[{len(places) - 1}]"
        kind = type(tree)
        by_attribute = dataclasses.is_dataclass(tree)
        found = []
        for key, child in children:
            at = f".{key}" if by_attribute else f"[{named(key)}]"
            found.append((key, built(child, place + at)))
        if kind is dict:
            return "{" + "".join(f"{named(k)}: {text}, " for k, text in found) + "}"
        inner = "".join(f"{text}, " for _, text in found)
        if kind in (list, tuple):
            return f"[{inner}]" if kind is list else f"({inner})"
        return f"{named(kind)}({inner})"

    build = built(example, "t")
    read = f"[{', '.join(places)}]"
    # What is evaluated here is made of names and brackets alone.
    both = (("t", read), ("l", build))
    read, build = (eval(f"lambda {name}: {text}", values) for name, text in both)
    return len(places), read, build


def _children(tree):
    """Keys and children of a tree, None for a leaf."""
    kind = type(tree)
    if kind is dict:
        return list(tree.items())
    if kind in (list, tuple) or hasattr(kind, "_fields"):
        return list(enumerate(tree))
    if kind not in _names:
        if not dataclasses.is_dataclass(tree):
            return None
        _names[kind] = tuple(field.name for field in dataclasses.fields(tree))
    return [(name, getattr(tree, name)) for name in _names[kind]]


def _parts(example, tree) -> Iterator[Any]:
    """The leaves of a tree that may lack some of those of the example."""
    if example is None:
        return
    children = _children(example)
    if children is None:
        yield tree
        return
    given = {} if tree is None else dict(_children(tree))
    for key, child in children:
        yield from _parts(child, given.get(key))


def flatten(tree: Any) -> list[Any]:
    """The leaves of a tree."""
    return list(_parts(tree, tree))


def mapped(function: Callable, tree: Any) -> Any:
    """A tree with `function(leaf)` in the place of each leaf."""
    structure = Structure(tree)
    return structure.tree([function(leaf) for leaf in structure.flat(tree)])


def signature(tree: Any) -> Any:
    """What tells structures apart, to be used as a key."""
    if tree is None:
        return None
    kind = type(tree)
    if kind is dict:
        return dict, *[(key, signature(child)) for key, child in tree.items()]
    names = _names.get(kind)
    if names is not None:
        return kind, *[signature(getattr(tree, name)) for name in names]
    children = _children(tree)
    if children is None:
        return ()
    return kind, *[signature(child) for _, child in children]


def over_trees(prepare: Callable[[Callable], Callable], function: Callable) -> Callable:
    """A function of trees, prepared by what takes functions of lists.

    Args:
        prepare: from a function of a list of tensors, which returns such a list, to one
            that does the same, such as a compiled one. It is called once for each
            structure of the arguments.
        function: from trees to a tree.
    """
    known: dict[Any, tuple[Structure, Callable, dict]] = {}

    def make(trees):
        structure, results = Structure(trees), {}

        def flat(leaves):
            found = function(*structure.tree(leaves))
            results["structure"] = Structure(found)
            return results["structure"].flat(found)

        return structure, prepare(flat), results

    def run(*trees):
        key = signature(trees)
        if key not in known:
            known[key] = make(trees)
        structure, prepared, results = known[key]
        leaves = prepared(structure.flat(trees))
        return results["structure"].tree(leaves)

    return run
