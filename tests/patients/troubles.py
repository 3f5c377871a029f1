"""Patients with one trouble each, and healthy ones: a function for each kind.

Each takes a generator of NumPy and the number of the patient, and returns a `Patient`.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np

import keras_rnnx
from keras_rnnx.initializers import Chrono, SpectralRadius
from patients import bodies, reasons
from patients.bodies import body, layer_of, model_of


@dataclasses.dataclass
class Patient:
    """A model with data, and what is wrong with it.

    Attributes:
        words: what was drawn, in words.
        expected: the names of the first finding that are right; empty if healthy.
        model: the model.
        x, y: its data.
        history: of its training, or None.
    """

    words: str
    expected: tuple[str, ...]
    model: keras.Model
    x: Any
    y: Any
    history: Any = None

    def first(self) -> str:
        """The name of the first finding, or "none"."""
        report = keras_rnnx.diagnose(self.model, self.x, self.y, history=self.history)
        return report.findings[0].name if report.findings else "none"


def _units(random):
    return int(random.choice([6, 8, 12, 16]))


def _optimizer(random, clip=None):
    """One that nothing is wrong with."""
    made = random.choice(["Adam", "RMSprop", "AdamW", "SGD"])
    rate = 10 ** random.uniform(-2.5, -1.5) if made == "SGD" else 0.0
    rate = float(rate or 10 ** random.uniform(-3.5, -2.2))
    return getattr(keras.optimizers, made)(rate, global_clipnorm=clip)


def _maybe_clip(random):
    return 1.0 if random.random() < 0.5 else None


def _built(random, make, steps, task, optimizer, scale=1.0):
    """A model, its data and what its layers are."""
    x = bodies.inputs(random, steps, scale)
    y = task(x)
    rnns, how = body(random, make, each_step=y.ndim == 3)
    functional = bool(random.random() < 0.5)
    return model_of(rnns, steps, y, optimizer, functional), x, y, how


# --- gradients that vanish ---

SIMPLE = ("simple_rnn", "keras SimpleRNN", "ind_rnn", "lru")


def small_radius(random, number):
    """A recurrent matrix whose radius is 0.3 to 0.8, and sequences far longer."""
    name, units = str(random.choice(SIMPLE)), _units(random)
    radius = float(random.uniform(0.3, 0.8))
    # A gradient that goes through tanh shrinks faster than by the radius, never slower.
    reach = np.log(1e-3) / np.log(radius)
    steps = int(np.ceil(reach * random.uniform(2.5, 4)))
    arguments: dict[str, Any] = {}
    if name == "lru":
        arguments = {"radius_min": radius - 0.1, "radius_max": radius}
    elif name == "ind_rnn":
        start = keras.initializers.RandomUniform(-radius, radius)
        arguments = {"recurrent_initializer": start}
    else:
        arguments = {"recurrent_initializer": SpectralRadius(radius)}
        arguments["activation"] = str(random.choice(["tanh", "tanh", "linear"]))

    def make(**outside):
        return layer_of(name, units, **arguments, **outside)

    task = bodies.of_the_past if random.random() < 0.7 else bodies.of_all
    optimizer = _optimizer(random, _maybe_clip(random))
    model, x, y, how = _built(random, make, steps, task, optimizer)
    words = f"{name}, radius {radius:.2f}, {steps} steps, {how}"
    return Patient(words, ("vanishing",), model, x, y)


GATED = (
    *("lstm", "gru", "cifg", "peephole_lstm", "ugrnn", "mgu", "light_ru", "janet"),
    *("sru", "qrnn", "keras LSTM", "keras GRU"),
)


def large_inputs(random, number):
    """Inputs that are not scaled: gates are shut or open, and let no gradient by."""
    name, units = str(random.choice(GATED)), _units(random)
    steps = int(random.integers(20, 60))
    scale = float(10 ** random.uniform(2, 3))

    def make(**outside):
        return layer_of(name, units, **outside)

    # One layer: the inputs of a second one are scaled.
    x = bodies.inputs(random, steps, scale)
    y = bodies.of_the_past(x / scale)
    model = model_of([make()], steps, y, _optimizer(random, 1.0), random.random() < 0.5)
    words = f"{name}, inputs of {scale:.0f}, {steps} steps"
    return Patient(words, ("saturated_gates",), model, x, y)


# Cells that lose a quarter of their state in a step or more, as they start. A UGRNN and
# a CIFG write back most of what they lose, and remember a hundred steps.
SHORT = (
    *("lstm", "gru", "mgu", "light_ru", "peephole_lstm", "min_gru", "sru"),
    *("keras LSTM", "keras GRU", "keras SimpleRNN", "simple_rnn", "leaky_rnn"),
)


def long_sequences(random, number):
    """Layers as they start, and sequences that are far longer than their memory."""
    name, units = str(random.choice(SHORT)), _units(random)
    steps = int(random.integers(100, 200))

    def make(**outside):
        return layer_of(name, units, **outside)

    optimizer = _optimizer(random, _maybe_clip(random))
    model, x, y, how = _built(random, make, steps, bodies.of_the_past, optimizer)
    return Patient(f"{name}, {steps} steps, {how}", ("vanishing",), model, x, y)


# --- gradients that explode ---


def large_radius(random, number):
    """A recurrent matrix whose radius is 1.2 to 2, and no clipping."""
    kinds = ["linear", "identity", "independent", "chaotic"]
    how = str(random.choice(kinds, p=[0.4, 0.2, 0.2, 0.2]))
    radius, units = float(random.uniform(1.2, 2.0)), _units(random)
    # The product grows by a thousand to a billion.
    steps = int(np.ceil(np.log(10 ** random.uniform(3, 9)) / np.log(radius)))
    steps, scale = max(10, steps), 1.0
    arguments: dict[str, Any] = {}
    name = str(random.choice(["simple_rnn", "keras SimpleRNN"]))
    if how == "linear":
        arguments = {"recurrent_initializer": SpectralRadius(radius)}
        arguments["activation"] = "linear"
    elif how == "identity":
        start = keras.initializers.Identity(radius)
        arguments = {"recurrent_initializer": start, "activation": "relu"}
    elif how == "independent":
        # A unit of an IndRNN grows by its own weight, if that is positive: below 0 the
        # sign changes at each step, and the rectifier ends it.
        start = keras.initializers.RandomUniform(0.9 * radius, radius)
        name, arguments = "ind_rnn", {"recurrent_initializer": start}
        steps = max(steps, 40)
    else:
        # Strong inputs push tanh to its ends, where it shrinks changes: a network is
        # chaotic with weak ones, many units, and a radius well above 1.
        radius, units, scale = float(random.uniform(1.6, 2.0)), 64, 0.1
        steps = int(random.integers(60, 100))
        start = keras.initializers.RandomNormal(stddev=radius / np.sqrt(units))
        arguments = {"recurrent_initializer": start}

    def make(**outside):
        return layer_of(name, units, **arguments, **outside)

    x = bodies.inputs(random, steps, scale)
    y = bodies.of_the_past(x)
    optimizer = _optimizer(random)
    model = model_of([make()], steps, y, optimizer, random.random() < 0.5)
    words = f"{name}, {how}, radius {radius:.2f}, {steps} steps"
    return Patient(words, ("exploding",), model, x, y)


# --- memory ---


def forgetful(random, number):
    """Gates whose biases are against the length: they throw the state away."""
    name = str(random.choice([*GATED, "min_gru", "min_lstm"]))
    units, steps = _units(random), int(random.integers(60, 150))
    bias = -float(random.uniform(2, 6))

    def make(**outside):
        return layer_of(name, units, **outside)

    task = bodies.of_the_past if random.random() < 0.7 else bodies.of_all
    optimizer = _optimizer(random, _maybe_clip(random))
    model, x, y, how = _built(random, make, steps, task, optimizer)
    for layer in bodies.rnns_of(model):
        bodies.set_memory(layer, bias)
    words = f"{name}, bias {bias:.1f}, {steps} steps, {how}"
    return Patient(words, ("forgetful",), model, x, y)


# --- states ---


def dead_rectifiers(random, number):
    """Rectifiers with biases so low that they give 0."""
    names = ["simple_rnn", "keras SimpleRNN", "irnn", "np_rnn"]
    name, units = str(random.choice(names)), _units(random)
    steps, share = int(random.integers(10, 30)), float(random.uniform(0.3, 1))

    def make(**outside):
        return layer_of(name, units, activation="relu", **outside)

    optimizer = _optimizer(random, 1.0)
    model, x, y, how = _built(random, make, steps, bodies.of_the_end, optimizer)
    for layer in bodies.rnns_of(model):
        values = bodies.get(layer.cell.bias)
        values[: int(np.ceil(share * units))] = -100
        layer.cell.bias.assign(values)
    words = f"{name}, {share:.0%} dead, {steps} steps, {how}"
    return Patient(words, ("dead",), model, x, y)


# --- rates ---

TRAINABLE = ("lstm", "gru", "keras LSTM", "keras GRU", "simple_rnn", "min_gru", "ugrnn")


def high_rate(random, number):
    """A learning rate that changes the layer beyond recognition, used for a few steps.

    For SGD the size of an update goes with the gradient, so that it is not trained.
    """
    name, units = str(random.choice(TRAINABLE)), _units(random)
    steps = int(random.integers(8, 30))
    made = str(random.choice(["Adam", "RMSprop", "Nadam", "SGD"]))
    rate = float(10 ** random.uniform(-0.7, 0.5))
    rate *= 300 if made == "SGD" else 1
    trained = 0 if made == "SGD" else int(random.choice([0, 1, 5]))

    def make(**outside):
        return layer_of(name, units, **outside)

    optimizer = getattr(keras.optimizers, made)(rate)
    model, x, y, how = _built(random, make, steps, bodies.of_the_end, optimizer)
    if trained:
        model.fit(x, y, epochs=trained, batch_size=len(x), verbose=0)
    words = f"{name}, {made}({rate:.2g}), {trained} updates, {steps} steps, {how}"
    return Patient(words, ("large_updates",), model, x, y)


def low_rate(random, number):
    """A learning rate with which nothing is learned in any time."""
    name, units = str(random.choice(TRAINABLE)), _units(random)
    steps = int(random.integers(8, 14))
    made = str(random.choice(["Adam", "RMSprop", "AdamW", "SGD"]))
    rate = float(10 ** random.uniform(-9, -6.5))

    def make(**outside):
        return layer_of(name, units, **outside)

    optimizer = getattr(keras.optimizers, made)(rate)
    model, x, y, how = _built(random, make, steps, bodies.of_the_end, optimizer)
    words = f"{name}, {made}({rate:.2g}), {steps} steps, {how}"
    return Patient(words, ("small_updates",), model, x, y)


# --- what was learned ---


def overfitted(random, number):
    """Few sequences whose targets are noise in part, learned by heart."""
    name = str(random.choice(["lstm", "gru", "keras LSTM", "keras GRU", "ugrnn"]))
    steps, few = int(random.integers(8, 16)), int(random.choice([16, 24]))
    noise = float(random.uniform(0.7, 1.5))

    def make(**outside):
        return layer_of(name, 24, **outside)

    def task(x):
        y = bodies.of_the_end(x)
        return y + noise * random.normal(size=y.shape).astype("float32")

    optimizer = keras.optimizers.Adam(float(random.uniform(0.01, 0.02)))
    x = bodies.inputs(random, steps)
    y = task(x)
    model = model_of([make()], steps, y, optimizer, random.random() < 0.5)
    history = model.fit(
        x[:few],
        y[:few],
        batch_size=few,
        epochs=60,
        validation_data=(x[few:], y[few:]),
        verbose=0,
    )
    words = f"{name}, {few} sequences, noise {noise:.1f}, {steps} steps"
    return Patient(words, ("overfitted",), model, x[:few], y[:few], history)


def rare_labels(random, number):
    """Labels or classes that are rare, and outputs that start at zero."""
    name, units = str(random.choice(TRAINABLE)), _units(random)
    steps, labels = int(random.integers(8, 14)), int(random.integers(4, 20))
    each = bool(random.random() < 0.6)
    x = bodies.inputs(random, steps)
    # Beyond a threshold of the last steps, so that there is something to be learned.
    values = bodies.of_each(x) if each else bodies.of_the_end(x)
    rarity = float(random.uniform(1.5, 2.5))
    if each:
        bounds = values.std() * random.uniform(rarity, 3, size=labels)
        y, activation = (values > bounds).astype("float32"), "sigmoid"
    else:
        y = np.digitize(values[:, 0] / values.std(), np.linspace(rarity, 3, labels - 1))
        activation = "softmax"
    rnn = layer_of(name, units, return_sequences=each)
    head = keras.layers.Dense(labels, activation)
    model = keras.Sequential([keras.Input((steps, bodies.FEATURES)), rnn, head])
    losses = {"sigmoid": "binary", "softmax": "sparse_categorical"}
    model.compile(_optimizer(random, 1.0), f"{losses[activation]}_crossentropy")
    words = f"{name}, {labels} {activation} outputs, {steps} steps"
    return Patient(words, ("base_rates",), model, x, y)


# --- cost ---


def slow(random, number):
    """A layer that something keeps off a kernel: each reason in turn."""
    reason = reasons.SLOW[number % len(reasons.SLOW)]
    steps, units = int(random.integers(8, 12)), 16
    optimizer = _optimizer(random, 1.0)
    x = bodies.inputs(random, steps)
    y = bodies.of_the_end(x)
    model = model_of([reason.make(units)], steps, y, optimizer, random.random() < 0.5)
    return Patient(f"{reason.words}, {steps} steps", ("slow",), model, x, y)


# --- healthy ---

FAMILIES = bodies.families()
STATES = ("untrained", "a little", "learned")
TASKS = (bodies.of_the_end, bodies.of_each, bodies.kind_of)


def healthy(random, number):
    """Nothing is wrong: each family in turn, untrained, trained a little, or learned.

    Untrained layers have sequences as long as their memory; where they have gates that
    keep the state, biases for longer ones. Trained ones have tasks of the last steps,
    of which a longer past is no part.
    """
    family = list(FAMILIES)[number % len(FAMILIES)]
    name, units = str(random.choice(FAMILIES[family])), int(random.choice([8, 12, 16]))
    state = STATES[(number // len(FAMILIES) + number) % len(STATES)]
    steps = int(random.integers(8, 31 if state == "learned" else 17))
    arguments: dict[str, Any] = {}
    remembers = name not in bodies.THEIRS and bodies.has_memory_gates(name)
    if remembers and (steps > 12 or random.random() < 0.5):
        arguments["bias_initializer"] = Chrono(steps)
    task = TASKS[int(random.integers(len(TASKS)))]

    def make(**outside):
        return layer_of(name, units, **arguments, **outside)

    optimizer = _optimizer(random, _maybe_clip(random))
    if state != "untrained":
        optimizer = keras.optimizers.Adam(0.01, global_clipnorm=_maybe_clip(random))
    model, x, y, how = _built(random, make, steps, task, optimizer)
    history = None
    if state != "untrained":
        epochs = 10 if state == "a little" else 75
        history = model.fit(x, y, epochs=epochs, batch_size=32, verbose=0)
    words = f"{name}, {state}, {task.__name__}, {steps} steps, {how}"
    words += ", chrono" if arguments else ""
    # With torch, Keras' loop over time is one in Python, and that is all that is wrong.
    loop = family == "keras" and keras.backend.backend() == "torch"
    return Patient(words, ("slow",) if loop else (), model, x, y, history)


KINDS = {
    "small radius": small_radius,
    "large inputs": large_inputs,
    "long sequences": long_sequences,
    "large radius": large_radius,
    "forgetful": forgetful,
    "dead rectifiers": dead_rectifiers,
    "high rate": high_rate,
    "low rate": low_rate,
    "overfitted": overfitted,
    "rare labels": rare_labels,
    "slow": slow,
    "healthy": healthy,
}
