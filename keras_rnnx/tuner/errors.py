"""Errors of searches."""

from __future__ import annotations

import errno
import re
import traceback
from pathlib import Path
from typing import TypeGuard

import keras_tuner


class SearchError(RuntimeError):
    """A search that cannot go on; the message says why and what to do."""


class SearchPaused(SearchError, keras_tuner.errors.FatalError):
    """A search that stopped for a cause outside of it, such as a full disk.

    What has ended is kept. The same call goes on.
    """


# Causes that no setting of a model has.
_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE)


def paused_by(error: OSError) -> SearchPaused:
    """What to raise where a file of a search can't be read or written."""
    what = error.strerror or str(error)
    where = f" ({error.filename})" if error.filename else ""
    return SearchPaused(
        f"The search is paused: its directory can't be written: {what}{where}. Trials "
        f"that have ended are kept. Make room, and run the same again to go on."
    )


def is_of_the_disk(error: BaseException, directory: Path) -> TypeGuard[OSError]:
    """Whether an error is about the files of a search, and not about a model.

    A file that is not there may be one of the user's data.

    Args:
        error: what was raised.
        directory: that of the search.
    """
    if not isinstance(error, OSError):
        return False
    place = Path(str(error.filename or "")).absolute()
    own = error.filename is not None and place.is_relative_to(directory.absolute())
    return error.errno in _OF_THE_DISK or own or not directory.exists()


def described(error: BaseException) -> str:
    """An error on one line: its class and its message, without a traceback."""
    if isinstance(error, KeyError):
        # Whose text is the key alone.
        text = "".join(traceback.format_exception_only(error))
    else:
        text = f"{type(error).__name__}: {error}"
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    text = " ".join(text.split())
    return text if len(text) <= 500 else f"{text[:497]}..."
