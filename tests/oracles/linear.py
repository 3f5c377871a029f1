"""Networks whose gates see the inputs alone: linear in the state, but for SRU's
peepholes. Windows start with zeros, or with a last state that holds the inputs before
the first step, `(batch, window - 1, features)`, older first."""

import numpy as np

from oracles.common import blocks, oracle, sigmoid
from oracles.layouts import Layout, register


def windows(x, states, n, window):
    """Steps of the last `window` inputs side by side, the first `n` states, and the
    inputs that the next sequence starts with, where this one was given some."""
    batch, _, features = x.shape
    before = np.zeros((batch, window - 1, features))
    if len(states) > n:
        before = states[n].reshape(before.shape)
    whole = np.concatenate([before, x], axis=1)
    steps = [whole[:, t : t + window].reshape(batch, -1) for t in range(x.shape[1])]
    after = whole[:, x.shape[1] :]
    return steps, states[:n], [after.reshape(s.shape) for s in states[n:]]


def sru(alpha=1.0):
    """Simple recurrent unit; the highway is projected, in the block s."""

    @oracle
    def run(x, weights, states):
        h, c = states
        W = blocks(weights["kernel"], "c f r s")
        b = blocks(weights.get("bias"), "f r")
        v_f, v_r = weights["peephole_f"], weights["peephole_r"]
        outputs = []
        for x_t in x.swapaxes(0, 1):
            f = sigmoid(x_t @ W.f + v_f * c + b.f)
            r = sigmoid(x_t @ W.r + v_r * c + b.r)
            c = f * c + (1 - f) * (x_t @ W.c)
            h = r * c + (1 - r) * alpha * (x_t @ W.s)
            outputs.append(h)
        return np.stack(outputs, 1), [h, c]

    return run


def qrnn(window=2):
    """Quasi-recurrent, with fo-pooling."""

    @oracle
    def run(x, weights, states):
        W = blocks(weights["kernel"], "z f o")
        b = blocks(weights.get("bias"), "z f o")
        steps, (h, c), after = windows(x, states, 2, window)
        outputs = []
        for x_t in steps:
            z = np.tanh(x_t @ W.z + b.z)
            f = sigmoid(x_t @ W.f + b.f)
            o = sigmoid(x_t @ W.o + b.o)
            c = f * c + (1 - f) * z
            h = o * c
            outputs.append(h)
        return np.stack(outputs, 1), [h, c, *after]

    return run


@oracle
def trnn(x, weights, states):
    (h,) = states
    W = blocks(weights["kernel"], "z f")
    b_f = weights.get("bias", 0)
    outputs = []
    for x_t in x.swapaxes(0, 1):
        f = sigmoid(x_t @ W.f + b_f)
        h = f * h + (1 - f) * (x_t @ W.z)
        outputs.append(h)
    return np.stack(outputs, 1), [h]


@oracle
def tgru(x, weights, states):
    W = blocks(weights["kernel"], "z f o")
    b = blocks(weights.get("bias"), "z f o")
    steps, (h,), after = windows(x, states, 1, 2)
    outputs = []
    for x_t in steps:
        z = x_t @ W.z + b.z
        f = sigmoid(x_t @ W.f + b.f)
        o = np.tanh(x_t @ W.o + b.o)
        h = f * h + z * o
        outputs.append(h)
    return np.stack(outputs, 1), [h, *after]


@oracle
def tlstm(x, weights, states):
    W = blocks(weights["kernel"], "z f o")
    b = blocks(weights.get("bias"), "z f o")
    steps, (h, c), after = windows(x, states, 2, 2)
    outputs = []
    for x_t in steps:
        z = x_t @ W.z + b.z
        f = sigmoid(x_t @ W.f + b.f)
        o = np.tanh(x_t @ W.o + b.o)
        c = f * c + (1 - f) * z
        h = c * o
        outputs.append(h)
    return np.stack(outputs, 1), [h, c, *after]


def positive(a):
    """The function g of minGRU and minLSTM."""
    return np.where(a >= 0, a + 0.5, sigmoid(a))


@oracle
def min_gru(x, weights, states):
    (h,) = states
    W = blocks(weights["kernel"], "z h")
    b = blocks(weights.get("bias"), "z h")
    outputs = []
    for x_t in x.swapaxes(0, 1):
        z = sigmoid(x_t @ W.z + b.z)
        h = (1 - z) * h + z * positive(x_t @ W.h + b.h)
        outputs.append(h)
    return np.stack(outputs, 1), [h]


@oracle
def min_lstm(x, weights, states):
    (h,) = states
    W = blocks(weights["kernel"], "f i h")
    b = blocks(weights.get("bias"), "f i h")
    outputs = []
    for x_t in x.swapaxes(0, 1):
        f = sigmoid(x_t @ W.f + b.f)
        i = sigmoid(x_t @ W.i + b.i)
        h = f / (f + i) * h + i / (f + i) * positive(x_t @ W.h + b.h)
        outputs.append(h)
    return np.stack(outputs, 1), [h]


@oracle
def lru(x, weights, states):
    """Linear recurrent unit: a complex diagonal recurrence, read out as a real vector.

    The paper learns the normalization gamma, starting from sqrt(1 - |lambda|^2). Here
    it is that, unless there is a weight `gamma_log`.
    """
    h, re, im = states
    W = blocks(weights["kernel"], "re im d")
    C = blocks(weights["recurrent_kernel"], "re im")
    b_d = weights.get("bias", 0)
    eigenvalue = np.exp(-np.exp(weights["nu"]) + 1j * np.exp(weights["theta"]))
    gamma = np.sqrt(1 - np.abs(eigenvalue) ** 2)
    if "gamma_log" in weights:
        gamma = np.exp(weights["gamma_log"])
    s = re + 1j * im
    outputs = []
    for x_t in x.swapaxes(0, 1):
        s = eigenvalue * s + gamma * (x_t @ (W.re + 1j * W.im))
        h = (s @ (C.re + 1j * C.im)).real + x_t @ W.d + b_d
        outputs.append(h)
    return np.stack(outputs, 1), [h, s.real, s.imag]


# By the names of the cells, with their default options.
register("lru", lru, Layout("re im d", "c_re c_im", "d", ("nu", "theta"), states=3))
register("min_gru", min_gru, Layout("z h", None, "z h"), keeps={"z": -1})
register("min_lstm", min_lstm, Layout("f i h", None, "f i h"), keeps={"i": -1, "f": 1})
register(
    "qrnn", qrnn(), Layout("z f o", None, "z f o", states=2, window=2), keeps={"f": 1}
)
register(
    "sru",
    sru(),
    Layout("c f r s", None, "f r", ("peephole_f", "peephole_r"), states=2),
    keeps={"f": 1},
)
register("tgru", tgru, Layout("z f o", None, "z f o", window=2), keeps={"f": 1})
register(
    "tlstm", tlstm, Layout("z f o", None, "z f o", states=2, window=2), keeps={"f": 1}
)
register("trnn", trnn, Layout("z f", None, "f"), keeps={"f": 1})
