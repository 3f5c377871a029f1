"""Initializers of Keras as configs, for the defaults of a cell's options.

A config, since each cell must make an initializer of its own: one object would give
all cells the same draw.
"""

from __future__ import annotations

from typing import Any


def constant(value: float) -> dict[str, Any]:
    """One number."""
    return _config("Constant", value=value)


def uniform(low: float, high: float) -> dict[str, Any]:
    """Uniform between two numbers."""
    return _config("RandomUniform", minval=low, maxval=high)


def normal(stddev: float) -> dict[str, Any]:
    """Normal with mean 0."""
    return _config("RandomNormal", stddev=stddev)


def scaled(scale: float, distribution: str, mode: str = "fan_in") -> dict[str, Any]:
    """With mean 0 and variance `scale / n`, of a matrix with `n` rows.

    Args:
        scale: see above.
        distribution: "uniform" or "untruncated_normal".
        mode: "fan_out" for `n` columns.
    """
    return _config("VarianceScaling", scale=scale, mode=mode, distribution=distribution)


def per_gate(**blocks: Any) -> dict[str, Any]:
    """An initializer for the block of each gate."""
    return _config("keras_rnnx>PerGateInitializer", initializer=blocks)


def _config(name: str, **config: Any) -> dict[str, Any]:
    return {"class_name": name, "config": config}
