"""TensorFlow's cuDNN op, `tf.raw_ops.CudnnRNNV3`, emulated on the CPU.

The op has kernels for GPUs only. `rnn` computes what is documented of it, and raises
where it would crash or read past a buffer. `installed` puts `rnn` in its place.
"""

from __future__ import annotations

import collections
import math

import tensorflow as tf

# Linear layers per input, in the order of their numbers (linLayerID) in the docs of
# cudnnGetRNNWeightParams. The recurrent ones follow in the same order.
LINEAR_LAYERS = {
    "lstm": ("input", "forget", "new memory", "output"),
    "gru": ("reset", "update", "new memory"),
    "rnn_tanh": ("input",),
    "rnn_relu": ("input",),
}
Results = collections.namedtuple(
    "Results", "output output_h output_c reserve_space host_reserved"
)


@tf.autograph.experimental.do_not_convert
def rnn(
    input,
    input_h,
    input_c,
    params,
    sequence_lengths,
    rnn_mode="lstm",
    input_mode="linear_input",
    direction="unidirectional",
    dropout=0,
    seed=0,
    seed2=0,
    num_proj=0,
    is_training=True,
    time_major=True,
    name=None,
):
    """`tf.raw_ops.CudnnRNNV3` on the CPU.

    As with the op, there is a gradient with `is_training=True` only, there is no second
    derivative, XLA cannot compile it, and what is padding in `input` is not read.

    Raises TypeError for dtypes, ValueError for shapes that are known, InvalidArgument
    for lengths and for shapes that are not known beforehand.
    """
    if rnn_mode not in LINEAR_LAYERS:
        raise ValueError(f"rnn_mode must be in {list(LINEAR_LAYERS)}, is {rnn_mode!r}")
    _only("input_mode", input_mode, "linear_input")
    if direction not in ("unidirectional", "bidirectional"):
        raise ValueError(f"CudnnRNNV3: direction is {direction!r}")
    directions = 2 if direction == "bidirectional" else 1
    _only("dropout", dropout, 0)
    # Where the projection lies among the other matrices is not documented.
    _only("num_proj", num_proj, 0)

    input = tf.convert_to_tensor(input)
    dtype = input.dtype
    if not dtype.is_floating:
        raise TypeError(f"CudnnRNNV3: input must be of a float dtype, is of {dtype}.")
    input = _tensor("input", input, dtype, [None] * 3)
    states = [_tensor("input_h", input_h, dtype, [None] * 3)]
    if rnn_mode == "lstm":
        states.append(_tensor("input_c", input_c, dtype, states[0].shape))
    else:
        _tensor("input_c", input_c, dtype, None)
    lengths = _tensor("sequence_lengths", sequence_lengths, tf.int32, [None])
    if not time_major:
        # The op hands the memory of (batch, layers, units) to cuDNN as it is, which
        # reads (layers, batch, units): the same for one layer only.
        _only("the number of layers with time_major=False", states[0].shape[1], 1)
        input, *states = (tf.transpose(x, (1, 0, 2)) for x in (input, *states))

    layers, _, units = states[0].shape
    if None in (layers, units, input.shape[-1]):
        raise ValueError("CudnnRNNV3: layers, units and features must be static here.")
    if layers % directions:
        raise ValueError(f"CudnnRNNV3: {layers} layer(s) are not in two directions.")
    regions = _regions(rnn_mode, layers, input.shape[-1], units, directions)
    params = _tensor("params", params, dtype, [sum(map(math.prod, regions))])
    checks = [
        tf.debugging.assert_positive(tf.shape(input), "CudnnRNNV3: an empty input."),
        tf.debugging.assert_equal(
            [tf.shape(lengths)[0], *(tf.shape(state)[1] for state in states)],
            tf.shape(input)[1],
            "CudnnRNNV3: sequence_lengths and states must be of input's batch size.",
        ),
        tf.debugging.Assert(
            tf.reduce_all((lengths >= 1) & (lengths <= tf.shape(input)[0])),
            ["CudnnRNNV3: lengths must be from 1 to the number of steps:", lengths],
        ),
        # XLA has no strings: it refuses this as it refuses the op.
        tf.strings.as_string(tf.cast(params[0], tf.float32), name="CudnnRNNV3_in_XLA"),
    ]
    # An assertion that passes is None in eager code.
    with tf.control_dependencies([check for check in checks if check is not None]):
        lengths, *tensors = map(tf.identity, (lengths, input, params, *states))

    def forward(input, params, *states):
        return _forward(rnn_mode, regions, lengths, input, params, states, directions)

    output, *states = _differentiable(forward, is_training)(*tensors)
    output.set_shape((*input.shape[:2], directions * units))
    if not time_major:
        output, *states = (tf.transpose(x, (1, 0, 2)) for x in (output, *states))
    h, c = states if rnn_mode == "lstm" else (*states, tf.zeros((), dtype))
    reserved = tf.zeros([1] if is_training else [], dtype)
    return Results(output, h, c, reserved, tf.zeros((), tf.int8))


