"""What `keras_rnnx.diagnose` returns: measures by layer, and findings."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import Console, ConsoleOptions, RenderResult

    from keras_rnnx.diagnosis.cures.cure import Cure
    from keras_rnnx.diagnosis.cures.tried import Tried
    from keras_rnnx.diagnosis.cures.try_cures import Subject


@dataclasses.dataclass(frozen=True, eq=False)
class Gradients:
    """How far the gradient of the loss reaches back in a layer.

    Attributes:
        norms: `(lags,)`: norm of the gradient for the states k steps before the last
            valid step, the mean over the sequences. Of a model that answers at every
            step it is the gradient of the loss at the last one (for a layer that reads
            backwards, at the first one).
        whole: the same for the loss at all steps; None where a model answers once.
        factor: by which the norm changes with each step back, fitted on the logarithm;
            None for less than two steps.
        horizon: the lag from which on the norm is below a thousandth of its largest
            value; None if it reaches the first step.
    """

    norms: np.ndarray
    whole: np.ndarray | None
    factor: float | None
    horizon: int | None


class Kernel(NamedTuple):
    """What a recurrent matrix does to a state: its spectral radius and 2-norm.

    The radius is None where the matrix is not square.
    """

    radius: float | None
    norm: float


@dataclasses.dataclass(frozen=True, eq=False)
class Dynamics:
    """How a small change of the state grows from step to step.

    Attributes:
        exponents: the largest Lyapunov exponents for these inputs, largest first, the
            mean over a few sequences. Above 0 a change grows by `exp` of it a step.
        gain: by how much a change in a random direction grows in a step: the root of
            the mean square of the singular values of the step Jacobian. None where the
            state is so wide that not all of the Jacobian is computed.
        steps: number of steps along which they were taken.
        kernels: of the recurrent matrix of each gate.
    """

    exponents: np.ndarray
    gain: float | None
    steps: int
    kernels: dict[str, Kernel]


class GateShares(NamedTuple):
    """Share of the values of a gate below 0.05, above 0.95, and stuck; their mean.

    Stuck are values that neither open nor close within the length of the data: shut or
    open, but for the gates that keep the state. There a long memory is open on purpose;
    stuck is one 100 times longer than the data.
    """

    shut: float
    open: float
    stuck: float
    mean: float


@dataclasses.dataclass(frozen=True, eq=False)
class States:
    """What the states of a layer are like, at all valid steps.

    Attributes:
        gates: shares by gate, of gates that are sigmoids; empty where none are known.
        saturated: share of outputs beyond 0.99 in size, of tanh layers; else None.
        dead: share of units that are 0 at all steps.
        constant: share of units that have another value, which never changes.
        dimensions: participation ratio of the outputs, `(sum l)² / sum l²` of the
            eigenvalues of their covariance: how many directions they use. 0 if nothing
            changes.
        units: number of units.
        gates_by_unit: `(2, units)` by gate: the shares of the values of each unit that
            are shut, and open.
    """

    gates: dict[str, GateShares]
    saturated: float | None
    dead: float
    constant: float
    dimensions: float
    units: int
    gates_by_unit: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, eq=False)
class Memory:
    """How soon a layer forgets where it started.

    Attributes:
        decay: `(steps,)`: how much of a change of the first state is left behind each
            step, relative to it, the mean over the sequences.
        forgotten: number of steps after which less than a thousandth is left; None if
            more is left at the end.
    """

    decay: np.ndarray
    forgotten: int | None


@dataclasses.dataclass(frozen=True, eq=False)
class Update:
    """How large an update is beside the weights of a layer.

    Attributes:
        weights: norm of its matrices.
        gradient: norm of their gradients, the mean over the batches.
        ratio: norm of an update beside that of the weights; None where the optimizer
            is not known to be one of those for which it can be told.
    """

    weights: float
    gradient: float
    ratio: float | None


@dataclasses.dataclass(frozen=True, eq=False)
class Cost:
    """What runs a layer, and how long it takes.

    Attributes:
        engine, kernel, reason: as in `keras_rnnx.explain`.
        seconds: of a forward pass of the measured batch.
        share: of the forward pass of the model.
    """

    engine: str
    kernel: str
    reason: str
    seconds: float | None
    share: float | None


@dataclasses.dataclass(frozen=True, eq=False)
class Histogram:
    """How many values are in each bin.

    Attributes:
        counts: `(bins,)`.
        edges: `(bins + 1,)`: where bins begin, and where the last one ends.
    """

    counts: np.ndarray
    edges: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Distributions:
    """Histograms of the numbers of a layer, of a random choice of them where many.

    Attributes:
        weights: of its matrices.
        gradients: of the sizes of the gradients of some batches for these. The bins are
            equal on the logarithm, and zeros are in the first one.
        states: of its outputs at valid steps.
    """

    weights: Histogram | None
    gradients: Histogram | None
    states: Histogram | None


@dataclasses.dataclass(frozen=True, eq=False)
class LayerReport:
    """The measures of one recurrent layer. Those that were not taken are None.

    Attributes:
        name: its name, after the names of the layers that hold it.
        cell: class of its cell.
        units: width of its output.
        length: median number of valid steps of its sequences; 0 if it was not called.
        longest: number of valid steps of the longest.
        not_measured: why its states were not measured, and its gradients are those for
            its inputs; or why it was not measured at all. None if it was.
    """

    name: str
    cell: str
    units: int
    length: int
    longest: int
    not_measured: str | None = None
    gradients: Gradients | None = None
    dynamics: Dynamics | None = None
    states: States | None = None
    memory: Memory | None = None
    update: Update | None = None
    cost: Cost | None = None
    distributions: Distributions | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Training:
    """The gradients of batches as training sees them.

    Attributes:
        norms: global norm of the gradient of each batch.
        clipping: "clipnorm", "global_clipnorm" or "clipvalue", or None.
        limit: the value of that argument.
        clipped: share of the batches whose gradient it changes; None without one.
        one_in_ten: the global norm that would clip one update in ten.
    """

    norms: np.ndarray
    clipping: str | None
    limit: float | None
    clipped: float | None
    one_in_ten: float


@dataclasses.dataclass(frozen=True, eq=False)
class Past:
    """Whether a model uses what came before the last steps of its sequences.

    Attributes:
        kept: number of steps at the end that stay; the inputs before come from another
            sequence.
        loss: at these steps (or of the one answer), as the data are.
        exchanged: the same with the exchanged past.
        unrelated: with the targets of other sequences: what the model would get if it
            had learned nothing of its inputs.
    """

    kept: int
    loss: float
    exchanged: float
    unrelated: float

    @property
    def used(self) -> float | None:
        """Share of what the model has learned that is lost with the past.

        None where it has learned nothing that could be lost.
        """
        learned = self.unrelated - self.loss
        return (self.exchanged - self.loss) / learned if learned > 0 else None


@dataclasses.dataclass(frozen=True, eq=False)
class Curves:
    """The losses of the epochs of a training.

    Attributes:
        loss: `(epochs,)`: the training loss.
        validation: the validation loss, or None.
        best: the epoch with the lowest validation loss, from 1; that with the lowest
            training loss, if there is no other.
        since_best: number of epochs since.
        since_progress: number of epochs since the training loss last fell, by a
            hundredth of its size or more.
        gap: the last validation loss less the last training loss; None without one.
        rise: the last validation loss (or training loss) less the best.
        jump: the largest rise of the training loss from one epoch to the next, as a
            share of its fall until then; infinite if it is not finite.
    """

    loss: np.ndarray
    validation: np.ndarray | None
    best: int
    since_best: int
    since_progress: int
    gap: float | None
    rise: float
    jump: float


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
