"""Builders of chaotic series to forecast."""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow_datasets as tfds

from keras_rnnx.datasets import drawn
from keras_rnnx.datasets.builders.drawn import DrawnBuilder, DrawnConfig


@dataclasses.dataclass(eq=False)
class MackeyGlassConfig(DrawnConfig):
    """Options of rnnx_mackey_glass: those of DrawnConfig, and

    Args:
        length: number of steps. Default 1,000.
        train, validation, test: numbers of series. Default 100, 20 and 20.
        horizon: how many steps ahead the target lies. Default 15.
        delay: the delay of the equation, in steps. Default 17.
    """

    length: int = 1_000
    train: int = 100
    validation: int = 20
    test: int = 20
    horizon: int = 15
    delay: int = 17


class MackeyGlass(DrawnBuilder):
    """Series of Mackey & Glass; see `keras_rnnx.datasets.drawn.mackey_glass`."""

    name = "rnnx_mackey_glass"
    BUILDER_CONFIGS = [
        MackeyGlassConfig(),
        MackeyGlassConfig(length=5000),
        MackeyGlassConfig(delay=30),
    ]

    def _info(self) -> tfds.core.DatasetInfo:
        series = tfds.features.Tensor(
            shape=(self.builder_config.length, 1), dtype=np.float32
        )
        return self._made_info(
            "Series of the delay differential equation of Mackey and Glass, which is "
            "chaotic from a delay of 17 on. The target at a step is the value some "
            "steps later.",
            {"sequence": series, "target": series},
            ("sequence", "target"),
            "https://doi.org/10.1126/science.267326",
            """\
@article{mackey1977oscillation,
  title={Oscillation and chaos in physiological control systems},
  author={Mackey, Michael C. and Glass, Leon},
  journal={Science},
  volume={197}, number={4300}, pages={287--289}, year={1977}
}
""",
        )

    def _draw(
        self, random: np.random.Generator, part: str
    ) -> tuple[np.ndarray, np.ndarray]:
        config = self.builder_config
        return drawn.mackey_glass(
            random,
            getattr(config, part),
            config.length,
            horizon=config.horizon,
            delay=config.delay,
        )


@dataclasses.dataclass(eq=False)
class LorenzConfig(DrawnConfig):
    """Options of rnnx_lorenz: those of DrawnConfig, and

    Args:
        length: number of steps. Default 500.
        train, validation, test: numbers of series. Default 100, 20 and 20.
        horizon: how many steps ahead the target lies. Default 1.
    """

    length: int = 500
    train: int = 100
    validation: int = 20
    test: int = 20
    horizon: int = 1


class Lorenz(DrawnBuilder):
    """Trajectories of Lorenz; see `keras_rnnx.datasets.drawn.lorenz`."""

    name = "rnnx_lorenz"
    BUILDER_CONFIGS = [
        LorenzConfig(),
        LorenzConfig(length=2000),
        LorenzConfig(horizon=25),
    ]

    def _info(self) -> tfds.core.DatasetInfo:
        series = tfds.features.Tensor(
            shape=(self.builder_config.length, 3), dtype=np.float32
        )
        return self._made_info(
            "Trajectories of the system of Lorenz, chaotic in three dimensions, in "
            "steps of 0.02, each dimension scaled to a mean of about 0 and a deviation "
            "of about 1. The target at a step is the point some steps later.",
            {"sequence": series, "target": series},
            ("sequence", "target"),
            "https://doi.org/10.1175/1520-0469(1963)020<0130:DNF>2.0.CO;2",
            """\
@article{lorenz1963deterministic,
  title={Deterministic nonperiodic flow},
  author={Lorenz, Edward N.},
  journal={Journal of the Atmospheric Sciences},
  volume={20}, number={2}, pages={130--141}, year={1963}
}
""",
        )

    def _draw(
        self, random: np.random.Generator, part: str
    ) -> tuple[np.ndarray, np.ndarray]:
        config = self.builder_config
        return drawn.lorenz(
            random, getattr(config, part), config.length, horizon=config.horizon
        )
