"""Records loops on a GPU as CUDA graphs, and replays them."""

from __future__ import annotations

import itertools
import math
import os
import threading
import warnings
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeAlias

import torch

from keras_rnnx.cells._base.program import CellProgram
from keras_rnnx.engine.backends.protocol import Tensor, Tensors
from keras_rnnx.engine.backends.torch.cuda_capture import Captured, Watch

# All recordings may hold one part in so many of the GPU's memory.
SHARE = 4
# Largest number of recordings of a recurrence, and of shapes that it remembers.
MANY, KNOWN = 64, 256
# A recording that was not replayed in so many calls makes room for others. With a
# smaller number, shapes that alternate would be recorded again and again.
IDLE = 10_000
# Other subclasses (FakeTensor, functorch wrappers) have no storage, so a CUDA graph
# cannot read them.
KINDS = (torch.Tensor, torch.nn.Parameter)
LAUNCHES_WAIT = os.environ.get("CUDA_LAUNCH_BLOCKING", "0") != "0"

# Lists of tensors, or of None.
Groups: TypeAlias = tuple[list[Tensor | None], ...]
# A replay writes to tensors that other threads may read: one at a time.
_lock = threading.RLock()
_calls = itertools.count()
_recorders: weakref.WeakSet = weakref.WeakSet()


class Recorder:
    """Calls the functions of one recurrence, and records them where that is faster.

    Their operations may depend only on the key, the cell's declaration and the tensors.

    Args:
        program: the cell.
    """

    def __init__(self, program: CellProgram):
        self.program = program
        # By key: the bytes that a recording would hold, and the recordings.
        self.sizes: OrderedDict[tuple, float] = OrderedDict()
        self.recordings: dict[tuple, Recording] = {}
        self.watched: set[str] = set()
        self.refused = False
        _recorders.add(self)

    def __call__(
        self, function: Callable, key: tuple, *groups: list[Tensor | None]
    ) -> Groups:
        """`function(*groups)`, from lists of tensors to lists of tensors.

        Args:
            function: the function.
            key: its name, then all that it depends on besides the tensors.
            *groups: lists of tensors, or of None.
        """
        if self.refused or not recordable(tensors_of(groups)):
            return function(*groups)
        key = (*key, *self.program.constants, *_here(), _shapes(groups))
        with _lock:
            recording = self.recordings.get(key)
            # In the first call of a shape, libraries make preparations that are not
            # possible during a recording.
            if recording is None and key in self.sizes and self._has_room(key):
                recording = self._recorded(function, key, groups)
            if recording is not None:
                recording.last_call = next(_calls)
                return recording.play(groups)
        if key in self.sizes or self.refused:
            return function(*groups)
        results = self._watched(function, key, groups)
        self.sizes[key] = size_of(groups) + size_of(results)
        if len(self.sizes) > KNOWN:
            self.sizes.popitem(last=False)
        return results

    def may_record(self, tensor: Tensor) -> bool:
        """Whether calls with such a tensor may be recorded.

        Args:
            tensor: one of the tensors of a call.
        """
        return not self.refused and recordable([tensor])

    def _watched(self, function: Callable, key: tuple, groups: Groups) -> Groups:
        """Calls a function, and in its first call looks for what cannot be recorded."""
        if key[0] in self.watched:
            return function(*groups)
        with Watch() as watch:
            results = function(*groups)
        self.watched.add(key[0])
        if watch.blocked:
            self._refuse(f"it calls torch's `{watch.blocked}`")
        return results

    def _has_room(self, key: tuple) -> bool:
        """Whether there is room for a recording, if necessary without idle ones."""
        device, size = torch.cuda.current_device(), self.sizes[key]
        for oldest in (0, next(_calls) - IDLE):
            held = sum(recorder.held(device, oldest) for recorder in list(_recorders))
            total, unused = memory()
            fits = held + size <= total // SHARE and 2 * size <= unused
            if fits and len(self.recordings) < MANY:
                return True
        return False

    def held(self, device: int, oldest: int) -> int:
        """Drops recordings that were last replayed before call `oldest`; returns the
        bytes that the others hold on a GPU."""
        for key, recording in list(self.recordings.items()):
            if recording.last_call < oldest:
                del self.recordings[key]
        recordings = self.recordings.values()
        return sum(r.size for r in recordings if r.device == device)

    def _recorded(
        self, function: Callable, key: tuple, groups: Groups
    ) -> Recording | None:
        """A new recording, or None if recording failed."""
        try:
            recording = self.recordings[key] = Recording(function, groups)
        except torch.OutOfMemoryError:
            self.recordings.clear()
            self.sizes[key] = math.inf
            return None
        except RuntimeError as error:
            self._refuse((str(error).strip() or repr(error)).splitlines()[0])
            return None
        return recording

    def _refuse(self, why: str) -> None:
        self.refused = True
        self.recordings.clear()
        warnings.warn(
            f"The loop of {self.program.name} cannot be recorded as a CUDA "
            f"graph, and runs operation by operation: {why}. An equation can be "
            f"recorded if it copies no data from the host to the GPU or back, as "
            f"`keras.ops.maximum(x, 0.5)` does with its number. To turn recording and "
            f"this warning off, use `with keras_rnnx.engine.cuda_graphs(False):`.",
            stacklevel=3,
        )


