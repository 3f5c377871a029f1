"""Several processes that run the trials of one search on this machine."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import importlib.util
import io
import multiprocessing
import os
import pickle
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import keras_tuner

from keras_rnnx.tuner._data import SearchData
from keras_rnnx.tuner._oracle import SearchOracle
from keras_rnnx.tuner._quiet import quiet
from keras_rnnx.tuner._tuner import SearchTuner
from keras_rnnx.tuner.errors import SearchError, SearchPaused, paused_by
from keras_rnnx.tuner.files import write_bytes

IP, PORT, ID = (f"KERASTUNER_{n}" for n in ("ORACLE_IP", "ORACLE_PORT", "TUNER_ID"))
LOOPBACK = "127.0.0.1"
# Exit codes of workers: to be started again, and: the disk is full.
RECYCLED, PAUSED, ORPHANED = 75, 74, 70
# A worker that dies so often in a row, without a report, has a cause.
DEATHS = 5
WORK = "work.pickle"
MEGABYTE = 2**20
# Whether workers are forked from a process that has imported all they need.
FORKED = sys.platform.startswith("linux")
# A worker leaves when its memory has grown by so much since its first trial, and is
# started again: TensorFlow keeps 10 to 20 MB of each model. That takes a second where
# workers are forked, and several where they import for themselves.
GROWTH = (100 if FORKED else 500) * MEGABYTE


@dataclasses.dataclass
class Work:
    """What a worker needs to run trials.

    Attributes:
        hypermodel: the hypermodel.
        data: what trials are trained on.
        epochs: most epochs of a trial.
        directory: that of the search.
        objective: the objective.
        callbacks: makes callbacks of the user.
        measures: what is measured of a model before it is trained.
    """

    hypermodel: keras_tuner.HyperModel
    data: SearchData
    epochs: int
    directory: Path
    objective: keras_tuner.Objective
    callbacks: Callable[[], list[keras.callbacks.Callback]] = list
    measures: tuple[str, ...] = ()

    def tuner(
        self,
        oracle: keras_tuner.Oracle,
        leave: Callable[[int], None] = lambda trials: None,
    ) -> SearchTuner:
        """The tuner of an oracle."""
        return SearchTuner(
            oracle,
            self.hypermodel,
            self.data,
            self.epochs,
            self.directory,
            self.callbacks,
            self.measures,
            leave,
        )


def role() -> str | None:
    """What KerasTuner's environment variables make of this process.

    Returns:
        "chief", "worker", or None without them.
    """
    if IP not in os.environ:
        return None
    return "chief" if "chief" in os.environ.get(ID, "") else "worker"


def run_worker(work: Work, growth: float = GROWTH) -> None:
    """Runs trials that the chief at the address in the environment gives.

    Raises:
        SearchError: if no chief answers there.
    """
    _await_chief(os.environ[IP], int(os.environ[PORT]))
    shell = keras_tuner.Oracle(objective=work.objective)
    work.tuner(shell, _Leaving(growth)).search()


def _await_chief(ip, port, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not _answers(ip, port):
        if time.monotonic() > deadline:
            raise SearchError(
                f"No chief answers at {ip}:{port} within {seconds:.0f} seconds. Start "
                f"it first, with the same {IP} and {PORT}, and {ID}=chief."
            )
        time.sleep(0.2)


def _answers(ip, port):
    try:
        with socket.create_connection((ip, port), timeout=1.0):
            return True
    except OSError:
        return False


def check_port(ip: str, port: int) -> None:
    """Raises a SearchError for a port that another process listens on."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ip, port))
        except OSError as error:
            raise SearchError(
                f"The chief can't listen at {ip}:{port}: {error.strerror}. Choose "
                f"another {PORT}, or end the process that has it."
            ) from error


class _Leaving:
    """Ends a worker, to be started again, when its memory has grown."""

    def __init__(self, growth):
        self._growth = growth
        self._first = None

    def __call__(self, trials):
        import psutil

        if not trials:
            return
        used = psutil.Process().memory_info().rss
        # What is loaded for the first trial stays.
        if self._first is None:
            self._first = used
        if used - self._first > self._growth:
            os._exit(RECYCLED)


# --- what a worker process runs -----------------------------------------------------


def _main(
    payload: str,
    modules: list[tuple[str, str]],
    environment: dict[str, str],
    log: str,
    growth: float,
):
    """The main function of a worker process."""
    # A process that was forked has the variables of the one that it was forked from.
    os.environ.update(environment)
    parent = multiprocessing.parent_process()

    def follow():
        parent.join()
        os._exit(ORPHANED)

    threading.Thread(target=follow, daemon=True).start()
    # What frameworks print is in the file.
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


def _load(name, path):
    """Imports a module of the user, by its name or else from its file."""
    if name in sys.modules:
        return
    try:
        importlib.import_module(name)
    except ImportError:
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)


# --- what goes to it ----------------------------------------------------------------

_OF_KERAS = (
    keras.metrics.Metric,
    keras.losses.Loss,
    keras.regularizers.Regularizer,
    keras.initializers.Initializer,
    keras.constraints.Constraint,
)


class _Pickler(pickle.Pickler):
    """Objects of Keras go as their configs: metrics have variables."""

    def reducer_override(self, value):
        if isinstance(value, _OF_KERAS):
            config = keras.saving.serialize_keras_object(value)
            return keras.saving.deserialize_keras_object, (config,)
        return NotImplemented


def _packed(work):
    file = io.BytesIO()
    try:
        _Pickler(file).dump(work)
    except (AttributeError, TypeError, pickle.PicklingError) as error:
        raise SearchError(
            f"Workers need the data and the functions of a search, and these can't be "
            f"sent to another process: {error}. Define functions with `def` in a "
            f"module, or leave `workers` out."
        ) from error
    return file.getvalue()


