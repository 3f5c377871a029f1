"""`layers.Stack` with gated feedback: the equation of the paper."""

import keras
import numpy as np
import pytest
from oracles import sigmoid
from stacks import FEATURES, MASKS, NAMES, ROWS, STEPS, built, random
from tensors import all_close, close, numpy

import keras_rnnx
from keras_rnnx import cells, constraints, initializers, layers, regularizers
from keras_rnnx.regularizers import GradientFlow, Sum


@pytest.fixture
def x():
    rng = np.random.default_rng(0)
    return rng.normal(size=(ROWS, STEPS, FEATURES)).astype("float32")


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


@pytest.mark.parametrize(
    "options",
    [
        {"dropout": 0.5},
        {"recurrent_dropout": 0.5},
        {"update_dropout": 0.5},
        {"weight_dropout": 0.5},
        {"input_weight_dropout": 0.5},
        {"zoneout": 0.5},
        {"zoneout": [0.0, 0.5]},
        {"monte_carlo": True},
        {"layer_norm": True},
        {"batch_norm": True},
    ],
    ids=str,
)
def test_options_that_gated_feedback_does_not_have_are_refused(options):
    (name,) = options
    with pytest.raises(ValueError, match=f"received {name}="):
        layers.GatedFeedbackCell([cells.LSTMCell(4, **options)])


@pytest.mark.parametrize(
    "options", [{"zoneout": 0.1}, {"layer_norm": True}, {"weight_dropout": 0.1}]
)
def test_a_stack_refuses_them_too(options):
    with pytest.raises(ValueError, match=f"received {next(iter(options))}="):
        layers.Stack("lstm", 4, gated_feedback=True, **options)


@pytest.mark.parametrize("given", [GradientFlow(1.0), Sum("l2", GradientFlow(1.0))])
def test_gated_feedback_has_no_gradient_flow(given):
    with pytest.raises(ValueError, match="which has no GradientFlow"):
        layers.Stack("gru", 4, gated_feedback=True, recurrent_regularizer=given)


def test_the_cells_know_how_long_sequences_are():
    stack = layers.Stack(
        "lstm", 4, gated_feedback=True, bias_initializer=initializers.Chrono()
    )
    stack.build((None, 50, 3))
    for cell in stack.layers[0].cell.cells:
        forget = numpy(cell.bias)[4:8]
        assert np.all((forget > 0) & (forget < np.log(50)))


def feedback_kernels(*args, **options):
    stack = layers.Stack(*args, gated_feedback=True, **options)
    stack.build((None, None, FEATURES))
    cell = stack.layers[0].cell
    return stack, [numpy(kernel) for kernel in cell.feedback_kernels]


def test_feedback_has_what_the_candidate_has():
    """For each gate one: that of the gate which feedback goes into."""
    _, kernels = feedback_kernels(
        "gru",
        4,
        recurrent_initializer=initializers.PerGate({"h": "ones", "default": "zeros"}),
    )
    for kernel in kernels:
        np.testing.assert_array_equal(kernel, 1.0)
    for gate, count in (("h", 2 * 16), ("z", 0)):
        penalty = regularizers.PerGate({gate: keras.regularizers.L1(1.0)})
        stack, _ = feedback_kernels(
            "gru",
            4,
            recurrent_initializer="ones",
            recurrent_regularizer=penalty,
        )
        close(sum(stack.losses), 2 * 16 + count)
    stack, _ = feedback_kernels(
        "gru",
        4,
        recurrent_regularizer=Sum(regularizers.PerGate({"z": "l2"}), "l1"),
        recurrent_constraint=constraints.PerGate({"h": "non_neg"}),
    )
    for kernel in stack.layers[0].cell.feedback_kernels:
        assert isinstance(kernel.constraint, keras.constraints.NonNeg)
        assert len(kernel.regularizer.regularizers) == 1


def test_no_two_feedback_kernels_are_drawn_alike():
    _, kernels = feedback_kernels("gru", 4, depth=3)
    for k, kernel in enumerate(kernels):
        assert not any(np.allclose(kernel, other) for other in kernels[:k])


def test_what_is_for_square_matrices_needs_layers_of_one_width():
    given = {
        "recurrent_initializer": initializers.IdentityRecurrent(),
        "recurrent_regularizer": Sum(regularizers.SoftOrthogonal(), "l2"),
        "recurrent_constraint": constraints.Orthogonal(),
    }
    for name, value in given.items():
        feedback_kernels("simple_rnn", 4, **{name: value})
        with pytest.raises(ValueError, match="a layer of 4 units reads one of 8"):
            feedback_kernels("simple_rnn", [4, 8], **{name: value})


def test_inputs_of_another_width_are_refused(x):
    stack = layers.Stack("lstm", 4, gated_feedback=True)
    stack(x)
    with pytest.raises(ValueError, match="to have value 3, but received"):
        stack(random(ROWS, STEPS, 4))


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
