"""What `keras_rnnx.diagnose` returns: measures by layer, and findings."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_rnnx.diagnosis.measured import (
    Curves,
    Denormals,
    LayerReport,
    Past,
    Rates,
    Training,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import Console, ConsoleOptions, RenderResult

    from keras_rnnx.diagnosis.cures.cure import Cure
    from keras_rnnx.diagnosis.cures.tried import Tried
    from keras_rnnx.diagnosis.cures.try_cures import Subject


@dataclasses.dataclass(frozen=True)
class Finding:
    """Something that is wrong.

    Attributes:
        name: of the trouble, such as "vanishing".
        layer: the layer, or None for the model as a whole.
        title: what is wrong, in a few words.
        evidence: the numbers that say so.
        cause: why, in a sentence.
        cure: code that helps; it is made of `cures`.
        paper: where it is from.
        rank: findings are in its order, smallest first.
        cures: what helps, the most promising first. `Report.try_cures` tries them.
    """

    name: str
    layer: str | None
    title: str
    evidence: str
    cause: str
    cure: str = ""
    paper: str = ""
    rank: float = 0.0
    cures: tuple[Cure, ...] = ()

    def __post_init__(self) -> None:
        if self.cures:
            text = "\n".join(cure.code for cure in self.cures)
            object.__setattr__(self, "cure", text)


@dataclasses.dataclass(frozen=True, eq=False)
class Report:
    """What a model shows: print it, plot it, or read its attributes.

    Attributes:
        model: name of the model.
        samples: number of sequences for the measures of each step.
        objective: what gradients are of: "the loss", or something in its place.
        loss: its value for these sequences.
        layers: the measures, by the name of the recurrent layer.
        findings: what is wrong, worst first.
        training: gradients of batches, or None.
        past: whether the past is used, or None.
        notes: what was not measured, and why.
        seconds: how long it took.
        curves: the losses of the epochs, of a diagnosis with `history`; else None.
        denormals: what denormal numbers cost; None where there are few, or where the
            backend takes them for 0, as TensorFlow and JAX do. It needs the measures
            "gradients", "updates" and "cost".
        rates: how often each label occurs and is expected; None unless the outputs are
            probabilities and all samples count alike.
    """

    model: str
    samples: int
    objective: str
    loss: float | None
    layers: dict[str, LayerReport]
    findings: list[Finding]
    training: Training | None
    past: Past | None
    notes: list[str]
    seconds: float
    curves: Curves | None = None
    denormals: Denormals | None = None
    rates: Rates | None = None
    subject: dataclasses.InitVar[Subject | None] = None

    def __post_init__(self, subject: Subject | None) -> None:
        # No field: it is no measure, and holds the model.
        object.__setattr__(self, "_subject", subject)

    def try_cures(
        self,
        budget: float | str = "2m",
        x: Any = None,
        y: Any = None,
        sample_weight: Any = None,
        *,
        validation_data: Any = None,
        cures: Any = None,
        limit: int = 4,
        batch_size: int | None = None,
        start: str = "auto",
        seed: int = 0,
        verbose: bool = True,
    ) -> Tried:
        """Trains the most promising cures beside the model as it is.

        All candidates are copies: the model stays as it is. They start from the same
        weights, see the same batches in the same order, and have new optimizers with
        the settings of the model's. A weight that a cure changes is drawn anew.

        Args:
            budget: the time of training and validation for all candidates together, in
                seconds or as "90s", "5m" or "1h"; or what each of them gets, as "500
                steps" or "3 epochs". What compiles a candidate, its first step and
                first validation, comes on top. Default "2m".
            x, y, sample_weight: data to train on, as for `diagnose`. Default: those of
                the report. A data set that is no `keras.utils.PyDataset` is read into
                memory.
            validation_data: `(x, y)`, `(x, y, sample_weight)` or a data set. Default
                None: the validation part of a task; else a fifth of the data, which is
                held out.
            cures: cures, or their names or parts of these, such as
                `report.findings[0].cures`. Default None: the first of each finding,
                then the second.
            limit: how many cures are tried, for `cures=None`. Default 4.
            batch_size: samples in a batch, of arrays. Default: that of the report.
            start: "weights": all start from the weights of the model; "anew": they are
                drawn anew, where they are trained; "auto": "anew" if the optimizer of
                the model has made a step, or if its weights are not finite. Default
                "auto".
            seed: of what is drawn: weights, the order of batches, what is held out.
                With a budget of steps or epochs, the result depends on it alone.
                Default 0.
            verbose: whether to print a line for each candidate as it ends. Default
                True.

        Returns:
            A `keras_rnnx.diagnosis.Tried`. It prints as a table; `.best` is the best
            model, trained.

        Raises:
            ValueError: for a model without a loss, too few data, data of another shape,
                or an argument that is not valid; if the model can't be copied.
            TypeError: for cures that are none.

        Example:

        >>> start = keras_rnnx.initializers.SpectralRadius(0.3)
        >>> model = keras.Sequential([
        ...     keras.Input((30, 1)),
        ...     keras_rnnx.layers.SimpleRNN(8, recurrent_initializer=start, name="rnn"),
        ...     keras.layers.Dense(1)])
        >>> model.compile("adam", "mse")
        >>> x = np.random.default_rng(0).normal(size=(64, 30, 1)).astype("float32")
        >>> report = keras_rnnx.diagnose(model, x, x[:, 0])
        >>> tried = report.try_cures("2 steps", limit=1, verbose=False)
        >>> [trial.name for trial in tried.trials]
        ['the model as it is', 'LSTM with Chrono(30)']
        """
        from keras_rnnx.diagnosis.cures.try_cures import try_cures

        subject: Subject | None = getattr(self, "_subject", None)
        if subject is None:
            raise ValueError(
                "This report does not know its model: it was changed or loaded. "
                "Call keras_rnnx.diagnose again."
            )
        return try_cures(
            subject,
            self.findings,
            budget,
            (x, y, sample_weight),
            validation_data,
            cures,
            limit,
            batch_size,
            start,
            seed,
            verbose,
        )

    def plot(self, path: str | os.PathLike[str] | None = None) -> Figure:
        """Draws the measures: a panel for each of those that were taken.

        The background is transparent, and the ink is readable on light and on dark
        ground. In a notebook the figure is shown as the result of a cell.

        Args:
            path: a file to write, of a kind that Matplotlib knows, such as `.png` or
                `.svg`. Default None.

        Returns:
            A `matplotlib.figure.Figure`.

        Raises:
            ImportError: without Matplotlib.
            ValueError: for a report without measures that can be drawn.
        """
        from keras_rnnx.diagnosis import _pictures

        return _pictures.plot(self, path)

    def write_html(self, path: str | os.PathLike[str]) -> Path:
        """Writes a page with the findings, the figures and the tables of layers.

        The page contains all of its figures and loads nothing.

        Args:
            path: of the page. A file that is there is replaced.

        Returns:
            The path.

        Raises:
            ImportError: without Matplotlib.
        """
        from keras_rnnx.diagnosis import _pictures

        return _pictures.write_html(self, path)

    def to_dict(self) -> dict[str, Any]:
        """The report as dicts, lists, texts and numbers, for JSON.

        JSON has no NaN and no infinity: these are the texts "nan", "inf" and "-inf".

        Example:

        >>> import json
        >>> model = keras.Sequential(
        ...     [keras.Input((6, 2)), keras_rnnx.layers.GRU(3, name="gru")])
        >>> x = np.random.default_rng(0).normal(size=(4, 6, 2)).astype("float32")
        >>> report = keras_rnnx.diagnose(model, x, measures="states")
        >>> text = json.dumps(report.to_dict())
        >>> again = keras_rnnx.diagnosis.Report.from_dict(json.loads(text))
        >>> str(again) == str(report)
        True
        """
        from keras_rnnx.diagnosis import _as_data

        return _as_data.written(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Report:
        """The report that `to_dict` was called on.

        Args:
            data: what it returned.

        Raises:
            ValueError: for something else.
        """
        from keras_rnnx.diagnosis import _as_data

        return _as_data.read(data)

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> RenderResult:
        from keras_rnnx.diagnosis import _shown

        yield from _shown.rendered(self, options.max_width)

    def __str__(self) -> str:
        from keras_rnnx.diagnosis import _shown

        return _shown.text(self)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from keras_rnnx.diagnosis import _shown

        return _shown.html(self)
