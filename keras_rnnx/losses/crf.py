"""The negative log-likelihood of a linear chain."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_rnnx import _chains


# The layer has the name of the class.
@keras.saving.register_keras_serializable("keras_rnnx", name="CRFLoss")
class CRF(keras.losses.Loss):
    """The negative log-probability of the true classes of a sequence, as one path.

    The loss for models that end in `keras_rnnx.layers.CRF`, whose outputs contain all
    that it needs. Classes at masked steps do not count, whatever their values.
    Lafferty, McCallum & Pereira 2001; over a recurrent network Lample et al. 2016,
    arXiv:1603.01360.

    Args:
        reduction: of the losses of a batch's sequences, as for any loss. Default
            "sum_over_batch_size", their mean.
        name, dtype: as for any loss. Default name "crf".

    Call arguments:
        y_true: classes `(batch, time)`, integers. A class out of range at a valid step
            makes the loss NaN.
        y_pred: the output of the layer, `(batch, time, classes, classes)`.

    Raises:
        ValueError: for shapes that do not fit.

    Example:

    >>> layer, loss = keras_rnnx.layers.CRF(), keras_rnnx.losses.CRF()
    >>> scores = layer(np.zeros((1, 3, 2)))
    >>> value = ops.convert_to_numpy(loss(np.array([[0, 1, 1]]), scores))
    >>> round(float(value), 4)  # log(2 ** 3)
    2.0794
    """

    def __init__(
        self,
        reduction: str = "sum_over_batch_size",
        name: str = "crf",
        dtype: Any = None,
    ):
        super().__init__(name=name, reduction=reduction, dtype=dtype)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The loss of each sequence, `(batch,)`."""
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        _chains.check(y_pred)
        if len(y_true.shape) == 3 and y_true.shape[-1] == 1:
            y_true = y_true[..., 0]
        if len(y_true.shape) != 2:
            raise ValueError(
                f"losses.CRF takes a class for each step, (batch, time); received "
                f"targets of shape {tuple(y_true.shape)}."
            )
        return _chains.negative_log_likelihood(ops.cast(y_true, "int32"), y_pred)
