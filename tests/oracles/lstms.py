"""The LSTM and its relatives with a cell state."""

import numpy as np

from oracles.common import blocks, oracle, sigmoid
from oracles.layouts import Layout, register


@oracle
def lstm(x, weights, states):
    h, c = states
    W = blocks(weights["kernel"], "i f c o")
    U = blocks(weights["recurrent_kernel"], "i f c o")
    b = blocks(weights.get("bias"), "i f c o")
    outputs = []
    for x_t in x.swapaxes(0, 1):
        i = sigmoid(x_t @ W.i + h @ U.i + b.i)
        f = sigmoid(x_t @ W.f + h @ U.f + b.f)
        g = np.tanh(x_t @ W.c + h @ U.c + b.c)
        o = sigmoid(x_t @ W.o + h @ U.o + b.o)
        c = f * c + i * g
        h = o * np.tanh(c)
        outputs.append(h)
    return np.stack(outputs, 1), [h, c]


@oracle
def cifg(x, weights, states):
    """An LSTM in which i = 1 - f."""
    h, c = states
    W = blocks(weights["kernel"], "f c o")
    U = blocks(weights["recurrent_kernel"], "f c o")
    b = blocks(weights.get("bias"), "f c o")
    outputs = []
    for x_t in x.swapaxes(0, 1):
        f = sigmoid(x_t @ W.f + h @ U.f + b.f)
        g = np.tanh(x_t @ W.c + h @ U.c + b.c)
        o = sigmoid(x_t @ W.o + h @ U.o + b.o)
        c = f * c + (1 - f) * g
        h = o * np.tanh(c)
        outputs.append(h)
    return np.stack(outputs, 1), [h, c]


@oracle
def peephole_lstm(x, weights, states):
    """The gates see the cell: i and f as it was, o as it has become."""
    h, c = states
    W = blocks(weights["kernel"], "i f c o")
    U = blocks(weights["recurrent_kernel"], "i f c o")
    b = blocks(weights.get("bias"), "i f c o")
    p_i, p_f, p_o = (weights[f"peephole_{gate}"] for gate in "ifo")
    outputs = []
    for x_t in x.swapaxes(0, 1):
        i = sigmoid(x_t @ W.i + h @ U.i + p_i * c + b.i)
        f = sigmoid(x_t @ W.f + h @ U.f + p_f * c + b.f)
        c = f * c + i * np.tanh(x_t @ W.c + h @ U.c + b.c)
        o = sigmoid(x_t @ W.o + h @ U.o + p_o * c + b.o)
        h = o * np.tanh(c)
        outputs.append(h)
    return np.stack(outputs, 1), [h, c]


@oracle
def lstmp(x, weights, states):
    """What is fed back and put out is a projection of o tanh(c)."""
    r, c = states
    W = blocks(weights["kernel"], "i f c o")
    U = blocks(weights["recurrent_kernel"], "i f c o")
    b = blocks(weights.get("bias"), "i f c o")
    P = weights["projection_kernel"]
    outputs = []
    for x_t in x.swapaxes(0, 1):
        i = sigmoid(x_t @ W.i + r @ U.i + b.i)
        f = sigmoid(x_t @ W.f + r @ U.f + b.f)
        c = f * c + i * np.tanh(x_t @ W.c + r @ U.c + b.c)
        m = sigmoid(x_t @ W.o + r @ U.o + b.o) * np.tanh(c)
        r = m @ P
        outputs.append(r)
    return np.stack(outputs, 1), [r, c]


@oracle
def multiplicative_lstm(x, weights, states):
    """An LSTM with m = (W_m x)(U_m h) in the place of h."""
    h, c = states
    W = blocks(weights["kernel"], "m i f c o")
    U = blocks(weights["recurrent_kernel"], "m i f c o")
    b = blocks(weights.get("bias"), "i f c o")
    outputs = []
    for x_t in x.swapaxes(0, 1):
        m = (x_t @ W.m) * (h @ U.m)
        i = sigmoid(x_t @ W.i + m @ U.i + b.i)
        f = sigmoid(x_t @ W.f + m @ U.f + b.f)
        c = f * c + i * np.tanh(x_t @ W.c + m @ U.c + b.c)
        h = sigmoid(x_t @ W.o + m @ U.o + b.o) * np.tanh(c)
        outputs.append(h)
    return np.stack(outputs, 1), [h, c]


@oracle
def slstm(x, weights, states):
    """Exponential input gate, kept in range by m; no floor under the normalizer n."""
    h, c, n, m = states
    W = blocks(weights["kernel"], "i f z o")
    U = blocks(weights["recurrent_kernel"], "i f z o")
    b = blocks(weights.get("bias"), "i f z o")
    outputs = []
    for x_t in x.swapaxes(0, 1):
        log_i = x_t @ W.i + h @ U.i + b.i
        log_f = -np.logaddexp(0, -(x_t @ W.f + h @ U.f + b.f))  # of sigmoid
        z = np.tanh(x_t @ W.z + h @ U.z + b.z)
        o = sigmoid(x_t @ W.o + h @ U.o + b.o)
        m_t = np.maximum(log_f + m, log_i)
        i = np.exp(log_i - m_t)
        f = np.exp(log_f + m - m_t)
        c = f * c + i * z
        n = f * n + i
        m = m_t
        h = o * c / n
        outputs.append(h)
    return np.stack(outputs, 1), [h, c, n, m]


# By the names of the cells, with their default options.
register(
    "cifg",
    cifg,
    Layout("f c o", "f c o", "f c o", states=2),
    kernel="lstm",
    keeps={"f": 1},
)
register(
    "lstm",
    lstm,
    Layout("i f c o", "i f c o", "i f c o", states=2),
    kernel="lstm",
    keeps={"i": -1, "f": 1},
)
register(
    "lstmp",
    lstmp,
    Layout("i f c o", "i f c o", "i f c o", states=2),
    kernel="lstmp",
    keeps={"i": -1, "f": 1},
)
register(
    "multiplicative_lstm",
    multiplicative_lstm,
    Layout("m i f c o", "m i f c o", "i f c o", states=2),
    keeps={"i": -1, "f": 1},
)
register(
    "peephole_lstm",
    peephole_lstm,
    Layout(*["i f c o"] * 3, ("peephole_i", "peephole_f", "peephole_o"), states=2),
    keeps={"i": -1, "f": 1},
)
register(
    "slstm",
    slstm,
    Layout("i f z o", "i f z o", "i f z o", states=4),
    keeps={"i": -1, "f": 1},
)
