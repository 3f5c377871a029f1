"""keras_rnnx.diagnose: any model and any data, and the model stays as it is."""

import keras
import numpy as np
import pytest
from examined import data, randomize, recorded, rnns

import keras_rnnx
from keras_rnnx import _random, _states, layers
from keras_rnnx.diagnosis import MEASURES, _measures

QUICK = ("gradients", "dynamics", "states", "memory")

LAYERS = {
    "lstm": lambda: layers.LSTM(3),
    "layer norm": lambda: layers.GRU(3, layer_norm=True),
    "linear": lambda: layers.MinGRU(3),
    "window": lambda: layers.QRNN(3),
    "counts": lambda: layers.SLSTM(3),
    "projection": lambda: layers.LSTMP(4, projection_units=3),
    "diagonal": lambda: layers.IndRNN(3),
    "learned start": lambda: layers.LSTM(3, initial_state_trainable=True),
    "both directions": lambda: layers.Bidirectional(layers.GRU(3)),
    "Keras' both": lambda: keras.layers.Bidirectional(keras.layers.LSTM(3)),
    "Keras' GRU": lambda: keras.layers.GRU(3),
    "Keras' stack": lambda: keras.layers.RNN(
        [keras.layers.LSTMCell(3), keras.layers.GRUCell(2)]
    ),
    "Keras' stack of ours": lambda: keras.layers.RNN(
        [keras_rnnx.cells.LSTMCell(3), keras_rnnx.cells.GRUCell(2)]
    ),
    "stack": lambda: layers.Stack("lstm", 3, depth=2, connection="residual"),
    "stack of both": lambda: layers.Stack("gru", 3, depth=2, bidirectional=True),
    "feedback": lambda: layers.Stack("gru", 3, depth=2, gated_feedback=True),
    "backwards": lambda: layers.LSTM(3, go_backwards=True),
    "zeros": lambda: layers.GRU(3, return_sequences=True, zero_output_for_mask=True),
    "monte carlo": lambda: layers.GRU(3, recurrent_dropout=0.5, monte_carlo=True),
}


def functional(layer, steps=6):
    x = keras.Input((steps, 3))
    y = layer(keras.layers.Masking(9.0)(x))
    if len(y.shape) == 3:
        y = keras.layers.GlobalAveragePooling1D()(y)
    return keras.Model(x, keras.layers.Dense(2)(y))


@pytest.mark.cases(4)
@pytest.mark.parametrize("kind", LAYERS)
def test_any_layer_is_measured_as_it_computes(kind):
    keras.utils.set_random_seed(3)
    layer = LAYERS[kind]()
    x, y = data()
    x[1, 4:], x[3, 1:] = 9.0, 9.0
    model = functional(layer)
    model.compile("sgd", "mse")
    if kind != "monte carlo":
        _, outputs, _ = recorded(model, x)
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(outputs),
            keras.ops.convert_to_numpy(model(x)),
            rtol=1e-4,
            atol=1e-5,
        )
    report = keras_rnnx.diagnose(model, x, y, measures=QUICK)
    assert len(report.layers) == len(rnns(model))
    for measured in report.layers.values():
        assert measured.not_measured is None
        assert (measured.length, measured.longest) == (6, 6)
        assert measured.gradients.norms.shape == (6,)
        assert np.isfinite(measured.gradients.norms).all()
        assert np.isfinite(measured.dynamics.exponents).all()
        assert measured.memory is None or np.isfinite(measured.memory.decay).all()
    assert report.layers and str(report)


def test_padding_changes_nothing():
    """Behind the end, in front of the beginning, and none."""
    model = functional(layers.LSTM(4), steps=None)
    model.compile("sgd", "mse")
    randomize(model)
    x, y = data()
    right = np.concatenate([x, np.full((5, 3, 3), 9.0, "float32")], axis=1)
    left = np.concatenate([np.full((5, 3, 3), 9.0, "float32"), x], axis=1)
    reports = [
        keras_rnnx.diagnose(model, each, y, measures=QUICK) for each in (x, right, left)
    ]
    plain, *others = ([*r.layers.values()][0] for r in reports)
    for other in others:
        for found, expected in (
            (other.gradients.norms, plain.gradients.norms),
            (other.dynamics.exponents, plain.dynamics.exponents),
            (other.memory.decay, plain.memory.decay),
            (other.states.dimensions, plain.states.dimensions),
        ):
            np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6)
        assert (other.length, other.longest) == (6, 6)
    for report in reports[1:]:
        assert report.past.exchanged == pytest.approx(reports[0].past.exchanged, 1e-4)


