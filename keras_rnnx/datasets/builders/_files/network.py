"""Whether the files that are to be downloaded are in reach."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

import tensorflow_datasets as tfds
from etils import epath

# Seconds after which a server that does not answer counts as out of reach.
PATIENCE = 10


def check_network(
    builder: tfds.core.DatasetBuilder,
    downloads: os.PathLike,
    manual_dir: os.PathLike | None,
) -> None:
    """Finds out at once whether a data set of TFDS can be downloaded.

    Args:
        builder: the builder of the data set.
        downloads: the folder of earlier downloads.
        manual_dir: the folder of files by hand.

    Raises:
        ConnectionError: if no file of it is there, and no server that has one is in
            reach.
    """
    infos = type(builder).url_infos or {}
    servers: dict[str, str] = {}
    for url, info in infos.items():
        by_hand = (
            manual_dir and info.filename and epath.Path(manual_dir) / info.filename
        )
        if (by_hand and by_hand.exists()) or is_cached(
            epath.Path(downloads) / builder.name, url
        ):
            return
        if url.startswith("http"):
            servers.setdefault(urllib.parse.urlsplit(url).netloc, url)
    reasons = {}
    for url in list(servers.values())[:3]:
        reasons[url] = out_of_reach(url, missing=False)
        if reasons[url] is None:
            return
    for url, reason in reasons.items():
        name = infos[url].filename or "that file"
        raise ConnectionError(
            f"{builder.info.full_name} has to be downloaded, and {url} is out of "
            f"reach: {reason}. Run it again with a network, or with {name} in a folder "
            "that is passed as `manual_dir`."
        )


def out_of_reach(url: str, missing: bool = True) -> object | None:
    """Why an address is out of reach, or None. TFDS takes 200 seconds to say so.

    Args:
        url: the address.
        missing: whether a file that the server does not have is out of reach.
    """
    request = urllib.request.Request(url, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE):
            return None
    except urllib.error.HTTPError as error:
        # A server that does not answer to HEAD may still have it.
        return error if missing and error.code == 404 else None
    except OSError as error:
        return getattr(error, "reason", error)


def is_cached(folder: Any, url: str) -> bool:
    """Whether an address was downloaded before: TFDS writes a note beside the file."""
    for note in folder.glob("*.INFO"):
        try:
            urls = json.loads(note.read_text()).get("urls", [])
        except (ValueError, OSError):
            continue
        if url in urls and note.with_suffix("").exists():
            return True
    return False
