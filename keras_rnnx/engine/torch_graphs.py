"""Loops on a GPU, recorded as CUDA graphs and played again."""

from __future__ import annotations

import os
import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch

from keras_rnnx.engine.torch_capture import Watch, captured

# Calls of a shape before it is recorded: the first one makes libraries set up what
# cannot be set up while recording.
BEFORE = 1
# Of the GPU's memory that the recordings of a recurrence may hold.
SHARE = 16
# A recording gives way to others when it was not played in so many calls. Sooner, and
# shapes that come in turn would be recorded again and again, which costs a call.
IDLE = 1000
# Shapes whose calls are counted.
COUNTED = 256
LAUNCHES_WAIT = os.environ.get("CUDA_LAUNCH_BLOCKING", "0") != "0"

Groups = tuple[list[Any], ...]
# What is played is written to where others read: one at a time.
_lock = threading.RLock()


class Recorder:
    """Calls the functions of one recurrence, recorded where that pays.

    Their operations must depend on nothing but the key and the shapes of the tensors.
    """

    def __init__(self):
        self.counts: OrderedDict[tuple, int] = OrderedDict()
        self.recordings: dict[tuple, Recording] = {}
        self.calls = 0
        self.refused = False

    def __call__(self, function: Callable, key: tuple, *groups: list[Any]) -> Groups:
        """`function(*groups)`, from lists of tensors to lists of tensors.

        Args:
            function: the function.
            key: what it depends on beside the tensors.
            *groups: lists of tensors, or of None.
        """
        if self.refused or not recordable(tensors_of(groups)):
            return function(*groups)
        key = (*key, torch.cuda.current_stream().cuda_stream, _shapes(groups))
        with _lock:
            self.calls += 1
            found = self.recordings.get(key)
            if found is None and self._worthwhile(key, groups):
                found = self._recorded(function, key, groups)
            if found is not None:
                found.last_call = self.calls
                return found.play(groups)
            first = self.counts[key] == 1
        if not first:
            return function(*groups)
        with Watch() as watch:
            results = function(*groups)
        if watch.found:
            self._refuse(f"it calls torch's `{watch.found}`")
        return results

    def _worthwhile(self, key, groups):
        """Whether this shape comes again, and there is room for it."""
        self.counts[key] = self.counts.pop(key, 0) + 1
        if len(self.counts) > COUNTED:
            self.counts.popitem(last=False)
        if self.counts[key] <= BEFORE:
            return False
        for other, recording in list(self.recordings.items()):
            if self.calls - recording.last_call > IDLE:
                del self.recordings[other]
        held = sum(recording.size for recording in self.recordings.values())
        # What comes out is about as much as what goes in.
        return held + 2 * size_of(groups) <= memory() // SHARE

    def _recorded(self, function, key, groups):
        """A recording, or None where there can be none."""
        try:
            found = self.recordings[key] = Recording(function, groups)
        except RuntimeError as error:
            self._refuse(_cause(error))
            return None
        return found

    def _refuse(self, why):
        self.refused = True
        warnings.warn(
            f"A loop cannot be recorded as a CUDA graph, and runs operation by "
            f"operation: {why}. An equation can be recorded if it takes no data from "
            f"the host to the GPU or back, as `keras.ops.maximum(x, 0.5)` does with "
            f"its number. `with keras_rnnx.engine.cuda_graphs(False):` records nothing "
            f"and says nothing.",
            stacklevel=3,
        )


class Recording:
    """One function as a CUDA graph.

    It reads and writes tensors of its own, so that any call can stand between two.

    Args:
        function: from lists of tensors to lists of tensors.
        groups: lists of tensors, or of None, of the shapes that all calls will have.

    Attributes:
        size: bytes that it holds.
        last_call: the number of the call that played it last.
    """

    last_call = 0

    def __init__(self, function: Callable, groups: Groups):
        self.inputs = copied(groups)
        self.replay, self.outputs = captured(lambda: function(*self.inputs))
        self.size = size_of(self.inputs) + size_of(self.outputs)

    def play(self, groups: Groups) -> Groups:
        """The outputs for these inputs."""
        for own, given in zip(tensors_of(self.inputs), tensors_of(groups)):
            own.copy_(given)
        self.replay()
        return copied(self.outputs)


def recordable(tensors: list[Any]) -> bool:
    """Whether what is done with these tensors can be recorded."""
    if not all(tensor.is_cuda for tensor in tensors):
        return False
    if torch.compiler.is_compiling() or torch.cuda.is_current_stream_capturing():
        return False
    if torch.is_autocast_enabled("cuda"):
        # It keeps copies of weights from one call to the next.
        return False
    if torch.is_anomaly_enabled() or LAUNCHES_WAIT:
        # Who looks for an error wants the operation that made it.
        return False
    device = torch.cuda.current_device()
    return all(tensor.get_device() == device for tensor in tensors)


def memory() -> int:
    """Bytes of the current GPU."""
    device = torch.cuda.current_device()
    return torch.cuda.get_device_properties(device).total_memory


def tensors_of(groups: Groups) -> list[Any]:
    """All tensors of the groups."""
    return [tensor for group in groups for tensor in group if tensor is not None]


def size_of(groups: Groups) -> int:
    """Bytes of all tensors of the groups."""
    return sum(t.numel() * t.element_size() for t in tensors_of(groups))


def copied(groups: Groups) -> Groups:
    """The groups with tensors of their own."""
    return tuple(
        [None if tensor is None else tensor.detach().clone() for tensor in group]
        for group in groups
    )


def _shapes(groups):
    return tuple(
        tuple(None if t is None else (tuple(t.shape), t.dtype) for t in group)
        for group in groups
    )


def _cause(error):
    """The first line of what went wrong first."""
    while error.__context__ is not None:
        error = error.__context__
    return str(error).strip().splitlines()[0]
