"""Records a function as a CUDA graph."""

from __future__ import annotations

import contextlib
import gc
import weakref
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import torch

Results = TypeVar("Results")

# Functions that copy data from the host, and wait until it is on the GPU.
FROM_HOST = (torch.as_tensor, torch.tensor, torch.from_numpy)
# Functions that wait for the GPU, to return its results to the host.
TO_HOST = (
    *(torch.Tensor.item, torch.Tensor.tolist, torch.Tensor.cpu, torch.Tensor.numpy),
    *(torch.Tensor.__bool__, torch.Tensor.__int__, torch.Tensor.__float__),
    *(torch.Tensor.__index__, torch.Tensor.nonzero, torch.nonzero),
)


class Watch(torch.overrides.TorchFunctionMode):
    """Stores in `blocked` the name of the first called function that cannot be
    recorded."""

    def __init__(self) -> None:
        super().__init__()
        self.blocked = ""

    def __torch_function__(
        self,
        func: Callable,
        types: Iterable[type],
        args: tuple = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        first = next(iter((*args, *kwargs.values())), None)
        made = func in FROM_HOST and not isinstance(first, torch.Tensor)
        if made or func in TO_HOST:
            self.blocked = self.blocked or func.__name__
        return func(*args, **kwargs)


class Captured:
    """A function as a CUDA graph.

    Args:
        function: called once, to be recorded on the current GPU and stream.
        inputs: its arguments. A replay reads the values that they hold by then.

    Raises:
        RuntimeError: if it cannot be recorded.

    Attributes:
        results: the tensors that the function returned; `replay()` writes to them.
        replay: runs the recorded operations.
    """

    def __init__(self, function: Callable, inputs: tuple):
        key = torch.cuda.current_device(), torch.cuda.current_stream().cuda_stream
        self.place = _places.get(key) or _Place()
        _places[key] = self.place
        graph, pool = torch.cuda.CUDAGraph(), self.place.first.pool()
        try:
            self.results = _capture(
                graph, self.place.stream, {"pool": pool}, lambda: function(*inputs)
            )
        except BaseException:
            _unfit.append((_places.pop(key), graph))
            raise
        self.replay = graph.replay


class _Place:
    """A stream to record on, and a tiny recording, which keeps the pool of memory
    alive."""

    def __init__(self) -> None:
        self.stream, self.first = torch.cuda.Stream(), torch.cuda.CUDAGraph()
        _capture(self.first, self.stream, {}, lambda: torch.zeros(1, device="cuda"))


# By device and stream, as long as there are recordings. The recordings of a stream run
# one after the other, so they can share the memory of their intermediate results.
_places: weakref.WeakValueDictionary = weakref.WeakValueDictionary()
# A failed recording makes its pool unusable, and must not be destroyed.
_unfit: list[tuple[_Place, torch.cuda.CUDAGraph]] = []


def _capture(
    graph: torch.cuda.CUDAGraph,
    stream: torch.cuda.Stream,
    where: dict[str, Any],
    function: Callable[[], Results],
) -> Results:
    """Records what a function does on a stream; its results."""
    # The handle is created once per thread, which is not possible during a recording.
    torch.cuda.current_blas_handle()
    torch.cuda.synchronize()
    # Collecting another graph would disturb the recording.
    collects = gc.isenabled()
    gc.disable()
    try:
        with torch.cuda.stream(stream):
            # Other threads may continue.
            graph.capture_begin(**where, capture_error_mode="thread_local")
            try:
                results = function()
            except BaseException:
                with contextlib.suppress(RuntimeError):
                    graph.capture_end()
                raise
            graph.capture_end()
            return results
    finally:
        if collects:
            gc.enable()
