"""Draws cases: of all arguments those that go together."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

from fuzz.case import NOISE, Case
from keras_rnnx import cells
from keras_rnnx.cells.registry import lookup

# Those of the package, the oldest first: the first ones are simple.
NAMES = tuple(
    row.name
    for row in cells.catalog()
    if row.cls.__module__.startswith("keras_rnnx.cells.")
)
FILLS = (0.0, math.nan, math.inf, -1e38)
DTYPES = ("float32", "float64", "mixed_float16", "mixed_bfloat16")
# Options that say where weights start, which are drawn here.
OF_WEIGHTS = (
    *("forget_bias", "transform_bias", "radius_min", "radius_max", "phase_max"),
    "unit_forget_bias",
)
KINDS = ("_initializer", "_regularizer", "_constraint")
RATES = NOISE[:5]
STACK_RATES = NOISE[-2:]
ACTIVATIONS = ("tanh", "sigmoid", "relu", "linear", "leaky_relu", "softsign")
GATES = ("sigmoid", "hard_sigmoid", "tanh")


# Where programs are compiled for each shape, few of them: small programs are shared.
if keras.backend.backend() == "torch":
    SIZES = {"batch": (1, 2, 3, 4), "steps": tuple(range(1, 9)), "width": range(1, 7)}
else:
    SIZES = {"batch": (1, 3), "steps": (1, 2, 5, 8), "width": (1, 2, 4, 5)}
LONG = (19, 40)


class Facts(NamedTuple):
    """What is known of a cell.

    Attributes:
        takes: arguments that it takes, of those that many cells refuse.
        states: its states, each with whether it can have a rate of zoneout.
        window: whether its gates see inputs of several steps.
    """

    takes: frozenset[str]
    states: dict[str, bool]
    window: bool


@functools.cache
def facts(name: str) -> Facts:
    """Looks a cell up."""
    cls = lookup(name)
    asked = dict.fromkeys(RATES, 0.5) | {"layer_norm": True, "batch_norm": True}
    asked["use_bias"] = not cls.options.get("use_bias", True)
    taken = {argument for argument in asked if _takes(cls, argument, asked[argument])}
    cell = cls(8)
    zoned = {state: state in cell.zoned_states for state in cell.states}
    return Facts(frozenset(taken), zoned, cell.window > 1)


def _takes(cls, argument, value):
    try:
        cell = cls(8, **{argument: value})
        cell.sequence_length = 2
        cell.build((None, 2))
    except ValueError:
        return False
    return True


def values(name: str, option: str, units: int) -> tuple[Any, ...]:
    """Values of an option of a cell; none for those that only weights start with."""
    cls = lookup(name)
    default = cls.options[option]
    if option in OF_WEIGHTS or option.endswith(KINDS):
        return ()
    special = {
        "leak": (1.0, 0.05, [0.1 + 0.8 * k / units for k in range(units)]),
        "periods": tuple(p for p in ((1,), (1, 3), (1, 2, 5)) if len(p) <= units),
        "projection_units": (1, 3, 6),
        "activation": ACTIVATIONS,
        "recurrent_activation": GATES,
        "beta": (0.0, 0.5),
    }
    found = special.get(option)
    if found is None and isinstance(default, bool):
        found = (not default,)
    if found is None and option in cls.search:
        found = tuple(cls.search[option].examples())
    if found is None:
        raise ValueError(f"`values` does not know {option!r} of {cls.__name__}.")
    return tuple(v for v in found if v != default)


class Dice:
    """Random choices.

    Args:
        seed: the same one makes the same choices.
    """

    def __init__(self, seed: int):
        self.rng = np.random.default_rng(seed)

    def one(self, values: Sequence[Any]) -> Any:
        """One of some values."""
        return values[self.rng.integers(len(values))]

    def number(self, low: int, high: int) -> int:
        """A whole number, `high` included."""
        return int(self.rng.integers(low, high + 1))

    def sometimes(self, of: int = 4) -> bool:
        """True once of so many times."""
        return self.number(1, of) == of


def case(
    seed: int, names: tuple[str, ...] = NAMES, fills: tuple[float, ...] = FILLS
) -> Case:
    """Draws a case.

    Args:
        seed: the same one draws the same case.
        names: of cells.
        fills: what may stand in masked steps.
    """
    dice = Dice(seed)
    name = dice.one(names)
    kinds = ["rnn", "rnn", "stack", "bidirectional"]
    # Keras' layer asks for the width of a window before it knows it.
    kinds += ["keras"] * (not facts(name).window)
    kind = dice.one(kinds)
    steps = dice.one(LONG if dice.sometimes(12) else SIZES["steps"])
    batch, features = dice.one(SIZES["batch"]), dice.one((1, 2, 3))
    dtype = dice.one(DTYPES)
    least = 4 if name == "clockwork_rnn" else 1
    widths = [n for n in SIZES["width"] if n >= least]
    units = dice.one(widths)
    arguments = _cell_arguments(dice, name, units, kind)
    loop = _loop_arguments(dice, steps, kind, dtype, "batch_norm" in arguments)
    around = {}
    if kind == "bidirectional":
        around["merge_mode"] = dice.one(["concat", "sum", "mul", "ave", None])
    if kind == "stack":
        depth = dice.number(1, 3)
        same = dice.sometimes(2) or "leak" in arguments
        units = tuple(
            units if same or not k else dice.one(widths) for k in range(depth)
        )
        around = _stack_arguments(dice, loop, dtype, len(set(units)) == 1)
    if any(name in arguments | loop | around for name in NOISE):
        arguments["seed"] = dice.number(0, 99)
    mask = _mask(dice, batch, steps)
    if kind == "keras" and keras.backend.backend() == "jax":
        # Keras gives the first state there before the first valid step.
        mask = None
    # What is unrolled, kept from call to call or averaged for each step has a shape.
    shaped = any(k in arguments | loop for k in ("unroll", "stateful", "batch_norm"))
    graphs = keras.backend.backend() == "tensorflow"
    masked = mask is not None and not all(map(all, mask))
    return Case(
        cell=name,
        units=units,
        shape=(batch, steps, features),
        kind=kind,
        arguments=arguments,
        loop=loop,
        around=around,
        dtype=dtype,
        mask=mask,
        fill=dice.one(fills) if masked else 0.0,
        states=dice.sometimes(2),
        calls=1 + dice.sometimes(),
        training=dice.sometimes(2),
        seed=dice.number(0, 999),
        open_shapes=graphs and not shaped and dice.sometimes(3),
    )


def _mask(dice, batch, steps):
    """None, or rows of booleans: right or left padding, or holes; some rows empty."""
    kind = dice.one(["none", "right", "holes", "left"])
    if kind == "none":
        return None
    if kind == "holes":
        share = dice.one([0.2, 0.5, 0.8])
        drawn = dice.rng.random((batch, steps)) < share
        return tuple(map(tuple, drawn.tolist()))
    lengths = [dice.number(0, steps) for _ in range(batch)]
    rows = [[k < length for k in range(steps)] for length in lengths]
    return tuple(tuple(row if kind == "right" else row[::-1]) for row in rows)


def _cell_arguments(dice, name, units, kind):
    """Arguments of a cell that are not its defaults."""
    found, known = {}, facts(name)
    for option in lookup(name).options:
        choices = values(name, option, units) if option != "use_bias" else ()
        if choices and dice.sometimes():
            found[option] = dice.one(choices)
    if found.get("leak") == 1.0:
        # A rate that is learned is below 1.
        found.pop("leak_trainable", None)
    if "use_bias" in known.takes and dice.sometimes(6):
        found["use_bias"] = not lookup(name).options.get("use_bias", True)
    if kind == "keras":
        # It has no masks.
        return found
    norm = dice.one(["layer_norm", "batch_norm"])
    if norm in known.takes and dice.sometimes(6):
        found[norm] = True
    rates = [r for r in RATES if r in known.takes and dice.sometimes(5)]
    found |= {rate: dice.one([0.5, 0.2]) for rate in rates}
    if rates and dice.sometimes():
        found["dropout_mask"] = "step"
    if dice.sometimes(5):
        found["zoneout"] = [
            dice.one([0.0, 0.2, 0.6]) if zoned else 0.0
            for zoned in known.states.values()
        ]
        if dice.sometimes(2):
            found["zoneout"] = 0.3
    if (rates or "zoneout" in found) and dice.sometimes():
        found["monte_carlo"] = True
    return found


def _loop_arguments(dice, steps, kind, dtype, batch_norm):
    """Arguments of a layer that are not its defaults."""
    flags = ["return_sequences", "return_state", "zero_output_for_mask"]
    flags += ["go_backwards"] * (kind != "bidirectional")
    found = {flag: True for flag in flags if dice.sometimes(2)}
    if dice.sometimes():
        found["stateful"] = True
    elif kind != "keras":
        if dice.sometimes():
            found["initial_state_trainable"] = True
        # In another precision it would be other noise.
        if dtype == "float64" and dice.sometimes():
            found["initial_state_noise"] = 0.5
    if steps not in LONG and dice.sometimes(6):
        found["unroll"] = True
    elif not batch_norm and dice.sometimes():
        found["checkpoint"] = dice.one([True, 1, 2, 3, steps, steps + 1])
    return found


def _stack_arguments(dice, loop, dtype, one_width):
    """Arguments of a stack that are not its defaults. A connection changes `loop`."""
    found = {}
    for rate in ("dropout", *STACK_RATES):
        # In another precision it would be other noise.
        if dtype == "float64" and dice.sometimes(3):
            found[rate] = 0.5
    if dice.sometimes():
        found["dropout_mask"] = "sequence"
    if one_width and dice.sometimes():
        found["connection"] = dice.one(["residual", "highway", "glu"])
    if "go_backwards" not in loop and dice.sometimes(3):
        found["bidirectional"] = True
        found["merge_mode"] = dice.one(["concat", "sum", "mul", "ave"])
        if "connection" in found:
            loop["return_sequences"] = True
    return found
