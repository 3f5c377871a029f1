"""The hypermodel: the models that a search chooses from."""

from __future__ import annotations

import collections
import inspect
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import keras
import keras_tuner
import numpy as np
from keras_tuner.engine.metrics_tracking import infer_metric_direction

from keras_rnnx._numbers import integer
from keras_rnnx.callbacks import TruncatedBPTT
from keras_rnnx.cells.registry import catalog_name
from keras_rnnx.datasets import ContiguousBatches, Task
from keras_rnnx.datasets.kinds import kind_of, new_metrics
from keras_rnnx.models.for_task import FROM_BASE_RATES, determined
from keras_rnnx.tuner._space import arguments
from keras_rnnx.tuner._space.hyperparameters import (
    ANY_LENGTH,
    of_cells,
    of_model,
    of_training,
)
from keras_rnnx.tuner._space.sizes import units_for
from keras_rnnx.tuner._space.space import Space
from keras_rnnx.tuner._trials import training
from keras_rnnx.tuner.seeds import derive_seed

CELLS = ("lstm", "gru", "leaky_rnn")
# Names that a search adds to the values of a trial begin with this; they are not
# hyperparameters.
NOTE = "tuner/"
# The number of the training, if there are several with the same hyperparameters.
RUN = f"{NOTE}run"
MAX_SIZES = 4096


