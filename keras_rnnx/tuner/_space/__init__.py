"""The search space, and how a choice from it becomes a model."""
