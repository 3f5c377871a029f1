"""Batches that a user made, as what trials are trained on."""

from __future__ import annotations

import itertools
import types
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from keras_rnnx.tuner._trials.data import SearchData
from keras_rnnx.tuner.hypermodel import HyperRNN


class LoaderData(SearchData):
    """Batches that a user made: a PyDataset, a tf.data.Dataset or a torch DataLoader.

    One pass over them says what they hold.

    Args:
        train: gives pairs of inputs and targets; it may be passed over several times.
        validation: the same for validation.
        test: the same for the final test, or None.
        kind: of task. Default: by the targets.
    """

    def __init__(self, train: Any, validation: Any, test: Any = None, kind: Any = None):
        if validation is None:
            raise ValueError(
                "A search over batches needs others for validation: "
                "search(train, validation)."
            )
        self.train, self.validation, self._test = train, validation, test
        self.facts = _seen(train, kind)

    def hypermodel(self, **kwargs: Any) -> HyperRNN:
        """The hypermodel that fits what one pass saw."""
        seen = self.facts
        space = {"batch_size": None, **(kwargs.pop("space", None) or {})}
        known = {"classes": seen.classes, "outputs": seen.outputs, "kind": seen.kind}
        known |= {"tokens": seen.tokens, "longest": seen.longest}
        return HyperRNN(seen.input_shape, **{**known, **kwargs}, space=space)

    def fit_arguments(self, settings: Mapping[str, Any], fold: int) -> dict[str, Any]:
        """The batches, as arguments of `fit`."""
        found = {"x": self.train, "validation_data": self.validation}
        if not isinstance(self.train, keras.utils.PyDataset):
            # They come in an order of their own.
            found["shuffle"] = False
        return found

    def batch(self, settings: Mapping[str, Any]) -> tuple[Any, ...]:
        """The first batch."""
        return next(_arrays(self.train))

    def test(self, settings: Mapping[str, Any]) -> Any:
        """The batches for the test, or None."""
        return self._test

    def signature(self) -> dict[str, Any]:
        """What one pass saw."""
        return {"task": self.name, "data": self.facts.counted}


def _arrays(batches):
    """The batches of any kind of loader, as arrays."""
    if isinstance(batches, keras.utils.PyDataset):
        count = batches.num_batches or 0
        found = (batches[i] for i in range(count))
    else:
        found = iter(batches)
    for batch in found:
        if not isinstance(batch, (tuple, list)) or len(batch) < 2:
            raise ValueError(
                f"Batches of a search are pairs of inputs and targets, received "
                f"{type(batch).__name__}."
            )
        yield tuple(keras.tree.map_structure(np.asarray, part) for part in batch)


def _seen(batches, kind):
    """What a pass over batches shows."""
    rows, lengths, most, least, labels = 0, set(), 0, 0, set()
    first = None
    for x, y, *_ in _arrays(batches):
        if not isinstance(x, np.ndarray) or not isinstance(y, np.ndarray):
            raise ValueError(
                "A search over batches makes models of one input and one output. For "
                "others pass `hypermodel`, a build function of your own."
            )
        first = first or (x, y)
        rows += len(x)
        lengths.add(x.shape[1])
        if x.dtype.kind in "iu":
            most, least = max(most, int(x.max())), min(least, int(x.min()))
        if y.dtype.kind in "iub":
            labels |= set(itertools.islice(np.unique(y).tolist(), 10_000))
    if first is None:
        raise ValueError("The batches for training hold nothing.")
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
    """Whether something gives batches: arrays and lists of sequences don't."""
    if isinstance(x, keras.utils.PyDataset):
        return True
    module = type(x).__module__.partition(".")[0]
    return (
        module in ("tensorflow", "torch")
        and hasattr(x, "__iter__")
        and (not hasattr(x, "shape"))
    )
