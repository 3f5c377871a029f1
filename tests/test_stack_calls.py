"""`layers.Stack`: when it is one call of a vendor's kernel, and what is said of it."""

import keras
import pytest
from kernels import ENGINE, installed
from stacks import FEATURES, MASKS, ROWS, STEPS
from tensors import close, numpy
from test_stack_at_once import made, normal

import keras_rnnx
from keras_rnnx import cells, engine, layers
from keras_rnnx.engine import costs

BACKEND = keras.backend.backend()


@pytest.fixture
def calls(monkeypatch):
    return installed(monkeypatch)


@pytest.mark.parametrize(
    ("options", "training", "reason"),
    [
        ({"dropout": 0.5}, True, "dropout=0.5 draws masks between the layers"),
        ({"dropout": 0.5}, False, None),
        ({"units": [4, 5]}, False, "layers with units 4, 5 are not all the same"),
        ({"units": FEATURES, "connection": "residual"}, False, "connection='residual'"),
        ({"units": FEATURES, "connection": "highway"}, False, "connection='highway'"),
        ({"units": FEATURES, "connection": "glu"}, False, "connection='glu'"),
        ({"gated_feedback": True}, False, "gated_feedback=True steps all layers"),
        ({"bidirectional": True, "merge_mode": "sum"}, False, "merge_mode='sum'"),
        ({"bidirectional": True, "depth": 1, "merge_mode": "sum"}, False, None),
        ({"depth": 1}, False, "there is one layer"),
        ({"checkpoint": 2}, True, "checkpoint=2 computes each layer in segments"),
        ({"checkpoint": 2}, False, None),
        ({"recurrent_dropout": 0.5}, True, "lstm_1 runs on the fused engine: recurr"),
        ({"layer_norm": True}, False, "lstm_1 runs on the fused engine: layer_norm"),
        ({"zoneout": 0.1}, False, "lstm_1 runs on the fused engine: zoneout"),
        ({"unroll": True}, False, "lstm_1 runs on the fused engine: unroll"),
        (
            {"cell": cells.LSTMCell(4, dropout=0.5)},
            True,
            "of the cell drops the inputs",
        ),
        ({"cell": cells.LSTMCell(4, dropout=0.5)}, False, None),
        ({"weight_dropout": 0.5}, True, None),
    ],
    ids=str,
)
def test_what_keeps_a_stack_from_it_is_said(options, training, reason, calls):
    options = {"cell": "lstm", "units": 4, **options}
    stack = layers.Stack(**options, return_sequences=True)
    found = stack.plan(training)
    if reason is None:
        assert found.engine == ENGINE and "one call of" in found.kernel
        return
    assert reason in found
    message = "One call of all layers was forced|engine was forced, but cannot"
    with engine.force(ENGINE, True), pytest.raises(ValueError, match=message):
        stack(normal(ROWS, STEPS, FEATURES), training=training)
    assert not calls


@pytest.mark.skipif(BACKEND == "jax", reason="has the LSTM alone")
def test_a_state_that_is_mapped_between_layers_keeps_from_it(calls):
    found = layers.Stack("gru", 4, activation="sigmoid").plan()
    assert "as a gru (state rescaled)" in found and "mapped between layers" in found


def test_a_regularizer_of_the_outputs_of_a_layer_keeps_from_it(calls):
    stack = made()
    stack.layers[0].activity_regularizer = keras.regularizers.L2(0.1)
    assert "the activity regularizer of lstm_1" in stack.plan()
    stack(normal(ROWS, STEPS, FEATURES))
    assert len(calls) == 2 and stack.losses


@pytest.mark.skipif(BACKEND != "torch", reason="layers are modules with hooks there")
def test_hooks_of_a_layer_keep_from_it(calls):
    stack, seen = made(), []
    handle = stack.layers[1].register_forward_hook(lambda *args: seen.append(args))
    assert "hooks of lstm_2" in stack.plan()
    stack(normal(ROWS, STEPS, FEATURES))
    assert len(calls) == 2 and len(seen) == 1
    handle.remove()
    assert stack.plan().engine == ENGINE


