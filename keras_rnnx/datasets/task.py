"""What a task is: data, with what it takes to train a model on it."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from keras_rnnx._errors import unknown
from keras_rnnx._numbers import integer
from keras_rnnx.datasets import arrays, series, texts, trivial
from keras_rnnx.datasets.contiguous import ContiguousBatches
from keras_rnnx.datasets.facts import Figure, table
from keras_rnnx.datasets.kinds import Objective, kind_of, new_metrics
from keras_rnnx.datasets.padded import PaddedBatches
from keras_rnnx.datasets.paired import PairedBatches
from keras_rnnx.datasets.splitting import Split
from keras_rnnx.datasets.vocabulary import Vocabulary

PARTS = ("train", "validation", "test")
# Steps of a batch of a language model, as the medium model of Zaremba et al. has them.
STEPS = 35


@dataclasses.dataclass(frozen=True, eq=False)
class Task:
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

    def __post_init__(self):
        kind = kind_of(
            self.kind or ("classification" if self.classes else "regression")
        )
        # The dataclass is frozen for its users.
        object.__setattr__(self, "kind", kind.name)
        for name in ("loss", "metrics", "objective"):
            if getattr(self, name) is None:
                object.__setattr__(self, name, getattr(kind, name))
        if self.objective.direction not in ("min", "max"):
            raise ValueError(
                f"The direction of an objective is 'min' or 'max', received "
                f"{self.objective.direction!r} for {self.objective.name!r}."
            )

    @classmethod
    def from_arrays(
        cls,
        x: Any,
        y: Any = None,
        *,
        kind: str | None = None,
        validation: Any = 0.1,
        test: Any = 0.1,
        split: str | None = None,
        groups: Any = None,
        seed: int = 0,
        level: str = "word",
        tokenize: Callable[[str], Sequence[str]] | None = None,
        vocabulary_size: int | None = None,
        least: int = 1,
        target_level: str | None = None,
        classes: Any = None,
        name: str = "arrays",
        description: str = "",
    ) -> Task:
        """A task of your own sequences.

        What `y` holds says which kind of task it is, if `kind` does not: integers or
        names `(n,)` classification; floats `(n,)` or `(n, outputs)` regression; a list
        with a sequence for each row tagging, where all are as long as those of `x`;
        otherwise CTC for `x` with features, sequence to sequence for tokens.

        Args:
            x: sequences: an array `(n, time, features)`; a list of arrays
                `(time, features)` of any lengths; a list of arrays `(time,)` of tokens,
                integers from 1 on; a list of texts, or of lists of tokens that are
                texts.
            y: targets, by kind. For "next_step" None: the next step of `x`.
            kind: a name of `keras_rnnx.datasets.KINDS`. Default None: see above.
            validation: a fraction of the rows, a number of rows, or a pair `(x, y)`.
                Default 0.1.
            test: the same for the test part. Default 0.1.
            split: how rows are drawn: "stratified" (each class has its share in each
                part), "random", "groups" or "time" (the last rows are for test, those
                before for validation). Default: "groups" with `groups`, else
                "stratified" for classification, else "random".
            groups: the group of each row, such as the person a recording is of. No
                group is in two parts.
            seed: seed of the split. Default 0.
            level: what texts are cut into: "word", at blanks, or "character". Default
                "word".
            tokenize: what cuts a text of `x` into tokens. Default None: by `level`.
            vocabulary_size: most tokens of texts, the frequent ones. Default: all
                tokens of the training part. Others become "<unk>".
            least: how often a token of a text must occur in the training part. With 2
                the words that occur once become "<unk>", so that a model learns what to
                make of a word that it doesn't know. Default 1.
            target_level: the same for target texts of "sequence_to_sequence". Default:
                `level`.
            classes: names of the classes or labels, or their number. Default: as many
                as `y` has.
            name: name of the task. Default "arrays".
            description: what is to be learned, on one line.

        Raises:
            ValueError: for sequences without steps, NaN, targets that don't fit, a
                class without an example in the training part, parts without rows. It
                names the row.
            ImportError: if the split needs scikit-learn and it is missing.

        Example:

        >>> x = [np.ones((n, 3)) for n in range(1, 41)]
        >>> y = ["up", "down"] * 20
        >>> task = keras_rnnx.datasets.Task.from_arrays(x, y)
        >>> task.kind, task.input_shape, task.target_vocabulary.tokens
        ('classification', (None, 3), ('down', 'up'))
        """
        found = arrays.fields(
            x,
            y,
            kind,
            validation,
            test,
            split,
            groups,
            integer("seed", seed, 0),
            level,
            tokenize,
            vocabulary_size,
            least,
            target_level,
            classes,
        )
        return cls(name=name, description=description, **found)

    @classmethod
    def from_series(
        cls,
        values: Any,
        window: int,
        horizon: int,
        *,
        stride: int = 1,
        targets: Any = None,
        validation: Any = 0.1,
        test: Any = 0.2,
        scale: str | None = "standard",
        season: int = 1,
        name: str = "series",
        description: str = "",
    ) -> Task:
        """A forecast of your own series, from a window of it.

        The first rows are for training, the last ones for test. Windows begin before
        the part that their targets lie in: what came before is known when one
        forecasts. No target is in two parts, and mean and deviation are those of the
        part for training.

        Args:
            values: `(time,)`, `(time, features)`, or a data frame.
            window: number of steps that a model reads.
            horizon: number of steps that it forecasts.
            stride: steps between windows. Default 1.
            targets: columns to forecast, by number, or by name for a data frame.
                Default: all.
            validation: fraction of the rows, or their number. Default 0.1.
            test: the same for the test part. Default 0.2.
            scale: "standard" for mean 0 and deviation 1, or None. Default "standard".
            season: steps of a season: the metric `mase` compares with the forecast that
                repeats the season before. Default 1: the last value.
            name: name of the task. Default "series".
            description: what is to be learned, on one line.

        Raises:
            ValueError: for gaps (NaN), with row and column; a window or horizon that is
                longer than a part; an unknown column.

        Example:

        >>> wave = np.sin(np.arange(400) / 5)
        >>> task = keras_rnnx.datasets.Task.from_series(wave, window=20, horizon=5)
        >>> task.train.x.shape, task.train.y.shape
        ((256, 20, 1), (256, 5, 1))
        """
        found = series.fields(
            values, window, horizon, stride, targets, validation, test, scale, season
        )
        return cls(name=name, description=description, kind="forecasting", **found)

    @classmethod
    def from_text(
        cls,
        text: str | Sequence[str],
        *,
        level: str = "character",
        validation: Any = 0.05,
        test: Any = 0.05,
        vocabulary_size: int | None = None,
        name: str = "text",
        description: str = "",
    ) -> Task:
        """A language model of your own text, of its characters or words.

        The beginning of the text is for training, its end for test.

        Args:
            text: a text, or a sequence of tokens.
            level: what it is cut into: "character", or "word", at blanks. Default
                "character".
            validation: fraction of the tokens, their number, or another text. Default
                0.05.
            test: the same for the test part. Default 0.05.
            vocabulary_size: most tokens, the frequent ones. Default: all tokens of the
                training part. Others become "<unk>".
            name: name of the task. Default "text".
            description: what is to be learned, on one line.

        Raises:
            ValueError: for a text that is too short for its parts, or an unknown level.

        Example:

        >>> task = keras_rnnx.datasets.Task.from_text("to be or not to be. " * 50)
        >>> x, y = task.batches(
        ...     batch_size=2, steps=8, drop_remainder=True)[0]
        >>> x.shape, task.vocabulary.decode(x[0])
        ((2, 8), 'to be or')
        """
        found = texts.fields(text, level, validation, test, vocabulary_size)
        return cls(name=name, description=description, kind="language_model", **found)

    @classmethod
    def from_tfds(
        cls,
        name: str,
        *,
        x: str | None = None,
        y: str | None = None,
        kind: str | None = None,
        groups: str | None = None,
        splits: Mapping[str, str] | None = None,
        data_dir: str | os.PathLike | None = None,
        manual_dir: str | os.PathLike | None = None,
        config: Mapping[str, Any] | None = None,
        description: str = "",
        **options: Any,
    ) -> Task:
        """A task of a data set of tensorflow-datasets, on every backend.

        Parts that the data set has are kept; those that it lacks are drawn from the
        part for training.

        Args:
            name: name of the data set, as "imdb_reviews" or "rnnx_adding/length_200".
            x: the feature that holds sequences. Default: the first supervised key.
            y: the feature to be learned. Default: the second supervised key; None for
                "next_step" and "language_model".
            kind: a name of `keras_rnnx.datasets.KINDS`. Default: what `y` holds says,
                as in `from_arrays`.
            groups: a feature, such as the speaker: no value of it is in two of the
                parts that are drawn.
            splits: the part of the data set for each part of the task, as TFDS writes
                it: `{"train": "train[:90%]", "validation": "train[90%:]"}`. Default:
                those called "train", "validation" and "test".
            data_dir, manual_dir: as for `keras_rnnx.datasets.prepare`.
            config: options of the data set, as `{"length": 123}`.
            description: what is to be learned, on one line.
            **options: of `from_arrays`, or of `from_text` for a language model.

        Raises:
            ValueError: for an unknown data set, feature or part, and for data that
                `from_arrays` refuses.
            ImportError, FileNotFoundError, ConnectionError, OSError: as
                `keras_rnnx.datasets.prepare`.

        Example:

        >>> with tempfile.TemporaryDirectory() as folder:
        ...     task = keras_rnnx.datasets.Task.from_tfds(
        ...         "rnnx_parity", data_dir=folder, config={"length": 7, "train": 20})
        >>> task.kind, task.input_shape, task.target_vocabulary.tokens
        ('classification', (7, 1), ('even', 'odd'))
        """
        from keras_rnnx.datasets import from_tfds

        found = from_tfds.fields(
            name, x, y, kind, groups, splits, data_dir, manual_dir, config, options
        )
        kept = {"config": dict(config or {}), **options}
        found.setdefault("kind", "language_model")
        return cls(name=name, description=description, options=kept, **found)

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
            return self.tokens
        return int(np.shape(self.train.y[0])[-1])

    @functools.cached_property
    def baseline(self) -> Figure | None:
        """What a trivial answer achieves on the test part, or None.

        The most frequent class, the mean, the last value of a series, how often each
        note or token occurs: counted in the training part.
        """
        return trivial.baseline(self)

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

    def _weights(self, weights, split):
        if self.kind != "classification":
            raise ValueError(
                f"`class_weight` is for classification, and this is a task of kind "
                f"{self.kind!r}."
            )
        if weights == "balanced":
            counts = np.bincount(self.train.y, minlength=self.classes)
            weights = len(self.train.y) / (self.classes * np.maximum(counts, 1))
        elif isinstance(weights, Mapping):
            weights = [weights.get(n, 1.0) for n in range(self.classes)]
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
            part, batch_size, **options: as for `batches`.

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

        def read():
            batches.on_epoch_begin()
            for index in range(len(batches)):
                yield batches[index]
            batches.on_epoch_end()

        def spec(array):
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
        return new_metrics(self.metrics)
