"""`layers.Stack`: layers stacked by hand, the papers' equations, dropout, states."""

import keras
import numpy as np
import pytest

import keras_rnnx
from keras_rnnx import cells, layers

ROWS, STEPS, FEATURES, UNITS = 4, 6, 3, 5
NAMES = {"lstm": "LSTM", "gru": "GRU", "simple_rnn": "SimpleRNN"}
MASKS = {
    "none": None,
    "right": np.arange(STEPS) < np.array([[1], [3], [6], [4]]),
    "holes": np.array(
        [[0, 1, 1, 0, 1, 0], [1, 0, 0, 1, 1, 1], [0] * 6, [0, 0, 0, 0, 0, 1]], bool
    ),
}


def numpy(tensor):
    return keras.ops.convert_to_numpy(tensor)


def close(found, expected, tolerance=1e-5):
    np.testing.assert_allclose(
        numpy(found), numpy(expected), rtol=tolerance, atol=tolerance
    )


def all_close(found, expected):
    found, expected = keras.tree.flatten(found), keras.tree.flatten(expected)
    for a, b in zip(found, expected, strict=True):
        close(a, b)


@pytest.fixture
def x():
    rng = np.random.default_rng(0)
    return rng.normal(size=(ROWS, STEPS, FEATURES)).astype("float32")


def random(*shape, seed=1):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def built(*args, features=FEATURES, batch=ROWS, **kwargs):
    """A stack with random weights."""
    stack = layers.Stack(*args, **kwargs)
    stack.build((batch, STEPS, features))
    rng = np.random.default_rng(0)
    for variable in stack.trainable_variables:
        variable.assign(0.5 * rng.normal(size=variable.shape))
    return stack


