"""Checks the declaration of a cell class, when the class is defined."""

from __future__ import annotations

import inspect
import keyword
from typing import Any, NoReturn

from keras_rnnx._errors import nearest
from keras_rnnx.cells import ranges

GATE_KINDS = ("split", "late", "inputs_only", "states_only", "projection")
# A gate can be in only one of the two.
EXCLUSIVE = (
    ("split", "late"),
    ("inputs_only", "states_only"),
    ("split", "inputs_only"),
    ("late", "inputs_only"),
    ("split", "states_only"),
)
WEIGHTS = ("kernel", "recurrent_kernel", "projection_kernel", "bias")
RESERVED_GATES = {
    "x": "is the input part of all gates",
    "u": "is the recurrent part of all gates",
    "drop": "drops what is written anew",
    "norm": "normalizes a state",
}


def check(cls: type[Any], base: type[Any]) -> None:
    """Checks the declaration of a `Cell` subclass.

    Args:
        cls: the class.
        base: `Cell`.

    Raises:
        TypeError: naming the class, the attribute, what was received and what to
            write instead.
    """
    _names(cls, "states", example='("h",)', empty=False)
    _names(cls, "gates", example='("i", "f", "c", "o")', empty=False)
    for attribute in GATE_KINDS:
        _names(cls, attribute, example='("h",)', empty=True)
        for name in getattr(cls, attribute):
            if name not in cls.gates:
                _fail(cls, f"`{attribute}` names {name!r}, which is not in `gates`")
    for first, second in EXCLUSIVE:
        both = set(getattr(cls, first)) & set(getattr(cls, second))
        if both:
            _fail(cls, f"{sorted(both)} stand in both `{first}` and `{second}`")
    _biases(cls)
    _widths(cls)
    if cls.diagonal and (cls.late or cls.split or cls.states_only):
        _fail(
            cls,
            "`diagonal` weights multiply the output state alone: `split`, `late` and "
            "`states_only` must be empty",
        )
    for name, meaning in RESERVED_GATES.items():
        if name in cls.gates:
            _fail(cls, f"a gate is called {name!r}, but `gate.{name}` {meaning}")
    _linear(cls)
    if not isinstance(cls.vectors, dict):
        _fail(cls, f"`vectors` must map names to initializers, not {cls.vectors!r}")
    memory = cls.memory_gates
    signs = isinstance(memory, dict) and all(v in (1, -1) for v in memory.values())
    if not signs or not set(memory) <= set(cls.gates):
        _fail(cls, f"`memory_gates` must map gates to 1 or -1, not {memory!r}")
    for name in memory:
        if cls.biases is not None and name not in cls.biases:
            _fail(cls, f"`memory_gates` names {name!r}, which has no bias to start at")
    if vars(cls).get("feedback_gate") and cls.feedback_gate not in cls.gates:
        _fail(cls, f"`feedback_gate` is {cls.feedback_gate!r}, which is not in `gates`")
    if not isinstance(cls.recipes, tuple):
        _fail(cls, f"`recipes` must be a tuple like ('irnn',), not {cls.recipes!r}")
    if not isinstance(cls.options, dict):
        _fail(cls, f"`options` must map names to defaults, not {cls.options!r}")
    for attribute, wanted in (("vectors", cls.vectors), ("options", cls.options)):
        for name in wanted:
            if callable(getattr(base, name, None)) or name in WEIGHTS:
                _fail(cls, f"`{attribute}` has {name!r}, which a cell has already")
    _search(cls)
    _update(cls)


def _fail(cls: type, problem: str) -> NoReturn:
    raise TypeError(f"{cls.__name__} is not a valid cell declaration: {problem}.")


def _names(cls: type[Any], attribute: str, example: str, empty: bool) -> None:
    value = getattr(cls, attribute, None)
    if isinstance(value, str):
        _fail(
            cls, f"`{attribute}` is the string {value!r}; write a tuple like {example}"
        )
    if not isinstance(value, tuple) or not (value or empty):
        if attribute not in vars(cls):
            close = [n for n in nearest(attribute, vars(cls)) if n[0] != "_"]
            hint = f"; did you write `{close[0]}` instead?" if close else ""
            _fail(cls, f"`{attribute}` is missing; write {attribute} = {example}{hint}")
        _fail(cls, f"`{attribute}` must be a tuple like {example}, not {value!r}")
    for name in value:
        if not isinstance(name, str) or not name.isidentifier():
            _fail(cls, f"`{attribute}` holds {name!r}, which is not a name")
        if keyword.iskeyword(name) or name.startswith("_"):
            _fail(cls, f"`{attribute}` holds {name!r}, which cannot be an attribute")
    if len(set(value)) != len(value):
        _fail(cls, f"`{attribute}` holds a name twice: {value!r}")


