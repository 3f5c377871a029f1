"""Tensors in dataclasses, dicts and tuples, as a flat list and back.

Frameworks take and return lists of tensors where they loop, differentiate and compile.
Everything else goes by names. `Structure` is the way from one to the other.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any


class Structure:
    """Where each tensor is in a tree.

    A tree is a dataclass, a dict, a tuple or a list of trees; what is none of these is
    a leaf, a subclass of list too, and None is nothing at all.

    Args:
        example: a tree of this structure.

    Attributes:
        size: number of leaves.
    """

    def __init__(self, example: Any):
        self.size, self._read, self._build = _compiled(example)

    def flat(self, tree: Any) -> list[Any]:
        """The leaves of a tree. Where it lacks one there is None.

        Args:
            tree: of this structure, or a part of it.
        """
        leaves: list[Any] = []
        self._read(tree, leaves)
        return leaves

    def tree(self, leaves: Any) -> Any:
        """The tree with these leaves."""
        return self._build(iter(leaves))

    def positions(self) -> Any:
        """The tree with the position of each leaf in the list."""
        return self.tree(range(self.size))


def _compiled(example):
    """Number of leaves; a function that reads a tree; one that builds it."""
    if example is None:
        return 0, lambda tree, leaves: None, lambda leaves: None
    children = _children(example)
    if children is None:
        return 1, lambda tree, leaves: leaves.append(tree), next
    # What holds nothing is skipped where a tree is read.
    parts = [(key, *_compiled(child)) for key, child in children]
    size = sum(part[1] for part in parts)
    readers = [(key, read) for key, count, read, _ in parts if count]
    get, make = _access(example)

    def read(tree, leaves):
        if tree is None:
            leaves.extend([None] * size)
            return
        for key, of_child in readers:
            of_child(get(tree, key), leaves)

    builders = [(key, build) for key, _, _, build in parts]
    return size, read, lambda leaves: make(builders, leaves)


def _children(tree):
    """Keys and children of a tree, None for a leaf."""
    if isinstance(tree, dict):
        return list(tree.items())
    if type(tree) in (list, tuple) or hasattr(tree, "_fields"):
        return list(enumerate(tree))
    if type(tree) in _names:
        return [(name, getattr(tree, name)) for name in _names[type(tree)]]
    if dataclasses.is_dataclass(tree):
        _names[type(tree)] = tuple(f.name for f in dataclasses.fields(tree))
        return _children(tree)
    return None


# By dataclass the names of its fields: to ask for them takes long.
_names: dict[type, tuple[str, ...]] = {}


def _access(example):
    """A function that gets a child by its key, and one that makes the tree."""
    kind = type(example)
    if isinstance(example, dict):
        return _item, _make_dict
    if isinstance(example, tuple) and hasattr(kind, "_fields"):
        return _element, functools.partial(_make_fields, kind)
    if isinstance(example, (list, tuple)):
        return _element, functools.partial(_make_sequence, kind)
    return _attribute, functools.partial(_make_fields, kind)


def _item(tree, key):
    return tree.get(key)


def _element(tree, key):
    return tree[key] if key < len(tree) else None


def _attribute(tree, key):
    return getattr(tree, key)


def _make_dict(builders, leaves):
    return {key: build(leaves) for key, build in builders}


def _make_sequence(kind, builders, leaves):
    return kind(build(leaves) for _, build in builders)


def _make_fields(kind, builders, leaves):
    return kind(*(build(leaves) for _, build in builders))


def flatten(tree: Any) -> list[Any]:
    """The leaves of a tree."""
    return list(_leaves(tree))


def _leaves(tree) -> Iterator[Any]:
    if tree is None:
        return
    children = _children(tree)
    if children is None:
        yield tree
    else:
        for _, child in children:
            yield from _leaves(child)


def mapped(function: Callable, tree: Any) -> Any:
    """A tree with `function(leaf)` in the place of each leaf."""
    structure = Structure(tree)
    return structure.tree(map(function, structure.flat(tree)))


def signature(tree: Any) -> Any:
    """What tells structures apart, to be used as a key."""
    if tree is None:
        return None
    children = _children(tree)
    if children is None:
        return ()
    return type(tree), *((key, signature(child)) for key, child in children)


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
