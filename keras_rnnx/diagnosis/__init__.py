"""What is wrong with a recurrent network: measures by layer, and findings."""

from keras_rnnx.diagnosis.cures.tried import LearningCurve, Trial, Tried
from keras_rnnx.diagnosis.diagnose import MEASURES, diagnose
from keras_rnnx.diagnosis.report import (
    Cost,
    Dynamics,
    Finding,
    GateShares,
    Gradients,
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
    "Dynamics",
    "Finding",
    "GateShares",
    "Gradients",
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
