"""Layers: in place of Keras' own, wherever those can stand."""

import inspect
import re

import catalogue
import keras
import numpy as np
import pytest
from keras import ops

import keras_rnnx
from keras_rnnx import cells, engine, layers

NAMES = ("LSTM", "GRU", "SimpleRNN")
ROWS, STEPS, FEATURES, UNITS = 4, 6, 3, 5


def numpy(tensor):
    return keras.ops.convert_to_numpy(tensor)


def close(found, expected, tolerance=1e-5):
    np.testing.assert_allclose(
        numpy(found), numpy(expected), rtol=tolerance, atol=tolerance
    )


@pytest.fixture
def x():
    rng = np.random.default_rng(0)
    return rng.normal(size=(ROWS, STEPS, FEATURES)).astype("float32")


def randomize(layer, seed=0):
    rng = np.random.default_rng(seed)
    for variable in layer.trainable_variables:
        variable.assign(0.5 * rng.normal(size=variable.shape))


def pair(name, **kwargs):
    """Keras' layer and ours with the same random weights."""
    theirs = getattr(keras.layers, name)(UNITS, **kwargs)
    ours = getattr(layers, name)(UNITS, **kwargs)
    for layer in (theirs, ours):
        layer.build((ROWS, STEPS, FEATURES))
    randomize(theirs)
    ours.set_weights(theirs.get_weights())
    return theirs, ours


MASKS = {
    "none": None,
    "right": np.arange(STEPS) < np.array([[1], [3], [6], [4]]),
    "holes": np.array(
        [[0, 1, 1, 0, 1, 0], [1, 0, 0, 1, 1, 1], [0] * 6, [0, 0, 0, 0, 0, 1]], bool
    ),
}


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"return_sequences": True},
        {"return_sequences": True, "go_backwards": True},
        {"return_sequences": True, "zero_output_for_mask": True},
        {"use_bias": False},
        {"activation": "relu"},
    ],
    ids=str,
)
@pytest.mark.parametrize("name", NAMES)
def test_equals_keras(name, kwargs, mask, x):
    theirs, ours = pair(name, return_state=True, **kwargs)
    gated_relu = "activation" in kwargs and name != "SimpleRNN"
    assert engine.plan(ours).engine == ("fused" if gated_relu else catalogue.BEST)
    expected = theirs(x, mask=MASKS[mask])
    for a, b in zip(ours(x, mask=MASKS[mask]), expected, strict=True):
        close(a, b)


