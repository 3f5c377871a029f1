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
    """Says whether loops on a GPU are recorded, on torch.

    A loop of small operations keeps a GPU waiting: Python takes longer to ask for one
    than the GPU to compute it. So torch's engine `fused` records its loop as a CUDA
    graph when it meets the same shapes a second time, and from then on gives the GPU
    all steps in one call, for the same results. Recordings hold their inputs and
    outputs, a quarter of the GPU's memory at most; they go with their layer, or when
    they were not used for 10,000 calls and there is no room for others. Where memory is
    short, turn it off around the training.

    The other backends compile their loops: there it has no effect. It is for the thread
    that calls it, and frees nothing that was recorded before.

    Args:
        enabled: whether calls inside may record, and play what was recorded. The
            default outside is True.

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
    """What `cuda_graphs` says here."""
    return _allowed.get()
