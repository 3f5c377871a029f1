"""Networks with one product of the state and no gate, or one that is a number."""

import numpy as np

from oracles.common import blocks, leaky_relu, oracle, relu, sigmoid
from oracles.layouts import Layout, register


def simple(activation=np.tanh):
    """Elman's network; with ReLU and their own initial weights IRNN and np-RNN."""

    @oracle
    def run(x, weights, states):
        (h,) = states
        W, U, b = weights["kernel"], weights["recurrent_kernel"], weights.get("bias", 0)
        outputs = []
        for x_t in x.swapaxes(0, 1):
            h = activation(x_t @ W + h @ U + b)
            outputs.append(h)
        return np.stack(outputs, 1), [h]

    return run


def leaky(leak=None, activation=np.tanh):
    """A leaky integrator; without `leak` its logit is a weight."""

    @oracle
    def run(x, weights, states):
        (h,) = states
        W, U, b = weights["kernel"], weights["recurrent_kernel"], weights.get("bias", 0)
        alpha = sigmoid(weights["leak_logit"]) if leak is None else np.asarray(leak)
        outputs = []
        for x_t in x.swapaxes(0, 1):
            h = (1 - alpha) * h + alpha * activation(x_t @ W + h @ U + b)
            outputs.append(h)
        return np.stack(outputs, 1), [h]

    return run


def fast(activation=np.tanh):
    """FastRNN: two numbers for all units, each from its logit."""

    @oracle
    def run(x, weights, states):
        (h,) = states
        W, U, b = weights["kernel"], weights["recurrent_kernel"], weights.get("bias", 0)
        alpha, beta = sigmoid(weights["alpha"]), sigmoid(weights["beta"])
        outputs = []
        for x_t in x.swapaxes(0, 1):
            h = alpha * activation(x_t @ W + h @ U + b) + beta * h
            outputs.append(h)
        return np.stack(outputs, 1), [h]

    return run


def fast_grnn(activation=np.tanh, recurrent_activation=sigmoid):
    """FastGRNN: gate and candidate share both matrices; two numbers from logits."""

    @oracle
    def run(x, weights, states):
        (h,) = states
        W, U = weights["kernel"], weights["recurrent_kernel"]
        b_z, b_h = weights["bias_gate"], weights["bias_update"]
        zeta, nu = sigmoid(weights["zeta"]), sigmoid(weights["nu"])
        outputs = []
        for x_t in x.swapaxes(0, 1):
            z = recurrent_activation(x_t @ W + h @ U + b_z)
            candidate = activation(x_t @ W + h @ U + b_h)
            h = (zeta * (1 - z) + nu) * candidate + z * h
            outputs.append(h)
        return np.stack(outputs, 1), [h]

    return run


def ind_rnn(activation=relu):
    """Every unit sees itself alone: a vector instead of the matrix."""

    @oracle
    def run(x, weights, states):
        (h,) = states
        W, u, b = weights["kernel"], weights["recurrent_kernel"], weights.get("bias", 0)
        outputs = []
        for x_t in x.swapaxes(0, 1):
            h = activation(x_t @ W + u * h + b)
            outputs.append(h)
        return np.stack(outputs, 1), [h]

    return run


def antisymmetric(epsilon=0.01, gamma=0.01):
    @oracle
    def run(x, weights, states):
        (h,) = states
        V, M, b = weights["kernel"], weights["recurrent_kernel"], weights.get("bias", 0)
        A = M - M.T - gamma * np.eye(len(M))
        outputs = []
        for x_t in x.swapaxes(0, 1):
            h = h + epsilon * np.tanh(h @ A + x_t @ V + b)
            outputs.append(h)
        return np.stack(outputs, 1), [h]

    return run


def gated_antisymmetric(epsilon=0.01, gamma=0.01):
    """Gate and candidate share the matrix, and have inputs and biases of their own."""

    @oracle
    def run(x, weights, states):
        (h,) = states
        V = blocks(weights["kernel"], "h z")
        b = blocks(weights.get("bias"), "h z")
        M = weights["recurrent_kernel"]
        A = M - M.T - gamma * np.eye(len(M))
        outputs = []
        for x_t in x.swapaxes(0, 1):
            z = sigmoid(h @ A + x_t @ V.z + b.z)
            h = h + epsilon * z * np.tanh(h @ A + x_t @ V.h + b.h)
            outputs.append(h)
        return np.stack(outputs, 1), [h]

    return run


def clockwork(periods=(1, 2, 4, 8), activation=np.tanh):
    """Modules of equal size, or the first ones a unit larger; i is recomputed at steps
    t with t mod T_i = 0, from the modules as slow as itself or slower. The second state
    counts steps from 0, for each unit up to the period of its module."""

    @oracle
    def run(x, weights, states):
        h, t = states
        W, U, b = weights["kernel"], weights["recurrent_kernel"], weights.get("bias", 0)
        size, larger = divmod(len(U), len(periods))
        first = [i * size + min(i, larger) for i in range(len(periods) + 1)]
        outputs = []
        for x_t in x.swapaxes(0, 1):
            new = h.copy()
            for i, period in enumerate(periods):
                module = slice(first[i], first[i + 1])
                a = (x_t @ W + b)[:, module]
                for j, other in enumerate(periods):
                    if other >= period:
                        source = slice(first[j], first[j + 1])
                        a = a + h[:, source] @ U[source, module]
                runs = t[:, module] % period == 0
                new[:, module] = np.where(runs, activation(a), h[:, module])
            h, t = new, t + 1
            outputs.append(h)
        for i, period in enumerate(periods):
            t[:, first[i] : first[i + 1]] %= period
        return np.stack(outputs, 1), [h, t]

    return run


def scrn(alpha=0.95, activation=sigmoid):
    """Structurally constrained: slow context units s feed the hidden ones."""

    @oracle
    def run(x, weights, states):
        h, s = states
        W = blocks(weights["kernel"], "s h")
        U = blocks(weights["recurrent_kernel"], "h p")
        outputs = []
        for x_t in x.swapaxes(0, 1):
            s = (1 - alpha) * (x_t @ W.s) + alpha * s
            h = activation(s @ U.p + x_t @ W.h + h @ U.h)
            outputs.append(h)
        return np.stack(outputs, 1), [h, s]

    return run


# By the names of the cells, with their default options.
register("antisymmetric_rnn", antisymmetric(), Layout("h", "h", "h"))
register("clockwork_rnn", clockwork(), Layout("h", "h", "h", states=2))
register(
    "fast_grnn",
    fast_grnn(),
    Layout("a", "a", None, ("bias_gate", "bias_update", "zeta", "nu")),
)
register("fast_rnn", fast(), Layout("h", "h", "h", ("alpha", "beta")), kernel="gru")
register("gated_antisymmetric_rnn", gated_antisymmetric(), Layout("h z", "s", "h z"))
register("ind_rnn", ind_rnn(), Layout("h", None, "h", ("recurrent_kernel",)))
register("irnn", simple(relu), Layout("h", "h", "h"), kernel="rnn_relu")
register(
    "leaky_rectifier_rnn", simple(leaky_relu), Layout("h", "h", "h"), kernel="rnn_relu"
)
register("leaky_rnn", leaky(0.5), Layout("h", "h", "h"), kernel="gru")
register("np_rnn", simple(relu), Layout("h", "h", "h"), kernel="rnn_relu")
register("scrn", scrn(), Layout("s h", "h p", None, states=2))
register("simple_rnn", simple(), Layout("h", "h", "h"), kernel="rnn_tanh")