@pytest.mark.parametrize("name", NAMES)
def test_takes_every_argument_of_keras(name):
    theirs = inspect.signature(getattr(keras.layers, name).__init__).parameters
    ours = inspect.signature(getattr(layers, name)).parameters
    for parameter in list(theirs.values())[1:]:
        if parameter.kind is parameter.VAR_KEYWORD:
            continue
        if parameter.name in ("activity_regularizer",):
            getattr(layers, name)(2, activity_regularizer="l2")
            continue
        assert parameter.name in ours, parameter.name
        assert ours[parameter.name].default == parameter.default, parameter.name
    by_position = [p for p in ours.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert [p.name for p in by_position] == list(theirs)[1 : 1 + len(by_position)]


@pytest.mark.parametrize("name", NAMES)
def test_config_goes_both_ways(name):
    given = {
        "units": 3,
        "activation": "relu",
        "use_bias": False,
        "kernel_initializer": "he_normal",
        "recurrent_regularizer": "l2",
        "bias_constraint": "non_neg",
        "dropout": 0.1,
        "recurrent_dropout": 0.2,
        "seed": 7,
        "return_sequences": True,
        "go_backwards": True,
        "unroll": True,
        "dtype": "float64",
        "name": "some",
        "trainable": False,
    }
    ours, theirs = getattr(layers, name), getattr(keras.layers, name)
    config = ours(**given).get_config()
    assert ours.from_config(config).get_config() == config
    written = theirs(**given).get_config()
    if name == "SimpleRNN":
        written["seed"] = 7  # Keras leaves it out here
    assert ours.from_config(written).get_config() == config


@pytest.mark.parametrize("name", NAMES)
def test_weight_files_go_both_ways(name, x, tmp_path):
    def model(module, seed):
        made = keras.Sequential(
            [keras.Input((STEPS, FEATURES)), getattr(module, name)(UNITS)]
        )
        randomize(made, seed)
        return made

    theirs, ours = model(keras.layers, 1), model(layers, 2)
    for source, target in ((theirs, ours), (ours, theirs)):
        randomize(source, 3)
        path = tmp_path / f"{type(source.layers[0]).__module__}.weights.h5"
        source.save_weights(path)
        target.load_weights(path)
        close(target(x), source(x))


@pytest.mark.parametrize("variant", ["lstm", "gru_reset_before", "leaky_rnn_learned"])
def test_trains_in_fit_and_is_saved(variant, x, tmp_path):
    keras.utils.set_random_seed(0)
    y = x.sum(axis=(1, 2), keepdims=True)[:, 0]
    model = keras.Sequential(
        [
            keras.Input((STEPS, FEATURES)),
            layers.RNN(catalogue.make(variant), return_sequences=True),
            layers.RNN(catalogue.make(variant, dropout=0.1, seed=1)),
            keras.layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), "mse")
    losses = model.fit(x, y, epochs=45, batch_size=2, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]
    path = tmp_path / "model.keras"
    model.save(path)
    close(keras.models.load_model(path)(x), model(x))


def test_functional_and_subclassed_models(x):
    inputs = keras.Input((None, FEATURES))
    masked = keras.layers.Masking()(inputs)
    sequence, h, c = layers.LSTM(UNITS, return_sequences=True, return_state=True)(
        masked
    )
    outputs = layers.LSTM(UNITS)(sequence, initial_state=[h, c])
    functional = keras.Model(inputs, outputs)

    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.mask = keras.layers.Masking()
            self.first, self.second = [
                keras.layers.LSTM(
                    UNITS, return_sequences=k == 0, return_state=k == 0, name=f"l{k}"
                )
                for k in (0, 1)
            ]

        def call(self, inputs):
            sequence, *states = self.first(self.mask(inputs))
            return self.second(sequence, initial_state=states)

    x[0, 4:] = 0
    x[1, :2] = 0
    x[2, 1:3] = 0
    subclassed = Subclassed()
    subclassed(x)
    randomize(subclassed)
    functional.set_weights(subclassed.get_weights())
    close(functional(x), subclassed(x))
    # Another length, on the same model.
    close(functional(x[:, :5]), subclassed(x[:, :5]))


@pytest.mark.parametrize("merge_mode", ["concat", "sum", None])
@pytest.mark.parametrize("name", NAMES)
def test_bidirectional(name, merge_mode, x):
    made = [
        keras.layers.Bidirectional(
            getattr(module, name)(UNITS, return_sequences=True), merge_mode=merge_mode
        )
        for module in (keras.layers, layers)
    ]
    for layer in made:
        layer.build(x.shape)
    theirs, ours = made
    randomize(theirs)
    ours.set_weights(theirs.get_weights())
    found = ours(x, mask=MASKS["holes"])
    expected = theirs(x, mask=MASKS["holes"])
    for a, b in zip(keras.tree.flatten(found), keras.tree.flatten(expected)):
        close(a, b)
    assert type(ours.forward_layer) is getattr(layers, name)


def test_time_distributed(x):
    theirs, ours = pair("GRU")
    batch = np.stack([x, 2 * x], axis=1)
    close(
        keras.layers.TimeDistributed(ours)(batch),
        keras.layers.TimeDistributed(theirs)(batch),
    )


@pytest.mark.parametrize("go_backwards", [False, True])
def test_stateful(go_backwards, x):
    theirs, ours = pair("LSTM", stateful=True, go_backwards=go_backwards)
    for start in (0, 2, 4):
        close(ours(x[:, start : start + 2]), theirs(x[:, start : start + 2]))
    for a, b in zip(ours.states, theirs.states):
        close(a, b)
    ours.reset_state()
    assert all(np.all(numpy(s) == 0) for s in ours.states)


def test_foreign_cells_and_stacks_run_in_keras_loop(x):
    for make in (
        lambda: keras.layers.LSTMCell(UNITS),
        lambda: [keras.layers.GRUCell(UNITS), keras.layers.LSTMCell(3)],
        lambda: [cells.GRUCell(UNITS, dropout=0.2, seed=1), cells.LSTMCell(3)],
    ):
        ours, theirs = layers.RNN(make()), keras.layers.RNN(make())
        ours(x), theirs(x)
        randomize(ours)
        theirs.set_weights(ours.get_weights())
        plan = engine.plan(ours)
        assert plan.engine == "step"
        assert "stack" in plan.reason or "not a keras_rnnx cell" in plan.reason
        close(ours(x, mask=MASKS["right"]), theirs(x, mask=MASKS["right"]))
        with engine.force("fused"), pytest.raises(ValueError, match="cannot run"):
            ours(x)


def test_a_stack_with_dropout_trains(x):
    cells_ = [cells.GRUCell(UNITS, dropout=0.2, recurrent_dropout=0.2) for _ in "ab"]
    model = keras.Sequential([keras.Input((STEPS, FEATURES)), layers.RNN(cells_)])
    model.compile("sgd", "mse")
    model.fit(x, np.ones((ROWS, UNITS), "float32"), verbose=0)
    assert not np.allclose(numpy(model(x, training=True)), numpy(model(x)))


def test_dropout_masks_last_a_sequence_and_are_scaled():
    cell = cells.SimpleRNNCell(
        2000,
        activation="linear",
        kernel_initializer="ones",
        recurrent_initializer="zeros",
        dropout=0.25,
        seed=3,
    )
    layer = layers.RNN(cell, return_sequences=True)
    ones = np.ones((1, 3, 2000), "float32")
    first = numpy(layer(ones, training=True))
    # The same inputs are dropped at each step, and the mean is kept.
    np.testing.assert_allclose(first[:, 0], first[:, 2])
    assert abs(first.mean() / 2000 - 1) < 0.05
    assert not np.allclose(first, numpy(layer(ones, training=True)))
    np.testing.assert_allclose(numpy(layer(ones)), 2000, rtol=1e-5)


def test_recurrent_dropout_acts_on_what_the_recurrent_kernel_multiplies():
    cell = cells.SimpleRNNCell(
        1000,
        activation="linear",
        recurrent_initializer=keras.initializers.Identity(),
        recurrent_dropout=0.5,
        use_bias=False,
        seed=3,
    )
    layer = layers.RNN(cell, return_sequences=True)
    layer.build((1, 4, 1))
    layer.cell.kernel.assign(np.ones((1, 1000)))
    impulse = np.array([[[1.0], [0.0], [0.0], [0.0]]], "float32")
    h = numpy(layer(impulse, training=True))[0]
    assert set(np.unique(h[1])) == {0.0, 2.0}
    np.testing.assert_allclose(h[2], h[1] * 2)
    np.testing.assert_allclose(h[3], h[1] * 4)


def test_seeds_reproduce(x):
    made = [layers.GRU(UNITS, dropout=0.5, recurrent_dropout=0.5, seed=5) for _ in "ab"]
    for layer in made:
        layer.build(x.shape)
        randomize(layer)
    a, b = (numpy(layer(x, training=True)) for layer in made)
    np.testing.assert_array_equal(a, b)


def test_directions_draw_their_own_masks():
    layer = keras.layers.Bidirectional(
        layers.SimpleRNN(
            4,
            activation="linear",
            kernel_initializer="ones",
            recurrent_initializer="zeros",
            dropout=0.5,
        ),
        merge_mode=None,
    )
    there, back = layer(np.ones((1, 1, 4000), "float32"), training=True)
    assert numpy(there)[0, 0] != numpy(back)[0, 0]


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_trains(policy, x):
    layer = layers.GRU(UNITS, dtype=policy)
    model = keras.Sequential([keras.Input((STEPS, FEATURES)), layer])
    model.compile("sgd", "mse")
    before = [numpy(v).copy() for v in layer.trainable_variables]
    model.fit(x, np.ones((ROWS, UNITS), "float32"), verbose=0)
    assert layer.compute_dtype == policy.removeprefix("mixed_")
    assert all(v.dtype == "float32" for v in layer.trainable_variables)
    assert any(np.any(numpy(v) != b) for v, b in zip(layer.trainable_variables, before))


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda x: layers.LSTM(-1), "`units`, expected a positive integer, got -1"),
        (lambda x: layers.LSTM(3, drop_out=0.1), "no argument 'drop_out'.*'dropout'"),
        (lambda x: layers.LSTM(3, dropout=1.5), "got 1.5"),
        (lambda x: layers.GRU(3, use_cudnn="yes"), "use_cudnn='yes'"),
        (lambda x: layers.GRU(3, use_cudnn=True)(x), "use_cudnn=True cannot be had"),
        (lambda x: layers.LSTM(3)(x[0]), r"\(batch, time, features\).*\(6, 3\)"),
        (
            lambda x: layers.LSTM(3)(x, initial_state=[np.zeros((4, 3))]),
            r"list of 2 state\(s\) for LSTMCell, received 1",
        ),
        (
            lambda x: layers.GRU(3)(x, initial_state=[np.zeros((4, 2))]),
            r"= \(4, 3\), received shape \(4, 2\)",
        ),
        (
            lambda x: layers.GRU(3)(x, mask=np.ones((4, 5), bool)),
            r"mask must have shape.*\(4, 6\), received shape \(4, 5\)",
        ),
        (
            lambda x: layers.RNN("lstm", 8),
            r"name 'lstm'.*cells\.get\('lstm', units\).*Stack\('lstm', units\)",
        ),
        (lambda x: layers.RNN(["lstm", "gru"]), "name 'lstm'"),
        (
            lambda x: layers.RNN(keras_rnnx.cells.LSTMCell),
            r"class LSTMCell.*as LSTMCell\(units\).*Stack\(LSTMCell, units\)",
        ),
        (
            lambda x: layers.RNN(keras.layers.LSTMCell),
            r"class LSTMCell.*as LSTMCell\(units\)\.",
        ),
        (lambda x: engine.force("fsued").__enter__(), "Did you mean 'fused'"),
    ],
)
def test_bad_input(call, message, x):
    with pytest.raises(ValueError, match=message):
        call(x)


