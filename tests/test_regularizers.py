"""Regularizers: against NumPy, and without what masks hide."""

import json

import keras
import numpy as np
import pytest
from keras import ops
from tensors import numpy

import keras_rnnx
from keras_rnnx import cells, engine, layers, regularizers
from keras_rnnx.regularizers import AR, TAR, NormStabilizer, SequenceRegularizer, Sum

ROWS, STEPS, FEATURES, UNITS = 4, 6, 3, 5
HOLES = np.array(
    [[0, 1, 1, 0, 1, 0], [1, 0, 0, 1, 1, 1], [0] * 6, [0, 0, 0, 0, 0, 1]], bool
)


def number(tensor):
    return float(numpy(tensor))


@pytest.fixture
def x():
    rng = np.random.default_rng(0)
    return rng.normal(size=(ROWS, STEPS, FEATURES)).astype("float32")


def ar(rows):
    """On a list of arrays (steps, units), one for each row, with its valid steps."""
    return np.mean(np.concatenate([row**2 for row in rows]))


def tar(rows):
    return np.mean(np.concatenate([(row[1:] - row[:-1]) ** 2 for row in rows]))


def norms(rows):
    lengths = [np.sqrt(np.sum(row**2, axis=1)) for row in rows]
    return np.mean(np.concatenate([(n[1:] - n[:-1]) ** 2 for n in lengths]))


PENALTIES = {"ar": (AR, ar), "tar": (TAR, tar), "norms": (NormStabilizer, norms)}


@pytest.mark.parametrize("name", PENALTIES)
def test_penalties_are_those_of_the_papers(name):
    make, expected = PENALTIES[name]
    h = np.random.default_rng(1).normal(size=(3, 7, 4)).astype("float32")
    # As a layer adds it: Keras divides by the batch size, from version 3.14 on.
    layer = keras.layers.Activation("linear", activity_regularizer=make(0.7))
    layer(h)
    found = number(layer.losses[0])
    np.testing.assert_allclose(found, 0.7 * expected(list(h)), rtol=1e-5)


def test_default_strengths_are_those_of_the_papers():
    assert (AR().alpha, TAR().beta, NormStabilizer().beta) == (2.0, 1.0, 50.0)


@pytest.mark.parametrize("zero_output", [False, True])
@pytest.mark.parametrize("name", PENALTIES)
def test_masked_steps_and_states_do_not_count(name, zero_output, x):
    make, expected = PENALTIES[name]
    layer = layers.LSTM(
        UNITS,
        return_sequences=True,
        return_state=True,
        zero_output_for_mask=zero_output,
        activity_regularizer=make(0.7),
    )
    outputs, *_ = layer(x, mask=HOLES)
    h = numpy(outputs)
    rows = [h[k][HOLES[k]] for k in range(ROWS)]
    found = sum(map(number, layer.losses))
    np.testing.assert_allclose(found, 0.7 * expected(rows), rtol=1e-5)
    # The mask of one call is not that of the next.
    outputs, *_ = layer(x)
    found = sum(map(number, layer.losses))
    np.testing.assert_allclose(found, 0.7 * expected(list(numpy(outputs))), rtol=1e-5)


@pytest.mark.parametrize("name", PENALTIES)
def test_padding_changes_nothing(name, x):
    layer = layers.GRU(
        UNITS, return_sequences=True, activity_regularizer=PENALTIES[name][0](0.7)
    )
    layer(x)
    (expected,) = layer.losses
    padded = np.concatenate([np.full_like(x, 9), x, np.full_like(x, 7)], axis=1)
    mask = np.repeat([False, True, False], STEPS)[None].repeat(ROWS, axis=0)
    layer(padded, mask=mask)
    (found,) = layer.losses
    np.testing.assert_allclose(number(found), number(expected), rtol=1e-5)


def test_nothing_valid_and_one_step_cost_nothing(x):
    penalties = [AR(), TAR(), NormStabilizer()]
    layer = layers.GRU(UNITS, return_sequences=True, activity_regularizer=penalties)
    layer(x, mask=np.zeros((ROWS, STEPS), bool))
    assert number(layer.losses[0]) == 0
    for penalty in penalties[1:]:
        assert number(penalty(np.ones((2, 1, 3), "float32"))) == 0


