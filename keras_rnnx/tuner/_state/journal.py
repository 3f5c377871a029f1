"""The files of a search: a snapshot, a log of reports, and a lock.

A snapshot, `search.json`, holds the trials and how they ended. It is written in one
step when a trial begins or ends. `reports.jsonl` has a line for each epoch of each
trial. Both together hold the state of the search at any moment; an incomplete last
line is ignored. KerasTuner's own state files are neither written nor read.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from keras_rnnx.tuner.errors import SearchError
from keras_rnnx.tuner.files import write_json

SNAPSHOT = "search.json"
REPORTS = "reports.jsonl"
LOCK = "lock"
FORMAT = 2


class Journal:
    """The files of a search.

    Args:
        directory: of the files.
        signature: the values that must be equal for trials to belong to one search.

    Attributes:
        state: the snapshot that was read, or None.
    """

    def __init__(self, directory: Path, signature: Mapping[str, Any]):
        self.directory = directory
        # In the form in which JSON reads it back: without tuples.
        self.signature = json.loads(json.dumps(signature, sort_keys=True))
        self.state: dict[str, Any] | None = None

    def read(self) -> None:
        """Reads the snapshot, if there is one.

        Raises:
            SearchError: if it belongs to another search, or is not a snapshot.
        """
        snapshot = read_snapshot(self.directory)
        if snapshot is None:
            return
        differences = [
            f"{key} ({_shorten(snapshot['signature'].get(key))} there, "
            f"{_shorten(value)} now)"
            for key, value in self.signature.items()
            if snapshot["signature"].get(key) != value
        ]
        if differences:
            raise SearchError(
                f"{self.directory / SNAPSHOT} belongs to a search that differs in "
                f"{', '.join(differences)}. Use another directory, or the same "
                f"arguments to continue it."
            )
        self.state = snapshot

    def write(self, state: Mapping[str, Any]) -> None:
        """Writes a snapshot, in one step."""
        whole = {"format": FORMAT, "signature": self.signature, **state}
        log = self.directory / REPORTS
        if log.exists():
            # After a power cut, an ended trial must not lack its epochs.
            with open(log, "ab") as file:
                os.fsync(file.fileno())
        write_json(self.directory / SNAPSHOT, whole)

    def append(self, report: Mapping[str, Any]) -> None:
        """Adds a report to the log."""
        path = self.directory / REPORTS
        with open(path, "a+b") as file:
            # After an incomplete line a new one begins.
            torn = file.tell() and not _ends_a_line(file)
            file.write(b"\n" * bool(torn) + json.dumps(report).encode() + b"\n")

    def reports(self) -> Iterator[dict[str, Any]]:
        """The reports of the log, without incomplete lines."""
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
        SearchError: if the file is not a snapshot.
    """
    path = directory / SNAPSHOT
    if not path.exists():
        return None
    try:
        snapshot = json.loads(path.read_text(encoding="utf-8"))
        if snapshot["format"] != FORMAT:
            raise ValueError(f"its format is {snapshot['format']}")
        missing = {"signature", "trials"} - snapshot.keys()
        if missing:
            raise ValueError(f"it lacks {sorted(missing)}")
    except (ValueError, KeyError, TypeError) as error:
        raise SearchError(
            f"{path} is not the journal of a search ({error}). Use another directory."
        ) from error
    return snapshot


def signature_of(directory: Path) -> dict[str, Any] | None:
    """The signature of the search in a directory, or None if there is none."""
    snapshot = read_snapshot(directory)
    return None if snapshot is None else snapshot["signature"]


class Lock:
    """Reserves a directory for one search at a time, as long as the process lives.

    Args:
        directory: of the search.

    Raises:
        SearchError: when entered, if another process holds it; the message names the
            process and its host.
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

    def __exit__(self, *exception: object) -> None:
        self._lock.release()

    def _described(self) -> str:
        try:
            holder = json.loads(self.holder.read_text(encoding="utf-8"))
            return f"process {holder['pid']} on {holder['host']}"
        except (OSError, ValueError, KeyError):
            return "another process"


def _ends_a_line(file: IO[bytes]) -> bool:
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


def _shorten(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
