"""What our layers are timed beside: Keras' layers, custom Keras cells, torch.nn.

Each function makes a pair of layers by name, Keras' and ours, with the same weights.
"""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
from keras import ops

import keras_rnnx
from benchmarks import device
from benchmarks.timing import torch_call
from keras_rnnx.constraints import Orthogonal, SpectralRadius
from keras_rnnx.initializers import PerGate
from keras_rnnx.regularizers import AR, TAR, SoftOrthogonal

RATE = 0.25
LEAK = 0.1
# The sizes at which layers are compared before they are timed.
PROBE = (3, 7, 5, 6)
TOLERANCE = 1e-4
# GPUs multiply in TF32 unless told otherwise, which has ten bits.
TF32 = 2e-3


class LeakyCell(keras.layers.Layer):
    """A leaky integrator as one writes it for `keras.layers.RNN`.

    Args:
        units: number of units.
        activation: of the update.
        leak: the leak rate.
        leak_trainable: whether it is learned, one per unit.
    """

    def __init__(
        self, units, activation="tanh", leak=LEAK, leak_trainable=True, **kwargs
    ):
        super().__init__(**kwargs)
        self.units = self.state_size = self.output_size = units
        self.activation = keras.activations.get(activation)
        self.leak = leak
        self.leak_trainable = leak_trainable

    def build(self, input_shape):
        shape = (input_shape[-1], self.units)
        self.kernel = self.add_weight(shape=shape, name="kernel")
        self.recurrent_kernel = self.add_weight(
            shape=(self.units, self.units),
            initializer="orthogonal",
            name="recurrent_kernel",
        )
        self.bias = self.add_weight(
            shape=(self.units,), initializer="zeros", name="bias"
        )
        if self.leak_trainable:
            logit = float(np.log(self.leak) - np.log1p(-self.leak))
            self.leak_logit = self.add_weight(
                shape=(self.units,),
                initializer=keras.initializers.Constant(logit),
                name="leak_logit",
            )

    def call(self, inputs, states, training=False):
        (state,) = states
        leak = ops.sigmoid(self.leak_logit) if self.leak_trainable else self.leak
        update = ops.matmul(inputs, self.kernel) + self.bias
        update = update + ops.matmul(state, self.recurrent_kernel)
        state = (1 - leak) * state + leak * self.activation(update)
        return state, [state]


def same_name(name: str, units: int, **options):
    """`keras.layers.<name>` and `keras_rnnx.layers.<name>`."""
    options = {"return_sequences": True, **options}
    return (
        getattr(keras.layers, name)(units, **options),
        getattr(keras_rnnx.layers, name)(units, **options),
    )


def leaky(units: int, **options):
    """`keras.layers.RNN(LeakyCell(units))` and `keras_rnnx.layers.LeakyRNN(units)`."""
    options = {"leak": LEAK, **options}
    sequences = {"return_sequences": options.pop("return_sequences", True)}
    return (
        keras.layers.RNN(LeakyCell(units, **options), **sequences),
        keras_rnnx.layers.LeakyRNN(units, **sequences, **options),
    )


REGULARIZED: dict[str, Callable] = {
    f"LSTM, recurrent_dropout={RATE}": lambda units: same_name(
        "LSTM", units, recurrent_dropout=RATE
    ),
    f"GRU, recurrent_dropout={RATE}": lambda units: same_name(
        "GRU", units, recurrent_dropout=RATE
    ),
    "LeakyRNN, learned leak": lambda units: leaky(units, leak_trainable=True),
    "LeakyRNN, relu": lambda units: leaky(
        units, activation="relu", leak_trainable=False
    ),
}

# Methods against overfitting, as arguments of a layer.
METHODS: dict[str, dict] = {
    f"{layer}, {name}": {"layer": layer, **arguments}
    for layer in ("LSTM", "GRU")
    for name, arguments in {
        "dropout": {"dropout": RATE},
        "dropout at every step": {"dropout": RATE, "dropout_mask": "step"},
        "recurrent_dropout": {"recurrent_dropout": RATE},
        "weight_dropout": {"weight_dropout": RATE},
        "input_weight_dropout": {"input_weight_dropout": RATE},
        "update_dropout": {"update_dropout": RATE},
        "zoneout": {"zoneout": RATE},
        "layer_norm": {"layer_norm": True},
        "batch_norm": {"batch_norm": True},
        "AR and TAR": {"activity_regularizer": [AR(2), TAR(1)]},
        "SoftOrthogonal": {"recurrent_regularizer": SoftOrthogonal(1e-3)},
        "SpectralRadius": {"recurrent_constraint": SpectralRadius(1.0)},
        # Whose matrix has been orthogonal before the update, as in training.
        "Orthogonal": {
            "recurrent_constraint": Orthogonal(),
            "recurrent_initializer": PerGate("orthogonal"),
        },
        "initial_state_noise": {"initial_state_noise": 0.1},
    }.items()
}


def method(name: str, units: int):
    """A plain layer of ours, and the same with a method."""
    arguments = dict(METHODS[name])
    make = getattr(keras_rnnx.layers, arguments.pop("layer"))
    return (
        make(units, return_sequences=True),
        make(units, return_sequences=True, **arguments),
    )


def inputs(size: tuple[int, ...]):
    """Random sequences `(batch, steps, inputs)`, the same ones every time."""
    x = np.random.default_rng(0).normal(size=size[:3]).astype("float32")
    return ops.convert_to_tensor(x)


def declared(x) -> tuple:
    """The shape that layers of a model with a `keras.Input` for `x` are built with."""
    return (None, *x.shape[1:])


def with_same_weights(pair, x):
    """Builds Keras' layer and ours, and gives ours the weights of the other."""
    theirs, ours = pair
    for layer in pair:
        layer.build(declared(x))
    ours.set_weights(theirs.get_weights())
    return theirs, ours


def check_same(name: str, make: Callable) -> None:
    """Raises a ValueError unless both layers of a pair compute the same outputs."""
    x = inputs(PROBE)
    theirs, ours = with_same_weights(make(PROBE[-1]), x)
    difference = theirs(x, training=False) - ours(x, training=False)
    apart = float(np.abs(ops.convert_to_numpy(difference)).max())
    allowed = TF32 if device.gpu() else TOLERANCE
    if not apart <= allowed:
        raise ValueError(
            f"{name}: the outputs of Keras' layer and of ours are {apart:.1e} apart, "
            f"more than {allowed}, so their numbers cannot be compared. Mend the "
            f"layer, or leave it out with --layers."
        )


def torch_layer(name: str, size: tuple[int, ...]) -> dict[str, Callable]:
    """Forward pass and training step of a layer of torch.nn, of the same size.

    Args:
        name: "LSTM", "GRU" or "SimpleRNN".
        size: batch, steps, inputs, units.

    Returns:
        Functions by name, "forward" and "training".
    """
    torch = device.torch()
    place = "cuda" if device.gpu() else "cpu"
    kind = getattr(torch.nn, name.removeprefix("Simple"))
    layer = kind(size[2], size[3], batch_first=True, device=place)
    x = torch.from_numpy(ops.convert_to_numpy(inputs(size)).copy()).to(place)

    @torch.no_grad()
    def forward():
        layer(x)

    def training():
        layer.zero_grad()
        (layer(x)[0] ** 2).mean().backward()

    return {"forward": torch_call(forward), "training": torch_call(training)}
