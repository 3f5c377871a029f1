"""`layers.Bidirectional` is that of Keras, hands masks on, and is one call."""

import keras
import numpy as np
import pytest
from kernels import ENGINE, installed
from pairs import FEATURES, MASKS, ROWS, STEPS, UNITS
from tensors import all_close, arrays, close, numpy, randomize

import keras_rnnx
from keras_rnnx import engine, layers, regularizers, testing

BACKEND = keras.backend.backend()
MODES = ("concat", "sum", "mul", "ave", None)


@pytest.fixture
def calls(monkeypatch):
    return installed(monkeypatch)


def normal(*shape, seed=1):
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype("float32")


def built(layer, seed=0, batch=ROWS, **options):
    """Ours, with random weights."""
    both = layers.Bidirectional(layer, **options)
    both.build((batch, STEPS, FEATURES))
    randomize(both, seed)
    return both


@pytest.mark.parametrize(
    ("kind", "mode"), [*(("ours", mode) for mode in MODES), ("Keras'", "mul")]
)
def test_is_that_of_keras(kind, mode):
    """Around our layers and around Keras', from states that are not zero."""
    module = layers if kind == "ours" else keras.layers
    name = "GRU" if mode == "sum" else "LSTM"
    options = {"return_sequences": mode != "mul", "return_state": True}
    theirs = keras.layers.Bidirectional(
        getattr(keras.layers, name)(UNITS, **options), merge_mode=mode
    )
    theirs.build((ROWS, STEPS, FEATURES))
    randomize(theirs)
    weights = [numpy(weight) for weight in theirs.weights]
    layer = getattr(module, name)(UNITS, **options)
    ours = layers.Bidirectional(layer, merge_mode=mode, weights=weights)
    assert isinstance(ours, keras.layers.Bidirectional)
    x, mask = normal(ROWS, STEPS, FEATURES), MASKS["right"]
    states = [normal(ROWS, UNITS, seed=k) for k in range(2 if name == "GRU" else 4)]
    found = ours(x, initial_state=states, mask=mask)
    expected = theirs(x, initial_state=states, mask=mask)
    assert type(found) is type(expected) is tuple
    all_close(found, expected)
    shapes = [tuple(tensor.shape) for tensor in found]
    assert list(ours.compute_output_shape(x.shape)) == shapes
    inputs = keras.Input((STEPS, FEATURES))
    symbolic = keras.tree.flatten(ours(inputs))
    assert [(ROWS, *tensor.shape[1:]) for tensor in symbolic] == shapes


def front(name):
    options = {"return_sequences": True}
    return {
        "MinGRU": lambda: layers.MinGRU(UNITS, **options),
        "Stack": lambda: layers.Stack("gru", UNITS, depth=2, **options),
        "Bidirectional": lambda: layers.Bidirectional(layers.GRU(UNITS, **options)),
        "around Keras'": lambda: layers.Bidirectional(
            keras.layers.GRU(UNITS, **options)
        ),
    }[name]()


@pytest.mark.parametrize("name", ["MinGRU", "Stack", "Bidirectional", "around Keras'"])
def test_the_mask_reaches_the_layer_behind(name):
    first, second = front(name), layers.LSTM(UNITS)
    model = keras.Sequential([keras.Input((STEPS, FEATURES)), keras.layers.Masking()])
    model.add(first)
    model.add(second)
    randomize(model)
    mask = MASKS["right"]
    x = np.where(mask[..., None], normal(ROWS, STEPS, FEATURES), 0).astype("float32")
    found = model.predict_on_batch(x)
    # A tensor may carry its mask; an array does not.
    outputs = numpy(first(x, mask=mask))
    close(found, second(outputs, mask=mask))
    unmasked = numpy(second(outputs))
    assert np.max(np.abs(found - unmasked)) > 1e-3


def test_masks_are_those_of_the_outputs():
    mask = keras.ops.convert_to_tensor(MASKS["holes"])
    gru = layers.GRU(UNITS, return_sequences=True, return_state=True)
    found = layers.Bidirectional(gru).compute_mask(None, mask)
    assert found[0] is mask and found[1:] == (None, None)
    found = layers.Bidirectional(gru, merge_mode=None).compute_mask(None, [mask, None])
    assert found[0] is mask and found[1] is mask and found[2:] == (None, None)
    assert layers.Bidirectional(layers.GRU(UNITS)).compute_mask(None, mask) is None


