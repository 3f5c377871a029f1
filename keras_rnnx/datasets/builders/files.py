"""Raw files of a data set: where they are, whether they are whole, what they say."""

from __future__ import annotations

import hashlib
import json
import lzma
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds

# Seconds after which a server that says nothing counts as out of reach.
PATIENCE = 10


class RawFile(NamedTuple):
    """A file that a data set is made from.

    Attributes:
        name: its name, as published.
        url: where it is. If checksums.tsv lists the address, it is downloaded from
            there.
        sha256: its checksum, if it is known and not in checksums.tsv.
        packed: another file that holds the same, and is taken instead.
    """

    name: str
    url: str
    sha256: str | None = None
    packed: str | None = None

    @property
    def names(self) -> list[str]:
        """The names it goes by in a folder, first the one that is preferred."""
        found = [self.name]
        if "." in self.name and not self.name.endswith(".npz"):
            found.append(f"{self.name}.xz")
        return found + ([self.packed] if self.packed else [])


class Found(NamedTuple):
    """A raw file that is there.

    Attributes:
        path: the file.
        raw: which one it is.
        sha256: the checksum of its bytes, None if that is not known.
    """

    path: Any
    raw: RawFile
    sha256: str | None

    @property
    def is_packed(self) -> bool:
        """Whether it is the other file that holds the same."""
        return self.path.name == self.raw.packed

    def read(self) -> bytes:
        """The bytes of the file as it was published.

        Raises:
            ValueError: if it is damaged, or another version.
        """
        try:
            content = self.path.read_bytes()
            if self.path.name == f"{self.raw.name}.xz":
                content = lzma.decompress(content)
        except (lzma.LZMAError, EOFError) as error:
            raise self.damaged(f"it is no whole .xz file: {error}") from error
        if not content:
            raise self.damaged("it is empty")
        received = hashlib.sha256(content).hexdigest()
        if self.sha256 is not None and received != self.sha256:
            raise self.damaged(
                f"expected SHA-256 {self.sha256}, received {received}", "or other"
            )
        return content

    def text(self, encoding: str = "utf-8") -> str:
        """Its text.

        Raises:
            ValueError: if it is damaged, or another version.
        """
        try:
            return self.read().decode(encoding)
        except UnicodeDecodeError as error:
            raise self.damaged(f"it is no {encoding} text: {error}") from error

    def lines(self, encoding: str = "utf-8") -> list[str]:
        """Its lines, without their ends.

        Raises:
            ValueError: if it is damaged, or another version.
        """
        return self.text(encoding).removesuffix("\n").split("\n")

    def arrays(
        self, names: Iterable[str], optional: Iterable[str] = ()
    ) -> dict[str, np.ndarray]:
        """Arrays of an .npz file, and those of `optional` that it has.

        Raises:
            ValueError: if it is damaged, or lacks one of them.
        """
        try:
            with self.path.open("rb") as file, np.load(file) as arrays:
                missing = set(names) - set(arrays.files)
                if missing:
                    raise self.damaged(f"it lacks {', '.join(sorted(missing))}")
                there = [name for name in optional if name in arrays.files]
                return {name: arrays[name] for name in [*names, *there]}
        except (
            zipfile.BadZipFile,
            lzma.LZMAError,
            zlib.error,
            EOFError,
            OSError,
        ) as error:
            raise self.damaged(f"it is no whole .npz file: {error}") from error

    def check_content(self, arrays: Mapping[str, np.ndarray], sha256: str) -> None:
        """Compares the checksum of arrays, in the order of their names.

        Raises:
            ValueError: if it is another one.
        """
        received = content_checksum(arrays)
        if received != sha256:
            raise self.damaged(
                f"expected content with the SHA-256 {sha256}, received {received}",
                "or other",
            )

    def damaged(self, reason: str, other: str = "") -> ValueError:
        """An error that names this file and says what is wrong with it."""
        what = " ".join(["damaged", other]).strip()
        return ValueError(
            f"{self.path} is {what}: {reason}. Get {self.raw.name} anew from "
            f"{self.raw.url}."
        )


