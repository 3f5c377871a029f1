"""Whether the engines agree on a case."""

from __future__ import annotations

import contextlib
import functools
import importlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from fuzz.case import Case
from fuzz.running import built, results, single
from keras_rnnx import engine

# Of the largest value, or of one where all are smaller: some tens to a hundred times
# what one rounding makes.
TOLERANCES = {
    "float64": 1e-10,
    "float32": 1e-5,
    "mixed_float16": 3e-2,
    "mixed_bfloat16": 6e-2,
}
# Keras computes some of float64 in float32: activations on JAX, products in its layers.
DOUBLE_IN_SINGLE = 1e-6
# Some layers make errors of rounding larger than that, as normalization of few units
# does. Then the step engine is off as well, from what it computes in float64; and an
# engine that sums in another order may be off by so many times its error.
TIMES = 8


def tolerance(case: Case) -> float:
    """How far results may be off, of the largest value."""
    allowed = TOLERANCES[case.dtype]
    if case.kind == "keras" or keras.backend.backend() == "jax":
        return max(allowed, DOUBLE_IN_SINGLE)
    return allowed


class Difference(AssertionError):
    """Two engines disagree.

    Attributes:
        case: the case.
        way: what `engine.force` takes for the one that is not the step engine.
        what: the result or gradient that differs, and by how much.
        error: the class of the error that was raised instead, or None.
    """

    def __init__(
        self, case: Case, way: tuple[Any, ...], what: str, error: type | None = None
    ):
        self.case, self.way, self.what, self.error = case, way, what, error
        super().__init__(f"{self.title}\n{case}")

    @property
    def title(self) -> str:
        """One line that says what differs."""
        engine = f"The {self.way[0]} engine" if self.way else "The planned engine"
        how = ", all layers in one call," * (self.way[1:] == (True,))
        return f"{engine}{how} differs from the reference: {self.what}."

    @property
    def program(self) -> str:
        """A program that shows it."""
        return self.case.program(self.title, self.way, tolerance(self.case))


def check(case: Case) -> None:
    """Holds the planned engine, and each other that can run a case, to the reference.

    Raises:
        Difference: with what is different first.
    """
    with _policy(case.dtype):
        with _caught(case, ()):
            tested = built(lambda: case.make(case.tested), case.shape, case.seed)
        weights = tested.get_weights()
        expected = _results(case, case.reference, case.reference_way, weights)
        truth = functools.cache(lambda: _truth(case, weights))
        for way in ways(case, tested):
            found = _results(case, case.tested, way, weights)
            _compare(case, way, expected, found, truth)


def ways(case: Case, layer: keras.layers.Layer) -> Iterator[tuple[Any, ...]]:
    """What `engine.force` takes for each way to compute a layer.

    Args:
        case: the case.
        layer: its layer, built.
    """
    yield ()
    rnns, training = single(layer), case.training
    planned = {engine.plan(r, training, case.shape[0]).engine for r in rnns}
    at_once = case.kind in ("stack", "bidirectional")
    for name in engine.ENGINES:
        if any(engine.refusal(r, name, training) for r in rnns):
            continue
        # In the step engine masked steps are all that differs. Keras' loop fails on
        # torch where it reads a mask backwards, unrolled.
        if name == "step" and (case.fill == 0 or case.loop.get("unroll")):
            continue
        if at_once:
            yield name, False
            with contextlib.suppress(ValueError), engine.force(name, at_once=True):
                layer.plan(training, case.shape[0], case.mask is not None)
                yield name, True
        elif planned != {name}:
            yield (name,)


def _results(case, source, way, weights):
    fill = {} if source is case.tested else {"fill": 0.0}
    call = {**case.call, **fill, "weights": weights}
    with _caught(case, way):
        return results(lambda: case.make(source), way, **call)


@contextlib.contextmanager
def _caught(case, way):
    """Any error is a difference: only cases that are valid are drawn."""
    try:
        yield
    except Exception as error:
        what = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise Difference(case, way, what, type(error)) from error


def _truth(case, weights):
    """What the reference computes in float64; None where it would draw other noise."""
    if case.dtype == "float64" or draws_in_precision(case):
        return None
    with _policy("float64"):
        return _results(case, case.reference, case.reference_way, weights)


def draws_in_precision(case: Case) -> bool:
    """Whether noise of a case is drawn in its precision, and other in another one."""
    dropouts = ("dropout", "input_dropout", "output_dropout")
    return any(map(case.around.get, dropouts)) or "initial_state_noise" in case.loop


def _compare(case, way, expected, found, truth):
    for name, value in expected.items():
        allowed = tolerance(case)
        error = _error(found[name], value)
        if error > allowed and truth() is not None:
            errors = [_error(expected[k], v) for k, v in truth().items()]
            allowed = max(allowed, TIMES * max(errors))
            error = _error(found[name], truth()[name])
        if not error <= allowed:
            what = f"{name} by {error:.1e} of its scale (allowed {allowed:.0e})"
            raise Difference(case, way, what)


def _error(found, expected):
    """The largest error, of what is expected to be a finite number."""
    found, expected = (np.asarray(v, "float64") for v in (found, expected))
    finite = np.isfinite(expected)
    if not finite.any():
        return 0.0
    with np.errstate(invalid="ignore"):
        difference = np.abs(found[finite] - expected[finite])
    if not np.isfinite(difference).all():
        return np.inf
    return float(difference.max()) / max(1.0, float(np.abs(expected[finite]).max()))


@contextlib.contextmanager
def _policy(dtype):
    before = keras.config.dtype_policy()
    double = contextlib.nullcontext()
    if dtype == "float64" and keras.backend.backend() == "jax":
        double = importlib.import_module("jax").enable_x64(True)
    keras.config.set_dtype_policy(dtype)
    try:
        with double:
            yield
    finally:
        keras.config.set_dtype_policy(before)
