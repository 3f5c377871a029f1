"""The base class of recurrent cells."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from keras_rnnx._changes import CountsChanges
from keras_rnnx.cells._base import (
    arguments,
    declaration_check,
    equation_check,
    weights,
)
from keras_rnnx.cells._base.layout import Layout
from keras_rnnx.cells._base.masks import RandomMasks
from keras_rnnx.cells._base.normalization import (
    BatchNormalization,
    LayerNormalization,
    Normalization,
)
from keras_rnnx.cells._base.program import CellProgram
from keras_rnnx.cells._base.reference import Reference
from keras_rnnx.cells._base.step import KerasStep
from keras_rnnx.cells._base.tensors import DrawnMasks
from keras_rnnx.cells._lowering.spec import Lowering

if TYPE_CHECKING:
    import inspect


class Cell(CountsChanges, keras.layers.Layer):
    """Base class of recurrent cells: a subclass is a declaration and an equation.

    A subclass declares, as class attributes:

    - `states`: names of the states, each of shape `(batch, units)`. The first is the
      output, and what `recurrent_kernel` multiplies.
    - `state_units`: the widths of states that are not `units` wide, by name: `{"r":
      32}`. Where an argument says so, `configure` sets it. `recurrent_kernel` has as
      many rows as the output is wide.
    - `gates`: names of the gates, the column blocks of `kernel`
      `(input_dim, n_gates * units)`, of `recurrent_kernel` `(units, n_gates * units)`
      and of `bias` `(n_gates * units,)`.
    - `split`: gates whose two parts the equation reads separately (`gate.x.k`,
      `gate.u.k`).
    - `late`: gates whose recurrent matrix multiplies a vector that the equation
      computes: `gate.u.k(vector)`.
    - `inputs_only`: gates that read the inputs alone, `W_k x + b_k`: they have no block
      in `recurrent_kernel`. If no gate has a block there, the cell has no such weight.
    - `states_only`: gates that read the state alone, `U_k h + b_k`, or late: they have
      no block in `kernel`.
    - `projection`: gates, also in `late` and `states_only`, whose blocks are in a
      separate weight, `projection_kernel` `(units, n_gates * width of the output)`,
      without bias: `gate.u.k(v)` maps a vector of `units` to the width of the output.
    - `diagonal`: whether `recurrent_kernel`, `(n_gates * units,)`, has one weight for
      each unit, so that `gate.k` is `W_k x + u_k * h + b_k`.
    - `biases`: the gates with a block in `bias`. Default: all but those that are both
      late and of the state alone.
    - `bias_part`: the part that a gate's bias is added to, where the equation reads the
      two parts separately: "inputs" (`gate.x.k`) or "recurrent" (`gate.u.k`).
    - `vectors`: per-unit weights by name with their initializers, `{"peephole":
      "zeros"}`. They reach `update` as a third argument.
    - `linear`: names of states in which the update is linear, with gates that read the
      inputs alone: `c' = a c + b`. A scan over time computes them. A pair of names
      is the real and the imaginary part of a complex state.
    - `linear_outputs`: whether the outputs are a linear function of all inputs, plus a
      constant. Layers of such a cell on top of each other are linear too, so that a
      `Stack` of them needs `connection="glu"` or "highway".
    - `window`: number of steps whose inputs the gates see, as in a causal convolution.
      `kernel` is then `(window * input_dim, ...)`, the oldest step first. The inputs of
      the steps before are one more state, the last, of shape
      `(batch, (window - 1) * input_dim)`.
    - `state_kinds`: states that cannot take any value: "count" (of steps) or
      "positive". They start at zero, even if the other states start at learned or
      random values.
    - `zoned`: states that `zoneout` keeps. Default: all but counts. Set it if a state
      has a meaning only together with another one.
    - `options`: further constructor arguments with their defaults, kept as attributes.
      Names that end in `activation`, `initializer`, `regularizer` or `constraint` take
      what Keras takes there. Naming a standard argument changes its default.
    - `search`: ranges that a search draws options from, by name, of the kinds in
      `keras_rnnx.cells.ranges`: `{"epsilon": Log(1e-3, 1.0), "depth": Int(1, 10)}`.
      Each range contains the default, which the search tries first.
    - `memory_gates`: the gates that decide how long the state is kept, with a sign for
      each: 1 if a larger pre-activation keeps the state longer, else -1: `{"f": 1,
      "i": -1}`. The biases of gates with 1 start at 1 if the cell has an option
      `unit_forget_bias` and it is True.
    - `gates_compete`: whether only the shares of these gates count, as in
      `f / (f + i)`: the state is kept for long if one gate is open and the other shut.
    - `recipes`: names of the combinations of arguments, in `keras_rnnx.layers.recipes`,
      that were published for this cell. Recipes about `memory_gates` need not be named.
    - `feedback_gate`: the gate of the new content of the state. In a stack with gated
      feedback it reads all layers. Only for cells whose gates all have a matrix for the
      inputs and one for the state, without `late` gates and vectors. Not inherited.
    - `recurrent_bias`: whether each of the two parts has its own bias: `bias` is then
      `(2, n_gates * units)`, as in Keras' GRU.
    - `lowering_values`: values of options, other than the default, for which `lowering`
      returns something else, by name: `{"beta": (0.0,)}`. The pages show the result of
      each.
    - `paper`: the source, a `keras_rnnx.cells.Reference` or several in a tuple.
    - `use`: what the cell is for, in a sentence or two.

    and defines `update(self, state, gate)`, the equation, which returns the new
    `State`. It must work elementwise on tensors of shape `(..., units)`, and may read
    no trainable weight except through its arguments. It may wrap the new content of the
    state in `gate.drop(...)`, for `update_dropout`, and a state that the output reads
    in `gate.norm(...)`, for `layer_norm` and `batch_norm`.

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
            arXiv:1512.05287). The kept values are scaled up, here and below. Default 0.
        recurrent_dropout: the same for what `recurrent_kernel` multiplies. Default 0.
        dropout_mask: "sequence", or "step" for masks drawn anew at every step, of
            `dropout`, `recurrent_dropout` and `update_dropout`. Default "sequence".
        weight_dropout: rate at which entries of `recurrent_kernel` are dropped, with
            one mask for a batch (Merity et al. 2017, arXiv:1708.02182). It keeps the
            fastest kernels. Default 0.
        input_weight_dropout: the same for `kernel`. Default 0.
        update_dropout: rate at which the new content of the state is dropped, but not
            the content that is kept (Semeniuta et al. 2016, arXiv:1603.05118). Default
            0.
        zoneout: probability in [0, 1) that a unit keeps its old state for a step: one
            number for all states it makes sense for (not for counts of steps), or one
            for each state. At inference the expected value is used (Krueger et al.
            2016, arXiv:1606.01305). Default 0.
        monte_carlo: whether all these masks are drawn at inference too, to sample
            predictions (Gal & Ghahramani). Default False.
        layer_norm: whether both parts of the pre-activations are normalized over the
            units, and the cell state where the output reads it (Ba et al. 2016,
            arXiv:1607.06450). Default False. With this or the next argument the cell
            computes in float32 even if its dtype policy says half precision.
        batch_norm: the same over the batch, with separate moments for each step
            (Cooijmans et al. 2017, arXiv:1603.09025). Default False.
        batch_norm_steps: number of steps with separate moving averages; later steps
            share those of the last one. Default: the number of steps of the sequences
            that the layer is built with.
        batch_norm_momentum: of these averages, in [0, 1). Default 0.99.
        seed: integer seed of the masks. Default None: random.
        **kwargs: the options of the cell, and `name`, `dtype`, `trainable`.

    Raises:
        TypeError: when a subclass is defined, if its declaration is wrong.
        ValueError: for an unknown argument or one out of range; when the cell is built,
            for an initializer, regularizer or constraint that does not fit its gates.

    Example:

    >>> class MGUCell(Cell):
    ...     states = ("h",)
    ...     gates = ("f", "h")
    ...     split = ("h",)
    ...     def update(self, state, gate):
    ...         f = ops.sigmoid(gate.f)
    ...         candidate = ops.tanh(gate.x.h + f * gate.u.h)
    ...         return State(h=(1 - f) * state.h + f * candidate)
    >>> outputs = keras_rnnx.layers.RNN(MGUCell(8))(np.ones((2, 5, 3), "float32"))
    >>> tuple(outputs.shape)
    (2, 8)
    """

    units: int
    states: tuple[str, ...]
    gates: tuple[str, ...]
    state_units: dict[str, int] = {}
    split: tuple[str, ...] = ()
    late: tuple[str, ...] = ()
    inputs_only: tuple[str, ...] = ()
    states_only: tuple[str, ...] = ()
    projection: tuple[str, ...] = ()
    diagonal: bool = False
    biases: tuple[str, ...] | None = None
    bias_part: str = "inputs"
    linear: tuple[str | tuple[str, str], ...] = ()
    linear_outputs: bool = False
    window: int = 1
    state_kinds: dict[str, str] = {}
    zoned: tuple[str, ...] | None = None
    vectors: dict[str, Any] = {}
    options: dict[str, Any] = {}
    search: dict[str, Any] = {}
    memory_gates: dict[str, int] = {}
    gates_compete: bool = False
    recipes: tuple[str, ...] = ()
    feedback_gate: str | None = None
    recurrent_bias: bool = False
    lowering_values: dict[str, tuple] = {}
    paper: Reference | tuple[Reference, ...] | str = ()
    use: str = ""
    # Read by `compute_dtype`, before it is set.
    normalization: Normalization | None = None
    __signature__: inspect.Signature

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.projection:
            # `options` of the cell come last: they may change these defaults.
            cls.options = cls.options | arguments.PROJECTION | cls.options
        declaration_check.check(cls, Cell)
        cls.__signature__ = arguments.signature(cls.options)

    def __init__(self, *args: Any, **kwargs: Any):
        cell_arguments, layer_arguments = arguments.bind(type(self), args, kwargs)
        super().__init__(**layer_arguments)
        for name, value in cell_arguments.items():
            setattr(self, name, arguments.resolve(name, value))
        self._argument_names = tuple(cell_arguments)
        self.seed_generator = keras.random.SeedGenerator(self.seed)
        self.zoneout_rates = arguments.rates(
            "zoneout", self.zoneout, self.states, self.zoned_states
        )
        self.sequence_length: int | None = None
        self.normalization = self._normalization()
        self.configure()
        self._check_widths()
        self.output_size = self.state_widths[self.states[0]]
        self.state_size = self.state_size_for(None)
        self.layout = Layout(self)
        if self.use_bias and not self.layout.bias_gates:
            raise ValueError(
                f"Received use_bias=True, but the gates of {type(self).__name__} have "
                f"no biases. Leave it out."
            )
        self.random_masks = RandomMasks(self)

    def _check_widths(self) -> None:
        for name, width in self.state_units.items():
            arguments.positive_int(f"state_units[{name!r}]", width)
        linear = [k for k in self.linear_states if self.state_widths[k] != self.units]
        output = self.state_widths[self.states[0]]
        if linear or (self.diagonal and output != self.units):
            raise ValueError(
                f"{type(self).__name__} has states of the widths {self.state_widths}. "
                f"Those that are linear, and the output of a diagonal cell, must be of "
                f"width units={self.units}."
            )

    def configure(self) -> None:
        """Called when all arguments are set: checks options, or lets them change the
        declaration of this instance."""

    def _normalization(self) -> Normalization | None:
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
        """Initializer of the bias of one gate. Default: `bias_initializer`."""
        starts_open = getattr(self, "unit_forget_bias", False)
        keeps = starts_open and self.memory_gates.get(gate) == 1
        return "ones" if keeps else self.bias_initializer

    def coefficients(self) -> dict[str, Any]:
        """The vectors that `update` receives, by name, each of shape `(units,)`.

        Called once a sequence, so that a vector that is a function of a weight (a leak
        rate in (0, 1) from its logit) is computed once. Default: the weights declared
        in `vectors`.
        """
        return {
            name: ops.convert_to_tensor(getattr(self, name)) for name in self.vectors
        }

    def recurrent_matrix(self, kernel: Any) -> Any:
        """The matrix that multiplies the state, computed from `recurrent_kernel`.

        Called once a sequence. Default: `recurrent_kernel` itself.
        """
        return kernel

    def lowering(self) -> Lowering | str:
        """How a vendor's kernel computes this cell exactly, or why none does.

        Called once all arguments are set, before there are weights.
        """
        return "no vendor kernel is known to compute its equation"

    @classmethod
    def search_space(cls, hp: Any) -> dict[str, Any]:
        """Draws the cell's own hyperparameters: those in `search`.

        Override it where one hyperparameter depends on another.

        Args:
            hp: a `keras_tuner.HyperParameters`.

        Returns:
            Constructor arguments by name.
        """
        return {
            name: values.draw(hp, name, cls.options[name])
            for name, values in cls.search.items()
        }

    def build_vector(self, name: str) -> None:
        """Makes the weight behind one of `vectors`. Default: an attribute of that name,
        of shape `(units,)`. Override together with `coefficients`."""
        weight = self.add_weight(
            shape=(self.units,), name=name, initializer=self.vectors[name]
        )
        setattr(self, name, weight)

    def state_size_for(self, features: int | None) -> int | list[int]:
        """The `state_size` of the built cell.

        Args:
            features: number of features of the inputs, which a window consists of; None
                if it is not known.
        """
        sizes = list(self.state_widths.values())
        if len(self.state_names) == 1:
            return sizes[0]
        if self.window > 1:
            sizes.append((self.window - 1) * (features or 0))
        return sizes

    # --- facts of the declaration ---

    @property
    def state_names(self) -> tuple[str, ...]:
        """Names of all states, including the state of a window."""
        return (*self.states, "window") if self.window > 1 else tuple(self.states)

    @property
    def state_widths(self) -> dict[str, int]:
        """Width of each of `states`, by name."""
        return {k: self.state_units.get(k, self.units) for k in self.states}

    @property
    def zoned_states(self) -> tuple[str, ...]:
        """Names of the states that zoneout may keep."""
        if self.zoned is not None:
            return self.zoned
        return tuple(k for k in self.states if self.state_kinds.get(k) != "count")

    @property
    def linear_states(self) -> tuple[str, ...]:
        """Names of the states that a scan computes."""
        pairs = (k if isinstance(k, tuple) else (k,) for k in self.linear)
        return tuple(k for pair in pairs for k in pair)

    @property
    def gradient_flow(self) -> float:
        """Weight of the penalty on gradients that shrink or grow over a step."""
        return getattr(self.recurrent_regularizer, "gradient_flow", 0.0)

    def gates_of(self, weight: str) -> tuple[str, ...]:
        """Names of the gates with a block in a weight, in its order.

        Args:
            weight: "kernel", "recurrent_kernel", "projection_kernel" or "bias".
        """
        return self.layout.gates_of(weight)

    # --- what Keras calls ---

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        features: Any = input_shape[-1]
        self.state_size = self.state_size_for(features)
        weights.build(self, features)
        self.built = True
        called = equation_check.check(self)
        equation_check.check_lowering(self, features)
        if self.update_dropout and "drop" not in called:
            raise ValueError(
                f"update_dropout={self.update_dropout} drops the new content of the "
                f"state, but {type(self).__name__} does not say which part is new: "
                f"its equation does not call `gate.drop`. Use zoneout or "
                f"recurrent_dropout, which fit any cell."
            )
        if self.normalization:
            self.normalization.build(called["norm"])
        self.program = CellProgram(self)
        self.keras_step = KerasStep(self)

    @property
    def compute_dtype(self) -> str:
        """The dtype of the computations: the policy's compute dtype, but float32
        instead of half precision for a cell with normalization.

        Dividing by standard deviations amplifies rounding errors at every step: within
        a few steps, errors of half precision would grow to tenths.
        """
        dtype = super().compute_dtype
        half = dtype in ("float16", "bfloat16")
        return "float32" if self.normalization and half else dtype

    def add_weight(self, *args: Any, **kwargs: Any) -> keras.Variable:
        """Adds a weight that Keras does not round when it is read.

        A cell of half precision rounds its weights where it computes. A cell with its
        own `call` reads them as other layers do.
        """
        own_call = type(self).call is not Cell.call
        rounds = own_call and self.variable_dtype != self.compute_dtype
        kwargs.setdefault("autocast", rounds)
        return super().add_weight(*args, **kwargs)

    def computed(self, weight: Any) -> Any:
        """A weight in the precision of the computations."""
        if self.variable_dtype == self.compute_dtype:
            return weight
        return ops.cast(weight, self.compute_dtype)

    def __call__(
        self, inputs: Any, states: Any, *args: Any, **kwargs: Any
    ) -> tuple[Any, Any]:
        output, new = super().__call__(inputs, states, *args, **kwargs)
        if self.compute_dtype != super().compute_dtype:
            # The states of Keras' stack of cells have the dtype of the stack, and a
            # loop may not change it.
            pairs = zip(keras.tree.flatten(new), keras.tree.flatten(states))
            cast = [
                ops.cast(value, keras.backend.standardize_dtype(state.dtype))
                for value, state in pairs
            ]
            new = keras.tree.pack_sequence_as(new, cast)
        return output, new

    def call(self, inputs: Any, states: Any, training: bool = False) -> tuple[Any, Any]:
        nested = keras.tree.is_nested(states)
        states = list(states) if nested else [states]
        new = self.keras_step(inputs, states, training)
        return new[0], new if nested else new[0]

    @contextlib.contextmanager
    def masks(self, batch_size: Any, drawn: DrawnMasks | None = None) -> Iterator[None]:
        """Keeps one draw of the masks for all steps inside of the `with` block.

        Wrap it around a hand-written training loop over `cell(x_t, states,
        training=True)`; `keras_rnnx.layers.RNN` does the same. Masks for a single step
        are drawn at every call.

        Args:
            batch_size: number of sequences in the batch.
            drawn: the masks to use, as `cell.random_masks.draw` returns them; the masks
                for single steps then come with the inputs
                (`cell.random_masks.joined`). Default: a new draw.
        """
        with self.keras_step.masks(batch_size, drawn):
            yield

    def get_initial_state(self, batch_size: Any = None) -> list[Any]:
        """States of zeros, each of the shape `(batch_size, units)`, except a window and
        the states in `state_units`."""
        sizes = self.state_size
        sizes = sizes if isinstance(sizes, list) else [sizes]
        return [ops.zeros((batch_size, n), dtype=self.compute_dtype) for n in sizes]

    def get_config(self) -> dict[str, Any]:
        cell_arguments = {
            name: arguments.serialize(name, getattr(self, name))
            for name in self._argument_names
        }
        return {**super().get_config(), **cell_arguments}
