"""How a CUDA graph is made, step by step, on a GPU that is not there."""

import contextlib
import gc
import inspect
import itertools
import types

import pytest
import torch

from keras_rnnx.engine.backends.torch import cuda_capture
from keras_rnnx.engine.backends.torch.cuda_capture import Captured, Watch

SIGNATURE = inspect.signature(torch.cuda.CUDAGraph.capture_begin)


@pytest.fixture
def steps(monkeypatch):
    """What was done, in order. Streams are named by `steps.stream`."""
    done = types.SimpleNamespace(log=[], stream=0, pools=itertools.count(1), fails=())

    class Graph:
        def capture_begin(self, *args, **kwargs):
            given = SIGNATURE.bind(self, *args, **kwargs).arguments
            assert given["capture_error_mode"] == "thread_local"
            self.number = given.get("pool") or next(done.pools)
            assert not gc.isenabled()
            done.log.append(f"begin in pool {self.number} on {done.stream}")

        def capture_end(self):
            done.log.append("end")
            if "end" in done.fails:
                raise RuntimeError("operation failed due to a previous error")

        def pool(self):
            return self.number

        def replay(self):
            done.log.append("replay")

    @contextlib.contextmanager
    def on(stream):
        before, done.stream = done.stream, stream
        try:
            yield
        finally:
            done.stream = before

    fakes = {
        "CUDAGraph": Graph,
        "Stream": lambda: "side",
        "stream": on,
        "current_stream": lambda: types.SimpleNamespace(cuda_stream=done.stream),
        "current_device": lambda: 0,
        "current_blas_handle": lambda: done.log.append("handle"),
        "synchronize": lambda: done.log.append("wait"),
    }
    for name, fake in fakes.items():
        assert hasattr(torch.cuda, name)
        monkeypatch.setattr(torch.cuda, name, fake)
    real = torch.zeros
    monkeypatch.setattr(torch, "zeros", lambda *size, device=None: real(*size))
    yield done
    gc.collect()
    cuda_capture._unfit.clear()
    assert not list(cuda_capture._places)


def logged(steps):
    log, steps.log[:] = list(steps.log), []
    return log


BEGUN = ["handle", "wait"]


def test_a_function_is_called_between_begin_and_end(steps):
    found = Captured(lambda x: steps.log.append("function") or [x], ("input",))
    pool = [*BEGUN, "begin in pool 1 on side", "end"]
    own = [*BEGUN, "begin in pool 1 on side", "function", "end"]
    assert logged(steps) == pool + own
    assert found.results == ["input"] and steps.stream == 0 and gc.isenabled()
    found.replay()
    assert logged(steps) == ["replay"]


def test_recordings_of_a_stream_share_a_pool_as_long_as_there_are_any(steps):
    first, second = (Captured(list, ()) for _ in range(2))
    steps.stream = 7
    other = Captured(list, ())
    begun = [line for line in logged(steps) if "begin" in line]
    assert begun == [f"begin in pool {n} on side" for n in (1, 1, 1, 2, 2)]
    del first, second
    gc.collect()
    assert list(cuda_capture._places) == [(0, 7)]
    del other


def test_what_fails_says_its_own_cause_and_leaves_the_pool(steps):
    kept = Captured(list, ())

    def failing():
        raise ValueError("the cause")

    steps.fails = ("end",)
    with pytest.raises(ValueError, match="the cause"):
        Captured(failing, ())
    assert steps.stream == 0 and gc.isenabled()
    steps.fails = ()
    logged(steps)
    again = Captured(list, ())
    begun = [line for line in logged(steps) if "begin" in line]
    assert begun == ["begin in pool 2 on side"] * 2
    del kept, again


@pytest.mark.parametrize(
    "call, found",
    [
        (lambda x: torch.tensor(0.5), "tensor"),
        (lambda x: torch.as_tensor(data=[0.5]), "as_tensor"),
        (lambda x: float(x.sum()), "__float__"),
        (lambda x: x[x > 0] if bool((x > 0).all()) else x, "__bool__"),
        (lambda x: x.max().item(), "item"),
        (lambda x: torch.as_tensor(x), ""),
        (lambda x: 1 - x * (x > 0), ""),
    ],
)
def test_the_watch_names_what_waits_for_the_host(call, found):
    with Watch() as watch:
        call(torch.ones(3))
    assert watch.blocked == found
