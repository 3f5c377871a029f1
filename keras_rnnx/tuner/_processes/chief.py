"""KerasTuner's chief, which workers ask for trials."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import keras_tuner

from keras_rnnx.tuner._state.oracle import SearchOracle
from keras_rnnx.tuner.errors import SearchError

IP, PORT, ID = (f"KERASTUNER_{n}" for n in ("ORACLE_IP", "ORACLE_PORT", "TUNER_ID"))
LOOPBACK = "127.0.0.1"


def role() -> str | None:
    """The role of this process, by KerasTuner's environment variables.

    Returns:
        "chief", "worker", or None without them.
    """
    if IP not in os.environ:
        return None
    return "chief" if "chief" in os.environ.get(ID, "") else "worker"


def await_chief(ip: str, port: int, seconds: float = 60.0) -> None:
    """Waits until a chief answers.

    Raises:
        SearchError: if no chief answers in time.
    """
    deadline = time.monotonic() + seconds
    while not _answers(ip, port):
        if time.monotonic() > deadline:
            raise SearchError(
                f"No chief answers at {ip}:{port} within {seconds:.0f} seconds. Start "
                f"it first, with the same {IP} and {PORT}, and {ID}=chief."
            )
        time.sleep(0.2)


def _answers(ip: str, port: int) -> bool:
    try:
        with socket.create_connection((ip, port), timeout=1.0):
            return True
    except OSError:
        return False


def check_port(ip: str, port: int) -> None:
    """Raises a SearchError if another process listens on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ip, port))
        except OSError as error:
            raise SearchError(
                f"The chief can't listen at {ip}:{port}: {error.strerror}. Choose "
                f"another {PORT}, or end the process that uses it."
            ) from error


def start_chief(oracle: SearchOracle, directory: Path, ip: str, port: int) -> None:
    """Starts KerasTuner's chief of an oracle in a thread of this process."""
    with environment({IP: ip, PORT: str(port), ID: "chief"}):
        tuner = keras_tuner.Tuner(
            oracle, _Nothing(), directory=str(directory), project_name="trials"
        )
        # The oracle writes the files of the search.
        tuner.save = lambda: None
        thread = threading.Thread(
            target=tuner.search, kwargs={"verbose": 0}, daemon=True
        )
        thread.start()
        await_chief(ip, port)


def run_chief(oracle: SearchOracle, directory: Path, watch: Callable[[], None]) -> None:
    """Runs the chief at the address in the environment, until all workers have left.

    Args:
        oracle: the oracle.
        directory: of the search.
        watch: called several times a second.

    Raises:
        SearchError: if the address is in use.
    """
    ip, port = os.environ[IP], int(os.environ[PORT])
    check_port(ip, port)
    start_chief(oracle, directory, ip, port)
    while not oracle.left_alone():
        watch()
        time.sleep(0.2)


class _Nothing(keras_tuner.HyperModel):
    """The chief of a search makes no models."""

    def build(self, hp: keras_tuner.HyperParameters) -> None:
        """Draws nothing: the oracle knows the space."""


@contextlib.contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Sets environment variables for processes that are started inside."""
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


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return probe.getsockname()[1]