def _modules(work):
    """Modules of the user that a worker is to import: they register cells, say."""
    from keras_rnnx.cells.registry import lookup

    owners = [type(work.hypermodel), type(work.data), work.callbacks]
    owners += [lookup(cell) for cell in getattr(work.hypermodel, "cells", ())]
    owners.append(getattr(work.hypermodel, "front", None))
    owners += [type(one) for one in getattr(work.hypermodel, "metrics", ())]
    owners.append(type(getattr(work.hypermodel, "loss", None)))
    names = {getattr(owner, "__module__", None) for owner in owners}
    found = []
    for name in sorted(filter(None, names)):
        path = getattr(sys.modules.get(name), "__file__", None)
        ours = name.partition(".")[0] in ("keras_rnnx", "keras_tuner", "keras")
        if path and not ours and name not in ("__main__", "builtins"):
            found.append((name, path))
    return found


# --- the launcher -------------------------------------------------------------------


class Launcher:
    """The chief of a search in this process, and its workers in others.

    Args:
        oracle: the oracle, which holds the state of the search.
        work: what workers need.
        workers: how many.
        growth: bytes by which the memory of a worker may grow.
    """

    def __init__(
        self, oracle: SearchOracle, work: Work, workers: int, growth: float = GROWTH
    ):
        self.oracle, self.work, self.growth = oracle, work, growth
        self.names = [f"worker{number}" for number in range(workers)]
        self._payload = _packed(work)
        self._modules = _modules(work)
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
            SearchError: for a worker that dies again and again.
            SearchPaused: for a disk that can't be written.
        """
        try:
            self._logs.mkdir(parents=True, exist_ok=True)
            write_bytes(self._logs / WORK, self._payload)
        except OSError as error:
            raise paused_by(error) from error
        self._address = LOOPBACK, _free_port()
        start_chief(self.oracle, self.work.directory, *self._address)
        try:
            for name in self.names:
                self._start(name)
            while self._processes:
                watch()
                time.sleep(0.1)
                if self.oracle.finished():
                    # Whoever has not asked yet need not.
                    break
                self._look_after()
            watch()
        finally:
            self._end()

    def _start(self, name):
        ip, port = self._address
        gpu = _gpu(self.names.index(name))
        threads = str(max(1, _cores() // len(self.names)))
        environment = {
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
            environment["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flags}"
        # Through a pipe a large one would wait until the process reads it.
        payload = self._logs / WORK
        log = str(self._logs / f"{name}.log")
        process = self._context.Process(
            target=_main,
            args=(str(payload), self._modules, environment, log, self.growth),
            name=name,
        )
        with _environment(environment):
            process.start()
        self._processes[name] = process

    def _look_after(self):
        """Starts what has died again, and lets go of what has finished."""
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

    def _count_death(self, name, code):
        ended = len(self.oracle.end_order)
        self._deaths[name] = 1 + self._deaths[name] * (ended == self._seen[name])
        self._seen[name] = ended
        if self._deaths[name] >= DEATHS:
            raise SearchError(
                f"{name} died {DEATHS} times without the end of a trial, the last time "
                f"with exit code {code}. What it printed last: "
                f"{self._last_line(name)!r} ({self._logs / name}.log)"
            )

    def _last_line(self, name):
        path = self._logs / f"{name}.log"
        lines = path.read_text("utf-8", "replace").split("\n") if path.exists() else []
        return next((line for line in reversed(lines) if line.strip()), "nothing")

    def _end(self):
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            process.join(5)
            if process.is_alive():
                process.kill()
                process.join()


def _context():
    """How processes are started.

    On Linux one process imports what workers need, and workers are forked from it in no
    time: it has one thread and has computed nothing. Elsewhere each imports for itself.
    """
    if not FORKED:
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["keras_rnnx.tuner._preload"])
    return context


def start_chief(oracle: SearchOracle, directory: Path, ip: str, port: int) -> None:
    """Starts KerasTuner's chief of an oracle in a thread of this process."""
    with _environment({IP: ip, PORT: str(port), ID: "chief"}):
        tuner = keras_tuner.Tuner(
            oracle, _Nothing(), directory=str(directory), project_name="trials"
        )
        # The oracle writes what there is to keep.
        tuner.save = lambda: None
        thread = threading.Thread(
            target=tuner.search, kwargs={"verbose": 0}, daemon=True
        )
        thread.start()
        _await_chief(ip, port)


def run_chief(oracle: SearchOracle, work: Work, watch: Callable[[], None]) -> None:
    """Runs the chief at the address in the environment, until all workers have left.

    Args:
        oracle: the oracle.
        work: what workers need.
        watch: called several times a second.

    Raises:
        SearchError: for an address that is in use.
    """
    ip, port = os.environ[IP], int(os.environ[PORT])
    check_port(ip, port)
    start_chief(oracle, work.directory, ip, port)
    while not oracle.left_alone():
        watch()
        time.sleep(0.2)


class _Nothing(keras_tuner.HyperModel):
    """The chief of a search makes no models."""

    def build(self, hp):
        """Draws nothing: the oracle has the space."""


@contextlib.contextmanager
def _environment(values):
    """Environment variables for processes that are started inside."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _free_port():
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return probe.getsockname()[1]


def _cores():
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _gpu(number):
    """The environment variable that gives a worker one GPU, if there are some."""
    if not shutil.which("nvidia-smi"):
        return {}
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        listed = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, text=True, check=False
        )
        visible = ",".join(str(i) for i in range(listed.stdout.count("GPU ")))
    gpus = [one for one in visible.split(",") if one]
    return {"CUDA_VISIBLE_DEVICES": gpus[number % len(gpus)]} if gpus else {}
