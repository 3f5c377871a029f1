"""Numbers that are NaN or infinite: how many, and whether there are any."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
from keras import ops


def not_finite(structure: Any) -> int:
    """How many numbers in a structure of arrays are NaN or infinite.

    None and arrays of other things than floating-point numbers have none.
    """
    arrays = (np.asarray(a) for a in keras.tree.flatten(structure) if a is not None)
    return sum(map(_count, arrays))


def _count(array: np.ndarray) -> int:
    if array.dtype.kind not in "fc" and array.dtype.name != "bfloat16":
        return 0
    array = array.astype("float32") if array.dtype.itemsize < 4 else array
    return int(np.sum(~np.isfinite(array)))


def all_finite(variables: Iterable[keras.Variable]) -> bool:
    """Whether all numbers in some variables are finite, as their device sees it."""
    each = [ops.all(ops.isfinite(ops.convert_to_tensor(v))) for v in variables]
    return not each or bool(ops.all(ops.stack(each)))
