"""What is wrong with a recurrent network: measures by layer, and findings."""

from keras_rnnx.diagnosis.cures.tried import LearningCurve, Trial, Tried
from keras_rnnx.diagnosis.diagnose import MEASURES, diagnose
from keras_rnnx.diagnosis.measured import (
    Cost,
    Curves,
    Denormals,
    Distributions,
    Dynamics,
    GateShares,
    Gradients,
    Histogram,
    Kernel,
    LayerReport,
    Memory,
    Past,
    Rates,
    States,
    Training,
    Update,
)
from keras_rnnx.diagnosis.report import Finding, Report

__all__ = [
    "MEASURES",
    "Cost",
    "Curves",
    "Denormals",
    "Distributions",
    "Dynamics",
    "Finding",
    "GateShares",
    "Gradients",
    "Histogram",
    "Kernel",
    "LayerReport",
    "LearningCurve",
    "Memory",
    "Past",
    "Rates",
    "Report",
    "States",
    "Training",
    "Trial",
    "Tried",
    "Update",
    "diagnose",
]
