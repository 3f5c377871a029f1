"""Output layers that start at how often each label occurs."""

import keras
import keras_tuner
import numpy as np
import pytest
from tensors import numpy

from keras_rnnx import initializers, models
from keras_rnnx.datasets import Task
from keras_rnnx.tuner import HyperRNN

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 6, 3)).astype("float32")
RARE = (RNG.uniform(size=(40, 6, 4)) < [0.5, 0.1, 0.02, 0.9]).astype("float32")
CLASSES = RNG.choice(3, p=[0.7, 0.2, 0.1], size=(40, 6))
TASKS = {
    "classification": Task.from_arrays(X, CLASSES[:, 0]),
    "regression": Task.from_arrays(X, X[:, 0] + [1, -2, 3], kind="regression"),
    "tagging": Task.from_arrays(list(X), list(CLASSES), kind="tagging"),
    "next_step": Task.from_arrays(list(RARE), kind="next_step"),
}


@pytest.mark.parametrize(
    ("activation", "rates"),
    [
        ("sigmoid", [0.5, 0.01, 0.93]),
        ("softmax", [0.7, 0.25, 0.05]),
        ("linear", [-3.0, 0.0, 8.5]),
    ],
)
def test_a_layer_that_reads_zeros_answers_them(activation, rates):
    made = initializers.BaseRates(rates, activation)
    layer = keras.layers.Dense(3, activation, bias_initializer=made)
    again = keras.layers.Dense.from_config(layer.get_config())
    for one in (layer, again):
        found = numpy(one(np.zeros((2, 5), "float32")))
        np.testing.assert_allclose(found, [rates] * 2, rtol=1e-5)


def by_hand(kind):
    """Counted with loops, each label once more than it occurs."""
    x, y = TASKS[kind].train
    if kind == "regression":
        return sum(np.asarray(row, "float64") for row in y) / len(y)
    if kind == "next_step":
        frames = [frame for roll in y for frame in roll]
        return [(sum(f[k] for f in frames) + 1) / (len(frames) + 2) for k in range(4)]
    labels = [int(c) for row in y for c in np.ravel(row)]
    return [(labels.count(c) + 1) / (len(labels) + 3) for c in range(3)]


@pytest.mark.parametrize("kind", TASKS)
def test_models_start_there(kind, tmp_path):
    """Where the output layer reads nothing; saved and loaded too."""
    task, path = TASKS[kind], tmp_path / "model.keras"
    model = models.for_task(task, cell="gru", units=4, base_rates=task.base_rates)
    model.save(path)
    x = np.stack(list(task.test.x))
    for one in (model, keras.models.load_model(path)):
        head = one.layers[-1]
        head.kernel.assign(0 * head.kernel)
        found = numpy(one(x))
        expected = np.broadcast_to(by_hand(kind), found.shape)
        np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.any_backend
def test_which_models_do_so_by_themselves():
    """Those of rare labels, of a search too, unless `base_rates` says otherwise."""

    def bias(model):
        return numpy(model.layers[-1].bias)

    for kind, task in TASKS.items():
        rare = kind == "next_step"
        model = models.for_task(task, cell="gru", units=4)
        searched = HyperRNN.for_task(task, cells=["gru"], preset="quick")
        drawn = searched.build(keras_tuner.HyperParameters())
        for one in (model, drawn):
            assert np.any(bias(one)) == rare
            if rare:
                rates = np.array(by_hand(kind))
                logits = np.log(rates / (1 - rates))
                np.testing.assert_allclose(bias(one), logits, rtol=1e-5)
    off = models.for_task(TASKS["next_step"], cell="gru", units=4, base_rates=None)
    assert not np.any(bias(off))


@pytest.mark.any_backend
def test_a_language_model_and_a_crf_start_there():
    rates = np.array([0.5, 0.3, 0.15, 0.05])
    for model in (
        models.language_model(4, units=3, base_rates=rates),
        models.tagger(4, features=2, units=3, head="crf", base_rates=rates),
    ):
        found = numpy(model.get_layer("scores").bias)
        np.testing.assert_allclose(found, np.log(rates), rtol=1e-6)
    text = Task.from_text("abacabaaca" * 20)
    letters = list(text.train.x)
    counts = [letters.count(k) + 1 for k in range(text.outputs)]
    np.testing.assert_allclose(text.base_rates, np.array(counts) / sum(counts))


@pytest.mark.any_backend
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: initializers.BaseRates([0.2], "tanh"), "activation.*'tanh'"),
        (lambda: initializers.BaseRates([0.0, 0.3]), r"above 0 .*\(count \+ 1\)"),
        (lambda: initializers.BaseRates([np.nan], "linear"), "a number, or one for"),
        (lambda: initializers.BaseRates([[0.1]]), "a number, or one for each"),
        (lambda: initializers.BaseRates([0.1, 0.2])((3,)), r"2 rates.*\(3,\)"),
        (
            lambda: models.classifier(3, features=2, base_rates=[0.5, 0.5]),
            r"one number for each of 3 outputs, received the shape \(2,\)",
        ),
        (
            lambda: models.language_model(2, tied=True, base_rates=[0.5, 0.5]),
            "`base_rates`.*tied=True",
        ),
        (
            lambda: HyperRNN((9,), tokens=5, kind="ctc", classes=2, base_rates=[0.5]),
            "`base_rates` are not for models of kind 'ctc'",
        ),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
