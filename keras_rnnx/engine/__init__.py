"""How a sequence is run: the engines, and the plan that chooses one."""

from keras_rnnx.engine.plan import ENGINES, Plan, force, plan, refusal

__all__ = ["ENGINES", "Plan", "force", "plan", "refusal"]
