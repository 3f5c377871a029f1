"""The engines that run a sequence, and the plan that chooses one."""

from keras_rnnx.engine.plan import ENGINES, Plan, force, plan, refusal
from keras_rnnx.engine.recording import cuda_graphs

__all__ = ["ENGINES", "Plan", "cuda_graphs", "force", "plan", "refusal"]
