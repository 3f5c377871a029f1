"""Histograms of the weights, the gradients and the states of a layer."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras_rnnx.diagnosis._recording import Call
from keras_rnnx.diagnosis.measured import Distributions, Histogram

BINS = 40
# Values that are counted: more draw the same picture.
MOST = 100_000
# Sizes of gradients, as a share of the largest, that share the first bin with 0.
SMALLEST = 1e-8


def measure(
    model: keras.Model,
    layer: keras.layers.RNN,
    calls: list[Call],
    gradients: list[list[Any]] | None,
    seed: int,
) -> Distributions:
    """The histograms of one layer.

    Args:
        model: the model.
        layer: the layer.
        calls: its calls, as arrays; none where states are not to be counted.
        gradients: of each batch for the trainable variables of the model, or None.
        seed: of the choice of values, where there are many.
    """
    random = np.random.default_rng(seed)
    # The bias of a GRU has two rows.
    matrices = [v for v in layer.weights if len(v.shape) > 1 and "bias" not in v.name]
    weights = [keras.ops.convert_to_numpy(v) for v in matrices]
    own = {id(v) for v in matrices}
    at = [k for k, v in enumerate(model.trainable_variables) if id(v) in own]
    found = [row[k] for row in gradients or [] for k in at if row[k] is not None]
    return Distributions(
        weights=_linear(_chosen(weights, random)),
        gradients=_sizes(_chosen(found, random)),
        states=_linear(_chosen([_rows(call, random) for call in calls], random)),
    )


def _rows(call: Call, random: np.random.Generator) -> np.ndarray:
    """Some of the outputs of a call at valid steps."""
    steps, rows = np.argwhere(call.valid).T
    width = call.states[0].shape[-1]
    if len(steps) * width > MOST:
        some = random.permutation(len(steps))[: max(1, MOST // width)]
        steps, rows = steps[some], rows[some]
    return np.asarray(call.states[0][steps, rows])


def _chosen(arrays: list[Any], random: np.random.Generator) -> np.ndarray:
    """The finite values of some arrays, and no more than are counted."""
    flat = [np.asarray(array).ravel() for array in arrays]
    values = np.concatenate([np.zeros(0, "float32"), *flat])
    if len(values) > MOST:
        values = values[random.integers(len(values), size=MOST)]
    finite: np.ndarray = values[np.isfinite(values)].astype("float64")
    return finite


def _linear(values: np.ndarray) -> Histogram | None:
    """Counts of values in bins of equal width."""
    return Histogram(*np.histogram(values, BINS)) if len(values) else None


def _sizes(values: np.ndarray) -> Histogram | None:
    """Counts of sizes in bins of equal width on the logarithm."""
    sizes = np.abs(values)
    top = float(sizes.max(initial=0.0))
    if not top > 0:
        return None
    edges = np.geomspace(SMALLEST * top, top, BINS + 1)
    # Rounding may put the ends inside of the extreme values.
    edges[-1] = top
    counts, _ = np.histogram(np.maximum(sizes, edges[0]), edges)
    return Histogram(counts, edges)
