"""The files of a search: a snapshot, a log of reports, and a lock.

A snapshot, `search.json`, holds what was tried and how it ended. It is written in one
step when a trial begins or ends. `reports.jsonl` has a line for each epoch of each
trial. Whenever the process is stopped, the two say what was done: a last line that is
torn is left out. KerasTuner's own state files are neither written nor read.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from keras_rnnx.tuner.errors import SearchError
from keras_rnnx.tuner.files import write_json

SNAPSHOT = "search.json"
REPORTS = "reports.jsonl"
LOCK = "lock"
FORMAT = 2


class Journal:
    """The files of a search.

    Args:
        directory: where they are.
        signature: what must be the same for trials to belong to one search.

    Attributes:
        state: the snapshot that was there, or None.
    """

    def __init__(self, directory: Path, signature: Mapping[str, Any]):
        self.directory = directory
        # As it will be read back: JSON has no tuples.
        self.signature = json.loads(json.dumps(signature, sort_keys=True))
        self.state: dict[str, Any] | None = None

    def read(self) -> None:
        """Reads the snapshot, if there is one.

        Raises:
            SearchError: if it is of another search, or no snapshot at all.
        """
        held = read_snapshot(self.directory)
        if held is None:
            return
        differences = [
            f"{key} ({_shorten(held['signature'].get(key))} there, {_shorten(value)} "
            f"now)"
            for key, value in self.signature.items()
            if held["signature"].get(key) != value
        ]
        if differences:
            raise SearchError(
                f"{self.directory / SNAPSHOT} is of a search that differs in "
                f"{', '.join(differences)}. Use another directory, or the same "
                f"arguments to go on with it."
            )
        self.state = held

    def write(self, state: Mapping[str, Any]) -> None:
        """Writes a snapshot, in one step."""
        whole = {"format": FORMAT, "signature": self.signature, **state}
        log = self.directory / REPORTS
        if log.exists():
            # A power cut must not leave a trial that has ended without its epochs.
            with open(log, "ab") as file:
                os.fsync(file.fileno())
        write_json(self.directory / SNAPSHOT, whole)

    def append(self, report: Mapping[str, Any]) -> None:
        """Adds a report to the log."""
        path = self.directory / REPORTS
        with open(path, "a+b") as file:
            # Behind a torn line begins a new one.
            torn = file.tell() and not _ends_a_line(file)
            file.write(b"\n" * bool(torn) + json.dumps(report).encode() + b"\n")

    def reports(self) -> Iterator[dict[str, Any]]:
        """The reports of the log, without lines that are torn."""
        path = self.directory / REPORTS
        if not path.exists():
            return
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                continue


def read_snapshot(directory: Path) -> dict[str, Any] | None:
    """The snapshot of a search, or None if there is none.

    Raises:
        SearchError: if the file is no snapshot.
    """
    path = directory / SNAPSHOT
    if not path.exists():
        return None
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        if held["format"] != FORMAT:
            raise ValueError(f"its format is {held['format']}")
        missing = {"signature", "trials"} - held.keys()
        if missing:
            raise ValueError(f"it lacks {sorted(missing)}")
    except (ValueError, KeyError, TypeError) as error:
        raise SearchError(
            f"{path} is not the journal of a search ({error}). Use another directory."
        ) from error
    return held


def signature_of(directory: Path) -> dict[str, Any] | None:
    """The signature of the search in a directory, or None if there is none."""
    held = read_snapshot(directory)
    return None if held is None else held["signature"]


class Lock:
    """Keeps a directory for one search at a time, as long as the process lives.

    Args:
        directory: of the search.

    Raises:
        SearchError: when it is entered, if another process has it; the message says
            which one, on which host.
    """

    def __init__(self, directory: Path):
        import filelock

        self.path = directory / LOCK
        self.holder = directory / f"{LOCK}.holder"
        self._lock = filelock.FileLock(self.path, blocking=False)
        self._busy = filelock.Timeout

    def __enter__(self) -> Lock:
        try:
            self._lock.acquire()
        except self._busy:
            raise SearchError(
                f"{self.path.parent} is in use by {self._described()}. Wait until it "
                f"has ended, or use another directory."
            ) from None
        me = {"pid": os.getpid(), "host": socket.gethostname()}
        write_json(self.holder, me)
        return self

    def __exit__(self, *exception):
        self._lock.release()

    def _described(self):
        try:
            held = json.loads(self.holder.read_text(encoding="utf-8"))
            return f"process {held['pid']} on {held['host']}"
        except (OSError, ValueError, KeyError):
            return "another process"


def _ends_a_line(file):
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


def _shorten(value):
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
