"""Batches that a user made, as the data of trials."""

from __future__ import annotations

import itertools
import types
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np

from keras_rnnx.tuner._trials.data import SearchData
from keras_rnnx.tuner.hypermodel import HyperRNN


class LoaderData(SearchData):
    """Batches that a user made: a PyDataset, a tf.data.Dataset or a torch DataLoader.

    One pass over them shows their shapes, classes and tokens.

    Args:
        train: batches of inputs and targets; it is iterated over several times.
        validation: the same for validation.
        test: the same for the final test, or None.
        kind: kind of the task. Default: by the targets.
    """

    def __init__(self, train: Any, validation: Any, test: Any = None, kind: Any = None):
        if validation is None:
            raise ValueError(
                "A search over batches needs other batches for validation: "
                "search(train, validation)."
            )
        self.train, self.validation, self._test = train, validation, test
        self.facts = _seen(train, kind)

    def hypermodel(self, **kwargs: Any) -> HyperRNN:
        """The hypermodel that fits the batches."""
        seen = self.facts
        space = {"batch_size": None, **(kwargs.pop("space", None) or {})}
        facts = {"classes": seen.classes, "outputs": seen.outputs, "kind": seen.kind}
        facts |= {"tokens": seen.tokens, "longest": seen.longest}
        return HyperRNN(seen.input_shape, **{**facts, **kwargs}, space=space)

    def fit_arguments(self, settings: Mapping[str, Any], fold: int) -> dict[str, Any]:
        """The batches, as arguments of `fit`."""
        result = {"x": self.train, "validation_data": self.validation}
        if not isinstance(self.train, keras.utils.PyDataset):
            # Such loaders decide on the order themselves.
            result["shuffle"] = False
        return result

    def batch(self, settings: Mapping[str, Any]) -> tuple[Any, ...]:
        """The first batch."""
        return next(_arrays(self.train))

    def test(self, settings: Mapping[str, Any]) -> Any:
        """The batches for the test, or None."""
        return self._test

    def signature(self) -> dict[str, Any]:
        """The counts of one pass over the batches."""
        return {"task": self.name, "data": self.facts.counted}


def _arrays(batches: Any) -> Iterator[tuple[Any, ...]]:
    """The batches of any kind of loader, as arrays."""
    if isinstance(batches, keras.utils.PyDataset):
        count = batches.num_batches or 0
        items = (batches[i] for i in range(count))
    else:
        items = iter(batches)
    for batch in items:
        if not isinstance(batch, (tuple, list)) or len(batch) < 2:
            raise ValueError(
                f"Batches of a search are pairs of inputs and targets, received "
                f"{type(batch).__name__}."
            )
        yield tuple(keras.tree.map_structure(np.asarray, part) for part in batch)


def _seen(batches: Any, kind: str) -> Any:
    """Facts about the batches, from one pass."""
    rows, lengths, most, least, labels = 0, set(), 0, 0, set()
    first = None
    for x, y, *_ in _arrays(batches):
        if not isinstance(x, np.ndarray) or not isinstance(y, np.ndarray):
            raise ValueError(
                "A search over batches makes models with one input and one output. For "
                "other models pass `hypermodel`, your own build function."
            )
        first = first or (x, y)
        rows += len(x)
        lengths.add(x.shape[1])
        if x.dtype.kind in "iu":
            most, least = max(most, int(x.max())), min(least, int(x.min()))
        if y.dtype.kind in "iub":
            labels |= set(itertools.islice(np.unique(y).tolist(), 10_000))
    if first is None:
        raise ValueError("The training data has no batches.")
    x, y = first
    steps = lengths.pop() if len(lengths) == 1 else None
    tokens = most + 1 if x.dtype.kind in "iu" and x.ndim == 2 else None
    if tokens and least < 0:
        raise ValueError(f"Tokens are integers from 0 on, received {least}.")
    whole = y.dtype.kind in "iub"
    each_step = y.ndim == 2 and y.shape[1] == x.shape[1]
    if kind is None:
        if whole and (y.ndim == 1 or y.shape[1:] == (1,)):
            kind = "classification"
        else:
            kind = "tagging" if whole and each_step else "regression"
    classes = (
        max(labels) + 1 if whole and kind in ("classification", "tagging") else None
    )
    return types.SimpleNamespace(
        input_shape=(steps, *x.shape[2:]),
        tokens=tokens,
        kind=kind,
        classes=classes,
        outputs=y.shape[1:] if kind == "forecasting" else int((1, *y.shape)[-1]),
        longest=steps or max([x.shape[1], *lengths]),
        counted=[rows, sorted(map(str, labels))[:100], str(x.dtype), str(y.dtype)],
    )


def is_loader(x: Any) -> bool:
    """Whether `x` is a loader of batches, unlike arrays and lists of sequences."""
    if isinstance(x, keras.utils.PyDataset):
        return True
    module = type(x).__module__.partition(".")[0]
    return (
        module in ("tensorflow", "torch")
        and hasattr(x, "__iter__")
        and (not hasattr(x, "shape"))
    )
