"""Checks that hold for every cell."""

from __future__ import annotations

import contextlib
import importlib
import os
import tempfile
import weakref
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from keras_rnnx import cells, engine, layers
from keras_rnnx.testing.cases import CASES, Case
from keras_rnnx.testing.gradients import gradients

_STARTS: weakref.WeakKeyDictionary[Any, dict[str, np.ndarray]] = (
    weakref.WeakKeyDictionary()
)
# cuDNN has its own activations in float32: on an H100 results differ by up to 2e-5, in
# float64 by less than 1e-10.
_CUDNN = 5e-5


@dataclass
class Report:
    """The result of `check_cell`.

    Attributes:
        cell: name of the cell class.
        engines: engines that were compared with the step engine.
        passed: names of the checks, with the largest error if one was measured.
    """

    cell: str
    engines: tuple[str, ...]
    passed: dict[str, float | None] = field(default_factory=dict)

    def __str__(self) -> str:
        engines = ", ".join(self.engines)
        lines = [f"{self.cell}: {len(self.passed)} checks passed (engines: {engines})"]
        for name, error in self.passed.items():
            lines.append(f"  {name}" + ("" if error is None else f": {error:.1e}"))
        return "\n".join(lines)


def check_cell(cell: Any, seed: int = 0, cases: Iterable[Case] = CASES) -> Report:
    """Checks a cell: every engine against Keras' own loop, invariances, saving.

    With distinct random weights it compares the engines: outputs, states and the
    gradients of inputs, initial states and all weights, with masks of all shapes,
    reversal, unrolling, dropout, non-zero initial states and odd sizes. Errors relative
    to the largest value may be 1e-5 in float32 (on cuDNN 5e-5), 1e-10 in float64 (on
    JAX 1e-6) and 3e-2 in half precision. Then it checks the order of the batch,
    padding, reversal and a sequence cut in two; that every gate matters; that `.keras`
    files and configs restore the layer; and that the cell runs in Keras' own `RNN`,
    `StackedRNNCells` and in `Bidirectional`.

    Args:
        cell: a `keras_rnnx.cells.Cell`, or the name of a registered one (with 7
            units).
        seed: of weights and data. Default 0.
        cases: the `keras_rnnx.testing.Case`s to compare the engines in. Default: all of
            `keras_rnnx.testing.CASES`. On backends that compile, each takes a second or
            two; a few cases are enough while you write an equation.

    Returns:
        A report with all checks and the largest errors, to print.

    Raises:
        AssertionError: naming the property that fails, the case and the numbers.
        TypeError: if `cell` is not a `Cell`.

    Example:

    >>> print(keras_rnnx.testing.check_cell(keras_rnnx.cells.GRUCell(3)))
    GRUCell: ...
    """
    if isinstance(cell, str):
        cell = cells.get(cell, units=7)
    if not isinstance(cell, cells.Cell):
        raise TypeError(
            f"check_cell takes a keras_rnnx.cells.Cell or the name of one, received "
            f"{cell!r}."
        )
    ran = {"step"}
    report = Report(type(cell).__name__, ())
    for case in cases:
        with _precision(case.dtype):
            expected = _run(cell, case, "step", seed)
            layer = _layer(cell, case, seed)
            for name in engine.ENGINES[:-1]:
                if engine.refusal(layer, name, case.training):
                    continue
                ran.add(name)
                results = _run(cell, case, name, seed)
                error = _compare(cell, case, name, expected, results)
                report.passed[f"{name} equals step: {case.name}"] = error
    report.engines = tuple(name for name in engine.ENGINES if name in ran)
    for check in (
        _every_gate_matters,
        _batch_order,
        _padding,
        _reversal,
        _cut_in_two,
        _saved_and_loaded,
        _in_keras_layers,
    ):
        check(cell, seed)
        report.passed[check.__name__.strip("_").replace("_", " ")] = None
    return report


def _precision(dtype: str) -> contextlib.AbstractContextManager[Any]:
    """Enables float64 on JAX, which otherwise computes it in float32."""
    if dtype == "float64" and keras.backend.backend() == "jax":
        return importlib.import_module("jax").enable_x64(True)
    return contextlib.nullcontext()


def _layer(cell: cells.Cell, case: Case, seed: int, **loop: Any) -> layers.RNN:
    """A built layer over a copy of the cell with distinct random weights."""
    config = {**cell.get_config(), "dtype": case.dtype, "seed": seed + 1}
    config.update(_fitting(cell, case.arguments))
    # All weights are set below.
    config.update(kernel_initializer="zeros", recurrent_initializer="zeros")
    layer = layers.RNN(
        type(cell).from_config(config), dtype=case.dtype, **{**case.loop, **loop}
    )
    layer.build((case.batch, case.steps, case.features))
    rng = np.random.default_rng(seed)
    matrices = ("kernel", "recurrent_kernel", "projection_kernel", "bias")
    for variable in layer.trainable_variables:
        # Other weights may be meant for some range: stay near their first values.
        start = 0.0 if variable.name in matrices else _start(cell, case, variable.name)
        variable.assign(start + 0.4 * rng.normal(size=variable.shape))
    return layer


