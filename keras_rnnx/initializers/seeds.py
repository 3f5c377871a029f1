"""Seeds of random initializers."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np


class Seeded(keras.initializers.Initializer):
    """Base of random initializers.

    Args:
        seed: an integer, a `keras.random.SeedGenerator` or None. Default None: random,
            with a new draw at each call, reproducible after
            `keras.utils.set_random_seed`.

    Raises:
        ValueError: for any other seed.
    """

    def __init__(self, seed: Any = None):
        if isinstance(seed, dict):
            seed = keras.saving.deserialize_keras_object(seed)
        whole = isinstance(seed, (int, np.integer)) and not isinstance(seed, bool)
        if not (seed is None or whole or isinstance(seed, keras.random.SeedGenerator)):
            raise ValueError(
                f"`seed` must be an integer, a keras.random.SeedGenerator or None, "
                f"received {seed!r}."
            )
        self._init_seed = int(seed) if whole else seed
        self.seed = keras.random.SeedGenerator() if seed is None else self._init_seed

    def get_config(self) -> dict[str, Any]:
        return {"seed": keras.saving.serialize_keras_object(self._init_seed)}


def apart(initializer: Any, gates: int) -> list[Any]:
    """An initializer for each gate, so that no two gates draw the same.

    Keras' initializers return the same numbers at every call, unless their seed is a
    `SeedGenerator`.
    """
    return [initializer, *(_reseeded(initializer, k) for k in range(1, gates))]


def _reseeded(initializer: Any, gate: int) -> Any:
    if not isinstance(initializer, keras.initializers.Initializer):
        return initializer
    config = initializer.get_config()
    if "seed" not in config or isinstance(
        getattr(initializer, "seed", None), keras.random.SeedGenerator
    ):
        return initializer
    if config["seed"] is not None:
        drawn = np.random.SeedSequence([config["seed"], gate]).generate_state(1)
        config = {**config, "seed": int(drawn[0]) >> 1}
    return type(initializer).from_config(config)