def test_files_and_configs(tmp_path):
    """Of ours and of Keras', which has the same weights by the same names."""
    options = {"return_sequences": True, "dropout": 0.1, "seed": 3}
    theirs = keras.layers.Bidirectional(
        keras.layers.LSTM(UNITS, **options), merge_mode="ave", name="both"
    )
    inputs = keras.Input((STEPS, FEATURES))
    theirs_model = keras.Model(inputs, theirs(inputs))
    randomize(theirs)
    again = layers.Bidirectional.from_config(theirs.get_config())
    assert type(again.forward_layer) is keras.layers.LSTM
    again.build((None, STEPS, FEATURES))
    inputs = keras.Input((STEPS, FEATURES))
    ours = layers.Bidirectional(
        layers.LSTM(UNITS, **options), merge_mode="ave", name="both"
    )
    model = keras.Model(inputs, ours(inputs))
    theirs_model.save_weights(tmp_path / "their.weights.h5")
    model.load_weights(tmp_path / "their.weights.h5")
    x = normal(ROWS, STEPS, FEATURES)
    close(model(x), theirs_model(x))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    layer = loaded.get_layer("both")
    assert type(layer) is layers.Bidirectional
    assert type(layer.backward_layer) is layers.LSTM
    assert layer.merge_mode == "ave" and layer.backward_layer.go_backwards
    assert layer.backward_layer.get_config() == ours.backward_layer.get_config()
    close(loaded(x), model(x), 1e-6)


@pytest.mark.parametrize("mode", ["mul", None])
def test_one_call_of_a_kernel_is_two_of_the_fused_engine(mode, calls):
    """Outputs, states and all gradients, behind a mask with holes."""
    layer = layers.LSTM(UNITS, return_sequences=mode != "mul", return_state=True)
    both = built(layer, merge_mode=mode)
    x, mask = normal(ROWS, STEPS, FEATURES), MASKS["holes"]
    states = [normal(ROWS, n, seed=k) for k, n in enumerate(both.state_size)]
    shapes = both.compute_output_shape(x.shape)
    cotangents = [normal(*shape, seed=20 + k) for k, shape in enumerate(shapes)]

    def values(*way):
        def call(x, *states):
            with engine.force(*way):
                return both(x, initial_state=list(states), mask=mask, training=True)

        variables = both.trainable_variables
        found = testing.gradients(call, [x, *states], variables, cotangents)
        return [*found[0], *found[1]]

    expected = values("fused")
    assert not calls
    found = values(ENGINE, True)
    assert calls == [2]
    all_close(found, expected)


def test_explain_shows_one_call_or_why_there_are_two(calls):
    both = layers.Bidirectional(layers.LSTM(UNITS, name="memory"), name="both")
    with engine.force(ENGINE):
        (row,) = keras_rnnx.explain(both)
    assert row.layer == "both" and row.cell == "LSTMCell" and row.engine == ENGINE
    assert "one call of 1 layer, both directions" in row.kernel
    other = layers.LSTM(UNITS, go_backwards=True, name="other")
    both = layers.Bidirectional(layers.LSTM(2 * UNITS), backward_layer=other)
    with engine.force(ENGINE):
        rows = keras_rnnx.explain(both)
        assert "units 10, 5 are not all the same" in both.plan()
    assert len(rows) == 2
    assert all("a call for each direction: layers with units" in r.reason for r in rows)


def test_layers_of_unequal_widths():
    """With states that differ in number, too."""
    forward = layers.LSTM(UNITS, return_state=True)
    back = layers.GRU(3, return_state=True, go_backwards=True)
    both = built(forward, backward_layer=back)
    x = normal(ROWS, STEPS, FEATURES)
    states = [normal(ROWS, n, seed=k) for k, n in enumerate((UNITS, UNITS, 3))]
    found = both(x, initial_state=states)
    assert both.state_size == [UNITS, UNITS, 3]
    there = both.forward_layer(x, initial_state=states[:2])
    back = both.backward_layer(x, initial_state=states[2:])
    merged = keras.ops.concatenate([there[0], back[0]], axis=-1)
    all_close(found, [merged, *there[1:], *back[1:]])
    shapes = [tuple(tensor.shape) for tensor in found]
    assert list(both.compute_output_shape(x.shape)) == shapes
    with pytest.raises(ValueError, match="3 states, 2 for forward_lstm.* received 2"):
        both(x, initial_state=states[:2])
    both = layers.Bidirectional(
        layers.GRU(4), backward_layer=layers.GRU(3, go_backwards=True), merge_mode="sum"
    )
    with pytest.raises(ValueError, match="'sum' needs outputs of one width, received"):
        both(x)


def test_a_layer_that_reads_from_the_end_first():
    """Outputs, and with them the mask, then come from the end."""
    back = layers.GRU(UNITS, return_sequences=True, go_backwards=True)
    there = layers.GRU(UNITS, return_sequences=True)
    both = built(back, backward_layer=there)
    x, mask = normal(ROWS, STEPS, FEATURES), MASKS["holes"]
    outputs = numpy(both(x, mask=mask))
    found = numpy(both.compute_mask(None, keras.ops.convert_to_tensor(mask)))
    np.testing.assert_array_equal(np.any(outputs != 0, axis=-1), found)
    close(outputs[..., :UNITS], both.forward_layer(x, mask=mask))
    expected = keras.ops.flip(both.backward_layer(x, mask=mask), axis=1)
    close(outputs[..., UNITS:], expected)


