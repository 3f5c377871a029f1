"""What a recurrent cell is."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import keras
from keras import ops

from keras_rnnx.cells import arguments, declaration, probe
from keras_rnnx.cells.batch_normalization import BatchNormalization
from keras_rnnx.cells.binding import bound
from keras_rnnx.cells.lowering import Lowering
from keras_rnnx.cells.noise import MASKS, Noise
from keras_rnnx.cells.normalization import LayerNormalization
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
            per sample for the whole sequence (Gal & Ghahramani 2016,
            arXiv:1512.05287). What is left is scaled up, here and below. Default 0.
        recurrent_dropout: the same for what `recurrent_kernel` multiplies. Default 0.
        dropout_mask: "sequence", or "step" for masks drawn anew at every step, of
            `dropout`, `recurrent_dropout` and `update_dropout`. Default "sequence".
        weight_dropout: rate at which entries of `recurrent_kernel` are dropped, with
            one mask for a batch (Merity et al. 2017, arXiv:1708.02182). It keeps the
            fastest kernels. Default 0.
        input_weight_dropout: the same for `kernel`. Default 0.
        update_dropout: rate at which is dropped what is written anew to the state, and
            not what is kept (Semeniuta et al. 2016, arXiv:1603.05118). Default 0.
        zoneout: probability in [0, 1) that a unit keeps its old state for a step, a
            number or one for each state; the expected value at inference (Krueger et
            al. 2016, arXiv:1606.01305). Default 0.
        monte_carlo: whether all these masks are drawn at inference too, for samples of
            a prediction (Gal & Ghahramani). Default False.
        layer_norm: whether both parts of the pre-activations are normalized over the
            units, and the cell state where the output reads it (Ba et al. 2016,
            arXiv:1607.06450). Default False.
        batch_norm: the same over the batch, with moments of its own for each step
            (Cooijmans et al. 2017, arXiv:1603.09025). Default False.
        batch_norm_steps: steps with moving averages of their own; later ones share
            those of the last. Default: as many as the sequences have with which the
            layer is built.
        batch_norm_momentum: of these averages, in [0, 1). Default 0.99.
        seed: integer seed of the masks. Default None: random.
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
        self.zoneout_rates = arguments.rates("zoneout", self.zoneout, self.states)
        self.state_size = (
            self.units if len(self.states) == 1 else [self.units] * len(self.states)
        )
        self.output_size = self.units
        self.sequence_length = None
        self.normalization = self._normalization()
        self.configure()
        self.noise = Noise(self)

    def configure(self) -> None:
        """Called when all arguments are set: checks options, or lets them change the
        declaration of this instance."""

    def _normalization(self):
        if self.layer_norm and self.batch_norm:
            raise ValueError(
                "Received layer_norm=True and batch_norm=True, which normalize the "
                "same values. Pass one of them."
            )
        kinds = {
            LayerNormalization: self.layer_norm,
            BatchNormalization: self.batch_norm,
        }
        return next((kind(self) for kind, wanted in kinds.items() if wanted), None)

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
        called = probe.check(self)
        if self.update_dropout and "drop" not in called:
            raise ValueError(
                f"update_dropout={self.update_dropout} drops what a gate writes anew "
                f"to the state, and {type(self).__name__} does not tell it from what "
                f"it keeps: its equation does not call `gate.drop`. zoneout or "
                f"recurrent_dropout fit any cell."
            )
        if self.batch_norm and self.batch_norm_steps is None:
            self.batch_norm_steps = self.sequence_length
            if self.batch_norm_steps is None:
                raise ValueError(
                    f"batch_norm=True keeps moving averages for every step, and "
                    f"{type(self).__name__} was built without a known number of "
                    f"steps: pass batch_norm_steps, the number of steps with averages "
                    f"of their own."
                )
        if self.normalization:
            self.normalization.build("norm" in called)

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

    @property
    def by_step(self) -> tuple[str, ...]:
        """Names of all that may be given for every step."""
        more = self.normalization.by_step if self.normalization else ()
        return (*self.noise.by_step, *more)

    @property
    def apart(self) -> tuple[str, ...]:
        """Gates of which the equation reads the two parts, or makes the second."""
        return (*self.split, *self.late)

    @property
    def gradient_flow(self) -> float:
        """Weight of the penalty on gradients that shrink or grow over a step."""
        return getattr(self.recurrent_regularizer, "gradient_flow", 0.0)

    @property
    def unsummed(self) -> tuple[str, ...]:
        """Gates of which `advance` takes the two parts."""
        return self.gates if self.normalization else self.apart

    @property
    def vector_names(self) -> tuple[str, ...]:
        """Names of all vectors that `advance` takes."""
        more = self.normalization.vectors if self.normalization else ()
        return (*self.vectors, *more)

    def all_coefficients(self) -> dict[str, Any]:
        """These vectors, each of shape `(units,)`."""
        found = self.coefficients() if self.vectors else {}
        return found | (self.normalization.coefficients() if self.normalization else {})

    def advance(
        self,
        states: list[Any],
        total: dict[str, Any],
        x: dict[str, Any],
        u: dict[str, Any],
        vectors: dict[str, Any],
        noise: dict[str, Any] | None = None,
    ) -> list[Any]:
        """Applies the equation to tensors. Engines call this, users call the layer.

        Args:
            states: the states before the step, in the order of `self.states`.
            total: pre-activations of the gates that are not in `unsummed`.
            x: input parts of the others.
            u: their recurrent parts; for late gates, functions.
            vectors: what `all_coefficients` returned.
            noise: masks of the step by name, as in `Noise`.

        Returns:
            The states after the step.
        """
        noise = noise or {}
        hooks = {}
        if "update" in noise:
            hooks["drop"] = lambda written: written * noise["update"]
        if self.normalization:
            total, x, u = self.normalization.step(x, u, vectors, noise)
            hooks["norm"] = lambda state: self.normalization.state(
                state, vectors, noise
            )
        state = State(**dict(zip(self.states, states)))
        arguments = (state, Gates(total, x, u, **hooks))
        if self.vectors:
            arguments += (State(**{name: vectors[name] for name in self.vectors}),)
        new = self.update(*arguments)
        new = [getattr(new, name) for name in self.states]
        # Keras' activations give float32 for float64 on some backends.
        new = [
            n if n.dtype == old.dtype else ops.cast(n, self.compute_dtype)
            for n, old in zip(new, states)
        ]
        return self._zoned(states, new, noise)

    def _zoned(self, states, new, noise):
        if not any(self.zoneout_rates):
            return new
        found = []
        for name, rate, a, b in zip(self.states, self.zoneout_rates, states, new):
            keep = noise.get(f"zoneout {name}")
            if keep is not None:
                b = ops.where(keep, a, b)
            elif rate:
                b = rate * a + (1 - rate) * b
            found.append(b)
        return found

    def call(self, inputs, states, training=False):
        if self.batch_norm:
            raise ValueError(
                f"{type(self).__name__} with batch_norm=True has moments for every "
                f"step, and a single step does not know which it is. Use it in "
                f"keras_rnnx.layers.RNN."
            )
        nested = keras.tree.is_nested(states)
        states = list(states) if nested else [states]
        inputs, noise = self._current_masks(inputs, training)
        weights = {
            name: ops.convert_to_tensor(getattr(self, name))
            for name in ("kernel", "recurrent_kernel")
        }
        weights = {k: w * noise[k] if k in noise else w for k, w in weights.items()}
        inputs = inputs * noise["inputs"] if "inputs" in noise else inputs
        inputs = ops.cast(inputs, self.compute_dtype)
        # The operator, since `ops.matmul` computes float64 in float32 on torch.
        x = self._blocks(inputs @ weights["kernel"])
        blocks = self._blocks(weights["recurrent_kernel"])
        x, recurrent_bias = self._with_biases(x)

        def product(gate, vector):
            if "recurrent" in noise:
                vector = vector * noise["recurrent"]
            out = vector @ blocks[gate]
            return out + recurrent_bias[gate] if recurrent_bias else out

        u = {
            k: functools.partial(product, k)
            if k in self.late
            else product(k, states[0])
            for k in self.gates
        }
        unsummed = self.unsummed
        new = self.advance(
            states,
            {k: x[k] + u[k] for k in self.gates if k not in unsummed},
            {k: x[k] for k in unsummed},
            {k: u[k] for k in unsummed},
            self.all_coefficients(),
            noise,
        )
        return new[0], new if nested else new[0]

    def _with_biases(self, x):
        """The inputs' part of the gates with their biases, and those of the other."""
        bias = None if self.bias is None else ops.convert_to_tensor(self.bias)
        if self.normalization:
            tensors = {} if bias is None else {"bias": bias}
            tensors |= {k: getattr(self, k) for k in self.normalization.tensors}
            return self.normalization.inputs(x, tensors, {}), {}
        if bias is None:
            return x, {}
        of_inputs = self._blocks(bias[0] if self.recurrent_bias else bias)
        x = {k: x[k] + of_inputs[k] for k in self.gates}
        return x, self._blocks(bias[1]) if self.recurrent_bias else {}

    def _blocks(self, tensor):
        """The blocks of the last axis, by gate."""
        return dict(zip(self.gates, ops.split(tensor, len(self.gates), axis=-1)))

    @contextlib.contextmanager
    def masks(
        self, batch_size: Any, drawn: dict[str, Any] | None = None
    ) -> Iterator[None]:
        """Holds one draw of the masks for all steps taken inside.

        Wrap a hand-written training loop over `cell(x_t, states, training=True)` in
        it; `keras_rnnx.layers.RNN` does. Masks that are drawn for every step are drawn
        at every call.

        Args:
            batch_size: number of sequences in the batch.
            drawn: masks to hold, as `cell.noise.draw` returns them; those of every step
                then come with the inputs (`cell.noise.beside`). Default: a new draw.
        """
        own = drawn is None
        drawn = self.noise.draw(batch_size, 1) if own else drawn
        self._masks = {k: v for k, v in drawn.items() if k not in self.noise.by_step}
        self._each_step = batch_size if own else None
        try:
            yield
        finally:
            self._masks = None

    def _current_masks(self, inputs, training):
        """The inputs of a step, and its masks by name."""
        if not self.noise.on(training):
            return inputs, {}
        if self._masks is None:
            rates = [name for name in MASKS if getattr(self, name)]
            rates += ["zoneout"] * any(self.zoneout_rates)
            given = ", ".join(f"{name}={getattr(self, name)}" for name in rates)
            raise ValueError(
                f"{type(self).__name__} with {given} was called for a training "
                f"step outside of a sequence, so there is no mask to keep from step to "
                f"step. Use keras_rnnx.layers.RNN (which takes all that "
                f"keras.layers.RNN takes), or step inside `with cell.masks(batch):`."
            )
        names = self.noise.by_step
        if self._each_step is None:
            inputs, drawn = self.noise.apart(inputs)
            return inputs, self._masks | drawn
        drawn = self.noise.draw(self._each_step, 1) if names else {}
        return inputs, self._masks | {name: drawn[name][:, 0] for name in names}

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
