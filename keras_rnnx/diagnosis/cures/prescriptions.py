"""Which cures there are for each trouble, the most promising first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from keras_rnnx import layers as ours
from keras_rnnx._sublayers import walk
from keras_rnnx.cells import Cell
from keras_rnnx.cells.complex import LRUCell, ring_of_length
from keras_rnnx.constraints import SpectralRadius
from keras_rnnx.constraints import UnitRange as Bounded
from keras_rnnx.conversion.counterparts import CELLS, refusal
from keras_rnnx.diagnosis._measures.gates import memory_gates
from keras_rnnx.diagnosis._measures.gradients import (
    PER_WEIGHT,
    has_schedule,
    inner_optimizer,
)
from keras_rnnx.diagnosis._measures.gradients import rate as rate_of
from keras_rnnx.diagnosis._measures.states import activation
from keras_rnnx.diagnosis.cures import _units
from keras_rnnx.diagnosis.cures.cure import (
    Advice,
    Converted,
    Cure,
    InFront,
    OtherLayer,
    OtherOptimizer,
    StopEarly,
    Together,
)
from keras_rnnx.diagnosis.measured import Cost
from keras_rnnx.initializers import Chrono, IdentityRecurrent, LeakRates, UnitRange
from keras_rnnx.regularizers import GradientFlow

# The rate of Adam at which cells that are linear in their state train well over 1,000
# steps (`benchmarks/cures/long.py`).
OF_LINEAR = 3e-3
GUARD = Advice(
    "guard = keras_rnnx.callbacks.DivergenceGuard(restore_weights=True)\n"
    "model.fit(guard.watch(x, y), callbacks=[guard])",
    "it tells where training diverges, and does not prevent it",
)
FLUSH = Advice(
    "torch.set_flush_denormal(True)  # before the first layer runs",
    "it is a setting of torch, for all that the program computes",
)
# How the reason begins for which a kernel does not take a layer, and the arguments with
# which it does. An argument that has its default is none of these: that is another
# cell. Nor are methods that a user has chosen against overfitting, but for one that has
# a twin which keeps the kernel.
CHANGES: dict[str, dict[str, Any]] = {
    "use_cudnn=False": {"use_cudnn": "auto"},
    "unroll=True": {"unroll": False},
    # Of a cell that a scan computes, which keeps little anyway.
    "checkpoint=": {"checkpoint": None},
    "reset_after=False": {"reset_after": True},
    "recurrent_dropout=": {"recurrent_dropout": 0.0, "weight_dropout": 0.3},
    "activation=": {"activation": "tanh"},
    "recurrent_activation=": {"recurrent_activation": "sigmoid"},
}
PADDING = InFront(ours.MaskPadding(name="mask_padding"), "if NaN is padding")
SCALED = InFront(
    keras.layers.Normalization(name="normalization"),
    "in front of it, adapted to the inputs",
)


def other_layer(
    model: Any,
    name: str,
    layer: keras.layers.RNN,
    cell: str | None = None,
    anew: bool = False,
    **arguments: Any,
) -> OtherLayer:
    """A cure that changes a layer.

    Args:
        model: the model; None for a layer in no model.
        name: of the layer, as in the report.
        layer: the layer.
        cell: name of a layer of `keras_rnnx.layers`, whose cell takes its place.
            Default None: the layer keeps its cell.
        anew: whether all its weights are drawn anew. Default False.
        **arguments: arguments of the cell that change.
    """
    units = _units.units_of(model, layer)
    kept = _kind(_units.cell_of(units[0]))
    kept = kept if hasattr(ours, kept) else "LSTM"
    return OtherLayer(
        layer=name,
        written=cell or kept,
        units=_units.width(units[0]),
        arguments=arguments,
        cell=cell,
        in_stack=isinstance(units[0], ours.Stack),
        both=len(units) > 1,
        alone=model is None or len(_rnns(model)) == sum(len(_rnns(u)) for u in units),
        anew=anew,
    )


def of_optimizer(model: Any, **arguments: Any) -> OtherOptimizer:
    """A cure that changes arguments of the optimizer.

    Args:
        model: the model; one that is not compiled is shown with Adam.
        **arguments: those that change.
    """
    if not getattr(model, "compiled", False):
        return OtherOptimizer(keras.optimizers.Adam, 1e-3, arguments)
    optimizer = inner_optimizer(model.optimizer)
    rate = optimizer.get_config().get("learning_rate", 1e-3)
    if isinstance(rate, dict):
        rate = keras.saving.deserialize_keras_object(rate)
    return OtherOptimizer(type(optimizer), rate, arguments)


def long_memory(
    model: Any, name: str, layer: keras.layers.RNN, length: int
) -> tuple[Cure, ...]:
    """Layers whose memory is as long as the data.

    Args:
        model, name, layer: as for `other_layer`.
        length: number of steps of the data.
    """
    cell, length = layer.cell, max(3, length)
    chrono = Chrono(length)

    def of(cell: str | None = None, **arguments: Any) -> OtherLayer:
        return other_layer(model, name, layer, cell, **arguments)

    found: list[Cure] = []
    low, high = ring_of_length(length)
    # Not where the slowest state fades as late already, written with a few digits.
    if isinstance(cell, LRUCell) and 1 - cell.ring()[1] > 1.01 * (1 - high):
        found.append(of(radius_min=low, radius_max=high))
    if not memory_gates(cell):
        found.append(of("LSTM", bias_initializer=chrono))
    elif not isinstance(getattr(cell, "bias_initializer", None), Chrono):
        found.append(of(bias_initializer=chrono))
    higher = _higher_rate(model)

    def linear(cell: str) -> Cure:
        cure = of(cell, bias_initializer=chrono)
        return Together((cure, higher)) if higher else cure

    if _kind(cell) != "TGRU":
        found.append(linear("TGRU"))
    found.append(
        of(
            "LeakyRNN",
            activation="relu",
            recurrent_initializer=IdentityRecurrent(),
            leak=LeakRates(2.0, float(length)),
            leak_trainable=True,
        )
    )
    if _kind(cell) == "SimpleRNN" and activation(cell) == "tanh":
        found.append(of(recurrent_regularizer=GradientFlow(1.0)))
    if _kind(cell) != "MinGRU":
        found.append(linear("MinGRU"))
    return tuple(found)


def _higher_rate(model: Any) -> Cure | None:
    """The learning rate of a cell that is linear in its state, or None.

    Its gates read the inputs alone, so that a step can't make the next one grow.
    """
    if not getattr(model, "compiled", False):
        return None
    optimizer = inner_optimizer(model.optimizer)
    if type(optimizer).__name__ not in PER_WEIGHT or has_schedule(optimizer):
        return None
    if rate_of(optimizer) >= OF_LINEAR:
        return None
    return of_optimizer(model, learning_rate=OF_LINEAR)


def bounded(
    model: Any, name: str, layer: keras.layers.RNN, clips: bool
) -> tuple[Cure, ...]:
    """Gradients and recurrent weights that stay bounded.

    Args:
        model, name, layer: as for `other_layer`.
        clips: whether the optimizer clips gradients.
    """
    clip = of_optimizer(model, global_clipnorm=1.0)
    cell = layer.cell
    square = not isinstance(cell, Cell) or (
        getattr(cell, "output_size", 0) == getattr(cell, "units", None)
        and not cell.diagonal
    )
    if _kind(cell) == "IndRNN":
        bound = other_layer(
            model,
            name,
            layer,
            recurrent_initializer=UnitRange(),
            recurrent_constraint=Bounded(),
        )
    elif square:
        constraint = SpectralRadius(1.0)
        bound = other_layer(model, name, layer, recurrent_constraint=constraint)
    else:
        return (clip,)
    return (clip, bound) if not clips else (bound,)


def revived(model: Any, name: str, layer: keras.layers.RNN) -> tuple[Cure, ...]:
    """Units that are 0 whatever comes in, with a slope below 0.

    Args:
        model, name, layer: as for `other_layer`.
    """
    cell = layer.cell
    if activation(cell) not in ("relu", "relu6"):
        return (other_layer(model, name, layer, anew=True),)
    if _kind(cell) in ("SimpleRNN", "IRNN", "NPRNN"):
        return (other_layer(model, name, layer, "LeakyRectifierRNN"),)
    return (other_layer(model, name, layer, activation="leaky_relu"),)


def normalized(
    model: Any, name: str, layer: keras.layers.RNN, inputs: bool = False
) -> tuple[Cure, ...]:
    """Sums that stay where the slopes of gates and activations are.

    Args:
        model, name, layer: as for `other_layer`.
        inputs: whether the inputs are scaled too. Default False.
    """
    norm = other_layer(model, name, layer, layer_norm=True)
    return (norm, SCALED) if inputs else (norm,)


def other_rate(model: Any, better: float) -> tuple[Cure, ...]:
    """Another learning rate, of one digit.

    Args:
        model: the model.
        better: the rate.
    """
    return (of_optimizer(model, learning_rate=float(f"{better:.1g}")),)


def regularized(model: Any, layers: dict[str, keras.layers.RNN]) -> tuple[Cure, ...]:
    """Against overfitting: random masks in all recurrent layers, or fewer steps.

    Args:
        model: the model.
        layers: its recurrent layers by name.
    """

    def everywhere(**arguments: Any) -> Cure:
        cures, seen = [], set()
        for name, layer in layers.items():
            units = _units.units_of(model, layer)
            if id(units[0]) not in seen:
                cures.append(other_layer(model, name, layer, **arguments))
            seen |= {id(unit) for unit in units}
        return cures[0] if len(cures) == 1 else Together(tuple(cures))

    found = []
    if all(_has_matrix(layer.cell) for layer in layers.values()):
        found += [everywhere(weight_dropout=0.5), everywhere(zoneout=0.1)]
    return (*found, everywhere(dropout=0.3), StopEarly(3))


def taken_by_kernels(
    model: Any, name: str, layer: keras.layers.RNN, cost: Cost
) -> tuple[Cure, ...]:
    """What a faster kernel takes in place of a layer; nothing if there is none.

    Args:
        model, name, layer: as for `other_layer`.
        cost: of the layer.
    """
    cell = layer.cell
    masked: dict[str, Any] = {
        "recurrent_dropout": 0.0,
        "weight_dropout": getattr(cell, "recurrent_dropout", 0.0),
    }
    if not isinstance(layer, ours.RNN) or not isinstance(cell, Cell):
        cells = getattr(cell, "cells", [cell])
        known = all(isinstance(one, Cell) or type(one) in CELLS for one in cells)
        # The other backends compile the loop of Keras.
        if keras.backend.backend() != "torch" or not known or refusal(layer):
            return ()
        if hasattr(cell, "cells"):
            return (Advice(_layers_of(cells), "it makes other layers of the model"),)
        if masked["weight_dropout"]:
            return other_layer(model, name, layer, **masked), Converted()
        return (Converted(),)
    if cost.engine not in ("fused", "step"):
        return ()
    for begin, arguments in CHANGES.items():
        if cost.reason.startswith(begin) and not _is_default(cell, begin):
            if "weight_dropout" in arguments:
                arguments = masked
            return (other_layer(model, name, layer, **arguments),)
    return ()


def _layers_of(cells: Sequence[Any]) -> str:
    """A layer for each cell as code; all but the last one return sequences."""
    lines = []
    for one in cells:
        more = "" if one is cells[-1] else ", return_sequences=True"
        lines.append(f"keras_rnnx.layers.{_kind(one)}({one.units}{more})")
    return "\n".join(lines)


def _is_default(cell: Cell, begin: str) -> bool:
    """Whether a cell has the default of the argument that a reason begins with."""
    name = begin.partition("=")[0]
    config = cell.get_config()
    if name not in config:
        return False
    return config[name] == type(cell)(cell.units).get_config()[name]


def off_a_plateau(
    model: Any, name: str, layer: keras.layers.RNN, length: int, clips: bool
) -> tuple[Cure, ...]:
    """For a loss that stays: a long memory, and gradients that are clipped.

    Args:
        model, name, layer, length: as for `long_memory`.
        clips: whether the optimizer clips gradients.
    """
    cures = long_memory(model, name, layer, length)
    return cures if clips else (*cures, of_optimizer(model, global_clipnorm=1.0))


def steadier(model: Any, clips: bool, limit: float) -> tuple[Cure, ...]:
    """For a loss that jumps: smaller updates.

    Args:
        model: the model.
        clips: whether the optimizer clips gradients.
        limit: a norm that clips few of them.
    """
    found: list[Cure] = []
    if not clips:
        found.append(of_optimizer(model, global_clipnorm=float(f"{limit:.1g}")))
    if getattr(model, "compiled", False):
        found += other_rate(model, rate_of(inner_optimizer(model.optimizer)) / 3)
    return tuple(found)


def _rnns(layer: Any) -> list[keras.layers.RNN]:
    """The recurrent layers in a layer or model."""
    return [each for _, each in walk(layer) if isinstance(each, keras.layers.RNN)]


def _has_matrix(cell: Any) -> bool:
    """Whether a cell has a recurrent matrix; those of Keras do."""
    if not isinstance(cell, Cell):
        return True
    return not cell.diagonal and getattr(cell, "recurrent_kernel", None) is not None


def _kind(cell: Any) -> str:
    """The name of the layer over a cell, of one of Keras too."""
    return type(cell).__name__.removesuffix("Cell")
