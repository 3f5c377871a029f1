"""Truncated backpropagation through time."""

from __future__ import annotations

from typing import Any

from keras_rnnx import _states
from keras_rnnx.callbacks.reset_states import ResetStates
from keras_rnnx.datasets import ContiguousBatches


class TruncatedBPTT(ResetStates):
    """Truncated backpropagation through time, in `model.fit`.

    Stateful layers begin each batch with the states at the end of the one before; the
    gradient goes back to the beginning of the batch. States are zero at the beginning
    of the sequence. Validation and `evaluate` begin with states of zero too; afterwards
    the states of training are restored. Williams & Peng 1990.

    With `RandomSteps` the learning rate of a batch is multiplied by its number of steps
    over the usual one, as in Merity, Keskar & Socher 2017, arXiv:1708.02182.

    With `steps_per_epoch` an epoch is a part of the sequence. The next epoch continues
    there, with the kept states.

    Args:
        dataset: the `ContiguousBatches` that `fit` or `evaluate` receives.
        scale_learning_rate: whether the learning rate follows random numbers of steps.
            Default True.

    Raises:
        ValueError: for another kind of data set. When training begins: for a model
            without stateful layers; for another batch size; on JAX, for stateful layers
            of Keras' own, whose states Keras loses; for `RandomSteps` with
            `steps_per_epoch`, with `steps_per_execution` or, unless
            `scale_learning_rate=False`, with a learning rate schedule. In training: for
            `fit(shuffle=True)`.

    Example:

    >>> batches = keras_rnnx.datasets.ContiguousBatches(np.arange(200) % 7, 4, steps=10)
    >>> model = keras.Sequential([
    ...     keras.Input(batch_shape=(4, None)),
    ...     keras.layers.Embedding(7, 5),
    ...     keras_rnnx.layers.LSTM(8, stateful=True, return_sequences=True),
    ...     keras.layers.Dense(7, activation="softmax"),
    ... ])
    >>> model.compile("adam", "sparse_categorical_crossentropy")
    >>> _ = model.fit(
    ...     batches, shuffle=False, verbose=0, callbacks=[TruncatedBPTT(batches)]
    ... )
    """

    def __init__(self, dataset: ContiguousBatches, scale_learning_rate: bool = True):
        super().__init__()
        if not isinstance(dataset, ContiguousBatches):
            raise ValueError(
                "`dataset` must be a keras_rnnx.datasets.ContiguousBatches, received "
                f"{dataset!r}."
            )
        self.dataset = dataset
        self.scale_learning_rate = scale_learning_rate
        self._rate: float | None = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        super().on_train_begin(logs)
        self._check_fit()
        self.dataset.position = 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self._whole:
            self.dataset.seek(epoch)
            self.dataset.position = 0
        self._first = self.dataset.position

    def on_train_batch_begin(
        self, batch: int, logs: dict[str, Any] | None = None
    ) -> None:
        self.dataset.check_order()
        position = self.dataset.start + self._first + batch
        if self._whole and position >= self._batches:
            # Keras expects a whole epoch, but this one was resumed. If the data ended
            # it, parts of a step would already have run on TensorFlow and JAX.
            raise StopIteration
        if position % self._batches == 0:
            _states.reset(self.model)
        if self._scaling:
            optimizer = self.model.optimizer
            self._rate = rate = float(optimizer.learning_rate)
            optimizer.learning_rate = rate * self.dataset.scale(position)

    def on_train_batch_end(
        self, batch: int, logs: dict[str, Any] | None = None
    ) -> None:
        self.dataset.check_order()
        position = self.dataset.start + self._first + batch + 1
        self.dataset.position = (
            min(position, self._batches) if self._whole else position
        )
        if self._rate is not None:
            self.model.optimizer.learning_rate = self._rate
            self._rate = None

    @property
    def _scaling(self) -> bool:
        return self.scale_learning_rate and self.dataset.random_steps

    def _check_fit(self) -> None:
        """Raises a ValueError for arguments of `fit` that cannot work."""
        dataset, model, steps = self.dataset, self.model, self.params["steps"]
        if dataset.start:
            dataset.seek(0)
            raise ValueError(
                "The last fit ended within a resumed epoch: call fit again."
            )
        self._batches = len(dataset)
        self._whole = steps is None or steps == self._batches
        if steps is not None and steps > self._batches:
            raise ValueError(
                f"fit reads {steps} batches an epoch, but `dataset` has "
                f"{self._batches}. Pass the same data set to fit and TruncatedBPTT, "
                "and no larger steps_per_epoch."
            )
        rows = {state.shape[0] for state in _states.variables(model)}
        if rows != {dataset.batch_size}:
            raise ValueError(
                f"`dataset` has batch_size={dataset.batch_size}, but the stateful "
                "layers of the model were made for batches of "
                f"{', '.join(map(str, sorted(rows)))}: use the same for both."
            )
        if not dataset.random_steps:
            return
        if not self._whole:
            raise ValueError(
                "With RandomSteps each epoch has different batches: received "
                f"steps_per_epoch={steps}, for {self._batches} batches. Leave it out."
            )
        if not self.scale_learning_rate:
            return
        if model.steps_per_execution != 1:
            raise ValueError(
                "The learning rate differs from batch to batch: received "
                f"steps_per_execution={model.steps_per_execution}. Compile with 1, or "
                "pass scale_learning_rate=False."
            )
        try:
            model.optimizer.learning_rate = float(model.optimizer.learning_rate)
        except (TypeError, AttributeError) as error:
            raise ValueError(
                "The learning rate cannot be scaled for a batch: the optimizer has a "
                "schedule or a function. Give it a number, or pass "
                "scale_learning_rate=False."
            ) from error
