"""What a diagnosis has measured: a class for each kind of measure."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np


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
class Rates:
    """How often each label occurs, and how often the model expects it.

    Attributes:
        targets: `(labels,)`: share of the answers with each label, in the targets.
        expected: the same in the outputs: the mean of the probabilities.
        cost: nats an answer that these means alone differ by: the divergence of
            `expected` from `targets`, the sum over labels that are on or off.
        loss: nats an answer, the same sum.
        activation: "softmax" for classes, "sigmoid" for labels that are on or off.
    """

    targets: np.ndarray
    expected: np.ndarray
    cost: float
    loss: float
    activation: str


@dataclasses.dataclass(frozen=True, eq=False)
class Denormals:
    """What numbers cost that are too small for a full mantissa: below 1.2e-38 in size.

    Attributes:
        share: of the states of a recurrent layer and the gradients for these, where it
            is largest.
        seconds: of the gradient of a batch, on one thread.
        flushed_seconds: the same where such numbers are taken for 0.
    """

    share: float
    seconds: float
    flushed_seconds: float


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