@pytest.mark.parametrize("way", ["one call", "two"])
def test_stateful_in_pieces_is_the_whole(way, calls):
    force = (ENGINE, True) if way == "one call" else ("fused",)
    options = {"return_sequences": True, "return_state": True}
    whole = built(layers.LSTM(UNITS, **options))
    parts = built(layers.LSTM(UNITS, **options, stateful=True))
    x, states = normal(ROWS, STEPS, FEATURES), None
    for piece in (x[:, :2], x[:, 2:]):
        with engine.force(*force):
            outputs, *last = parts(piece)
        with engine.force("fused"):
            expected, *states = whole(piece, initial_state=states)
        close(outputs, expected)
        all_close([*last, *parts.states], [*states, *states])
    assert bool(calls) == (way == "one call")
    with pytest.raises(ValueError, match="Bidirectional continues from .* 2 sequences"):
        parts(x[:2])
    parts.reset_state()
    assert not any(np.any(state) for state in arrays(parts.states))


@pytest.mark.parametrize(
    "cell",
    [keras_rnnx.cells.SimpleRNNCell, keras.layers.SimpleRNNCell],
    ids=["ours", "Keras'"],
)
def test_directions_draw_other_masks_from_one_seed(cell):
    module = keras.layers if cell is keras.layers.SimpleRNNCell else layers
    cell = cell(
        4,
        activation="linear",
        kernel_initializer="ones",
        recurrent_initializer="zeros",
        dropout=0.5,
        seed=1,
    )
    x = np.ones((1, 1, 4000), "float32")
    both = layers.Bidirectional(module.RNN(cell), merge_mode=None)
    first, second = arrays(both(x, training=True))
    assert first[0, 0] != second[0, 0]
    again = layers.Bidirectional.from_config(both.get_config())
    np.testing.assert_array_equal(arrays(again(x, training=True)), [first, second])


def test_a_penalty_on_all_steps_leaves_out_masked_ones():
    mask = MASKS["right"][1:3]
    x = normal(2, STEPS, FEATURES)
    both = built(
        layers.GRU(UNITS, return_sequences=True),
        batch=2,
        activity_regularizer=[regularizers.AR(1.0)],
    )
    both(x, mask=mask)
    found = numpy(both.losses[0])
    outputs = numpy(both(x, mask=mask))[mask]
    assert found > 0
    close(found, regularizers.AR(1.0)(outputs[np.newaxis]))


def test_convert_makes_it_of_keras():
    inputs = keras.Input((STEPS, FEATURES))
    lstm = keras.layers.LSTM(UNITS, return_sequences=True)
    x = keras.layers.Masking()(inputs)
    x = keras.layers.Bidirectional(lstm, merge_mode="sum", name="both")(x)
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling1D()(x))
    randomize(model)
    converted = keras_rnnx.convert(model)
    both = converted.get_layer("both")
    assert type(both) is layers.Bidirectional
    assert type(both.forward_layer) is type(both.backward_layer) is layers.LSTM
    x = normal(ROWS, STEPS, FEATURES)
    close(converted(x), model(x))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.Bidirectional("lstm"), "must be a recurrent layer .* 'lstm'"),
        (lambda: layers.Bidirectional(keras.layers.Dense(4)), "received Dense"),
        (
            lambda: layers.Bidirectional(keras_rnnx.cells.LSTMCell(4)),
            r"received LSTMCell. Pass RNN\(layer\)",
        ),
        (
            lambda: layers.Bidirectional(
                layers.LSTM(4), backward_layer=keras.layers.Dense(4)
            ),
            "`backward_layer` must be a recurrent layer",
        ),
        (lambda: layers.Bidirectional(layers.LSTM(4), merge_mode="max"), "merge mode"),
        (
            lambda: layers.Bidirectional(layers.LSTM(4), backward_layer=layers.LSTM(4)),
            "different `go_backwards`",
        ),
        (
            lambda: built(layers.LSTM(4), weights=[np.ones((3, 16))]),
            "list of 6 arrays, 3 of them for forward_lstm.* received 1",
        ),
        (
            lambda: layers.Bidirectional(
                layers.LSTM(4, return_sequences=True),
                merge_mode=None,
                activity_regularizer=regularizers.AR(1.0),
            ),
            "merge_mode=None, which gives two",
        ),
    ],
)
def test_refusals(make, message):
    with pytest.raises(ValueError, match=message):
        make()
