"""Gated networks without a reset."""

import numpy as np

from oracles.common import blocks, oracle, relu, sigmoid
from oracles.layouts import Layout, register


@oracle
def ugrnn(x, weights, states):
    (h,) = states
    W = blocks(weights["kernel"], "g c")
    U = blocks(weights["recurrent_kernel"], "g c")
    b = blocks(weights.get("bias"), "g c")
    outputs = []
    for x_t in x.swapaxes(0, 1):
        g = sigmoid(x_t @ W.g + h @ U.g + b.g)
        h = g * h + (1 - g) * np.tanh(x_t @ W.c + h @ U.c + b.c)
        outputs.append(h)
    return np.stack(outputs, 1), [h]


def janet(beta=1.0):
    """What is written is gated by the forget gate's argument, less beta."""

    @oracle
    def run(x, weights, states):
        (c,) = states
        W = blocks(weights["kernel"], "f c")
        U = blocks(weights["recurrent_kernel"], "f c")
        b = blocks(weights.get("bias"), "f c")
        outputs = []
        for x_t in x.swapaxes(0, 1):
            s = x_t @ W.f + c @ U.f + b.f
            candidate = np.tanh(x_t @ W.c + c @ U.c + b.c)
            c = sigmoid(s) * c + (1 - sigmoid(s - beta)) * candidate
            outputs.append(c)
        return np.stack(outputs, 1), [c]

    return run


def li_gru(activation=relu):
    """A GRU without reset gate, with ReLU; batch normalization not included."""

    @oracle
    def run(x, weights, states):
        (h,) = states
        W = blocks(weights["kernel"], "z h")
        U = blocks(weights["recurrent_kernel"], "z h")
        b = blocks(weights.get("bias"), "z h")
        outputs = []
        for x_t in x.swapaxes(0, 1):
            z = sigmoid(x_t @ W.z + h @ U.z + b.z)
            h = z * h + (1 - z) * activation(x_t @ W.h + h @ U.h + b.h)
            outputs.append(h)
        return np.stack(outputs, 1), [h]

    return run


@oracle
def ran(x, weights, states):
    """Recurrent additive network: the content is linear in x, and has no bias."""
    h, c = states
    W = blocks(weights["kernel"], "i f c")
    U = blocks(weights["recurrent_kernel"], "i f")
    b = blocks(weights.get("bias"), "i f")
    outputs = []
    for x_t in x.swapaxes(0, 1):
        i = sigmoid(x_t @ W.i + h @ U.i + b.i)
        f = sigmoid(x_t @ W.f + h @ U.f + b.f)
        c = i * (x_t @ W.c) + f * c
        h = np.tanh(c)
        outputs.append(h)
    return np.stack(outputs, 1), [h, c]


@oracle
def cfn(x, weights, states):
    """Without inputs it decays: the state goes through tanh and a gate below 1."""
    (h,) = states
    W = blocks(weights["kernel"], "f i c")
    U = blocks(weights["recurrent_kernel"], "f i")
    b = blocks(weights.get("bias"), "f i")
    outputs = []
    for x_t in x.swapaxes(0, 1):
        theta = sigmoid(x_t @ W.f + h @ U.f + b.f)
        eta = sigmoid(x_t @ W.i + h @ U.i + b.i)
        h = theta * np.tanh(h) + eta * np.tanh(x_t @ W.c)
        outputs.append(h)
    return np.stack(outputs, 1), [h]


@oracle
def minimal_rnn(x, weights, states):
    (h,) = states
    W_z = weights["kernel"]
    U = blocks(weights["recurrent_kernel"], "f m")
    b = blocks(weights.get("bias"), "z f")
    outputs = []
    for x_t in x.swapaxes(0, 1):
        z = np.tanh(x_t @ W_z + b.z)
        u = sigmoid(h @ U.f + z @ U.m + b.f)
        h = u * h + (1 - u) * z
        outputs.append(h)
    return np.stack(outputs, 1), [h]


@oracle
def atr(x, weights, states):
    """Twin gates: the sum and the difference of the parts of input and state."""
    (h,) = states
    W, U, b = weights["kernel"], weights["recurrent_kernel"], weights.get("bias", 0)
    outputs = []
    for x_t in x.swapaxes(0, 1):
        p, q = x_t @ W + b, h @ U
        i, f = sigmoid(p + q), sigmoid(p - q)
        h = i * p + f * h
        outputs.append(h)
    return np.stack(outputs, 1), [h]


@oracle
def brc(x, weights, states):
    """Bistable: r in (0, 2) is how strongly a unit feeds itself."""
    (h,) = states
    W = blocks(weights["kernel"], "r z h")
    b = blocks(weights.get("bias"), "r z")
    w_r, w_z = weights["recurrent_r"], weights["recurrent_z"]
    outputs = []
    for x_t in x.swapaxes(0, 1):
        r = 1 + np.tanh(x_t @ W.r + w_r * h + b.r)
        z = sigmoid(x_t @ W.z + w_z * h + b.z)
        h = z * h + (1 - z) * np.tanh(x_t @ W.h + r * h)
        outputs.append(h)
    return np.stack(outputs, 1), [h]


@oracle
def nbrc(x, weights, states):
    """Neuromodulated: in r and z units see each other."""
    (h,) = states
    W = blocks(weights["kernel"], "r z h")
    U = blocks(weights["recurrent_kernel"], "r z")
    b = blocks(weights.get("bias"), "r z")
    outputs = []
    for x_t in x.swapaxes(0, 1):
        r = 1 + np.tanh(x_t @ W.r + h @ U.r + b.r)
        z = sigmoid(x_t @ W.z + h @ U.z + b.z)
        h = z * h + (1 - z) * np.tanh(x_t @ W.h + r * h)
        outputs.append(h)
    return np.stack(outputs, 1), [h]


