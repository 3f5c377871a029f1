"""Loops on a GPU, recorded as CUDA graphs and played again."""

from __future__ import annotations

import itertools
import math
import os
import threading
import warnings
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch

from keras_rnnx.cells._base.program import CellProgram
from keras_rnnx.engine.backends.torch.cuda_capture import Captured, Watch

# Of the GPU's memory that all recordings may hold.
SHARE = 4
# Recordings of a recurrence, and shapes of which it is known that they came.
MANY, KNOWN = 64, 256
# One that was not played in so many calls gives way to others. Sooner, and shapes that
# come in turn would be recorded again and again, which costs a call.
IDLE = 10_000
# Other kinds stand for tensors that are not there.
KINDS = (torch.Tensor, torch.nn.Parameter)
LAUNCHES_WAIT = os.environ.get("CUDA_LAUNCH_BLOCKING", "0") != "0"

Groups = tuple[list[Any], ...]
# What is played is written to where others read: one at a time.
_lock = threading.RLock()
_calls = itertools.count()
_recorders: weakref.WeakSet = weakref.WeakSet()


class Recorder:
    """Calls the functions of one recurrence, recorded where that pays.

    Their operations must depend on nothing but the key, what the cell declares, and the
    tensors.

    Args:
        program: the cell.
    """

    def __init__(self, program: CellProgram):
        self.program = program
        # By shape what a recording would hold, and the recordings.
        self.sizes: OrderedDict[tuple, float] = OrderedDict()
        self.recordings: dict[tuple, Recording] = {}
        self.watched: set[str] = set()
        self.refused = False
        _recorders.add(self)

    def __call__(self, function: Callable, key: tuple, *groups: list[Any]) -> Groups:
        """`function(*groups)`, from lists of tensors to lists of tensors.

        Args:
            function: the function.
            key: its name, then what it depends on beside the tensors.
            *groups: lists of tensors, or of None.
        """
        if self.refused or not recordable(tensors_of(groups)):
            return function(*groups)
        key = (*key, *self.program.constants, *_here(), _shapes(groups))
        with _lock:
            found = self.recordings.get(key)
            # The first call of a shape makes libraries set up what cannot be set up
            # while recording.
            if found is None and key in self.sizes and self._has_room(key):
                found = self._recorded(function, key, groups)
            if found is not None:
                found.last_call = next(_calls)
                return found.play(groups)
        if key in self.sizes or self.refused:
            return function(*groups)
        results = self._watched(function, key, groups)
        self.sizes[key] = size_of(groups) + size_of(results)
        if len(self.sizes) > KNOWN:
            self.sizes.popitem(last=False)
        return results

    def may_record(self, tensor: Any) -> bool:
        """Whether calls with such a tensor may be recorded.

        Args:
            tensor: one of those of a call.
        """
        return not self.refused and recordable([tensor])

    def _watched(self, function, key, groups):
        """Its first call, in which what the host is asked for shows."""
        if key[0] in self.watched:
            return function(*groups)
        with Watch() as watch:
            results = function(*groups)
        self.watched.add(key[0])
        if watch.found:
            self._refuse(f"it calls torch's `{watch.found}`")
        return results

    def _has_room(self, key):
        """Whether there is, without recordings that are in use no more."""
        device, size = torch.cuda.current_device(), self.sizes[key]
        for oldest in (0, next(_calls) - IDLE):
            held = sum(recorder.held(device, oldest) for recorder in list(_recorders))
            total, unused = memory()
            fits = held + size <= total // SHARE and 2 * size <= unused
            if fits and len(self.recordings) < MANY:
                return True
        return False

    def held(self, device: int, oldest: int) -> int:
        """Bytes that its recordings on a GPU hold, without those that were not played
        since a call, which go."""
        for key, recording in list(self.recordings.items()):
            if recording.last_call < oldest:
                del self.recordings[key]
        found = self.recordings.values()
        return sum(r.size for r in found if r.device == device)

    def _recorded(self, function, key, groups):
        """A recording, or None where there can be none."""
        try:
            found = self.recordings[key] = Recording(function, groups)
        except torch.OutOfMemoryError:
            self.recordings.clear()
            self.sizes[key] = math.inf
            return None
        except RuntimeError as error:
            self._refuse((str(error).strip() or repr(error)).splitlines()[0])
            return None
        return found

    def _refuse(self, why):
        self.refused = True
        self.recordings.clear()
        warnings.warn(
            f"The loop of {self.program.name} cannot be recorded as a CUDA "
            f"graph, and runs operation by operation: {why}. An equation can be "
            f"recorded if it takes no data from the host to the GPU or back, as "
            f"`keras.ops.maximum(x, 0.5)` does with its number. `with "
            f"keras_rnnx.engine.cuda_graphs(False):` records nothing and says nothing.",
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
        device: index of the GPU.
        last_call: the number of the call that played it last.
    """

    def __init__(self, function: Callable, groups: Groups):
        self.device = tensors_of(groups)[0].get_device()
        self.last_call = next(_calls)
        # What is made in inference mode could not be written to outside of it.
        with torch.inference_mode(False), torch.no_grad():
            self.inputs = tuple(
                [None if t is None else t.detach().clone() for t in group]
                for group in groups
            )
            self.graph = Captured(function, self.inputs)
        self.size = size_of(self.inputs) + size_of(self.graph.results)

    def play(self, groups: Groups) -> Groups:
        """The outputs for these inputs."""
        for own, given in zip(tensors_of(self.inputs), tensors_of(groups)):
            own.copy_(given)
        self.graph.replay()
        results = self.graph.results
        # One may be there twice, to be returned and to be kept.
        copies = {id(t): t.detach().clone() for t in tensors_of(results)}
        return tuple([copies.get(id(t)) for t in group] for group in results)


def recordable(tensors: list[Any]) -> bool:
    """Whether what is done with these tensors can be recorded."""
    if not all(tensor.is_cuda for tensor in tensors) or not possible():
        return False
    if torch.cuda.is_current_stream_capturing():
        return False
    device = torch.cuda.current_device()
    return all(type(t) in KINDS and t.get_device() == device for t in tensors)


def possible() -> bool:
    """Whether anything can be recorded as things are."""
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        return False
    # Autocast keeps copies of weights from one call to the next. And who looks for an
    # error wants the operation that made it.
    others = torch.is_autocast_enabled("cuda"), torch.is_anomaly_enabled()
    return not any(others) and not LAUNCHES_WAIT


def memory() -> tuple[int, int]:
    """Bytes of the current GPU, and those that are not in use."""
    free, total = torch.cuda.mem_get_info()
    kept = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
    return total, free + kept


def tensors_of(groups: Groups) -> list[Any]:
    """All tensors of the groups."""
    return [tensor for group in groups for tensor in group if tensor is not None]


def size_of(groups: Groups) -> int:
    """Bytes of all tensors of the groups."""
    found = {id(t): t.numel() * t.element_size() for t in tensors_of(groups)}
    return sum(found.values())


def _here():
    return torch.cuda.current_device(), torch.cuda.current_stream().cuda_stream


def _shapes(groups):
    return tuple(
        tuple(None if t is None else (tuple(t.shape), t.dtype) for t in group)
        for group in groups
    )
