"""The panels of a diagnosis: what each shows, and of which layers."""

from __future__ import annotations

from collections.abc import Sequence

from keras_rnnx._pages.style import COLOUR
from keras_rnnx.diagnosis._panels.by_step import gradients, memory
from keras_rnnx.diagnosis._panels.cost import times
from keras_rnnx.diagnosis._panels.dynamics import kernels, spectrum
from keras_rnnx.diagnosis._panels.panel import (
    MOST,
    SERIES,
    STYLE,
    WIDTH,
    Look,
    Panel,
    short,
)
from keras_rnnx.diagnosis._panels.states import gates
from keras_rnnx.diagnosis._panels.training import curves, distributions
from keras_rnnx.diagnosis.measured import LayerReport
from keras_rnnx.diagnosis.report import Report

__all__ = ["MOST", "STYLE", "WIDTH", "Panel", "drawn", "panels"]


def panels(report: Report) -> list[Panel]:
    """The panels for which the report has data."""
    layers = drawn(report)
    looks = {layer.name: look for layer, look in zip(layers, _looks(layers))}
    made = (
        curves(report),
        gradients(layers, looks),
        memory(layers, looks),
        spectrum(layers, looks),
        kernels(layers, looks),
        gates(layers),
        times(layers, looks),
        distributions(layers, looks),
    )
    return [panel for panel in made if panel is not None]


def drawn(report: Report) -> list[LayerReport]:
    """The layers that are drawn: all, or those with findings and the first others."""
    layers = list(report.layers.values())
    if len(layers) <= MOST:
        return layers
    found = [finding.layer for finding in report.findings]
    order = sorted(layers, key=lambda layer: layer.name not in found)
    chosen = {layer.name for layer in order[:MOST]}
    return [layer for layer in layers if layer.name in chosen]


def _looks(layers: Sequence[LayerReport]) -> list[Look]:
    return [
        Look(
            short(layer.name),
            COLOUR[SERIES[number % len(SERIES)]],
            "-" if number < len(SERIES) else "--",
        )
        for number, layer in enumerate(layers)
    ]
