"""`layers.Stack`: its arguments, and models that have one."""

import copy

import keras
import numpy as np
import pytest
from stacks import FEATURES, ROWS, STEPS, UNITS, built, random
from tensors import all_close, close, numpy

import keras_rnnx
from keras_rnnx import cells, layers


@pytest.fixture
def x():
    rng = np.random.default_rng(0)
    return rng.normal(size=(ROWS, STEPS, FEATURES)).astype("float32")


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
    "glu": {"cell": "lru", "units": 4, "depth": 3, "connection": "glu"},
    "feedback": {"cell": "lstm", "units": [3, 4], "gated_feedback": True},
    "start": {
        "cell": "lstm",
        "units": 4,
        "initial_state_trainable": True,
        "initial_state_initializer": keras.initializers.RandomNormal(seed=1),
    },
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
    assert copy.deepcopy(config) == config
    assert layers.Stack.from_config(config).get_config() == config
    model.save_weights(tmp_path / "model.weights.h5")
    for variable in loaded.trainable_variables:
        variable.assign(0 * variable)
    loaded.load_weights(tmp_path / "model.weights.h5")
    all_close(loaded(x), found)


@pytest.mark.parametrize("variant", VARIANTS)
def test_models_are_saved_in_the_format_of_old_days(variant, x, tmp_path):
    sequences = variant == "both ways"
    stack = built(**VARIANTS[variant], return_sequences=sequences)
    model = keras.Sequential([keras.Input((None, FEATURES)), stack])
    model.save(tmp_path / "model.h5")
    close(keras.models.load_model(tmp_path / "model.h5")(x), model(x))


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
    assert layers.Stack("LeakyRNN", 4).layers[0].cell.units == 4


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
            "Gated feedback is defined for.*MGUCell",
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
            lambda: layers.Stack("lstm", 4, bidirectional="yes"),
            "`bidirectional`, .*yes",
        ),
        (lambda: layers.Stack("lstm", 4, return_sequences="no"), "`return_sequences`"),
        (lambda: layers.Stack("lstm", 4, stateful=2), "`stateful`, .*got 2"),
        (
            lambda: layers.Stack("lstm", 4, zero_output_for_mask=None),
            "`zero_output_for_mask`",
        ),
        (lambda: layers.Stack("lstm", 4, seed=-1), "`seed` .*received -1"),
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


@pytest.mark.parametrize("options", [{}, {"dropout": 0.5}, {"gated_feedback": True}])
def test_a_stateful_stack_refuses_another_batch_size(options, x):
    stack = layers.Stack("lstm", 4, stateful=True, **options)
    stack(x[:2])
    for rows, training in ((4, False), (1, True)):
        with pytest.raises(ValueError, match=f"of 2 sequences; received {rows} seq"):
            stack(x[:rows], training=training)
    stack(x[:2])