@oracle
def star(x, weights, states):
    (h,) = states
    W = blocks(weights["kernel"], "k z")
    U = weights["recurrent_kernel"]
    b = blocks(weights.get("bias"), "k z")
    outputs = []
    for x_t in x.swapaxes(0, 1):
        k = sigmoid(x_t @ W.k + h @ U + b.k)
        z = np.tanh(x_t @ W.z + b.z)
        h = np.tanh((1 - k) * h + k * z)
        outputs.append(h)
    return np.stack(outputs, 1), [h]


def rhn(depth=2, coupled=True):
    """Recurrent highway: `depth` layers a step, of which the first sees the input."""

    @oracle
    def run(x, weights, states):
        (s,) = states
        kinds = "ht" if coupled else "htc"
        first = " ".join(f"{kind}1" for kind in kinds)
        every = " ".join(f"{k}{layer + 1}" for layer in range(depth) for k in kinds)
        W = vars(blocks(weights["kernel"], first))
        U = vars(blocks(weights["recurrent_kernel"], every))
        b = vars(blocks(weights.get("bias"), every))
        outputs = []
        for x_t in x.swapaxes(0, 1):
            for layer in range(1, depth + 1):
                a = {}
                for kind in kinds:
                    gate = f"{kind}{layer}"
                    a[kind] = s @ U[gate] + b[gate]
                    if layer == 1:
                        a[kind] = a[kind] + x_t @ W[gate]
                h, t = np.tanh(a["h"]), sigmoid(a["t"])
                c = 1 - t if coupled else sigmoid(a["c"])
                s = h * t + s * c
            outputs.append(s)
        return np.stack(outputs, 1), [s]

    return run


@oracle
def nas(x, weights, states):
    """The cell that architecture search found; `u` of the inputs, `v` of the state."""
    h, c = states
    gates = "g1 g2 g3 g4 g5 g6 g7 g8"
    W = blocks(weights["kernel"], gates)
    U = blocks(weights["recurrent_kernel"], gates)
    b = blocks(weights.get("bias"), gates)
    outputs = []
    for x_t in x.swapaxes(0, 1):
        u1, u2, u3, u4 = x_t @ W.g1, x_t @ W.g2, x_t @ W.g3, x_t @ W.g4
        u5, u6, u7, u8 = x_t @ W.g5, x_t @ W.g6, x_t @ W.g7, x_t @ W.g8
        v1, v2, v3, v4 = (h @ U.g1, h @ U.g2, h @ U.g3, h @ U.g4)
        v5, v6, v7, v8 = (h @ U.g5, h @ U.g6, h @ U.g7, h @ U.g8)
        l1 = np.tanh(sigmoid(u1 + v1 + b.g1) * relu(u2 + v2 + b.g2))
        l2 = np.tanh(sigmoid(u3 + v3 + b.g3) + relu(u4 * (v4 + b.g4)))
        l3 = np.tanh(np.tanh(u5 + v5 + b.g5) * sigmoid(u6 + v6 + b.g6))
        l4 = sigmoid(np.tanh(u7 + v7 + b.g7) + sigmoid(u8 + v8 + b.g8))
        c = np.tanh(l1 + c) * l2
        h = np.tanh(c * np.tanh(l3 + l4))
        outputs.append(h)
    return np.stack(outputs, 1), [h, c]


@oracle
def light_ru(x, weights, states):
    """The candidate has neither a recurrent product nor a bias."""
    (h,) = states
    W = blocks(weights["kernel"], "f c")
    outputs = []
    for x_t in x.swapaxes(0, 1):
        f = sigmoid(
            x_t @ W.f + h @ weights["recurrent_kernel"] + weights.get("bias", 0)
        )
        h = (1 - f) * h + f * np.tanh(x_t @ W.c)
        outputs.append(h)
    return np.stack(outputs, 1), [h]


# By the names of the cells, with their default options.
register("atr", atr, Layout("h", "h", "h"))
register(
    "brc",
    brc,
    Layout("r z h", None, "r z", ("recurrent_r", "recurrent_z")),
    keeps={"z": 1},
)
register("cfn", cfn, Layout("f i c", "f i", "f i"), keeps={"i": -1, "f": 1})
register("janet", janet(), Layout("f c", "f c", "f c"), keeps={"f": 1})
register("li_gru", li_gru(), Layout("z h", "z h", "z h"), keeps={"z": 1})
register("light_ru", light_ru, Layout("f c", "f", "f"), kernel="gru", keeps={"f": -1})
register(
    "minimal_rnn", minimal_rnn, Layout("z", "f m", "z f"), kernel="gru", keeps={"f": 1}
)
register("nas", nas, Layout(*["g1 g2 g3 g4 g5 g6 g7 g8"] * 3, states=2))
register("nbrc", nbrc, Layout("r z h", "r z", "r z"), keeps={"z": 1})
register("ran", ran, Layout("i f c", "i f", "i f", states=2), keeps={"i": -1, "f": 1})
register(
    "rhn",
    rhn(),
    Layout("h1 t1", "h1 t1 h2 t2", "h1 t1 h2 t2"),
    keeps={"t1": -1, "t2": -1},
)
register("star", star, Layout("k z", "k", "k z"), keeps={"k": -1})
register("ugrnn", ugrnn, Layout("g c", "g c", "g c"), kernel="gru", keeps={"g": 1})
