"""Which engine runs a layer, and why."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator
from dataclasses import dataclass

import keras

from keras_rnnx import _changes
from keras_rnnx._errors import unknown
from keras_rnnx.cells import Cell
from keras_rnnx.engine import backends
from keras_rnnx.engine import device as devices
from keras_rnnx.engine.device import Device
from keras_rnnx.engine.engines import TABLE, Engine

# Best first.
ENGINES = tuple(TABLE)

_forced: contextvars.ContextVar[str | None] = contextvars.ContextVar(
    "keras_rnnx_engine", default=None
)
_at_once: contextvars.ContextVar[bool | None] = contextvars.ContextVar(
    "keras_rnnx_at_once", default=None
)


@dataclass(frozen=True)
class Plan:
    """How a layer runs.

    Attributes:
        engine: "cudnn", "native", "scan", "fused" or "step".
        kernel: in words, what does the work.
        reason: why this engine was chosen.
    """

    engine: str
    kernel: str
    reason: str


@contextlib.contextmanager
def force(engine: str, at_once: bool | None = None) -> Iterator[None]:
    """Runs every keras_rnnx layer that is called inside with one engine.

    For tests and benchmarks. A compiled `model.fit` or `tf.function` keeps the engine
    it was traced with.

    Args:
        engine: "cudnn", "native", "scan", "fused" or "step".
        at_once: whether one call runs all layers of a `keras_rnnx.layers.Stack` (True),
            or one call each layer (False). Default None: one call where that is exact
            and not slower.

    Raises:
        ValueError: for an unknown engine; and inside, if a layer is called that this
            engine cannot run, or, with `at_once=True`, a stack that cannot be one call.

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


@contextlib.contextmanager
def one_by_one() -> Iterator[None]:
    """Runs stacks and both directions inside by a call for each recurrent layer."""
    token = _at_once.set(False)
    try:
        yield
    finally:
        _at_once.reset(token)


def forced_at_once() -> bool | None:
    """The `at_once` of `force`, None outside of it."""
    return _at_once.get()


def refusal(layer: keras.layers.RNN, engine: str, training: bool = True) -> str | None:
    """Why an engine cannot run a layer, or None if it can.

    Args:
        layer: a `keras_rnnx.layers.RNN`.
        engine: one of `ENGINES`.
        training: whether the call trains, with dropout on.
    """
    return TABLE[engine].refusal(layer, training, devices.here())


def plan(
    layer: keras.layers.RNN,
    training: bool = True,
    batch: int | None = None,
) -> Plan:
    """Chooses the engine for a recurrent layer.

    Args:
        layer: a `keras_rnnx.layers.RNN`.
        training: whether the call trains, with dropout on. Default True.
        batch: number of sequences, if known. Default: not known.

    Returns:
        The plan.

    Raises:
        ValueError: if an engine was asked for that cannot run the layer.
    """
    forced, device = _forced.get(), devices.here()
    cudnn = getattr(layer, "use_cudnn", "auto") is True
    if forced is None and cudnn:
        forced = "cudnn"
    if forced:
        refused = TABLE[forced].refusal(layer, training, device)
        if refused and cudnn:
            raise ValueError(
                f"use_cudnn=True is not possible for layer {layer.name!r} "
                f"({type(layer.cell).__name__} on the {device.backend} "
                f"backend): {refused}. Pass use_cudnn='auto' to take the fastest "
                f"engine that can run it."
            )
        if refused:
            raise ValueError(
                f"The {forced} engine was forced, but cannot run layer "
                f"{layer.name!r}: {refused}."
            )
        kernel = TABLE[forced].kernel(layer, training, device)
        return Plan(forced, kernel, "use_cudnn=True" if cudnn else "forced")
    recorded = _is_recorded(layer, training)
    engine, reason = choose(layer, training, device, batch, recorded)
    return Plan(engine.name, engine.kernel(layer, training, device), reason)


def choose(
    layer: keras.layers.RNN,
    training: bool,
    device: Device,
    batch: int | None = None,
    recorded: bool = False,
) -> tuple[Engine, str]:
    """The best engine that can run a layer and is worth it, and why.

    Args:
        layer, training, batch: as for `plan`.
        device: the device it would run on.
        recorded: whether a loop would be recorded on a GPU, with shapes that stay the
            same.

    Raises:
        ValueError: if no engine can run the layer.
    """
    refused: dict[str, str] = {}
    for name, engine in TABLE.items():
        reason = engine.refusal(layer, training, device)
        reason = reason or engine.cost(layer, training, device, batch, recorded)
        if reason is None:
            return engine, engine.why(layer, device, refused)
        refused[name] = reason
    raise ValueError(
        f"No engine can run layer {layer.name!r}: {refused['fused']}, and in Keras' "
        f"loop {refused['step']}."
    )


class KeptPlans:
    """The plans of a layer, kept on an eager backend.

    A plan is made once for the arguments of a call. It stays valid until an attribute
    of the layer or of its cell changes.

    Args:
        layer: a `keras_rnnx.layers.RNN`.
    """

    def __init__(self, layer: keras.layers.RNN):
        self.layer = layer
        self.plans: dict[tuple, Plan] = {}
        self.changes: tuple[int, ...] = ()

    def __call__(self, training: bool, batch: int | None) -> Plan:
        """The plan of a call. Arguments as for `plan`."""
        layer, backend = self.layer, backends.find()
        key = backend.plan_key() if backend else None
        # Without a key, plans cannot be kept. Other cells do not count changes.
        if key is None or not isinstance(layer.cell, Cell) or type(batch) is not int:
            return plan(layer, training, batch)
        changes = _changes.count(layer, layer.cell)
        if self.changes != changes:
            self.plans, self.changes = {}, changes
        key = bool(training), batch, _forced.get(), key
        if key not in self.plans:
            self.plans[key] = plan(layer, training, batch)
        return self.plans[key]


def _is_recorded(layer: keras.layers.RNN, training: bool) -> bool:
    """Whether a loop would be recorded, for the fixed length of a model.

    Without a fixed length, each length would be recorded, or run operation by
    operation.
    """
    backend = backends.find()
    in_segments = training and layer.checkpoint is not None
    if backend is None or in_segments or not layer.steps_declared:
        return False
    return backend.records_loops()


def may_leave_xla(layer: keras.layers.RNN) -> bool:
    """Whether a kernel that XLA cannot compile may run a layer, in any of its calls.

    Keras asks once for a model. But batches differ in size, dropout is on only in
    training, and either can change the plan.
    """
    if keras.backend.backend() != "tensorflow" or _forced.get() not in (None, "cudnn"):
        return False
    return refusal(layer, "cudnn", training=False) is None
