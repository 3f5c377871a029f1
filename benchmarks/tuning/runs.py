"""The runs that are kept, in which order others are run, and each in a process."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil

from benchmarks import kept
from benchmarks.tuning import methods

ROOT = Path(__file__).parents[2]
# What must be the same for runs of a task to be compared.
SAME = ("seconds", "max_epochs", "preset")
ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
}


class RunFailed(RuntimeError):
    """A run that ended with an error; the message is what it printed last."""


class Kept:
    """The runs in a file, which is written anew behind each.

    Args:
        folder: where the file is.
        backend: that of Keras.

    Attributes:
        path: of the file.
        runs: the runs, as `benchmarks.tuning.one.run` gives them.
    """

    def __init__(self, folder: Path, backend: str):
        self.path = folder / f"tuning-{backend}.json"
        self.backend = backend
        self.runs: list[dict[str, Any]] = []
        if self.path.exists():
            self.runs = json.loads(self.path.read_text(encoding="utf-8"))["runs"]

    def has(self, request: dict[str, Any]) -> bool:
        """Whether a run is kept.

        Raises:
            ValueError: if there are runs of the task that it can't be compared with.
        """
        for run in self.runs:
            if run["task"] != request["task"]:
                continue
            for key in SAME:
                if run[key] != request[key]:
                    raise ValueError(
                        f"{self.path} has runs of {run['task']} with {key} {run[key]}, "
                        f"and this is {request[key]}: they can't be compared. Use "
                        f"another folder (--out), or take the file away."
                    )
            if key_of(run) == key_of(request):
                return True
        return False

    def add(self, run: dict[str, Any]) -> None:
        """Keeps a run."""
        self.runs.append(run)
        head = {
            "title": "searches for the same time",
            "backend": self.backend,
        }
        kept.write(self.path, head, "runs", self.runs)


def key_of(run: dict[str, Any]) -> tuple[str, str, int]:
    """What tells runs apart."""
    return run["task"], run["method"], run["seed"]


def ordered(
    tasks: Sequence[str], names: Sequence[str], seeds: int
) -> Iterator[tuple[str, str, int]]:
    """Tasks, methods and seeds: with each seed another method comes first."""
    for seed in range(seeds):
        first = seed % len(names)
        for task in tasks:
            for method in (*names[first:], *names[:first]):
                yield task, method, seed


def in_process(request: dict[str, Any], backend: str) -> dict[str, Any]:
    """Runs a search in a process of its own, with the threads it has by default.

    Returns:
        What `benchmarks.tuning.one.run` gives, and "others": how many cores other
        programs used meanwhile, on the mean.

    Raises:
        RunFailed: if it ends with an error, or takes far longer than its time.
    """
    environment = {**ENVIRONMENT, **os.environ, "KERAS_BACKEND": backend}
    environment |= methods.environment(request["method"])
    limit = 3 * request["seconds"] + 600
    with tempfile.TemporaryDirectory() as folder:
        out, log = Path(folder) / "run.json", Path(folder) / "log"
        text = json.dumps({**request, "out": str(out)})
        with log.open("w") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.tuning.one", text],
                cwd=ROOT,
                env=environment,
                stdout=file,
                stderr=subprocess.STDOUT,
            )
            load = Load(process.pid)
            try:
                while process.poll() is None:
                    if load.seconds > limit:
                        raise RunFailed(f"no end after {limit:.0f} seconds")
                    load.look()
                    time.sleep(0.5)
            finally:
                # Its workers follow it.
                process.kill()
                process.wait()
        if process.returncode or not out.exists():
            lines = log.read_text(errors="replace").strip().split("\n")
            raise RunFailed("\n".join([f"status {process.returncode}", *lines[-8:]]))
        found = json.loads(out.read_text(encoding="utf-8"))
        return {**found, "others": load.others()}


class Load:
    """How much of the machine a process uses with all that it starts, and others do.

    Args:
        pid: of the process.
    """

    def __init__(self, pid: int):
        self._process = psutil.Process(pid)
        self._start, self._busy = time.perf_counter(), _busy()
        # Seconds of CPU time when a process was last seen, by process.
        self._own: dict[int, float] = {}

    @property
    def seconds(self) -> float:
        """Seconds since the beginning."""
        return time.perf_counter() - self._start

    def look(self) -> None:
        """Notes what the processes have used; to be called now and then."""
        with contextlib.suppress(psutil.Error):
            for one in [self._process, *self._process.children(recursive=True)]:
                with contextlib.suppress(psutil.Error):
                    times = one.cpu_times()
                    self._own[one.pid] = times.user + times.system

    def others(self) -> float:
        """How many cores others used, on the mean."""
        used = _busy() - self._busy - sum(self._own.values())
        return max(0.0, used / self.seconds)


def _busy():
    """Seconds of CPU time that the machine has used."""
    times = psutil.cpu_times()
    return times.user + times.nice + times.system
