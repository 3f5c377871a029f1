"""`keras_rnnx.explain`: which engine runs which layer."""

import io

import every
import keras
import pytest
import rich.console
from catalogue import BEST
from keras import layers

import keras_rnnx
from keras_rnnx import engine
from keras_rnnx.engine import force
from keras_rnnx.inspection import expected_engine
from keras_rnnx.inspection.explain import Explained, Explanation

TITLES = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "torch"}


def inputs():
    return keras.Input((5, 3))


def columns(explanation, *names):
    return [tuple(getattr(row, name) for name in names) for row in explanation]


class Block(keras.Layer):
    """Layers in attributes, lists and dicts."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._memory = keras_rnnx.layers.LSTM(4, name="memory")
        self.alias = self._memory
        self.dense = layers.Dense(2)
        self.listed = [layers.GRU(2, name="a"), [keras_rnnx.layers.GRU(2, name="b")]]
        self.named = {"z": (keras_rnnx.layers.SimpleRNN(2, name="c"),)}


class Network(keras.Model):
    """A subclassed model."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.block = Block(name="block")
        self.first = keras_rnnx.layers.LeakyRNN(4, name="first")


def test_every_layer_is_listed_once():
    shared = keras_rnnx.layers.LSTM(3, return_sequences=True, name="shared")
    x = inputs()
    inner = keras.Sequential([inputs(), shared, layers.Dense(3)], name="inner")
    both = keras_rnnx.layers.GRU(2, name="gru")
    both = layers.Bidirectional(both, name="both")
    over_time = layers.TimeDistributed(
        keras_rnnx.layers.RNN(
            [keras_rnnx.cells.LSTMCell(2), layers.GRUCell(2)], name="stack"
        ),
        name="over_time",
    )
    outputs = [
        shared(inner(x)),
        both(x),
        over_time(layers.Reshape((1, 5, 3))(x)),
        layers.SimpleRNN(2, name="keras_layer")(x),
    ]
    model = keras.Model(x, outputs)
    assert sorted(columns(keras_rnnx.explain(model), "layer", "cell", "engine")) == [
        ("both/backward_gru", "GRUCell", BEST),
        ("both/forward_gru", "GRUCell", BEST),
        ("inner/shared", "LSTMCell", BEST),
        ("keras_layer", "SimpleRNNCell", "keras"),
        ("over_time/stack", "StackedRNNCells(LSTMCell, GRUCell)", "step"),
    ]


def test_attributes_lists_and_dicts():
    # Neither is built: plans are made before that.
    assert columns(keras_rnnx.explain(Network()), "layer", "engine") == [
        ("block/memory", BEST),
        ("block/a", "keras"),
        ("block/b", BEST),
        ("block/c", BEST),
        ("first", "fused"),
    ]


def test_layer_alone():
    layer = keras_rnnx.layers.LSTM(4, name="memory")
    plan = keras_rnnx.engine.plan(layer)
    (row,) = keras_rnnx.explain(layer)
    assert row == ("memory", "LSTMCell", plan.engine, plan.kernel, plan.reason)
    assert row.engine == BEST and row.reason


def test_forced_engines():
    model = keras.Sequential(
        [
            inputs(),
            keras_rnnx.layers.LSTM(4, return_sequences=True, name="known"),
            keras_rnnx.layers.RNN(layers.GRUCell(4), name="unknown"),
        ]
    )
    with force("step"):
        forced = keras_rnnx.explain(model)
    assert columns(forced, "engine", "reason") == [("step", "forced")] * 2
    with force("fused"):
        forced = keras_rnnx.explain(model)
    assert columns(forced, "engine") == [("fused",), ("none",)]
    assert "cannot run layer 'unknown'" in forced[1].reason
    assert columns(keras_rnnx.explain(model), "engine") == [(BEST,), ("step",)]


