"""The contract of a backend file: the functions that engines call.

Every file in this folder has the functions of `Backend`; the file of a backend that
runs operations eagerly also has those of `EagerBackend`. Loops take trees of tensors,
derivatives take lists. A new backend is a file with these functions and a line in
`__init__.py`.

Engines use `where`, `concatenate`, `total`, `outer` and the like from here, because
those of `keras.ops` compute float64 in float32 on JAX and torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    import keras

    from keras_rnnx.cells._base.program import CellProgram

Tensor: TypeAlias = Any
Tensors: TypeAlias = list[Any]
# A gradient, also called cotangent, for each tensor of a list; None for zero.
Cotangents: TypeAlias = list[Any]
# A number of steps: an int, or a tensor if it is not known in advance.
Length: TypeAlias = Any
# A number of sequences: an int; a tensor or None if it is not known in advance.
Batch: TypeAlias = Any
# The sizes of a tensor, each an int; a tensor or None if it is not known in advance.
Shape: TypeAlias = Sequence[Any]
# A dtype: its name, or the framework's object.
DType: TypeAlias = Any
# Tensors in dataclasses, dicts and lists: see `keras_rnnx/_trees.py`. A tree that
# describes tensors has in their places widths, positions or `StepOutput`s.
Tree: TypeAlias = Any
# From the carry and the slices of a step to the new carry and the outputs of the step.
Step: TypeAlias = Callable[[Tree, Tree], tuple[Tree, Tree]]
# From cotangents of outputs (None for zero) and positions of inputs to their gradients.
Pull: TypeAlias = Callable[[Cotangents, Sequence[int]], Cotangents]
# From inputs to outputs.
Function: TypeAlias = Callable[[Tensors], Tensors]
# From inputs to outputs, and to residuals for the backward pass.
Forward: TypeAlias = Callable[[Tensors], tuple[Tensors, Tensors]]
# From inputs, residuals and the cotangents of the outputs to those of the inputs.
Backward: TypeAlias = Callable[[Tensors, Tensors, Cotangents], Cotangents]
# From two elements of a sequence, one after the other, to what both do together.
Combine: TypeAlias = Callable[[Tensors, Tensors], Tensors]


class Backend(Protocol):
    """The functions that every backend has."""

    # Whether operations run eagerly, one call each, and nothing is compiled.
    EAGER: bool
    # From so many steps on, saving memory is worth some time.
    LONG: float
    # Whether vendors' kernels receive the length of each row.
    KERNELS_TAKE_LENGTHS: bool

    @property
    def associative_scan(self) -> Callable[[Combine, Tensors, bool], Tensors] | None:
        """A function `(combine, elements, reverse)` that combines all prefixes of some
        elements in parallel. None if the framework has none."""

    # --- operations ---

    def tensor(self, value: Any, dtype: str) -> Tensor:
        """A variable, an array or a tensor, as a tensor of a dtype."""

    def where(self, condition: Tensor, a: Tensor, b: Tensor) -> Tensor:
        """`a` where the condition holds, else `b`."""

    def concatenate(self, tensors: Tensors, axis: int) -> Tensor:
        """Tensors joined along an axis."""

    def split(self, x: Tensor, n: int) -> Sequence[Tensor]:
        """`n` equal blocks of the last axis."""

    def rsqrt(self, x: Tensor) -> Tensor:
        """`x ** -0.5`."""

    def total(self, x: Tensor) -> Tensor:
        """The sum over time and batch, the first two axes, in float32 at least."""

    def outer(self, left: Tensor, right: Tensor) -> Tensor:
        """The sum over time and batch of outer products `(width, other width)`, in
        float32 at least."""

    def over_units(self, values: Tensor) -> Tensor:
        """The mean over the last axis, which is kept."""

    def plus_bias(self, rows: Tensor, bias: Tensor) -> Tensor:
        """`rows` `(any, width)` with `bias` `(width,)` added to each."""

    def product(
        self, matrix: Tensor, beside: int, xla: bool
    ) -> Callable[[Tensor], Tensor]:
        """A function that multiplies by `matrix` from the right, for use in a loop.

        Args:
            matrix: `(units, units)`.
            beside: number of products that can run at the same time, including it.
            xla: whether XLA compiles them.
        """

    def gather_steps(self, x: Tensor, index: Tensor) -> Tensor:
        """`x[b, index[b, t]]` for every `b` and `t`, of `(batch, time, features)`."""

    def argsort(self, keys: Tensor) -> Tensor:
        """Positions along axis 1 in the order of `keys` `(batch, time)`, all
        distinct."""

    def steps_of(self, x: Tensor, start: Length, count: Length) -> Tensor:
        """`count` steps from `start` on of `x` `(batch, time, features)`."""

    def counter(self, n: Length) -> Tensor:
        """0, 1, ... `n - 1`, to loop over."""

    # --- loops and derivatives ---

    def scan(
        self,
        step: Step,
        carry: Tree,
        xs: Tree,
        length: Length,
        outputs: Tree,
        reverse: bool = False,
        unroll: bool = False,
    ) -> tuple[Tree, Tree]:
        """Runs a step over the first axis of `xs`.

        Args:
            step: the step.
            carry: the first carry.
            xs: tensors with time first.
            length: number of steps.
            outputs: a `StepOutput` for every tensor that a step returns.
            reverse: whether to run from the last step to the first.
            unroll: whether to write the loop out.

        Returns:
            The last carry, and the outputs of all steps.
        """

    def compiled_scan(
        self,
        step: Step,
        carry: Tree,
        xs: Tree,
        length: Length,
        outputs: Tree,
        reverse: bool = False,
        unroll: bool = False,
    ) -> tuple[Tree, Tree]:
        """`scan`, compiled by XLA if the backend has it."""

    def linear_way(self, steps: Length, batch: Batch, units: int) -> str:
        """The fastest way to compute a linear recurrence: see `scan/algorithms.py`."""

    def pullback(self, function: Function, inputs: Tensors) -> tuple[Tensors, Pull]:
        """The outputs of a function, and its vector-Jacobian product."""

    def differentiable(
        self,
        forward: Forward,
        backward: Backward,
        spared: set[int],
        plain: Function,
        again: Backward | None = None,
    ) -> Function:
        """A function with a custom backward pass.

        Args:
            forward: from inputs to outputs and residuals.
            backward: from inputs, residuals and the cotangents of the outputs to the
                cotangents of the inputs.
            spared: positions of inputs that `backward` does not read; it may get None.
            plain: from inputs to outputs, by operations that the framework
                differentiates. Used on torch only.
            again: as `backward`, by such operations. Used on torch only.
        """

    # --- compilation ---

    def compiled(self, function: Callable, xla: bool) -> Callable:
        """A function of trees of tensors, compiled if the backend compiles."""

    def compiled_part(self, function: Callable) -> Callable:
        """A function of lists of tensors, a part of a graph, compiled by XLA if the
        backend has it."""

    def prefers_xla(
        self,
        batch: Batch,
        length: Length,
        units: int,
        gates: int,
        training: bool,
        sums: bool = False,
    ) -> bool:
        """Whether to compile the loop with XLA.

        Args:
            batch, length: an int if known when the layer is called.
            units: number of units.
            gates: number of gates, including the candidate.
            training: whether the layer is called in training.
            sums: whether steps have sums over units.
        """

    def stepping(
        self,
        model: keras.Model,
        flat: Callable[[Callable, Sequence[Tensor]], Tensors],
        specs: Sequence[tuple[Shape, str]],
    ) -> Function:
        """A fast function for one step of a model: see `models.stepper`.

        Args:
            model: a Keras model.
            flat: `flat(call, tensors)`: calls the model with a list of tensors and
                returns a list.
            specs: the shapes and dtypes of these tensors.
        """

    # --- vendors' kernels ---

    def kernels(self) -> tuple[str | None, str]:
        """The engine of the vendor's kernels, "cudnn", "native" or None; and the
        vendor, in words."""

    def kernel_refusal(self, kernel: str, dtype: str) -> str | None:
        """Why a kernel cannot run here in a dtype, or None."""

    def run_kernel(
        self,
        kernel: str,
        x: Tensor,
        states: Tensors,
        weights: list[Tensors],
        lengths: Tensor | None,
        bidirectional: bool = False,
    ) -> tuple[Tensor, Tensors]:
        """Runs a vendor's kernel, for one layer or for several stacked ones.

        With `bidirectional` a layer is a pair: one runs forward, one backward, and the
        layer above reads the outputs of both.

        Args:
            kernel: a name in `keras_rnnx.cells._lowering.spec.KERNELS`.
            x: inputs `(batch, time, features)`.
            states: initial states, each `(layers, batch, units)`.
            weights: for every layer the kernel `(features, gates * units)`, the
                recurrent kernel `(units, gates * units)` and their biases, by gate in
                the vendor's order; then the matrix that projects the outputs, if the
                kernel has one.
            lengths: None, or the number of steps of each row, `(batch,)`.
            bidirectional: whether layers come in pairs. Default False.

        Returns:
            Outputs `(batch, time, units)` of the last layer, those of both directions
            concatenated, and the last states.
        """

    # --- the state of the backend ---

    def loop_kernel(self, in_segments: bool) -> str:
        """In words, what runs the loop of the fused engine."""

    def records_loops(self) -> bool:
        """Whether loops over whole sequences are recorded and replayed."""

    def exporting(self) -> bool:
        """Whether the model is being exported as a graph that runs elsewhere."""

    def may_write(self) -> bool:
        """Whether operations may write to existing tensors."""

    def plan_key(self) -> tuple | None:
        """A key of all that a plan depends on besides its layer and the arguments of
        a call, or None if plans cannot be kept."""

    def hooked(self, layer: keras.layers.Layer) -> bool:
        """Whether hooks observe the calls of a layer."""


class EagerBackend(Backend, Protocol):
    """The further functions of a backend that runs operations eagerly."""

    @property
    def Recorder(self) -> Callable[[CellProgram], Callable]:
        """Made for a cell: calls functions of lists of tensors, and records them where
        that is faster."""

    def empty(self, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """A tensor without values yet."""

    def add_product(self, term: Tensor, vectors: Tensor, matrix: Tensor) -> Tensor:
        """`term + vectors @ matrix`, of one step or of all."""

    def gradients(
        self,
        function: Function,
        inputs: Tensors,
        cotangents: Sequence[Tensor | None],
    ) -> Cotangents:
        """The gradients of a function, which can be differentiated; None for zero."""

    def reverse_loop(
        self,
        of_gates: list[Tensor | None],
        of_states: list[list[Tensor | None]],
        outer: Tensor | None,
        last: Tensors,
        back: Tensor | None,
        dropped: Tensor | None,
        carried: bool,
        out: Tensor | None,
    ) -> tuple[Tensors, Tensors]:
        """The loop back in time of `EagerRecurrence`."""

    def linear_loop(
        self,
        a: Tensors,
        b: Tensors,
        carry: Sequence[Tensor],
        reverse: bool,
        adjoint: bool,
    ) -> Tensors:
        """All steps of a linear recurrence: see `scan/algorithms.py`."""
