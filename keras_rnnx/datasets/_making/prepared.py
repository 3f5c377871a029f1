"""Data sets of tensorflow-datasets, prepared and read without TensorFlow."""

from __future__ import annotations

import dataclasses
import errno
import importlib.util
import os
import pathlib
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_rnnx._errors import nearest, unknown

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

# The only format of TFDS that can be read by row and without TensorFlow.
FORMAT = "array_record"
# Rows that are read at once, eight times as fast as one by one.
AT_ONCE = 1_000


def prepare(
    name: str,
    /,
    *,
    data_dir: str | os.PathLike | None = None,
    manual_dir: str | os.PathLike | None = None,
    **options: Any,
) -> tfds.core.DatasetBuilder:
    """Prepares a data set of tensorflow-datasets for any backend.

    The data set is written in the format array_record, which needs no TensorFlow, into
    the folder "array_record" of `data_dir`. `tfds.load` reads tfrecord, and its files
    lie beside that folder. TFDS shows its progress bar. Nothing is written if the data
    set is prepared already, in that folder or, in this format, in `data_dir` itself. An
    attempt that fails or is interrupted leaves nothing that is used later.

    Args:
        name: "rnnx_adding", "rnnx_adding/length_400", or another name that TFDS knows.
        data_dir: folder of prepared data sets. Default: that of TFDS,
            "~/tensorflow_datasets".
        manual_dir: folder with raw files, in itself or in folders in it. Files that lie
            there are not downloaded.
        **options: fields of the builder's configuration, such as `length=123`.

    Returns:
        The builder: `builder.info` describes the data set, `read` reads it.

    Raises:
        ImportError: if tensorflow-datasets or array_record is not installed.
        FileNotFoundError: if `manual_dir`, or a raw file, is not there.
        ConnectionError: if a file has to be downloaded and there is no network.
        OSError: if the disk is full.
        ValueError: for an unknown name or option, with the nearest valid ones, and for
            a raw file that is damaged.

    Example:

    >>> folder = tempfile.TemporaryDirectory()
    >>> builder = keras_rnnx.datasets.prepare(
    ...     "rnnx_parity", data_dir=folder.name, length=7, train=3
    ... )
    Downloading and preparing dataset ...
    >>> builder.info.splits["train"].num_examples, builder.info.features["sequence"]
    (3, Tensor(shape=(7, 1), dtype=float32))
    """
    tfds = _tfds()
    if importlib.util.find_spec("array_record") is None:
        raise ImportError(
            "To read data sets without TensorFlow takes array_record, which comes with "
            "tensorflow-datasets on Linux alone: pip install array_record, or use "
            "tfds.load on TensorFlow."
        )
    if manual_dir is not None and not pathlib.Path(manual_dir).is_dir():
        raise FileNotFoundError(
            f"`manual_dir` is no folder: {os.fspath(manual_dir)!r}."
        )
    arguments = _arguments(tfds, name, manual_dir, options)
    builder = tfds.builder(**arguments, data_dir=data_dir)
    if not _is_readable(builder):
        root = pathlib.Path(builder.data_dir_root)
        builder = tfds.builder(**arguments, data_dir=root / FORMAT)
        if not _is_readable(builder):
            _prepare(tfds, builder, root / "downloads", manual_dir)
    return builder


def read(
    builder: tfds.core.DatasetBuilder, split: str = "train"
) -> dict[str, list[Any]]:
    """Reads a part of a prepared data set into memory.

    Args:
        builder: a builder whose data set is prepared in array_record, as `prepare`
            returns it.
        split: a part, or what TFDS takes for one, as "train[:80%]". Default "train".

    Returns:
        By the names of the features, a list with one value for each example: an array,
        an integer for a class label, a string for a text, a list of these for a
        sequence of texts or arrays, a dict for features by name.

    Raises:
        ValueError: if there is no such part, or the data set is not prepared in
            array_record.

    Example:

    >>> folder = tempfile.TemporaryDirectory()
    >>> builder = keras_rnnx.datasets.prepare(
    ...     "rnnx_parity", data_dir=folder.name, length=7, train=3
    ... )
    Downloading and preparing dataset ...
    >>> data = keras_rnnx.datasets.read(builder, "train")
    >>> [int(bits.sum()) % 2 for bits in data["sequence"]] == data["label"]
    True
    """
    if not _is_readable(builder):
        raise ValueError(
            f"{builder.info.full_name} is not prepared in array_record in "
            f"{builder.data_dir_root}: keras_rnnx.datasets.prepare does that."
        )
    if "[" not in split and "+" not in split and split not in builder.info.splits:
        raise unknown(f"part of {builder.info.full_name}", split, builder.info.splits)
    source, features = builder.as_data_source(split), builder.info.features
    columns: dict[str, list[Any]] = {name: [] for name in features}
    for start in range(0, len(source), AT_ONCE):
        rows = range(start, min(start + AT_ONCE, len(source)))
        for example in source.__getitems__(rows):
            for name, values in columns.items():
                values.append(_value(features[name], example[name]))
    return columns