def test_request_that_cannot_be_met_is_shown():
    model = keras.Sequential([keras_rnnx.layers.GRU(4, use_cudnn=True, name="memory")])
    (row,) = keras_rnnx.explain(model)
    assert (row.engine, row.kernel) == ("none", "none")
    assert "use_cudnn=True is not possible for layer 'memory'" in row.reason


class Own(layers.LSTM):
    """A subclass of a layer of Keras."""


def test_layers_of_keras_say_whether_convert_replaces_them():
    reasons = {
        layers.LSTM(2): "replaces it",
        Own(2): "leaves it alone: Own is a subclass",
        layers.ConvLSTM1D(2, 2): "leaves it alone: keras_rnnx has no ConvLSTM1D",
    }
    for layer, reason in reasons.items():
        (row,) = keras_rnnx.explain(layer)
        assert row.engine == "keras"
        assert row.reason.startswith("a Keras layer; keras_rnnx.convert(model) ")
        assert reason in row.reason


def test_converted_model():
    model = keras.Sequential([inputs(), layers.Bidirectional(layers.LSTM(2))])
    assert columns(keras_rnnx.explain(model), "engine") == [("keras",)] * 2
    converted = keras_rnnx.convert(model)
    # On torch both directions are one call.
    assert set(columns(keras_rnnx.explain(converted), "engine")) == {(BEST,)}


def test_shown_as_a_table():
    model = keras.Sequential([layers.GRU(4, name="a<b")])
    shown = keras_rnnx.explain(model)
    for text in (repr(shown), str(shown), shown._repr_html_()):
        for column in ("layer", "cell", "engine", "kernel", "reason"):
            assert column in text
        assert "GRUCell" in text
    assert "a<b" in str(shown) and "a&lt;b" in shown._repr_html_()


@pytest.mark.parametrize("width", [30, 60, 80, 100, 110, 200])
def test_nothing_is_cut_off(width, monkeypatch):
    """Lines are as long as the terminal at most, and hold all words."""
    name = "encoder/with/a/name/of/forty/characters/"
    rows = [
        ("short", "LSTMCell", "fused", "eager loop", "exact"),
        (name, "LeakyRNNCell", "native", "XLA loop, else graph loop", "its " * 20),
    ]
    shown = Explanation(Explained(*row) for row in rows)
    console = rich.console.Console(file=io.StringIO(), width=width)
    console.print(shown)
    lines = console.file.getvalue().splitlines()
    assert all(line[-1] in "+|" and len(line) <= width for line in lines)
    cells = [line.split("|")[1:-1] for line in lines if line[0] == "|"]
    columns = ["".join(parts).replace(" ", "") for parts in zip(*cells)]
    for column, title, *texts in zip(columns, Explained._fields, *rows):
        assert column == "".join([title, *texts]).replace(" ", "")
    monkeypatch.setenv("COLUMNS", str(width))
    assert all(line[-1] in "+|" for line in str(shown).splitlines())


def test_model_without_recurrent_layers():
    shown = keras_rnnx.explain(keras.Sequential([inputs(), layers.Dense(2)]))
    assert len(shown) == 0
    assert str(shown) == "No recurrent layers." and str(shown) in shown._repr_html_()


@pytest.mark.parametrize("given", [None, layers.LSTM, "lstm", [1]])
def test_wrong_argument(given):
    with pytest.raises(TypeError, match="takes a Keras model or layer, received"):
        keras_rnnx.explain(given)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", every.NAMES)
def test_the_expected_engine_is_the_one_that_is_planned(name, training):
    kernel_on = engine.backends.current().kernels()[0]
    device = "GPU" if kernel_on == "cudnn" else "CPU"
    for units in (8, 128):
        cell = keras_rnnx.cells.get(name, units)
        backend = TITLES[keras.backend.backend()]
        found = expected_engine.expected(cell, backend, device, training)
        planned = engine.plan(keras_rnnx.layers.RNN(cell), training)
        assert found.engine == planned.engine
        if found.engine != "fused" or kernel_on or cell.linear:
            assert found.reason == planned.reason
