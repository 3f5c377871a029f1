"""The engines as a table: which can run a layer, at what cost, and how."""

from __future__ import annotations

from collections.abc import Callable

import keras

from keras_rnnx.cells import Cell
from keras_rnnx.engine import backends, costs
from keras_rnnx.engine.device import Device
from keras_rnnx.engine.kernels.engine import KernelEngine
from keras_rnnx.engine.loop.engine import FusedEngine
from keras_rnnx.engine.scan.engine import ScanEngine
from keras_rnnx.engine.sequence import SequenceEngine


class Engine:
    """One way to run a layer: a row of the table.

    Attributes:
        name: its name.
        make: a function of a cell, `go_backwards`, `unroll` and `checkpoint` that makes
            the object that runs the cell, or None for Keras' loop.
    """

    name: str
    make: Callable[..., SequenceEngine] | None = None

    def refusal(
        self, layer: keras.layers.RNN, training: bool, device: Device
    ) -> str | None:
        """Why it can't run a layer, or None if it can.

        Args:
            layer: a `keras_rnnx.layers.RNN`.
            training: whether the call trains, with dropout on.
            device: the device it would run on.
        """
        raise NotImplementedError

    def cost(
        self,
        layer: keras.layers.RNN,
        training: bool,
        device: Device,
        batch: int | None,
        recorded: bool,
    ) -> str | None:
        """Why it is not worth it, or None if it is.

        Args:
            layer, training, device: as for `refusal`.
            batch: number of sequences, if known.
            recorded: whether a loop instead would be recorded on a GPU.
        """
        return None

    def kernel(self, layer: keras.layers.RNN, training: bool, device: Device) -> str:
        """In words, what does the work."""
        raise NotImplementedError

    def why(
        self, layer: keras.layers.RNN, device: Device, refused: dict[str, str]
    ) -> str:
        """Why the plan chose it.

        Args:
            layer, device: as for `refusal`.
            refused: the reasons against better engines, by name.
        """
        raise NotImplementedError


class VendorKernels(Engine):
    """The kernels of a vendor: cuDNN's on a GPU, torch's own on the CPU."""

    make = KernelEngine

    def __init__(self, name: str):
        self.name = name

    def refusal(
        self, layer: keras.layers.RNN, training: bool, device: Device
    ) -> str | None:
        refused = _common(layer, training, self) or _unknown_equation(layer, device)
        if refused:
            return refused
        cell = layer.cell
        # The fastest check first: plans are made in every call.
        if absence := device.absence(self.name):
            return absence
        if self.name == "cudnn" and getattr(layer, "use_cudnn", "auto") is False:
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
                f"zoneout={cell.zoneout} mixes the old state with the new one, which "
                f"no kernel does after this equation"
            )
        if layer.unroll:
            return "unroll=True asks for an unrolled loop"
        dtype = cell.compute_dtype
        if not lowering.half and dtype in ("float16", "bfloat16"):
            return f"its lowering is not exact enough in {dtype}"
        return device.kernel_refusal(lowering.kernel, dtype)

    def cost(
        self,
        layer: keras.layers.RNN,
        training: bool,
        device: Device,
        batch: int | None,
        recorded: bool,
    ) -> str | None:
        return costs.refusal(layer.cell, self.name, training, batch, recorded)

    def kernel(self, layer: keras.layers.RNN, training: bool, device: Device) -> str:
        return f"{device.vendor} {layer.cell.lowering().kernel}"

    def why(
        self, layer: keras.layers.RNN, device: Device, refused: dict[str, str]
    ) -> str:
        says = layer.cell.lowering().says
        return f"exact: {says}" if says else "exact"


