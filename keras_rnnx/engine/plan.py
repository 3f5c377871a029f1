"""Which engine runs a layer, and why."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras

from keras_rnnx import _changes
from keras_rnnx._errors import unknown
from keras_rnnx.cells import Cell
from keras_rnnx.engine import backends, costs

# Best first.
ENGINES = ("cudnn", "native", "scan", "fused", "step")

_forced: contextvars.ContextVar[str | None] = contextvars.ContextVar(
    "keras_rnnx_engine", default=None
)
_at_once: contextvars.ContextVar[bool | None] = contextvars.ContextVar(
    "keras_rnnx_at_once", default=None
)


@dataclass(frozen=True)
class Plan:
    """How a layer is run.

    Attributes:
        engine: "cudnn", "native", "scan", "fused" or "step".
        kernel: what does the work, in words.
        reason: why this engine.
    """

    engine: str
    kernel: str
    reason: str


@contextlib.contextmanager
def force(engine: str, at_once: bool | None = None) -> Iterator[None]:
    """Runs every keras_rnnx layer called inside with one engine.

    For tests and benchmarks. A compiled `model.fit` or `tf.function` keeps the engine
    it was traced with.

    Args:
        engine: "cudnn", "native", "scan", "fused" or "step".
        at_once: whether a `keras_rnnx.layers.Stack` is one call of all its layers, or
            a call for each. Default None: one where that is exact and not slower.

    Raises:
        ValueError: for an unknown engine; and inside, when a layer is called that this
            engine cannot run, or a stack that cannot be one call with `at_once=True`.

    Example:

    >>> layer = keras_rnnx.layers.LSTM(8)
    >>> with keras_rnnx.engine.force("step"):
    ...     y = layer(np.ones((2, 5, 3), "float32"))
    """
    if engine not in ENGINES:
        raise unknown("engine", engine, ENGINES)
    if at_once not in (None, True, False):
        raise ValueError(f"`at_once` must be None, True or False, got {at_once!r}.")
    tokens = _forced.set(engine), _at_once.set(at_once)
    try:
        yield
    finally:
        _forced.reset(tokens[0])
        _at_once.reset(tokens[1])


def forced_at_once() -> bool | None:
    """What `force` says of stacks, None where it says nothing."""
    return _at_once.get()


def refusal(layer: keras.layers.RNN, engine: str, training: bool = True) -> str | None:
    """Why an engine cannot run a layer, or None if it can.

    Args:
        layer: a `keras_rnnx.layers.RNN`.
        engine: one of `ENGINES`.
        training: whether for training, where dropout is on.
    """
    cells = getattr(layer.cell, "cells", [layer.cell])
    flow = any(isinstance(cell, Cell) and cell.gradient_flow for cell in cells)
    if flow and training and engine != "fused":
        return "GradientFlow needs the gradients of the state at every step"
    normalization = isinstance(layer.cell, Cell) and layer.cell.normalization
    if normalization and normalization.notes_moments:
        asked = f"{normalization.argument}=True"
        if engine == "step":
            return f"{asked} has moments for every step, which it does not count"
        if layer.checkpoint is not None:
            return (
                f"checkpoint={layer.checkpoint!r} computes steps twice, and {asked} "
                f"would note their moments twice"
            )
    if engine == "step":
        if layer.checkpoint is None:
            return None
        return f"checkpoint={layer.checkpoint!r} cannot be had; pass checkpoint=None"
    unknown_equation = _unknown_equation(layer.cell)
    if unknown_equation or engine == "fused":
        return unknown_equation
    if engine == "scan":
        return _scan_refusal(layer)
    return _kernel_refusal(layer, engine, training)


def _scan_refusal(layer):
    cell = layer.cell
    if not cell.linear:
        return "its equation is not linear in the state"
    for name, rate in zip(cell.states, cell.zoneout_rates):
        if rate and name not in cell.linear_states:
            return f"zoneout={cell.zoneout} keeps {name!r}, which is not linear"
    for pair in cell.linear:
        rates = dict(zip(cell.states, cell.zoneout_rates))
        if isinstance(pair, tuple) and any(rates[name] for name in pair):
            # Each part has its own mask: that is no product of complex numbers.
            return f"zoneout={cell.zoneout} keeps the parts of {pair} apart"
    backend = backends.current()
    if backend.EAGER and backend.exporting():
        return "a scan takes derivatives, and an exported graph holds none"
    if layer.unroll:
        return "unroll=True asks for the loop written out"
    if layer.checkpoint is not None:
        return f"checkpoint={layer.checkpoint!r} computes steps twice; a scan keeps few"
    return None


def _unknown_equation(cell: Any) -> str | None:
    if isinstance(cell, keras.layers.StackedRNNCells):
        return "a stack of cells interleaves its cells at every step"
    if not isinstance(cell, Cell):
        return (
            f"{type(cell).__name__} is not a keras_rnnx cell, so its equation is not "
            f"known"
        )
    if type(cell).call is not Cell.call:
        return f"{type(cell).__name__} has a `call` of its own"
    if backends.current() is None:
        return f"the {keras.backend.backend()} backend has no engines but Keras' loop"
    return None


def _kernel_refusal(layer, engine, training):
    cell, backend = layer.cell, backends.current()
    available, _ = backend.kernels()
    if available != engine:
        return {
            "cudnn": f"{keras.backend.backend()} finds no GPU",
            "native": f"{keras.backend.backend()} has no fused kernels on the CPU"
            if available is None
            else "there is a GPU",
        }[engine]
    if engine == "cudnn" and getattr(layer, "use_cudnn", "auto") is False:
        return "use_cudnn=False"
    lowering = cell.lowering()
    if isinstance(lowering, str):
        return lowering
    if cell.normalization:
        return f"{cell.normalization.argument}=True normalizes inside of every step"
    refused = cell.random_masks.refusal(training)
    if refused:
        return refused
    if any(cell.zoneout_rates) and not lowering.zoneout:
        return (
            f"zoneout={cell.zoneout} mixes the old state with the new one, which no "
            f"kernel does behind this equation"
        )
    if layer.unroll:
        return "unroll=True asks for the loop written out"
    dtype = cell.compute_dtype
    if not lowering.half and dtype in ("float16", "bfloat16"):
        return f"its lowering is not exact enough in {dtype}"
    return backend.kernel_refusal(lowering.kernel, dtype)


def plan(
    layer: keras.layers.RNN,
    training: bool = True,
    batch: int | None = None,
) -> Plan:
    """Chooses the engine for a recurrent layer.

    Args:
        layer: a `keras_rnnx.layers.RNN`.
        training: whether for training, where dropout is on. Default True.
        batch: number of sequences, where it is known. Default: not known.

    Returns:
        The plan.

    Raises:
        ValueError: when an engine was asked for that cannot run the layer.
    """
    forced = _forced.get()
    cudnn = getattr(layer, "use_cudnn", "auto") is True
    if forced is None and cudnn:
        forced = "cudnn"
    if forced:
        refused = refusal(layer, forced, training)
        if refused and cudnn:
            raise ValueError(
                f"use_cudnn=True cannot be had for layer {layer.name!r} "
                f"({type(layer.cell).__name__} on the {keras.backend.backend()} "
                f"backend): {refused}. Pass use_cudnn='auto' to take the fastest "
                f"engine that can run it."
            )
        if refused:
            raise ValueError(
                f"The {forced} engine was forced, but cannot run layer "
                f"{layer.name!r}: {refused}."
            )
        return Plan(
            forced,
            _kernel(layer, forced, training),
            "use_cudnn=True" if cudnn else "forced",
        )
    refused, recorded = {}, _is_recorded(layer, training)
    for engine in ENGINES:
        reason = refusal(layer, engine, training)
        reason = reason or costs.refusal(layer.cell, engine, training, batch, recorded)
        if reason is None and engine == "scan":
            on_gpu = backends.current().kernels()[0] == "cudnn"
            reason = costs.scan_refusal(keras.backend.backend(), on_gpu, training)
        if reason is None:
            kernel = _kernel(layer, engine, training)
            return Plan(engine, kernel, _why(layer, engine, refused))
        refused[engine] = reason
    raise ValueError(
        f"No engine can run layer {layer.name!r}: {refused['fused']}, and in Keras' "
        f"loop {refused['step']}."
    )


class KeptPlans:
    """The plans of a layer, kept where every operation is a call.

    A plan is made once for the arguments of a call. It holds until an attribute of the
    layer or of its cell changes.

    Args:
        layer: a `keras_rnnx.layers.RNN`.
    """

    def __init__(self, layer: keras.layers.RNN):
        self.layer = layer
        self.plans: dict[tuple, Plan] = {}
        self.changes: tuple[int, ...] = ()

    def __call__(self, training: bool, batch: int | None) -> Plan:
        """The plan of a call. Arguments as for `plan`."""
        layer, backend = self.layer, backends.current()
        key = backend.plan_key() if backend and backend.EAGER else None
        # Without a key a plan depends on more. Cells of others count no changes.
        if key is None or not isinstance(layer.cell, Cell) or type(batch) is not int:
            return plan(layer, training, batch)
        changes = _changes.count(layer, layer.cell)
        if self.changes != changes:
            self.plans, self.changes = {}, changes
        key = bool(training), batch, _forced.get(), key
        if key not in self.plans:
            self.plans[key] = plan(layer, training, batch)
        return self.plans[key]


def _in_segments(layer, training):
    return training and layer.checkpoint is not None


def _is_recorded(layer, training):
    """Whether a loop is recorded, and for the one length that a model was made for.

    Lengths that differ would be recorded each, or run operation by operation.
    """
    backend = backends.current()
    if backend is None or not backend.EAGER or _in_segments(layer, training):
        return False
    return layer.steps_declared and backend.records_loops()


def may_leave_xla(layer: keras.layers.RNN) -> bool:
    """Whether a kernel that XLA cannot compile may run a layer, in any of its calls.

    Keras asks once for a model. Its batches differ in size, dropout is on in training
    alone, and either can change the plan.
    """
    if keras.backend.backend() != "tensorflow" or _forced.get() not in (None, "cudnn"):
        return False
    return refusal(layer, "cudnn", training=False) is None


def _kernel(layer, engine, training):
    """What does the work, in words."""
    exact = ""
    if isinstance(layer.cell, Cell) and layer.cell.compute_dtype != layer.compute_dtype:
        exact = f", in {layer.cell.compute_dtype}"
    if engine == "step":
        return "Keras' loop" + exact
    backend = backends.current()
    if engine == "fused":
        return backend.loop_kernel(_in_segments(layer, training)) + exact
    if engine == "scan":
        return "scan over time"
    _, vendor = backend.kernels()
    return f"{vendor} {layer.cell.lowering().kernel}"


def _why(layer, engine, refused):
    """Why this engine: what is special about it, or what kept a better one away."""
    if engine in ("cudnn", "native"):
        says = layer.cell.lowering().says
        return f"exact: {says}" if says else "exact"
    if engine == "scan":
        return "linear in the state"
    if isinstance(layer.cell, Cell) and layer.cell.linear and engine == "fused":
        return refused["scan"]
    available, _ = backends.current().kernels() if backends.current() else (None, "")
    kept_away = refused.get("fused") or refused.get(available) or refused.get("cudnn")
    return kept_away or "the equation is known"
