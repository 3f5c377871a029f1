"""What a CUDA graph is made of: operations that are called, and not carried out."""

from __future__ import annotations

import contextlib
import gc
import weakref
from collections.abc import Callable

import torch

# They make a tensor of what the host has, and wait until it is on the GPU.
FROM_HOST = (torch.as_tensor, torch.tensor, torch.from_numpy)
# They wait for the GPU, to give the host what it has computed.
TO_HOST = (
    *(torch.Tensor.item, torch.Tensor.tolist, torch.Tensor.cpu, torch.Tensor.numpy),
    *(torch.Tensor.__bool__, torch.Tensor.__int__, torch.Tensor.__float__),
    *(torch.Tensor.__index__, torch.Tensor.nonzero, torch.nonzero),
)


class Watch(torch.overrides.TorchFunctionMode):
    """Notes the name of a function that cannot be recorded, if one is called inside."""

    def __init__(self):
        super().__init__()
        self.found = ""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        first = next(iter((*args, *kwargs.values())), None)
        made = func in FROM_HOST and not isinstance(first, torch.Tensor)
        if made or func in TO_HOST:
            self.found = self.found or func.__name__
        return func(*args, **kwargs)


class Captured:
    """A function as a CUDA graph.

    Args:
        function: called once, to be recorded on the current GPU and stream.
        inputs: its arguments. Replays read what stands in them then.

    Raises:
        RuntimeError: if it cannot be recorded.

    Attributes:
        results: what the function returned, and what `replay()` writes to.
        replay: carries the operations out.
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
    """A stream to record on; and a recording of next to nothing, since there is a pool
    of memory as long as it has one."""

    def __init__(self):
        self.stream, self.first = torch.cuda.Stream(), torch.cuda.CUDAGraph()
        _capture(self.first, self.stream, {}, lambda: torch.zeros(1, device="cuda"))


# By device and stream, as long as there are recordings. Those of a stream are played
# one after the other, so that what lies between the inputs and the outputs of one can
# lie where that of another does.
_places: weakref.WeakValueDictionary = weakref.WeakValueDictionary()
# What failed leaves its pool unfit for others, and cannot be taken down.
_unfit: list[tuple[_Place, torch.cuda.CUDAGraph]] = []


def _capture(graph, stream, where, function):
    # What is made once for a thread cannot be made meanwhile.
    torch.cuda.current_blas_handle()
    torch.cuda.synchronize()
    # A graph that is collected meanwhile would disturb.
    collects = gc.isenabled()
    gc.disable()
    try:
        with torch.cuda.stream(stream):
            # Other threads may go on.
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
