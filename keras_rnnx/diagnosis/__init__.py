"""What is wrong with a recurrent network: measures by layer, and findings."""

from keras_rnnx.diagnosis.cures.tried import LearningCurve, Trial, Tried
from keras_rnnx.diagnosis.diagnose import MEASURES, diagnose
from keras_rnnx.diagnosis.report import (
    Cost,
    Curves,
    Distributions,
    Dynamics,
    Finding,
    GateShares,
    Gradients,
    Histogram,
    Kernel,
    LayerReport,
    Memory,
    Past,
    Report,
    States,
    Training,
    Update,
)

__all__ = [
    "MEASURES",
    "Cost",
    "Curves",
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
    "Report",
    "States",
    "Training",
    "Trial",
    "Tried",
    "Update",
    "diagnose",
]
