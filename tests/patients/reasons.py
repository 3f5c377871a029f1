"""Why a layer is not on a vendor's kernel: every reason that the code can give.

`templates` reads the reasons from the source. Each of them is in one of three tables:
`SLOW`, a trouble on a CPU with torch, with a patient for each; `FINE`, no trouble, with
a layer that shows it; `ELSEWHERE`, which no layer on a CPU has. A new reason is in none
of them, and fails a test.
"""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import keras

import keras_rnnx
from keras_rnnx import cells, layers
from keras_rnnx.regularizers import GradientFlow

PACKAGE = Path(keras_rnnx.__file__).parent
# Where reasons are written, and how the functions are called that return them.
FILES = (
    *("engine/engines.py", "engine/costs.py", "engine/device.py"),
    *("engine/kernels/served.py", "engine/kernels/stack_plan.py"),
    *("engine/backends/torch/__init__.py", "conversion/counterparts.py"),
    *("layers/stack/arguments.py", "layers/bidirectional.py"),
    *("cells/*.py", "cells/_base/*.py", "cells/_lowering/*.py"),
)
FUNCTIONS = re.compile(
    ".*refusal.*|.*lowering|cost|absence|missing|standard|_other|_common"
    "|_unknown_equation|_at_once|sigmoid_gates"
)


def templates() -> set[str]:
    """The texts of all reasons, with {} for what is put in."""
    found = set()
    for pattern in FILES:
        for path in PACKAGE.glob(pattern):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for node in ast.walk(tree):
                if isinstance(node, ast.FunctionDef) and FUNCTIONS.fullmatch(node.name):
                    found |= _returned(node)
    return found


def _returned(function):
    """The texts that a function returns, or that it gives a name and returns."""
    named, found = {}, set()
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            named[node.targets[0].id] = node.value
    for node in ast.walk(function):
        if isinstance(node, ast.Return) and node.value is not None:
            found |= set(_texts(node.value, named))
    return found


def _texts(value, named):
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        yield value.value
    elif isinstance(value, ast.JoinedStr):
        parts = value.values
        yield "".join(
            str(p.value) if isinstance(p, ast.Constant) else "{}" for p in parts
        )
    elif isinstance(value, ast.IfExp):
        yield from _texts(value.body, named)
        yield from _texts(value.orelse, named)
    elif isinstance(value, ast.BoolOp):
        for part in value.values:
            yield from _texts(part, named)
    elif isinstance(value, ast.Name) and value.id in named:
        yield from _texts(named[value.id], {})


def matches(template: str, text: str) -> bool:
    """Whether a text is one of a template, or begins with it.

    In front of it may be how each layer runs on a kernel of its own.
    """
    parts = map(re.escape, template.split("{}"))
    each = r"(exact.*; a call for each (layer|direction): )?"
    return re.match(each + ".+?".join(parts), text) is not None


@dataclasses.dataclass
class Reason:
    """A reason, and a layer that has it.

    Attributes:
        template: its text, as in `templates`.
        make: a function of a number of units that makes the layer.
        words: of the layer.
    """

    template: str
    make: Callable[[int], keras.layers.Layer]
    words: str


class OwnCall(keras_rnnx.cells.LSTMCell):
    """A cell with a step of its own."""

    def call(self, inputs, states, training=False):
        return super().call(2 * inputs, states, training)


class OwnKerasCell(keras.layers.LSTMCell):
    """A subclass of a cell of Keras."""


class Own(keras.layers.LSTM):
    """A subclass of a layer of Keras."""


def _stack(**arguments):
    return lambda units: layers.Stack("lstm", units, depth=2, **arguments)


KERAS = "a Keras layer; keras_rnnx.convert(model) replaces it"
UNROLL = "unroll=True asks for an unrolled loop"
RESET = "reset_after=False multiplies by U in the middle of a step"
RECURRENT = (
    "recurrent_dropout={} draws a mask per {} for the state; weight_dropout would keep "
    "the kernel"
)
ACTIVATION = "{}={}, where the kernels have {}"
INTERLEAVED = "a stack of cells interleaves its cells at every step"
UNKNOWN = "{} is not a keras_rnnx cell, so its equation is not known"
TWICE = "checkpoint={} computes steps twice, but a scan keeps little anyway"

