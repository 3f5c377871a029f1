"""Raw files of a data set: whether they are whole, and what they say."""

from __future__ import annotations

import hashlib
import lzma
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np


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
        names = [self.name]
        if "." in self.name and not self.name.endswith(".npz"):
            names.append(f"{self.name}.xz")
        return names + ([self.packed] if self.packed else [])


class LocalFile(NamedTuple):
    """A raw file that lies on this machine.

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
                wanted = [*names, *(n for n in optional if n in arrays.files)]
                missing = sorted(set(wanted) - set(arrays.files))
                contents = {} if missing else {name: arrays[name] for name in wanted}
        except (
            zipfile.BadZipFile,
            lzma.LZMAError,
            zlib.error,
            EOFError,
            OSError,
            ValueError,
            TypeError,
        ) as error:
            raise self.damaged(f"it is no whole .npz file: {error}") from error
        if missing:
            raise self.damaged(f"it lacks {', '.join(missing)}")
        return contents

    def check_content(self, arrays: Mapping[str, np.ndarray], sha256: str) -> None:
        """Compares the checksum of arrays, taken in the order of their names.

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
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()


def instructions(files: Iterable[RawFile]) -> str:
    """What TFDS shows of files that one may have to fetch by hand."""
    listed = "\n".join(f"{file.name}: {file.url}" for file in files)
    return (
        f"Files that lie in `manual_dir`, or in a folder in it, as they are or as .xz, "
        f"are taken from there:\n\n{listed}"
    )