class Emulator:
    """Stands in for the op. `calls`: the arguments of all calls it did not refuse."""

    def __init__(self):
        self.calls: list[dict] = []

    def __call__(self, **arguments):
        results = rnn(**arguments)
        self.calls.append(arguments)
        return results


def installed(monkeypatch):
    """Replaces the op by an `Emulator`, which it returns, and shows a GPU.

    No tensor can be put on it. The build says it is for CUDA: for another one, Keras
    leaves GRU's gates in its own order. A call in a `tf.function` is one in a trace.
    """
    emulator = Emulator()
    monkeypatch.setattr(tf.raw_ops, "CudnnRNNV3", emulator)
    kinds = {"logical": tf.config.LogicalDevice, "physical": tf.config.PhysicalDevice}
    for kind, device in kinds.items():
        function = f"list_{kind}_devices"
        listed = _with_gpu(getattr(tf.config, function), device("/device:GPU:0", "GPU"))
        monkeypatch.setattr(tf.config, function, listed)
    build = {**tf.sysconfig.get_build_info(), "is_cuda_build": True}
    monkeypatch.setattr(tf.sysconfig, "get_build_info", lambda: build)
    return emulator


def _with_gpu(real, gpu):
    def listed(device_type=None):
        # Without a type all are asked for: Keras compiles by XLA where one is no CPU.
        others = [] if device_type == "GPU" else list(real(device_type))
        return [*others, gpu] if device_type in (None, "GPU") else others

    return listed


def _only(argument, value, supported):
    if value != supported:
        raise NotImplementedError(f"The emulator has {argument} = {supported!r} only.")


def _tensor(name, value, dtype, shape):
    value = tf.convert_to_tensor(value, None if tf.is_tensor(value) else dtype)
    if value.dtype != dtype:
        raise TypeError(f"CudnnRNNV3: {name} must be of {dtype}, is of {value.dtype}.")
    if not value.shape.is_compatible_with(shape):
        raise ValueError(f"CudnnRNNV3: {name} must be {shape}, is {value.shape}.")
    return value if shape is None else tf.ensure_shape(value, shape, name)


def _regions(rnn_mode, layers, features, units, directions):
    """Shapes of the parts of the buffer: all matrices, then all biases.

    A matrix is (units, inputs), row by row. The linear layers of one input follow each
    other, and are read as one matrix. In two directions a layer is two, one that runs
    forward and one that runs backward, which follow each other (the pseudo-layers of
    cudnnGetRNNWeightParams). Those above read the outputs of both. The same layout is
    written down, and was tested on cuDNN, in jax.experimental.rnn.
    """
    rows = len(LINEAR_LAYERS[rnn_mode]) * units
    widths = [features] * directions + [units * directions] * (layers - directions)
    matrices = [(rows, inputs) for width in widths for inputs in (width, units)]
    return matrices + [(rows,)] * (2 * layers)


