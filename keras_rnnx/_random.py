"""Random state that Keras does not keep in variables."""

from __future__ import annotations

import importlib

import keras
import numpy as np


def get_state() -> list[np.ndarray]:
    """The states of torch's own generators; an empty list on other backends.

    On torch, dropout without a seed draws from these instead of a SeedGenerator.
    """
    if keras.backend.backend() != "torch":
        return []
    torch = importlib.import_module("torch")
    states = [torch.random.get_rng_state()]
    if torch.cuda.is_available():
        states += torch.cuda.get_rng_state_all()
    return [state.numpy().copy() for state in states]


def set_state(states: list[np.ndarray]) -> None:
    """Restores the states that `get_state` returned."""
    if not states:
        return
    torch = importlib.import_module("torch")
    first, *others = (torch.from_numpy(np.array(state)) for state in states)
    torch.random.set_rng_state(first)
    if others:
        torch.cuda.set_rng_state_all(others)


def seed(value: int) -> None:
    """Seeds the generators of which `get_state` returns the states."""
    if keras.backend.backend() == "torch":
        importlib.import_module("torch").manual_seed(value)
