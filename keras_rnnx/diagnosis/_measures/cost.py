"""What runs each layer, and how long it takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_rnnx.diagnosis._derivatives import compiled
from keras_rnnx.diagnosis._recording import Call, forward
from keras_rnnx.diagnosis._snapshot import variables
from keras_rnnx.diagnosis.measured import Cost
from keras_rnnx.inspection.explain import Explained, explain

# Timed calls of each, after one that compiles.
REPETITIONS = 3


def measure(
    model: keras.Model,
    x: Any,
    layers: dict[str, keras.layers.RNN],
    calls: list[Call],
    timed: bool = True,
) -> dict[str, Cost]:
    """The cost of each recurrent layer at inference, and its engine in training.

    Args:
        model: the model.
        x: its inputs.
        layers: its recurrent layers by name.
        calls: their calls, as arrays.
        timed: whether calls are timed. Default True.
    """
    rows = {row.layer: row for row in explain(model)}
    whole = None
    if timed:
        leaves = keras.tree.flatten(x)
        whole = _seconds(
            lambda *a: forward(model, keras.tree.pack_sequence_as(x, list(a))),
            leaves,
            variables(model),
        )
    found = {}
    for name, layer in layers.items():
        row = _row(rows, name)
        own = [call for call in calls if call.layer is layer]
        seconds = share = None
        if timed and own:
            seconds = sum(_of_call(layer, call) for call in own)
            share = seconds / whole if whole else None
        found[name] = Cost(row.engine, row.kernel, row.reason, seconds, share)
    return found


def _row(rows: dict[str, Explained], name: str) -> Explained:
    """The row of a layer, or of what runs it in one call with others."""
    while name and name not in rows:
        name = name.rpartition("/")[0]
    return rows.get(name, Explained(name, "", "none", "none", ""))


def _of_call(layer: keras.layers.RNN, call: Call) -> float:
    x = call.inputs[::-1] if layer.go_backwards else call.inputs
    arrays = [ops.swapaxes(ops.convert_to_tensor(x.copy()), 0, 1)]
    if call.masked:
        valid = call.valid[::-1] if layer.go_backwards else call.valid
        arrays.append(ops.convert_to_tensor(valid.T.copy()))

    def run(sequences: Any, mask: Any = None) -> Any:
        return layer(sequences, mask=mask, training=False)

    return _seconds(run, arrays, variables(layer))


def _seconds(
    function: Callable[..., Any], arrays: list[Any], read: list[keras.Variable]
) -> float:
    """The shortest time of a call, until its results are there.

    Other programs make a call longer, none makes it shorter.
    """
    call = compiled(function, read, optimized=True)
    call(*arrays)
    times = []
    for _ in range(REPETITIONS):
        start = time.perf_counter()
        call(*arrays)
        times.append(time.perf_counter() - start)
    return min(times)
