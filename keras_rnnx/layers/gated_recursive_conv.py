"""Folds a sequence into one vector, level by level."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_rnnx.cells._base import arguments
from keras_rnnx.engine import backends
from keras_rnnx.engine.loop.tensors import StepOutput
from keras_rnnx.engine.packing import Packing
from keras_rnnx.layers import checks

GATES = 3


@keras.saving.register_keras_serializable("keras_rnnx")
class GatedRecursiveConv(keras.layers.Layer):
    """Gated recursive convolution: neighbours are merged until one vector is left.

    Inputs are projected, `h_j(0) = K x_j`. Each level is one step shorter than the one
    below: with the neighbours `l = h_(j-1)(t-1)` and `r = h_j(t-1)`

    - `new = tanh(W_l l + W_r r + b)`,
    - `w_new, w_l, w_r = softmax(G_l l + G_r r + b_g)`, three numbers for a position,
    - `h_j(t) = w_new new + w_l l + w_r r`,

    and the one vector of the last level is the output. So the layer can learn which
    steps to join first, as a tree. Cho, van Merrienboer, Bahdanau & Bengio 2014,
    arXiv:1409.1259, section 2.2.

    The work grows with the square of the number of steps, and so does the memory that
    training needs.

    Args:
        units: size of the vectors.
        activation: of the new vectors. Default "tanh".
        use_bias: whether new vectors and gates have biases. Default True.
        return_gates: whether to return the three numbers of all positions as well.
            Default False.
        kernel_initializer: of `kernel`, the projection `(features, units)`. Default
            "glorot_uniform".
        recurrent_initializer: of `recurrent_kernel` `(units, 2 * units)`, which holds
            `W_l` and `W_r`. Default "orthogonal".
        gate_initializer: of `gate_kernel` `(units, 6)`, which holds `G_l` and `G_r`,
            each for new, left and right. Default normal with standard deviation 0.01.
        bias_initializer: of `bias` `(units,)` and `gate_bias` `(3,)`. Default "zeros".
        kernel_regularizer, recurrent_regularizer, gate_regularizer, bias_regularizer:
            Keras regularizers of these. Default None.
        kernel_constraint, recurrent_constraint, gate_constraint, bias_constraint: Keras
            constraints of these. Default None.
        **kwargs: arguments of `keras.layers.Layer`.

    Call arguments:
        sequences: `(batch, time, features)`, of one step or more.
        mask: boolean `(batch, time)`, any pattern. Masked steps are left out, as if a
            row held only its valid steps; a row without valid steps gives zeros.

    Returns:
        `(batch, units)`. With `return_gates` also the gates of all levels above the
        projection, `(batch, time - 1, time - 1, 3)`: `[:, t, j]` are the weights of
        new, left and right where steps `j` to `j + t + 1` are joined, zeros if there
        are no such steps. With a mask only valid steps are counted.

    Raises:
        ValueError: for an argument out of range, inputs of another shape or without
            steps, or a mask of another shape.

    Example:

    >>> layer = keras_rnnx.layers.GatedRecursiveConv(8)
    >>> tuple(layer(np.ones((2, 5, 3), "float32")).shape)
    (2, 8)
    """

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        use_bias: bool = True,
        return_gates: bool = False,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        gate_initializer: Any = None,
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        gate_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        gate_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.units = arguments.positive_int("units", units)
        self.activation = keras.activations.get(activation)
        self.use_bias = arguments.flag("use_bias", use_bias)
        self.return_gates = arguments.flag("return_gates", return_gates)
        if gate_initializer is None:
            gate_initializer = keras.initializers.RandomNormal(stddev=0.01)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.recurrent_initializer = keras.initializers.get(recurrent_initializer)
        self.gate_initializer = keras.initializers.get(gate_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.recurrent_regularizer = keras.regularizers.get(recurrent_regularizer)
        self.gate_regularizer = keras.regularizers.get(gate_regularizer)
        self.bias_regularizer = keras.regularizers.get(bias_regularizer)
        self.kernel_constraint = keras.constraints.get(kernel_constraint)
        self.recurrent_constraint = keras.constraints.get(recurrent_constraint)
        self.gate_constraint = keras.constraints.get(gate_constraint)
        self.bias_constraint = keras.constraints.get(bias_constraint)
        self.supports_masking = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        if len(input_shape) != 3 or input_shape[-1] is None or input_shape[1] == 0:
            raise ValueError(
                f"{self.name}: sequences must have shape (batch, time, features) with "
                f"one step or more and a known number of features, received shape "
                f"{tuple(input_shape)}."
            )
        features, units = input_shape[-1], self.units
        batch, steps = input_shape[:2]
        self.steps = steps if batch is None else None
        self.input_spec = keras.layers.InputSpec(ndim=3, axes={-1: features})
        self.kernel = self._weight("kernel", (features, units))
        self.recurrent_kernel = self._weight("recurrent_kernel", (units, 2 * units))
        self.gate_kernel = self._weight("gate_kernel", (units, 2 * GATES))
        self.bias = self.gate_bias = None
        if self.use_bias:
            self.bias = self._weight("bias", (units,), "bias")
            self.gate_bias = self._weight("gate_bias", (GATES,), "bias")
        self.built = True

    def _weight(
        self, name: str, shape: tuple[int, ...], prefix: str | None = None
    ) -> keras.Variable:
        prefix = prefix or name.removesuffix("_kernel")
        kinds = ("initializer", "regularizer", "constraint")
        options = {kind: getattr(self, f"{prefix}_{kind}") for kind in kinds}
        return self.add_weight(shape=shape, name=name, **options)

    def call(self, sequences: Any, mask: Any = None) -> Any:
        checks.call_arguments(self, sequences, None, mask)
        checks.exported_steps(self, sequences, self.steps is not None)
        lengths = None
        if mask is not None:
            mask = ops.cast(mask, "bool")
            packing = Packing(mask if len(mask.shape) == 2 else mask[:, :, 0])
            sequences, lengths = packing.pack(sequences), packing.lengths
        # A row without a valid step is all zeros here, and stays zero.
        bottom = sequences @ ops.convert_to_tensor(self.kernel)
        top, gates = self._levels(bottom, lengths)
        return (top[:, 0], gates) if self.return_gates else top[:, 0]

    def _levels(self, bottom: Any, lengths: Any) -> tuple[Any, Any]:
        """The last level, and the gates of all levels if `return_gates`."""
        backend = backends.current()
        batch, time = ops.shape(bottom)[:2]
        if backend.exporting():
            # A graph holds all levels, which differ in size.
            time = bottom.shape[1] if self.steps is None else self.steps
        if time == 1:
            return bottom, ops.zeros((batch, 0, 0, GATES), bottom.dtype)
        # The products of all positions as neighbours on the left and on the right.
        kernels = (self.recurrent_kernel, self.gate_kernel)
        both = backend.concatenate([ops.convert_to_tensor(k) for k in kernels], -1)

        def step(carry: list[Any], slices: list[Any]) -> tuple[list[Any], list[Any]]:
            below, (t,) = carry[0], slices
            level, gates = self._merge(below, both)
            if not backend.EAGER:
                # The carries of a compiled loop have fixed shapes.
                level = _pad(level, 1)
            if lengths is not None:
                # A row with a single vector left keeps it.
                begun = ops.reshape(t + 1 < lengths, (-1, 1, 1))
                level = backend.where(begun, level, below[:, : level.shape[1]])
            if not self.return_gates:
                return [level], []
            return [level], [_pad(gates, time - 1 - gates.shape[1])]

        carry, outputs = backend.scan(
            step,
            [bottom],
            [backend.counter(time - 1)],
            time - 1,
            [StepOutput((batch, time - 1, GATES))] * self.return_gates,
            # Also in a graph of torch: levels differ in size.
            unroll=backend.EAGER,
        )
        if not self.return_gates:
            return carry[0], None
        gates = ops.transpose(outputs[0], (1, 0, 2, 3))
        return carry[0], _blank(gates, time, lengths)

    def _merge(self, below: Any, both: Any) -> tuple[Any, Any]:
        """A level from the one below, and its gates `(batch, positions, 3)`."""
        cuts = [self.units, 2 * self.units, 2 * self.units + GATES]
        # Not `ops.matmul`, which computes float64 in float32 on torch, and whose
        # gradient in a loop XLA cannot compile on TensorFlow.
        parts = ops.split(below @ both, cuts, axis=-1)
        new, gates = (p[:, :-1] + q[:, 1:] for p, q in (parts[:2], parts[2:]))
        if self.use_bias:
            new, gates = new + self.bias, gates + self.gate_bias
        gates = ops.softmax(gates, axis=-1)
        vectors = (self.activation(new), below[:, :-1], below[:, 1:])
        level = sum(gates[:, :, k : k + 1] * v for k, v in enumerate(vectors))
        return level, gates

    def compute_output_shape(
        self, input_shape: tuple[int | None, ...]
    ) -> tuple[Any, ...]:
        batch, time = input_shape[:2]
        if not self.return_gates:
            return (batch, self.units)
        above = None if time is None else time - 1
        return (batch, self.units), (batch, above, above, GATES)

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        """None: the output has no steps."""

    def get_config(self) -> dict[str, Any]:
        config: dict[str, Any] = {"units": self.units, "use_bias": self.use_bias}
        config["return_gates"] = self.return_gates
        kinds = ("initializer", "regularizer", "constraint")
        weights = ("kernel", "recurrent", "gate", "bias")
        for name in ("activation", *(f"{w}_{k}" for k in kinds for w in weights)):
            config[name] = arguments.serialize(name, getattr(self, name))
        return {**super().get_config(), **config}


def _pad(level: Any, count: int) -> Any:
    """`level` with zeros appended to its positions."""
    return ops.pad(level, [(0, 0), (0, count), (0, 0)])


def _blank(gates: Any, time: Any, lengths: Any) -> Any:
    """`gates` with zeros where a row has fewer steps."""
    t = ops.arange(time - 1, dtype="int32")
    last = ops.expand_dims(t, 1) + ops.expand_dims(t, 0) + 1
    ends = time if lengths is None else ops.reshape(lengths, (-1, 1, 1))
    return backends.current().where(
        ops.expand_dims(last < ends, -1), gates, ops.zeros_like(gates)
    )
