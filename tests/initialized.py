"""Cells with their first weights, gate by gate; for `test_initializers*.py`."""

import numpy as np
from tensors import numpy

from keras_rnnx import cells

UNITS, FEATURES = 6, 4


def built(name, units=UNITS, **kwargs):
    cell = cells.get(name, units, **kwargs)
    cell.build((None, FEATURES))
    return cell


def blocks(cell, weight):
    """The blocks of a weight by gate."""
    value = numpy(getattr(cell, weight))
    gates = cell.gates_of(weight)
    return dict(zip(gates, np.split(value, len(gates), axis=-1)))
