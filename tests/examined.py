"""Models that are measured by hand, for tests of `keras_rnnx.diagnose`."""

import keras
import numpy as np

from keras_rnnx.diagnosis._recording import Recorder, as_arrays


def randomize(model, seed=0, scale=0.6):
    """Weights that are all different."""
    random = np.random.default_rng(seed)
    model.set_weights(
        [scale * random.normal(size=w.shape) for w in model.get_weights()]
    )


def data(samples=5, steps=6, features=3, outputs=2, seed=1):
    """Inputs, and targets of the whole sequence."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(samples, steps, features)).astype("float32")
    return x, random.normal(size=(samples, outputs)).astype("float32")


def rnns(model):
    """The recurrent layers of a model."""
    from keras_rnnx._sublayers import walk

    return [m for _, m in walk(model) if isinstance(m, keras.layers.RNN)]


def recorded(model, x):
    """A recorder, and the calls of the recurrent layers as arrays."""
    recorder = Recorder(model, rnns(model))
    outputs, calls = recorder.run(x)
    return recorder, outputs, [as_arrays(call) for call in calls]


def sigmoid(a):
    """The logistic function."""
    return 1 / (1 + np.exp(-a))


def simple_states(x, kernel, recurrent, bias):
    """States of a tanh network, `(time, batch, units)`."""
    h, found = np.zeros((len(x), len(recurrent))), []
    for t in range(x.shape[1]):
        h = np.tanh(x[:, t] @ kernel + h @ recurrent + bias)
        found.append(h)
    return np.stack(found)


def simple_gradients(states, recurrent, direct):
    """Gradients for these states of a loss with the gradients `direct` for each."""
    later, found = np.zeros_like(direct[0]), []
    for h, own in zip(states[::-1], direct[::-1]):
        g = own + later
        found.append(g)
        later = (g * (1 - h**2)) @ recurrent.T
    return np.stack(found[::-1])


def lstm_steps(x, kernel, recurrent, bias):
    """Outputs, cell states and gates of an LSTM, a dict for each step."""
    units = len(recurrent)
    h = c = np.zeros((len(x), units))
    found = []
    for t in range(x.shape[1]):
        a = np.split(x[:, t] @ kernel + h @ recurrent + bias, 4, axis=1)
        i, f, o = sigmoid(a[0]), sigmoid(a[1]), sigmoid(a[3])
        g = np.tanh(a[2])
        before, c = c, f * c + i * g
        h = o * np.tanh(c)
        found.append({"i": i, "f": f, "g": g, "o": o, "c": c, "before": before, "h": h})
    return found


def lstm_gradients(steps, recurrent, last):
    """Gradients for outputs and cell states of a loss with the gradient `last` for the
    last output, each `(time, batch, units)`."""
    h, c, found = last, np.zeros_like(last), []
    for s in steps[::-1]:
        found.append((h, c))
        squashed = np.tanh(s["c"])
        total = c + h * s["o"] * (1 - squashed**2)
        parts = [
            total * s["g"] * s["i"] * (1 - s["i"]),
            total * s["before"] * s["f"] * (1 - s["f"]),
            total * s["i"] * (1 - s["g"] ** 2),
            h * squashed * s["o"] * (1 - s["o"]),
        ]
        h, c = np.concatenate(parts, axis=1) @ recurrent.T, total * s["f"]
    return [np.stack(each) for each in zip(*found[::-1])]


def mean_norms(*gradients):
    """Means over the batch of norms, by lag, of gradients `(time, batch, units)`."""
    squares = sum(np.square(g).sum(axis=-1) for g in gradients)
    return np.sqrt(squares).mean(axis=1)[::-1]
