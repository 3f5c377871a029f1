"""What a CUDA graph is made of: operations that are called, and not carried out."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import torch

# They make a tensor of what the host has, and wait until it is on the GPU.
FROM_HOST = (torch.as_tensor, torch.tensor, torch.from_numpy)
# They wait for the GPU, to give the host what it has computed.
TO_HOST = (
    *(torch.Tensor.item, torch.Tensor.tolist, torch.Tensor.cpu, torch.Tensor.numpy),
    *(torch.Tensor.__bool__, torch.Tensor.__int__, torch.Tensor.__float__),
    *(torch.Tensor.__index__, torch.Tensor.nonzero, torch.nonzero),
)

# By device: the stream that is recorded; and a recording of next to nothing, since
# there is a pool of memory as long as it has one. All share the pool: no two are
# played at a time, so that what lies between the inputs and the outputs of one can lie
# where that of another does.
_places: dict[int, tuple[Any, Any]] = {}
# What failed leaves its pool unfit for others, and cannot be taken down.
_unfit = []


class Watch(torch.overrides.TorchFunctionMode):
    """Notes the name of a function that cannot be recorded, if one is called inside."""

    def __init__(self):
        super().__init__()
        self.found = ""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        made = func in FROM_HOST and not isinstance(args[0], torch.Tensor)
        if made or func in TO_HOST:
            self.found = self.found or func.__name__
        return func(*args, **(kwargs or {}))


def captured(function: Callable) -> tuple[Callable, Any]:
    """Records a function on the current GPU.

    Returns:
        What carries it out, and the results that it is written to.

    Raises:
        RuntimeError: if it cannot be recorded.
    """
    device = torch.cuda.current_device()
    if device not in _places:
        stream, first = torch.cuda.Stream(), torch.cuda.CUDAGraph()
        _capture(first, stream, {}, lambda: torch.zeros(1, device="cuda"))
        _places[device] = stream, first
    stream, first = _places[device]
    graph = torch.cuda.CUDAGraph()
    try:
        results = _capture(graph, stream, {"pool": first.pool()}, function)
    except BaseException:
        _unfit.append((_places.pop(device), graph))
        raise
    return graph.replay, results


def _capture(graph, stream, where, function):
    collects = gc.isenabled()
    torch.cuda.synchronize()
    # A graph that is collected meanwhile would disturb.
    gc.disable()
    try:
        with torch.cuda.stream(stream):
            # Other threads may go on.
            graph.capture_begin(**where, capture_error_mode="thread_local")
            try:
                return function()
            finally:
                graph.capture_end()
    finally:
        if collects:
            gc.enable()