def by_hand(stack, name, x, mask=None, states=None, wrap=lambda layer: layer):
    """Keras' layers with the weights of a stack, one after the other."""
    weights, found = [numpy(w) for w in stack.weights], []
    for k, units in enumerate(stack.units):
        layer = getattr(keras.layers, NAMES[name])(
            units,
            return_sequences=stack.return_sequences or k < stack.depth - 1,
            return_state=True,
            zero_output_for_mask=stack.zero_output_for_mask,
        )
        layer = wrap(layer)
        layer.build(x.shape)
        count = len(layer.weights)
        layer.set_weights(weights[:count])
        weights = weights[count:]
        given = states and states[k]
        x, *last = layer(x, mask=mask, initial_state=given)
        found.extend(last)
    assert not weights
    return [x, *found]


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("options", [{}, {"zero_output_for_mask": True}], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_is_keras_layers_stacked_by_hand(name, options, mask, x):
    stack = built(name, [4, 5, 6], return_sequences=True, return_state=True, **options)
    mask = MASKS[mask]
    all_close(stack(x, mask=mask), by_hand(stack, name, x, mask))


@pytest.mark.parametrize("name", NAMES)
def test_states_and_last_output_are_those_of_layers_by_hand(name, x):
    stack = built(name, 5, depth=3, return_state=True)
    assert len(stack.layers) == 3
    states = [random(ROWS, n, seed=k) for k, n in enumerate(stack.state_size)]
    found = stack(x, initial_state=states, mask=MASKS["right"])
    layered = stack.states_by_layer(states)
    all_close(found, by_hand(stack, name, x, MASKS["right"], layered))
    assert [len(row) for row in layered] == [2 if name == "lstm" else 1] * 3


@pytest.mark.parametrize("feedback", [False, True])
def test_backwards_is_the_sequence_turned_round(feedback, x):
    options = {"return_sequences": True, "return_state": True}
    options["gated_feedback"] = feedback
    there = built("gru", [4, 5], **options)
    back = built("gru", [4, 5], go_backwards=True, **options)
    back.set_weights(there.get_weights())
    mask = MASKS["holes"]
    all_close(back(x[:, ::-1].copy(), mask=mask[:, ::-1].copy()), there(x, mask=mask))
    np.testing.assert_array_equal(
        numpy(back.compute_mask(x, keras.ops.convert_to_tensor(mask))[0]),
        mask[:, ::-1],
    )


@pytest.mark.parametrize(
    ("name", "merge_mode"),
    [
        *((name, "concat") for name in NAMES),
        *(("gru", m) for m in ("sum", "mul", "ave")),
    ],
)
def test_bidirectional_is_that_of_keras(name, merge_mode, x):
    def wrap(layer):
        return keras.layers.Bidirectional(layer, merge_mode=merge_mode)

    options = {"bidirectional": True, "merge_mode": merge_mode, "return_state": True}
    for sequences, mask in ((True, "holes"), (False, "right")):
        stack = built(name, [4, 5], return_sequences=sequences, **options)
        mask = MASKS[mask]
        all_close(stack(x, mask=mask), by_hand(stack, name, x, mask, wrap=wrap))
    states = [random(ROWS, n, seed=k) for k, n in enumerate(stack.state_size)]
    found = stack(x, initial_state=states)
    layered = stack.states_by_layer(states)
    all_close(found, by_hand(stack, name, x, None, layered, wrap))


def test_a_stack_in_keras_bidirectional(x):
    wrapped = keras.layers.Bidirectional(
        layers.Stack("gru", [4, 5], return_sequences=True, connection=None)
    )
    wrapped.build(x.shape)
    mask = MASKS["holes"]
    there, back = wrapped.forward_layer, wrapped.backward_layer
    expected = [
        there(x, mask=mask),
        keras.ops.flip(back(x, mask=mask), axis=1),
    ]
    found = wrapped(x, mask=mask)
    close(found, np.concatenate([numpy(e) for e in expected], axis=-1))
    assert back.go_backwards and back.zero_output_for_mask
    assert np.all(numpy(found)[~mask] == 0)


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


@pytest.mark.parametrize("zero", [False, True])
@pytest.mark.parametrize("features", [FEATURES, UNITS])
@pytest.mark.parametrize("connection", ["residual", "highway"])
def test_connections(connection, features, zero):
    """The first layer has one where the widths fit, and masked steps show nothing of
    their inputs."""
    x = random(ROWS, STEPS, features)
    stack = built(
        "lstm",
        UNITS,
        features=features,
        connection=connection,
        return_sequences=True,
        zero_output_for_mask=zero,
    )
    mask = MASKS["holes"]
    expected = x
    for level in stack.levels:
        (layer,) = level.rnns
        plain = keras.layers.LSTM(UNITS, return_sequences=True)
        plain.build(expected.shape)
        plain.set_weights(layer.get_weights())
        h = numpy(plain(expected, mask=mask))
        if expected.shape[-1] != UNITS:
            expected = h
        elif connection == "residual":
            expected = expected + h
        else:
            w, b = (numpy(v) for v in level.gate.weights)
            t = sigmoid(expected @ w + b)
            expected = t * h + (1 - t) * expected
    shown = np.zeros_like(expected)
    for row in range(ROWS):
        last = np.zeros(UNITS)
        for step in range(STEPS):
            if mask[row, step]:
                last = expected[row, step]
            elif zero:
                last = np.zeros(UNITS)
            shown[row, step] = last
    close(stack(x, mask=mask), shown)
    last = built(
        "lstm",
        UNITS,
        features=features,
        connection=connection,
        zero_output_for_mask=zero,
    )
    last.set_weights(stack.get_weights())
    close(last(x, mask=mask), shown[:, -1])
    close(last(x), numpy(stack(x))[:, -1])


def test_a_highway_starts_by_letting_inputs_pass(x):
    wide = random(ROWS, STEPS, UNITS)
    stack = layers.Stack("gru", UNITS, connection="highway", highway_bias=-20.0)
    close(stack(wide), wide[:, -1])
    gate = layers.Stack("gru", UNITS, connection="highway")
    gate.build(wide.shape)
    assert all(np.all(numpy(v.gate.bias) == -1) for v in gate.levels)


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


def transparent(width=1000, **kwargs):
    """Two layers that give out what comes in, whatever their states are."""
    return layers.Stack(
        "simple_rnn",
        width,
        activation="linear",
        kernel_initializer="identity",
        recurrent_initializer="zeros",
        return_sequences=True,
        **kwargs,
    )


@pytest.mark.parametrize("feedback", [False, True])
@pytest.mark.parametrize("where", ["dropout", "input_dropout", "output_dropout"])
@pytest.mark.parametrize("mask", ["step", "sequence"])
def test_dropout_between_layers(mask, where, feedback):
    stack = transparent(
        seed=3, dropout_mask=mask, gated_feedback=feedback, **{where: 0.25}
    )
    ones = np.ones((2, 3, 1000), "float32")
    y = numpy(stack(ones, training=True))
    np.testing.assert_allclose(np.unique(y), [0, 4 / 3], rtol=1e-6)
    assert abs(y.mean() - 1) < 0.05
    assert np.any(y[0] != y[1])
    kept = y > 0
    same = [np.mean(kept[:, 0] == kept[:, t]) for t in (1, 2)]
    if mask == "sequence":
        assert same == [1, 1]
    else:
        # Independent draws agree with probability 0.75² + 0.25².
        np.testing.assert_allclose(same, 0.625, atol=0.05)
    assert np.any(y != numpy(stack(ones, training=True)))
    np.testing.assert_array_equal(numpy(stack(ones)), ones)


def test_dropout_is_nowhere_else():
    """Not before the first layer, nor after the last, nor on what a state keeps."""
    ones = np.ones((2, 3, 50), "float32")
    single = transparent(50, depth=1, dropout=0.5)
    np.testing.assert_array_equal(numpy(single(ones, training=True)), ones)
    keeps = layers.Stack(
        "simple_rnn",
        50,
        dropout=0.5,
        activation="linear",
        kernel_initializer="zeros",
        recurrent_initializer="identity",
        return_sequences=True,
    )
    states = [np.ones((2, 50), "float32")] * 2
    y = keeps(ones, initial_state=states, training=True)
    np.testing.assert_array_equal(numpy(y), ones)


def test_dropout_of_layers_and_seeds():
    ones = np.ones((1, 2, 1000), "float32")
    made = [transparent(depth=3, dropout=0.5, seed=s) for s in (5, 5, 6)]
    a, b, c = (numpy(stack(ones, training=True)) for stack in made)
    np.testing.assert_array_equal(a, b)
    assert np.any(a != c)
    # Two masks that are drawn apart leave a quarter.
    np.testing.assert_allclose(np.mean(a > 0), 0.25, atol=0.05)
    assert set(np.unique(a)) == {0, 4}


def test_dropout_of_the_last_output():
    stack = layers.Stack(
        "simple_rnn",
        1000,
        output_dropout=0.5,
        dropout_mask="sequence",
        activation="linear",
        kernel_initializer="identity",
        recurrent_initializer="zeros",
    )
    y = numpy(stack(np.ones((2, 3, 1000), "float32"), training=True))
    assert y.shape == (2, 1000) and set(np.unique(y)) == {0, 2}


def test_a_connection_is_not_dropped():
    stack = transparent(50, connection="residual", dropout=0.5, input_dropout=0.5)
    y = numpy(stack(np.ones((2, 3, 50), "float32"), training=True))
    # 1 + (0 or 2), then that plus 0 or its double.
    assert set(np.unique(y)) == {1, 3, 9}


def test_recurrent_dropout_of_the_cells_differs_by_layer():
    stack = layers.Stack("gru", 8, recurrent_dropout=0.5, seed=1)
    drawn = []
    stack.build((None, 3, 8))
    for layer in stack.layers:
        assert layer.cell.recurrent_dropout == 0.5
        drawn.append(numpy(layer.cell.noise.draw(20, 3)["recurrent"]))
    assert np.any(drawn[0] != drawn[1])


@pytest.mark.parametrize(
    "options",
    [{}, {"gated_feedback": True}, {"connection": "highway"}],
    ids=lambda options: next(iter(options), "plain"),
)
def test_stateful_in_pieces_is_the_whole(options, x):
    whole = built("lstm", UNITS, return_sequences=True, return_state=True, **options)
    parts = built(
        "lstm", UNITS, return_sequences=True, stateful=True, batch=ROWS, **options
    )
    parts.set_weights(whole.get_weights())
    expected, *states = whole(x)
    found = [numpy(parts(x[:, a:b])) for a, b in ((0, 2), (2, 3), (3, 6))]
    close(np.concatenate(found, axis=1), expected)
    all_close(list(parts.states), states)
    kept = parts.states_by_layer()
    all_close(kept, whole.states_by_layer(states))
    parts.reset_state()
    assert all(np.all(numpy(state) == 0) for state in parts.states)
    close(parts(x[:, :2]), found[0])
    parts.reset_states()
    close(parts(x), expected)


def test_stateful_both_ways(x):
    stack = built("gru", UNITS, bidirectional=True, stateful=True, return_state=True)
    _, *states = stack(x)
    all_close(list(stack.states), states)
    _, *again = stack(x)
    plain = built("gru", UNITS, bidirectional=True, return_state=True)
    all_close(again, plain(x, initial_state=states)[1:])


VARIANTS = {
    "list": {"cell": "lstm", "units": [4, 5, 6], "dropout": 0.1, "seed": 2},
    "class": {"cell": cells.GRUCell, "units": 4, "depth": 1, "reset_after": False},
    "cell": {
        "cell": cells.LeakyRNNCell(4, leak=[0.1, 0.2, 0.3, 1.0], activation="relu"),
        "depth": 3,
        "connection": "residual",
    },
    "both ways": {"cell": "gru", "units": [3, 4], "bidirectional": True},
    "highway": {
        "cell": "mgu",
        "units": 4,
        "connection": "highway",
        "dropout": 0.2,
        "dropout_mask": "sequence",
        "input_dropout": 0.1,
        "output_dropout": 0.3,
    },
    "feedback": {"cell": "lstm", "units": [3, 4], "gated_feedback": True},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_models_are_saved_and_know_their_shapes(variant, x, tmp_path):
    sequences = variant in ("list", "both ways")
    stack = layers.Stack(
        **VARIANTS[variant], return_sequences=sequences, return_state=True
    )
    inputs = keras.Input((None, FEATURES))
    outputs = stack(keras.layers.Masking()(inputs))
    model = keras.Model(inputs, list(outputs))
    for k, variable in enumerate(model.trainable_variables):
        variable.assign(random(*variable.shape, seed=k) / 2)
    x[0, 3:] = 0
    found = model(x)
    shapes = stack.compute_output_shape(x.shape)
    assert [tuple(f.shape) for f in found] == [tuple(s) for s in shapes]
    width = stack.output_size
    assert outputs[0].shape == ((None, None, width) if sequences else (None, width))
    close(found[0], stack(x, mask=np.any(x != 0, axis=-1))[0])
    path = tmp_path / "model.keras"
    model.save(path)
    loaded = keras.models.load_model(path)
    all_close(loaded(x), found)
    config = stack.get_config()
    assert layers.Stack.from_config(config).get_config() == config
    model.save_weights(tmp_path / "model.weights.h5")
    for variable in loaded.trainable_variables:
        variable.assign(0 * variable)
    loaded.load_weights(tmp_path / "model.weights.h5")
    all_close(loaded(x), found)


def test_masks_pass_through_to_the_next_layer():
    tokens = np.array([[1, 2, 0], [3, 0, 0]])
    embedding = keras.layers.Embedding(5, 4, mask_zero=True)
    y = layers.Stack("gru", 4, return_sequences=True)(embedding(tokens))
    below = keras.layers.GRU(3)
    close(below(y), below(numpy(y), mask=tokens != 0))
    assert np.any(numpy(below(y)) != numpy(below(numpy(y))))


@pytest.mark.parametrize("options", [{}, {"gated_feedback": True}], ids=str)
def test_trains(options, x):
    keras.utils.set_random_seed(0)
    y = x.sum(axis=(1, 2), keepdims=True)[:, 0]
    model = keras.Sequential(
        [
            keras.Input((STEPS, FEATURES)),
            layers.Stack("gru", UNITS, dropout=0.1, output_dropout=0.1, **options),
            keras.layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.Adam(0.05), "mse")
    losses = model.fit(x, y, epochs=25, batch_size=2, verbose=0).history["loss"]
    assert losses[-1] < 0.7 * losses[0]


def test_mixed_precision(x):
    stack = layers.Stack(
        "lstm", FEATURES, connection="highway", dropout=0.1, dtype="mixed_bfloat16"
    )
    y = stack(x, training=True)
    assert keras.backend.standardize_dtype(y.dtype) == "bfloat16"
    assert all(v.dtype == "float32" for v in stack.trainable_variables)
    plain = layers.Stack("lstm", FEATURES, connection="highway")
    plain.build(x.shape)
    plain.set_weights(stack.get_weights())
    close(keras.ops.cast(stack(x), "float32"), plain(x), 0.05)


def test_every_layer_runs_on_its_fastest_engine():
    model = keras.Sequential(
        [
            keras.Input((STEPS, FEATURES)),
            layers.Stack("lstm", [4, 5], bidirectional=True, name="deep"),
        ]
    )
    rows = keras_rnnx.explain(model)
    single = keras_rnnx.engine.plan(layers.LSTM(4)).engine
    assert [(row.layer, row.engine) for row in rows] == [
        (f"deep/level_{k}/{direction}_lstm_{k}", single)
        for k in (1, 2)
        for direction in ("forward", "backward")
    ]


def test_arguments_of_the_loop_and_the_cell_reach_every_layer():
    stack = layers.Stack(
        "lstm", 4, depth=3, checkpoint=2, use_cudnn=False, unit_forget_bias=False
    )
    for layer in stack.layers:
        assert layer.checkpoint == 2 and layer.use_cudnn is False
        assert layer.cell.unit_forget_bias is False
    kernels = [v for v in built("gru", 4, depth=3).weights if v.name == "kernel"]
    assert len(kernels) == 3
    fresh = layers.Stack("gru", 4, depth=3)
    fresh.build((None, None, 4))
    first, second, _ = (numpy(layer.cell.kernel) for layer in fresh.layers)
    assert np.any(first != second)


def test_a_cell_is_copied(x):
    cell = cells.LSTMCell(4, activation="relu", seed=3)
    cell.build((None, FEATURES))
    stack = layers.Stack(cell, recurrent_activation="hard_sigmoid")
    stack(x)
    assert all(layer.cell is not cell for layer in stack.layers)
    assert [layer.cell.activation.__name__ for layer in stack.layers] == ["relu"] * 2
    name = stack.layers[1].cell.recurrent_activation.__name__
    assert name == "hard_sigmoid" and stack.units == [4, 4]
    assert layers.Stack(cell, [2, 3]).units == [2, 3]


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: layers.Stack("lstn", 4), "Unknown cell.*Did you mean 'lstm'"),
        (lambda: layers.Stack("lstm"), "needs `units`"),
        (lambda: layers.Stack("lstm", 0), "`units`, expected a positive integer"),
        (lambda: layers.Stack("lstm", []), "`units`"),
        (lambda: layers.Stack("lstm", [4, 5], depth=3), "one number for each layer"),
        (lambda: layers.Stack("lstm", 4, depth=0), "`depth`, expected a positive"),
        (lambda: layers.Stack("lstm", 4, depht=3), "Did you mean 'depth'"),
        (lambda: layers.Stack("lstm", 4, dropout=1.0), "`dropout`, .*got 1.0"),
        (lambda: layers.Stack("lstm", 4, input_dropout=-1), "`input_dropout`"),
        (lambda: layers.Stack("lstm", 4, dropout_mask="x"), "'step', 'sequence'"),
        (lambda: layers.Stack("lstm", 4, connection="dense"), "received 'dense'"),
        (
            lambda: layers.Stack("lstm", [4, 5], connection="residual"),
            r"one width, received units=\[4, 5\]",
        ),
        (lambda: layers.Stack("lstm", 4, merge_mode=None), "`merge_mode`"),
        (
            lambda: layers.Stack("gru", 4, bidirectional=True, go_backwards=True),
            "Pass one of them",
        ),
        (
            lambda: layers.Stack("gru", 4, bidirectional=True, connection="residual"),
            "needs return_sequences=True",
        ),
        (lambda: layers.Stack(keras.layers.LSTMCell(4), 4), "class of keras_rnnx"),
        (
            lambda: layers.Stack("mgu", 4, gated_feedback=True),
            "Gated feedback is known for.*MGUCell",
        ),
        (
            lambda: layers.Stack("gru", 4, gated_feedback=True, reset_after=False),
            "reset_after=True",
        ),
        (
            lambda: layers.Stack("gru", 4, gated_feedback=True, recurrent_dropout=0.1),
            "recurrent_dropout=0.1",
        ),
        (
            lambda: layers.Stack("gru", 4, gated_feedback=True, bidirectional=True),
            "keras.layers.Bidirectional instead",
        ),
        (lambda: layers.GatedFeedbackCell([]), "Received cells: none"),
        (
            lambda: layers.Stack("lstm", 4)(
                np.zeros((2, 3, 4), "float32"), initial_state=[np.zeros((2, 4))]
            ),
            r"list of 4 state\(s\) for Stack, received 1",
        ),
        (
            lambda: layers.Stack("lstm", 4)(np.zeros((3, 4), "float32")),
            r"\(batch, time, features\)",
        ),
        (lambda: layers.Stack("lstm", 4).states_by_layer(), "received none"),
        (
            lambda: layers.Stack("lstm", 4, stateful=True).build((None, 3, 4)),
            "batch size must be static",
        ),
        (
            lambda: layers.Stack("lstm", 4, checkpoint=2, unroll=True),
            "Pass one of them",
        ),
    ],
)
def test_what_does_not_fit_says_so(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_initial_states_are_learned_in_every_layer(x):
    stack = layers.Stack("lstm", [4, 5], initial_state_trainable=True, seed=1)
    stack.build(x.shape)
    learned = [v for v in stack.trainable_variables if "initial_state" in v.name]
    assert [v.shape[0] for v in learned] == [4, 4, 5, 5]
    rng = np.random.default_rng(0)
    for variable in stack.trainable_variables:
        variable.assign(0.5 * rng.normal(size=variable.shape))
    given = [np.repeat(numpy(v)[None], len(x), axis=0) for v in learned]
    zeros = [np.zeros_like(state) for state in given]
    np.testing.assert_allclose(
        numpy(stack(x)), numpy(stack(x, initial_state=given)), atol=1e-6
    )
    assert not np.allclose(numpy(stack(x)), numpy(stack(x, initial_state=zeros)))
    again = layers.Stack.from_config(stack.get_config())
    assert again.get_config() == stack.get_config()


def test_a_list_of_activity_regularizers_sees_the_mask(x):
    penalties = [keras_rnnx.regularizers.AR(2.0), keras_rnnx.regularizers.TAR(1.0)]
    stack = layers.Stack(
        "gru", 4, return_sequences=True, activity_regularizer=penalties
    )
    mask = np.ones(x.shape[:2], bool)
    mask[:, -2:] = False
    stack(x, mask=mask)
    (masked,) = map(float, map(numpy, stack.losses))
    stack(x[:, :-2])
    (cut,) = map(float, map(numpy, stack.losses))
    assert abs(masked - cut) < 1e-6


def test_layers_draw_from_streams_that_have_nothing_in_common():
    stack = layers.Stack("lstm", 50, depth=2, zoneout=0.5, seed=3)
    stack.build((None, 3, 50))
    drawn = [layer.cell.noise.draw(20, 3) for layer in stack.layers]
    masks = [numpy(mask) for layer in drawn for mask in layer.values()]
    for i, a in enumerate(masks):
        for b in masks[:i]:
            assert abs((a == b).mean() - 0.5) < 0.05
