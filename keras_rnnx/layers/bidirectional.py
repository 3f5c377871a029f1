"""A recurrent layer that reads sequences both ways."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_rnnx._sublayers import walk
from keras_rnnx.cells import Cell
from keras_rnnx.cells._base.masks import stream_seed
from keras_rnnx.engine.plan import Plan
from keras_rnnx.layers import checks
from keras_rnnx.layers._merging import merged
from keras_rnnx.layers.recurrent import RNN
from keras_rnnx.layers.regularized_outputs import RegularizedOutputs
from keras_rnnx.layers.stack.one_call import AtOnce
from keras_rnnx.layers.stack.stack import Stack
from keras_rnnx.regularizers.sum import on_sequences

# The attributes that a layer needs to run in both directions.
NEEDED = ("go_backwards", "return_sequences", "return_state", "stateful", "input_spec")


@keras.saving.register_keras_serializable("keras_rnnx")
class Bidirectional(RegularizedOutputs, keras.layers.Bidirectional):
    """Runs a recurrent layer forward and backward, as `keras.layers.Bidirectional`.

    It takes the same arguments and has the same weights. It reads weights files and
    configs of `keras.layers.Bidirectional`. The differences are:

    - It passes its mask on, with every version of Keras. (From version 3.16,
      `keras.layers.Bidirectional` drops it.)
    - The two directions draw different dropout masks from one `seed`.
    - One call of a vendor's kernel runs both directions of a keras_rnnx layer where
      that is exact; `keras_rnnx.explain` shows it.
    - `weights` are set when the layer is built. Keras accepts and ignores them.

    Args:
        layer: the recurrent layer, of keras_rnnx (`RNN`, `LSTM`, `Stack`, ...) or of
            Keras. Its weights are not used: both directions are made from its config.
        merge_mode: how the outputs of the two directions are merged: "concat", "sum",
            "mul" or "ave"; None: both outputs are returned. Default "concat".
        weights: list of the initial weights, the forward layer's first. Default None:
            from the initializers.
        backward_layer: the layer for the other direction, with `go_backwards=True`.
            Default None: made from the config of `layer`.
        **kwargs: arguments of `keras.layers.Layer`. `activity_regularizer` may be a
            list; regularizers of `keras_rnnx.regularizers` leave out masked steps.

    Call arguments:
        sequences: `(batch, time, features)`.
        initial_state: list of the initial states of the forward layer, then of the
            backward layer, each `(batch, units)`. Default: zeros, or the kept states
            if the layers are stateful.
        mask: boolean `(batch, time)`, any pattern; False marks steps to skip. Outputs
            of masked steps are zero where `layer` has `return_sequences=True`.
        training: whether dropout is on. Default False.

    Returns:
        The merged outputs, or both without `merge_mode`. If `layer` has
        `return_state=True`, a tuple of this and the last states, in the order of
        `initial_state`.

    Raises:
        ValueError: for layers that are not recurrent, that read in the same direction
            or do not fit each other; for an unknown `merge_mode`; for a wrong number
            of weights or states; for an activity regularizer of all steps without
            `merge_mode` or with `return_sequences=False`.

    Example:

    >>> layer = keras_rnnx.layers.GRU(4, return_sequences=True)
    >>> both = keras_rnnx.layers.Bidirectional(layer)
    >>> both(np.ones((2, 5, 3), "float32")).shape
    (2, 5, 8)
    """

    def __init__(
        self,
        layer: keras.Layer,
        merge_mode: str | None = "concat",
        weights: Sequence[Any] | None = None,
        backward_layer: keras.Layer | None = None,
        **kwargs: Any,
    ):
        _check_layer("layer", layer)
        if backward_layer is not None:
            _check_layer("backward_layer", backward_layer)
        regularizer = kwargs.pop("activity_regularizer", None)
        super().__init__(layer, merge_mode, backward_layer=backward_layer, **kwargs)
        # Keras 3.16 sets it to False and would pass no mask on. It would also warn
        # about that if the inner layer is one of Keras.
        self.supports_masking = True
        for inner in self.rows[0]:
            inner.supports_masking |= isinstance(inner, keras.layers.RNN)
        self.activity_regularizer = regularizer
        checks.activity_regularizer(self)
        names = on_sequences(regularizer)
        if names and merge_mode is None:
            raise ValueError(
                f"{self.name}: activity_regularizer={' + '.join(names)} is a penalty "
                f"on one sequence of outputs, received merge_mode=None, which gives "
                f"two. Pass it to `layer` instead."
            )
        self._given_weights = None if weights is None else tuple(weights)
        self._at_once = AtOnce(self)
        _reseed(self.backward_layer)

    @property
    def go_backwards(self) -> bool:
        """Whether outputs come in reverse order, from the end of the sequence.

        This is the case if `layer` itself has `go_backwards=True`.
        """
        return self.forward_layer.go_backwards

    @property
    def rows(self) -> list[list[keras.Layer]]:
        """The layers of both directions, as the single row of a stack."""
        return [[self.forward_layer, self.backward_layer]]

    def plan(
        self, training: bool = True, batch: int | None = None, masked: bool = False
    ) -> Plan | str:
        """The plan to run both directions in one call of a vendor's kernel.

        Args:
            training: whether to plan for training, with dropout on. Default True.
            batch: number of sequences, if known. Default: not known.
            masked: whether the call has a mask. Default False.

        Returns:
            A `keras_rnnx.engine.Plan`, or the reason for one call per direction.

        Example:

        >>> layer = keras_rnnx.layers.Stack("gru", 4, name="deep")
        >>> keras_rnnx.layers.Bidirectional(layer).plan()
        'forward_deep is a Stack, not one recurrent layer of keras_rnnx'
        """
        return self._at_once.plan(bool(training), batch, masked, self._refusal())

    def _refusal(self) -> str | None:
        """Why the layers cannot run in one call, or None."""
        for layer in self.rows[0]:
            if not isinstance(layer, RNN):
                return (
                    f"{layer.name} is a {type(layer).__name__}, not one recurrent "
                    f"layer of keras_rnnx"
                )
        if self.go_backwards:
            return f"{self.forward_layer.name} reads sequences from the end"
        return None

    def build(
        self, sequences_shape: tuple[int | None, ...], initial_state_shape: Any = None
    ) -> None:
        super().build(sequences_shape, initial_state_shape)
        self._check_widths(sequences_shape)
        if self._given_weights is not None:
            self._set(self._given_weights)
            self._given_weights = None

    def _check_widths(self, sequences_shape: tuple[int | None, ...]) -> None:
        shapes = [layer.compute_output_shape(sequences_shape) for layer in self.rows[0]]
        widths = [(s[0] if self.return_state else s)[-1] for s in shapes]
        if self.merge_mode not in ("concat", None) and widths[0] != widths[1]:
            raise ValueError(
                f"{self.name}: merge_mode={self.merge_mode!r} needs outputs of one "
                f"width, received {widths[0]} of {self.forward_layer.name} and "
                f"{widths[1]} of {self.backward_layer.name}. merge_mode='concat' and "
                f"None take any."
            )

    def _set(self, weights: Sequence[Any]) -> None:
        count = len(self.forward_layer.weights)
        expected = count + len(self.backward_layer.weights)
        if len(weights) != expected:
            raise ValueError(
                f"{self.name}: `weights` must be a list of {expected} arrays, {count} "
                f"of them for {self.forward_layer.name}, received {len(weights)}."
            )
        self.forward_layer.set_weights(weights[:count])
        self.backward_layer.set_weights(weights[count:])

    def call(
        self,
        sequences: Any,
        initial_state: Any = None,
        mask: Any = None,
        training: bool | None = None,
    ) -> Any:
        training = bool(training)
        self._tell_regularizer(mask)
        if not any(isinstance(layer, (RNN, Stack)) for layer in self.rows[0]):
            # Keras has fast paths for its own layers, and calls others as they expect.
            return super().call(sequences, initial_state, mask, training)
        states = self._states_of_directions(initial_state)
        checks.batch(self, sequences)
        chosen = self.plan(training, sequences.shape[0], mask is not None)
        if isinstance(chosen, Plan):
            checks.call_arguments(self, sequences, initial_state, mask)
            zero = self.forward_layer.zero_output_for_mask
            outputs, last = self._at_once(
                sequences, initial_state, mask, training, zero
            )
        else:
            outputs, last = [], []
            for layer, initial in zip(self.rows[0], states):
                results = layer(
                    sequences, initial_state=initial, mask=mask, training=training
                )
                output, *last_states = results if self.return_state else [results]
                outputs.append(output)
                last.extend(last_states)
            if self.return_sequences:
                outputs[1] = ops.flip(outputs[1], axis=1)
        outputs = [ops.cast(output, self.compute_dtype) for output in outputs]
        outputs = merged(outputs[0], outputs[1], self.merge_mode)
        if not self.return_state:
            return outputs
        return (*(outputs if self.merge_mode is None else [outputs]), *last)

    @property
    def state_size(self) -> list[int]:
        """Sizes of the states, in the order of `initial_state`."""
        return [size for layer in self.rows[0] for size in _sizes(layer)]

    def _states_of_directions(
        self, states: Any
    ) -> tuple[list[Any] | None, list[Any] | None]:
        """The initial states of each direction."""
        if states is None:
            return None, None
        counts = [len(_sizes(layer)) for layer in self.rows[0]]
        received = len(states) if isinstance(states, (list, tuple)) else "one tensor"
        if received != sum(counts):
            raise ValueError(
                f"{self.name}: initial_state must be a list of {sum(counts)} states, "
                f"{counts[0]} for {self.forward_layer.name} and {counts[1]} for "
                f"{self.backward_layer.name}, received {received}."
            )
        return list(states[: counts[0]]), list(states[counts[0] :])

    def compute_output_shape(
        self, sequences_shape: tuple[int | None, ...], initial_state_shape: Any = None
    ) -> tuple[Any, ...]:
        each = [layer.compute_output_shape(sequences_shape) for layer in self.rows[0]]
        outputs, states = each, []
        if self.return_state:
            outputs = [shapes[0] for shapes in each]
            states = [shape for shapes in each for shape in shapes[1:]]
        if self.merge_mode == "concat":
            width = sum(shape[-1] for shape in outputs)
            outputs = [(*outputs[0][:-1], width)]
        elif self.merge_mode is not None:
            outputs = [tuple(outputs[0])]
        if len(outputs) == 1 and not states:
            return outputs[0]
        return (*outputs, *states)

    def compute_mask(self, sequences: Any, mask: Any = None) -> Any:
        mask = keras.tree.flatten(mask)[0] if self.return_sequences else None
        if mask is not None and self.go_backwards:
            mask = ops.flip(mask, axis=1)
        outputs = [mask] if self.merge_mode else [mask, mask]
        if self.return_state:
            outputs += [None] * len(self.state_size)
        return outputs[0] if len(outputs) == 1 else tuple(outputs)


def _check_layer(name: str, layer: Any) -> None:
    """Raises a ValueError if `layer` is not a recurrent layer."""
    if not isinstance(layer, keras.Layer) or not all(hasattr(layer, n) for n in NEEDED):
        cell = f" Pass RNN({name})." if isinstance(layer, Cell) else ""
        received = (
            type(layer).__name__ if isinstance(layer, keras.Layer) else repr(layer)
        )
        raise ValueError(
            f"`{name}` must be a recurrent layer such as keras_rnnx.layers.LSTM(8), "
            f"with the attributes {', '.join(NEEDED)}; received {received}.{cell}"
        )


def _sizes(layer: keras.Layer) -> list[int]:
    """Sizes of the states of a layer; empty for a layer without `state_size`."""
    return keras.tree.flatten(getattr(layer, "state_size", []))


def _reseed(layer: keras.Layer) -> None:
    """Gives seeded Keras cells that read backward a separate stream of random numbers.

    Both directions are made from one config, with the same seed. Layers of keras_rnnx
    separate the streams themselves.
    """
    if not layer.go_backwards or isinstance(layer, (RNN, Stack)):
        return
    for _, inner in walk(layer):
        generator = getattr(inner, "seed_generator", None)
        if isinstance(generator, keras.random.SeedGenerator):
            seed = getattr(inner, "seed", None)
            if seed is not None:
                state = [stream_seed(seed, 1), 0]
                generator.state.assign(ops.cast(state, generator.state.dtype))
