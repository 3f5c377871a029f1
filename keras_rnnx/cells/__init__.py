"""Recurrent cells: each a declaration and an equation.

The catalogue is the files of this folder without an underscore. This package exports
each cell that one of them registers, and the layers have one of its name.
"""

import importlib
import pkgutil

from keras_rnnx.cells import ranges as ranges
from keras_rnnx.cells._base.cell import Cell
from keras_rnnx.cells._base.reference import Reference
from keras_rnnx.cells._base.values import Gates, State
from keras_rnnx.cells._lowering.spec import GateWeights, Lowering
from keras_rnnx.cells.registry import (
    CellInfo,
    built_in,
    catalog,
    get,
    names,
    register,
)

for _module in pkgutil.iter_modules(__path__):
    if not _module.name.startswith("_"):
        importlib.import_module(f"{__name__}.{_module.name}")

_CATALOGUE = {cls.__name__: cls for cls in built_in()}
globals().update(_CATALOGUE)

__all__ = [
    "Cell",
    "CellInfo",
    "GateWeights",
    "Gates",
    "Lowering",
    "Reference",
    "State",
    "catalog",
    "get",
    "names",
    "register",
    *_CATALOGUE,
]