def test_rows_of_unequal_length_count_from_their_own_end():
    model = functional(layers.GRU(4), steps=None)
    model.compile("sgd", "mse")
    x, y = data(samples=2)
    x[1, 4:] = 9.0
    together = keras_rnnx.diagnose(model, x, y, measures="gradients")
    (name,) = together.layers
    alone = []
    for row, steps in ((0, 6), (1, 4)):
        report = keras_rnnx.diagnose(
            model, x[row : row + 1, :steps], y[row : row + 1], measures="gradients"
        )
        # The mean of a loss over two sequences halves each gradient.
        alone.append(report.layers[name].gradients.norms / 2)
    found = together.layers[name].gradients.norms
    np.testing.assert_allclose(found[:4], (alone[0][:4] + alone[1]) / 2, rtol=1e-3)
    np.testing.assert_allclose(found[4:], alone[0][4:], rtol=1e-3)


def test_a_layer_that_reads_backwards_counts_from_its_own_last_step():
    forward, backward = (
        keras.Sequential(
            [
                keras.Input((6, 3)),
                layers.LSTM(4, name="rnn", return_sequences=True, go_backwards=turned),
                keras.layers.Dense(2),
            ]
        )
        for turned in (False, True)
    )
    randomize(forward)
    backward.set_weights(forward.get_weights())
    x, _ = data()
    y = np.random.default_rng(2).normal(size=(5, 6, 2)).astype("float32")
    # The outputs come in the order of the steps as they were read.
    found = []
    for model, sequences in ((forward, x), (backward, x[:, ::-1])):
        model.compile("sgd", "mse")
        recorder, _, (call,) = recorded(model, sequences)
        np.testing.assert_allclose(call.inputs[:, 0], x[0])
        report = keras_rnnx.diagnose(model, sequences, y, measures="gradients")
        found.append(report.layers["rnn"].gradients.whole)
    np.testing.assert_allclose(*found, rtol=1e-4)


def everything(model):
    found = [*model.variables, *_states.variables(model), *model.metrics_variables]
    found += model.optimizer.variables if model.compiled else []
    return [keras.ops.convert_to_numpy(v).tobytes() for v in found]


@pytest.mark.parametrize("y", [True, False])
def test_the_model_stays_as_it_is(y):
    keras.utils.set_random_seed(1)
    x, targets = data(samples=4)
    inputs = keras.Input(batch_shape=(4, 6, 3))
    z = layers.LSTM(3, stateful=True, return_sequences=True, dropout=0.5)(inputs)
    z = keras.layers.Dropout(0.5, seed=1)(z)
    z = keras.layers.BatchNormalization()(z)
    z = layers.Bidirectional(layers.GRU(3, recurrent_dropout=0.3, seed=2))(z)
    model = keras.Model(inputs, [keras.layers.Dense(2)(z), keras.layers.Dense(1)(z)])
    # On JAX, `fit` refuses a layer that is frozen after it was compiled.
    model.layers[1].trainable = False
    model.compile("adam", ["mse", "mae"], metrics=[["mae"], ["mse"]])
    targets = [targets, targets[:, :1]]
    model.fit(x, targets, batch_size=4, verbose=0)
    before, flags = everything(model), [v.trainable for v in model.variables]
    calls = {id(layer): layer.call for layer in rnns(model)}
    random, outputs = _random.get_state(), model.metrics_names
    report = keras_rnnx.diagnose(model, x, targets if y else None)
    assert report.layers and (report.training is None) is not y
    assert everything(model) == before
    assert [v.trainable for v in model.variables] == flags
    assert all("call" not in vars(layer) for layer in rnns(model))
    assert all(layer.call == calls[id(layer)] for layer in rnns(model))
    for a, b in zip(random, _random.get_state()):
        np.testing.assert_array_equal(a, b)
    assert model.metrics_names == outputs
    model.fit(x, targets, batch_size=4, verbose=0)


