"""The CMU pronouncing dictionary."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Any

import tensorflow_datasets as tfds

from keras_rnnx.datasets.builders._files import finding, raw_files

FILE = raw_files.RawFile(
    "cmudict.dict",
    "https://raw.githubusercontent.com/cmusphinx/cmudict/"
    "0f8072f814306c5ee4fbf992ed853601b12c01f9/cmudict.dict",
)
_WORD = re.compile(r"([a-z]+)(?:\(\d+\))?")


class Cmudict(tfds.core.GeneratorBasedBuilder):
    """Words and how they are pronounced, one word an example.

    There is no official split: a word is in the test part if the SHA-1 of it, as a
    number, is 0 modulo 20, in the validation part if it is 1, else in the training
    part. So all pronunciations of a word are on one side.
    """

    name = "rnnx_cmudict"
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}
    FILE = FILE
    MANUAL_DOWNLOAD_INSTRUCTIONS = raw_files.instructions([FILE])
    BUILDER_CONFIGS = [
        tfds.core.BuilderConfig(
            name="no_stress", description="39 phones, without the stress of vowels."
        ),
        tfds.core.BuilderConfig(
            name="stress", description="69 phones: vowels end with 0, 1 or 2."
        ),
    ]

    def _info(self) -> tfds.core.DatasetInfo:
        text = tfds.features.Text
        return tfds.core.DatasetInfo(
            builder=self,
            description=(
                "The 117,493 words of the CMU pronouncing dictionary that are spelled "
                "with a to z alone, and how they are pronounced in North America: "
                "phones with blanks between them. `phones` is the first pronunciation, "
                "`pronunciations` are all, against which an answer is to be judged."
            ),
            features=tfds.features.FeaturesDict(
                {
                    "word": text(),
                    "phones": text(),
                    "pronunciations": tfds.features.Sequence(text()),
                }
            ),
            supervised_keys=("word", "phones"),
            homepage="http://www.speech.cs.cmu.edu/cgi-bin/cmudict",
            license="BSD-style: unrestricted use, with the notice kept.",
            citation="""\
@misc{cmudict,
  title={The {CMU} pronouncing dictionary},
  author={{Carnegie Mellon University}},
  howpublished={\\url{https://github.com/cmusphinx/cmudict}}
}
""",
        )

    def _split_generators(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, Iterator[Any]]:
        file = finding.find(self, dl_manager, {"dictionary": self.FILE})["dictionary"]
        words = parse(file, stress=self.builder_config.name == "stress")
        parts: dict[str, Any] = {"train": {}, "validation": {}, "test": {}}
        for word, found in words.items():
            parts[part_of(word)][word] = found
        return {part: self._generate_examples(parts[part]) for part in parts}

    def _generate_examples(
        self, words: dict[str, list[str]]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        for word, found in words.items():
            yield word, {"word": word, "phones": found[0], "pronunciations": found}


def part_of(word: str) -> str:
    """The part that a word belongs to."""
    rest = int(hashlib.sha1(word.encode()).hexdigest(), 16) % 20
    return {0: "test", 1: "validation"}.get(rest, "train")


def parse(file: raw_files.LocalFile, stress: bool) -> dict[str, list[str]]:
    """The words of a to z in a dictionary, and how each is pronounced.

    Args:
        file: the dictionary.
        stress: whether vowels keep their digit.

    Returns:
        By words, their different pronunciations in the order of the file.

    Raises:
        ValueError: for a line without phones.
    """
    words: dict[str, list[str]] = {}
    for row, line in enumerate(file.lines(), 1):
        entry, *phones = line.partition("#")[0].split()
        if not phones:
            raise file.damaged(f"line {row} has no phones: {line!r}")
        spelled = _WORD.fullmatch(entry)
        if spelled is None:
            continue
        said = " ".join(phones if stress else (p.rstrip("012") for p in phones))
        found = words.setdefault(spelled[1], [])
        if said not in found:
            found.append(said)
    return words