class Scan(Engine):
    """A scan over time, for states in which the equation is linear."""

    name = "scan"
    make = ScanEngine

    def refusal(
        self, layer: keras.layers.RNN, training: bool, device: Device
    ) -> str | None:
        refused = _common(layer, training, self) or _unknown_equation(layer, device)
        if refused:
            return refused
        cell = layer.cell
        if not cell.linear:
            return "its equation is not linear in the state"
        rates = dict(zip(cell.states, cell.zoneout_rates))
        for name, rate in rates.items():
            if rate and name not in cell.linear_states:
                return (
                    f"zoneout={cell.zoneout} keeps old values of {name!r}, and a scan "
                    f"computes {name!r} after all steps"
                )
        for pair in cell.linear:
            if isinstance(pair, tuple) and any(rates[name] for name in pair):
                # Each part has its own mask, which no complex coefficient can express.
                return f"zoneout={cell.zoneout} keeps the parts of {pair} separately"
        backend = backends.current()
        if backend.exporting():
            return "a scan needs derivatives, which an exported graph cannot hold"
        if layer.unroll:
            return "unroll=True asks for an unrolled loop"
        if layer.checkpoint is not None:
            return (
                f"checkpoint={layer.checkpoint!r} computes steps twice, but a scan "
                f"keeps little anyway"
            )
        return None

    def cost(
        self,
        layer: keras.layers.RNN,
        training: bool,
        device: Device,
        batch: int | None,
        recorded: bool,
    ) -> str | None:
        complex_numbers = any(isinstance(name, tuple) for name in layer.cell.linear)
        return costs.scan_refusal(
            device.backend, device.on_gpu, training, complex_numbers
        )

    def kernel(self, layer: keras.layers.RNN, training: bool, device: Device) -> str:
        return "scan over time"

    def why(
        self, layer: keras.layers.RNN, device: Device, refused: dict[str, str]
    ) -> str:
        return "linear in the state"


class Fused(Engine):
    """The package's loop over time, with a derived backward pass."""

    name = "fused"
    make = FusedEngine

    def refusal(
        self, layer: keras.layers.RNN, training: bool, device: Device
    ) -> str | None:
        return _common(layer, training, self) or _unknown_equation(layer, device)

    def kernel(self, layer: keras.layers.RNN, training: bool, device: Device) -> str:
        segments = training and layer.checkpoint is not None
        return backends.current().loop_kernel(segments) + _exactly(layer)

    def why(
        self, layer: keras.layers.RNN, device: Device, refused: dict[str, str]
    ) -> str:
        if layer.cell.linear:
            return refused["scan"]
        return _kept_away(refused, device)


class Step(Engine):
    """Keras' own loop, which runs any cell."""

    name = "step"

    def refusal(
        self, layer: keras.layers.RNN, training: bool, device: Device
    ) -> str | None:
        refused = _common(layer, training, self)
        if refused or layer.checkpoint is None:
            return refused
        return f"checkpoint={layer.checkpoint!r} is not possible; pass checkpoint=None"

    def kernel(self, layer: keras.layers.RNN, training: bool, device: Device) -> str:
        return "Keras' loop" + _exactly(layer)

    def why(
        self, layer: keras.layers.RNN, device: Device, refused: dict[str, str]
    ) -> str:
        return _kept_away(refused, device)


# Best first.
TABLE: dict[str, Engine] = {
    row.name: row
    for row in (
        VendorKernels("cudnn"),
        VendorKernels("native"),
        Scan(),
        Fused(),
        Step(),
    )
}


def _common(layer: keras.layers.RNN, training: bool, engine: Engine) -> str | None:
    """The reasons against an engine that hold on any device, or None."""
    cells = getattr(layer.cell, "cells", [layer.cell])
    flow = any(isinstance(cell, Cell) and cell.gradient_flow for cell in cells)
    if flow and training and engine.name != "fused":
        return "GradientFlow needs the gradients of the state at every step"
    normalization = isinstance(layer.cell, Cell) and layer.cell.normalization
    if not normalization or not normalization.notes_moments:
        return None
    asked = f"{normalization.argument}=True"
    if engine.name == "step":
        return f"{asked} has moments for every step, which it does not count"
    if layer.checkpoint is None:
        return None
    return (
        f"checkpoint={layer.checkpoint!r} computes steps twice, and {asked} would "
        f"record their moments twice"
    )


def _unknown_equation(layer: keras.layers.RNN, device: Device) -> str | None:
    cell = layer.cell
    if isinstance(cell, keras.layers.StackedRNNCells):
        return "a stack of cells interleaves its cells at every step"
    if not isinstance(cell, Cell):
        return (
            f"{type(cell).__name__} is not a keras_rnnx cell, so its equation is not "
            f"known"
        )
    if type(cell).call is not Cell.call:
        return f"{type(cell).__name__} has its own `call`"
    if not device.has_engines:
        return f"the {device.backend} backend has no engines but Keras' loop"
    return None


def _exactly(layer: keras.layers.RNN) -> str:
    """In words, the dtype of the computations, if it differs from the layer's."""
    cell = layer.cell
    if isinstance(cell, Cell) and cell.compute_dtype != layer.compute_dtype:
        return f", in {cell.compute_dtype}"
    return ""


def _kept_away(refused: dict[str, str], device: Device) -> str:
    """Why the best engine for the device was not chosen."""
    best = refused.get("fused") or refused.get(device.kernel_engine or "")
    return best or refused.get("cudnn") or "the equation is known"
