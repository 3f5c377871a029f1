"""Starts workers on this machine, and restarts them."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from typing import Any

import keras

from keras_rnnx.tuner._processes import work as works
from keras_rnnx.tuner._processes.chief import (
    ID,
    IP,
    LOOPBACK,
    PORT,
    environment,
    free_port,
    start_chief,
)
from keras_rnnx.tuner._processes.worker import FORKED, GROWTH, PAUSED, RECYCLED, main
from keras_rnnx.tuner._state.oracle import SearchOracle
from keras_rnnx.tuner.errors import SearchError, SearchPaused, paused_by
from keras_rnnx.tuner.files import write_bytes

# If a worker dies so often in a row without ending a trial, the search fails.
DEATHS = 5
WORK = "work.pickle"


class Launcher:
    """The chief of a search in this process, and its workers in others.

    Args:
        oracle: the oracle, which holds the state of the search.
        work: the data and functions that workers need.
        workers: number of workers.
        growth: bytes by which the memory of a worker may grow.
    """

    def __init__(
        self,
        oracle: SearchOracle,
        work: works.Work,
        workers: int,
        growth: float = GROWTH,
    ):
        self.oracle, self.work, self.growth = oracle, work, growth
        self.names = [f"worker{number}" for number in range(workers)]
        self._payload = works.packed(work)
        self._modules = works.modules(work)
        self._context = _context()
        self._logs = work.directory / "workers"
        self._processes: dict[str, Any] = {}
        self._deaths = dict.fromkeys(self.names, 0)
        self._seen = dict.fromkeys(self.names, 0)

    def run(self, watch: Callable[[], None] = lambda: None) -> None:
        """Runs the search to its end.

        Args:
            watch: called several times a second.

        Raises:
            SearchError: if a worker dies again and again.
            SearchPaused: if the disk can't be written.
        """
        try:
            self._logs.mkdir(parents=True, exist_ok=True)
            write_bytes(self._logs / WORK, self._payload)
        except OSError as error:
            raise paused_by(error) from error
        self._address = LOOPBACK, free_port()
        start_chief(self.oracle, self.work.directory, *self._address)
        try:
            for name in self.names:
                self._start(name)
            while self._processes:
                watch()
                time.sleep(0.1)
                if self.oracle.finished():
                    # Workers that have not asked for a trial yet get none.
                    break
                self._look_after()
            watch()
        finally:
            self._end()

    def _start(self, name: str) -> None:
        ip, port = self._address
        gpu = _gpu(self.names.index(name))
        threads = str(max(1, _cores() // len(self.names)))
        variables = {
            **{IP: ip, PORT: str(port), ID: name},
            "KERAS_BACKEND": keras.backend.backend(),
            "OMP_NUM_THREADS": threads,
            "TF_NUM_INTRAOP_THREADS": threads,
            "TF_NUM_INTEROP_THREADS": threads,
            "TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2"),
            **gpu,
        }
        if keras.backend.backend() == "jax" and threads == "1":
            flags = "--xla_cpu_multi_thread_eigen=false"
            variables["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flags}"
        # Not through a pipe: a large payload would wait until the process reads it.
        payload = self._logs / WORK
        log = str(self._logs / f"{name}.log")
        process = self._context.Process(
            target=main,
            args=(str(payload), self._modules, variables, log, self.growth),
            name=name,
        )
        with environment(variables):
            process.start()
        self._processes[name] = process

    def _look_after(self) -> None:
        """Restarts workers that died, and forgets those that finished."""
        for name, process in list(self._processes.items()):
            if process.is_alive():
                continue
            code = process.exitcode
            del self._processes[name]
            if code == 0:
                continue
            if code == PAUSED:
                raise SearchPaused(self._last_line(name))
            if self.oracle.problem is not None:
                continue
            if code != RECYCLED:
                self._count_death(name, code)
            self._start(name)

    def _count_death(self, name: str, code: int | None) -> None:
        ended = len(self.oracle.end_order)
        self._deaths[name] = 1 + self._deaths[name] * (ended == self._seen[name])
        self._seen[name] = ended
        if self._deaths[name] >= DEATHS:
            raise SearchError(
                f"{name} died {DEATHS} times without the end of a trial, the last time "
                f"with exit code {code}. The last line that it printed: "
                f"{self._last_line(name)!r} ({self._logs / name}.log)"
            )

    def _last_line(self, name: str) -> str:
        path = self._logs / f"{name}.log"
        lines = path.read_text("utf-8", "replace").split("\n") if path.exists() else []
        return next((line for line in reversed(lines) if line.strip()), "nothing")

    def _end(self) -> None:
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            process.join(5)
            if process.is_alive():
                process.kill()
                process.join()


def _context() -> Any:
    """The context that starts processes.

    On Linux one process imports the modules that workers need, and workers are forked
    from it, which takes no time. That is safe: it has one thread and has computed
    nothing. On other systems each worker imports the modules itself.
    """
    if not FORKED:
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["keras_rnnx.tuner._processes.preload"])
    return context


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _gpu(number: int) -> dict[str, str]:
    """The environment variable that gives a worker one GPU, if there are some."""
    if not shutil.which("nvidia-smi"):
        return {}
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        listed = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, text=True, check=False
        )
        visible = ",".join(str(i) for i in range(listed.stdout.count("GPU ")))
    gpus = [name for name in visible.split(",") if name]
    return {"CUDA_VISIBLE_DEVICES": gpus[number % len(gpus)]} if gpus else {}
