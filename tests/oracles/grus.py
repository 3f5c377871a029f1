"""The GRU and those of its relatives that reset: MGU and the three mutants."""

import numpy as np

from oracles.common import blocks, oracle, sigmoid
from oracles.layouts import Layout, register


@oracle
def gru_v1(x, weights, states):
    """Reset after the product; a bias for each part."""
    (h,) = states
    W = blocks(weights["kernel"], "z r h")
    U = blocks(weights["recurrent_kernel"], "z r h")
    bias = weights.get("bias")
    b = blocks(None if bias is None else bias[0], "z r h")
    d = blocks(None if bias is None else bias[1], "z r h")
    outputs = []
    for x_t in x.swapaxes(0, 1):
        z = sigmoid(x_t @ W.z + b.z + h @ U.z + d.z)
        r = sigmoid(x_t @ W.r + b.r + h @ U.r + d.r)
        candidate = np.tanh(x_t @ W.h + b.h + r * (h @ U.h + d.h))
        h = z * h + (1 - z) * candidate
        outputs.append(h)
    return np.stack(outputs, 1), [h]


@oracle
def gru_v3(x, weights, states):
    """Reset before the product."""
    (h,) = states
    W = blocks(weights["kernel"], "z r h")
    U = blocks(weights["recurrent_kernel"], "z r h")
    b = blocks(weights.get("bias"), "z r h")
    outputs = []
    for x_t in x.swapaxes(0, 1):
        z = sigmoid(x_t @ W.z + h @ U.z + b.z)
        r = sigmoid(x_t @ W.r + h @ U.r + b.r)
        h = z * h + (1 - z) * np.tanh(x_t @ W.h + (r * h) @ U.h + b.h)
        outputs.append(h)
    return np.stack(outputs, 1), [h]


@oracle
def mgu(x, weights, states):
    """The one gate acts before the product, as in the paper."""
    (h,) = states
    W = blocks(weights["kernel"], "f h")
    U = blocks(weights["recurrent_kernel"], "f h")
    b = blocks(weights.get("bias"), "f h")
    outputs = []
    for x_t in x.swapaxes(0, 1):
        f = sigmoid(x_t @ W.f + h @ U.f + b.f)
        h = (1 - f) * h + f * np.tanh(x_t @ W.h + (f * h) @ U.h + b.h)
        outputs.append(h)
    return np.stack(outputs, 1), [h]


@oracle
def mgu_reset_after(x, weights, states):
    """The one gate acts after the product, and not on the bias."""
    (h,) = states
    W = blocks(weights["kernel"], "f h")
    U = blocks(weights["recurrent_kernel"], "f h")
    b = blocks(weights.get("bias"), "f h")
    outputs = []
    for x_t in x.swapaxes(0, 1):
        f = sigmoid(x_t @ W.f + h @ U.f + b.f)
        h = (1 - f) * h + f * np.tanh(x_t @ W.h + f * (h @ U.h) + b.h)
        outputs.append(h)
    return np.stack(outputs, 1), [h]


@oracle
def mgu2(x, weights, states):
    """The gate sees the state alone, without a bias."""
    (h,) = states
    W, b = weights["kernel"], weights.get("bias", 0)
    U = blocks(weights["recurrent_kernel"], "f h")
    outputs = []
    for x_t in x.swapaxes(0, 1):
        f = sigmoid(h @ U.f)
        h = (1 - f) * h + f * np.tanh(x_t @ W + (f * h) @ U.h + b)
        outputs.append(h)
    return np.stack(outputs, 1), [h]


@oracle
def mut1(x, weights, states):
    """The paper adds tanh(x), which needs as many features as units; here x is
    projected first, in the block i."""
    (h,) = states
    W = blocks(weights["kernel"], "z r i")
    U = blocks(weights["recurrent_kernel"], "r h")
    b = blocks(weights.get("bias"), "z r h")
    outputs = []
    for x_t in x.swapaxes(0, 1):
        z = sigmoid(x_t @ W.z + b.z)
        r = sigmoid(x_t @ W.r + h @ U.r + b.r)
        candidate = np.tanh((r * h) @ U.h + np.tanh(x_t @ W.i) + b.h)
        h = candidate * z + h * (1 - z)
        outputs.append(h)
    return np.stack(outputs, 1), [h]


@oracle
def mut2(x, weights, states):
    """The paper adds x itself in the gate r; here it is projected."""
    (h,) = states
    W = blocks(weights["kernel"], "z r h")
    U = blocks(weights["recurrent_kernel"], "z r h")
    b = blocks(weights.get("bias"), "z r h")
    outputs = []
    for x_t in x.swapaxes(0, 1):
        z = sigmoid(x_t @ W.z + h @ U.z + b.z)
        r = sigmoid(x_t @ W.r + h @ U.r + b.r)
        candidate = np.tanh((r * h) @ U.h + x_t @ W.h + b.h)
        h = candidate * z + h * (1 - z)
        outputs.append(h)
    return np.stack(outputs, 1), [h]


@oracle
def mut3(x, weights, states):
    (h,) = states
    W = blocks(weights["kernel"], "z r h")
    U = blocks(weights["recurrent_kernel"], "z r h")
    b = blocks(weights.get("bias"), "z r h")
    outputs = []
    for x_t in x.swapaxes(0, 1):
        z = sigmoid(x_t @ W.z + np.tanh(h) @ U.z + b.z)
        r = sigmoid(x_t @ W.r + h @ U.r + b.r)
        candidate = np.tanh((r * h) @ U.h + x_t @ W.h + b.h)
        h = candidate * z + h * (1 - z)
        outputs.append(h)
    return np.stack(outputs, 1), [h]


# By the names of the cells, with their default options.
register("gru", gru_v1, Layout("z r h", "z r h", "z r h"), kernel="gru", keeps={"z": 1})
register("mgu", mgu, Layout("f h", "f h", "f h"), keeps={"f": -1})
register("mgu2", mgu2, Layout("h", "f h", "h"))
register("mut1", mut1, Layout("z r i", "r h", "z r h"), keeps={"z": -1})
register("mut2", mut2, Layout("z r h", "z r h", "z r h"), keeps={"z": -1})
register("mut3", mut3, Layout("z r h", "z r h", "z r h"), keeps={"z": -1})
