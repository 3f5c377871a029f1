"""Trees of tensors as flat lists and back, and functions of them."""

import dataclasses
import gc
import weakref
from typing import Any, NamedTuple

import pytest

from keras_rnnx import _trees
from keras_rnnx._trees import Structure

pytestmark = pytest.mark.any_backend


class Pair(NamedTuple):
    left: Any
    right: Any


@dataclasses.dataclass
class Held:
    one: Any
    others: dict[str, Any]
    none: Any = None


class Pieces(list):
    """One leaf, though it is a list."""


TREES = {
    "leaf": 1,
    "none": None,
    "dict": {"b": 1, "a": {"c": 2}, 3: 4},
    "lists": [1, (2, [3]), []],
    "named": Pair(None, {"x": Pair(1, 2)}),
    "dataclass": {"h": Held(1, {"a": 2, "b": None}), "e": Held(Pair(3, None), {})},
    "subclass": {"pieces": Pieces([5, 6]), "n": 1},
}


@pytest.mark.parametrize("name", TREES)
def test_a_tree_comes_back(name):
    tree = TREES[name]
    structure = Structure(tree)
    leaves = structure.flat(tree)
    assert len(leaves) == structure.size and None not in leaves
    assert leaves == _trees.flatten(tree)
    for form in (list, tuple, iter):
        assert structure.tree(form(leaves)) == tree
    assert structure.flat(structure.positions()) == list(range(structure.size))


def test_what_a_tree_lacks_is_none():
    structure = Structure({"a": Held(1, {"x": 2}), "b": Pair(3, 4), "c": {"d": 5}})
    assert structure.flat({"a": Held(None, {"x": 7}), "b": None}) == [
        *(None, 7, None, None, None)
    ]
    assert structure.flat(None) == [None] * 5
    # What is not in the structure is not read.
    assert structure.flat({"a": Held(1, {"x": 2, "y": 9}), "z": 9})[:2] == [1, 2]


def test_structures_are_told_apart():
    first, *others = (
        {"a": 1, "b": None},
        {"a": 1},
        {"a": 1, "b": 2},
        {"a": (1,), "b": None},
        [1, None],
        Pair(1, None),
    )
    assert _trees.signature(first) == _trees.signature({"a": "other", "b": None})
    assert _trees.signature(first) not in map(_trees.signature, others)


def test_no_structure_keeps_a_leaf():
    class Leaf:
        pass

    leaf = Leaf()
    gone = weakref.ref(leaf)
    structure = Structure({"a": [leaf]})
    assert structure.flat({"a": [leaf]}) == [leaf]
    del leaf
    gc.collect()
    assert structure.size == 1 and gone() is None


def test_a_function_of_trees_is_prepared_once_for_each_structure():
    prepared, called = [], []

    def prepare(flat):
        prepared.append(flat)
        return flat

    def swapped(pair, scale):
        called.append(1)
        return {"left": pair.right, "right": pair.left * scale["by"]}

    run = _trees.over_trees(prepare, swapped)
    assert run(Pair(1, 2), {"by": 3}) == {"left": 2, "right": 3}
    assert run(Pair(4, 5), {"by": 6}) == {"left": 5, "right": 24}
    assert len(prepared) == 1 and len(called) == 2
    assert _trees.mapped(lambda leaf: -leaf, Pair(1, None)) == Pair(-1, None)