def _biases(cls: type[Any]) -> None:
    if cls.biases is not None:
        _names(cls, "biases", example='("h",)', empty=True)
        for name in cls.biases:
            if name not in cls.gates:
                _fail(cls, f"`biases` names {name!r}, which is not in `gates`")
    if cls.bias_part not in ("inputs", "recurrent"):
        _fail(cls, f"`bias_part` is 'inputs' or 'recurrent', not {cls.bias_part!r}")
    some = cls.biases is not None or cls.inputs_only or cls.states_only
    if cls.recurrent_bias and some:
        _fail(
            cls,
            "with `recurrent_bias` every gate has two parts and a bias for each: "
            "`biases`, `inputs_only` and `states_only` must be empty",
        )


def _widths(cls: type[Any]) -> None:
    undeclared = set(cls.projection) - (set(cls.late) & set(cls.states_only))
    if undeclared:
        _fail(
            cls,
            f"{sorted(undeclared)} of `projection` multiply a vector that the equation "
            f"computes: name them in `late` and in `states_only` too",
        )
    if cls.projection and set(cls.projection) & set(cls.biases or ()):
        _fail(cls, "`biases` are of width `units`, and `projection` has none")
    if not isinstance(cls.state_units, dict):
        _fail(cls, f"`state_units` must map states to widths, not {cls.state_units!r}")
    if cls.zoned is not None:
        _names(cls, "zoned", example='("h",)', empty=True)
    for attribute in ("state_units", "state_kinds", "zoned"):
        for name in getattr(cls, attribute) or ():
            if name not in cls.states:
                _fail(cls, f"`{attribute}` names {name!r}, which is not in `states`")


def _linear(cls: type[Any]) -> None:
    # A property if an argument of the cell sets it.
    if not isinstance(cls.window, property) and (
        not isinstance(cls.window, int) or cls.window < 1
    ):
        _fail(cls, f"`window` must be a positive number of steps, not {cls.window!r}")
    if not isinstance(cls.linear, tuple):
        _fail(cls, f"`linear` must be a tuple like ('h',), not {cls.linear!r}")
    if not cls.linear:
        return
    pairs = (k if isinstance(k, tuple) else (k,) for k in cls.linear)
    for name in (k for pair in pairs for k in pair):
        if name not in cls.states:
            _fail(cls, f"`linear` names {name!r}, which is not in `states`")
    after = set(cls.states_only) & set(cls.late)
    others = set(cls.gates) - set(cls.inputs_only) - after
    if others or cls.diagonal:
        _fail(
            cls,
            f"`linear` states need gates of the inputs alone, but {sorted(others)} are "
            f"not in `inputs_only`, nor both `late` and in `states_only`",
        )


def _search(cls: type[Any]) -> None:
    if not isinstance(cls.search, dict):
        _fail(cls, f"`search` must map options to ranges, not {cls.search!r}")
    for name, values in cls.search.items():
        if name not in cls.options:
            close = nearest(name, cls.options)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            _fail(cls, f"`search` names {name!r}, which is not in `options`{hint}")
        if not isinstance(values, ranges.KINDS):
            _fail(
                cls,
                f"`search` holds {name}={values!r}; write one of keras_rnnx.cells."
                f"ranges, such as Uniform(0.1, 1.0) or Choice([1, 2])",
            )
        default = cls.options[name]
        if not values.holds(default):
            _fail(
                cls,
                f"`search` does not hold the default of `options`, {name}={default!r}: "
                f"a search begins there",
            )


def _update(cls: type[Any]) -> None:
    update = getattr(cls, "update", None)
    expected = ["self", "state", "gate"] + (["vector"] if cls.vectors else [])
    wanted = f"def update({', '.join(expected)})"
    if update is None:
        _fail(cls, f"the equation is missing; write {wanted}: ...")
    received = list(inspect.signature(update).parameters)
    if len(received) != len(expected):
        why = " since it declares `vectors`" if cls.vectors else ""
        if len(received) == len(expected) + 1 and not cls.vectors:
            why = (
                ". A third argument is for per-unit weights: declare them, as "
                'vectors = {"peephole": "zeros"}'
            )
        _fail(cls, f"update takes {received}, but it must be {wanted}{why}")
