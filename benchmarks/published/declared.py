"""What a table is: rows, each with the figure of a paper and how it is trained here.

Nothing here imports a backend, so that the page can be written without one.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

# What of a run is the figure of a row: how a metric of the test part comes out; or
# whether the goal was reached (1 or 0); or after how many updates.
MEASURES = ("test", "solved", "updates")


@dataclass(frozen=True)
class Setup:
    """How a model is trained.

    Attributes:
        task: what `keras_rnnx.datasets.load_task` loads.
        cell: name of a cell; with `library="keras"` of a layer of Keras.
        units: units of a layer.
        depth: number of layers. Default 1.
        arguments: further arguments of the layers. What is no number, text or list is
            written as Keras serializes it: `{"class_name": ..., "config": ...}`.
        library: "keras_rnnx" or "keras". Default "keras_rnnx".
        options: of the task.
        optimizer: name of a Keras optimizer. Default "adam".
        rate: learning rate. Default 0.001.
        settings: further arguments of the optimizer.
        clip: largest norm of the whole gradient, or None.
        batch: sequences in a batch. Default 32.
        updates: updates in an epoch, whose sequences are drawn anew for each epoch.
            Default None: an epoch reads the training part of the task.
        steps: steps of a batch of a language model.
        epochs: most epochs.
        patience: epochs without a better validation figure after which training ends.
        at_least: epochs before patience begins. Default 0.
        falls: the epoch from which on the rate is divided by ten where the validation
            figure is worse than each of the last three. Default None: never.
        goal: validation figure at which training ends. Default None.
        chance: `(epochs, figure)`: training ends after so many epochs without a figure
            better than that.
        cpu: most seconds of CPU time in training, compilation among them.
        recipe: "zaremba" for the model, rates and epochs of `models.zaremba`.
        base_rates: whether the output layer starts at how often each label occurs.
            Default False.
        decay: `(epochs, factor)`: after so many epochs the rate is multiplied by the
            factor before each one. Default None: never.
        cut: sequences for training are cut into equal ones of about so many steps.
            Default None: they are read whole.
        by_loss: whether the validation figure is the loss. Default False: the objective
            of the task.
    """

    task: str
    cell: str
    units: int
    depth: int = 1
    arguments: Mapping[str, Any] = field(default_factory=dict)
    library: str = "keras_rnnx"
    options: Mapping[str, Any] = field(default_factory=dict)
    optimizer: str = "adam"
    rate: float = 1e-3
    settings: Mapping[str, Any] = field(default_factory=dict)
    clip: float | None = None
    batch: int = 32
    updates: int | None = None
    steps: int | None = None
    epochs: int = 100
    patience: int | None = None
    at_least: int = 0
    falls: int | None = None
    goal: float | None = None
    chance: tuple[int, float] | None = None
    cpu: float | None = None
    recipe: str | None = None
    base_rates: bool = False
    decay: tuple[int, float] | None = None
    cut: int | None = None
    by_loss: bool = False


@dataclass(frozen=True)
class Search:
    """A search of this package, whose importances are the figure.

    Attributes:
        task: what it searches on.
        cell: the only cell.
        space: hyperparameters that vary, as for `keras_rnnx.tuner.search`.
        trials: number of trials.
        epochs: most epochs of a trial.
        importance: the hyperparameter whose share is the figure.
        options: of the task.
    """

    task: str
    cell: str
    space: Mapping[str, Any]
    trials: int
    epochs: int
    importance: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Taken:
    """Runs that were kept before, by another benchmark, and are not repeated.

    Attributes:
        source: a file in `benchmarks/results`, or what else the runs are from.
        setting: name of the setting in that file.
        figure: from a run in that file to the figure, None if it diverged.
        figures: by seed, where there is no file.
        how: the set-up in words.
    """

    source: str
    how: str
    setting: str = ""
    figure: Callable[[Mapping[str, Any]], float | None] = lambda run: run["test"]
    figures: tuple[float, ...] = ()


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        name: of the row, one of its kind in the table.
        metric: what is reported, with its unit, as the page says it.
        key: the metric in the logs of `evaluate`. Default "loss".
        measure: one of `MEASURES`. Default "test".
        more_is_better: whether more is better. Default False.
        setup: how it is trained. Default None: all runs are taken over.
        taken: runs that are taken over. With `setup` further seeds are trained.
        figure: what the paper reports, or what a record has to reach; None if it
            reports none.
        checked: whether the figure was confirmed by a source. Default True.
        parameters: number of weights that the paper states.
        deviates: what differs from the paper, and why.
        comparable: False where the size differs so much that no verdict is due.
        seeds: most seeds. Default None: as many as the command says.
        digits: decimal places of figures from 1 on. Default 2.
    """

    name: str
    metric: str
    key: str = "loss"
    measure: str = "test"
    more_is_better: bool = False
    setup: Setup | Search | None = None
    taken: Taken | None = None
    figure: float | None = None
    checked: bool = True
    parameters: int | None = None
    deviates: str = ""
    comparable: bool = True
    seeds: int | None = None
    digits: int = 2

    def __post_init__(self) -> None:
        if self.setup is None and self.taken is None:
            raise ValueError(
                f"The row {self.name!r} is neither trained nor taken over: pass "
                f"`setup`, `taken` or both."
            )
        if self.measure not in MEASURES:
            raise ValueError(
                f"`measure` is one of {', '.join(MEASURES)}; received {self.measure!r}."
            )

    @property
    def fingerprint(self) -> str:
        """Eight characters that change with the set-up, but not with the paper."""
        assert self.setup is not None
        facts = {**dataclasses.asdict(self.setup), "key": self.key}
        # Left out where they say nothing: runs from before there were any stay valid.
        for name in ("base_rates", "decay", "cut", "by_loss"):
            if not facts.get(name, True):
                del facts[name]
        text = json.dumps(facts, sort_keys=True, default=dict)
        return hashlib.sha256(text.encode()).hexdigest()[:8]


@dataclass(frozen=True)
class Table:
    """A table of a paper, or the records.

    Attributes:
        name: as the command takes it.
        title: of its section.
        source: authors, year, arXiv id, and the number of the table where it is known.
        about: what was done in the paper, and here.
        rows: its rows.
        aim: the head of the column of figures. Default "paper".
    """

    name: str
    title: str
    source: str
    about: str
    rows: tuple[Row, ...]
    aim: str = "paper"

    def __post_init__(self) -> None:
        names = [row.name for row in self.rows]
        if len(set(names)) < len(names):
            raise ValueError(f"Two rows of {self.name} have the same name.")

    def row(self, name: str) -> Row:
        """The row of a name."""
        return next(row for row in self.rows if row.name == name)
