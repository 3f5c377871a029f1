"""`layers.Stack` in one call of a vendor's kernel: the same numbers, and when."""

import itertools

import keras
import numpy as np
import pytest
from kernels import ENGINE, installed
from stacks import FEATURES, MASKS, ROWS, STEPS, UNITS, close, numpy

import keras_rnnx
from keras_rnnx import cells, engine, layers, testing
from keras_rnnx.engine import costs

BACKEND = keras.backend.backend()
# Cells by the lowering that they have: the kernel itself, gates in another order, tied
# or held.
NAMES = {
    "torch": ["lstm", "gru", "simple_rnn", "irnn", "cifg", "ugrnn", "leaky_rnn"],
    "tensorflow": ["lstm", "gru", "irnn", "cifg"],
    "jax": ["lstm", "cifg"],
}[BACKEND]
PRECISIONS = {"float32": 1e-5} | ({"float64": 1e-10} if BACKEND == "torch" else {})


@pytest.fixture
def calls(monkeypatch):
    return installed(monkeypatch)


def made(name="lstm", depth=2, **options):
    stack = layers.Stack(name, UNITS, depth=depth, return_sequences=True, **options)
    stack.build((ROWS, STEPS, FEATURES))
    rng = np.random.default_rng(0)
    for variable in stack.trainable_variables:
        variable.assign(0.5 * rng.normal(size=variable.shape))
    return stack


def normal(*shape, seed=1, dtype="float32"):
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(dtype)


def values(stack, mask, way, training=True):
    """Outputs, states and all gradients of a stack with `return_state`."""
    dtype = stack.compute_dtype
    x = normal(ROWS, STEPS, FEATURES, dtype=dtype)
    states = [
        normal(ROWS, n, seed=k, dtype=dtype) for k, n in enumerate(stack.state_size)
    ]
    shapes = stack.compute_output_shape(x.shape)
    cotangents = [normal(*s, seed=20 + k) for k, s in enumerate(shapes)]

    def call(x, *states):
        with engine.force(*way):
            return stack(x, initial_state=list(states), mask=mask, training=training)

    found = testing.gradients(call, [x, *states], stack.trainable_variables, cotangents)
    return [*found[0], *found[1]]


def same(found, expected, tolerance):
    for ours, theirs in zip(found, expected, strict=True):
        scale = max(1.0, np.max(np.abs(theirs)))
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * scale)


WAYS = {
    "forward": {},
    "backward": {"go_backwards": True},
    "both ways": {"bidirectional": True},
}
CASES = [
    *itertools.product(NAMES, WAYS, MASKS, [True]),
    *itertools.product(NAMES[:2], WAYS, ["none", "holes"], [False]),
]
DEPTH = 3
if BACKEND != "torch":
    # Every case is traced and compiled, in both ways.
    CASES = [
        *((name, "both ways", "holes", True) for name in NAMES),
        ("lstm", "backward", "holes", True),
        ("lstm", "forward", "none", True),
        ("lstm", "both ways", "none", False),
        (NAMES[1], "forward", "holes", False),
    ]
    DEPTH = 2


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize(("name", "way", "mask", "sequences"), CASES)
def test_outputs_states_and_gradients_are_those_layer_by_layer(
    name, way, mask, sequences, dtype, calls
):
    """From states that are not zero, with different weights everywhere."""
    stack = layers.Stack(
        name,
        UNITS,
        depth=DEPTH,
        return_sequences=sequences,
        return_state=True,
        dtype=dtype,
        **WAYS[way],
    )
    stack.build((ROWS, STEPS, FEATURES))
    for k, variable in enumerate(stack.trainable_variables):
        variable.assign(0.5 * normal(*variable.shape, seed=k))
    mask = MASKS[mask]
    expected = values(stack, mask, ("fused",))
    assert not calls
    found = values(stack, mask, (ENGINE, True))
    assert len(calls) == 1
    same(found, expected, PRECISIONS[dtype])


@pytest.mark.parametrize("zero", [False, True])
@pytest.mark.parametrize("name", NAMES if BACKEND == "torch" else ["lstm"])
def test_without_states_rows_need_not_end(name, zero, calls):
    """What follows the end of a row reaches no output and no gradient, NaN neither."""
    options = {"zero_output_for_mask": zero}
    stack, mask = made(name, **options), MASKS["holes"]
    x, cotangent = normal(ROWS, STEPS, FEATURES), normal(ROWS, STEPS, UNITS, seed=2)
    dirty = np.where(mask[..., None], x, np.float32("nan"))

    def run(x, *way):
        def call(x):
            with engine.force(*way):
                return [stack(x, mask=mask, training=True)]

        variables = stack.trainable_variables
        found = testing.gradients(call, [x], variables, [cotangent])
        return [*found[0], *found[1]]

    expected = run(np.where(mask[..., None], x, 0), "fused")
    found = run(dirty, ENGINE, True)
    assert len(calls) == 1
    same(found, expected, 1e-5)