def test_masks_from_a_masking_layer_reach_them_in_a_model(x):
    x = x.copy()
    x[~HOLES] = 0
    inputs = keras.Input((None, FEATURES))
    layer = layers.LSTM(
        UNITS, return_sequences=True, activity_regularizer=[AR(2.0), TAR(1.0)]
    )
    outputs = layer(keras.layers.Masking()(inputs))
    model = keras.Model(inputs, outputs)
    h = numpy(model(x))
    rows = [h[k][HOLES[k]] for k in range(ROWS)]
    expected = 2 * ar(rows) + tar(rows)
    assert len(model.losses) == 1
    np.testing.assert_allclose(number(model.losses[0]), expected, rtol=1e-5)
    # Keras counts regularizers in evaluation as in training.
    model.compile(keras.optimizers.SGD(0.0), "mse")
    targets = h + np.where(HOLES, 0.0, 1.0)[..., None]
    evaluated = model.evaluate(x, targets, verbose=0)
    trained = model.fit(x, targets, batch_size=ROWS, verbose=0).history["loss"][0]
    np.testing.assert_allclose([evaluated, trained], expected, rtol=1e-4)


@pytest.mark.parametrize("penalty", [AR(50.0), TAR(200.0), NormStabilizer(200.0)])
def test_they_act_in_training(penalty, x):
    def trained(regularizer):
        keras.utils.set_random_seed(1)
        layer = layers.GRU(
            UNITS, return_sequences=True, activity_regularizer=regularizer
        )
        model = keras.Sequential([keras.Input((STEPS, FEATURES)), layer])
        model.compile(keras.optimizers.Adam(0.03), "mse")
        y = np.sign(np.random.default_rng(2).normal(size=(ROWS, STEPS, UNITS)))
        model.fit(x, y, epochs=30, verbose=0)
        return number(penalty(model(x)))

    assert trained(penalty) < 0.1 * trained(None)


def test_a_state_of_zeros_has_a_gradient(x):
    layer = layers.SimpleRNN(
        UNITS,
        activation="relu",
        kernel_initializer="zeros",
        return_sequences=True,
        activity_regularizer=NormStabilizer(),
    )
    model = keras.Sequential([keras.Input((STEPS, FEATURES)), layer])
    model.compile("sgd", "mse")
    model.fit(x, np.ones((ROWS, STEPS, UNITS)), verbose=0)
    assert all(np.all(np.isfinite(w)) for w in model.get_weights())


def keras_divides_by(rows):
    """What Keras divides a penalty on the outputs of so many rows by."""
    layer = keras.layers.Identity(activity_regularizer=keras.regularizers.L2(1.0))
    layer(np.ones((rows, 1), "float32"))
    return rows / number(layer.losses[0])


def test_half_precision_does_not_overflow():
    h = np.full((2, 300, 8), 200.0, "float16")
    np.testing.assert_allclose(number(AR(1.0)(h)) / keras_divides_by(2), 4e4)


def test_on_other_layers(x):
    dropout = keras.layers.Dropout(0.5, activity_regularizer=AR(2.0))
    dropout(x)
    np.testing.assert_allclose(number(dropout.losses[0]), 2 * np.mean(x**2), rtol=1e-5)
    both = keras.layers.Bidirectional(
        layers.GRU(UNITS, return_sequences=True, activity_regularizer=TAR(1.0)),
        merge_mode=None,
    )
    found = both(x, mask=HOLES)
    rows = [[numpy(h)[k][HOLES[k]] for k in range(ROWS)] for h in found]
    losses = sorted(map(number, both.losses))
    np.testing.assert_allclose(losses, sorted(map(tar, rows)), rtol=1e-5)
    theirs = keras.layers.LSTM(
        UNITS, return_sequences=True, activity_regularizer=Sum(AR(), TAR())
    )
    h = list(numpy(theirs(x)))
    np.testing.assert_allclose(number(theirs.losses[0]), 2 * ar(h) + tar(h), rtol=1e-5)


def test_one_regularizer_in_two_layers_keeps_their_masks_apart(x):
    shared = AR(1.0)
    first, second = (
        layers.GRU(UNITS, return_sequences=True, activity_regularizer=shared)
        for _ in "ab"
    )
    first.build(x.shape)
    # A call that Keras does not follow by one of the regularizer.
    first.call(ops.convert_to_tensor(x), mask=HOLES)
    h = numpy(second(x))
    np.testing.assert_allclose(number(second.losses[0]), np.mean(h**2), rtol=1e-5)


def test_set_after_the_layer_was_made(x):
    layer = layers.GRU(UNITS, return_sequences=True)
    layer.activity_regularizer = [AR(1.0), "l2"]
    h = numpy(layer(x, mask=HOLES))
    rows = [h[k][HOLES[k]] for k in range(ROWS)]
    expected = ar(rows) + 0.01 * np.sum(h**2) / keras_divides_by(ROWS)
    np.testing.assert_allclose(number(layer.losses[0]), expected, rtol=1e-5)
    layer.activity_regularizer = None
    layer(x)
    assert not layer.losses