def test_explain_shows_one_call_or_why_not(calls):
    model = keras.Sequential(
        [
            keras.Input((STEPS, FEATURES)),
            layers.Stack("lstm", 4, depth=3, return_sequences=True, name="deep"),
            layers.Stack("lstm", 4, dropout=0.5, name="dropped"),
        ]
    )
    deep, *rows = keras_rnnx.explain(model)
    vendor = "torch" if BACKEND == "torch" else "cuDNN"
    kernel = f"{vendor} lstm"
    one = f"{kernel}, one call of 3 layers"
    assert deep == ("deep", "LSTMCell", ENGINE, one, "exact")
    why = "exact; a call for each layer: dropout=0.5 draws masks between the layers"
    for k, row in enumerate(rows, 1):
        assert row[:4] == (f"dropped/level_{k}/lstm_{k}", "LSTMCell", ENGINE, kernel)
        assert row.reason.startswith(why)
    assert len(rows) == 2
    found = keras_rnnx.explain(model, training=False)
    assert [row.layer for row in found] == ["deep", "dropped"]
    with engine.force(ENGINE, at_once=False):
        assert len(keras_rnnx.explain(model)) == 5


def test_a_model_trains_with_one_call_a_step(calls):
    x = normal(8, STEPS, FEATURES)
    model = keras.Sequential(
        [
            layers.Stack("lstm", 8, depth=2, name="deep"),
            keras.layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.Adam(0.03), "mse")
    y = x.sum(axis=(1, 2))[:, None]
    losses = model.fit(x, y, epochs=30, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]
    assert calls and {call for call in calls} == {2}
    with engine.force("step"):
        expected = numpy(model(x))
    close(model.predict(x, verbose=0), expected, 1e-4)


def test_one_call_that_does_not_pay_is_not_made():
    lstm, gru, simple = cells.LSTMCell(200), cells.GRUCell(200), cells.IRNNCell(200)

    def refusal(cell, engine, training=True, batch=8, sorted_rows=False):
        return costs.refusal_at_once(cell, engine, training, batch, sorted_rows)

    assert refusal(lstm, "native") is None
    assert "train more slowly" in refusal(lstm, "native", sorted_rows=True)
    assert refusal(lstm, "native", training=False, sorted_rows=True) is None
    assert "with 8 sequences the derived backward pass" in refusal(gru, "native")
    assert refusal(gru, "native", training=False) is None
    assert refusal(gru, "native", batch=9) is None
    assert refusal(gru, "native", batch=None) is None
    assert refusal(cells.GRUCell(300), "native") is None
    assert refusal(simple, "native") is None
    assert refusal(gru, "cudnn") is None
    assert "on the host" in refusal(gru, "cudnn", sorted_rows=True)


@pytest.mark.skipif(BACKEND != "torch", reason="the kernels of the others know lengths")
def test_a_call_is_chosen_by_what_it_is_given(calls):
    """On torch rows are sorted for last states, and in training that does not pay."""
    stack, x = made(return_state=True), normal(ROWS, STEPS, FEATURES)
    for options, training, count in (
        ({}, True, 1),
        ({"mask": MASKS["holes"]}, True, 2),
        ({"mask": MASKS["holes"]}, False, 1),
    ):
        calls.clear()
        stack(x, training=training, **options)
        assert len(calls) == count
        chosen = stack.plan(training, ROWS, masked="mask" in options)
        assert isinstance(chosen, engine.Plan) == (count == 1)
    calls.clear()
    made()(x, mask=MASKS["holes"], training=True)
    assert len(calls) == 1


def test_forcing_it_takes_a_flag():
    message = "`at_once` must be None, True or False"
    with pytest.raises(ValueError, match=message), engine.force("fused", "all"):
        pass
