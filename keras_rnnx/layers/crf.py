"""The layer of a linear-chain conditional random field."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_rnnx import _chains


@keras.saving.register_keras_serializable("keras_rnnx")
class CRF(keras.layers.Layer):
    """Scores of all transitions of a linear-chain conditional random field.

    A path through the classes scores the sum of its classes' scores at each step, of
    its transitions, and of where it starts and ends. Its probability is the softmax
    over all paths. Lafferty, McCallum & Pereira 2001; over a recurrent network Huang,
    Xu & Yu 2015, arXiv:1508.01991, and Lample et al. 2016, arXiv:1603.01360.

    The output holds everything that `keras_rnnx.losses.CRF`,
    `keras_rnnx.metrics.CRFAccuracy` and `keras_rnnx.models.viterbi` need, including
    which steps are masked, so that these need neither the layer nor a mask.

    Args:
        transitions_initializer: of the scores of transitions. Default "zeros".
        transitions_regularizer: of the same scores. Default None.
        **kwargs: arguments of `keras.layers.Layer`; `dtype` is "float32" by default.

    Call arguments:
        inputs: scores of each class at each step, `(batch, time, classes)`.
        mask: boolean `(batch, time)`, any pattern; False marks steps to skip.

    Returns:
        `(batch, time, classes, classes)`: at `[b, t, i, j]` the score of going from
        class `i` to class `j` at step `t`. At the first valid step each row has the
        scores of a start. A masked step has 0 on the diagonal and -1e30 elsewhere.
        There is no Keras mask.

    Raises:
        ValueError: for less than two classes.

    Example:

    >>> layer = keras_rnnx.layers.CRF()
    >>> layer(np.zeros((2, 5, 3), "float32")).shape
    (2, 5, 3, 3)
    """

    def __init__(
        self,
        transitions_initializer: Any = "zeros",
        transitions_regularizer: Any = None,
        **kwargs: Any,
    ):
        super().__init__(**{"dtype": "float32", **kwargs})
        self.transitions_initializer = keras.initializers.get(transitions_initializer)
        self.transitions_regularizer = keras.regularizers.get(transitions_regularizer)
        self.supports_masking = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        classes = input_shape[-1]
        if len(input_shape) != 3 or classes is None or classes < 2:
            raise ValueError(
                f"{self.name} reads scores of two classes or more, of shape (batch, "
                f"time, classes); received shape {tuple(input_shape)}."
            )
        self.transitions = self.add_weight(
            shape=(classes, classes),
            initializer=self.transitions_initializer,
            regularizer=self.transitions_regularizer,
            name="transitions",
        )
        self.start = self.add_weight(
            shape=(classes,), initializer="zeros", name="start"
        )
        self.end = self.add_weight(shape=(classes,), initializer="zeros", name="end")
        self.built = True

    def call(self, inputs: Any, mask: Any = None) -> Any:
        if mask is None:
            mask = ops.ones_like(inputs[..., 0], dtype="bool")
        valid = ops.cast(mask, "bool")
        so_far = ops.cumsum(ops.cast(valid, "int32"), axis=1)
        first = ops.logical_and(valid, so_far == 1)
        last = ops.logical_and(valid, so_far == so_far[:, -1:])
        first, last, valid = (m[..., None, None] for m in (first, last, valid))
        transitions, start, end = (
            ops.convert_to_tensor(w) for w in (self.transitions, self.start, self.end)
        )
        pairs = ops.where(first, start, transitions) + ops.expand_dims(inputs, 2)
        pairs = pairs + ops.where(last, end, ops.zeros_like(end))
        masked = ops.cast(_chains.masked_step(inputs.shape[-1]), pairs.dtype)
        return ops.where(valid, pairs, masked)

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        """None: the output itself shows which steps are masked."""

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """`(batch, time, classes, classes)`."""
        return (*input_shape, input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        """The arguments of the layer."""
        return {
            **super().get_config(),
            "transitions_initializer": keras.initializers.serialize(
                self.transitions_initializer
            ),
            "transitions_regularizer": keras.regularizers.serialize(
                self.transitions_regularizer
            ),
        }
