"""A report as data for JSON, and back."""

from __future__ import annotations

import dataclasses
import math
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from keras_rnnx.diagnosis.report import Report


def written(report: Report) -> dict[str, Any]:
    """The report as dicts, lists, texts and numbers."""
    found: dict[str, Any] = _written(report)
    return found


def read(data: Mapping[str, Any]) -> Report:
    """The report of such data.

    Raises:
        ValueError: if they are none.
    """
    try:
        report: Report = _read(Report, data)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"`data` is not what Report.to_dict returns: {type(error).__name__}: "
            f"{error}"
        ) from error
    return report


def _fields(kind: Any) -> Iterator[tuple[str, Any]]:
    """Names and types of the fields of a class that are data."""
    for name, annotation in _annotations(kind).items():
        try:
            yield name, eval(annotation, vars(sys.modules[kind.__module__]))
        except NameError:
            # Its type is imported for type checkers alone: it is no measure.
            continue


def _annotations(kind: Any) -> dict[str, str]:
    if dataclasses.is_dataclass(kind):
        return {field.name: str(field.type) for field in dataclasses.fields(kind)}
    # Of a named tuple.
    return {
        name: getattr(annotation, "__forward_arg__", annotation)
        for name, annotation in kind.__annotations__.items()
    }


def _is_record(kind: Any) -> bool:
    named = isinstance(kind, type) and issubclass(kind, tuple)
    return dataclasses.is_dataclass(kind) or (named and hasattr(kind, "_fields"))


def _written(value: Any) -> Any:
    if _is_record(type(value)):
        return {
            name: _written(getattr(value, name)) for name, _ in _fields(type(value))
        }
    if isinstance(value, np.ndarray):
        return _written(value.tolist())
    if isinstance(value, np.generic):
        return _written(value.item())
    if isinstance(value, dict):
        return {key: _written(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_written(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _read(kind: Any, value: Any) -> Any:
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        (kind,) = (each for each in inner if each is not type(None))
        return None if value is None else _read(kind, value)
    if origin is dict:
        return {key: _read(inner[1], each) for key, each in value.items()}
    if origin in (list, tuple):
        return origin(_read(inner[0], each) for each in value)
    if kind is np.ndarray:
        return _array(value)
    if _is_record(kind):
        parts = {name: of for name, of in _fields(kind) if name in value}
        return kind(**{name: _read(of, value[name]) for name, of in parts.items()})
    return float(value) if kind is float else value


def _array(value: Any) -> np.ndarray:
    array = np.asarray(value)
    # One with texts for what JSON has no numbers for.
    return array if array.dtype.kind in "iuf" else array.astype("float64")
