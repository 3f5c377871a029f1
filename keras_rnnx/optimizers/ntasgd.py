"""Non-monotonically triggered averaged stochastic gradient descent."""

from __future__ import annotations

import math
import sys
import warnings
from typing import Any, Self

import keras
import numpy as np
from keras import ops

from keras_rnnx._numbers import integer


@keras.saving.register_keras_serializable("keras_rnnx")
class NTASGD(keras.optimizers.Optimizer):
    """NT-ASGD around any Keras optimizer: averages weights once progress stops.

    The inner optimizer trains as usual. From the trigger T on, this optimizer also
    keeps the average `(w_T + ... + w_k) / (k - T + 1)` of the weights. T is the first
    check at which the validation loss is worse than the best of all checks but the last
    `nonmonotone`. Merity, Keskar & Socher 2017, arXiv:1708.02182, who train by SGD
    without momentum.

    `keras_rnnx.callbacks.SwapAverages` passes it the validation loss, and puts the
    averages into the model during validation. `fit` leaves the averages in the model;
    the next `fit` continues from the weights themselves.

    Args:
        inner_optimizer: a Keras optimizer.
        nonmonotone: number of checks without progress that are allowed; n in the paper.
            Default 5.
        name: name of the optimizer. Default None: "ntasgd".

    Raises:
        ValueError: if `inner_optimizer` is not an optimizer, is a `LossScaleOptimizer`
            (which must wrap this one) or has `use_ema=True`, or if `nonmonotone` is not
            a positive integer.

    Example:

    >>> optimizer = NTASGD(keras.optimizers.SGD(30.0, clipnorm=0.25), nonmonotone=5)
    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    >>> model.compile(optimizer, "mse")
    >>> float(model.optimizer.learning_rate)
    30.0
    """

    def __init__(
        self,
        inner_optimizer: keras.optimizers.Optimizer,
        nonmonotone: int = 5,
        name: str | None = None,
        **kwargs: Any,
    ):
        if kwargs:
            raise ValueError(
                f"NTASGD takes no {', '.join(sorted(kwargs))}: pass such arguments to "
                "the inner optimizer."
            )
        inner = keras.optimizers.get(inner_optimizer)
        if inner is None:
            raise ValueError(
                "NTASGD wraps another optimizer, such as "
                "keras.optimizers.SGD(30.0); received inner_optimizer=None."
            )
        if isinstance(inner, keras.optimizers.LossScaleOptimizer):
            raise ValueError(
                "A LossScaleOptimizer must wrap NTASGD, not the reverse: "
                "LossScaleOptimizer(NTASGD(...)). Received "
                f"inner_optimizer={inner_optimizer!r}."
            )
        if getattr(inner, "use_ema", False):
            raise ValueError(
                "An inner optimizer with use_ema=True would put its own averages into "
                "the model. Pass use_ema=False."
            )
        super().__init__(learning_rate=0.0, name=name or "ntasgd")
        self.inner_optimizer = inner
        self.nonmonotone = integer("nonmonotone", nonmonotone, least=1)

    def build(self, variables: list[keras.Variable]) -> None:
        if self.built:
            return
        variables = list(variables)
        # A function, since Keras would track variables in a list as the optimizer's.
        self._weights = lambda: variables
        self.averages = self.add_optimizer_variables(variables, "average")
        #: Number of weights in the averages; 0 before the trigger.
        self.averaged = self._state("averaged", "int32")
        #: Whether the averages are in the model, and the weights in `averages`.
        self.swapped = self._state("swapped", "int32")
        self.checks = self._state("checks", "int32")
        #: The best loss of all checks but the last ones, and the last ones.
        self.best = self._state("best", "float32", math.inf)
        self.recent = self._state(
            "recent", "float32", math.inf, shape=(self.nonmonotone,)
        )
        self.inner_optimizer.build(variables)
        super().build(variables)

    def _state(
        self, name: str, dtype: str, value: float = 0, shape: tuple[int, ...] = ()
    ) -> keras.Variable:
        initializer = keras.initializers.Constant(value)
        return self.add_variable(shape, initializer, dtype, name=name)

    @property
    def variables(self) -> list[keras.Variable]:
        """All variables, those of the inner optimizer last."""
        return [*super().variables, *self.inner_optimizer.variables]

    def apply(self, grads: list[Any], trainable_variables: Any = None) -> None:
        """Applies gradients by the inner optimizer, and averages."""
        if trainable_variables is not None:
            trainable_variables = list(trainable_variables)
            if not self.built:
                self.build(trainable_variables)
        before = ops.copy(ops.convert_to_tensor(self.iterations))
        self.inner_optimizer.apply(grads, trainable_variables)
        # Gradients are accumulated over several steps if the inner optimizer does so.
        updated = ops.not_equal(self.iterations, before)
        running = ops.logical_and(updated, ops.greater(self.averaged, 0))
        count = ops.add(self.averaged, ops.cast(running, "int32"))
        self.assign(self.averaged, count)
        for weight, average in self._pairs():
            old = ops.convert_to_tensor(average)
            share = ops.cast(ops.maximum(count, 1), average.dtype)
            moved = ops.add(old, ops.divide(ops.subtract(weight, old), share))
            self.assign(average, ops.where(running, moved, old))

    def _pairs(self) -> list[tuple[keras.Variable, keras.Variable]]:
        pairs = zip(self._weights(), self.averages, strict=True)
        return [(weight, average) for weight, average in pairs if average is not None]

    def check(self, loss: float) -> bool:
        """Takes a validation loss, and starts averaging if it triggers that.

        Args:
            loss: the loss, lower is better; NaN counts as infinite.

        Returns:
            Whether weights are averaged.
        """
        # In float32 like the stored losses: otherwise an equal loss could be worse.
        loss = math.inf if math.isnan(loss) else float(np.float32(loss))
        recent = list(ops.convert_to_numpy(self.recent))
        if not int(self.averaged) and loss > float(self.best):
            self.averaged.assign(1)
            for weight, average in self._pairs():
                average.assign(ops.copy(weight))
        # The oldest of the recent losses is now more than `nonmonotone` checks old.
        self.best.assign(min(float(self.best), recent[0]))
        self.recent.assign(np.float32([*recent[1:], loss]))
        self.checks.assign(int(self.checks) + 1)
        return bool(int(self.averaged))

    def swap(self, averages: bool) -> None:
        """Puts the averages into the model, or the weights back.

        Does nothing before the trigger, or if the model has them already.

        Args:
            averages: whether the model should have the averages.
        """
        if not self.built or not int(self.averaged):
            return
        if bool(int(self.swapped)) == averages:
            return
        self.swapped.assign(int(averages))
        for weight, average in self._pairs():
            value = np.array(ops.convert_to_numpy(weight))
            weight.assign(ops.copy(average))
            average.assign(value)

    def finalize_variable_values(self, var_list: list[keras.Variable]) -> None:
        """Puts the averages into the model; `fit` calls it at its end."""
        if not self.built:
            return
        try:
            checks = int(self.checks)
        except TypeError:
            # An error in a step ended training on JAX, where Keras has taken the values
            # out of all variables. Users should see that error, not this one.
            return
        self.inner_optimizer.finalize_variable_values(var_list)
        if not checks and sys.exc_info()[1] is None:
            warnings.warn(
                "NTASGD received no validation loss, so that weights were not "
                "averaged: pass validation_data to fit, and callbacks="
                "[keras_rnnx.callbacks.SwapAverages()].",
                stacklevel=2,
            )
        self.swap(averages=True)

    @property
    def learning_rate(self) -> Any:
        """The learning rate of the inner optimizer."""
        return self.inner_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, learning_rate: Any) -> None:
        self.inner_optimizer.learning_rate = learning_rate

    @property
    def iterations(self) -> keras.Variable:
        """The number of updates so far."""
        return self.inner_optimizer.iterations

    def scale_loss(self, loss: Any) -> Any:
        """Scales the loss as the inner optimizer does."""
        return self.inner_optimizer.scale_loss(loss)

    def get_config(self) -> dict[str, Any]:
        inner = keras.saving.serialize_keras_object(self.inner_optimizer)
        return {
            "inner_optimizer": inner,
            "nonmonotone": self.nonmonotone,
            "name": self.name,
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> Self:
        config = dict(config)
        inner = keras.saving.deserialize_keras_object(
            config.pop("inner_optimizer"), custom_objects=custom_objects
        )
        return cls(inner, **config)
