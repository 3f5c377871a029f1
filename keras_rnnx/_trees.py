"""Converts tensors in dataclasses, dicts and tuples to a flat list and back.

Frameworks loop over, differentiate and compile functions of lists of tensors. All other
code uses names. `Structure` converts between both.

A tree is a dataclass, a dict, a tuple or a list of trees. Any other object is a leaf,
also a subclass of list. None is an empty tree.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any

# The names of the fields of dataclasses, kept because looking them up is slow.
_names: dict[type, tuple[str, ...]] = {}
# The compiled structures, by their signature.
_known: dict[Any, tuple[int, Callable, Callable]] = {}


class Structure:
    """The positions of the leaves in a tree.

    Eager backends flatten trees at every step. So that this is fast, each structure has
    an expression that is compiled once: `[t["a"], t.b]`.

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
        """The leaves of a tree, with None for missing ones.

        Args:
            tree: a tree with this structure, or with a part of it.
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


def _compiled(
    example: Any,
) -> tuple[int, Callable[[Any], list[Any]], Callable[[list[Any]], Any]]:
    """The number of leaves, a function that flattens a tree, and one that builds it."""
    places: list[str] = []
    values: dict[str, Any] = {}

    def named(value: Any) -> str:
        """A name for a value in the expressions."""
        name = f"v{len(values)}"
        values[name] = value
        return name

    def built(tree: Any, place: str) -> str:
        """The expression that builds a tree from the list of leaves `l`."""
        if tree is None:
            return "None"
        children = _children(tree)
        if children is None:
            places.append(place)
            return f"l[{len(places) - 1}]"
        kind = type(tree)
        by_attribute = dataclasses.is_dataclass(tree)
        expressions = []
        for key, child in children:
            at = f".{key}" if by_attribute else f"[{named(key)}]"
            expressions.append((key, built(child, place + at)))
        if kind is dict:
            return (
                "{" + "".join(f"{named(k)}: {text}, " for k, text in expressions) + "}"
            )
        inner = "".join(f"{text}, " for _, text in expressions)
        if kind in (list, tuple):
            return f"[{inner}]" if kind is list else f"({inner})"
        return f"{named(kind)}({inner})"

    build = built(example, "t")
    read = f"[{', '.join(places)}]"
    # The evaluated expressions contain only names and brackets.
    both = (("t", read), ("l", build))
    read, build = (eval(f"lambda {name}: {text}", values) for name, text in both)
    return len(places), read, build


def _children(tree: Any) -> list[tuple[Any, Any]] | None:
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


def _parts(example: Any, tree: Any) -> Iterator[Any]:
    """The leaves of a tree that may lack some leaves of the example."""
    if example is None:
        return
    children = _children(example)
    if children is None:
        yield tree
        return
    # It has the shape of the example.
    of_tree: Any = () if tree is None else _children(tree)
    values = dict(of_tree)
    for key, child in children:
        yield from _parts(child, values.get(key))


def flatten(tree: Any) -> list[Any]:
    """The leaves of a tree."""
    return list(_parts(tree, tree))


def mapped(function: Callable, tree: Any) -> Any:
    """The tree with each leaf replaced by `function(leaf)`."""
    structure = Structure(tree)
    return structure.tree([function(leaf) for leaf in structure.flat(tree)])


def signature(tree: Any) -> Any:
    """A key that is equal for trees of the same structure."""
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
    """A function of trees, prepared by a function that takes functions of lists.

    Args:
        prepare: a function such as a compiler: from a function of a list of tensors
            that returns a list to one that does the same. It is called once for each
            structure of the arguments.
        function: from trees to a tree.
    """
    prepared_functions: dict[Any, tuple[Structure, Callable, dict]] = {}

    def make(
        trees: tuple[Any, ...],
    ) -> tuple[Structure, Callable, dict[str, Structure]]:
        structure, results = Structure(trees), {}

        def flat(leaves: list[Any]) -> list[Any]:
            result = function(*structure.tree(leaves))
            results["structure"] = Structure(result)
            return results["structure"].flat(result)

        return structure, prepare(flat), results

    def run(*trees: Any) -> Any:
        key = signature(trees)
        if key not in prepared_functions:
            prepared_functions[key] = make(trees)
        structure, prepared, results = prepared_functions[key]
        leaves = prepared(structure.flat(trees))
        return results["structure"].tree(leaves)

    return run