# A trouble on a CPU with torch: an argument, or another layer for the same network,
# gives a faster one. TensorFlow and JAX have no kernels on a CPU.
SLOW = (
    Reason(KERAS, lambda n: keras.layers.LSTM(n), "Keras' LSTM"),
    Reason(KERAS, lambda n: keras.layers.SimpleRNN(n), "Keras' SimpleRNN"),
    Reason(
        KERAS,
        lambda n: keras.layers.RNN(keras.layers.GRUCell(n)),
        "a cell of Keras in its RNN",
    ),
    Reason(UNROLL, lambda n: layers.LSTM(n, unroll=True), "an unrolled LSTM"),
    Reason(UNROLL, lambda n: layers.MinGRU(n, unroll=True), "an unrolled scan"),
    Reason(RESET, lambda n: layers.GRU(n, reset_after=False), "GRU, reset before"),
    Reason(
        RECURRENT, lambda n: layers.LSTM(n, recurrent_dropout=0.3), "recurrent dropout"
    ),
    Reason(ACTIVATION, lambda n: layers.LSTM(n, activation="softsign"), "activation"),
    Reason(
        ACTIVATION,
        lambda n: layers.GRU(n, recurrent_activation="hard_sigmoid"),
        "recurrent activation",
    ),
    Reason(
        INTERLEAVED,
        lambda n: layers.RNN([cells.LSTMCell(n), cells.GRUCell(n)]),
        "a stack of cells",
    ),
    Reason(UNKNOWN, lambda n: layers.RNN(keras.layers.LSTMCell(n)), "a cell of Keras"),
    Reason(TWICE, lambda n: layers.MinGRU(n, checkpoint=True), "a scan in segments"),
)

# No trouble there, with the reason why.
ANOTHER = "another argument or cell would be another network"
METHOD = "a method against overfitting or lost gradients, which the user chose"
ON_KERNELS = "each of the layers runs on a kernel, in a call of its own"
DEFAULT = "the cell is so by default"
FINE = (
    Reason(
        "no vendor kernel is known to compute its equation",
        lambda n: layers.PeepholeLSTM(n),
        ANOTHER,
    ),
    Reason(
        "beta={} forgets and writes by different amounts; beta=0 couples them",
        lambda n: layers.JANET(n),
        DEFAULT,
    ),
    Reason(RESET, lambda n: layers.MGU(n), DEFAULT),
    Reason(ACTIVATION, lambda n: layers.LiGRU(n), DEFAULT),
    Reason(
        "the kernels project to less than units={}, but projection_units={}",
        lambda n: layers.LSTMP(n, projection_units=n),
        ANOTHER,
    ),
    Reason(
        "as a {} ({}) it would take {} times the matrix products, which is slower at "
        "{} units",
        lambda n: layers.LeakyRNN(n),
        "the loop is the faster one",
    ),
    Reason(
        "torch's kernels on the CPU have no float16",
        lambda n: layers.GRU(n, dtype="mixed_float16"),
        "half precision was chosen",
    ),
    Reason("{} has its own `call`", lambda n: layers.RNN(OwnCall(n)), ANOTHER),
    Reason("{} is a subclass, whose own code would be lost", lambda n: Own(n), ANOTHER),
    Reason(
        "{} is not a keras_rnnx cell, so its equation is not known",
        lambda n: layers.RNN(OwnKerasCell(n)),
        ANOTHER,
    ),
    Reason(
        "{}=True normalizes inside of every step",
        lambda n: layers.LSTM(n, layer_norm=True),
        METHOD,
    ),
    Reason(
        "update_dropout={} draws a mask per {} for what is written to the state",
        lambda n: layers.LSTM(n, update_dropout=0.3),
        METHOD,
    ),
    Reason(
        "zoneout={} keeps values of the state at random",
        lambda n: layers.LSTM(n, zoneout=0.1),
        METHOD,
    ),
    Reason(
        "zoneout={} keeps old values of {}, and a scan computes {} after all steps",
        lambda n: layers.QRNN(n, zoneout=0.1),
        METHOD,
    ),
    Reason(
        "GradientFlow needs the gradients of the state at every step",
        lambda n: layers.SimpleRNN(n, recurrent_regularizer=GradientFlow(0.1)),
        METHOD,
    ),
    Reason(
        "connection={} goes around every layer",
        _stack(connection="residual"),
        ON_KERNELS,
    ),
    Reason(
        "dropout={} draws masks between the layers, and a kernel would draw other "
        "masks than the seed gives",
        _stack(dropout=0.3),
        METHOD,
    ),
    Reason(
        "merge_mode={} merges the two directions between the layers, where a kernel "
        "concatenates them",
        _stack(bidirectional=True, merge_mode="sum"),
        ON_KERNELS,
    ),
    Reason(
        "as a {} ({}) the cell has other inputs, states or outputs than the kernel, "
        "which must be mapped between layers",
        lambda n: layers.Stack("minimal_rnn", n, depth=2),
        ON_KERNELS,
    ),
    Reason(
        "checkpoint={} computes each layer in segments",
        _stack(checkpoint=True),
        "memory was to be saved, and each of the layers runs on a kernel",
    ),
    Reason(
        "dropout={} of the cell drops the inputs of every layer",
        lambda n: layers.Bidirectional(layers.LSTM(n, dropout=0.3)),
        ON_KERNELS,
    ),
    Reason(
        "the activity regularizer of {} needs its outputs",
        lambda n: layers.Bidirectional(layers.LSTM(n, activity_regularizer="l2")),
        ON_KERNELS,
    ),
)

