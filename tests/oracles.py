"""The cells once more, in NumPy, written from their papers and not from our code.

Each oracle is a function of one sequence batch `(batch, time, features)`, the weights
by name and the initial states; it returns the outputs and the last states. Column
blocks stand in the order Keras documents, LSTM i, f, c, o and GRU z, r, h, and where
Keras has no such cell in that of its docstring: CIFG f, c, o; UGRNN g, c; JANET f, c;
MGU f, h.
"""

import numpy as np


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def relu(a):
    return np.maximum(a, 0)


def leaky_relu(a):
    return np.where(a > 0, a, 0.2 * a)


def columns(weights, n):
    """Every weight matrix cut into its n blocks."""
    return {
        name: np.split(value, n, axis=-1)
        for name, value in weights.items()
        if name in ("kernel", "recurrent_kernel", "bias")
    }


def lstm(x, weights, states):
    h, c = states
    w = columns(weights, 4)

    def gate(k, x_t, h):
        return x_t @ w["kernel"][k] + h @ w["recurrent_kernel"][k] + w["bias"][k]

    outputs = []
    for t in range(x.shape[1]):
        x_t = x[:, t]
        i, f = sigmoid(gate(0, x_t, h)), sigmoid(gate(1, x_t, h))
        candidate, o = np.tanh(gate(2, x_t, h)), sigmoid(gate(3, x_t, h))
        c = f * c + i * candidate
        h = o * np.tanh(c)
        outputs.append(h)
    return np.stack(outputs, 1), [h, c]


def gru_v1(x, weights, states):
    """Reset after the product; a bias for each part."""
    (h,) = states
    w = columns(weights, 3)
    outputs = []
    for t in range(x.shape[1]):
        xs = [x[:, t] @ w["kernel"][k] + w["bias"][k][0] for k in range(3)]
        us = [h @ w["recurrent_kernel"][k] + w["bias"][k][1] for k in range(3)]
        z, r = sigmoid(xs[0] + us[0]), sigmoid(xs[1] + us[1])
        h = z * h + (1 - z) * np.tanh(xs[2] + r * us[2])
        outputs.append(h)
    return np.stack(outputs, 1), [h]


def gru_v3(x, weights, states):
    """Reset before the product."""
    (h,) = states
    w = columns(weights, 3)
    outputs = []
    for t in range(x.shape[1]):
        xs = [x[:, t] @ w["kernel"][k] + w["bias"][k] for k in range(3)]
        z = sigmoid(xs[0] + h @ w["recurrent_kernel"][0])
        r = sigmoid(xs[1] + h @ w["recurrent_kernel"][1])
        h = z * h + (1 - z) * np.tanh(xs[2] + (r * h) @ w["recurrent_kernel"][2])
        outputs.append(h)
    return np.stack(outputs, 1), [h]


def leaky(leak=None, activation=np.tanh):
    """A leaky integrator; without `leak` its logit is a weight."""

    def run(x, weights, states):
        (h,) = states
        alpha = sigmoid(weights["leak_logit"]) if leak is None else np.asarray(leak)
        outputs = []
        for t in range(x.shape[1]):
            a = x[:, t] @ weights["kernel"] + h @ weights["recurrent_kernel"]
            h = (1 - alpha) * h + alpha * activation(a + weights["bias"])
            outputs.append(h)
        return np.stack(outputs, 1), [h]

    return run


def simple(activation=np.tanh):
    """Elman's network; with ReLU and their own initial weights IRNN and np-RNN."""

    def run(x, weights, states):
        (h,) = states
        outputs = []
        for t in range(x.shape[1]):
            a = x[:, t] @ weights["kernel"] + h @ weights["recurrent_kernel"]
            h = activation(a + weights["bias"])
            outputs.append(h)
        return np.stack(outputs, 1), [h]

    return run


def fast(activation=np.tanh):
    """FastRNN: two numbers for all units, each from its logit."""

    def run(x, weights, states):
        (h,) = states
        alpha, beta = sigmoid(weights["alpha"]), sigmoid(weights["beta"])
        outputs = []
        for t in range(x.shape[1]):
            a = x[:, t] @ weights["kernel"] + h @ weights["recurrent_kernel"]
            h = alpha * activation(a + weights["bias"]) + beta * h
            outputs.append(h)
        return np.stack(outputs, 1), [h]

    return run


def cifg(x, weights, states):
    """An LSTM in which i = 1 - f."""
    h, c = states
    w = columns(weights, 3)
    outputs = []
    for t in range(x.shape[1]):
        f, new, o = [
            x[:, t] @ w["kernel"][k] + h @ w["recurrent_kernel"][k] + w["bias"][k]
            for k in range(3)
        ]
        f, o = sigmoid(f), sigmoid(o)
        c = f * c + (1 - f) * np.tanh(new)
        h = o * np.tanh(c)
        outputs.append(h)
    return np.stack(outputs, 1), [h, c]


def ugrnn(x, weights, states):
    (h,) = states
    w = columns(weights, 2)
    outputs = []
    for t in range(x.shape[1]):
        g, new = [
            x[:, t] @ w["kernel"][k] + h @ w["recurrent_kernel"][k] + w["bias"][k]
            for k in range(2)
        ]
        g = sigmoid(g)
        h = g * h + (1 - g) * np.tanh(new)
        outputs.append(h)
    return np.stack(outputs, 1), [h]


def janet(beta):
    """What is written is gated by the forget gate's argument, less beta."""

    def run(x, weights, states):
        (c,) = states
        w = columns(weights, 2)
        outputs = []
        for t in range(x.shape[1]):
            s, new = [
                x[:, t] @ w["kernel"][k] + c @ w["recurrent_kernel"][k] + w["bias"][k]
                for k in range(2)
            ]
            c = sigmoid(s) * c + (1 - sigmoid(s - beta)) * np.tanh(new)
            outputs.append(c)
        return np.stack(outputs, 1), [c]

    return run


def mgu(x, weights, states):
    """The one gate acts before the product, as in the paper."""
    (h,) = states
    w = columns(weights, 2)
    (w_f, w_h), (u_f, u_h), (b_f, b_h) = (
        w[name] for name in ("kernel", "recurrent_kernel", "bias")
    )
    outputs = []
    for t in range(x.shape[1]):
        f = sigmoid(x[:, t] @ w_f + h @ u_f + b_f)
        h = (1 - f) * h + f * np.tanh(x[:, t] @ w_h + (f * h) @ u_h + b_h)
        outputs.append(h)
    return np.stack(outputs, 1), [h]


def mgu_reset_after(x, weights, states):
    """The one gate acts after the product, and not on the bias."""
    (h,) = states
    w = columns(weights, 2)
    (w_f, w_h), (u_f, u_h), (b_f, b_h) = (
        w[name] for name in ("kernel", "recurrent_kernel", "bias")
    )
    outputs = []
    for t in range(x.shape[1]):
        f = sigmoid(x[:, t] @ w_f + h @ u_f + b_f)
        h = (1 - f) * h + f * np.tanh(x[:, t] @ w_h + f * (h @ u_h) + b_h)
        outputs.append(h)
    return np.stack(outputs, 1), [h]
