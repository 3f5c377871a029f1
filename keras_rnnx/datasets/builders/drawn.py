"""Builders of sequences that are drawn from a seed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from keras_rnnx._numbers import integer
from keras_rnnx.datasets import drawn
from keras_rnnx.datasets.drawn._parts import PARTS, generator

HOCHREITER = """\
@article{hochreiter1997long,
  title={Long short-term memory},
  author={Hochreiter, Sepp and Schmidhuber, J{\\"u}rgen},
  journal={Neural Computation},
  volume={9}, number={8}, pages={1735--1780}, year={1997}
}
"""
LICENSE = "Drawn at random by the program: no licence applies."


@dataclasses.dataclass(eq=False)
class DrawnConfig(tfds.core.BuilderConfig):
    """How many sequences to draw, of which length, from which seed.

    Args:
        name: a name; without one it says what differs from the defaults.
        length: number of steps.
        train, validation, test: numbers of sequences. Default 10,000, 1,000 and 1,000.
        seed: seed of the data. Default 0.

    Raises:
        ValueError: for an option that is not an integer, or too small.
    """

    name: str = ""
    length: int = 200
    train: int = 10_000
    validation: int = 1_000
    test: int = 1_000
    seed: int = 0

    def __post_init__(self) -> None:
        least = {"seed": 0, "relevant": 2}
        inherited = {
            field.name for field in dataclasses.fields(tfds.core.BuilderConfig)
        }
        options = [f for f in dataclasses.fields(self) if f.name not in inherited]
        parts = []
        for option in options:
            value = getattr(self, option.name)
            if isinstance(option.default, int):
                integer(option.name, value, least=least.get(option.name, 1))
            if option.name == "length" or value != option.default:
                parts.append(f"{option.name}_{value}")
        self.name = self.name or "_".join(parts)
        description: Any = self.description  # type: ignore[has-type]
        self.description = description or self.name.replace("_", " ")


class DrawnBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """A builder of sequences that are drawn, in the order in which they are drawn."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}

    def __init__(
        self, *, data_dir: Any = None, config: Any = None, version: Any = None
    ):
        if isinstance(config, DrawnConfig):
            known = self.builder_configs.get(config.name)
            # TFDS takes no other object for a configuration that it has by name.
            if known is not None and _options(known) == _options(config):
                config = known
        super().__init__(data_dir=data_dir, config=config, version=version)

    def _made_info(
        self,
        description: str,
        features: dict[str, Any],
        supervised_keys: tuple[str, str],
        homepage: str,
        citation: str,
    ) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=description,
            features=tfds.features.FeaturesDict(features),
            supervised_keys=supervised_keys,
            homepage=homepage,
            citation=citation,
            license=LICENSE,
            disable_shuffling=True,
        )

    def _split_generators(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, Iterator[Any]]:
        return {part: self._generate_examples(part) for part in PARTS}

    def _generate_examples(self, part: str) -> Iterator[tuple[int, dict[str, Any]]]:
        random = generator(self.builder_config.seed, part)
        arrays = self._draw(random, part)
        for row, values in enumerate(zip(*arrays)):
            yield row, dict(zip(self.info.supervised_keys, values))

    def _draw(self, random: np.random.Generator, part: str) -> tuple[np.ndarray, ...]:
        """The sequences of a part, and their targets or labels."""
        raise NotImplementedError


def _options(config: DrawnConfig) -> dict[str, Any]:
    return dataclasses.asdict(config)


def _numbers(*shape: int) -> tfds.features.Tensor:
    return tfds.features.Tensor(shape=shape, dtype=np.float32)


@dataclasses.dataclass(eq=False)
class AddingConfig(DrawnConfig):
    """Options of rnnx_adding: those of DrawnConfig; `length` is at least 2."""


class Adding(DrawnBuilder):
    """The adding problem; see `keras_rnnx.datasets.drawn.adding`."""

    name = "rnnx_adding"
    BUILDER_CONFIGS = [AddingConfig(length=n) for n in (200, 50, 100, 400, 750, 1000)]

    def _info(self) -> tfds.core.DatasetInfo:
        return self._made_info(
            "The adding problem: each step has a value in [0, 1] and a marker, which "
            "is one at one step of each half and zero elsewhere. The target is the sum "
            "of the two marked values. Answering 1 always gives a mean squared error "
            "of 1/6 = 0.167.",
            {
                "sequence": _numbers(self.builder_config.length, 2),
                "target": _numbers(1),
            },
            ("sequence", "target"),
            "https://doi.org/10.1162/neco.1997.9.8.1735",
            HOCHREITER,
        )

    def _draw(
        self, random: np.random.Generator, part: str
    ) -> tuple[np.ndarray, np.ndarray]:
        config = self.builder_config
        return drawn.adding(random, getattr(config, part), config.length)


@dataclasses.dataclass(eq=False)
class CopyMemoryConfig(DrawnConfig):
    """Options of rnnx_copy_memory: those of DrawnConfig, and

    Args:
        length: number of steps between the symbols and their copy. Default 100.
        symbols: number of symbols. Default 8.
        copied: number of steps to copy. Default 10.
    """

    length: int = 100
    symbols: int = 8
    copied: int = 10


class CopyMemory(DrawnBuilder):
    """The copy memory problem; see `keras_rnnx.datasets.drawn.copy_memory`."""

    name = "rnnx_copy_memory"
    BUILDER_CONFIGS = [CopyMemoryConfig(length=n) for n in (100, 200, 500, 1000, 2000)]

    def _info(self) -> tfds.core.DatasetInfo:
        config = self.builder_config
        steps = config.length + 2 * config.copied
        tokens = tfds.features.Tensor(shape=(steps,), dtype=np.int32)
        return self._made_info(
            "The copy memory problem: a sequence begins with a few symbols, blanks (0) "
            "follow, and after a mark they have to be told in their order. The target "
            "is blank until then. Without memory the best cross-entropy over all steps "
            "is copied * log(symbols) / (length + 2 * copied). The mark is the number "
            "of symbols plus one.",
            {"sequence": tokens, "target": tokens},
            ("sequence", "target"),
            "https://arxiv.org/abs/1511.06464",
            """\
@inproceedings{arjovsky2016unitary,
  title={Unitary evolution recurrent neural networks},
  author={Arjovsky, Martin and Shah, Amar and Bengio, Yoshua},
  booktitle={International Conference on Machine Learning}, year={2016}
}
""",
        )

    def _draw(
        self, random: np.random.Generator, part: str
    ) -> tuple[np.ndarray, np.ndarray]:
        config = self.builder_config
        return drawn.copy_memory(
            random,
            getattr(config, part),
            config.length,
            symbols=config.symbols,
            copied=config.copied,
        )


@dataclasses.dataclass(eq=False)
class TemporalOrderConfig(DrawnConfig):
    """Options of rnnx_temporal_order: those of DrawnConfig, and

    Args:
        length: number of steps, at least 10. Default 100.
        relevant: number of symbols that matter, 2 or 3. Default 2.
    """

    length: int = 100
    relevant: int = 2


class TemporalOrder(DrawnBuilder):
    """Temporal order; see `keras_rnnx.datasets.drawn.temporal_order`."""

    name = "rnnx_temporal_order"
    BUILDER_CONFIGS = [
        TemporalOrderConfig(length=n, relevant=relevant)
        for relevant in (2, 3)
        for n in (100, 50, 150, 200)
    ]

    def _info(self) -> tfds.core.DatasetInfo:
        config = self.builder_config
        names = [
            "".join("AB"[int(bit)] for bit in f"{k:0{config.relevant}b}")
            for k in range(2**config.relevant)
        ]
        return self._made_info(
            "Temporal order: each step shows one of six symbols, one-hot. Two or three "
            "of them, each A or B, stand far apart among distractors. The class says "
            "which ones they were, in which order.",
            {
                "sequence": _numbers(config.length, 6),
                "label": tfds.features.ClassLabel(names=names),
            },
            ("sequence", "label"),
            "https://doi.org/10.1162/neco.1997.9.8.1735",
            HOCHREITER,
        )

    def _draw(
        self, random: np.random.Generator, part: str
    ) -> tuple[np.ndarray, np.ndarray]:
        config = self.builder_config
        return drawn.temporal_order(
            random, getattr(config, part), config.length, config.relevant
        )


@dataclasses.dataclass(eq=False)
class ParityConfig(DrawnConfig):
    """Options of rnnx_parity: those of DrawnConfig; `length` is 50 by default."""

    length: int = 50


class Parity(DrawnBuilder):
    """Parity of bits; see `keras_rnnx.datasets.drawn.parity`."""

    name = "rnnx_parity"
    BUILDER_CONFIGS = [ParityConfig(length=n) for n in (50, 10, 20, 100, 500)]

    def _info(self) -> tfds.core.DatasetInfo:
        return self._made_info(
            "Parity: whether the number of ones in a sequence of bits is odd. Every "
            "bit turns the answer, so that no part of the sequence says anything about "
            "it.",
            {
                "sequence": _numbers(self.builder_config.length, 1),
                "label": tfds.features.ClassLabel(names=["even", "odd"]),
            },
            ("sequence", "label"),
            "https://doi.org/10.1162/neco.1997.9.8.1735",
            HOCHREITER,
        )

    def _draw(
        self, random: np.random.Generator, part: str
    ) -> tuple[np.ndarray, np.ndarray]:
        config = self.builder_config
        return drawn.parity(random, getattr(config, part), config.length)
