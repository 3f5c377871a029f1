"""Where raw files are: in a folder of the user's, or on the network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow_datasets as tfds

from keras_rnnx.datasets.builders._files import network
from keras_rnnx.datasets.builders._files.raw_files import LocalFile, RawFile


def find(
    builder: tfds.core.DatasetBuilder,
    manager: tfds.download.DownloadManager,
    files: Mapping[Any, RawFile],
) -> dict[Any, LocalFile]:
    """Finds raw files in the folder of the user, or downloads them.

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
    located, to_download = {}, {}
    for key, file in files.items():
        path = by_hand(folder, file) if folder is not None else None
        known = infos[file.url].checksum if file.url in infos else file.sha256
        if path is not None:
            located[key] = LocalFile(path, file, known)
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
        located[key] = LocalFile(path, file, None)
    return {key: located[key] for key in files}


def _manual_folder(manager: Any) -> tuple[Any, str]:
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


def _what_to_do(file: RawFile, folder: Any, why_none: str) -> str:
    names = " or ".join(file.names)
    tried = f"It is not in {folder}." if folder is not None else why_none
    return (
        f"{tried} Get it from {file.url}, put it into a folder as {names}, and pass "
        f"that folder: keras_rnnx.datasets.prepare(..., manual_dir=folder), or "
        f"tfds.download.DownloadConfig(manual_dir=folder)."
    )


def _downloaded(
    builder: Any, manager: Any, file: RawFile, folder: Any, why_none: str
) -> Any:
    what_to_do = _what_to_do(file, folder, why_none)
    if not network.is_cached(manager.download_dir / builder.name, file.url):
        reason = network.out_of_reach(file.url)
        if reason is not None:
            raise ConnectionError(
                f"{builder.name} needs {file.name}, and {file.url} is out of reach: "
                f"{reason}. {what_to_do}"
            )
    try:
        return manager.download(file.url)
    except (tfds.download.DownloadError, OSError) as error:
        if getattr(error, "errno", None) is not None:
            raise  # An error of the disk: it is full, say.
        raise ConnectionError(
            f"{builder.name} needs {file.name}: {error} {what_to_do}"
        ) from error


def find_folder(
    builder: tfds.core.DatasetBuilder,
    manager: tfds.download.DownloadManager,
    folder: RawFile,
    pattern: str,
) -> list[LocalFile] | None:
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
            files = sorted(path.glob(pattern))
            if not files:
                raise FileNotFoundError(
                    f"{builder.name} needs {pattern} in {path}. Get them from "
                    f"{folder.url}."
                )
            names = [folder._replace(name=file.name) for file in files]
            return [LocalFile(file, raw, None) for file, raw in zip(files, names)]
    return None