@pytest.mark.parametrize("gates", [1, 3])
def test_soft_orthogonal(gates):
    u = np.random.default_rng(1).normal(size=(4, 4 * gates)).astype("float32")
    expected = sum(
        np.sum((b.T @ b - np.eye(4)) ** 2) for b in np.split(u, gates, axis=1)
    )
    found = number(regularizers.SoftOrthogonal(0.3)(u))
    np.testing.assert_allclose(found, 0.3 * expected, rtol=1e-5)


@pytest.mark.any_backend
def test_soft_orthogonal_makes_orthogonal(x):
    layer = layers.GRU(
        UNITS,
        recurrent_initializer="glorot_uniform",
        recurrent_regularizer=regularizers.SoftOrthogonal(1.0),
    )
    model = keras.Sequential([keras.Input((STEPS, FEATURES)), layer])
    model.compile(keras.optimizers.Adam(0.03), "mse")
    model.fit(x, np.zeros((ROWS, UNITS)), epochs=80, verbose=0)
    for block in np.split(numpy(layer.cell.recurrent_kernel), 3, axis=1):
        np.testing.assert_allclose(block.T @ block, np.eye(UNITS), atol=0.05)


@pytest.mark.parametrize("weight", ["kernel", "recurrent", "bias"])
def test_per_gate(weight):
    strengths = {"i": 1.0, "f": 2.0, "o": 4.0}
    given = {
        gate: keras.regularizers.L1(strength) for gate, strength in strengths.items()
    }
    given["f"] = keras.regularizers.L2(2.0)
    cell = cells.LSTMCell(
        UNITS,
        bias_initializer=keras.initializers.RandomNormal(),
        **{f"{weight}_regularizer": regularizers.PerGate({**given, "c": None})},
    )
    cell.build((None, FEATURES))
    names = {"kernel": "kernel", "recurrent": "recurrent_kernel", "bias": "bias"}
    value = numpy(getattr(cell, names[weight]))
    i, f, _, o = np.split(value, 4, axis=-1)
    expected = np.sum(np.abs(i)) + 2 * np.sum(f**2) + 4 * np.sum(np.abs(o))
    np.testing.assert_allclose(number(cell.losses[0]), expected, rtol=1e-5)


def test_per_gate_default_and_both_rows_of_a_bias():
    given = {"z": None, "default": keras.regularizers.L2(1.0)}
    cell = cells.GRUCell(
        UNITS, bias_initializer="ones", bias_regularizer=regularizers.PerGate(given)
    )
    cell.build((None, FEATURES))
    np.testing.assert_allclose(number(cell.losses[0]), 2 * 2 * UNITS)


def test_sum_of_penalties_on_weights_knows_the_gates():
    given = Sum(
        regularizers.SoftOrthogonal(1.0),
        regularizers.PerGate({"z": keras.regularizers.L1(1.0)}),
    )
    cell = cells.GRUCell(
        UNITS,
        recurrent_initializer=keras_rnnx.initializers.IdentityRecurrent(2.0),
        recurrent_regularizer=given,
    )
    cell.build((None, FEATURES))
    expected = 3 * UNITS * 9 + 2 * UNITS
    np.testing.assert_allclose(number(cell.losses[0]), expected, rtol=1e-6)


ALL = [
    AR(3.0),
    TAR(0.5),
    NormStabilizer(7.0),
    Sum(AR(3.0), "l2", TAR(0.5)),
    regularizers.SoftOrthogonal(0.2),
    regularizers.PerGate({"f": "l1", "c": None, "default": Sum("l1", "l2")}),
    regularizers.PerGate("l2"),
]


@pytest.mark.parametrize("made", ALL, ids=lambda made: type(made).__name__)
def test_configs_are_complete(made):
    written = json.loads(json.dumps(keras.regularizers.serialize(made)))
    read = keras.regularizers.get(written)
    assert type(read) is type(made)
    assert read.get_config() == made.get_config()


def test_saved_with_a_model(x, tmp_path):
    layer = layers.LSTM(
        UNITS,
        return_sequences=True,
        activity_regularizer=[AR(2.0), NormStabilizer(3.0)],
        recurrent_regularizer=regularizers.PerGate({"f": "l2"}),
    )
    model = keras.Sequential(
        [keras.Input((STEPS, FEATURES)), keras.layers.Masking(), layer]
    )
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    x = x * HOLES[..., None]
    losses = []
    for each in (model, loaded):
        each(x)
        losses.append([number(loss) for loss in each.losses])
    assert len(losses[0]) == 2
    np.testing.assert_allclose(*losses, rtol=1e-6)


def test_a_converted_model_keeps_them(x):
    model = keras.Sequential(
        [
            keras.Input((STEPS, FEATURES)),
            keras.layers.GRU(
                UNITS, return_sequences=True, activity_regularizer=Sum(AR(), TAR())
            ),
        ]
    )
    converted = keras_rnnx.convert(model)
    assert type(converted.layers[0]) is layers.GRU
    model(x), converted(x)
    np.testing.assert_allclose(
        number(converted.losses[0]), number(model.losses[0]), rtol=1e-5
    )


