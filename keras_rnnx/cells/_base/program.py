"""A cell as engines see it: how its gates are assembled, and one step."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from keras import ops

from keras_rnnx.cells._base.layout import LATE, SUM, Layout
from keras_rnnx.cells._base.normalization import Normalization
from keras_rnnx.cells._base.tensors import Parts, StepContext, StepVectors
from keras_rnnx.cells._base.values import Gates, State, Vectors


class CellProgram:
    """A cell with its arguments set, compiled for engines.

    Engines, Keras' loop and gated feedback take this object instead of a `Cell`. It
    alone knows how the parts of a gate are combined, where random masks act, and which
    states a masked step keeps. A step is

        products = {gate: multiply(gate, h)}         # an engine's, of `masked` vectors
        gates = program.read(inputs, products, ...)  # sums and parts, normalized
        states = program.update(states, gates, ...)  # the equation

    Args:
        cell: the `Cell`.
        where: `where(condition, a, b)` of the backend. Default: that of `keras.ops`.

    Attributes:
        name: name of the class of the cell.
        units: number of units.
        dtype: of the computations.
        states: width of each state by name, the output first.
        output: name of the first state.
        even: whether all states are `units` wide.
        layout: its gates, and their blocks in the weights.
        vectors: names of the vectors that the cell declares.
        linear: the linear states: names, or pairs of names for complex numbers.
        window: number of steps whose inputs the gates see.
        normalization: what normalizes inside of a step, or None.
    """

    def __init__(self, cell: Any, where: Callable[..., Any] = ops.where):
        self._cell, self._where = cell, where
        self.name = type(cell).__name__
        self.units, self.dtype = cell.units, cell.compute_dtype
        self.states: dict[str, int] = cell.state_widths
        self.output = cell.states[0]
        self.even = set(self.states.values()) == {self.units}
        self.layout: Layout = cell.layout
        self.vectors: tuple[str, ...] = tuple(cell.vectors)
        self.linear = tuple(k if isinstance(k, tuple) else (k,) for k in cell.linear)
        self.window: int = cell.window
        self.normalization: Normalization | None = cell.normalization
        self._zoneout = dict(zip(cell.states, cell.zoneout_rates))
        self._zones = any(cell.zoneout_rates)

    @property
    def gradient_flow(self) -> float:
        """Weight of the penalty on gradients that shrink or grow over a step. A
        callback may change it."""
        return self._cell.gradient_flow

    @property
    def summed(self) -> bool:
        """Whether the two parts of a summed gate may be added before the step."""
        return self.normalization is None

    @property
    def has_vectors(self) -> bool:
        """Whether a step reads vectors."""
        return bool(self.vectors or self._cell.diagonal or self.normalization)

    @property
    def constants(self) -> list[Any]:
        """The Python values that the equation reads, as far as the cell declares them.

        A recorded loop is valid only for these values.
        """
        options = [getattr(self._cell, name, None) for name in self._cell.options]
        values = [self.gradient_flow, *self._zoneout.values(), *options]
        return [v if isinstance(v, Hashable) else repr(v) for v in values]

    def lowering(self) -> Any:
        """How a vendor's kernel computes the cell: see `Cell.lowering`."""
        return self._cell.lowering()

    # --- weights ---

    def weights(self) -> dict[str, Any]:
        """The variables behind input parts, products and their biases, by name."""
        cell = self._cell
        names = ["kernel", "projection_kernel", "bias"]
        names += [] if cell.diagonal else ["recurrent_kernel"]
        names += self.normalization.tensors if self.normalization else []
        weights = {name: getattr(cell, name) for name in names}
        return {name: value for name, value in weights.items() if value is not None}

    def recurrent_matrix(self, kernel: Any) -> Any:
        """The matrix that multiplies the state, computed from `recurrent_kernel`."""
        return self._cell.recurrent_matrix(kernel)

    def step_vectors(self) -> StepVectors:
        """The vectors that a step reads. They are computed once a sequence."""
        cell, result = self._cell, StepVectors()
        if self.vectors:
            coefficients = cell.coefficients()
            result.own = {name: coefficients[name] for name in self.vectors}
        if cell.diagonal and cell.recurrent_kernel is not None:
            kernel = ops.convert_to_tensor(cell.recurrent_kernel)
            result.per_unit = self.layout.blocks(kernel, "recurrent_kernel")
        if self.normalization:
            self.normalization.add_vectors(result)
        return result

    # --- a step ---

    def masked(self, vector: Any, context: StepContext, gate: str | None = None) -> Any:
        """The vector that a matrix multiplies: `vector` under the recurrent mask.

        The operation is its own transpose, so gradients use it too.

        Args:
            vector: `(batch, width)`, or `(time, batch, width)`.
            context: of the step, or of all steps.
            gate: the gate with the matrix. Default: a gate that multiplies the output.
        """
        projects = gate and self.layout.gates[gate].matrix == "projection_kernel"
        if context.recurrent is None or projects:
            return vector
        return vector * context.recurrent

    def read(
        self,
        inputs: dict[str, Any],
        products: dict[str, Any],
        vectors: StepVectors,
        context: StepContext,
    ) -> dict[str, Any]:
        """Combines the parts of each gate to what the equation reads.

        Args:
            inputs: input parts with their biases, by gate; also gates that are summed
                already.
            products: products with their biases, by gate; for a late gate a function
                from the vector that its matrix multiplies.
            vectors: those of the cell.
            context: of the step.

        Returns:
            By gate the sum, or `Parts`.
        """
        if self.normalization:
            products = self.normalization.products(products, vectors, context)
        result = {}
        for name, gate in self.layout.gates.items():
            x, u = inputs.get(name), products.get(name)
            if gate.reads == SUM:
                result[name] = u if x is None else x if u is None else x + u
            else:
                result[name] = Parts(x, u)
        return result

    def update(
        self,
        states: dict[str, Any],
        gates: dict[str, Any],
        vectors: StepVectors,
        context: StepContext,
        norm: Callable[[Any], Any] | None = None,
    ) -> dict[str, Any]:
        """The states after a step: the equation, then zoneout, then masked steps.

        Args:
            states: before the step, by name.
            gates: what `read` returned.
            vectors, context: as for `read`.
            norm: a function that normalizes a state that the equation reads. Default:
                the normalization of the cell.
        """
        cell, normalization = self._cell, self.normalization
        hooks: dict[str, Callable[[Any], Any]] = {}
        if normalization:
            hooks["norm"] = norm or (
                lambda state: normalization.state(state, vectors, context)
            )
        if context.update is not None:
            hooks["drop"] = lambda written: written * context.update
        if vectors.per_unit:
            h = self.masked(states[self.output], context)
            gates = gates | {k: gates[k] + v * h for k, v in vectors.per_unit.items()}
        sums, x, u = {}, {}, {}
        for name, value in gates.items():
            if not isinstance(value, Parts):
                sums[name] = value
                continue
            u[name] = value.product
            if value.input is not None:
                x[name] = value.input
        arguments = [State(**states), Gates(sums, x, u, **hooks)]
        if self.vectors:
            arguments.append(Vectors(**vectors.own))
        new = vars(cell.update(*arguments))
        result = {}
        for name, old in states.items():
            value = new[name]
            if value.dtype != old.dtype:
                # Keras' activations give float32 for float64 on some backends.
                value = ops.cast(value, self.dtype)
            if self._zones:
                value = self._zoned(name, old, value, context)
            if context.valid is not None:
                value = self._where(context.valid, value, old)
            result[name] = value
        return result

    def _zoned(self, name: str, old: Any, new: Any, context: StepContext) -> Any:
        rate, keep = self._zoneout[name], context.zoneout.get(name)
        if keep is not None:
            return self._where(keep, old, new)
        return rate * old + (1 - rate) * new if rate else new

    def step(
        self,
        states: dict[str, Any],
        inputs: dict[str, Any],
        multiply: Callable[[str, Any], Any],
        vectors: StepVectors,
        context: StepContext,
    ) -> dict[str, Any]:
        """The states after a step.

        Args:
            states, inputs, vectors, context: as for `update` and `read`.
            multiply: a function of the name of a gate and the vector that its matrix
                multiplies; it returns the product, with its bias.
        """

        def product(gate: str) -> Callable[[Any], Any]:
            return lambda vector: multiply(gate, self.masked(vector, context, gate))

        products = {
            k: product(k)
            if self.layout.gates[k].reads == LATE
            else product(k)(states[self.output])
            for k in self.layout.product_gates
        }
        gates = self.read(inputs, products, vectors, context)
        return self.update(states, gates, vectors, context)
