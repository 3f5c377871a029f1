"""What is known of the tasks before their data are loaded: sizes and results.

Published results are those of the papers named, on the same test part. A test holds
sizes, lengths and baselines to the data.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple


class Figure(NamedTuple):
    """A result on the test part of a task.

    Attributes:
        method: what was used.
        metric: what was measured.
        value: the result.
        source: the paper, or "" for what is computed here.
    """

    method: str
    metric: str
    value: float
    source: str = ""


def table(method: str, found: Mapping[str, float], known: Iterable[Figure]) -> str:
    """Results as lines of a text, those that are known of a metric below each.

    Args:
        method: how the results were found.
        found: results by metric.
        known: other results; those of other metrics are left out.
    """
    lines = []
    for metric, value in found.items():
        beside = [figure for figure in known if figure.metric == metric]
        lines.append(metric)
        for figure in [Figure(method, metric, value), *beside]:
            source = f" ({figure.source})" if figure.source else ""
            lines.append(f"{figure.value:8.3f}  {figure.method}{source}")
    return "\n".join(lines)


class Facts(NamedTuple):
    """What is known of a task, with its default options.

    Attributes:
        kind: kind of the task, as `Task.kind` has it.
        sizes: sequences (tokens of a language model) for training, validation and test.
        lengths: steps of the shortest and of the longest sequence; of a language model
            None.
        baseline: the result of a trivial answer.
        published: results of others.
    """

    kind: str
    sizes: tuple[int, int, int]
    lengths: tuple[int, int] | None
    baseline: Figure | None = None
    published: tuple[Figure, ...] = ()

    @property
    def best(self) -> Figure | None:
        """The best published result."""
        if not self.published:
            return None
        pick = max if self.published[0].metric == "accuracy" else min
        return pick(self.published, key=lambda figure: figure.value)


def _figures(metric: str, source: str, **values: float) -> tuple[Figure, ...]:
    return tuple(
        Figure(method.replace("_", " "), metric, value, source)
        for method, value in values.items()
    )


BAI = "Bai, Kolter & Koltun 2018, arXiv:1803.01271"
KIM = "Kim 2014, arXiv:1408.5882, run again by its author"
LEI = "Lei et al. 2018, arXiv:1709.02755"
TAI = "Tai, Socher & Manning 2015, arXiv:1503.00075"
ZAREMBA = "Zaremba, Sutskever & Vinyals 2014, arXiv:1409.2329"
MERITY = "Merity, Keskar & Socher 2017, arXiv:1708.02182"
KRUEGER = "Krueger et al. 2016, arXiv:1606.01305"
BAGNALL = "Bagnall et al. 2018, arXiv:1811.00075"
ARIK = "Arik et al. 2017, arXiv:1702.07825, on another split"
FENG = "Feng et al. 2024, arXiv:2410.01201, on the last tenth"

PUBLISHED: dict[str, tuple[Figure, ...]] = {
    "jsb_chorales": _figures(
        "frame_nll", BAI, LSTM=8.45, GRU=8.43, RNN=8.91, convolutions=8.10
    ),
    "nottingham": _figures(
        "frame_nll", BAI, LSTM=3.29, GRU=3.46, RNN=4.05, convolutions=3.07
    ),
    "penn_treebank": (
        *_figures("perplexity", ZAREMBA, small_LSTM=114.5, large_LSTM=78.4),
        *_figures("perplexity", MERITY, AWD_LSTM=57.3),
    ),
    "penn_treebank_characters": (
        *_figures("bits_per_character", BAI, LSTM=1.36, GRU=1.37, RNN=1.48),
        *_figures("bits_per_character", KRUEGER, LSTM_with_zoneout=1.27),
    ),
    "tiny_shakespeare": _figures("nats", FENG, minGRU=1.548, minLSTM=1.555),
    "cmudict": (
        *_figures("phone_error_rate", ARIK, GRU_encoder_decoder=0.058),
        *_figures("word_error_rate", ARIK, GRU_encoder_decoder=0.287),
    ),
    "sequential_mnist": _figures("accuracy", BAI, LSTM=0.872, GRU=0.962, RNN=0.215),
    "permuted_mnist": _figures("accuracy", BAI, LSTM=0.857, GRU=0.873, RNN=0.253),
    "trec": (
        *_figures("accuracy", KIM, convolutions=0.882, with_word_vectors=0.928),
        *_figures("accuracy", LEI, SRU_with_word_vectors=0.948),
    ),
    "sst2": (
        *_figures("accuracy", KIM, convolutions=0.835, with_word_vectors=0.870),
        *_figures("accuracy", TAI, two_layers_of_LSTM=0.863),
        *_figures("accuracy", LEI, SRU_with_word_vectors=0.896),
    ),
    "sst5": (
        *_figures("accuracy", KIM, convolutions=0.422, with_word_vectors=0.467),
        *_figures("accuracy", TAI, LSTM_over_parse_trees=0.510),
    ),
    "movie_reviews": (
        *_figures("accuracy", KIM, convolutions=0.759, with_word_vectors=0.813),
        *_figures("accuracy", LEI, SRU_with_word_vectors=0.831),
    ),
    "japanese_vowels": _figures("accuracy", BAGNALL, nearest_neighbour_by_DTW=0.949),
    "basic_motions": _figures("accuracy", BAGNALL, nearest_neighbour_by_DTW=0.975),
}


def _facts(
    name: str,
    kind: str,
    sizes: tuple[int, int, int],
    lengths: tuple[int, int] | None,
    method: str | None = None,
    metric: Any = None,
    value: Any = None,
) -> Facts:
    baseline = None if method is None else Figure(method, metric, value)
    return Facts(kind, sizes, lengths, baseline, PUBLISHED.get(name, ()))


def _all() -> dict[str, Facts]:
    often = ("most frequent class", "accuracy")
    rate = ("rate of each label", "frame_nll")
    last = ("last value", "mean_squared_error")
    token = ("frequency of each token", "perplexity")
    mean = ("mean", "mean_squared_error")
    drawn, few = (10_000, 1_000, 1_000), (1_000, 200, 200)
    digits = (1_280, 256, 261)
    mnist = (54_000, 6_000, 10_000)
    classes = "classification"
    rows: list[tuple[Any, ...]] = [
        ("adding", "regression", drawn, (200, 200), *mean, 0.1654),
        ("copy_memory", "tagging", drawn, (120, 120), *often, 0.9167),
        ("temporal_order", classes, drawn, (100, 100), *often, 0.233),
        ("parity", classes, drawn, (50, 50), *often, 0.492),
        ("mackey_glass", "forecasting", few, (200, 200), *last, 0.116),
        ("lorenz", "forecasting", few, (100, 100), *last, 1.9555),
        ("digits", classes, digits, (64, 64), *often, 0.0996),
        ("noise_padded_digits", classes, digits, (200, 200), *often, 0.0996),
        ("jsb_chorales", "next_step", (229, 76, 77), (24, 159), *rate, 11.09),
        ("nottingham", "next_step", (694, 173, 170), (39, 1_792), *rate, 10.26),
        ("musedata", "next_step", (524, 135, 124), (8, 4_272), *rate, 11.51),
        ("piano_midi", "next_step", (87, 12, 25), (64, 3_856), *rate, 11.05),
        (
            "penn_treebank",
            "language_model",
            (929_589, 73_760, 82_430),
            None,
            *token,
            639.3,
        ),
        (
            "penn_treebank_characters",
            "language_model",
            (5_017_482, 393_042, 442_423),
            None,
            token[0],
            "bits_per_character",
            4.346,
        ),
        # As tensorflow-datasets says of them.
        ("tiny_shakespeare", "language_model", (1_003_854, 55_770, 55_770), None),
        ("imdb_reviews", classes, (22_500, 2_500, 25_000), None),
        ("ag_news", classes, (108_000, 12_000, 7_600), None),
        ("cmudict", "sequence_to_sequence", (105_668, 5_857, 5_968), (1, 28)),
        ("trec", classes, (4_907, 545, 500), (3, 37), *often, 0.188),
        ("sst2", classes, (6_920, 872, 1_821), (2, 56), *often, 0.4992),
        ("sst5", classes, (8_544, 1_101, 2_210), (2, 56), *often, 0.2308),
        ("movie_reviews", classes, (8_530, 1_066, 1_066), (1, 59), *often, 0.5),
        ("spoken_digits", classes, (2_430, 270, 300), (12, 226), *often, 0.1),
        ("spoken_digit_strings", "ctc", (3_000, 300, 300), (63, 603)),
        ("japanese_vowels", classes, (243, 27, 370), (7, 29), *often, 0.0838),
        ("basic_motions", classes, (36, 4, 40), (100, 100), *often, 0.25),
        ("arrow_head", classes, (32, 4, 175), (251, 251), *often, 0.3029),
        ("gun_point", classes, (45, 5, 150), (150, 150), *often, 0.4933),
        ("sequential_mnist", classes, mnist, (784, 784), *often, 0.1135),
        ("permuted_mnist", classes, mnist, (784, 784), *often, 0.1135),
    ]
    return {name: _facts(name, *row) for name, *row in rows}


FACTS: dict[str, Facts] = _all()
