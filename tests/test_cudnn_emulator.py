"""The emulator of TensorFlow's cuDNN op, before other tests rely on it.

Keras' own LSTM and GRU call the op: on the emulator they must compute what they compute
without it. What Keras does not use is held to loops in NumPy.
"""

import functools
import inspect

import cudnn
import keras
import numpy as np
import pytest
import tensorflow as tf
from oracles import sigmoid

BATCH, STEPS, FEATURES, UNITS = 3, 6, 4, 5
LENGTHS = [4, 6, 1]
# The op itself, before a test replaces it.
REAL = tf.raw_ops.CudnnRNNV3
GATES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}
STATES = {"lstm": 2, "gru": 1, "rnn_tanh": 1, "rnn_relu": 1}
KERAS = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU}


@pytest.fixture
def emulator(monkeypatch):
    return cudnn.installed(monkeypatch)


def normal(*shape, seed=0, dtype="float32"):
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(dtype)


def arguments(rnn_mode="lstm", layers=1, lengths=LENGTHS, dtype="float32", **changes):
    """Arguments of a call, time major, with a buffer full of different numbers."""
    rows = GATES[rnn_mode] * UNITS
    both = 2 if changes.get("direction") == "bidirectional" else 1
    inputs = FEATURES * both + UNITS * both * (layers - both)
    size = rows * (inputs + UNITS * layers) + 2 * rows * layers
    state = normal(layers, BATCH, UNITS, dtype=dtype)
    c = normal(layers, BATCH, UNITS, seed=1, dtype=dtype) if rnn_mode == "lstm" else 0
    return {
        "input": tf.constant(normal(STEPS, BATCH, FEATURES, dtype=dtype)),
        "input_h": tf.constant(state),
        "input_c": tf.constant(c, dtype),
        "params": tf.constant(normal(size, dtype=dtype) / 2),
        "sequence_lengths": tf.constant(lengths),
        "rnn_mode": rnn_mode,
        **changes,
    }


# Keras' layers


def results(layer, first, mask, compiled):
    """Outputs, states and the gradients of all that went in."""
    layer.build((BATCH, STEPS, FEATURES))
    for seed, weight in enumerate(layer.weights):
        weight.assign(normal(*weight.shape, seed=seed))
    weights = [weight.value for weight in layer.trainable_variables]
    # Different numbers at every place: an exchange of two of them is seen.
    cotangents = {2: normal(BATCH, UNITS), 3: normal(BATCH, STEPS, UNITS)}

    def run(x, *first):
        with tf.GradientTape() as tape:
            tape.watch([x, *first])
            found = layer(x, initial_state=list(first), mask=mask)
            loss = sum(tf.reduce_sum(y * cotangents[y.shape.rank]) for y in found)
        return [*found, *tape.gradient(loss, [x, *first, *weights])]

    if compiled:
        state = tf.TensorSpec((None, UNITS))
        signature = [tf.TensorSpec((None, None, FEATURES)), *[state] * len(first)]
        run = tf.function(run, input_signature=signature)
    return run(tf.constant(normal(BATCH, STEPS, FEATURES)), *first)