# Not on a CPU with torch, in training, with data without a mask.
GPU, OTHERS = "on a GPU", "on another backend"
EXPORT, RAISES = "while a model is exported or transformed", "training raises an error"
HIDDEN = "not shown: a reason against one engine of several"
ELSEWHERE = {
    "use_cudnn=False": GPU,
    "there is a GPU": GPU,
    "TensorFlow does not document where its cuDNN op takes the projection": GPU,
    "{} has cuDNN's LSTM alone, and this is its {}": GPU,
    "torch's kernels need the lengths of a mask on the host, which waits": GPU,
    "{} has no fused kernels on the CPU": OTHERS,
    "the {} backend has no engines but Keras' loop": OTHERS,
    "at inference on the CPU a loop is as fast as a scan, and its graph contains no "
    "derivatives": OTHERS,
    "on the CPU JAX computes a scan of complex numbers more slowly than a loop": OTHERS,
    "ONNX has no LSTM with a projection": EXPORT,
    "a scan needs derivatives, which an exported graph cannot hold": EXPORT,
    "torch.export writes a kernel out step by step, for one number of steps": EXPORT,
    "torch.func.vmap and forward-mode derivatives have no rules for kernels": EXPORT,
    "checkpoint={} is not possible; pass checkpoint=None": RAISES,
    "checkpoint={} computes steps twice, and {} would record their moments twice": (
        RAISES
    ),
    "{} has moments for every step, which it does not count": HIDDEN,
    "its equation is not linear in the state": HIDDEN,
    "its lowering is not exact enough in {}": "on a CPU its cost is looked at first",
    "zoneout={} keeps the parts of {} separately": "the other states come first",
    "gated_feedback=True steps all layers together": "its cell is looked at first",
    "{} runs on the {} engine: {}": "the reason of each layer is shown",
    "there is one layer": HIDDEN,
    "torch's kernels sort the rows of a mask by their lengths, and then train more "
    "slowly": "explain assumes no mask",
    "with {} sequences the derived backward pass of each layer is faster": (
        "explain knows no batch"
    ),
    "zoneout={} mixes the old state with the new one, which no kernel does after this "
    "equation": "at inference; training keeps values at random, which comes first",
    "layers with {} {} are not all the same": "the layers of a Stack are",
    "window={} gives each layer the inputs of several steps": (
        "no cell with a window has a kernel"
    ),
    "hooks of {} need its inputs or outputs": "they were set to look at the layer",
    "{} is a {}, not one recurrent layer of keras_rnnx": "each of them has rows",
    "{} reads sequences from the end": "each of them has rows",
    "keras_rnnx has no {}": "for layers of Keras that are measured from outside alone",
    "{}={} is not in [0, 1), the range of rates in keras_rnnx": "Keras takes them",
}
