"""What a recurrent cell is."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import keras
from keras import ops

from keras_rnnx.cells import arguments, declaration, probe
from keras_rnnx.cells.binding import bound
from keras_rnnx.cells.lowering import Lowering
from keras_rnnx.cells.views import Gates, State


class Cell(keras.layers.Layer):
    """Base class of recurrent cells: a subclass is a declaration and an equation.

    A subclass declares, as class attributes:

    - `states`: names of the states, each of shape `(batch, units)`. The first is the
      output, and what `recurrent_kernel` multiplies.
    - `gates`: names of the gates, the column blocks of `kernel`
      `(input_dim, n_gates * units)`, of `recurrent_kernel` `(units, n_gates * units)`
      and of `bias` `(n_gates * units,)`.
    - `split`: gates whose two parts the equation reads apart (`gate.x.k`, `gate.u.k`).
    - `late`: gates whose recurrent product is with a vector the equation makes itself:
      `gate.u.k(vector)`.
    - `vectors`: per-unit weights by name with their initializers, `{"peephole":
      "zeros"}`. They reach `update` as a third argument.
    - `options`: further constructor arguments with their defaults, kept as attributes.
      Names that end in `activation`, `initializer`, `regularizer` or `constraint` take
      what Keras takes there. Naming a standard argument changes its default.
    - `memory_gates`: the gates that say how long the state is kept, each with the sign
      (1 or -1) with which its pre-activation keeps it: `{"f": 1, "i": -1}`.
    - `recurrent_bias`: whether the two parts have a bias each: `bias` is then
      `(2, n_gates * units)`, as in Keras' GRU.
    - `paper`: authors and year of the source.

    and defines `update(self, state, gate)`, the equation, which returns the new
    `State`. It must work elementwise on tensors of shape `(..., units)` and may read
    nothing trainable but its arguments.

    Every cell is a Keras layer and a valid Keras RNN cell.

    Args:
        units: number of units, a positive integer.
        use_bias: whether the gates have biases. Default True.
        kernel_initializer: initializer of `kernel`. Default "glorot_uniform".
        recurrent_initializer: of `recurrent_kernel`. Default "orthogonal".
        bias_initializer: of `bias`. Default "zeros".
        kernel_regularizer, recurrent_regularizer, bias_regularizer: Keras
            regularizers. Default None.
        kernel_constraint, recurrent_constraint, bias_constraint: Keras constraints.
            Default None.
        dropout: rate in [0, 1) at which inputs are dropped in training, with one mask
            per sample for the whole sequence. Default 0.
        recurrent_dropout: the same for what `recurrent_kernel` multiplies. Default 0.
        seed: integer seed of the dropout masks. Default None: random.
        **kwargs: the options of the cell, and `name`, `dtype`, `trainable`.

    Raises:
        TypeError: when a subclass is made, if its declaration is wrong.
        ValueError: for an unknown argument or one out of range; when it is built, for
            an initializer, regularizer or constraint that does not fit its gates.

    Example:

    >>> class MGUCell(Cell):
    ...     states = ("h",)
    ...     gates = ("f", "h")
    ...     split = ("h",)
    ...     def update(self, state, gate):
    ...         f = ops.sigmoid(gate.f)
    ...         candidate = ops.tanh(gate.x.h + f * gate.u.h)
    ...         return State(h=(1 - f) * state.h + f * candidate)
    >>> keras_rnnx.layers.RNN(MGUCell(8))(np.ones((2, 5, 3), "float32")).shape
    (2, 8)
    """

    states: tuple[str, ...]
    gates: tuple[str, ...]
    split: tuple[str, ...] = ()
    late: tuple[str, ...] = ()
    vectors: dict[str, Any] = {}
    options: dict[str, Any] = {}
    memory_gates: dict[str, int] = {}
    recurrent_bias: bool = False
    paper: str = ""

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        declaration.check(cls)
        cls.__signature__ = arguments.signature(cls.options)

    def __init__(self, *args, **kwargs):
        own, layer = arguments.bind(type(self), args, kwargs)
        super().__init__(**layer)
        for name, value in own.items():
            setattr(self, name, arguments.resolve(name, value))
        self._argument_names = tuple(own)
        self._masks = None
        self.seed_generator = keras.random.SeedGenerator(self.seed)
        self.state_size = (
            self.units if len(self.states) == 1 else [self.units] * len(self.states)
        )
        self.output_size = self.units
        self.configure()

    def configure(self) -> None:
        """Called when all arguments are set: checks options, or lets them change the
        declaration of this instance."""

    def gate_bias_initializer(self, gate: str) -> Any:
        """Initializer of the bias of one gate. Default: `bias_initializer` for all."""
        return self.bias_initializer

    def coefficients(self) -> dict[str, Any]:
        """The vectors that `update` receives, by name, each of shape `(units,)`.

        Called once a sequence, so that a vector that is a function of a weight (a leak
        rate in (0, 1) from its logit) is computed once. Default: the weights declared
        in `vectors`.
        """
        return {
            name: ops.convert_to_tensor(getattr(self, name)) for name in self.vectors
        }

    def lowering(self) -> Lowering | str:
        """How a vendor's kernel computes this cell exactly, or why none does.

        Called once all arguments are set, before there are weights.
        """
        return "no vendor kernel is known to compute its equation"

    @classmethod
    def search_space(cls, hp: Any) -> dict[str, Any]:
        """Draws the cell's own hyperparameters.

        Args:
            hp: a `keras_tuner.HyperParameters`.

        Returns:
            Constructor arguments by name.
        """
        return {}

    def build(self, input_shape):
        width = len(self.gates) * self.units
        for name, shape in (
            ("kernel", (input_shape[-1], width)),
            ("recurrent_kernel", (self.units, width)),
        ):
            prefix = name.removesuffix("_kernel")
            weight = self.add_weight(
                shape=shape,
                name=name,
                **{
                    kind: bound(getattr(self, f"{prefix}_{kind}"), self, name)
                    for kind in ("initializer", "regularizer", "constraint")
                },
            )
            setattr(self, name, weight)
        self.bias = None
        if not self.use_bias and hasattr(self.bias_initializer, "bind"):
            raise ValueError(
                f"{type(self).__name__} received bias_initializer="
                f"{type(self.bias_initializer).__name__}(...) together with "
                f"use_bias=False, so there is no bias to initialize. Pass one of them."
            )
        if self.use_bias:
            self.bias = self.add_weight(
                shape=(2, width) if self.recurrent_bias else (width,),
                name="bias",
                initializer=self._bias_initializer(),
                regularizer=bound(self.bias_regularizer, self, "bias"),
                constraint=bound(self.bias_constraint, self, "bias"),
            )
        for name in self.vectors:
            self.build_vector(name)
        self.built = True
        probe.check(self)

    def build_vector(self, name: str) -> None:
        """Makes the weight behind one of `vectors`. Default: an attribute of that name,
        of shape `(units,)`. Override together with `coefficients`."""
        weight = self.add_weight(
            shape=(self.units,), name=name, initializer=self.vectors[name]
        )
        setattr(self, name, weight)

    def _bias_initializer(self):
        # One that knows the gates decides for all of them.
        made = bound(self.bias_initializer, self, "bias")
        if made is not self.bias_initializer:
            return made
        blocks = [self.gate_bias_initializer(gate) for gate in self.gates]
        if all(block is self.bias_initializer for block in blocks):
            return self.bias_initializer

        def initializer(shape, dtype=None):
            shape = (*shape[:-1], self.units)
            parts = [keras.initializers.get(b)(shape, dtype=dtype) for b in blocks]
            return ops.concatenate(parts, axis=-1)

        return initializer

    def advance(
        self,
        states: list[Any],
        total: dict[str, Any],
        x: dict[str, Any],
        u: dict[str, Any],
        vectors: dict[str, Any],
    ) -> list[Any]:
        """Applies the equation to tensors. Engines call this, users call the layer.

        Args:
            states: the states before the step, in the order of `self.states`.
            total: pre-activations of the gates that are neither split nor late.
            x: input parts of the split and late gates.
            u: recurrent parts of the split gates; for late gates, functions.
            vectors: what `coefficients` returned.

        Returns:
            The states after the step.
        """
        state = State(**dict(zip(self.states, states)))
        arguments = (state, Gates(total, x, u))
        if self.vectors:
            arguments += (State(**vectors),)
        new = self.update(*arguments)
        new = [getattr(new, name) for name in self.states]
        # Keras' activations give float32 for float64 on some backends.
        return [
            n if n.dtype == old.dtype else ops.cast(n, self.compute_dtype)
            for n, old in zip(new, states)
        ]

    def call(self, inputs, states, training=False):
        nested = keras.tree.is_nested(states)
        states = list(states) if nested else [states]
        input_mask, recurrent_mask = self._current_masks(training)
        if input_mask is not None:
            inputs = inputs * input_mask
        inputs = ops.cast(inputs, self.compute_dtype)
        # The operator, since `ops.matmul` computes float64 in float32 on torch.
        x = self._blocks(inputs @ ops.convert_to_tensor(self.kernel))
        blocks = self._blocks(ops.convert_to_tensor(self.recurrent_kernel))
        recurrent_bias = {}
        if self.bias is not None:
            bias = ops.convert_to_tensor(self.bias)
            input_bias = self._blocks(bias[0] if self.recurrent_bias else bias)
            x = {k: x[k] + input_bias[k] for k in self.gates}
            recurrent_bias = self._blocks(bias[1]) if self.recurrent_bias else {}

        def product(gate, vector):
            if recurrent_mask is not None:
                vector = vector * recurrent_mask
            out = vector @ blocks[gate]
            return out + recurrent_bias[gate] if recurrent_bias else out

        u = {
            k: functools.partial(product, k)
            if k in self.late
            else product(k, states[0])
            for k in self.gates
        }
        apart = (*self.split, *self.late)
        new = self.advance(
            states,
            {k: x[k] + u[k] for k in self.gates if k not in apart},
            {k: x[k] for k in apart},
            {k: u[k] for k in apart},
            self.coefficients(),
        )
        return new[0], new if nested else new[0]

    def _blocks(self, tensor):
        """The blocks of the last axis, by gate."""
        return dict(zip(self.gates, ops.split(tensor, len(self.gates), axis=-1)))

    def draw_masks(self, batch_size: Any, dtype: Any = None) -> tuple[Any, Any]:
        """Draws the dropout masks of one sequence.

        Args:
            batch_size: number of sequences in the batch.
            dtype: of the masks. Default: the compute dtype of the cell.

        Returns:
            The mask of the inputs, `(batch, input_dim)`, and that of the recurrent
            connections, `(batch, units)`; None where the rate is 0.
        """

        def draw(rate, width):
            if not rate:
                return None
            ones = ops.ones((batch_size, width), dtype or self.compute_dtype)
            return keras.random.dropout(ones, rate, seed=self.seed_generator)

        return (
            draw(self.dropout, self.kernel.shape[0]),
            draw(self.recurrent_dropout, self.units),
        )

    @contextlib.contextmanager
    def masks(self, batch_size: Any) -> Iterator[None]:
        """Holds one draw of the dropout masks for all steps taken inside.

        Wrap a hand-written training loop over `cell(x_t, states, training=True)` in
        it; `keras_rnnx.layers.RNN` does.
        """
        self._masks = self.draw_masks(batch_size)
        try:
            yield
        finally:
            self._masks = None

    def _current_masks(self, training):
        if not training or not (self.dropout or self.recurrent_dropout):
            return None, None
        if self._masks is None:
            raise ValueError(
                f"{type(self).__name__} with dropout={self.dropout}, "
                f"recurrent_dropout={self.recurrent_dropout} was called for a training "
                f"step outside of a sequence, so there is no mask to keep from step to "
                f"step. Use keras_rnnx.layers.RNN (which takes all that "
                f"keras.layers.RNN takes), or step inside `with cell.masks(batch):`."
            )
        return self._masks

    def get_initial_state(self, batch_size: Any = None) -> list[Any]:
        """States of zeros, each of shape `(batch_size, units)`."""
        return [
            ops.zeros((batch_size, self.units), dtype=self.compute_dtype)
            for _ in self.states
        ]

    def get_config(self):
        own = {
            name: arguments.serialize(name, getattr(self, name))
            for name in self._argument_names
        }
        return {**super().get_config(), **own}
