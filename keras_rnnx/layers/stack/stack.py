"""Recurrent layers on top of each other."""

from __future__ import annotations

import inspect
from typing import Any, Self

import keras
from keras import ops

from keras_rnnx import _numbers
from keras_rnnx.cells._base import arguments
from keras_rnnx.engine import masks
from keras_rnnx.engine.plan import Plan
from keras_rnnx.layers import checks
from keras_rnnx.layers.recurrent import RNN
from keras_rnnx.layers.regularized_outputs import RegularizedOutputs
from keras_rnnx.layers.stack import arguments as stacking
from keras_rnnx.layers.stack import make_levels
from keras_rnnx.layers.stack.one_call import AtOnce


@keras.saving.register_keras_serializable("keras_rnnx")
class Stack(RegularizedOutputs, keras.layers.Layer):
    """Recurrent layers of one cell on top of each other: depth is an argument.

    Each layer is a `keras_rnnx.layers.RNN` over the outputs of the layer below, on the
    fastest engine for it. `stack.layers` lists them from below; with `bidirectional`
    each forward layer comes before its backward layer.

    Args:
        cell: a name of the catalogue (`keras_rnnx.cells.names()`), a class of cells, or
            a cell; every layer gets a copy with its own weights.
        units: number of units of each layer, or a list with one number for each.
            Default: the units of `cell`, if it is a cell.
        depth: number of layers. Default 2, or the length of `units`.
        dropout: rate in [0, 1) at which the inputs of all layers but the first are
            dropped in training, with a new mask at every step: between layers, never
            on the recurrence. Zaremba, Sutskever & Vinyals 2014, arXiv:1409.2329.
            (The `dropout` of a cell is `dropout_mask="sequence"` here.) Default 0.
        input_dropout: the same for the inputs of the first layer. Default 0.
        output_dropout: the same for the outputs of the last layer. Default 0.
        dropout_mask: "step": these draw a mask at every step; "sequence": one for all
            steps of a sequence (variational or locked dropout: Gal & Ghahramani 2016,
            arXiv:1512.05287; Merity, Keskar & Socher 2017, arXiv:1708.02182). Default
            "step".
        connection: a connection around each layer with inputs `x` and outputs `H(x)`.
            None; "residual": `x + H(x)` (Prakash et al. 2016, arXiv:1610.03098);
            "highway": `T H(x) + (1 - T) x` with `T = sigmoid(W x + b)` at every step,
            equation 3 of Srivastava, Greff & Schmidhuber 2015, arXiv:1505.00387;
            "glu": `x + V sigmoid(G)` with `(V, G) = W gelu(H(norm(x))) + b`, a layer
            normalization, a recurrent layer and a gated linear unit, as a deep LRU has
            them (Orvieto et al. 2023, arXiv:2303.06349; the GELU in its tanh form).
            A stack of linear layers (`LRU`) is linear without it. This `x` is not
            dropped. If the first layer's inputs and outputs differ in width, it has no
            connection; with "glu" it keeps the gated linear unit, and its inputs are
            neither normalized nor added. Above it widths must be equal. Default None.
        highway_bias: first value of `b`; a negative number lets inputs pass. Default
            -1.
        gated_feedback: whether every layer reads the last states of all layers through
            gates: see `keras_rnnx.layers.GatedFeedbackCell`. Default False.
        bidirectional: whether every layer runs forward and backward in time. Default
            False.
        merge_mode: how the outputs of the two directions are merged: "concat", "sum",
            "mul" or "ave". As in `keras.layers.Bidirectional`, sequences of outputs
            are zero at masked steps. Default "concat".
        return_sequences, return_state, stateful, unroll: as for
            `keras_rnnx.layers.RNN`.
        zero_output_for_mask, use_cudnn, checkpoint: as for `keras_rnnx.layers.RNN`.
        initial_state_trainable, initial_state_initializer, initial_state_noise: as for
            `keras_rnnx.layers.RNN`.
        go_backwards: whether the whole stack reads the sequence from its end. Default
            False.
        seed: integer seed of all dropout masks, which differ from layer to layer.
            Default None: random.
        **kwargs: further arguments of the cell, the same for all layers (`activation`,
            `recurrent_dropout`, ...; with `monte_carlo=True` all dropout of the stack
            is on in inference too), `recipe` (a published combination of these, as for
            `keras_rnnx.layers.LSTM`), and of `keras.layers.Layer` (`name`, `dtype`,
            `trainable`, `activity_regularizer`).

    Call arguments:
        sequences: `(batch, time, features)`.
        initial_state: list of the initial states of all layers, from below, with
            `bidirectional` forward before backward; each `(batch, units)`. Default:
            zeros, or the kept states if `stateful`.
        mask: boolean `(batch, time)`, any pattern; False marks steps to skip.
        training: whether dropout is on, if not `monte_carlo`. Default False.

    Returns:
        `(batch, time, width)` if `return_sequences`, else `(batch, width)`; with
        `return_state` a tuple of this and the last states, in the order of
        `initial_state`.

    Raises:
        ValueError: for unknown arguments, for arguments that do not fit each other, and
            where `keras_rnnx.layers.RNN` raises one.

    Example:

    >>> stack = keras_rnnx.layers.Stack("lstm", 8, depth=3, dropout=0.2)
    >>> stack(np.ones((2, 5, 3), "float32")).shape
    (2, 8)
    >>> [layer.name for layer in stack.layers]
    ['lstm_1', 'lstm_2', 'lstm_3']
    """

    def __init__(
        self,
        cell: Any,
        units: int | list[int] | None = None,
        depth: int | None = None,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        output_dropout: float = 0.0,
        dropout_mask: str = "step",
        connection: str | None = None,
        highway_bias: float = -1.0,
        gated_feedback: bool = False,
        bidirectional: bool = False,
        merge_mode: str = "concat",
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        zero_output_for_mask: bool = False,
        use_cudnn: bool | str = "auto",
        checkpoint: bool | int | None = None,
        initial_state_trainable: bool = False,
        initial_state_initializer: Any = "zeros",
        initial_state_noise: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ):
        names = list(inspect.signature(Stack.__init__).parameters)[1:-1]
        template = stacking.Template(cell, units, kwargs, names)
        regularizer = template.layer.pop("activity_regularizer", None)
        super().__init__(**template.layer)
        self._template = template
        self.units = stacking.widths(units, depth, template.prototype.units)
        self.dropout = arguments.rate("dropout", dropout)
        self.input_dropout = arguments.rate("input_dropout", input_dropout)
        self.output_dropout = arguments.rate("output_dropout", output_dropout)
        self.dropout_mask = dropout_mask
        self.connection = connection
        self.highway_bias = arguments.number("highway_bias", highway_bias)
        self.gated_feedback = arguments.flag("gated_feedback", gated_feedback)
        self.bidirectional = arguments.flag("bidirectional", bidirectional)
        self.merge_mode = merge_mode
        self.return_sequences = arguments.flag("return_sequences", return_sequences)
        self.return_state = arguments.flag("return_state", return_state)
        self.go_backwards = arguments.flag("go_backwards", go_backwards)
        self.stateful = arguments.flag("stateful", stateful)
        self.unroll = arguments.flag("unroll", unroll)
        self._zero_output_for_mask = arguments.flag(
            "zero_output_for_mask", zero_output_for_mask
        )
        self._use_cudnn = checks.use_cudnn(use_cudnn)
        self.checkpoint = checks.checkpoint(checkpoint, unroll)
        self.initial_state_trainable = initial_state_trainable
        self.initial_state_initializer = keras.initializers.get(
            initial_state_initializer
        )
        self.initial_state_noise = initial_state_noise
        seed = template.prototype.seed if seed is None else seed
        self.seed = _numbers.seed("seed", seed)
        self.supports_masking = True
        self.activity_regularizer = regularizer
        checks.activity_regularizer(self)
        stacking.check(self)
        stacking.warn_if_linear(self, template.prototype)
        seeds = stacking.seeds(self.seed, self.go_backwards)
        self.levels = make_levels.make(self, template, seeds)
        self._at_once = AtOnce(self)
        # Without sequences there is one output, so a mask for each step is one mask.
        mask = self.dropout_mask if self.return_sequences else "step"
        self.last_drop = make_levels.dropout_layer(
            self, self.output_dropout, mask, seeds
        )

    @property
    def depth(self) -> int:
        """Number of layers."""
        return len(self.units)

    @property
    def monte_carlo(self) -> bool:
        """Whether dropout is on in inference too."""
        return self._template.prototype.monte_carlo

    @property
    def rows(self) -> list[list[RNN]]:
        """The recurrent layers from below: each row has one, or one per direction."""
        return [level.rnns for level in self.levels]

    @property
    def layers(self) -> list[RNN]:
        """The recurrent layers, from below."""
        return [rnn for row in self.rows for rnn in row]

    @property
    def state_size(self) -> list[int]:
        """Sizes of the states, in the order of `initial_state`."""
        return [size for level in self.levels for size in level.state_size]

    @property
    def output_size(self) -> int:
        """Width of the outputs."""
        return self.levels[-1].width

    @property
    def use_cudnn(self) -> bool | str:
        """As given, or as `keras.layers.Bidirectional` sets it afterwards."""
        return self._use_cudnn

    @use_cudnn.setter
    def use_cudnn(self, value: bool | str) -> None:
        self._use_cudnn = checks.use_cudnn(value)
        for layer in self.layers:
            layer.use_cudnn = self._use_cudnn

    @property
    def zero_output_for_mask(self) -> bool:
        """As given, or as `keras.layers.Bidirectional` sets it afterwards."""
        return self._zero_output_for_mask

    @zero_output_for_mask.setter
    def zero_output_for_mask(self, value: bool) -> None:
        self._zero_output_for_mask = bool(value)
        if not self.bidirectional:
            self.levels[-1].zero_output_for_mask = bool(value)

    @property
    def states(self) -> list[Any] | None:
        """The states that a stateful stack keeps, in the order of `initial_state`;
        None if it keeps none or is not built."""
        kept = [level.states for level in self.levels]
        if any(states is None for states in kept):
            return None
        return [state for states in kept for state in states]

    def states_by_layer(self, states: list[Any] | None = None) -> list[list[Any]]:
        """The states, grouped by layer.

        Args:
            states: the states that a call returned. Default: the kept states.

        Returns:
            For each layer, from below, a list of its states, `[h, c]` for an LSTM; with
            `bidirectional` the states of the forward layer come first.

        Raises:
            ValueError: if their number is wrong, or if the stack keeps none.

        Example:

        >>> stack = keras_rnnx.layers.Stack("lstm", [4, 6], return_state=True)
        >>> output, *states = stack(np.ones((2, 5, 3), "float32"))
        >>> [len(states) for states in stack.states_by_layer(states)]
        [2, 2]
        """
        states = self.states if states is None else list(states)
        if states is None or len(states) != len(self.state_size):
            received = "none" if states is None else len(states)
            raise ValueError(
                f"{self.name} has {len(self.state_size)} states, received {received}. "
                f"Only a stateful stack keeps them, once it is built: otherwise pass "
                f"the states that a call with return_state=True returned."
            )
        count = len(states) // self.depth
        return [states[k : k + count] for k in range(0, len(states), count)]

    def plan(
        self, training: bool = True, batch: int | None = None, masked: bool = False
    ) -> Plan | str:
        """The plan to run all layers in one call of a vendor's kernel.

        Args:
            training: whether to plan for training, with dropout on. Default True.
            batch: number of sequences, if known. Default: not known.
            masked: whether the call has a mask. Default False.

        Returns:
            A `keras_rnnx.engine.Plan`, or the reason for one call per layer: then
            `keras_rnnx.engine.plan` says how each of `layers` runs.

        Example:

        >>> stack = keras_rnnx.layers.Stack("lstm", 8, depth=3, connection="residual")
        >>> stack.plan()
        "connection='residual' goes around every layer"
        """
        refused = stacking.kernel_refusal(self, bool(training))
        return self._at_once.plan(bool(training), batch, masked, refused)

    def reset_state(self) -> None:
        """Sets the states that a stateful stack keeps to zero."""
        for layer in self.layers:
            layer.reset_state()

    def reset_states(self) -> None:
        """The same as `reset_state`, as in `keras.layers.RNN`."""
        self.reset_state()

    def build(
        self, sequences_shape: tuple[int | None, ...], initial_state_shape: Any = None
    ) -> None:
        checks.sequences_shape(self, sequences_shape)
        shape = tuple(sequences_shape)
        for level in self.levels:
            level.build(shape)
            shape = (*shape[:-1], level.width)
        self.built = True

    def call(
        self,
        sequences: Any,
        initial_state: Any = None,
        mask: Any = None,
        training: bool = False,
    ) -> Any:
        checks.call_arguments(self, sequences, initial_state, mask)
        checks.batch(self, sequences)
        self._tell_regularizer(mask)
        if mask is not None and self.connection is not None:
            # The connection reads the inputs of masked steps too.
            sequences = masks.mask_inputs(sequences, keras.tree.flatten(mask)[0])
        if self.go_backwards:
            sequences = ops.flip(sequences, axis=1)
            mask = None if mask is None else ops.flip(mask, axis=1)
        chosen = self.plan(training, sequences.shape[0], mask is not None)
        run = self._in_one_call if isinstance(chosen, Plan) else self._layer_by_layer
        outputs, states = run(sequences, initial_state, mask, training)
        if self.last_drop is not None:
            outputs = self.last_drop(outputs, training=training)
        return (outputs, *states) if self.return_state else outputs

    def _in_one_call(
        self, sequences: Any, initial_state: Any, mask: Any, training: bool
    ) -> tuple[Any, list[Any]]:
        first, last = self.levels[0], self.levels[-1]
        if first.drop is not None:
            sequences = first.drop(sequences, training=training)
        zero = last.zero_output_for_mask
        outputs, states = self._at_once(sequences, initial_state, mask, training, zero)
        return last.merged(outputs), states

    def _layer_by_layer(
        self, outputs: Any, initial_state: Any, mask: Any, training: bool
    ) -> tuple[Any, list[Any]]:
        states, start = [], 0
        for level in self.levels:
            of_level = initial_state
            if of_level is not None:
                count = len(level.state_size)
                of_level = list(initial_state[start : start + count])
                start += count
            outputs, *last = level(
                outputs, initial_state=of_level, mask=mask, training=training
            )
            states.extend(last)
        return outputs, states

    def compute_output_shape(
        self, sequences_shape: tuple[int | None, ...], initial_state_shape: Any = None
    ) -> tuple[Any, ...]:
        shape, states = tuple(sequences_shape), []
        for level in self.levels:
            states += level.state_shapes(shape)
            shape = (*shape[:2], level.width)
        if not self.return_sequences:
            shape = (shape[0], shape[-1])
        return (shape, *states) if self.return_state else shape

    def compute_mask(self, sequences: Any, mask: Any = None) -> Any:
        mask = keras.tree.flatten(mask)[0] if self.return_sequences else None
        if mask is not None and self.go_backwards:
            # The outputs come in the order in which the steps were read.
            mask = ops.flip(mask, axis=1)
        if self.return_state:
            return [mask, *(None for _ in self.state_size)]
        return mask

    def get_config(self) -> dict[str, Any]:
        names = list(inspect.signature(Stack.__init__).parameters)[2:-1]
        config = {name: getattr(self, name) for name in names}
        config |= {"units": list(self.units), "depth": None}
        config["initial_state_initializer"] = keras.initializers.serialize(
            self.initial_state_initializer
        )
        cell = keras.saving.serialize_keras_object(self._template.prototype)
        return {**super().get_config(), **config, "cell": cell}

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> Self:
        config = dict(config)
        cell = keras.saving.deserialize_keras_object(
            config.pop("cell"), custom_objects=custom_objects
        )
        return cls(cell, **config)
