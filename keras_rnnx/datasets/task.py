"""What a task is: data, with what it takes to train a model on it."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from keras_rnnx._errors import unknown
from keras_rnnx.datasets import _trivial
from keras_rnnx.datasets._batches.contiguous import ContiguousBatches
from keras_rnnx.datasets._batches.padded import PaddedBatches
from keras_rnnx.datasets._batches.paired import PairedBatches
from keras_rnnx.datasets._making import series
from keras_rnnx.datasets._making.constructors import Constructors
from keras_rnnx.datasets._making.splitting import Split
from keras_rnnx.datasets._making.vocabulary import Vocabulary
from keras_rnnx.datasets.facts import Figure, table
from keras_rnnx.datasets.kinds import Objective, kind_of, new_metrics

PARTS = ("train", "validation", "test")
# Steps of a batch of a language model, as the medium model of Zaremba et al. has them.
STEPS = 35


@dataclasses.dataclass(frozen=True, eq=False)
class Task(Constructors):
    """Data with what it takes to train a model on it and to judge the result.

    `load_task` gives tasks by name; `Task.from_arrays` and `Task.from_series` make them
    of your own data.

    Attributes:
        name: the name of the task.
        description: one line that says what is to be learned.
        train: data to fit on.
        validation: data to choose models and hyperparameters by.
        test: data for the final figure alone.
        classes: number of classes, or of labels of a CTC task, or None.
        loss: a Keras loss. Default: that of the kind.
        metrics: Keras metrics, or their names. Default: those of the kind.
        objective: what a search looks for. Default: that of the kind.
        options: the options the task was loaded with.
        kind: what a model does: see `keras_rnnx.datasets.KINDS`. Default:
            "classification" with `classes`, else "regression".
        vocabulary: the tokens of `x`, or None.
        target_vocabulary: the tokens, classes or labels of `y`, or None.
        published: results of others on the same test part.
        scaling: mean and deviation by which a series was scaled, or None.

    Raises:
        ValueError: for an unknown kind, or if the objective's direction is neither
            "min" nor "max".

    Example:

    >>> task = keras_rnnx.datasets.load_task("adding", length=50)
    >>> task.kind, task.input_shape, task.outputs, task.loss
    ('regression', (50, 2), 1, 'mean_squared_error')
    """

    name: str
    description: str
    train: Split
    validation: Split
    test: Split
    classes: int | None = None
    loss: str | keras.losses.Loss | None = None
    metrics: tuple[str | keras.metrics.Metric, ...] | None = None
    objective: Objective | None = None
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    kind: str | None = None
    vocabulary: Vocabulary | None = None
    target_vocabulary: Vocabulary | None = None
    published: Sequence[Figure] = ()
    scaling: series.Scaling | None = None

    def __post_init__(self) -> None:
        kind = kind_of(
            self.kind or ("classification" if self.classes else "regression")
        )
        # The dataclass is frozen for its users.
        object.__setattr__(self, "kind", kind.name)
        for name in ("loss", "metrics", "objective"):
            if getattr(self, name) is None:
                object.__setattr__(self, name, getattr(kind, name))
        objective: Any = self.objective
        if objective.direction not in ("min", "max"):
            raise ValueError(
                f"The direction of an objective is 'min' or 'max', received "
                f"{objective.direction!r} for {objective.name!r}."
            )

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """Shape of one sequence: `(time, features)`, or `(time,)` of tokens.

        `time` is None where lengths differ.
        """
        return (self.steps,) if self.features is None else (self.steps, self.features)

    @property
    def features(self) -> int | None:
        """Number of features of a step, or None for tokens."""
        if self.kind == "language_model" or np.ndim(self.train.x[0]) < 2:
            return None
        return int(self.train.x[0].shape[-1])

    @functools.cached_property
    def tokens(self) -> int | None:
        """Number of tokens that sequences are made of, or None for features."""
        if self.features is not None:
            return None
        if self.vocabulary is not None:
            return len(self.vocabulary)
        return 1 + max(int(np.max(row)) for part in self.parts for row in part.x)

    @property
    def steps(self) -> int | None:
        """Number of steps, if all sequences are equally long."""
        if self.kind == "language_model":
            return None
        lengths = {len(row) for part in self.parts for row in part.x}
        return lengths.pop() if len(lengths) == 1 else None

    @property
    def outputs(self) -> int:
        """Number of outputs of a model (of each step, where it answers each).

        One for each class or label, value or token.
        """
        if self.classes:
            return self.classes
        if self.target_vocabulary is not None:
            return len(self.target_vocabulary)
        if self.kind == "language_model":
            assert self.tokens is not None
            return self.tokens
        return int(np.shape(self.train.y[0])[-1])

    @property
    def horizon(self) -> int | None:
        """Number of steps to forecast, or None for tasks of other kinds."""
        return self.train.y.shape[1] if self.kind == "forecasting" else None

    @functools.cached_property
    def longest(self) -> int | None:
        """Number of steps of the longest sequence for training; None for one text."""
        if self.kind == "language_model":
            return None
        return max(map(len, self.train.x))

    @functools.cached_property
    def baseline(self) -> Figure | None:
        """What a trivial answer achieves on the test part, or None.

        The most frequent class, the mean, the last value of a series, how often each
        note or token occurs: counted in the training part.
        """
        return _trivial.baseline(self)

    @functools.cached_property
    def base_rates(self) -> np.ndarray | None:
        """How often each class, label or token occurs in the training part, or None.

        Of values it is their mean. An output layer that starts with these
        (`keras_rnnx.initializers.BaseRates`) need not learn them first. Shape
        `(outputs,)`; counts of labels and tokens begin at one, so that no share is 0.
        None for forecasting, sequence to sequence and CTC.
        """
        return _trivial.base_rates(self)

    @property
    def parts(self) -> tuple[Split, Split, Split]:
        """The parts for training, validation and test."""
        return self.train, self.validation, self.test

    def batches(
        self, part: str = "train", batch_size: int = 32, **options: Any
    ) -> keras.utils.PyDataset:
        """The sequences of a part in batches, for `fit`, `evaluate` and `predict`.

        Args:
            part: "train", "validation" or "test". Default "train".
            batch_size: sequences in a batch; rows of a language model. Default 32.
            **options: of the class that is returned. `shuffle` is True by default for
                training alone. A language model has `steps`, 35 by default. For
                classification there is `class_weight`: a number for each class, or
                "balanced", for which classes count alike, however many sequences they
                have.

        Returns:
            `PaddedBatches`; for sequence to sequence `PairedBatches`, and for a
            language model `ContiguousBatches`.

        Raises:
            ValueError: for an unknown part, and for options that do not fit.

        Example:

        >>> x = [np.ones((n, 3)) for n in range(1, 41)]
        >>> task = keras_rnnx.datasets.Task.from_arrays(x, np.arange(40) % 2)
        >>> batches = task.batches("validation", batch_size=4)
        >>> batches[0][0].shape[::2]
        (4, 3)
        """
        if part not in PARTS:
            raise unknown("part of a task", part, PARTS)
        split = getattr(self, part)
        if self.kind == "language_model":
            options = {"steps": STEPS, **options}
            return ContiguousBatches(split.x, batch_size, **options)
        options = {"shuffle": part == "train", **options}
        weights = options.pop("class_weight", None)
        if weights is not None:
            if "sample_weight" in options:
                raise ValueError("Pass `class_weight` or `sample_weight`, not both.")
            options["sample_weight"] = self._weights(weights, split)
        if self.kind == "sequence_to_sequence":
            return PairedBatches(split.x, split.y, batch_size, **options)
        if self.kind == "ctc":
            options = {"aligned": False, **options}
        return PaddedBatches(split.x, split.y, batch_size, **options)

    def _weights(self, weights: Any, split: Split) -> np.ndarray:
        if self.kind != "classification":
            raise ValueError(
                f"`class_weight` is for classification, and this is a task of kind "
                f"{self.kind!r}."
            )
        classes: Any = self.classes
        if weights == "balanced":
            counts = np.bincount(self.train.y, minlength=classes)
            weights = len(self.train.y) / (classes * np.maximum(counts, 1))
        elif isinstance(weights, Mapping):
            weights = [weights.get(n, 1.0) for n in range(classes)]
        weights = np.asarray(weights, "float32")
        if weights.shape != (self.classes,):
            raise ValueError(
                f"`class_weight` needs a number for each of {self.classes} classes, "
                f"received shape {weights.shape}."
            )
        return weights[np.asarray(split.y)]

    def dataset(self, part: str = "train", batch_size: int = 32, **options: Any) -> Any:
        """The same batches as a `tf.data.Dataset`, on TensorFlow.

        Each pass over it is an epoch with an order of its own.

        Args:
            part, batch_size: as for `batches`.
            **options: as for `batches`.

        Raises:
            ValueError: on another backend, where `batches` serves.
        """
        if keras.backend.backend() != "tensorflow":
            raise ValueError(
                f"`dataset` gives a tf.data.Dataset and needs the backend TensorFlow; "
                f"this is {keras.backend.backend()}. Use `batches`."
            )
        import tensorflow as tf

        batches = self.batches(part, batch_size, **options)

        def read() -> Iterator[Any]:
            batches.on_epoch_begin()
            for index in range(len(batches)):
                yield batches[index]
            batches.on_epoch_end()

        def spec(array: np.ndarray) -> Any:
            # Sequences of other batches are longer or shorter.
            steps = (None,) if array.ndim > 1 else ()
            return tf.TensorSpec((None, *steps, *array.shape[2:]), array.dtype)

        signature = keras.tree.map_structure(spec, batches[0])
        return tf.data.Dataset.from_generator(read, output_signature=signature)

    def compile(
        self, model: keras.Model, optimizer: Any = "adam", **options: Any
    ) -> None:
        """Compiles a model with the loss and new metrics of the task.

        Args:
            model: a model whose outputs fit the task, as of `models.for_task`.
            optimizer: as for `keras.Model.compile`. Default "adam".
            **options: other arguments of `keras.Model.compile`.

        Example:

        >>> task = keras_rnnx.datasets.load_task("adding", length=9, train=64)
        >>> model = keras.Sequential([
        ...     keras.Input(task.input_shape), keras_rnnx.layers.GRU(4),
        ...     keras.layers.Dense(task.outputs)])
        >>> task.compile(model, keras.optimizers.Adam(1e-2))
        >>> history = model.fit(task.batches("train"), verbose=0)
        """
        options = {"loss": self.loss, "metrics": self.new_metrics(), **options}
        model.compile(optimizer, **options)

    def compared(self, method: str = "this model", **found: float) -> str:
        """A table of a result beside the trivial answer and those of others.

        Args:
            method: how the result was found. Default "this model".
            **found: results by metric, as `frame_nll=8.4`. Those of the same metric
                stand beside each.

        Returns:
            A text with a line for each result, method and source.

        Example:

        >>> task = keras_rnnx.datasets.load_task("parity", length=9, train=64, test=64)
        >>> print(task.compared("GRU", accuracy=0.75))
        accuracy
           0.750  GRU
           0.484  most frequent class
        """
        known = [] if self.baseline is None else [self.baseline]
        return table(method, found, [*known, *self.published])

    def new_metrics(self) -> list[str | keras.metrics.Metric]:
        """The metrics, for a model of their own: a metric counts for one model."""
        assert self.metrics is not None
        return new_metrics(self.metrics)
