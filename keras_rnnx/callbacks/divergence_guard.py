"""Stops training that diverges, and reports where."""

from __future__ import annotations

import collections
import math
import warnings
from typing import Any

import keras
from keras import ops

from keras_rnnx import _random, _states
from keras_rnnx._finite import all_finite, not_finite
from keras_rnnx._numbers import integer, number
from keras_rnnx.callbacks.divergence_report import DivergenceReport, layer_norms
from keras_rnnx.callbacks.watched import ArrayBatches, WatchedBatches


class DivergenceError(ArithmeticError):
    """Training has diverged.

    Attributes:
        report: the `DivergenceReport`.
    """

    def __init__(self, report: DivergenceReport):
        super().__init__(str(report))
        self.report = report


class DivergenceGuard(keras.callbacks.Callback):
    """Stops training that diverges, and reports at which batch and in which layer.

    It checks the loss of every batch, not the running mean in the logs, and whether the
    weights are finite after it. If a batch diverges, it computes the gradients of that
    batch again, layer by layer, with the weights, states and random seeds from before.
    For this it keeps a copy of the weights, and has to watch the data:

        guard = keras_rnnx.callbacks.DivergenceGuard()
        model.fit(guard.watch(x, y, batch_size=32), callbacks=[guard])

    List it last, so that it sees the model as training sees it.

    Args:
        factor: the largest allowed ratio of a batch loss to the best mean of `window`
            batch losses, or None for any. Default 1000.
        limit: the largest allowed batch loss, or None for any. Default None.
        window: number of batches in the mean. Default 20.
        restore_weights: whether to restore the weights, and the variables of the
            optimizer, from the end of the last epoch without divergence, or from the
            beginning. Default False.
        raise_error: whether to raise a `DivergenceError` instead of a warning. Default
            False.

    Attributes:
        report: a `DivergenceReport`, or None as long as training does not diverge.

    Raises:
        ValueError: for an argument out of range; when training begins, for a model that
            runs several batches at once; in training, if there is no "loss" in the
            logs.

    Example:

    >>> guard = DivergenceGuard(limit=1e4)
    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    >>> model.compile(keras.optimizers.SGD(0.1), "mse")
    >>> x = np.ones((8, 1))
    >>> _ = model.fit(guard.watch(x, x, batch_size=4), verbose=0, callbacks=[guard])
    >>> print(guard.report)
    None
    """

    def __init__(
        self,
        factor: float | None = 1000.0,
        limit: float | None = None,
        window: int = 20,
        restore_weights: bool = False,
        raise_error: bool = False,
    ):
        super().__init__()
        if factor is not None and number("factor", factor) <= 1:
            raise ValueError(
                f"`factor` must be a number above 1, or None; received {factor!r}."
            )
        self.factor = factor
        self.limit = None if limit is None else number("limit", limit)
        self.window = integer("window", window, least=1)
        self.restore_weights = restore_weights
        self.raise_error = raise_error
        self.report: DivergenceReport | None = None
        self._watched: WatchedBatches | None = None

    def watch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int = 0,
    ) -> keras.utils.PyDataset:
        """The training data for `fit`, in a form that lets the guard see its batches.

        Args:
            x: inputs, as arrays; or a `keras.utils.PyDataset` and nothing else.
            y: targets. Default None.
            sample_weight: weights of samples. Default None.
            batch_size: samples in a batch. Default 32.
            shuffle: whether samples come in a new order in each epoch. Default True.
                The order of batches depends on `shuffle` of `fit`.
            seed: seed of the order. Default 0.

        Raises:
            ValueError: for a data set with several workers, for other arguments besides
                a data set, or for arrays of unequal length.
        """
        if isinstance(x, keras.utils.PyDataset):
            if y is not None or sample_weight is not None:
                raise ValueError(
                    "A data set has its targets and sample weights in its batches: "
                    "received `y` or `sample_weight` as well."
                )
            dataset = x
        else:
            arrays: tuple[Any, ...] = (x, y)
            if sample_weight is not None:
                arrays = (x, y, sample_weight)
            elif y is None:
                arrays = (x,)
            dataset = ArrayBatches(arrays, batch_size, shuffle, seed)
        self._watched = WatchedBatches(dataset)
        return self._watched

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        if self.model.steps_per_execution != 1:
            raise ValueError(
                "DivergenceGuard looks at every batch, but the model runs several at "
                f"once: steps_per_execution={self.model.steps_per_execution}. Compile "
                "with 1."
            )
        self.report = None
        self._losses: collections.deque[float] = collections.deque(maxlen=self.window)
        self._best = math.inf
        self._clear()
        self._remember()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epoch = epoch
        steps = self.params["steps"]
        if self._watched and steps == self._watched.num_batches:
            # Keras reads the data from the start; batches read ahead are not used.
            self._clear()

    def on_train_batch_begin(
        self, batch: int, logs: dict[str, Any] | None = None
    ) -> None:
        if batch == 0:
            self._seen: Any = self._totals()
        if self._watched:
            self._before = _copies(self._state())
            self._random = _random.get_state()

    def on_train_batch_end(
        self, batch: int, logs: dict[str, Any] | None = None
    ) -> None:
        loss = self._batch_loss(logs or {})
        pending = self._watched.pending if self._watched else None
        index, data = pending.popleft() if pending else (None, None)
        if reason := self._wrong(loss):
            self._stop(batch, index, loss, reason, data)
        self._losses.append(loss)
        if len(self._losses) == self.window:
            self._best = min(self._best, sum(self._losses) / self.window)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if not self.report:
            self._remember()

    def _clear(self) -> None:
        if self._watched:
            self._watched.pending.clear()

    def _remember(self) -> None:
        if self.restore_weights:
            self._good = _copies(self._everything())

    def _state(self) -> list[keras.Variable]:
        """The variables that determine the gradients of a batch."""
        variables = [*self.model.variables, *_states.variables(self.model)]
        return list({id(variable): variable for variable in variables}.values())

    def _everything(self) -> list[keras.Variable]:
        return [*self._state(), *self.model.optimizer.variables]

    def _batch_loss(self, logs: dict[str, Any]) -> float:
        """The loss of this batch; `fit` logs the mean of the epoch so far."""
        before, self._seen = self._seen, self._totals()
        if before:
            return (self._seen[0] - before[0]) / (self._seen[1] - before[1])
        if "loss" not in logs:
            raise ValueError(
                "DivergenceGuard needs 'loss' in the logs of a batch, received "
                f"{', '.join(logs) or 'none'}. Return it from train_step."
            )
        return float(logs["loss"])

    def _totals(self) -> tuple[float, float] | None:
        """Sum and count of the mean that `fit` logs; None with a custom train_step."""
        for metric in self.model.metrics:
            if metric.name == "loss" and hasattr(metric, "total"):
                return float(metric.total), float(metric.count)
        return None

    def _wrong(self, loss: float) -> str | None:
        if not math.isfinite(loss):
            return f"the loss is {loss}"
        if self.limit is not None and loss > self.limit:
            return f"the loss is {loss:g}, above the limit {self.limit:g}"
        best = self._best
        # A loss may be negative, such as a log-likelihood.
        if self.factor and loss > best + (self.factor - 1) * abs(best):
            return f"the loss is {loss:g}, and was {best:g} at its best"
        if not all_finite(self.model.trainable_variables):
            return f"the loss is {loss:g}, but the updated weights are not finite"
        return None

    def _stop(
        self, batch: int, index: int | None, loss: float, reason: str, data: Any
    ) -> None:
        after, random = _copies(self._everything()), _random.get_state()
        if self._watched:
            _put(self._state(), self._before)
            _random.set_state(self._random)
        self.report = DivergenceReport(
            epoch=self._epoch,
            batch=batch,
            loss=loss,
            reason=reason,
            inputs=None if data is None else not_finite(data),
            layers=layer_norms(self.model, data),
            index=index,
        )
        _put(self._everything(), self._good if self.restore_weights else after)
        _random.set_state(random)
        self.model.stop_training = True
        if self.raise_error:
            raise DivergenceError(self.report)
        warnings.warn(str(self.report), stacklevel=2)


def _copies(variables: list[keras.Variable]) -> list[Any]:
    # The model overwrites its variables in place, or donates their memory.
    return [ops.stop_gradient(ops.copy(variable)) for variable in variables]


def _put(variables: list[keras.Variable], values: list[Any]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
