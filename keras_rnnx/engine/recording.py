"""Whether loops on a GPU are recorded."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator

_allowed: contextvars.ContextVar[bool] = contextvars.ContextVar(
    "keras_rnnx_cuda_graphs", default=True
)


@contextlib.contextmanager
def cuda_graphs(enabled: bool) -> Iterator[None]:
    """Turns the recording of loops on a GPU on or off, on torch.

    A loop of small operations keeps a GPU waiting: Python takes longer to launch an
    operation than the GPU to compute it. So with torch the engine `fused` records its
    loop as a CUDA graph when it meets the same shapes a second time. From then on one
    call runs all steps on the GPU, with the same results. Recordings hold their inputs
    and outputs, at most a quarter of the GPU's memory. They are freed with their layer,
    or if they were not used for 10,000 calls and others need the room. If memory is
    short, turn recording off around the training.

    The other backends compile their loops: there it has no effect. It applies to the
    current thread, and does not free earlier recordings.

    Args:
        enabled: whether calls inside may record, and replay recordings. Outside the
            default is True.

    Raises:
        ValueError: if `enabled` is not a bool.

    Example:

    >>> layer = keras_rnnx.layers.LSTM(8, recurrent_dropout=0.2)
    >>> with keras_rnnx.engine.cuda_graphs(False):
    ...     y = layer(np.ones((2, 5, 3), "float32"), training=True)
    """
    if enabled not in (True, False):
        raise ValueError(f"`enabled` must be True or False, got {enabled!r}.")
    token = _allowed.set(enabled)
    try:
        yield
    finally:
        _allowed.reset(token)


def allowed() -> bool:
    """Whether `cuda_graphs` allows recording here."""
    return _allowed.get()