def test_a_forced_engine_ends_with_the_block():
    layer = layers.GRU(3)
    with engine.force("step"):
        assert engine.plan(layer) == engine.Plan("step", "Keras' loop", "forced")
    assert engine.plan(layer).engine == catalogue.BEST


def test_registered_by_name_in_keras():
    for name in layers.__all__:
        registered = keras.saving.get_registered_object(f"keras_rnnx>{name}")
        assert registered is getattr(keras_rnnx.layers, name)


def test_leaky_rnn_at_leak_one_is_a_simple_rnn(x):
    leaky, simple = layers.LeakyRNN(UNITS, leak=1.0), layers.SimpleRNN(UNITS)
    for layer in (leaky, simple):
        layer.build(x.shape)
        randomize(layer)
    close(leaky(x), simple(x))


def test_float64_is_exact_in_the_engine_where_the_equation_is():
    class SoftsignCell(cells.Cell):
        states = ("h",)
        gates = ("a", "b")
        split = ("b",)

        def update(self, state, gate):
            b = gate.x.b * gate.u.b
            return cells.State(h=gate.a / (1 + b * b) + state.h / 2)

    from keras_rnnx.testing.conformance import CASES, _precision, _run

    cell = SoftsignCell(7)
    for case in CASES:
        if case.dtype == "float64":
            with _precision("float64"):
                step, fused = (_run(cell, case, e, 0) for e in ("step", "fused"))
            for name, value in step.items():
                scale = max(1, np.max(np.abs(value)))
                assert np.max(np.abs(value - fused[name])) <= 1e-10 * scale, name