def check_keras(emulator, rnn_mode, masked, compiled=False, **options):
    first = [tf.constant(normal(BATCH, UNITS, seed=s)) for s in range(STATES[rnn_mode])]
    mask = tf.sequence_mask(LENGTHS, STEPS) if masked else None
    if options["return_sequences"]:
        # As cuDNN has it.
        options["zero_output_for_mask"] = True
    layer = functools.partial(KERAS[rnn_mode], UNITS, return_state=True, **options)
    found = results(layer(use_cudnn=True), first, mask, compiled)
    assert [call["rnn_mode"] for call in emulator.calls] == [rnn_mode]
    expected = results(layer(use_cudnn=False), first, mask, compiled)
    assert len(emulator.calls) == 1
    # Output and states; gradients of input, states and three weights.
    assert len(found) == 1 + len(first) + 1 + len(first) + 3
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("return_sequences", [False, True], ids=["last", "sequences"])
@pytest.mark.parametrize("go_backwards", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("masked", [False, True], ids=["all", "masked"])
@pytest.mark.parametrize("rnn_mode", KERAS)
def test_keras_layers_are_the_same_on_the_emulator(
    emulator, rnn_mode, masked, go_backwards, return_sequences
):
    options = {"go_backwards": go_backwards, "return_sequences": return_sequences}
    check_keras(emulator, rnn_mode, masked, **options)


@pytest.mark.parametrize("masked", [False, True], ids=["all", "masked"])
@pytest.mark.parametrize("rnn_mode", KERAS)
def test_keras_layers_are_the_same_in_a_graph_of_dynamic_shapes(
    emulator, rnn_mode, masked
):
    check_keras(emulator, rnn_mode, masked, compiled=True, return_sequences=True)


# Loops in NumPy


def lstm(x, u, h, c):
    i, f, new, o = (a + b for a, b in zip(x, u))
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(new)
    return sigmoid(o) * np.tanh(c), c


def gru(x, u, h):
    reset, update = sigmoid(x[0] + u[0]), sigmoid(x[1] + u[1])
    return ((1 - update) * np.tanh(x[2] + reset * u[2]) + update * h,)


EQUATIONS = {
    "lstm": lstm,
    "gru": gru,
    "rnn_tanh": lambda x, u, h: (np.tanh(x[0] + u[0]),),
    "rnn_relu": lambda x, u, h: (np.maximum(x[0] + u[0], 0),),
}


class Buffer:
    """Takes matrices and vectors off the front of a buffer."""

    def __init__(self, values):
        self.values = np.asarray(values, "float64")

    def take(self, *shape):
        size = int(np.prod(shape))
        taken, self.values = self.values[:size], self.values[size:]
        return taken.reshape(shape)


def read(params, rnn_mode, layers, both):
    """Of each layer both matrices and both biases, by linear layer."""
    gates = range(GATES[rnn_mode])
    buffer, found = Buffer(params), []
    for layer in range(layers):
        inputs = UNITS * both if layer >= both else FEATURES
        w = [buffer.take(UNITS, inputs) for _ in gates]
        found.append([w, [buffer.take(UNITS, UNITS) for _ in gates]])
    for layer in range(layers):
        found[layer] += [[buffer.take(UNITS) for _ in gates] for _ in range(2)]
    assert not buffer.values.size
    return found


def loop(
    input,
    input_h,
    input_c,
    params,
    sequence_lengths,
    rnn_mode,
    direction="unidirectional",
):
    """One sequence of the batch at a time, one linear layer at a time."""
    both = 2 if direction == "bidirectional" else 1
    gates, layers = range(GATES[rnn_mode]), len(input_h)
    weights = read(params, rnn_mode, layers, both)
    output = np.zeros((STEPS, BATCH, UNITS * both))
    last = np.array([input_h, input_c] if rnn_mode == "lstm" else [input_h], "float64")
    for row, length in enumerate(np.array(sequence_lengths)):
        sequence, beside = np.array(input, "float64")[:length, row], []
        for layer, (w, u, b_w, b_u) in enumerate(weights):
            states, outputs = last[:, layer, row], []
            backward = layer % both == 1
            for x in sequence[::-1] if backward else sequence:
                states = EQUATIONS[rnn_mode](
                    [w[k] @ x + b_w[k] for k in gates],
                    [u[k] @ states[0] + b_u[k] for k in gates],
                    *states,
                )
                outputs.append(states[0])
            last[:, layer, row] = states
            beside.append(outputs[::-1] if backward else outputs)
            if len(beside) == both:
                sequence, beside = np.concatenate(beside, axis=-1), []
        output[:length, row] = sequence
    return [output, *last]


DEPTHS = {
    "one": {"layers": 1},
    "two": {"layers": 2},
    "both ways": {"layers": 2, "direction": "bidirectional"},
    "two both ways": {"layers": 4, "direction": "bidirectional"},
}


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("rnn_mode", EQUATIONS)
def test_each_mode_is_its_equation(rnn_mode, depth):
    call = arguments(rnn_mode, dtype="float64", **DEPTHS[depth])
    found = cudnn.rnn(**call)
    for ours, theirs in zip(found, loop(**call)):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("rnn_mode", ["lstm", "gru"])
def test_deep_in_both_directions_is_that_of_torch(rnn_mode):
    """Its modules have the order of layers, directions and gates of cuDNN."""
    torch = pytest.importorskip("torch")
    call = arguments(rnn_mode, 4, dtype="float64", direction="bidirectional")
    kind = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[rnn_mode]
    module = kind(
        FEATURES, UNITS, num_layers=2, bidirectional=True, dtype=torch.float64
    )
    weights = read(call["params"], rnn_mode, 4, both=2)
    for layer, own in enumerate(weights):
        suffix = f"l{layer // 2}" + "_reverse" * (layer % 2)
        for name, parts in zip(("weight_ih", "weight_hh", "bias_ih", "bias_hh"), own):
            value = torch.tensor(np.concatenate(parts))
            getattr(module, f"{name}_{suffix}").data.copy_(value)
    rows = torch.nn.utils.rnn.pack_padded_sequence(
        torch.tensor(call["input"].numpy()), LENGTHS, enforce_sorted=False
    )
    states = [torch.tensor(call[k].numpy()) for k in ("input_h", "input_c")]
    output, last = module(rows, tuple(states) if rnn_mode == "lstm" else states[0])
    output, _ = torch.nn.utils.rnn.pad_packed_sequence(output, total_length=STEPS)
    last = last if rnn_mode == "lstm" else [last]
    found = cudnn.rnn(**call)[: 1 + len(last)]
    for ours, theirs in zip(found, [output, *last], strict=True):
        theirs = theirs.detach().numpy()
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("depth", ["one", "two both ways"])
@pytest.mark.parametrize("rnn_mode", EQUATIONS)
def test_gradients_are_those_of_the_equation(rnn_mode, depth):
    call = arguments(rnn_mode, dtype="float64", **DEPTHS[depth])
    names = ["input", "input_h", "params"] + ["input_c"] * (rnn_mode == "lstm")
    with tf.GradientTape() as tape:
        tape.watch([call[name] for name in names])
        found = cudnn.rnn(**call)[: 1 + STATES[rnn_mode]]
        loss = sum(tf.reduce_sum(tensor**2) for tensor in found)
    gradients = tape.gradient(loss, {name: call[name] for name in names})
    for name in names:
        direction = normal(*call[name].shape, seed=3, dtype="float64")

        def along(step, name=name, direction=direction):
            moved = {**call, name: call[name] + step * direction}
            return sum(np.sum(tensor**2) for tensor in loop(**moved))

        expected = (along(1e-6) - along(-1e-6)) / 2e-6
        found = np.sum(gradients[name] * direction)
        np.testing.assert_allclose(found, expected, rtol=1e-6, err_msg=name)


# What a call does beside the numbers


def test_batch_major_is_a_transposition():
    call = arguments()
    swapped = {
        name: tf.transpose(call[name], (1, 0, 2))
        for name in ("input", "input_h", "input_c")
    }
    expected = cudnn.rnn(**call)
    found = cudnn.rnn(**{**call, **swapped}, time_major=False)
    for ours, theirs in zip(found[:3], expected[:3]):
        np.testing.assert_array_equal(ours, tf.transpose(theirs, (1, 0, 2)))


def test_padding_is_not_read():
    call = arguments()
    padding = ~tf.transpose(tf.sequence_mask(LENGTHS, STEPS))[..., None]

    def gradients(x):
        with tf.GradientTape() as tape:
            tape.watch([x, call["params"]])
            output = cudnn.rnn(**{**call, "input": x}).output
        assert not np.any(np.where(padding, output, 0))
        return [output, *tape.gradient(output, [x, call["params"]])]

    clean = gradients(call["input"])
    for ours, theirs in zip(gradients(tf.where(padding, np.nan, call["input"])), clean):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("rnn_mode", EQUATIONS)
def test_results_are_of_the_dtype_of_the_input(rnn_mode, dtype):
    call = arguments(rnn_mode, lengths=[1, 2, 3])
    small = {
        name: tf.cast(value, dtype)
        for name, value in call.items()
        if name.startswith(("input", "params"))
    }
    found = cudnn.rnn(**{**call, **small})
    assert {tensor.dtype.name for tensor in found[:4]} == {dtype}
    assert found.host_reserved.dtype == "int8"
    tolerance = 0.1 if dtype == "bfloat16" else 0.01
    for ours, theirs in zip(found, loop(**call)):
        ours = tf.cast(ours, "float64")
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("time_major", [True, False])
@pytest.mark.parametrize("rnn_mode", ["lstm", "gru"])
def test_one_graph_serves_all_shapes(rnn_mode, time_major):
    call = {**arguments(rnn_mode), "time_major": time_major}
    axes = (0, 1, 2) if time_major else (1, 0, 2)
    state = (1, None, UNITS) if time_major else (None, 1, UNITS)
    shapes = []

    def run(x, h, lengths):
        changed = {"input": x, "input_h": h, "sequence_lengths": lengths}
        if rnn_mode == "lstm":
            changed["input_c"] = h
        with tf.GradientTape() as tape:
            tape.watch([x, h])
            found = cudnn.rnn(**{**call, **changed})
        shapes.append([found.output.shape.as_list(), found.output_h.shape.as_list()])
        return [found.output, *tape.gradient(found.output, [x, h])]

    signature = [
        tf.TensorSpec((None, None, FEATURES)),
        tf.TensorSpec(state),
        tf.TensorSpec((None,), tf.int32),
    ]
    graph = tf.function(run, input_signature=signature).get_concrete_function()
    assert shapes == [[[None, None, UNITS], list(state)]]
    for batch, steps, lengths in ((3, 6, [4, 6, 1]), (1, 3, [2])):
        x = tf.transpose(call["input"][:steps, :batch], axes)
        h = tf.transpose(call["input_h"][:, :batch], axes)
        given = x, h, tf.constant(lengths)
        for ours, theirs in zip(graph(*given), run(*given), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_the_interface_is_that_of_the_op(emulator):
    assert inspect.signature(cudnn.rnn) == inspect.signature(REAL)
    result = tf.function(lambda: REAL(**arguments())).get_concrete_function()
    assert cudnn.Results._fields == type(result.structured_outputs)._fields
    assert bool(tf.config.list_logical_devices("GPU"))
    assert bool(tf.config.list_physical_devices("GPU"))


def test_calls_are_kept(emulator):
    call = arguments("gru")
    tf.raw_ops.CudnnRNNV3(**call)
    tf.function(tf.raw_ops.CudnnRNNV3)(**call, time_major=True)
    with pytest.raises(tf.errors.InvalidArgumentError):
        tf.raw_ops.CudnnRNNV3(**arguments("gru", lengths=[0, 1, 2]))
    assert [call.get("time_major") for call in emulator.calls] == [None, True]
    assert emulator.calls[0]["params"] is call["params"]


def test_only_what_the_op_differentiates_is_differentiated():
    call = arguments()
    with tf.GradientTape() as outer:
        outer.watch(call["params"])
        with tf.GradientTape() as tape:
            tape.watch(call["params"])
            output = cudnn.rnn(**call).output
        gradient = tape.gradient(output, call["params"])
    with pytest.raises(LookupError, match="no second derivative"):
        outer.gradient(gradient, call["params"])
    with tf.GradientTape() as tape:
        tape.watch(call["params"])
        output = cudnn.rnn(**call, is_training=False).output
    with pytest.raises(ValueError, match="is_training"):
        tape.gradient(output, call["params"])


def test_xla_does_not_compile_it():
    call = arguments(lengths=[STEPS] * BATCH)

    @tf.function(jit_compile=True)
    def run(params):
        return cudnn.rnn(**{**call, "params": params}).output

    with pytest.raises(tf.errors.InvalidArgumentError, match="CudnnRNNV3"):
        run(call["params"])


# What is refused


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "graph"])
@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("sequence_lengths", tf.constant([0, 1, 2]), "from 1 to the number of steps"),
        ("sequence_lengths", tf.constant([2, -1, 2]), "from 1 to the number of steps"),
        ("sequence_lengths", tf.constant([2, 7, 2]), "from 1 to the number of steps"),
        ("sequence_lengths", tf.constant([2, 2]), "batch size"),
        ("input_h", tf.zeros((1, BATCH + 1, UNITS)), "batch size|input_c"),
        ("input", tf.zeros((STEPS, 0, FEATURES)), "empty"),
        ("params", tf.zeros(219), r"219.*220|220.*219"),
        ("params", tf.zeros(221), r"221.*220|220.*221"),
    ],
)
def test_sizes_and_lengths(name, value, message, compiled):
    call = arguments()
    tensors = {name: value for name, value in call.items() if tf.is_tensor(value)}
    shapes = {name: [None] * tensor.ndim for name, tensor in tensors.items()}
    # What the emulator has to know of the shapes.
    shapes["input"][-1] = FEATURES
    shapes["input_h"] = [1, None, UNITS]

    @tf.function(
        input_signature=[
            tf.TensorSpec(shapes[n], t.dtype, n) for n, t in tensors.items()
        ]
    )
    def graph(*given):
        return cudnn.rnn(**dict(zip(tensors, given))).output

    def run(changes):
        if compiled:
            return graph(*{**tensors, **changes}.values())
        return cudnn.rnn(**{**call, **changes}).output

    run({})
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match=message):
        run({name: value})


