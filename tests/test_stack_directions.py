"""`layers.Stack` is layers stacked by hand: forward, backward, both ways, in pieces."""

import keras
import numpy as np
import pytest
from stacks import FEATURES, MASKS, NAMES, ROWS, STEPS, UNITS, built, by_hand, random
from tensors import all_close, close, numpy, randomize

import keras_rnnx
from keras_rnnx import cells, layers


@pytest.fixture
def x():
    rng = np.random.default_rng(0)
    return rng.normal(size=(ROWS, STEPS, FEATURES)).astype("float32")


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("options", [{}, {"zero_output_for_mask": True}], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_is_keras_layers_stacked_by_hand(name, options, mask, x):
    stack = built(name, [4, 5, 6], return_sequences=True, return_state=True, **options)
    mask = MASKS[mask]
    all_close(stack(x, mask=mask), by_hand(stack, name, x, mask))


@pytest.mark.parametrize("name", NAMES)
def test_states_and_last_output_are_those_of_layers_by_hand(name, x):
    stack = built(name, 5, depth=3, return_state=True)
    assert len(stack.layers) == 3
    states = [random(ROWS, n, seed=k) for k, n in enumerate(stack.state_size)]
    found = stack(x, initial_state=states, mask=MASKS["right"])
    layered = stack.states_by_layer(states)
    all_close(found, by_hand(stack, name, x, MASKS["right"], layered))
    assert [len(row) for row in layered] == [2 if name == "lstm" else 1] * 3


@pytest.mark.parametrize("feedback", [False, True])
def test_backwards_is_the_sequence_turned_round(feedback, x):
    options = {"return_sequences": True, "return_state": True}
    options["gated_feedback"] = feedback
    there = built("gru", [4, 5], **options)
    back = built("gru", [4, 5], go_backwards=True, **options)
    back.set_weights(there.get_weights())
    mask = MASKS["holes"]
    all_close(back(x[:, ::-1].copy(), mask=mask[:, ::-1].copy()), there(x, mask=mask))
    np.testing.assert_array_equal(
        numpy(back.compute_mask(x, keras.ops.convert_to_tensor(mask))[0]),
        mask[:, ::-1],
    )


@pytest.mark.parametrize(
    ("name", "merge_mode"),
    [
        *((name, "concat") for name in NAMES),
        *(("gru", m) for m in ("sum", "mul", "ave")),
    ],
)
def test_bidirectional_is_that_of_keras(name, merge_mode, x):
    def wrap(layer):
        return keras.layers.Bidirectional(layer, merge_mode=merge_mode)

    options = {"bidirectional": True, "merge_mode": merge_mode, "return_state": True}
    for sequences, mask in ((True, "holes"), (False, "right")):
        stack = built(name, [4, 5], return_sequences=sequences, **options)
        mask = MASKS[mask]
        all_close(stack(x, mask=mask), by_hand(stack, name, x, mask, wrap=wrap))
    states = [random(ROWS, n, seed=k) for k, n in enumerate(stack.state_size)]
    found = stack(x, initial_state=states)
    layered = stack.states_by_layer(states)
    all_close(found, by_hand(stack, name, x, None, layered, wrap))


def test_a_stack_in_keras_bidirectional(x):
    wrapped = keras.layers.Bidirectional(
        layers.Stack("gru", [4, 5], return_sequences=True, connection=None)
    )
    wrapped.build(x.shape)
    mask = MASKS["holes"]
    there, back = wrapped.forward_layer, wrapped.backward_layer
    expected = [
        there(x, mask=mask),
        keras.ops.flip(back(x, mask=mask), axis=1),
    ]
    found = wrapped(x, mask=mask)
    close(found, np.concatenate([numpy(e) for e in expected], axis=-1))
    assert back.go_backwards and back.zero_output_for_mask
    assert np.all(numpy(found)[~mask] == 0)


@pytest.mark.parametrize(
    "options",
    [{}, {"gated_feedback": True}, {"connection": "highway"}],
    ids=lambda options: next(iter(options), "plain"),
)
def test_stateful_in_pieces_is_the_whole(options, x):
    whole = built("lstm", UNITS, return_sequences=True, return_state=True, **options)
    parts = built(
        "lstm", UNITS, return_sequences=True, stateful=True, batch=ROWS, **options
    )
    parts.set_weights(whole.get_weights())
    expected, *states = whole(x)
    found = [numpy(parts(x[:, a:b])) for a, b in ((0, 2), (2, 3), (3, 6))]
    close(np.concatenate(found, axis=1), expected)
    all_close(list(parts.states), states)
    kept = parts.states_by_layer()
    all_close(kept, whole.states_by_layer(states))
    parts.reset_state()
    assert all(np.all(numpy(state) == 0) for state in parts.states)
    close(parts(x[:, :2]), found[0])
    parts.reset_states()
    close(parts(x), expected)


def test_stateful_both_ways(x):
    stack = built("gru", UNITS, bidirectional=True, stateful=True, return_state=True)
    _, *states = stack(x)
    all_close(list(stack.states), states)
    _, *again = stack(x)
    plain = built("gru", UNITS, bidirectional=True, return_state=True)
    all_close(again, plain(x, initial_state=states)[1:])


def test_masks_pass_through_to_the_next_layer():
    tokens = np.array([[1, 2, 0], [3, 0, 0]])
    embedding = keras.layers.Embedding(5, 4, mask_zero=True)
    y = layers.Stack("gru", 4, return_sequences=True)(embedding(tokens))
    below = keras.layers.GRU(3)
    close(below(y), below(numpy(y), mask=tokens != 0))
    assert np.any(numpy(below(y)) != numpy(below(numpy(y))))


def test_initial_states_are_learned_in_every_layer(x):
    stack = layers.Stack("lstm", [4, 5], initial_state_trainable=True, seed=1)
    stack.build(x.shape)
    learned = [v for v in stack.trainable_variables if "initial_state" in v.name]
    assert [v.shape[0] for v in learned] == [4, 4, 5, 5]
    randomize(stack)
    given = [np.repeat(numpy(v)[None], len(x), axis=0) for v in learned]
    zeros = [np.zeros_like(state) for state in given]
    np.testing.assert_allclose(
        numpy(stack(x)), numpy(stack(x, initial_state=given)), atol=1e-6
    )
    assert not np.allclose(numpy(stack(x)), numpy(stack(x, initial_state=zeros)))
    again = layers.Stack.from_config(stack.get_config())
    assert again.get_config() == stack.get_config()


def test_a_list_of_activity_regularizers_sees_the_mask(x):
    penalties = [keras_rnnx.regularizers.AR(2.0), keras_rnnx.regularizers.TAR(1.0)]
    stack = layers.Stack(
        "gru", 4, return_sequences=True, activity_regularizer=penalties
    )
    mask = np.ones(x.shape[:2], bool)
    mask[:, -2:] = False
    stack(x, mask=mask)
    (masked,) = map(float, map(numpy, stack.losses))
    stack(x[:, :-2])
    (cut,) = map(float, map(numpy, stack.losses))
    assert abs(masked - cut) < 1e-6


@pytest.mark.parametrize(
    "options",
    [
        {"input_dropout": 0.5},
        {"cell": cells.SimpleRNNCell(5, dropout=0.5)},
        {"recurrent_dropout": 0.5},
        {"dropout": 0.5, "gated_feedback": True},
    ],
    ids=str,
)
def test_a_wrapper_gives_each_direction_masks_of_its_own(options):
    def masked(seed):
        keras.utils.set_random_seed(0)
        stack = layers.Stack(**{"cell": "simple_rnn", "units": 5, **options}, seed=seed)
        both = keras.layers.Bidirectional(stack)
        shape = (16, 3, 4)
        both.build(shape)
        forward, backward = both.forward_layer, both.backward_layer
        backward.set_weights(forward.get_weights())
        outputs = numpy(both(np.ones(shape, "float32"), training=True))
        return outputs[:, :5], outputs[:, 5:]

    forward, backward = masked(1)
    assert not np.allclose(forward, backward)
    all_close(masked(1), [forward, backward])