def test_the_model_stays_as_it_is_where_something_fails(monkeypatch):
    model, (x, y) = functional(layers.LSTM(3)), data()
    model.compile("sgd", "mse")
    model(x)
    before = everything(model)

    def broken(*args):
        raise ArithmeticError("by hand")

    monkeypatch.setattr(_measures.gradients, "measure", broken)
    with pytest.raises(ArithmeticError, match="by hand"):
        keras_rnnx.diagnose(model, x, y)
    with pytest.raises(ValueError, match="`y` does not fit"):
        keras_rnnx.diagnose(model, x, np.zeros((5, 7, 3, 4)))
    assert everything(model) == before
    assert all("call" not in vars(layer) for layer in rnns(model))


def test_a_second_call_gives_the_same():
    model, (x, y) = functional(layers.LSTM(3)), data()
    model.compile("sgd", "mse")
    reports = [keras_rnnx.diagnose(model, x, y, measures=QUICK) for _ in range(2)]
    for a, b in zip(*(r.layers.values() for r in reports)):
        np.testing.assert_array_equal(a.gradients.norms, b.gradients.norms)
        np.testing.assert_array_equal(a.dynamics.exponents, b.dynamics.exponents)


def test_data_sets_tasks_and_weights():
    x = [np.random.default_rng(n).normal(size=(4 + n % 5, 3)) for n in range(40)]
    y = np.arange(40) % 2
    task = keras_rnnx.datasets.Task.from_arrays(x, y)
    model = keras_rnnx.models.for_task(task, cell="gru", units=4)
    task.compile(model)
    batches = task.batches("train", batch_size=8)
    reports = [
        keras_rnnx.diagnose(model, batches, measures=("gradients", "updates")),
        keras_rnnx.diagnose(
            model, task, batch_size=8, measures=("gradients", "updates")
        ),
    ]
    for report in reports:
        assert report.samples == 8 and len(report.training.norms) == 4
        (layer,) = report.layers.values()
        assert len(layer.gradients.norms) == layer.longest
    # A batch of its own as a data set, with weights.
    weighted = [(*batches[0], np.zeros(8, "float32"))]
    report = keras_rnnx.diagnose(model, iter(weighted), measures=("gradients",))
    assert report.loss == 0
    assert not np.any([*report.layers.values()][0].gradients.norms)


def test_a_model_with_a_tagger_and_several_inputs():
    a, b = keras.Input((6, 3), name="a"), keras.Input((2,), name="b")
    z = layers.Stack("lstm", 3, depth=2, return_sequences=True, name="deep")(a)
    z = keras.layers.Concatenate()([z, keras.layers.RepeatVector(6)(b)])
    model = keras.Model({"a": a, "b": b}, keras.layers.Dense(4, "softmax")(z))
    model.compile("adam", "sparse_categorical_crossentropy")
    x, _ = data()
    report = keras_rnnx.diagnose(
        model,
        {"a": x, "b": x[:, 0, :2]},
        np.zeros((5, 6), int),
        measures=("gradients", "memory"),
    )
    assert all(r.gradients.whole is not None for r in report.layers.values())
    assert report.past is not None and len(report.layers) == 2
    with pytest.raises(ValueError, match=r"`x\['a'\]` has shape \(5, 6, 2\)"):
        keras_rnnx.diagnose(model, {"a": x[:, :, :2], "b": x[:, 0, :2]})


def test_what_is_not_measured_is_said():
    class Own(keras.layers.LSTM):
        """A layer with a call of its own."""

        def call(self, sequences, initial_state=None, mask=None, training=False):
            return super().call(2 * sequences, initial_state, mask, training)

    model = keras.Sequential(
        [
            keras.Input((6, 3)),
            Own(3, return_sequences=True, name="own"),
            layers.LSTM(3, batch_norm=True, return_sequences=True, name="normed"),
            layers.LSTM(3, name="last"),
        ]
    )
    report = keras_rnnx.diagnose(model, data()[0], measures=QUICK)
    assert report.layers["own"].not_measured == "Own has a `call` of its own"
    assert "batch_norm" in report.layers["normed"].not_measured
    for name in ("own", "normed"):
        measured = report.layers[name]
        assert measured.gradients.norms.shape == (6,)
        assert measured.states is measured.dynamics is measured.memory is None
    assert report.layers["last"].gradients is not None
    said = [note for note in report.notes if "measured from outside alone" in note]
    assert len(said) == 2 and all("those for its inputs" in note for note in said)
    assert "the model is not compiled" not in " ".join(report.notes)
    assert "`y`" in " ".join(report.notes)


