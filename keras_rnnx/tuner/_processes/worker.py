"""A process that runs the trials that a chief hands out."""

from __future__ import annotations

import importlib
import importlib.util
import multiprocessing
import os
import pickle
import sys
import threading
from pathlib import Path

import keras
import keras_tuner

from keras_rnnx.tuner._processes.chief import IP, PORT, await_chief
from keras_rnnx.tuner._processes.work import Work
from keras_rnnx.tuner._quiet import quiet
from keras_rnnx.tuner.errors import SearchPaused

# Exit codes: restart this worker; the disk is full; the launcher is gone.
RECYCLED, PAUSED, ORPHANED = 75, 74, 70
MEGABYTE = 2**20
# Whether workers are forked from a process that has imported their modules.
FORKED = sys.platform.startswith("linux")
# A worker restarts when its memory has grown by so much since its first trial:
# TensorFlow keeps 10 to 20 MB of each model. A restart takes a second if workers are
# forked, and several seconds if they import the modules themselves.
GROWTH = (40 if FORKED else 500) * MEGABYTE


def run_worker(work: Work, growth: float = GROWTH) -> None:
    """Runs the trials of the chief whose address is in the environment.

    Raises:
        SearchError: if no chief answers.
    """
    await_chief(os.environ[IP], int(os.environ[PORT]))
    shell = keras_tuner.Oracle(objective=work.objective)
    work.tuner(shell, _Leaving(growth)).search()


class _Leaving:
    """Ends a worker when its memory has grown, so that it is restarted."""

    def __init__(self, growth: float):
        self._growth = growth
        self._first: int | None = None

    def __call__(self, trials: int) -> None:
        import psutil

        if not trials:
            return
        used = psutil.Process().memory_info().rss
        # Memory of the first trial stays in use, so growth counts from there.
        if self._first is None:
            self._first = used
        if used - self._first > self._growth:
            os._exit(RECYCLED)


def main(
    payload: str,
    modules: list[tuple[str, str]],
    environment: dict[str, str],
    log: str,
    growth: float,
) -> None:
    """The main function of a worker process.

    Args:
        payload: path of the file with its `Work`.
        modules: names and paths of modules to import first.
        environment: environment variables to set.
        log: path of the file for its output.
        growth: bytes by which its memory may grow.
    """
    # A forked process has the variables of the process that it was forked from.
    os.environ.update(environment)
    parent = multiprocessing.parent_process()

    def follow() -> None:
        if parent is not None:
            parent.join()
            os._exit(ORPHANED)

    threading.Thread(target=follow, daemon=True).start()
    # The output of frameworks goes to the file too.
    file = open(log, "a", buffering=1)  # noqa: SIM115 - it lives as long as the process
    os.dup2(file.fileno(), 1)
    os.dup2(file.fileno(), 2)
    try:
        for name, path in modules:
            _load(name, path)
        if keras.backend.backend() == "torch":
            import torch

            torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        with quiet():
            run_worker(pickle.loads(Path(payload).read_bytes()), growth)
    except SearchPaused as error:
        print(error)
        os._exit(PAUSED)
    except KeyboardInterrupt:
        os._exit(130)


def _load(name: str, path: str | Path) -> None:
    """Imports a module of the user, by its name or else from its file."""
    if name in sys.modules:
        return
    try:
        importlib.import_module(name)
    except ImportError:
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