class Recording:
    """One function as a CUDA graph.

    It reads and writes its own tensors, so that other calls may come between two
    replays.

    Args:
        function: from lists of tensors to lists of tensors.
        groups: lists of tensors, or of None, of the shapes that all calls will have.

    Attributes:
        size: bytes that it holds.
        device: index of the GPU.
        last_call: the number of the call that replayed it last.
    """

    def __init__(self, function: Callable, groups: Groups):
        self.device = tensors_of(groups)[0].get_device()
        self.last_call = next(_calls)
        # Tensors made in inference mode cannot be written to outside of it.
        with torch.inference_mode(False), torch.no_grad():
            self.inputs = tuple(
                [None if t is None else t.detach().clone() for t in group]
                for group in groups
            )
            self.graph = Captured(function, self.inputs)
        self.size = size_of(self.inputs) + size_of(self.graph.results)

    def play(self, groups: Groups) -> Groups:
        """The outputs for these inputs."""
        for held, tensor in zip(tensors_of(self.inputs), tensors_of(groups)):
            held.copy_(tensor)
        self.graph.replay()
        results = self.graph.results
        # A tensor may appear twice: as an output and as a residual.
        copies = {id(t): t.detach().clone() for t in tensors_of(results)}
        return tuple([copies.get(id(t)) for t in group] for group in results)


def recordable(tensors: Tensors) -> bool:
    """Whether operations on these tensors can be recorded."""
    if not all(tensor.is_cuda for tensor in tensors) or not possible():
        return False
    if torch.cuda.is_current_stream_capturing():
        return False
    device = torch.cuda.current_device()
    return all(type(t) in KINDS and t.get_device() == device for t in tensors)


def possible() -> bool:
    """Whether torch's current modes allow a recording."""
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        return False
    # Autocast keeps copies of weights from one call to the next. Anomaly detection must
    # report the operation that failed.
    others = torch.is_autocast_enabled("cuda"), torch.is_anomaly_enabled()
    return not any(others) and not LAUNCHES_WAIT


def memory() -> tuple[int, int]:
    """Bytes of memory of the current GPU, in total and not in use."""
    free, total = torch.cuda.mem_get_info()
    kept = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
    return total, free + kept


def tensors_of(groups: Groups) -> Tensors:
    """All tensors of the groups."""
    return [tensor for group in groups for tensor in group if tensor is not None]


def size_of(groups: Groups) -> int:
    """Bytes of all tensors of the groups."""
    sizes = {id(t): t.numel() * t.element_size() for t in tensors_of(groups)}
    return sum(sizes.values())


def _here() -> tuple[int, int]:
    return torch.cuda.current_device(), torch.cuda.current_stream().cuda_stream


def _shapes(groups: Groups) -> tuple:
    return tuple(
        tuple(None if t is None else (tuple(t.shape), t.dtype) for t in group)
        for group in groups
    )
