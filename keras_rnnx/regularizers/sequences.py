"""Penalties on the outputs of all steps."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from keras_rnnx._gates import full
from keras_rnnx._numbers import number
from keras_rnnx.engine import backends
from keras_rnnx.engine.packing import Packing

if TYPE_CHECKING:
    from keras_rnnx.cells import Cell


class SequenceRegularizer(keras.regularizers.Regularizer):
    """Base of activity regularizers of outputs `(batch, time, units)`.

    A subclass defines `penalty(outputs, valid)`. Passed as `activity_regularizer` to a
    recurrent layer of keras_rnnx, it sees the outputs without masked steps, and never
    the states that `return_state` adds. On other layers it sees only the outputs,
    without a mask.

    From version 3.14 on, Keras divides the result of an activity regularizer by the
    batch size. With such versions a call returns the penalty times the batch size, so
    that the loss gets the penalty with every version. Like all Keras regularizers, it
    counts in training and in evaluation.

    Raises:
        ValueError: for outputs of another rank, such as those of a layer with
            `return_sequences=False`; when a cell is built that has it for a weight.

    Example:

    >>> @keras.saving.register_keras_serializable()
    ... class Peak(SequenceRegularizer):
    ...     def penalty(self, outputs, valid):
    ...         return ops.max(ops.abs(outputs))
    >>> layer = keras_rnnx.layers.GRU(
    ...     4, return_sequences=True, activity_regularizer=Peak()
    ... )
    >>> outputs = ops.convert_to_numpy(layer(np.ones((2, 5, 3), "float32")))
    >>> np.allclose(ops.convert_to_numpy(layer.losses[0]), np.abs(outputs).max())
    True
    """

    _of_layer = False
    _mask = None

    def penalty(self, outputs: Any, valid: Any) -> Any:
        """The penalty, a scalar.

        Args:
            outputs: `(batch, time, units)`, the valid steps of each row first, then
                zeros; in float32 if the layer computes in half precision.
            valid: boolean, `(batch, time)`: the steps that are not zeros; None: all.
        """
        raise NotImplementedError

    def bind(self, cell: Cell, weight: str) -> SequenceRegularizer:
        """Raises a ValueError: it does not apply to weights."""
        raise ValueError(
            f"{type(self).__name__} is a penalty on outputs, but was passed for the "
            f"{weight} of {type(cell).__name__}. Pass it as `activity_regularizer` to "
            f"a layer with return_sequences=True."
        )

    def of_layer(self) -> SequenceRegularizer:
        """This regularizer for one recurrent layer of keras_rnnx."""
        new = copy.copy(self)
        new._of_layer = True
        return new

    def _penalty(self, outputs: Any, valid: Any) -> Any:
        return self.penalty(outputs, valid)

    def begin(self, mask: Any) -> None:
        """Sets the mask of the outputs that Keras will call it with next.

        Args:
            mask: boolean, `(batch, time)`, or None.
        """
        self._mask = mask

    def __call__(self, x: Any) -> Any:
        if self._of_layer and len(x.shape) == 2:
            return ops.zeros((), dtype="float32")  # one of the returned states
        if len(x.shape) != 3:
            raise ValueError(
                f"{type(self).__name__} is a penalty on the outputs of all steps, "
                f"(batch, time, units), but received outputs of shape "
                f"{tuple(x.shape)}. Recurrent layers return them with "
                f"return_sequences=True; if return_state=True returns states too, "
                f"use a layer of keras_rnnx, which leaves them out."
            )
        mask, self._mask = self._mask, None
        outputs, valid = full(x), None
        if mask is not None:
            packing = Packing(mask)
            outputs, valid = packing.pack(outputs), packing.valid
        penalty = self._penalty(outputs, valid)
        if not _divided():
            return penalty
        return penalty * ops.cast(ops.shape(x)[0], penalty.dtype)


def _divided() -> bool:
    """Whether Keras divides penalties on activities by the batch size."""
    return tuple(map(int, keras.__version__.split(".")[:2])) >= (3, 14)


def mean(values: Any, valid: Any) -> Any:
    """The mean over valid steps, 0 if there are none.

    Args:
        values: `(batch, time)`.
        valid: boolean, of the same shape, or None: all.
    """
    if valid is None:
        count = ops.cast(ops.prod(ops.shape(values)), values.dtype)
        return ops.divide_no_nan(ops.sum(values), count)
    valid = ops.cast(valid, values.dtype)
    return ops.divide_no_nan(ops.sum(values * valid), ops.sum(valid))


class _Weighted(SequenceRegularizer):
    """A penalty with one strength, the argument named by `_strength`."""

    _strength: str

    def _penalty(self, outputs: Any, valid: Any) -> Any:
        if not isinstance(outputs.shape[1], int):
            # Otherwise a program would be compiled for every number of steps.
            return self.penalty(outputs, valid)
        cls: Any = type(self)
        return _compiled(cls, **self.get_config())(outputs, valid)

    def _set(self, value: Any) -> None:
        value = number(self._strength, value)
        if value < 0:
            raise ValueError(
                f"`{self._strength}` must not be negative, received {value!r}."
            )
        setattr(self, self._strength, value)

    def get_config(self) -> dict[str, Any]:
        return {self._strength: getattr(self, self._strength)}


@functools.cache
def _compiled(
    cls: type[SequenceRegularizer], **config: float
) -> Callable[[Any, Any], Any]:
    """The penalty as one program, if the backend compiles."""
    return backends.current().compiled_part(cls(**config).penalty)


@keras.saving.register_keras_serializable("keras_rnnx")
class AR(_Weighted):
    """Activation regularization: `alpha * mean(h ** 2)`, over all valid steps.

    Merity, McCann & Socher 2017, arXiv:1708.01009; Merity, Keskar & Socher 2017,
    arXiv:1708.02182. The second paper applies it to the outputs after dropout,
    `keras.layers.Dropout(0.4, activity_regularizer=AR(2.0))`, and `TAR` to the outputs
    before dropout.

    Args:
        alpha: the strength, at least 0. Default 2.0.

    Raises:
        ValueError: for a strength out of range, or outputs that are not
            `(batch, time, units)`.

    Example:

    >>> layer = keras_rnnx.layers.LSTM(
    ...     4, return_sequences=True, activity_regularizer=[AR(2.0), TAR(1.0)]
    ... )
    >>> outputs = layer(np.ones((2, 5, 3), "float32"))
    >>> len(layer.losses)
    1
    """

    _strength = "alpha"

    def __init__(self, alpha: float = 2.0):
        self._set(alpha)

    def penalty(self, outputs: Any, valid: Any) -> Any:
        return self.alpha * mean(ops.mean(outputs * outputs, axis=-1), valid)


@keras.saving.register_keras_serializable("keras_rnnx")
class TAR(_Weighted):
    """Temporal activation regularization: `beta * mean((h_t - h_(t-1)) ** 2)`.

    It favours slow changes of the outputs. Masked steps are left out: the step before
    is the last valid one. Merity, McCann & Socher 2017, arXiv:1708.01009; Merity,
    Keskar & Socher 2017, arXiv:1708.02182.

    Args:
        beta: the strength, at least 0. Default 1.0.

    Raises:
        ValueError: for a strength out of range, or outputs that are not
            `(batch, time, units)`.

    Example:

    >>> float(TAR(2.0)(np.array([[[1.0], [3.0], [3.0]]], "float32")))
    4.0
    """

    _strength = "beta"

    def __init__(self, beta: float = 1.0):
        self._set(beta)

    def penalty(self, outputs: Any, valid: Any) -> Any:
        change = outputs[:, 1:] - outputs[:, :-1]
        return self.beta * mean(ops.mean(change * change, axis=-1), _pairs(valid))


@keras.saving.register_keras_serializable("keras_rnnx")
class NormStabilizer(_Weighted):
    """Keeps the norm of the outputs: `beta * mean((|h_t| - |h_(t-1)|) ** 2)`.

    The mean is over pairs of steps; masked steps are left out. Krueger & Memisevic
    2016, arXiv:1511.08400.

    Args:
        beta: the strength, at least 0. Default 50.0.

    Raises:
        ValueError: for a strength out of range, or outputs that are not
            `(batch, time, units)`.

    Example:

    >>> outputs = np.array([[[3.0, 4.0], [0.0, 5.0], [0.0, 7.0]]], "float32")
    >>> float(NormStabilizer(1.0)(outputs))
    2.0
    """

    _strength = "beta"

    def __init__(self, beta: float = 50.0):
        self._set(beta)

    def penalty(self, outputs: Any, valid: Any) -> Any:
        squared = ops.sum(outputs * outputs, axis=-1)
        # The norm has no gradient at zero, where rectifiers can leave the state.
        norm = ops.sqrt(squared + 1e-12)
        change = norm[:, 1:] - norm[:, :-1]
        return self.beta * mean(change * change, _pairs(valid))


def _pairs(valid: Any) -> Any:
    # Valid steps come first, so the step before a valid one is valid too.
    return None if valid is None else valid[:, 1:]
