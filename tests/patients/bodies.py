"""Tasks, layers and models that patients are made of."""

import keras
import numpy as np

from keras_rnnx import cells, layers
from keras_rnnx.diagnosis._measures.gates import memory_gates

SAMPLES = 64
FEATURES = 2

THEIRS = {
    f"keras {name}": getattr(keras.layers, name)
    for name in ("LSTM", "GRU", "SimpleRNN")
}


def families():
    """The cells of the catalogue by the module that defines them, and Keras' own."""
    found = {}
    for cls in cells.registry.built_in():
        name = cells.registry.catalog_name(cls.__name__)
        found.setdefault(cls.__module__.rpartition(".")[2], []).append(name)
    return {name: sorted(found[name]) for name in sorted(found)} | {
        "keras": list(THEIRS)
    }


def layer_of(name, units, **arguments):
    """A layer by the name of its cell, or "keras " and a name of Keras."""
    if name in THEIRS:
        return THEIRS[name](units, **arguments)
    outside = ("return_sequences", "go_backwards", "unroll", "checkpoint", "name")
    around = {k: arguments.pop(k) for k in outside if k in arguments}
    return layers.RNN(cells.get(name, units, **arguments), **around)


# --- tasks ---


def inputs(random, steps, scale=1.0):
    """Normal numbers, `(SAMPLES, steps, FEATURES)`."""
    x = scale * random.normal(size=(SAMPLES, steps, FEATURES))
    return x.astype("float32")


def of_the_past(x):
    """A value of the first steps: an answer to each sequence."""
    return (x[:, 0, :1] + x[:, 1, 1:]).astype("float32")


def of_the_end(x):
    """A value of the last two steps."""
    return (x[:, -1, :1] + 0.5 * x[:, -2, 1:]).astype("float32")


def of_all(x):
    """A value of all steps: their mean, of the size of one of them."""
    return (x.mean(axis=1)[:, :1] * np.sqrt(x.shape[1])).astype("float32")


def of_each(x):
    """A value of the last steps at each of them."""
    y = np.zeros_like(x[..., :1])
    kept = np.zeros_like(y[:, 0])
    for t in range(x.shape[1]):
        kept = 0.6 * kept + x[:, t, :1]
        y[:, t] = kept
    return y


def kind_of(x):
    """Which of two kinds a sequence is, by its last steps."""
    return (of_the_end(x)[:, 0] > 0).astype("int32")


# --- models ---


def model_of(rnns, steps, y, optimizer="adam", functional=False):
    """A compiled model: recurrent layers and a dense one, with a loss for the targets.

    Args:
        rnns: the layers.
        steps: number of steps.
        y: the targets: integers are classes.
        optimizer: for `compile`.
        functional: whether it is a functional model. Default False: a Sequential.
    """
    classes = y.dtype.kind == "i"
    head = keras.layers.Dense(2, "softmax") if classes else keras.layers.Dense(1)
    first = keras.Input((steps, FEATURES))
    if functional:
        z = first
        for layer in [*rnns, head]:
            z = layer(z)
        model = keras.Model(first, z)
    else:
        model = keras.Sequential([first, *rnns, head])
    model.compile(optimizer, "sparse_categorical_crossentropy" if classes else "mse")
    return model


def body(random, make, each_step=False):
    """One or two layers, now and then in both directions.

    Args:
        random: a generator.
        make: a function of arguments of the outside, such as `return_sequences`, that
            makes a layer.
        each_step: whether there is an answer for each step.

    Returns:
        The layers, and what they are, in words.
    """
    how = random.choice(["one", "two", "both"], p=[0.7, 0.2, 0.1])
    if how == "two":
        lower = make(return_sequences=True)
        return [lower, make(return_sequences=each_step)], "two layers"
    if how == "both":
        layer = make(return_sequences=each_step)
        ours = isinstance(layer, layers.RNN)
        around = layers.Bidirectional if ours else keras.layers.Bidirectional
        return [around(layer)], "both directions"
    return [make(return_sequences=each_step)], "one layer"


def rnns_of(model):
    """The recurrent layers of a model, those inside of others too."""
    from keras_rnnx._sublayers import walk

    return [layer for _, layer in walk(model) if isinstance(layer, keras.layers.RNN)]


# --- weights ---


def get(variable):
    """A copy of a variable as an array."""
    return np.array(keras.ops.convert_to_numpy(variable))


def set_memory(layer, bias):
    """Sets the biases of the gates that keep the state.

    Args:
        layer: built.
        bias: more of it keeps the state longer.
    """
    cell = layer.cell
    signs = memory_gates(cell)
    if isinstance(cell, cells.Cell):
        names = cell.gates_of("bias")
    else:
        names = "ifco" if isinstance(cell, keras.layers.LSTMCell) else "zrh"
    values = get(cell.bias)
    parts = np.split(values, len(names), axis=-1)
    for name, part in zip(names, parts):
        if name in signs:
            # A GRU has two rows, which are added.
            part[...] = signs[name] * bias / (len(part) if part.ndim > 1 else 1)
    cell.bias.assign(np.concatenate(parts, axis=-1))


def has_memory_gates(name):
    """Whether a cell has gates that keep its state, with biases."""
    if name in THEIRS:
        return "SimpleRNN" not in name
    cell = cells.get(name, 4)
    biased = set(cell.gates_of("bias"))
    return bool(cell.memory_gates) and set(cell.memory_gates) <= biased
