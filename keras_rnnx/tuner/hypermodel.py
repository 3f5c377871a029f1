"""The hypermodel: which models there are to search."""

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
from keras_rnnx.models.for_task import determined
from keras_rnnx.tuner._space import arguments
from keras_rnnx.tuner._space.hyperparameters import of_cells, of_model, of_training
from keras_rnnx.tuner._space.sizes import units_for
from keras_rnnx.tuner._space.space import Space
from keras_rnnx.tuner._trials import training
from keras_rnnx.tuner.seeds import derive_seed

CELLS = ("lstm", "gru", "leaky_rnn")
# What a search notes in the values of a trial begins so, and is no hyperparameter.
NOTE = "tuner/"
# Which training of these hyperparameters it is, where there are several.
RUN = f"{NOTE}run"
MAX_SIZES = 4096


class HyperRNN(keras_tuner.HyperModel):
    """Recurrent models for every kind of task, for any KerasTuner tuner.

    Models are those of `keras_rnnx.models`: a classifier, a tagger, a language model,
    ... What is searched depends on `preset`, and `space` changes it:

    | preset | hyperparameter | values |
    |---|---|---|
    | "quick" | `cell` | `cells` |
    | | `units` | 16 to 256, logarithmic |
    | | `dropout`: between layers, of outputs, of tokens | 0 to 0.6 |
    | | `learning_rate` | 3e-4 to 2e-2, logarithmic |
    | "standard" | `CELL/recipe` | "none", and recipes that fit |
    | | `CELL/OPTION`, without a recipe | `Cell.search_space` |
    | | `layers` | 1 to 3 |
    | | `bidirectional`, but for causal models | False, True |
    | | `regularizer` | "none", "recurrent_dropout", "zoneout" |
    | | the rate of that, under its name | 0.02 to 0.6 |
    | | `normalization` | "none", "layer_norm" |
    | | `pooling`, of one answer for a sequence | "last", "mean", "max" |
    | | `attention`, sequence to sequence | "none", "additive", "multiplicative" |
    | | `global_clipnorm` | 0.1 to 10, logarithmic |
    | | `steps` of truncated backpropagation | 20, 35, 70, 140 |
    | "thorough" | `regularizer` | also "weight_dropout", "update_dropout" |
    | | `normalization` | also "batch_norm" |
    | | `connection`, of an answer at each step | "none", "residual", "highway" |
    | | `initial_state_trainable` | False, True |
    | | `embedding`, of tokens | 16 to 256, logarithmic |
    | | `tied`, of language models | False, True |
    | | `optimizer` | "adam", "adamw", "rmsprop" |
    | | `weight_decay`, of "adamw" | 1e-4 to 1e-1, logarithmic |
    | | `schedule` | "cosine", "warmup", "constant" |
    | | `batch_size` | 16, 32, 64, 128 |

    A trial has those hyperparameters that it uses and no others. Cells have only what
    they take: no `zoneout` where there is nothing to keep.

    Training lowers the learning rate along a cosine, stops a trial that has not
    improved for half of its epochs, and ends one that diverges. Its score is then that
    of the epochs before: NaN and infinities win nothing.

    Args:
        input_shape: `(time, features)` of one sequence, or `(time,)` of tokens; `time`
            may be None.
        classes: number of classes, with integer targets. None: values.
        outputs: number of values to predict, if `classes` is None; for "forecasting"
            `(horizon, values)`. For "next_step" the number of labels, for
            "sequence_to_sequence" that of target tokens. Default 1.
        cells: names of the cells to choose from, the default first. Default "lstm",
            "gru" and "leaky_rnn".
        preset: "quick", "standard" or "thorough". Default "standard".
        space: changes of it, by name: a list of values, bounds `(low, high)` or
            `(low, high, "log")`, one of `keras_rnnx.cells.ranges`; a value, to fix it;
            or None, to leave it at its default. Another name is an argument of the
            model, its stack or its cells: `{"checkpoint": True}`.
        params: number of weights: `units` is not searched, and each model has the units
            that give it about so many weights, so that cells compete at equal size.
            Default None.
        front: what stands before the recurrent layers, such as a convolution: a
            function of a `keras_tuner.HyperParameters` and a Keras tensor
            `(batch, time, features)`. Default None: nothing.
        loss: a Keras loss. Default: that of the kind.
        metrics: Keras metrics, or their names. Default: those of the kind.
        objective: a `keras_tuner.Objective`. Default: that of the kind.
        seed: integer that, with a trial's hyperparameters, determines its initial
            weights, dropout and shuffling, by way of `keras.utils.set_random_seed`.
            Default None: random.
        kind: a name of `keras_rnnx.datasets.KINDS`. Default: "classification" with
            `classes`, else "regression".
        tokens: number of tokens, 0 of which is padding, where sequences are tokens.
        masked: whether padded steps are masked: those of NaN, as in
            `keras_rnnx.datasets.PaddedBatches`, or of token 0. Default: where `time` is
            None.
        longest: number of steps of the longest sequence, where `time` is None. Recipes
            that need a time scale take it.
        name: passed to `keras_tuner.HyperModel`.
        tunable: passed to `keras_tuner.HyperModel`.

    Raises:
        ValueError: for an unknown cell, preset or kind, with the nearest names, a shape
            that is not `(time, features)`, or a range that is empty.

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
        # A search goes on where it was, however its cells are spelled.
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
        self._determine(masked)
        changes = dict(space or {}) if isinstance(space or {}, Mapping) else space
        if self.params is not None:
            if "units" in changes:
                raise ValueError(
                    "`params` determines the units of each model, and `space` names "
                    "'units' too: leave one of them out."
                )
            changes["units"] = None
        known = [
            *of_model(self.kind, self.tokens is not None),
            *of_cells(self.cells, self.longest, preset, self.kind),
            *of_training(self.kind),
        ]
        self.space = Space(known, preset, changes, self.cells)
        arguments.check_training(self.space.hyperparameters)
        self.loss = usual.loss if loss is None else loss
        self.metrics = list(usual.metrics if metrics is None else metrics)
        self.objective = objective or keras_tuner.Objective(*usual.objective)
        self._fits: collections.Counter[int] = collections.Counter()
        self._sizes: dict[Any, int] = {}

    def _determine(self, masked):
        """The function that makes models, and those of its arguments that are known."""
        horizon, outputs = None, self.classes or self.outputs
        if self.kind == "forecasting":
            horizon, outputs = np.broadcast_to(self.outputs, 2).tolist()
        elif np.ndim(outputs):
            raise ValueError(
                f"`outputs` must be a number but for kind='forecasting', received "
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
        assert task.objective is not None
        outputs: int | tuple[int | None, int] = task.outputs
        if task.kind == "forecasting":
            outputs = (task.horizon, task.outputs)
        own = {
            "classes": task.classes,
            "outputs": outputs,
            "kind": task.kind,
            "tokens": task.tokens,
            "longest": task.longest,
            "loss": task.loss,
            "metrics": task.metrics,
            "objective": keras_tuner.Objective(*task.objective),
        }
        return cls(task.input_shape, **{**own, **kwargs})

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
        """All values that a choice of hyperparameters stands for, with the defaults.

        With `params` it makes some small models, to find `units`.
        """
        settings = self.space.draw(hp)
        if self.params is not None:
            settings["units"] = self._units(settings, hp)
        return settings

    def declare_hyperparameters(self, hp: keras_tuner.HyperParameters) -> None:
        """Tells a tuner of the whole space."""
        self.space.declare(hp)
        if self.front is not None:
            self.front(hp, keras.KerasTensor((None, self.steps, self._width)))

    @property
    def _width(self):
        """Number of features that stand before the recurrent layers."""
        return self.input_shape[-1] if self.tokens is None else 1

    def model_arguments(
        self, settings: Mapping[str, Any], hp: keras_tuner.HyperParameters | None = None
    ) -> dict[str, Any]:
        """The arguments of the function of `keras_rnnx.models` that makes the model.

        Args:
            settings: what `settings` gave.
            hp: the hyperparameters, which `front` reads.
        """
        known = self.steps is not None
        tokens = self.tokens is not None
        found = {
            **self.arguments,
            **arguments.stack_arguments(settings, self.longest, known, tokens),
        }
        if self.kind == "ctc":
            found["bidirectional"] = settings["bidirectional"]
        if self.kind == "language_model":
            # Texts go on from batch to batch.
            found |= {"stateful": True, "batch_size": settings["batch_size"]}
        if self.front is not None:
            found["front"] = lambda x: self.front(hp, x)
        return found

    def _units(self, settings, hp):
        """The units that give a model its number of weights."""

        def count(units):
            one = {**settings, "units": units}
            return self.make(**self.model_arguments(one, hp)).count_params()

        key = repr(sorted((k, v) for k, v in settings.items() if k != "units"))
        if key not in self._sizes:
            if len(self._sizes) >= MAX_SIZES:
                self._sizes.clear()
            self._sizes[key] = units_for(count, self.params)
        return self._sizes[key]

    def trial_seed(self, hp: keras_tuner.HyperParameters) -> int | None:
        """The seed of a trial, for `keras.utils.set_random_seed`; or None."""
        if self.seed is None:
            return None
        key = derive_seed(self.seed, _values(hp))
        # It tells the trainings of one trial apart.
        return derive_seed(key, hp.values.get(RUN, self._fits[key]))

    def fit(
        self,
        hp: keras_tuner.HyperParameters,
        model: keras.Model,
        *args: Any,
        **kwargs: Any,
    ) -> dict[str, float]:
        """Trains a model of `build`. Takes the arguments of `keras.Model.fit`.

        Arrays come in batches of the size that was drawn, unless `batch_size` is given.
        Of `keras_rnnx.datasets.ContiguousBatches` a batch goes on with the states of
        the one before.

        Returns:
            What the best epoch logged, by name; if the first one diverged already, the
            penalty under each name.
        """
        kwargs = self._bound(model, args, kwargs)
        settings = self.space.draw(hp)
        validated = kwargs.get("validation_data") is not None
        validated = validated or bool(kwargs.get("validation_split"))
        goal = self.objective if validated else keras_tuner.Objective("loss", "min")
        own = training.callbacks(
            settings, kwargs.get("epochs", 1), goal.name, goal.direction
        )
        x: Any = kwargs.get("x")
        if hasattr(x, "seek"):
            # A trial has the same order of batches, whichever came before it.
            x.seek(kwargs.get("initial_epoch", 0))
        if isinstance(x, ContiguousBatches):
            kwargs["shuffle"] = False
            own.append(TruncatedBPTT(x))
        elif not isinstance(x, keras.utils.PyDataset) and kwargs.get("y") is not None:
            kwargs.setdefault("batch_size", settings["batch_size"])
        # Ahead of the tuner's own callbacks, which then see the learning rate.
        given = list(kwargs.get("callbacks") or [])
        beside = [one for one in given if getattr(one, "sees_divergence", False)]
        others = [one for one in given if one not in beside]
        kwargs["callbacks"] = [*own, training.WhileFinite(others), *beside]
        history = model.fit(**kwargs).history
        self._fits[derive_seed(self.seed, _values(hp))] += 1
        best = training.best_epoch(history, goal.name, goal.direction)
        if best is None:
            return {name: self._penalty(name) for name in history}
        return {name: values[best] for name, values in history.items()}

    @staticmethod
    def _bound(model, args, kwargs):
        """All arguments of `fit` by name."""
        names = list(inspect.signature(model.fit).parameters)
        return {**dict(zip(names, args)), **kwargs}

    def _penalty(self, name):
        if name == self.objective.name:
            return training.penalty(self.objective.direction)
        return training.penalty(infer_metric_direction(name))


def _values(hp):
    """The hyperparameters of a trial, without a search's own notes."""
    return {k: v for k, v in hp.values.items() if not k.startswith(NOTE)}
