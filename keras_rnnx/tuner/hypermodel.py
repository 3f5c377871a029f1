"""The hypermodel: which models there are to search."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import keras_tuner
import numpy as np
from keras_tuner.engine.metrics_tracking import infer_metric_direction

from keras_rnnx import layers
from keras_rnnx._numbers import integer
from keras_rnnx.cells.registry import catalog_name, lookup
from keras_rnnx.datasets import Task
from keras_rnnx.datasets.kinds import kind_of, new_metrics
from keras_rnnx.tuner import training
from keras_rnnx.tuner.seeds import derive_seed

CELLS = ("lstm", "gru", "leaky_rnn")
EACH_STEP = ("tagging", "next_step")
KINDS = ("classification", "regression", "forecasting", *EACH_STEP)


class HyperRNN(keras_tuner.HyperModel):
    """Recurrent models of a sequence or of each step, for any KerasTuner tuner.

    It searches the cell and the cell's own hyperparameters (`Cell.search_space`), the
    number of layers, the units of each, Gaussian noise on the inputs, dropout between
    layers and before the output, learning rate and gradient clipping.

    Training lowers the learning rate along a cosine, stops a trial that has not
    improved for half of its epochs, and ends one that diverges: its score is then
    1e30, or -1e30 where more is better, so that it neither fails nor wins.

    Args:
        input_shape: `(time, features)` of one sequence, or `(time,)` of tokens; `time`
            may be None.
        classes: number of classes, with integer targets. None: values.
        outputs: number of values to predict, if `classes` is None; for "forecasting"
            `(horizon, values)`. Default 1.
        cells: names of the cells to choose from, the default first. Default "lstm",
            "gru" and "leaky_rnn".
        min_units: least units of a layer. Default 32.
        max_units: most units of a layer. Default 128.
        max_layers: most recurrent layers. Default 2.
        max_noise: largest standard deviation of the noise, in the units of the inputs.
            Default 0.2, for values of about one; 0 for none.
        loss: a Keras loss. Default: cross-entropy, or mean squared error.
        metrics: names of Keras metrics. Default: accuracy, or mean absolute error.
        objective: a `keras_tuner.Objective`. Default: validation accuracy, or loss.
        seed: integer that, with a trial's hyperparameters, determines its initial
            weights, dropout and shuffling, by way of `keras.utils.set_random_seed`.
            Default None: random.
        kind: "classification", "regression" or "forecasting": one answer for a
            sequence; "tagging" or "next_step": one for each step. Default: by
            `classes`, one of the first two.
        tokens: number of tokens, 0 of which is padding, where sequences are tokens.
        masked: whether steps of NaN are padding, as in
            `keras_rnnx.datasets.PaddedBatches`. Default False.
        name: passed to `keras_tuner.HyperModel`.
        tunable: passed to `keras_tuner.HyperModel`.

    Raises:
        ValueError: for an unknown cell, with the nearest names, a shape that is not
            `(time, features)`, or a range that is empty.

    Example:

    >>> hypermodel = keras_rnnx.tuner.HyperRNN(input_shape=(64, 1), classes=10)
    >>> tuner = keras_tuner.RandomSearch(
    ...     hypermodel, hypermodel.objective, directory=tempfile.mkdtemp())
    >>> tuner.hypermodel.build(tuner.oracle.get_space()).output_shape
    (None, 10)

    Then `tuner.search(x, y, validation_split=0.2, epochs=40)`.
    """

    def __init__(
        self,
        input_shape: tuple[int | None, int],
        classes: int | None = None,
        outputs: int | tuple[int, int] = 1,
        cells: Iterable[str] = CELLS,
        min_units: int = 32,
        max_units: int = 128,
        max_layers: int = 2,
        max_noise: float = 0.2,
        loss: str | None = None,
        metrics: Sequence[str] | None = None,
        objective: keras_tuner.Objective | None = None,
        seed: int | None = None,
        kind: str | None = None,
        tokens: int | None = None,
        masked: bool = False,
        name: str | None = None,
        tunable: bool = True,
    ):
        super().__init__(name=name, tunable=tunable)
        self.input_shape = tuple(input_shape)
        self.tokens = None if tokens is None else integer("tokens", tokens, 2)
        self.masked = bool(masked)
        rank = 2 if tokens is None else 1
        if len(self.input_shape) != rank or None in self.input_shape[1:]:
            expected = "(time, features)" if tokens is None else "(time,)"
            raise ValueError(
                f"`input_shape` must be {expected}, received {input_shape}."
            )
        self.kind = kind or ("classification" if classes else "regression")
        if self.kind not in KINDS:
            raise ValueError(
                f"HyperRNN searches models of the kinds {', '.join(KINDS)}, received "
                f"kind={kind!r}. For others write a build function of your own, with "
                f"`keras_rnnx.models.for_task`."
            )
        # A search goes on where it was, however its cells are spelled.
        self.cells = tuple(map(catalog_name, cells))
        if not self.cells or len(set(self.cells)) < len(self.cells):
            raise ValueError(f"`cells` must be distinct names, received {self.cells}.")
        if classes is not None and classes < 2:
            raise ValueError(f"`classes` must be at least 2, received {classes}.")
        if max_noise < 0:
            raise ValueError(f"`max_noise` must not be negative, received {max_noise}.")
        if np.min(outputs) < 1 or max_layers < 1 or not 1 <= min_units <= max_units:
            raise ValueError(
                f"`outputs`, `max_layers` and `min_units` must be positive and "
                f"`min_units` at most `max_units`, received outputs={outputs}, "
                f"max_layers={max_layers}, min_units={min_units}, "
                f"max_units={max_units}."
            )
        self.classes = classes
        self.outputs = outputs
        self.min_units = min_units
        self.max_units = max_units
        self.max_layers = max_layers
        self.max_noise = max_noise
        self.seed = seed
        usual = kind_of(self.kind)
        self.loss = usual.loss if loss is None else loss
        self.metrics = list(usual.metrics if metrics is None else metrics)
        self.objective = objective or keras_tuner.Objective(*usual.objective)
        self._fits = collections.Counter()

    @classmethod
    def for_task(cls, task: Task, **kwargs: Any) -> HyperRNN:
        """The hypermodel that fits a task.

        Args:
            task: what `keras_rnnx.datasets.load_task` returns.
            **kwargs: the other arguments of `HyperRNN`.

        Example:

        >>> task = keras_rnnx.datasets.load_task("adding", length=50)
        >>> keras_rnnx.tuner.HyperRNN.for_task(task, cells=["gru"]).input_shape
        (50, 2)
        """
        outputs = task.outputs
        if task.kind == "forecasting":
            outputs = task.train.y.shape[1:]
        return cls(
            task.input_shape,
            classes=task.classes,
            outputs=outputs,
            kind=task.kind,
            tokens=task.tokens,
            masked=task.steps is None,
            loss=task.loss,
            metrics=task.metrics,
            objective=keras_tuner.Objective(*task.objective),
            **kwargs,
        )

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Makes the compiled model for a choice of hyperparameters."""
        cell, arguments = self._choose_cell(hp)
        units = self._choose_units(hp)
        noise = 0.0
        if self.max_noise and self.tokens is None:
            half = self.max_noise / 2
            noise = hp.Float("noise", 0.0, self.max_noise, default=half)
        rate = hp.Float("dropout", 0.0, 0.5, step=0.1, default=0.2)
        learning_rate = hp.Float(
            "learning_rate", 2e-3, 2e-2, sampling="log", default=1e-2
        )
        clipnorm = hp.Float("clipnorm", 0.5, 5.0, sampling="log", default=1.0)
        if self.seed is not None:
            keras.utils.set_random_seed(self._trial_seed(hp))

        inputs, x = self._front(noise, units[0])
        each_step = self.kind in EACH_STEP
        for depth, width in enumerate(units):
            # The first layer sees the data whole: with one feature, dropping it would
            # drop the sequence.
            kwargs = {"dropout": rate if depth else 0.0, **arguments}
            sequences = each_step or depth < len(units) - 1
            x = layers.RNN(cell(width, **kwargs), return_sequences=sequences)(x)
        outputs = self._head(keras.layers.Dropout(rate)(x))
        model = keras.Model(inputs, outputs, name=self.name)
        model.compile(
            keras.optimizers.Adam(learning_rate, clipnorm=clipnorm),
            loss=self.loss,
            metrics=new_metrics(self.metrics),
        )
        return model

    def _front(self, noise, width):
        """The inputs of a model, and what its first layer reads."""
        if self.tokens is not None:
            inputs = keras.Input(self.input_shape, dtype="int32")
            return inputs, layers.Embedding(self.tokens, width, mask_zero=True)(inputs)
        inputs = keras.Input(self.input_shape)
        x = layers.MaskPadding()(inputs) if self.masked else inputs
        return inputs, keras.layers.GaussianNoise(noise)(x)

    def _head(self, x):
        """The answer of a model."""
        width = self.classes or int(np.prod(self.outputs))
        activation = "softmax" if self.classes else None
        if self.kind == "next_step":
            activation = "sigmoid"
        # Activations in half precision, the output in full: softmax needs it.
        x = keras.layers.Dense(width, activation=activation, dtype="float32")(x)
        if self.kind != "forecasting":
            return x
        return keras.layers.Reshape(self.outputs, dtype="float32")(x)

    def _choose_cell(self, hp):
        name = hp.Choice("cell", list(self.cells))
        for other in self.cells:
            with hp.conditional_scope("cell", [other]), hp.name_scope(other):
                # In a scope that is not active every draw gives None, which a cell
                # that computes with what it draws cannot take.
                if other == name:
                    arguments = lookup(name).search_space(hp)
        return lookup(name), arguments

    def _choose_units(self, hp):
        depth = hp.Int("layers", 1, self.max_layers)
        units = []
        # All depths are entered, so that a tuner learns of all units from the start.
        for layer in range(self.max_layers):
            deep_enough = list(range(layer + 1, self.max_layers + 1))
            with hp.conditional_scope("layers", deep_enough):
                draw = hp.Int(
                    f"units_{layer}",
                    self.min_units,
                    self.max_units,
                    default=(self.min_units + self.max_units) // 2,
                )
                units.append(draw)
        return units[:depth]

    def _trial_seed(self, hp):
        # The count tells the executions of one trial apart.
        key = derive_seed(self.seed, hp.values)
        return derive_seed(key, self._fits[key])

    def fit(
        self,
        hp: keras_tuner.HyperParameters,
        model: keras.Model,
        *args: Any,
        **kwargs: Any,
    ) -> keras.callbacks.History | dict[str, float]:
        """Trains a model of `build`. Takes the arguments of `keras.Model.fit`.

        Returns:
            The history; if training diverged, the penalty under each logged name.
        """
        validated = kwargs.get("validation_data") is not None
        validated = validated or kwargs.get("validation_split")
        goal = self.objective if validated else keras_tuner.Objective("loss", "min")
        own = training.callbacks(
            hp.get("learning_rate"),
            kwargs.get("epochs", 1),
            monitor=goal.name,
            direction=goal.direction,
        )
        data = kwargs.get("x", args[0] if args else None)
        if hasattr(data, "seek"):
            # A trial has the same order of batches, whichever came before it.
            data.seek(kwargs.get("initial_epoch", 0))
        # Ahead of the tuner's own callbacks, which then see the learning rate.
        kwargs["callbacks"] = [*own, *(kwargs.get("callbacks") or [])]
        history = model.fit(*args, **kwargs)
        self._fits[derive_seed(self.seed, hp.values)] += 1
        if not training.diverged(history.history):
            return history
        return {name: self._penalty(name) for name in history.history}

    def _penalty(self, name):
        if name == self.objective.name:
            return training.penalty(self.objective.direction)
        return training.penalty(infer_metric_direction(name))
