"""Handwritten digits, pixel by pixel, and followed by noise."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow_datasets as tfds

from keras_rnnx.datasets import digits, drawn
from keras_rnnx.datasets.builders._files import finding, raw_files
from keras_rnnx.datasets.builders.drawn import DrawnBuilder, DrawnConfig

if TYPE_CHECKING:
    from keras_rnnx.datasets import Split

FILE = raw_files.RawFile(
    "mnist.npz", "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
)
# SHA-256 of the pixels and labels themselves: the file may be packed otherwise.
CONTENT = "c868f4cc70f1ec2961bd3b26437ea3a5d0e93cba4d95b336c6d475dd9dabb021"
KEYS = {"train": ("x_train", "y_train"), "test": ("x_test", "y_test")}
NAMES = list("0123456789")
# From it the order of the pixels in "permuted" is drawn.
SEED = 0


class SequentialMnist(tfds.core.GeneratorBasedBuilder):
    """MNIST as sequences of 784 pixels, "sequential" by rows or "permuted".

    The permutation is that of `np.random.default_rng(0).permutation(784)`, the same for
    every image.
    """

    name = "rnnx_sequential_mnist"
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = raw_files.instructions([FILE])
    BUILDER_CONFIGS = [
        tfds.core.BuilderConfig(name="sequential", description="Row by row."),
        tfds.core.BuilderConfig(
            name="permuted", description="In an order drawn once for all images."
        ),
    ]

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=(
                "The handwritten digits of MNIST, read pixel by pixel: 784 steps with "
                "one value in [0, 1], row by row or in an order that was drawn once."
            ),
            features=tfds.features.FeaturesDict(
                {
                    "sequence": tfds.features.Tensor(
                        shape=(784, 1), dtype=np.float32, encoding="zlib"
                    ),
                    "label": tfds.features.ClassLabel(names=NAMES),
                }
            ),
            supervised_keys=("sequence", "label"),
            homepage="http://yann.lecun.com/exdb/mnist/",
            license="CC BY-SA 3.0, Yann LeCun and Corinna Cortes.",
            citation="""\
