"""`layers.Stack` in one call of a vendor's kernel: the same numbers."""

import itertools

import keras
import numpy as np
import pytest
from kernels import ENGINE, installed
from stacks import FEATURES, MASKS, ROWS, STEPS, UNITS
from tensors import close, numpy, randomize

from keras_rnnx import engine, layers, testing

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
    randomize(stack)
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
