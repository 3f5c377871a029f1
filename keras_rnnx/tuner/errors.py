"""Errors of searches."""

from __future__ import annotations

import errno
import re
import traceback
from pathlib import Path
from typing import TypeGuard

import keras_tuner


class SearchError(RuntimeError):
    """A search that cannot continue; the message says why and what to do."""


class SearchPaused(SearchError, keras_tuner.errors.FatalError):
    """A search that stopped for an outside cause, such as a full disk.

    Ended trials are kept. The same call continues the search.
    """


# Error numbers that no setting of a model can cause.
_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE)


def paused_by(error: OSError) -> SearchPaused:
    """The error to raise if a file of a search can't be read or written."""
    reason = error.strerror or str(error)
    where = f" ({error.filename})" if error.filename else ""
    return SearchPaused(
        f"The search is paused: its directory can't be written: {reason}{where}. "
        f"Trials that have ended are kept. Make room, and run the same again to "
        f"continue."
    )


def is_of_the_disk(error: BaseException, directory: Path) -> TypeGuard[OSError]:
    """Whether an error is about the files of a search, and not about a model.

    A missing file may belong to the user's data.

    Args:
        error: the error.
        directory: of the search.
    """
    if not isinstance(error, OSError):
        return False
    place = Path(str(error.filename or "")).absolute()
    inside = error.filename is not None and place.is_relative_to(directory.absolute())
    return error.errno in _OF_THE_DISK or inside or not directory.exists()


def described(error: BaseException) -> str:
    """An error on one line: its class and its message, without a traceback."""
    if isinstance(error, KeyError):
        # The text of a KeyError is only the key.
        text = "".join(traceback.format_exception_only(error))
    else:
        text = f"{type(error).__name__}: {error}"
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    text = " ".join(text.split())
    return text if len(text) <= 500 else f"{text[:497]}..."