@pytest.mark.parametrize(
    ("error", "changes", "message"),
    [
        (ValueError, {"input": tf.zeros((BATCH, FEATURES))}, "input must be"),
        (ValueError, {"input_h": tf.zeros((BATCH, UNITS))}, "input_h must be"),
        (ValueError, {"input_c": tf.zeros((1, BATCH, 9))}, "input_c must be"),
        (ValueError, {"params": tf.zeros((220, 1))}, "params must be"),
        (ValueError, {"sequence_lengths": tf.fill([3, 1], 2)}, "sequence_lengths must"),
        (ValueError, {"rnn_mode": "rnn"}, "rnn_mode"),
        (TypeError, {"input": tf.zeros((6, 3, 4), "int32")}, "float dtype"),
        (TypeError, {"input_h": tf.zeros((1, 3, 5), "float64")}, "input_h must be"),
        (TypeError, {"input_c": tf.zeros((1, 3, 5), "float16")}, "input_c must be"),
        (TypeError, {"params": tf.zeros(220, "float64")}, "params must be"),
        (TypeError, {"sequence_lengths": tf.fill([3], 2.0)}, "sequence_lengths must"),
        (NotImplementedError, {"num_proj": 2}, "num_proj"),
        (ValueError, {"direction": "backwards"}, "direction"),
        (ValueError, {"direction": "bidirectional"}, "not in two directions"),
        (NotImplementedError, {"input_mode": "skip_input"}, "input_mode"),
        (NotImplementedError, {"dropout": 0.5}, "dropout"),
        (NotImplementedError, {"time_major": False}, "number of layers"),
    ],
)
def test_bad_arguments(error, changes, message):
    with pytest.raises(error, match=message):
        cudnn.rnn(**{**arguments(), **changes})