def _forward(rnn_mode, regions, lengths, sequence, params, states, directions):
    """All layers, time major: outputs and the last of each state."""
    dtype = sequence.dtype
    # cuDNN accumulates the small types in float32.
    wide = tf.float64 if dtype == tf.float64 else tf.float32
    sequence, params, *states = (tf.cast(x, wide) for x in (sequence, params, *states))
    parts = zip(tf.split(params, list(map(math.prod, regions))), regions)
    parts = [tf.reshape(part, region) for part, region in parts]
    matrices, biases = parts[: len(parts) // 2], parts[len(parts) // 2 :]

    valid = tf.transpose(tf.sequence_mask(lengths, tf.shape(sequence)[0]))[..., None]
    # NaN in the padding would reach the gradients through products with zero.
    sequence = tf.where(valid, sequence, 0)
    last, below = [], []
    for layer, first in enumerate(zip(*map(tf.unstack, states))):
        own = slice(2 * layer, 2 * layer + 2)
        step = _step(rnn_mode, *matrices[own], *biases[own])
        backward = layer % directions == 1
        read = _reversed(sequence, lengths) if backward else sequence
        steps = tf.scan(step, (read, valid), list(first))
        outputs = tf.where(valid, steps[0], 0)
        below.append(_reversed(outputs, lengths) if backward else outputs)
        if len(below) == directions:
            sequence, below = tf.concat(below, -1), []
        last.append([state[-1] for state in steps])
    return [tf.cast(x, dtype) for x in (sequence, *map(tf.stack, zip(*last)))]


def _reversed(sequence, lengths):
    """Each row from its own end; what is behind it stays."""
    return tf.reverse_sequence(sequence, lengths, seq_axis=0, batch_axis=1)


def _step(rnn_mode, w, u, bias_w, bias_u):
    gates = len(LINEAR_LAYERS[rnn_mode])

    def step(states, now):
        x, valid = now
        x = tf.split(tf.matmul(x, w, transpose_b=True) + bias_w, gates, -1)
        h = tf.split(tf.matmul(states[0], u, transpose_b=True) + bias_u, gates, -1)
        new = _equation(rnn_mode, x, h, states)
        # A batch that is known in one place alone must not change the loop's shapes.
        return [
            tf.ensure_shape(tf.where(valid, after, before), before.shape)
            for after, before in zip(new, states)
        ]

    return step


def _equation(rnn_mode, x, u, states):
    """The new states; `x` and `u` in the order of `LINEAR_LAYERS`."""
    if rnn_mode == "lstm":
        i, f, new, o = (a + b for a, b in zip(x, u))
        c = tf.sigmoid(f) * states[1] + tf.sigmoid(i) * tf.tanh(new)
        return [tf.sigmoid(o) * tf.tanh(c), c]
    if rnn_mode == "gru":
        r, z = tf.sigmoid(x[0] + u[0]), tf.sigmoid(x[1] + u[1])
        return [(1 - z) * tf.tanh(x[2] + r * u[2]) + z * states[0]]
    activation = tf.tanh if rnn_mode == "rnn_tanh" else tf.nn.relu
    return [activation(x[0] + u[0])]


def _differentiable(forward, is_training):
    """`forward` with the gradient that the op has, and no more."""

    @tf.custom_gradient
    def backward(tensors, cotangents):
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            results = forward(*tensors)

        def second(*_):
            raise LookupError("CudnnRNNV3 has no second derivative")

        return tape.gradient(results, tensors, cotangents), second

    @tf.custom_gradient
    def op(*tensors):
        def gradient(*cotangents):
            if not is_training:
                raise ValueError("CudnnRNNV3 has a gradient with is_training=True only")
            return backward(tensors, cotangents)

        return forward(*tensors), gradient

    return op