@pytest.mark.skipif(BACKEND == "jax", reason="has the LSTM in float32 alone")
def test_half_precision(calls):
    dtype = {"torch": "bfloat16", "tensorflow": "float16"}.get(BACKEND)
    stack = made("gru", dtype=f"mixed_{dtype}", bidirectional=True)
    x, mask = normal(ROWS, STEPS, FEATURES), MASKS["holes"]
    found = {}
    for way in ((ENGINE, True), ("step",)):
        with engine.force(*way):
            y = stack(x, mask=mask)
        assert keras.backend.standardize_dtype(y.dtype) == dtype
        found[way[0]] = numpy(keras.ops.cast(y, "float32"))
    assert len(calls) == 1
    close(found[ENGINE], found["step"], 0.05)


@pytest.mark.skipif(BACKEND == "jax", reason="has the LSTM in float32 alone")
def test_one_layer_in_both_directions_merges_them_in_any_way(calls):
    for mode in ("sum", "mul", "ave", "concat"):
        stack = made("gru", depth=1, bidirectional=True, merge_mode=mode)
        x = normal(ROWS, STEPS, FEATURES)
        with engine.force("fused"):
            expected = stack(x, mask=MASKS["holes"])
        calls.clear()
        with engine.force(ENGINE, at_once=True):
            close(stack(x, mask=MASKS["holes"]), expected)
        assert len(calls) == 1


def test_dropout_of_weights_inputs_and_outputs_draws_the_same_masks(calls):
    options = {"input_dropout": 0.3, "output_dropout": 0.3, "seed": 4}
    options |= {"weight_dropout": 0.5, "input_weight_dropout": 0.2}
    x, found = normal(ROWS, STEPS, FEATURES), {}
    for at_once in (True, False):
        stack = made("lstm", **options)
        calls.clear()
        with engine.force(ENGINE, at_once):
            found[at_once] = numpy(stack(x, training=True))
        assert len(calls) == (1 if at_once else 2)
    close(found[True], found[False])
    assert np.any(found[True] != numpy(stack(x)))


@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_stateful_stack_in_pieces_is_the_whole(bidirectional, calls):
    both = {"bidirectional": bidirectional}
    stateful, x = made(**both, stateful=True), normal(ROWS, STEPS, FEATURES)
    plain = made(**both, return_state=True)
    states = None
    for part in (x[:, :2], x[:, 2:]):
        with engine.force(ENGINE, at_once=True):
            calls.clear()
            output = stateful(part)
            assert len(calls) == 1
        with engine.force("fused"):
            expected, *states = plain(part, initial_state=states)
        close(output, expected)
        for kept, state in zip(stateful.states, states, strict=True):
            close(kept, state)


@pytest.mark.skipif(BACKEND == "jax", reason="a traced function assigns no states")
def test_a_stateful_stack_trains_through_its_states(calls):
    """On torch states that are kept in place are wanted in the backward pass too."""
    stack = made(stateful=True)
    x = normal(ROWS, STEPS, FEATURES)
    cotangent = normal(ROWS, STEPS, UNITS, seed=2)

    def run(*way):
        stack.reset_state()

        def call(x):
            with engine.force(*way):
                return [stack(x, training=True) + stack(x, training=True)]

        variables = stack.trainable_variables
        found = testing.gradients(call, [x], variables, [cotangent])
        return [*found[0], *found[1]]

    same(run(ENGINE, True), run("fused"), 1e-5)
    assert calls


def test_learned_initial_states_with_noise(calls):
    options = {"initial_state_trainable": True, "initial_state_noise": 0.5, "seed": 3}
    x, found = normal(ROWS, STEPS, FEATURES), {}
    for at_once in (True, False):
        stack = made("lstm", **options)
        with engine.force(ENGINE, at_once):
            found[at_once] = numpy(stack(x, training=True)), numpy(stack(x))
    for one, other in zip(found[True], found[False]):
        close(one, other)
    assert np.max(np.abs(found[True][0] - found[True][1])) > 1e-3


@pytest.mark.parametrize(
    ("options", "training", "reason"),
    [
        ({"dropout": 0.5}, True, "dropout=0.5 draws masks between the layers"),
        ({"dropout": 0.5}, False, None),
        ({"units": [4, 5]}, False, "layers with units 4, 5 are not all the same"),
        ({"units": FEATURES, "connection": "residual"}, False, "connection='residual'"),
        ({"units": FEATURES, "connection": "highway"}, False, "connection='highway'"),
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
    assert "train slower" in refusal(lstm, "native", sorted_rows=True)
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
