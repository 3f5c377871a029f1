"""Series with classes from the UEA and UCR archives."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from etils import epath

from keras_rnnx.datasets.builders._files import finding, raw_files, ts_files

_PAGE = "https://www.timeseriesclassification.com/aeon-toolkit"
PARTS = {"train": "TRAIN", "test": "TEST"}


@dataclasses.dataclass(eq=False)
class UeaConfig(tfds.core.BuilderConfig):
    """Which data set of the archives.

    Args:
        name: its name there, as "JapaneseVowels".
        channels: number of values at each step.
        classes: names of the classes, in the order of the file's header.

    `UeaConfig.from_folder` reads the last two from the file.
    """

    name: str = ""
    channels: int = 1
    classes: tuple[str, ...] = ()

    @classmethod
    def from_folder(cls, name: str, manual_dir: str) -> UeaConfig:
        """The configuration of a data set whose .ts files lie in a folder.

        Args:
            name: its name, as "Libras".
            manual_dir: the folder that holds "Libras_TRAIN.ts".

        Raises:
            FileNotFoundError: if the file is not there.
            ValueError: if it is damaged.
        """
        raw = _raw(name)["train"]._replace(packed=None)
        path = finding.by_hand(epath.Path(manual_dir), raw)
        if path is None:
            raise FileNotFoundError(
                f"rnnx_uea needs {raw.name}, which is not in {manual_dir}. Get it from "
                f"{raw.url}."
            )
        found = _from_ts(raw_files.LocalFile(path, raw, None))
        return cls(name=name, channels=found.channels, classes=tuple(found.classes))


_CONFIGS = [
    UeaConfig(
        name="JapaneseVowels",
        channels=12,
        classes=tuple("123456789"),
        description="Which of nine men says two vowels: 7 to 29 steps.",
    ),
    UeaConfig(
        name="BasicMotions",
        channels=6,
        classes=("Standing", "Running", "Walking", "Badminton"),
        description="What someone with a smart watch does: 100 steps.",
    ),
    UeaConfig(
        name="ArrowHead",
        channels=1,
        classes=tuple("012"),
        description="Outlines of arrow heads by their tradition: 251 steps.",
    ),
    UeaConfig(
        name="GunPoint",
        channels=1,
        classes=tuple("12"),
        description="The hand of someone who draws a gun, or points: 150 steps.",
    ),
]


class Uea(tfds.core.GeneratorBasedBuilder):
    """Data sets of the UEA and UCR archives by name, in their split.

    Four are known by name; any other that has .ts files takes
    `config=UeaConfig.from_folder(name, manual_dir)`.
    """

    name = "rnnx_uea"
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}
    BUILDER_CONFIGS = _CONFIGS
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        f"NAME_TRAIN.ts and NAME_TEST.ts of {_PAGE} that lie in `manual_dir`, or in a "
        "folder in it, as they are or as .xz, are taken from there."
    )

    def _info(self) -> tfds.core.DatasetInfo:
        config = self.builder_config
        if not config.classes:
            raise ValueError(
                f"UeaConfig(name={config.name!r}) needs `channels` and `classes`: "
                "UeaConfig.from_folder(name, manual_dir) reads them from the file."
            )
        return tfds.core.DatasetInfo(
            builder=self,
            description=(
                "Series with classes from the archives of time series classification "
                "(UEA: of several channels, UCR: of one), in the split of the "
                "archives. Series may be of different lengths."
            ),
            features=tfds.features.FeaturesDict(
                {
                    "sequence": tfds.features.Tensor(
                        shape=(None, config.channels), dtype=np.float32
                    ),
                    "label": tfds.features.ClassLabel(names=list(config.classes)),
                }
            ),
            supervised_keys=("sequence", "label"),
            homepage="https://www.timeseriesclassification.com",
            license="No licence is stated: everyone fetches the files themselves.",
            citation="""\
@article{bagnall2018uea,
  title={The {UEA} multivariate time series classification archive, 2018},
  author={Bagnall, Anthony and Dau, Hoang Anh and Lines, Jason and Flynn, Michael and
          Large, James and Bostrom, Aaron and Southam, Paul and Keogh, Eamonn},
  journal={arXiv:1811.00075}, year={2018}
}
""",
        )

    def _split_generators(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, Iterator[Any]]:
        config = self.builder_config
        found = finding.find(self, dl_manager, _raw(config.name))
        parts = {
            part: _from_npz(file, PARTS[part].lower())
            if file.is_packed
            else _from_ts(file)
            for part, file in found.items()
        }
        for part, series in parts.items():
            expected = config.channels, tuple(config.classes)
            received = series.channels, tuple(series.classes)
            if received != expected:
                raise found[part].damaged(
                    f"expected {expected[0]} channels and the classes {expected[1]}, "
                    f"received {received[0]} and {received[1]}",
                    "or other",
                )
        return {part: self._generate_examples(parts[part]) for part in parts}

    def _generate_examples(
        self, series: ts_files.Series
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        for row, (sequence, label) in enumerate(zip(series.sequences, series.labels)):
            yield row, {"sequence": sequence, "label": label}


def _raw(name: str) -> dict[str, raw_files.RawFile]:
    return {
        part: raw_files.RawFile(
            f"{name}_{suffix}.ts", f"{_PAGE}/{name}.zip", packed=f"{name}.npz"
        )
        for part, suffix in PARTS.items()
    }


def _from_ts(file: raw_files.LocalFile) -> ts_files.Series:
    return ts_files.parse(file.text(), damaged=file.damaged)


def _from_npz(file: raw_files.LocalFile, part: str) -> ts_files.Series:
    """Series of an .npz file: `x_train`, `y_train`, `classes`, and `len_train` if the
    lengths differ."""
    names = [f"x_{part}", f"y_{part}", "classes"]
    arrays = file.arrays(names, optional=[f"len_{part}"])
    x: Any
    x, y = arrays[f"x_{part}"].astype("float32"), arrays[f"y_{part}"]
    lengths = arrays.get(f"len_{part}")
    if lengths is not None:
        if lengths.sum() != len(x):
            raise file.damaged(f"x_{part} does not fit to len_{part}")
        x = np.split(x, np.cumsum(lengths)[:-1])
    classes = [str(name) for name in arrays["classes"]]
    if len(x) != len(y) or y.min() < 0 or y.max() >= len(classes) or x[0].ndim != 2:
        raise file.damaged(f"x_{part}, y_{part} and classes do not fit together")
    return ts_files.Series(list(x), [classes[i] for i in y], classes)