def _fitting(cell: cells.Cell, arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments without those about a matrix that the cell does not have."""
    multiplies = cell.gates_of("recurrent_kernel") and not cell.diagonal
    unfit = set() if multiplies else {"weight_dropout"}
    if not multiplies and not cell.diagonal:
        unfit.add("recurrent_dropout")
    return {k: v for k, v in arguments.items() if k not in unfit}


def _start(cell: cells.Cell, case: Case, name: str) -> np.ndarray:
    """The first value of a weight: one draw for all layers that are compared."""
    starts = _STARTS.setdefault(cell, {})
    if name not in starts:
        arguments = _fitting(cell, case.arguments)
        copy = type(cell).from_config({**cell.get_config(), **arguments})
        copy.build((None, 1))
        (weight,) = [v for v in copy.trainable_variables if v.name == name]
        starts[name] = keras.ops.convert_to_numpy(weight)
    return starts[name]


def _data(
    cell: cells.Cell, case: Case, seed: int
) -> tuple[np.ndarray, list[np.ndarray], Any]:
    rng = np.random.default_rng(seed + 100)
    dtype = "float64" if case.dtype == "float64" else "float32"
    x = rng.normal(size=(case.batch, case.steps, case.features)).astype(dtype)
    states: list[np.ndarray] = [
        _state(cell.state_kinds.get(name), rng, shape).astype(dtype)
        for name, shape in _state_shapes(cell, case).items()
    ]
    return x, states, case.make_mask(rng)


def _state_shapes(cell: cells.Cell, case: Case) -> dict[str, tuple[int, int]]:
    shapes = {k: (case.batch, width) for k, width in cell.state_widths.items()}
    if cell.window > 1:
        shapes["window"] = (case.batch, (cell.window - 1) * case.features)
    return shapes


def _state(
    kind: str | None, rng: np.random.Generator, shape: tuple[int, int]
) -> np.ndarray:
    if kind == "count":
        return np.full(shape, 1.0)
    drawn = 0.5 * rng.normal(size=shape)
    return 1 + np.abs(drawn) if kind == "positive" else drawn


def _run(
    cell: cells.Cell, case: Case, engine_name: str, seed: int
) -> dict[str, np.ndarray]:
    """Outputs, states and all gradients, by name."""
    x, states, mask = _data(cell, case, seed)
    # Keras' loop has no checkpoints. It computes the results that they must not change.
    without = {"checkpoint": None} if engine_name == "step" else {}
    layer = _layer(cell, case, seed, **without)

    def call(x: Any, *states: Any) -> list[Any]:
        with engine.force(engine_name):
            results = layer(
                x, initial_state=list(states), mask=mask, training=case.training
            )
        return [keras.ops.cast(r, x.dtype) for r in results]

    rng = np.random.default_rng(seed + 200)
    output: tuple[int, ...] = (case.batch, cell.output_size)
    if case.return_sequences:
        output = (case.batch, case.steps, cell.output_size)
    cotangents = [rng.normal(size=output)]
    shapes = _state_shapes(cell, case)
    cotangents += [rng.normal(size=shape) for shape in shapes.values()]
    variables = layer.trainable_variables
    results, derivatives = gradients(call, [x, *states], variables, cotangents)
    values = dict(zip(["output", *(f"state {s}" for s in shapes)], results))
    names = ["inputs", *(f"initial state {s}" for s in shapes)]
    names += [v.name for v in variables]
    return values | {f"gradient of {n}": g for n, g in zip(names, derivatives)}


def _numpy(tensor: Any) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float64")))


def _compare(
    cell: cells.Cell,
    case: Case,
    engine_name: str,
    expected: dict[str, np.ndarray],
    received: dict[str, np.ndarray],
) -> float:
    worst, allowed = 0.0, case.tolerance
    if engine_name == "cudnn" and case.dtype == "float32":
        allowed = _CUDNN
    for name, value in expected.items():
        value, other = (
            np.asarray(value, "float64"),
            np.asarray(received[name], "float64"),
        )
        scale = max(1.0, float(np.max(np.abs(value))))
        error = float(np.max(np.abs(value - other))) / scale
        assert error <= allowed, (
            f"{type(cell).__name__}: the {engine_name} engine differs from the step "
            f"engine in {name} by {error:.2e} of its scale (allowed "
            f"{allowed:.0e}) in the case {case.name!r}."
        )
        worst = max(worst, error)
    return worst


def _call(
    layer: layers.RNN,
    x: np.ndarray,
    states: list[np.ndarray] | None = None,
    mask: np.ndarray | None = None,
) -> list[np.ndarray]:
    return [_numpy(r) for r in layer(x, initial_state=states, mask=mask)]


def _close(
    cell: cells.Cell,
    problem: str,
    received: list[np.ndarray],
    expected: list[np.ndarray],
) -> None:
    for a, b in zip(received, expected, strict=True):
        error = float(np.max(np.abs(a - b)))
        assert error <= 1e-5, f"{type(cell).__name__}: {problem}; off by {error:.2e}."


def _every_gate_matters(cell: cells.Cell, seed: int) -> None:
    case = Case("gates")
    results = _run(cell, case, "step", seed)
    for name in ("kernel", "recurrent_kernel", "projection_kernel"):
        gates = cell.gates_of(name)
        if not gates:
            continue
        blocks = np.split(results[f"gradient of {name}"], len(gates), axis=-1)
        for gate, block in zip(gates, blocks):
            assert np.any(block != 0), (
                f"{type(cell).__name__}: the {name} of gate {gate!r} has no influence "
                f"on the output; is it declared but not used?"
            )


def _batch_order(cell: cells.Cell, seed: int) -> None:
    case = Case("order", mask="holes", batch=5)
    x, states, mask = _data(cell, case, seed)
    layer = _layer(cell, case, seed)
    order = np.random.default_rng(seed).permutation(case.batch)
    reordered = _call(layer, x[order], [s[order] for s in states], mask[order])
    expected = [r[order] for r in _call(layer, x, states, mask)]
    _close(cell, "the order of the batch changes the results", reordered, expected)


def _padding(cell: cells.Cell, seed: int) -> None:
    case = Case("padding")
    x, states, _ = _data(cell, case, seed)
    layer = _layer(cell, case, seed, return_sequences=False)
    expected = _call(layer, x, states)
    junk = np.full((case.batch, 2, case.features), 3.0, x.dtype)
    real: np.ndarray = np.ones((case.batch, case.steps), bool)
    padded: np.ndarray = np.zeros((case.batch, 2), bool)
    for where, parts, mask in (
        ("left", [junk, x], [padded, real]),
        ("right", [x, junk], [real, padded]),
        ("middle", [x[:, :2], junk, x[:, 2:]], [real[:, :2], padded, real[:, 2:]]),
    ):
        results = _call(
            layer, np.concatenate(parts, 1), states, np.concatenate(mask, 1)
        )
        _close(cell, f"masked steps ({where}) change the results", results, expected)


def _reversal(cell: cells.Cell, seed: int) -> None:
    case = Case("reversal", mask="holes")
    x, states, mask = _data(cell, case, seed)
    forwards = _layer(cell, case, seed)
    backwards = _layer(cell, case, seed, go_backwards=True)
    reversed_results = _call(backwards, x[:, ::-1].copy(), states, mask[:, ::-1].copy())
    expected = _call(forwards, x, states, mask)
    _close(cell, "go_backwards is not the reversed input", reversed_results, expected)


def _cut_in_two(cell: cells.Cell, seed: int) -> None:
    case = Case("cut", steps=7)
    x, states, _ = _data(cell, case, seed)
    layer = _layer(cell, case, seed)
    first = _call(layer, x[:, :3], states)
    second = _call(layer, x[:, 3:], [s.astype("float32") for s in first[1:]])
    joined = [np.concatenate([first[0], second[0]], axis=1), *second[1:]]
    _close(cell, "a sequence cut in two is another", joined, _call(layer, x, states))


def _saved_and_loaded(cell: cells.Cell, seed: int) -> None:
    case = Case("saving")
    x, _, _ = _data(cell, case, seed)
    layer = _layer(cell, case, seed, return_state=False)
    model = keras.Sequential([keras.Input((case.steps, case.features)), layer])
    expected = _numpy(model(x))
    custom = {type(cell).__name__: type(cell)}
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.keras")
        model.save(path)
        loaded = keras.models.load_model(path, custom_objects=custom)
        _close(cell, "a saved model is another", [_numpy(loaded(x))], [expected])
    config = cell.get_config()
    assert type(cell).from_config(config).get_config() == config, (
        f"{type(cell).__name__}: from_config does not restore the config."
    )


def _in_keras_layers(cell: cells.Cell, seed: int) -> None:
    case = Case("keras.layers.RNN", mask="holes")
    x, states, mask = _data(cell, case, seed)
    ours = _layer(cell, case, seed)
    theirs = keras.layers.RNN(ours.cell, return_sequences=True, return_state=True)
    zero = [np.zeros_like(s) for s in states]
    results = [_numpy(r) for r in theirs(x, initial_state=zero, mask=mask)]
    expected = _call(ours, x, zero, mask)
    _close(cell, "keras.layers.RNN gives other results", results, expected)

    config = cell.get_config()
    pair = [type(cell).from_config({**config, "name": f"c{i}"}) for i in range(2)]
    shape = layers.RNN(keras.layers.StackedRNNCells(pair))(x).shape
    wanted = (case.batch, cell.output_size)
    assert tuple(shape) == wanted, f"StackedRNNCells gives {shape}, not {wanted}."

    single = _layer(cell, case, seed, return_state=False)
    with keras.saving.custom_object_scope({type(cell).__name__: type(cell)}):
        both = keras.layers.Bidirectional(single)
    both.build(x.shape)
    for layer in (both.forward_layer, both.backward_layer):
        layer.set_weights(single.get_weights())
    joined = _numpy(both(x))
    back = _layer(cell, case, seed, return_state=False, go_backwards=True)
    halves = np.concatenate([_numpy(single(x)), _numpy(back(x))[:, ::-1]], axis=-1)
    _close(cell, "Bidirectional gives other results", [joined], [halves])
