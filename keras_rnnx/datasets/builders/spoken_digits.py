"""Spoken digits as log-mel frames."""

from __future__ import annotations

import io
import re
import wave
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from keras_rnnx.datasets.builders import _log_mel
from keras_rnnx.datasets.builders._files import finding, raw_files

FILE = raw_files.RawFile(
    "recordings",
    "https://github.com/Jakobovski/free-spoken-digit-dataset (the folder `recordings`)",
    packed="fsdd_logmel24.npz",
)
SPEAKERS = ["george", "jackson", "lucas", "nicolas", "theo", "yweweler"]
# Of each speaker and digit, the recordings with these numbers are for test.
TEST = range(5)
_NAME = re.compile(r"(\d)_([a-z]+)_(\d+)\.wav")


class SpokenDigits(tfds.core.GeneratorBasedBuilder):
    """The Free Spoken Digit Dataset: 2,700 recordings to train on, 300 for test.

    The official split has the same speakers on both sides; to leave one speaker out is
    harder, and says more.
    """

    name = "rnnx_spoken_digits"
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = raw_files.instructions([FILE])

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=(
                "Six speakers who say the ten digits fifty times each, at 8 kHz, as "
                "frames of 24 log-mel energies in decibel: 25 ms, every 10 ms, 20 to "
                "4,000 Hz, in steps of 0.5 dB from -90 on. The split is the official "
                "one: of each speaker and digit the first five recordings are for test."
            ),
            features=tfds.features.FeaturesDict(
                {
                    "sequence": tfds.features.Tensor(
                        shape=(None, _log_mel.BANDS), dtype=np.float32
                    ),
                    "digit": tfds.features.ClassLabel(names=list("0123456789")),
                    "speaker": tfds.features.ClassLabel(names=SPEAKERS),
                    "index": np.int32,
                }
            ),
            supervised_keys=("sequence", "digit"),
            homepage="https://github.com/Jakobovski/free-spoken-digit-dataset",
            license="CC BY-SA 4.0; so are the frames made from it.",
            citation="""\
@misc{jackson2018free,
  title={Free spoken digit dataset},
  author={Jackson, Zohar and others},
  doi={10.5281/zenodo.1342401}, year={2018}
}
""",
        )

    def _split_generators(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, Iterator[Any]]:
        recordings = finding.find_folder(self, dl_manager, FILE, "*.wav")
        if recordings is None:
            found = finding.find(self, dl_manager, {"frames": FILE})["frames"]
            rows = packed(found)
        else:
            rows = [recording(file) for file in recordings]
        parts = {
            "train": [row for row in rows if row["index"] not in TEST],
            "test": [row for row in rows if row["index"] in TEST],
        }
        for part, inside in parts.items():
            if not inside:
                raise ValueError(
                    f"{self.name} needs recordings for {part}; all {len(rows)} that "
                    f"are there are for the other part. Get them all from {FILE.url}."
                )
        return {part: self._generate_examples(parts[part]) for part in parts}

    def _generate_examples(
        self, rows: list[dict[str, Any]]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        for row in rows:
            yield f"{row['digit']}_{row['speaker']}_{row['index']}", row


def packed(file: raw_files.LocalFile) -> list[dict]:
    """Examples of an .npz file with frames in steps of half a decibel.

    Raises:
        ValueError: if the file is damaged.
    """
    columns = ("digit", "speaker", "index")
    arrays = file.arrays(("logmel_q", "lengths", "speaker_names", *columns))
    steps, lengths = arrays["logmel_q"], arrays["lengths"]
    if steps.shape != (lengths.sum(), _log_mel.BANDS) or steps.dtype != np.uint8:
        raise file.damaged("logmel_q does not fit to lengths")
    if any(len(arrays[name]) != len(lengths) for name in columns):
        raise file.damaged("there is not a digit, speaker and index for each length")
    names = [str(name) for name in arrays["speaker_names"]]
    frames = np.split(_log_mel.decibel(steps), np.cumsum(lengths)[:-1])
    return [
        {
            "sequence": clip,
            "digit": int(digit),
            "speaker": names[speaker],
            "index": int(index),
        }
        for clip, digit, speaker, index in zip(frames, *(arrays[c] for c in columns))
    ]


def recording(file: raw_files.LocalFile) -> dict:
    """The example of a recording, which is named `digit_speaker_index.wav`.

    Raises:
        ValueError: if it is damaged, not at 8 kHz in 16 bits, or named otherwise.
    """
    name = _NAME.fullmatch(file.path.name)
    if name is None or name[2] not in SPEAKERS:
        raise file.damaged(
            "its name is not digit_speaker_index.wav, with a speaker out of "
            + ", ".join(SPEAKERS)
        )
    try:
        with wave.open(io.BytesIO(file.read())) as sound:
            form = sound.getnchannels(), sound.getsampwidth(), sound.getframerate()
            if form != (1, 2, _log_mel.RATE):
                raise file.damaged(
                    f"(channels, bytes, rate) is {form}, expected "
                    f"(1, 2, {_log_mel.RATE})"
                )
            samples = np.frombuffer(sound.readframes(sound.getnframes()), "<i2")
    except (wave.Error, EOFError) as error:
        raise file.damaged(f"it is no whole .wav file: {error}") from error
    if len(samples) < _log_mel.WINDOW:
        raise file.damaged(f"it has {len(samples)} samples, less than one frame")
    return {
        "sequence": _log_mel.decibel(_log_mel.steps(samples / 2**15)),
        "digit": int(name[1]),
        "speaker": name[2],
        "index": int(name[3]),
    }