@article{lecun1998gradient,
  title={Gradient-based learning applied to document recognition},
  author={LeCun, Yann and Bottou, L{\\'e}on and Bengio, Yoshua and Haffner, Patrick},
  journal={Proceedings of the IEEE},
  volume={86}, number={11}, pages={2278--2324}, year={1998}
}
""",
        )

    def _split_generators(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, Iterator[Any]]:
        file = finding.find(self, dl_manager, {"images": FILE})["images"]
        arrays = file.arrays([name for names in KEYS.values() for name in names])
        for part, (x, y) in KEYS.items():
            if arrays[x].shape != (len(arrays[y]), 28, 28):
                raise file.damaged(f"{x} has the shape {arrays[x].shape} in {part}")
        file.check_content(arrays, CONTENT)
        return {
            part: self._generate_examples(arrays[x], arrays[y])
            for part, (x, y) in KEYS.items()
        }

    def _generate_examples(
        self, images: np.ndarray, labels: np.ndarray
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        order = np.arange(784)
        if self.builder_config.name == "permuted":
            order = np.random.default_rng(SEED).permutation(784)
        for row, (image, label) in enumerate(zip(images, labels)):
            pixels = image.reshape(784, 1)[order].astype("float32") / np.float32(255)
            yield row, {"sequence": pixels, "label": int(label)}


DIGITS = """\
@misc{alpaydin1998optical,
  title={Optical recognition of handwritten digits},
  author={Alpaydin, Ethem and Kaynak, Cenk},
  howpublished={UCI Machine Learning Repository},
  doi={10.24432/C50P49}, year={1998}
}
"""


def _digits_info(
    builder: Any, description: str, shape: tuple[int, int]
) -> tfds.core.DatasetInfo:
    return tfds.core.DatasetInfo(
        builder=builder,
        description=description,
        features=tfds.features.FeaturesDict(
            {
                "sequence": tfds.features.Tensor(shape=shape, dtype=np.float32),
                "label": tfds.features.ClassLabel(names=NAMES),
            }
        ),
        supervised_keys=("sequence", "label"),
        homepage="https://archive.ics.uci.edu/dataset/80",
        license="CC BY 4.0; the copy that scikit-learn holds.",
        citation=DIGITS,
        disable_shuffling=True,
    )


@dataclasses.dataclass(eq=False)
class SequentialDigitsConfig(tfds.core.BuilderConfig):
    """Options of rnnx_sequential_digits.

    Args:
        name: a name; "seed_" and the seed by default.
        seed: seed of the split. Default 0.
    """

    name: str = ""
    seed: int = 0

    def __post_init__(self) -> None:
        self.name = self.name or f"seed_{self.seed}"


class SequentialDigits(tfds.core.GeneratorBasedBuilder):
    """The 1,797 digits of scikit-learn, 64 pixels each: the task "digits"."""

    name = "rnnx_sequential_digits"
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}
    BUILDER_CONFIGS = [SequentialDigitsConfig()]

    def _info(self) -> tfds.core.DatasetInfo:
        return _digits_info(
            self,
            "Handwritten digits of 8 x 8 pixels, read pixel by pixel: 64 steps with "
            "one value in [0, 1], the classes in the same proportions in each part.",
            (64, 1),
        )

    def _split_generators(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, Iterator[Any]]:
        parts = digits.parts(self.builder_config.seed)
        return {part: self._generate_examples(parts[part]) for part in parts}

    def _generate_examples(self, part: Split) -> Iterator[tuple[int, dict[str, Any]]]:
        for row, (sequence, label) in enumerate(zip(part.x, part.y)):
            yield row, {"sequence": sequence, "label": int(label)}


@dataclasses.dataclass(eq=False)
class NoisePaddedDigitsConfig(DrawnConfig):
    """Options of rnnx_noise_padded_digits.

    Args:
        length: number of steps with the noise. Default 200.
        by: how a digit is read: in 8 "rows" of 8 values, or in 64 "pixels". Default
            "rows".
        seed: seed of the split and of the noise. Default 0.
    """

    by: str = "rows"
    # The parts are those of the digits.
    train: int = 1_280
    validation: int = 256
    test: int = 261

    def __post_init__(self) -> None:
        if self.by not in ("rows", "pixels"):
            raise ValueError(f"`by` is 'rows' or 'pixels', received {self.by!r}.")
        if (self.train, self.validation, self.test) != (1_280, 256, 261):
            raise ValueError(
                "rnnx_noise_padded_digits has 1,280, 256 and 261 digits, received "
                f"{self.train}, {self.validation} and {self.test}."
            )
        super().__post_init__()


class NoisePaddedDigits(DrawnBuilder):
    """Digits followed by noise; see `keras_rnnx.datasets.drawn.noise_padded`."""

    name = "rnnx_noise_padded_digits"
    BUILDER_CONFIGS = [
        NoisePaddedDigitsConfig(length=n, by=by)
        for by in ("rows", "pixels")
        for n in (200, 500, 1000)
    ]

    def _info(self) -> tfds.core.DatasetInfo:
        config = self.builder_config
        return _digits_info(
            self,
            "Handwritten digits of 8 x 8 pixels, read row by row or pixel by pixel, "
            "and followed by standard normal noise. The digit has to be kept through "
            "it.",
            (config.length, 8 if config.by == "rows" else 1),
        )

    def _draw(
        self, random: np.random.Generator, part: str
    ) -> tuple[np.ndarray, np.ndarray]:
        config = self.builder_config
        x, y = digits.parts(config.seed)[part]
        if config.by == "rows":
            x = x.reshape(-1, 8, 8)
        return drawn.noise_padded(random, x, config.length), y
