"""Resets the states of stateful layers in training."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras

from keras_rnnx import _states
from keras_rnnx._numbers import integer


class ResetStates(keras.callbacks.Callback):
    """Resets the states of all stateful layers in a model, including nested ones.

    Validation, `evaluate` and `predict` begin with states of zero; afterwards the
    states of training are restored.

    Args:
        every: "epoch": at the beginning of each epoch; an integer n: before batches
            0, n, 2n, ... of each epoch; a list of integers: before these batches.
            Batches of validation and prediction count in the same way. Default "epoch".

    Raises:
        ValueError: for another `every`; when training begins, for a model without
            stateful layers, for one whose states Keras loses (Keras' own layers on
            JAX), or for one that runs several batches at once if a reset would fall
            between them.

    Example:

    >>> model = keras.Sequential([
    ...     keras.Input(batch_shape=(2, None, 3)),
    ...     keras_rnnx.layers.GRU(4, stateful=True),
    ... ])
    >>> model.compile("sgd", "mse")
    >>> sequences, values = np.ones((8, 5, 3)), np.ones((8, 4))
    >>> _ = model.fit(
    ...     sequences, values, batch_size=2, shuffle=False, verbose=0,
    ...     callbacks=[ResetStates(every=2)],
    ... )
    """

    def __init__(self, every: int | str | Iterable[int] = "epoch"):
        super().__init__()
        self.every = every
        if isinstance(every, Iterable) and not isinstance(every, str):
            self.every = [integer("every", batch, least=0) for batch in every]
        elif every != "epoch":
            self.every = integer("every", every, least=1)
        self._kept: Any = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._check()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self.every == "epoch":
            _states.reset(self.model)

    def on_train_batch_begin(
        self, batch: int, logs: dict[str, Any] | None = None
    ) -> None:
        if self._due(batch):
            _states.reset(self.model)

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._check()
        self._kept = _states.get(self.model)
        _states.reset(self.model)

    def on_test_batch_begin(
        self, batch: int, logs: dict[str, Any] | None = None
    ) -> None:
        if self._due(batch):
            _states.reset(self.model)

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        _states.put(self.model, self._kept)

    on_predict_begin = on_test_begin
    on_predict_batch_begin = on_test_batch_begin
    on_predict_end = on_test_end

    def _due(self, batch: int) -> bool:
        if isinstance(self.every, int):
            return batch % self.every == 0
        return self.every != "epoch" and batch in self.every

    def _check(self) -> None:
        name, model = type(self).__name__, self.model
        if not _states.layers(model):
            raise ValueError(
                f"{name} is about stateful layers, but model {model.name!r} has none, "
                "or was not built. Make layers with stateful=True, and the model with "
                "keras.Input(batch_shape=(batch_size, None, features))."
            )
        if lost := _states.lost(model):
            raise ValueError(
                f"On JAX, Keras does not carry the states of its own layers from batch "
                f"to batch: {', '.join(lost)}. Use the layers of keras_rnnx, or "
                "keras_rnnx.convert(model)."
            )
        at_once: Any = getattr(model, "steps_per_execution", 1)
        batches = [self.every] if isinstance(self.every, int) else self.every
        if self.every != "epoch" and any(batch % at_once for batch in batches):
            raise ValueError(
                f"The model runs {at_once} batches at once, but {name} cannot reset "
                f"states between them: every={self.every!r}. Pass multiples of "
                f"{at_once}, or compile with steps_per_execution=1."
            )
