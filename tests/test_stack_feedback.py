"""`layers.Stack` with gated feedback: the equation of the paper."""

import keras
import numpy as np
import pytest
from stacks import (
    FEATURES,
    MASKS,
    NAMES,
    ROWS,
    STEPS,
    all_close,
    built,
    close,
    numpy,
    random,
)

import keras_rnnx
from keras_rnnx import cells, layers


@pytest.fixture
def x():
    rng = np.random.default_rng(0)
    return rng.normal(size=(ROWS, STEPS, FEATURES)).astype("float32")


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def feedback_oracle(name, weights, x, states):
    """Chung et al. 2015: the equations, layer by layer, with the gates of each layer
    named. The weights of a layer: kernel, recurrent kernel, bias, w_g, u_g, and
    {i: U of layer i}."""
    states = [list(s) for s in states]
    outputs = []
    for t in range(x.shape[1]):
        joined = np.concatenate([s[0] for s in states], axis=-1)
        below, after = x[:, t], []
        for j, (w, u, b, wg, ug, feedback) in enumerate(weights):
            n = states[j][0].shape[-1]
            h = states[j][0]

            def block(k, m, n=n):
                return m[..., k * n : (k + 1) * n]

            total = 0
            for i, state in enumerate(states):
                matrix = feedback.get(i)
                if matrix is None:
                    matrix = block({"lstm": 2, "gru": 2, "simple_rnn": 0}[name], u)
                g = sigmoid(below @ wg[:, i] + joined @ ug[:, i])
                total = total + g[:, None] * (state[0] @ matrix)
            if name == "simple_rnn":
                new = [np.tanh(below @ w + total + b)]
            elif name == "lstm":
                i_, f, o = (
                    sigmoid(below @ block(k, w) + h @ block(k, u) + block(k, b))
                    for k in (0, 1, 3)
                )
                c = np.tanh(below @ block(2, w) + total + block(2, b))
                c = f * states[j][1] + i_ * c
                new = [o * np.tanh(c), c]
            else:
                z, r = (
                    sigmoid(
                        below @ block(k, w)
                        + h @ block(k, u)
                        + block(k, b[0])
                        + block(k, b[1])
                    )
                    for k in (0, 1)
                )
                c = np.tanh(
                    below @ block(2, w) + block(2, b[0]) + r * (total + block(2, b[1]))
                )
                new = [z * h + (1 - z) * c]
            after.append(new)
            below = new[0]
        states = after
        outputs.append(below)
    return [np.stack(outputs, axis=1), *(s for layer in states for s in layer)]


@pytest.mark.parametrize("name", NAMES)
def test_gated_feedback_is_the_equation_of_the_paper(name, x):
    units = [4, 5, 6]
    stack = built(
        name, units, gated_feedback=True, return_sequences=True, return_state=True
    )
    (layer,) = stack.layers
    cell = layer.cell
    named = {v.name: numpy(v) for v in cell.weights}
    weights = [
        (
            *(numpy(v) for v in (inner.kernel, inner.recurrent_kernel, inner.bias)),
            named[f"gate_kernel_{j}"],
            named[f"gate_recurrent_kernel_{j}"],
            {i - 1: named[f"feedback_kernel_{i}_to_{j}"] for i in (1, 2, 3) if i != j},
        )
        for j, inner in enumerate(cell.cells, 1)
    ]
    states = [random(ROWS, n, seed=k) for k, n in enumerate(stack.state_size)]
    layered = stack.states_by_layer(states)
    all_close(
        stack(x, initial_state=states), feedback_oracle(name, weights, x, layered)
    )
    # Steps behind the end of a row change nothing.
    mask = MASKS["right"]
    found = stack(x, initial_state=states, mask=mask)
    for row, length in enumerate(mask.sum(axis=1)):
        part = x[row : row + 1, :length]
        begun = [[s[row : row + 1] for s in layer] for layer in layered]
        expected = feedback_oracle(name, weights, part, begun)
        all_close([s[row : row + 1] for s in found[1:]], expected[1:])
        close(found[0][row, -1], expected[0][0, -1])


def test_gated_feedback_runs_in_keras_loop_and_says_so():
    stack = layers.Stack("gru", 4, gated_feedback=True, name="deep")
    (row,) = keras_rnnx.explain(stack)
    assert row.engine == "step" and "GatedFeedbackCell" in row.cell
    assert "GatedFeedbackCell is not a keras_rnnx cell" in row.reason


class OwnCell(cells.Cell):
    """A simple network that says which gate feedback goes into."""

    states = ("h",)
    gates = ("h",)
    feedback_gate = "h"

    def update(self, state, gate):
        return cells.State(h=keras.ops.tanh(gate.h))


class OtherCell(OwnCell):
    """It says nothing itself."""


def test_a_cell_says_where_feedback_goes(x):
    own, known = (
        layers.RNN(layers.GatedFeedbackCell([make(3), make(4)]))
        for make in (OwnCell, cells.SimpleRNNCell)
    )
    for layer in (own, known):
        layer.build(x.shape)
    own.set_weights([random(*w.shape, seed=k) for k, w in enumerate(own.weights)])
    known.set_weights(own.get_weights())
    close(own(x), numpy(known(x)))
    for other in (OtherCell, cells.IRNNCell, cells.CIFGCell, cells.MGUCell):
        with pytest.raises(ValueError, match=f"Received cells: {other.__name__}"):
            layers.GatedFeedbackCell([other(3)])
