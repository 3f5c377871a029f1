"""The conformance suite: every engine must compute the equation of a cell."""

from keras_rnnx.testing.cases import CASES, Case
from keras_rnnx.testing.conformance import Report, check_cell
from keras_rnnx.testing.gradients import gradients

__all__ = ["CASES", "Case", "Report", "check_cell", "gradients"]