def test_penalties_leave_the_engine_as_it_is():
    plain = layers.LSTM(UNITS, return_sequences=True)
    penalized = layers.LSTM(
        UNITS,
        return_sequences=True,
        activity_regularizer=[AR(), TAR(), NormStabilizer()],
        recurrent_regularizer=regularizers.SoftOrthogonal(),
        kernel_regularizer=regularizers.PerGate("l2"),
    )
    assert engine.plan(plain) == engine.plan(penalized)


def gru(**kwargs):
    layer = layers.GRU(UNITS, **kwargs)
    layer.build((None, STEPS, FEATURES))
    return layer


def last_step_later(x):
    layer = gru(return_sequences=True, activity_regularizer=TAR())
    layer.return_sequences = False
    layer(x)


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda x: layers.GRU(3, activity_regularizer=AR(), name="g"),
            "g: activity_regularizer=AR is.*received return_sequences=False",
        ),
        (lambda x: layers.GRU(3, activity_regularizer=[AR(), TAR()]), r"AR \+ TAR"),
        (last_step_later, "activity_regularizer=TAR"),
        (
            lambda x: keras.layers.GRU(3, activity_regularizer=AR())(x),
            r"AR is a penalty on the outputs of all steps.*\(4, 3\).*return_sequences",
        ),
        (
            lambda x: keras.layers.GRU(
                3,
                return_sequences=True,
                return_state=True,
                activity_regularizer=AR(),
            )(x),
            "return_state=True returns states too",
        ),
        (lambda x: AR(-1), "`alpha` must not be negative, received -1"),
        (lambda x: TAR("a"), "`beta`.*'a'"),
        (lambda x: Sum(), r"received \(\)"),
        (lambda x: Sum(AR(), None), "received .*None"),
        (lambda x: layers.GRU(3, activity_regularizer=["ar"]), "ar"),
        (lambda x: regularizers.SoftOrthogonal(-0.1), "`rate` must not be"),
        (
            lambda x: gru(kernel_regularizer=regularizers.SoftOrthogonal()),
            "SoftOrthogonal is for recurrent kernels.*the kernel of GRUCell",
        ),
        (
            lambda x: gru(kernel_regularizer=regularizers.PerGate({"zz": "l2"})),
            "received the gate 'zz', but GRUCell has the gates z, r, h. Did you mean",
        ),
        (lambda x: regularizers.PerGate("l2")(x[0]), r"cannot recognize.*\(6, 3\)"),
    ],
)
def test_bad_input(call, message, x):
    with pytest.raises(ValueError, match=message):
        call(x)


def test_one_of_ones_own(x):
    class Largest(SequenceRegularizer):
        def penalty(self, outputs, valid):
            assert outputs.shape[-1] == UNITS
            return ops.max(ops.abs(outputs))

    layer = gru(return_sequences=True, activity_regularizer=Largest())
    h = numpy(layer(x, mask=HOLES))
    np.testing.assert_allclose(number(layer.losses[0]), np.abs(h).max(), rtol=1e-6)


def test_all_are_exported():
    made = {type(each).__name__ for each in ALL}
    assert set(regularizers.__all__) == made | {"SequenceRegularizer", "GradientFlow"}
    assert keras_rnnx.regularizers is regularizers


@pytest.mark.parametrize("weight", ["kernel", "recurrent", "bias"])
@pytest.mark.parametrize("given", [AR(), Sum(TAR(), "l2")])
def test_penalties_on_outputs_are_for_no_weight(weight, given):
    layer = layers.LSTM(4, **{f"{weight}_regularizer": given})
    with pytest.raises(ValueError, match="is a penalty on outputs, but was passed for"):
        layer.build((1, 2, 3))


@pytest.mark.parametrize(
    "options",
    [
        {"recurrent_constraint": keras_rnnx.constraints.Orthogonal()},
        {"recurrent_regularizer": regularizers.SoftOrthogonal()},
        {"recurrent_initializer": keras_rnnx.initializers.IdentityRecurrent()},
    ],
    ids=lambda options: next(iter(options)),
)
def test_what_is_for_matrices_is_refused_where_there_are_none(options):
    with pytest.raises(ValueError, match="is for matrices, but IndRNNCell has one"):
        layers.IndRNN(4, **options).build((None, 5, 3))
    with pytest.raises(ValueError, match="MinGRUCell multiplies its state by none"):
        layers.MinGRU(4, **options).build((None, 5, 3))
    layers.MinGRU(4, recurrent_initializer="ones").build((None, 5, 3))
