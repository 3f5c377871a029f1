"""How a model is trained, as arguments of `compile` and `fit`."""

from __future__ import annotations

from typing import Any, NamedTuple


class Training(NamedTuple):
    """How a model is trained in its paper.

    Attributes:
        compile: arguments of `model.compile`.
        fit: arguments of `model.fit`.
        batch_size: number of sequences side by side.
        steps: steps of a batch, through which the gradient goes back.

    Example:

    >>> model = keras_rnnx.models.zaremba("small", vocabulary=20, units=4)
    >>> training = keras_rnnx.models.zaremba_training("small")
    >>> model.compile(**training.compile)
    >>> tokens = np.arange(400).reshape(training.batch_size, -1) % 7
    >>> history = model.fit(
    ...     tokens[:, :-1], tokens[:, 1:], batch_size=20, verbose=0,
    ...     **{**training.fit, "epochs": 1}
    ... )
    """

    compile: dict[str, Any]
    fit: dict[str, Any]
    batch_size: int
    steps: int