def content_checksum(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of the bytes of arrays, in the order of their names."""
    found = hashlib.sha256()
    for name in sorted(arrays):
        found.update(np.ascontiguousarray(arrays[name]).tobytes())
    return found.hexdigest()


def instructions(files: Iterable[RawFile]) -> str:
    """What TFDS shows of files that one may have to fetch by hand."""
    listed = "\n".join(f"{file.name}: {file.url}" for file in files)
    return (
        f"Files that lie in `manual_dir`, or in a folder in it, as they are or as .xz, "
        f"are taken from there:\n\n{listed}"
    )


def find(
    builder: tfds.core.DatasetBuilder,
    manager: tfds.download.DownloadManager,
    files: Mapping[Any, RawFile],
) -> dict[Any, Found]:
    """Finds raw files by hand, or downloads them.

    Args:
        builder: the builder that needs them.
        manager: the manager that TFDS gives it.
        files: by any keys, the files.

    Returns:
        Where they are, by the same keys.

    Raises:
        FileNotFoundError: for a file that is not there and is not to be downloaded. It
            says which one, from where, and where to put it.
        ConnectionError: if there is no network to download it. It says the same.
        ValueError: if there are several of a name.
    """
    folder, why_none = _manual_folder(manager)
    infos = type(builder).url_infos or {}
    found, to_download = {}, {}
    for key, file in files.items():
        path = by_hand(folder, file) if folder is not None else None
        known = infos[file.url].checksum if file.url in infos else file.sha256
        if path is not None:
            found[key] = Found(path, file, known)
        elif file.url in infos:
            to_download[key] = file
        else:
            raise FileNotFoundError(
                f"{builder.name} needs {file.name}, which is not downloaded for you. "
                + _what_to_do(file, folder, why_none)
            )
    for key, file in to_download.items():
        path = _downloaded(builder, manager, file, folder, why_none)
        # TFDS has compared the checksum, and named the file in its own way.
        found[key] = Found(path, file, None)
    return {key: found[key] for key in files}


def _manual_folder(manager):
    """The folder for files by hand, or None and why there is none."""
    try:
        return manager.manual_dir, ""
    except AssertionError as error:
        return None, str(error).partition(" Create it and ")[0]


def by_hand(folder: Any, file: RawFile) -> Any:
    """The path of a file in a folder, or in a folder in it; None if it is in none.

    Raises:
        ValueError: if there are several of a name.
    """
    folders = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
    for name in file.names:
        paths = [path / name for path in folders if (path / name).is_file()]
        if len(paths) > 1 and paths[0].parent != folder:
            raise ValueError(
                f"There are several {name}: {', '.join(map(str, paths))}. Leave one, "
                f"or put it into {folder} itself."
            )
        if paths:
            return paths[0]
    return None


def _what_to_do(file, folder, why_none):
    names = " or ".join(file.names)
    tried = f"It is not in {folder}." if folder is not None else why_none
    return (
        f"{tried} Get it from {file.url}, put it into a folder as {names}, and pass "
        f"that folder: keras_rnnx.datasets.prepare(..., manual_dir=folder), or "
        f"tfds.download.DownloadConfig(manual_dir=folder)."
    )


def _downloaded(builder, manager, file, folder, why_none):
    if not _is_cached(manager.download_dir / builder.name, file.url):
        _ask_for(builder, file, folder, why_none)
    try:
        return manager.download(file.url)
    except (tfds.download.DownloadError, OSError) as error:
        if getattr(error, "errno", None) is not None:
            raise  # Of the disk, as when it is full.
        raise ConnectionError(
            f"{builder.name} needs {file.name}: {error} "
            + _what_to_do(file, folder, why_none)
        ) from error


def _ask_for(builder, file, folder, why_none):
    """Whether the file can be had at all: TFDS itself finds out in 200 seconds."""
    request = urllib.request.Request(file.url, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE):
            return
    except urllib.error.HTTPError as error:
        # A server that does not answer to HEAD may still have it.
        if error.code != 404:
            return
        reason = error
    except (urllib.error.URLError, OSError) as error:
        reason = getattr(error, "reason", error)
    raise ConnectionError(
        f"{builder.name} needs {file.name}, and {file.url} is out of reach: {reason}. "
        + _what_to_do(file, folder, why_none)
    )


def _is_cached(folder, url):
    """Whether an earlier download of the address is there; TFDS notes it beside it."""
    for note in folder.glob("*.INFO"):
        try:
            urls = json.loads(note.read_text()).get("urls", [])
        except (ValueError, OSError):
            continue
        if url in urls and note.with_suffix("").exists():
            return True
    return False


def find_folder(
    builder: tfds.core.DatasetBuilder,
    manager: tfds.download.DownloadManager,
    folder: RawFile,
    pattern: str,
) -> list[Found] | None:
    """The files in a folder that lies in `manual_dir`, sorted; None if it is not there.

    Args:
        builder: the builder that needs them.
        manager: the manager that TFDS gives it.
        folder: the folder.
        pattern: which files in it, as "*.wav".

    Raises:
        FileNotFoundError: if the folder is there and has no such file.
    """
    manual, _ = _manual_folder(manager)
    if manual is None:
        return None
    inside = sorted(path for path in manual.iterdir() if path.is_dir())
    for path in [manual, *inside, *(path / folder.name for path in inside)]:
        if path.name == folder.name and path.is_dir():
            found = sorted(path.glob(pattern))
            if not found:
                raise FileNotFoundError(
                    f"{builder.name} needs {pattern} in {path}. Get them from "
                    f"{folder.url}."
                )
            names = [folder._replace(name=file.name) for file in found]
            return [Found(file, raw, None) for file, raw in zip(found, names)]
    return None
