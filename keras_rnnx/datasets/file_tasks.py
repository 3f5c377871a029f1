"""Tasks of real sequence data: music, texts, speech, sensors, images as sequences.

tensorflow-datasets prepares the data once, from a download or from raw files in
`manual_dir`. Each task has the options

    seed: seed of what is drawn: of the validation part, where the data set has none.
    data_dir: folder of prepared data sets. Default: that of TFDS.
    manual_dir: folder with raw files, which are then not downloaded.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable
from typing import Any

from keras_rnnx.datasets.facts import PUBLISHED
from keras_rnnx.datasets.registry import register_task
from keras_rnnx.datasets.task import Task

Folder = str | os.PathLike | None


def words_and_marks(text: str) -> list[str]:
    """The words of a raw text in small letters, and its punctuation marks.

    Example:

    >>> keras_rnnx.datasets.file_tasks.words_and_marks("Don't go!<br />Stay.")
    ["don't", 'go', '!', 'stay', '.']
    """
    text = re.sub(r"<[^>]*>", " ", text.lower())
    return re.findall(r"[\w']+|[^\w\s]", text)


def _register(
    name: str, builder: str, description: str, **options: Any
) -> Callable[..., Task]:
    """Registers the task of a builder of tensorflow-datasets."""

    def load(seed: int = 0, data_dir: Folder = None, manual_dir: Folder = None) -> Task:
        drawn: dict[str, Any] = (
            {} if options.get("kind") == "language_model" else {"seed": seed}
        )
        task = Task.from_tfds(
            builder,
            data_dir=data_dir,
            manual_dir=manual_dir,
            description=description,
            **options,
            **drawn,
        )
        return dataclasses.replace(
            task,
            name=name,
            options={"seed": seed},
            published=PUBLISHED.get(name, ()),
        )

    load.__name__ = load.__qualname__ = name
    load.__doc__ = f"{description}\n\nThe data set {builder} of tensorflow-datasets."
    return register_task(name)(load)


# --- music: which notes sound next ---

for _name, _piece in (
    ("jsb_chorales", "chorales of Bach"),
    ("nottingham", "folk tunes"),
    ("musedata", "orchestral and piano music"),
    ("piano_midi", "classical piano music"),
):
    _register(
        _name,
        f"rnnx_{_name}",
        f"Which of 88 notes sound next, in {_piece}.",
        kind="next_step",
    )

# --- long texts: the next word or character ---

for _name, _level in (
    ("penn_treebank", "word"),
    ("penn_treebank_characters", "character"),
):
    _register(
        _name,
        f"rnnx_penn_treebank/{_level}s",
        f"The next {_level} of the Wall Street Journal.",
        kind="language_model",
        level=_level,
    )
_register(
    "tiny_shakespeare",
    "tiny_shakespeare",
    "The next character of Shakespeare.",
    kind="language_model",
)

# --- sentences: a class for each ---

for _name, _builder, _description in (
    ("trec", "rnnx_trec", "What a question asks for: six classes."),
    ("sst2", "rnnx_sst/sst2", "Whether a sentence of a film review is positive."),
    ("sst5", "rnnx_sst/sst5", "How positive a sentence of a film review is, of five."),
    ("movie_reviews", "rnnx_movie_reviews", "Whether a film review is positive."),
):
    # One word in ten of those for test is unknown, and is to be learned as that.
    _register(_name, _builder, _description, least=2)
_register(
    "imdb_reviews",
    "imdb_reviews",
    "Whether a whole film review is positive.",
    tokenize=words_and_marks,
    vocabulary_size=20_000,
)
_register(
    "ag_news",
    "ag_news_subset",
    "What a piece of news is about: four classes.",
    x="description",
    y="label",
    tokenize=words_and_marks,
    vocabulary_size=20_000,
)

# --- one sequence for another ---

_register(
    "cmudict",
    "rnnx_cmudict",
    "How an English word is pronounced: 39 phones.",
    kind="sequence_to_sequence",
    level="character",
    target_level="word",
)

# --- sensors and images: a class for each ---

for _name, _set, _description in (
    ("japanese_vowels", "JapaneseVowels", "Which of nine speakers says two vowels."),
    ("basic_motions", "BasicMotions", "What somebody with a watch does, of four."),
    ("arrow_head", "ArrowHead", "What an arrowhead's outline says of its age."),
    ("gun_point", "GunPoint", "Whether a hand draws a gun, or points."),
):
    _register(_name, f"rnnx_uea/{_set}", _description)
for _name, _order in (("sequential", "row by row"), ("permuted", "in a drawn order")):
    _register(
        f"{_name}_mnist",
        f"rnnx_sequential_mnist/{_name}",
        f"Handwritten digits of 28 x 28 pixels, {_order}.",
    )


@register_task("uea")
def uea(
    dataset: str = "JapaneseVowels",
    seed: int = 0,
    data_dir: Folder = None,
    manual_dir: Folder = None,
) -> Task:
    """A set of the UEA and UCR archives by name; see `rnnx_uea`."""
    task = Task.from_tfds(
        f"rnnx_uea/{dataset}",
        data_dir=data_dir,
        manual_dir=manual_dir,
        seed=seed,
        description=f"The class of a sequence of {dataset}.",
    )
    return dataclasses.replace(
        task, name="uea", options={"dataset": dataset, "seed": seed}
    )