def _value(feature: Any, value: Any) -> Any:
    """A value of a feature: texts as strings, numbers in writable arrays."""
    if isinstance(value, dict):
        return {name: _value(feature[name], inner) for name, inner in value.items()}
    if isinstance(value, bytes):
        is_text = feature.np_dtype in (np.object_, np.str_)
        return value.decode() if is_text else value
    is_array = isinstance(value, np.ndarray)
    if isinstance(value, list) or (is_array and value.dtype == np.object_):
        inner = getattr(feature, "feature", feature)
        values = [_value(inner, v) for v in value]
        of_numbers = inner.shape == () and inner.np_dtype not in (np.object_, np.str_)
        return np.asarray(values, inner.np_dtype) if of_numbers else values
    return value.copy() if is_array and not value.flags.writeable else value


def _tfds() -> Any:
    if importlib.util.find_spec("tensorflow_datasets") is None:
        raise ImportError(
            "This needs tensorflow-datasets: pip install 'keras-rnnx[datasets]'."
        )
    import tensorflow_datasets as tfds

    # This registers our data sets.
    import keras_rnnx.datasets.builders  # noqa: F401

    return tfds


def _arguments(
    tfds: Any, name: str, manual_dir: Any, options: dict[str, Any]
) -> dict[str, Any]:
    """Name and configuration for `tfds.builder`."""
    dataset, _, config = name.partition("/")
    if dataset not in (known := tfds.list_builders(with_community_datasets=False)):
        ours = [name for name in known if name.startswith("rnnx_")]
        close = nearest(dataset, known)
        hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
        raise ValueError(
            f"Unknown data set: received {dataset!r}.{hint} Ours: {', '.join(ours)}. "
            "tfds.list_builders() lists all."
        )
    builder = tfds.builder_cls(dataset)
    if options:
        if config:
            raise ValueError(
                f"{name!r} names a configuration, so there are no options, received "
                f"{', '.join(options)}. Leave out '/{config}'."
            )
        return {"name": dataset, "config": _config(tfds, builder, options)}
    if config and config not in builder.builder_configs and ":" not in config:
        of_folder = getattr(builder.builder_config_cls, "from_folder", None)
        if of_folder is None or manual_dir is None:
            kind = f"configuration of {dataset}"
            if of_folder is not None:
                kind += " (others need their files in `manual_dir`)"
            raise unknown(kind, config, builder.builder_configs)
        return {"name": dataset, "config": of_folder(config, manual_dir)}
    return {"name": name}


def _config(tfds: Any, builder: Any, options: dict[str, Any]) -> Any:
    config = builder.builder_config_cls
    if config is None:
        raise ValueError(
            f"{builder.name} has no options, received {', '.join(options)}."
        )
    general = {field.name for field in dataclasses.fields(tfds.core.BuilderConfig)}
    fields = {field.name for field in dataclasses.fields(config)}
    valid = (fields - general) | {"name"}
    for option in options:
        if option not in valid:
            raise unknown(f"option of {builder.name}", option, valid)
    return config(**options)


def _is_readable(builder: Any) -> bool:
    """Whether a data set is prepared in array_record."""
    # TFDS warns about a folder that does not exist.
    if not builder.data_path.exists() or not builder.is_prepared():
        return False
    return FORMAT in {form.value for form in builder.info.available_file_formats()}


def _prepare(tfds: Any, builder: Any, downloads: Any, manual_dir: Any) -> None:
    from keras_rnnx.datasets.builders._files import network

    config = tfds.download.DownloadConfig(manual_dir=manual_dir)
    # Our own builders look for their files one by one.
    origins = [base.__module__.partition(".")[0] for base in type(builder).__mro__]
    if "keras_rnnx" not in origins:
        network.check_network(builder, downloads, manual_dir)
    try:
        builder.download_and_prepare(
            download_dir=downloads, download_config=config, file_format=FORMAT
        )
    except Exception as error:
        if _is_full_disk(error):
            raise OSError(
                errno.ENOSPC,
                f"No space left to prepare {builder.info.full_name}. Free some, or "
                "pass another `data_dir`; nothing of this attempt is used",
                str(builder.data_dir_root),
            ) from error
        raise


def _is_full_disk(error: BaseException | None) -> bool:
    """Whether an error, or one of its causes, says that the disk is full."""
    while error is not None:
        if getattr(error, "errno", None) == errno.ENOSPC:
            return True
        if "No space left on device" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False