def test_shared_layers_count_all_their_calls():
    shared = layers.GRU(3, name="shared")
    a, b = keras.Input((6, 3)), keras.Input((4, 3))
    model = keras.Model([a, b], keras.layers.Add()([shared(a), shared(b)]))
    model.compile("sgd", "mse")
    x, y = data(outputs=3)
    report = keras_rnnx.diagnose(model, [x, x[:, :4]], y, measures=QUICK)
    (layer,) = report.layers.values()
    assert layer.gradients.norms.shape == (6,) and layer.longest == 6


@pytest.mark.any_backend
def test_errors_name_the_argument():
    model, (x, y) = functional(layers.LSTM(3)), data()
    dense = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    cases = [
        ((dense, x), "`model` has no recurrent layers"),
        ((model, x[:0]), "`x` has no samples"),
        ((model, iter([])), "`x` is a data set without batches"),
        ((model, x[..., :2]), r"`x` has shape \(5, 6, 2\), and the model takes"),
        ((model, [x, x]), "`x` has 2 arrays, and the model takes 1"),
        ((model, x, y[:3]), "`y` has 3 samples, and `x` has 5"),
        ((model, x, None, np.ones(5)), "`sample_weight` weighs the loss"),
        ((model, iter([x]), y), "`x` is a data set"),
    ]
    for arguments, message in cases:
        with pytest.raises(ValueError, match=message):
            keras_rnnx.diagnose(*arguments)
    with pytest.raises(TypeError, match="takes a Keras model, received `model`="):
        keras_rnnx.diagnose(layers.LSTM(3), x)
    for options, message in (
        ({"measures": "gradient"}, "Did you mean 'gradients'"),
        ({"measures": ["updates"]}, "'updates', which needs the loss: there are no"),
        ({"sequences": 0}, "`sequences` must be an integer of at least 1"),
    ):
        with pytest.raises(ValueError, match=message):
            keras_rnnx.diagnose(model, x, **options)
    with pytest.raises(ValueError, match="needs the loss: the model is not compiled"):
        keras_rnnx.diagnose(model, x, y, measures=["updates"])


def test_a_stateful_model_gets_whole_batches():
    model = keras.Sequential(
        [keras.Input(batch_shape=(4, 6, 3)), layers.GRU(3, stateful=True)]
    )
    x, _ = data(samples=9)
    assert keras_rnnx.diagnose(model, x, measures="states").samples == 4
    with pytest.raises(ValueError, match="`x` has batches of 3 samples"):
        keras_rnnx.diagnose(model, x[:3])


def test_few_sequences_of_many_are_measured():
    model, x = functional(layers.GRU(3)), data(samples=40)[0]
    report = keras_rnnx.diagnose(model, x, measures="states", sequences=7)
    assert report.samples == 7
    assert _measures.dynamics.SEQUENCES * _measures.dynamics.STEPS <= 256


@pytest.mark.parametrize("samples, steps", [(1, 6), (5, 1), (1, 1)])
def test_a_batch_that_is_too_small_for_a_measure(samples, steps):
    x, y = data(samples=samples)
    model = functional(layers.LSTM(3, name="lstm"), steps)
    model.compile("sgd", "mse")
    report = keras_rnnx.diagnose(model, x[:, :steps], y)
    assert report.past is None and report.findings == []
    note = "not measured: it takes two sequences of two steps or more"
    assert note in " ".join(report.notes) and note in " ".join(str(report).split())
    measured = report.layers["lstm"]
    assert np.isfinite(measured.gradients.norms).all()
    assert (measured.gradients.factor is None) == (steps == 1)


def test_the_report_prints_and_says_what_it_costs():
    model, (x, y) = functional(layers.LSTM(3, name="lstm")), data()
    model.compile(keras.optimizers.Adam(1e-3, clipnorm=1.0), "mse")
    report = keras_rnnx.diagnose(model, x, y)
    cost = report.layers["lstm"].cost
    (row,) = keras_rnnx.explain(model)
    assert (cost.engine, cost.kernel, cost.reason) == row[2:]
    assert cost.seconds > 0 and cost.share > 0
    text = str(report)
    assert text.splitlines()[0].endswith(f"the loss is {report.loss:.4g}")
    for word in ("lstm", "LSTMCell", "horizon", "clipnorm=1", "last 3 steps"):
        assert word in text
    assert report._repr_html_().startswith("<pre>")
    assert all(len(line) <= 110 for line in text.splitlines())
    assert set(MEASURES) > set(QUICK)
