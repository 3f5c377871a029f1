"""The callback that the optimizer NTASGD needs in `fit`."""

from __future__ import annotations

from typing import Any

import keras

from keras_rnnx.optimizers import NTASGD


class SwapAverages(keras.callbacks.Callback):
    """Tells the optimizer `NTASGD` the validation loss, and validates its averages.

    Once weights are averaged, the model has the averages during validation, and the
    weights in training. List it before callbacks that save the model at the end of an
    epoch.

    Args:
        monitor: the name of the validation loss in the logs. Default "val_loss".
        mode: "min" or "max": whether lower or higher is better. Default "min".
        swap_on_epoch: whether the averages stay in the model until the next epoch
            begins, so that `ModelCheckpoint` saves them. Default False.

    Raises:
        ValueError: for another `mode`; when training begins, for another optimizer than
            `NTASGD`; at the end of an epoch, if validation did not log `monitor`.

    Example:

    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    >>> model.compile(keras_rnnx.optimizers.NTASGD(keras.optimizers.SGD(0.1)), "mse")
    >>> x = np.ones((8, 1))
    >>> _ = model.fit(
    ...     x, x, validation_data=(x, x), verbose=0, callbacks=[SwapAverages()]
    ... )
    """

    def __init__(
        self, monitor: str = "val_loss", mode: str = "min", swap_on_epoch: bool = False
    ):
        super().__init__()
        if mode not in ("min", "max"):
            raise ValueError(f"`mode` is 'min' or 'max', received {mode!r}.")
        self.monitor = monitor
        self.mode = mode
        self.swap_on_epoch = swap_on_epoch
        self._training = False

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._optimizer().swap(averages=False)
        self._training = True

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._optimizer().swap(averages=False)

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._optimizer().swap(averages=True)

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        if self._training:
            self._optimizer().swap(averages=False)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        logs = logs or {}
        if self.monitor in logs:
            value = float(logs[self.monitor])
            self._optimizer().check(value if self.mode == "min" else -value)
        elif validated := [name for name in logs if name.startswith("val_")]:
            raise ValueError(
                f"monitor={self.monitor!r} is not in the logs; validation logged "
                f"{', '.join(validated)}."
            )
        if self.swap_on_epoch:
            self._optimizer().swap(averages=True)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self._training = False

    def _optimizer(self) -> NTASGD:
        optimizer = self.model.optimizer
        while not isinstance(optimizer, NTASGD):
            # A LossScaleOptimizer may wrap it.
            optimizer = getattr(optimizer, "inner_optimizer", None)
            if optimizer is None:
                raise ValueError(
                    "SwapAverages needs the optimizer keras_rnnx.optimizers.NTASGD, "
                    f"received {self.model.optimizer!r}: compile with "
                    "NTASGD(optimizer)."
                )
        return optimizer