def test_second_derivatives(x):
    """Through the fused engine where the backend can, a clear error elsewhere.

    Small layers on torch's kernels have the fused engine's backward pass.
    """
    layer = layers.GRU(UNITS, activation=ops.tanh)
    layer.build(x.shape)
    randomize(layer)
    found = {}
    for name in engine.ENGINES:
        if engine.refusal(layer, name) is None:
            with engine.force(name):
                found[name] = second(layer, x, name)
    assert {"fused", "step"} <= found.keys()
    if keras.backend.backend() != "torch":
        np.testing.assert_allclose(found["fused"], found["step"], rtol=1e-3, atol=1e-4)


def second(layer, x, name):
    """Gradient of the squared input gradient, for the input."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        x = tf.constant(x)
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                y = tf.reduce_sum(layer(x) ** 2)
            g = tf.reduce_sum(inner.gradient(y, x) ** 2)
        return numpy(outer.gradient(g, x))
    if backend == "jax":
        import jax

        def loss(x):
            with keras.StatelessScope():
                return (layer(x) ** 2).sum()

        return numpy(jax.grad(lambda x: (jax.grad(loss)(x) ** 2).sum())(x))
    import torch

    x = torch.tensor(x, requires_grad=True)
    (g,) = torch.autograd.grad((layer(x) ** 2).sum(), x, create_graph=True)
    if name == "fused":
        with pytest.raises(RuntimeError, match="no second derivatives"):
            (g**2).sum().backward()
        return None
    return numpy(torch.autograd.grad((g**2).sum(), x)[0])


def stack(units):
    return layers.Stack("lstm", units)


@pytest.mark.parametrize("shape", [(3,), (4, 5, 3), (5, None)])
@pytest.mark.parametrize("make", [layers.LSTM, layers.MinGRU, stack])
def test_a_model_for_other_than_sequences_is_refused(make, shape):
    said = re.escape(f"received shape {(None, *shape)}")
    with pytest.raises(ValueError, match=said):
        keras.Sequential([keras.Input(shape), make(4)])


@pytest.mark.parametrize("make", [layers.LSTM, layers.GRU, layers.MinGRU, stack])
def test_a_call_with_other_features_is_refused(make):
    """Before a kernel that may not look is called with them."""
    layer = make(4)
    layer(np.ones((2, 5, 3), "float32"))
    for features in (2, 4):
        with pytest.raises(ValueError, match="expected axis -1 .* to have value 3"):
            layer(np.ones((2, 5, features), "float32"))


def test_lists_of_cells_know_the_length_and_the_seed():
    chrono = keras_rnnx.initializers.Chrono()
    layer = layers.RNN([cells.LSTMCell(4), cells.LSTMCell(4, bias_initializer=chrono)])
    layer.build((None, 50, 3))
    assert layer.cell.cells[1].sequence_length == 50
    x = np.zeros((2, 5, 3), "float32")

    def outputs(**options):
        made = [cells.GRUCell(4, seed=1, kernel_initializer="ones") for _ in range(2)]
        layer = layers.RNN(made, initial_state_noise=0.5, **options)
        layer.build(x.shape)
        for cell in made:
            cell.recurrent_kernel.assign(np.ones((4, 12)))
        return keras.ops.convert_to_numpy(layer(x, training=True))

    np.testing.assert_array_equal(outputs(), outputs())
    assert not np.allclose(outputs(), outputs(go_backwards=True))


@pytest.mark.parametrize("one", [False, True])
def test_the_directions_of_a_wrapper_draw_apart(one):
    def cell():
        return cells.SimpleRNNCell(
            4,
            activation="linear",
            kernel_initializer="ones",
            recurrent_initializer="zeros",
            dropout=0.5,
            seed=1,
        )

    rnn = layers.RNN(cell() if one else [cell(), cell()], return_sequences=True)
    both = keras.layers.Bidirectional(rnn)
    x = np.ones((8, 3, 16), "float32")
    outputs = keras.ops.convert_to_numpy(both(x, training=True))
    assert not np.array_equal(outputs[..., :4], outputs[..., 4:])


@pytest.mark.parametrize("seed", [-1, True, "1", 1.0, 2**32])
@pytest.mark.parametrize("name", ["LSTM", "Embedding"])
def test_a_seed_that_is_none_is_named(name, seed):
    args = (4, 4) if name == "Embedding" else (4,)
    with pytest.raises(ValueError, match="`seed` must be"):
        getattr(layers, name)(*args, seed=seed)


def test_tied_scores_are_of_vectors_of_the_right_width():
    embedding = layers.Embedding(10, 4)
    embedding(np.zeros((2, 3), "int32"))
    message = r"output_dim=4, received shape \(2, 3, 5\)"
    for inputs in (np.zeros((2, 3, 5), "float32"), keras.KerasTensor((2, 3, 5))):
        with pytest.raises(ValueError, match=message):
            embedding(inputs, reverse=True)