class HyperRNN(keras_tuner.HyperModel):
    """Recurrent models for every kind of task, for any KerasTuner tuner.

    The models come from `keras_rnnx.models`: a classifier, a tagger, a language model,
    ... The search space depends on `preset`, and `space` changes it:

    | preset | hyperparameter | values |
    |---|---|---|
    | "quick" | `cell` | `cells` |
    | | `units` | 16 to 256, logarithmic |
    | | `dropout`: between layers, of outputs, of tokens | 0 to 0.6 |
    | | `learning_rate` | 3e-4 to 2e-2, logarithmic |
    | "standard" | `CELL/recipe` | "none", and recipes that fit |
    | | `CELL/OPTION`, without a recipe | `Cell.search_space` |
    | | `layers` | 1 to 3 |
    | | `bidirectional`, except for causal models | False, True |
    | | `regularizer` | "none", "recurrent_dropout", "zoneout" |
    | | the rate of the regularizer, under its name | 0.02 to 0.6 |
    | | `normalization` | "none", "layer_norm" |
    | | `pooling`, with one answer for a sequence | "last", "mean", "max" |
    | | `attention`, sequence to sequence | "none", "additive", "multiplicative" |
    | | `global_clipnorm` | 0.1 to 10, logarithmic |
    | | `steps` of truncated backpropagation | 20, 35, 70, 140 |
    | "thorough" | `regularizer` | also "weight_dropout", "update_dropout" |
    | | `normalization`, of sequences up to a known length | also "batch_norm" |
    | | `connection`, answers at each step | "none", "residual", "highway", "glu" |
    | | `initial_state_trainable`, except for language models | False, True |
    | | `embedding`, for tokens | 16 to 256, logarithmic |
    | | `tied`, for language models | False, True |
    | | `optimizer` | "adam", "adamw", "rmsprop" |
    | | `weight_decay`, for "adamw" | 1e-4 to 1e-1, logarithmic |
    | | `schedule` | "cosine", "warmup", "constant" |
    | | `batch_size` | 16, 32, 64, 128 |

    A trial has only the hyperparameters that it uses. Cells get only the arguments that
    they accept: no `zoneout` if a cell has no state to keep. Two and more layers of a
    linear cell ("lru") always have `connection="glu"`, without which they are one
    linear layer; with one answer for a sequence they read it in one direction.

    Training lowers the learning rate along a cosine, stops a trial that has not
    improved for half of its epochs, and ends a trial that diverges. Its score is then
    the score of the epochs before: NaN and infinities never win.

    Args:
        input_shape: `(time, features)` of one sequence, or `(time,)` of tokens; `time`
            may be None.
        classes: number of classes, with integer targets. None: values.
        outputs: number of values to predict, if `classes` is None; for "forecasting"
            `(horizon, values)`. For "next_step" the number of labels, for
            "sequence_to_sequence" the number of target tokens. Default 1.
        cells: names of the cells to choose from, the default first. Default "lstm",
            "gru" and "leaky_rnn".
        preset: "quick", "standard" or "thorough". Default "standard".
        space: changes of the search space, by name: a list of values, bounds
            `(low, high)` or `(low, high, "log")`, one of `keras_rnnx.cells.ranges`; a
            value, to fix it; or None, to leave it at its default. Another name is an
            argument of the model, its stack or its cells: `{"checkpoint": True}`.
        params: number of weights. `units` is then not searched: each model gets the
            units that give it about so many weights, so that cells compete at equal
            size. Default None.
        front: layers before the recurrent ones, such as a convolution: a function of a
            `keras_tuner.HyperParameters` and a Keras tensor `(batch, time, features)`.
            Default None: nothing.
        loss: a Keras loss. Default: the loss of the kind.
        metrics: Keras metrics, or their names. Default: the metrics of the kind.
        objective: a `keras_tuner.Objective`. Default: the objective of the kind.
        seed: integer that, with a trial's hyperparameters, determines its initial
            weights, dropout and shuffling, through `keras.utils.set_random_seed`.
            Default None: random.
        kind: a name of `keras_rnnx.datasets.KINDS`. Default: "classification" with
            `classes`, else "regression".
        tokens: number of tokens, if sequences are tokens; token 0 is padding.
        masked: whether padded steps are masked: steps of NaN, as in
            `keras_rnnx.datasets.PaddedBatches`, or of token 0. Default: True if `time`
            is None.
        longest: number of steps of the longest sequence, if `time` is None. Recipes
            that need a time scale use it.
        base_rates: shares of labels or means of values that models start with, as for
            `keras_rnnx.models.classifier`. Default None: they start at zero; for a task
            of kind "next_step", as of `HyperRNN.for_task`: those of the task.
        name: passed to `keras_tuner.HyperModel`.
        tunable: passed to `keras_tuner.HyperModel`.

    Raises:
        ValueError: for an unknown cell, preset or kind, with similar names, a shape
            that is not `(time, features)`, or an empty range.

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
        input_shape: tuple[int | None, ...],
        classes: int | None = None,
        outputs: int | tuple[int, int] = 1,
        cells: Iterable[str] = CELLS,
        preset: str = "standard",
        space: Mapping[str, Any] | None = None,
        params: int | None = None,
        front: Callable[[keras_tuner.HyperParameters, Any], Any] | None = None,
        loss: Any = None,
        metrics: Sequence[Any] | None = None,
        objective: keras_tuner.Objective | None = None,
        seed: int | None = None,
        kind: str | None = None,
        tokens: int | None = None,
        masked: bool | None = None,
        longest: int | None = None,
        base_rates: Any = None,
        name: str | None = None,
        tunable: bool = True,
    ):
        super().__init__(name=name, tunable=tunable)
        self.input_shape = tuple(input_shape)
        self.tokens = None if tokens is None else integer("tokens", tokens, 2)
        rank = 2 if tokens is None else 1
        if len(self.input_shape) != rank or None in self.input_shape[1:]:
            expected = "(time, features)" if tokens is None else "(time,)"
            raise ValueError(
                f"`input_shape` must be {expected}, received {input_shape}."
            )
        usual = kind_of(kind or ("classification" if classes else "regression"))
        self.kind = usual.name
        if classes is not None and classes < 2:
            raise ValueError(f"`classes` must be at least 2, received {classes}.")
        if np.min(outputs) < 1:
            raise ValueError(f"`outputs` must be positive, received {outputs}.")
        # Normalized, so that a search continues however its cells are spelled.
        self.cells = tuple(map(catalog_name, cells))
        if not self.cells or len(set(self.cells)) < len(self.cells):
            raise ValueError(f"`cells` must be distinct names, received {self.cells}.")
        self.classes = classes
        self.outputs = outputs
        self.steps = self.input_shape[0]
        self.longest = self.steps or longest
        self.params = None if params is None else integer("params", params, 1)
        self.front = front
        self.seed = seed
        self._determine(masked, base_rates)
        changes = dict(space or {}) if isinstance(space or {}, Mapping) else space
        if self.params is not None:
            if "units" in changes:
                raise ValueError(
                    "`params` determines the units of each model, but `space` has "
                    "'units' too: leave one of them out."
                )
            changes["units"] = None
        hyperparameters = [
            *of_model(self.kind, self.tokens is not None),
            *of_cells(self.cells, self.longest, preset, self.kind),
            *of_training(self.kind),
        ]
        self.space = Space(hyperparameters, preset, changes, self.cells)
        arguments.check_training(self.space.hyperparameters)
        self.loss = usual.loss if loss is None else loss
        self.metrics = list(usual.metrics if metrics is None else metrics)
        self.objective = objective or keras_tuner.Objective(*usual.objective)
        self._fits: collections.Counter[int] = collections.Counter()
        self._sizes: dict[Any, int] = {}

    def _determine(self, masked: bool | None, base_rates: Any) -> None:
        """Sets the function that makes models, and the arguments that are fixed."""
        horizon, outputs = None, self.classes or self.outputs
        if self.kind == "forecasting":
            horizon, outputs = np.broadcast_to(self.outputs, 2).tolist()
        elif np.ndim(outputs):
            raise ValueError(
                f"`outputs` must be a number unless kind='forecasting', received "
                f"{outputs!r}."
            )
        facts = types.SimpleNamespace(
            kind=self.kind,
            features=None if self.tokens else self.input_shape[1],
            tokens=self.tokens,
            steps=self.steps,
            outputs=outputs,
            horizon=horizon,
        )
        self.make, self.arguments = determined(facts)
        if masked is not None and self.kind != "language_model":
            self.arguments["masked"] = bool(masked)
        if base_rates is not None:
            if "base_rates" not in inspect.signature(self.make).parameters:
                raise ValueError(
                    f"`base_rates` are not for models of kind {self.kind!r}. Leave "
                    f"them out."
                )
            self.arguments["base_rates"] = np.asarray(base_rates, "float64").tolist()

    @classmethod
    def for_task(cls, task: Task, **kwargs: Any) -> HyperRNN:
        """The hypermodel that fits a task.

        Args:
            task: a task, as `keras_rnnx.datasets.load_task` returns it.
            **kwargs: the other arguments of `HyperRNN`.

        Example:

        >>> task = keras_rnnx.datasets.load_task("adding", length=50)
        >>> keras_rnnx.tuner.HyperRNN.for_task(task, cells=["gru"]).input_shape
        (50, 2)
        """
        assert task.objective is not None
        outputs: int | tuple[int | None, int] = task.outputs
        if task.kind == "forecasting":
            outputs = (task.horizon, task.outputs)
        facts = {
            "classes": task.classes,
            "outputs": outputs,
            "kind": task.kind,
            "tokens": task.tokens,
            "longest": task.longest,
            "base_rates": task.base_rates if task.kind in FROM_BASE_RATES else None,
            "loss": task.loss,
            "metrics": task.metrics,
            "objective": keras_tuner.Objective(*task.objective),
        }
        return cls(task.input_shape, **{**facts, **kwargs})

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Makes the compiled model for a choice of hyperparameters."""
        settings = self.settings(hp)
        if self.seed is not None:
            keras.utils.set_random_seed(self.trial_seed(hp))
        model = self.make(**self.model_arguments(settings, hp))
        model.compile(
            arguments.optimizer(settings),
            loss=self.loss,
            metrics=new_metrics(self.metrics),
        )
        return model

    def settings(self, hp: keras_tuner.HyperParameters) -> dict[str, Any]:
        """All values of a choice of hyperparameters, including the defaults.

        With `params` it makes some small models, to determine `units`.
        """
        settings = self.space.draw(hp)
        if self.params is not None:
            settings["units"] = self._units(settings, hp)
        return settings

    def declare_hyperparameters(self, hp: keras_tuner.HyperParameters) -> None:
        """Registers the whole space, for a tuner."""
        self.space.declare(hp)
        if self.front is not None:
            self.front(hp, keras.KerasTensor((None, self.steps, self._width)))

    @property
    def _width(self) -> int | None:
        """Number of features of the inputs of `front`."""
        return self.input_shape[-1] if self.tokens is None else 1

    def model_arguments(
        self, settings: Mapping[str, Any], hp: keras_tuner.HyperParameters | None = None
    ) -> dict[str, Any]:
        """The arguments of the function of `keras_rnnx.models` that makes the model.

        Args:
            settings: the result of `settings`.
            hp: the hyperparameters, which `front` reads.
        """
        fixed_length = self.steps is not None and self.kind not in ANY_LENGTH
        tokens = self.tokens is not None
        result = {
            **self.arguments,
            **arguments.stack_arguments(settings, self.longest, fixed_length, tokens),
        }
        if self.kind == "ctc":
            result["bidirectional"] = settings["bidirectional"]
        if self.kind == "language_model":
            # Texts continue from batch to batch.
            result |= {"stateful": True, "batch_size": settings["batch_size"]}
        if self.front is not None:
            result["front"] = lambda x: self.front(hp, x)
        return result

    def _units(
        self, settings: Mapping[str, Any], hp: keras_tuner.HyperParameters
    ) -> int:
        """The units that give a model its number of weights."""

        def count(units: int) -> int:
            sized = {**settings, "units": units}
            return self.make(**self.model_arguments(sized, hp)).count_params()

        key = repr(sorted((k, v) for k, v in settings.items() if k != "units"))
        if key not in self._sizes:
            if len(self._sizes) >= MAX_SIZES:
                self._sizes.clear()
            assert self.params is not None
            self._sizes[key] = units_for(count, self.params)
        return self._sizes[key]

    def trial_seed(self, hp: keras_tuner.HyperParameters) -> int | None:
        """The seed of a trial, for `keras.utils.set_random_seed`; or None."""
        if self.seed is None:
            return None
        key = derive_seed(self.seed, _values(hp))
        # The number of the run distinguishes the trainings of one trial.
        return derive_seed(key, hp.values.get(RUN, self._fits[key]))

    def fit(
        self,
        hp: keras_tuner.HyperParameters,
        model: keras.Model,
        *args: Any,
        **kwargs: Any,
    ) -> dict[str, float]:
        """Trains a model of `build`. Takes the arguments of `keras.Model.fit`.

        Arrays are cut into batches of the drawn size, unless you pass `batch_size`.
        With `keras_rnnx.datasets.ContiguousBatches` a batch continues from the states
        of the one before.

        Returns:
            The logs of the best epoch, by name; if the first epoch diverged, the
            penalty under each name.
        """
        kwargs = self._bound(model, args, kwargs)
        settings = self.space.draw(hp)
        validated = kwargs.get("validation_data") is not None
        validated = validated or bool(kwargs.get("validation_split"))
        goal = self.objective if validated else keras_tuner.Objective("loss", "min")
        callbacks = training.callbacks(
            settings, kwargs.get("epochs", 1), goal.name, goal.direction
        )
        x: Any = kwargs.get("x")
        if hasattr(x, "seek"):
            # Each trial gets the same order of batches.
            x.seek(kwargs.get("initial_epoch", 0))
        if isinstance(x, ContiguousBatches):
            kwargs["shuffle"] = False
            callbacks.append(TruncatedBPTT(x))
        elif not isinstance(x, keras.utils.PyDataset) and kwargs.get("y") is not None:
            kwargs.setdefault("batch_size", settings["batch_size"])
        # Before the tuner's own callbacks, so that they see the learning rate.
        users = list(kwargs.get("callbacks") or [])
        beside = [
            callback
            for callback in users
            if getattr(callback, "sees_divergence", False)
        ]
        others = [callback for callback in users if callback not in beside]
        kwargs["callbacks"] = [*callbacks, training.WhileFinite(others), *beside]
        history = model.fit(**kwargs).history
        self._fits[derive_seed(self.seed, _values(hp))] += 1
        best = training.best_epoch(history, goal.name, goal.direction)
        if best is None:
            return {name: self._penalty(name) for name in history}
        return {name: values[best] for name, values in history.items()}

    @staticmethod
    def _bound(
        model: keras.Model, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> dict[str, Any]:
        """All arguments of `fit` by name."""
        names = list(inspect.signature(model.fit).parameters)
        return {**dict(zip(names, args)), **kwargs}

    def _penalty(self, name: str) -> float:
        if name == self.objective.name:
            return training.penalty(self.objective.direction)
        return training.penalty(infer_metric_direction(name))


def _values(hp: keras_tuner.HyperParameters) -> dict[str, Any]:
    """The hyperparameters of a trial, without the names that a search adds."""
    return {k: v for k, v in hp.values.items() if not k.startswith(NOTE)}
