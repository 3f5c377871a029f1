"""One layer of a stack, with its dropout and its connection."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_rnnx.engine import masks
from keras_rnnx.engine.packing import Packing
from keras_rnnx.layers._merging import merged
from keras_rnnx.layers.recurrent import RNN


class Level(keras.layers.Layer):
    """One layer of a `Stack`: dropout, a layer in each direction, the connection.

    Args:
        cells: the cell, or one to run forward and one to run backward.
        names: of the layers, in the same order.
        drop: dropout of the inputs, a layer or None.
        merge_mode: how the outputs of two directions are merged.
        connection: None, "residual", "highway" or "glu".
        highway_bias: first value of the gate's bias.
        top: whether this is the last layer.
        return_sequences: whether the output of every step is wanted.
        zero_output_for_mask: whether the output of a masked step is zero.
        loop: further arguments of `RNN`.
        **kwargs: arguments of `keras.layers.Layer`.
    """

    def __init__(
        self,
        cells: list[keras.layers.Layer],
        names: list[str],
        drop: keras.layers.Layer | None,
        merge_mode: str,
        connection: str | None,
        highway_bias: float,
        top: bool,
        return_sequences: bool,
        zero_output_for_mask: bool,
        loop: dict[str, Any],
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.drop = drop
        self.merge_mode = merge_mode
        self.connection = connection
        self.top = top
        self.return_sequences = return_sequences
        self._zero_output_for_mask = zero_output_for_mask
        self.rnns = [
            RNN(
                cell,
                # A connection needs the outputs of all steps.
                return_sequences=return_sequences or connection is not None,
                return_state=True,
                go_backwards=backwards,
                zero_output_for_mask=zero_output_for_mask,
                name=name,
                dtype=self.dtype_policy,
                **loop,
            )
            for cell, name, backwards in zip(cells, names, (False, True))
        ]
        self.gate = self.norm = self.glu = None
        if connection == "glu":
            self.norm = keras.layers.LayerNormalization(
                dtype=self.dtype_policy, name="normalization"
            )
            self.glu = keras.layers.Dense(
                2 * self.width, dtype=self.dtype_policy, name="gated_linear_unit"
            )
        if connection == "highway":
            self.gate = keras.layers.Dense(
                self.width,
                activation="sigmoid",
                bias_initializer=keras.initializers.Constant(highway_bias),
                dtype=self.dtype_policy,
                name="transform_gate",
            )
        self.connects = connection is not None

    @property
    def zero_output_for_mask(self) -> bool:
        """Whether the output of a masked step is zero."""
        return self._zero_output_for_mask

    @zero_output_for_mask.setter
    def zero_output_for_mask(self, value: bool) -> None:
        self._zero_output_for_mask = value
        for rnn in self.rnns:
            rnn.zero_output_for_mask = value

    @property
    def width(self) -> int:
        """Width of the outputs."""
        concatenated = len(self.rnns) == 2 and self.merge_mode == "concat"
        return self.rnns[0].cell.output_size * (2 if concatenated else 1)

    @property
    def state_size(self) -> list[int]:
        """Sizes of the states, forward before backward."""
        return [size for rnn in self.rnns for size in rnn.state_size]

    @property
    def states(self) -> list[Any] | None:
        """The states that are kept, in the same order, or None."""
        kept = [rnn.states for rnn in self.rnns]
        if any(states is None for states in kept):
            return None
        return [state for states in kept for state in states]

    def build(
        self, sequences_shape: tuple[int | None, ...], initial_state_shape: Any = None
    ) -> None:
        if sequences_shape[-1] != self.width:
            # Only the first layer may have another width: `Stack` has checked it.
            self.connects, self.gate, self.norm = False, None, None
        for layer in (self.norm, *self.rnns, self.gate):
            if layer is not None:
                layer.build(sequences_shape)
        if self.glu is not None:
            self.glu.build((*sequences_shape[:-1], self.width))
        self.built = True

    def call(
        self,
        sequences: Any,
        initial_state: Any = None,
        mask: Any = None,
        training: bool = False,
    ) -> tuple[Any, ...]:
        inputs = self.read(sequences)
        if self.drop is not None:
            inputs = self.drop(inputs, training=training)
        outputs, states, start = [], [], 0
        for rnn in self.rnns:
            count = len(rnn.state_size)
            states_before = initial_state and list(initial_state[start : start + count])
            output, *last = rnn(
                inputs, initial_state=states_before, mask=mask, training=training
            )
            if rnn.go_backwards and rnn.return_sequences:
                output = ops.flip(output, axis=1)
            outputs.append(output)
            states.extend(last)
            start += count
        outputs = self.merged(outputs)
        if self.connection is not None:
            outputs = self.connected(sequences, outputs, mask)
        return outputs, *states

    def merged(self, outputs: list[Any]) -> Any:
        """The outputs of one direction, or the merged outputs of both."""
        if len(outputs) == 1:
            return outputs[0]
        forward, backward = outputs
        return merged(forward, backward, self.merge_mode)

    def read(self, inputs: Any) -> Any:
        """What the recurrent layers read: with "glu" the inputs are normalized."""
        return inputs if self.norm is None else self.norm(inputs)

    def connected(self, inputs: Any, outputs: Any, mask: Any = None) -> Any:
        """`outputs` with the connection."""
        if self.glu is not None:
            value, gate = ops.split(self.glu(ops.gelu(outputs)), 2, axis=-1)
            outputs = value * ops.sigmoid(gate)
        if self.connects and self.gate is not None:
            outputs = inputs + self.gate(inputs) * (outputs - inputs)
        elif self.connects:
            outputs = inputs + outputs
        if self.top and mask is not None:
            # The connection added inputs of masked steps, which must not show.
            mask = masks.column(mask)
            packing = Packing(mask[..., 0])
            nothing = ops.zeros_like(outputs[:, 0])
            outputs = packing.unpack(packing.pack(outputs), nothing)
            outputs = masks.mask_outputs(outputs, mask, self.zero_output_for_mask)
        return outputs if self.return_sequences else outputs[:, -1]

    def compute_output_shape(
        self, sequences_shape: tuple[int | None, ...], initial_state_shape: Any = None
    ) -> tuple[Any, ...]:
        batch, steps, _ = sequences_shape
        outputs: tuple[int | None, ...] = (batch, steps, self.width)
        if not self.return_sequences:
            outputs = (batch, self.width)
        return outputs, *self.state_shapes(sequences_shape)

    def state_shapes(self, sequences_shape: tuple) -> list[tuple]:
        """Shapes of the states, in the order of `states`."""
        of_rnns = [rnn.compute_output_shape(sequences_shape) for rnn in self.rnns]
        return [shape for shapes in of_rnns for shape in shapes[1:]]

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        return None
