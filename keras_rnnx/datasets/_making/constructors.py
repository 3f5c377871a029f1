"""How tasks are made of a user's own data, and of data sets of tensorflow-datasets."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from keras_rnnx._numbers import integer
from keras_rnnx.datasets._making import arrays, files, series, texts


class Constructors:
    """Base of `Task`: the class methods that make tasks."""

    if TYPE_CHECKING:
        # `Task` is a dataclass of these fields and others.
        def __init__(self, *, name: str, description: str, **fields: Any): ...

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
    ) -> Self:
        """A task of your own sequences.

        Without `kind`, `y` determines the kind of the task. Integers or names `(n,)`:
        classification. Floats `(n,)` or `(n, outputs)`: regression. A list with a
        sequence for each row: tagging, if all are as long as those of `x`; otherwise
        CTC for `x` with features, and sequence to sequence for tokens.

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
            tokenize: a function that cuts a text of `x` into tokens. Default None: cut
                by `level`.
            vocabulary_size: how many tokens of texts to keep, the frequent ones.
                Default: all of the training part. Others become "<unk>".
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
        attributes = arrays.fields(
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
        return cls(name=name, description=description, **attributes)

    @classmethod
    def from_file(cls, path: str | os.PathLike, **options: Any) -> Self:
        """A task of a file of your own.

        Args:
            path: a file of NumPy, `.npz`, with the arrays `x` and `y`, and perhaps
                `x_validation`, `y_validation`, `x_test`, `y_test` and `groups`; or a
                table, `.csv`, with names in its first line.
            **options: of `from_arrays` for an `.npz` file. A table is a series, with
                those of `from_series`: `window`, `horizon`, ..., and `target`, the
                column to forecast (default: all). Or it holds sequences, with those of
                `from_arrays`, and `sequence` and `target`: the columns that say which
                sequence a row is of, and what is to be learned. `columns` are those
                that are read; default: all with numbers.

        Raises:
            ValueError: for another kind of file, columns and arrays that are not there,
                and as `from_arrays` and `from_series`.
            OSError: if the file can't be read.

        Example:

        >>> path = os.path.join(tempfile.mkdtemp(), "data.npz")
        >>> np.savez(path, x=np.ones((40, 9, 3)), y=np.arange(40) % 2)
        >>> task = keras_rnnx.datasets.Task.from_file(path)
        >>> task.name, task.kind, task.input_shape
        ('data', 'classification', (9, 3))
        """
        return files.read(cls, path, **options)

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
    ) -> Self:
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
        attributes = series.fields(
            values, window, horizon, stride, targets, validation, test, scale, season
        )
        return cls(name=name, description=description, kind="forecasting", **attributes)

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
    ) -> Self:
        """A language model of your own text, of its characters or words.

        The beginning of the text is for training, its end for test.

        Args:
            text: a text, or a sequence of tokens.
            level: what it is cut into: "character", or "word", at blanks. Default
                "character".
            validation: fraction of the tokens, their number, or another text. Default
                0.05.
            test: the same for the test part. Default 0.05.
            vocabulary_size: how many tokens to keep, the frequent ones. Default: all of
                the training part. Others become "<unk>".
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
        attributes = texts.fields(text, level, validation, test, vocabulary_size)
        return cls(
            name=name, description=description, kind="language_model", **attributes
        )

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
    ) -> Self:
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

        >>> folder = tempfile.TemporaryDirectory()
        >>> task = keras_rnnx.datasets.Task.from_tfds(
        ...     "rnnx_parity", data_dir=folder.name, config={"length": 7, "train": 20})
        Downloading and preparing dataset ...
        >>> task.kind, task.input_shape, task.target_vocabulary.tokens
        ('classification', (7, 1), ('even', 'odd'))
        """
        from keras_rnnx.datasets._making import from_tfds

        attributes = from_tfds.fields(
            name, x, y, kind, groups, splits, data_dir, manual_dir, config, options
        )
        kept = {"config": dict(config or {}), **options}
        attributes.setdefault("kind", "language_model")
        return cls(name=name, description=description, options=kept, **attributes)
