"""What a backend gives the engines: the contract of its file.

`Backend` is what every file in this folder has, `EagerBackend` what one has more where
every operation is a call of its own. Loops take trees of tensors, derivatives lists.
A new backend is a file with these functions and a line in `__init__.py`.

`where`, `concatenate`, `total`, `outer` and the like are here, and not those of
`keras.ops`, since these compute float64 in float32 on JAX and torch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

Tensor: TypeAlias = Any
Tensors: TypeAlias = list[Any]
# A number of steps: an int, or a tensor where it is not known beforehand.
Length: TypeAlias = Any
# Tensors in dataclasses, dicts and lists: see `keras_rnnx/_trees.py`.
Tree: TypeAlias = Any
# From the carry and the slices of a step to the new carry and what the step gives.
Step: TypeAlias = Callable[[Tree, Tree], tuple[Tree, Tree]]
# From cotangents of outputs (None for zero) and positions of inputs to their gradients.
Pull: TypeAlias = Callable[[list[Any], Any], list[Any]]


class Backend(Protocol):
    """The functions that every backend has."""

    # Whether every operation is a call of its own, and nothing is compiled.
    EAGER: bool
    # Number of steps from which on less memory is worth some time.
    LONG: float
    # Whether vendors' kernels are given the length of each row.
    KERNELS_TAKE_LENGTHS: bool

    # All prefixes of some elements, combined, in parallel: `(combine, elements,
    # reverse)`. None where the framework has none.
    associative_scan: Callable[[Callable, Tensors, bool], Tensors] | None

    # --- operations ---

    def tensor(self, value: Any, dtype: str) -> Tensor:
        """A variable, or what else holds numbers, as a tensor of a dtype."""

    def where(self, condition: Tensor, a: Tensor, b: Tensor) -> Tensor:
        """`a` where the condition holds, else `b`."""

    def concatenate(self, tensors: Tensors, axis: int) -> Tensor:
        """Tensors joined along an axis."""

    def split(self, x: Tensor, n: int) -> Any:
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
            beside: number of products that can run side by side with it, itself
                included.
            xla: whether they are compiled by XLA.
        """

    def gather_steps(self, x: Tensor, index: Tensor) -> Tensor:
        """`x[b, index[b, t]]` for every `b` and `t`, of `(batch, time, features)`."""

    def argsort(self, keys: Tensor) -> Tensor:
        """Positions along axis 1 in the order of `keys` `(batch, time)`, all
        distinct."""

    def steps_of(self, x: Tensor, start: Any, count: Any) -> Tensor:
        """`count` steps from `start` on of `x` `(batch, time, features)`."""

    def counter(self, n: Length) -> Tensor:
        """0, 1, ... `n - 1`, to be looped over."""

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
            outputs: a `StepOutput` for every tensor that a step gives.
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
        """The same, compiled by XLA where there is XLA."""

    def linear_way(self, steps: Length, batch: Any, units: int) -> str:
        """The fastest way to compute a linear recurrence: see `scan/algorithms.py`."""

    def pullback(
        self, function: Callable[[Tensors], Tensors], inputs: Tensors
    ) -> tuple[Tensors, Pull]:
        """The outputs of a function, and its vector-Jacobian product."""

    def differentiable(
        self,
        forward: Callable[[Tensors], tuple[Tensors, Tensors]],
        backward: Callable[[Tensors, Tensors, Tensors], list[Any]],
        spared: set[int],
        plain: Callable[[Tensors], Tensors],
        again: Callable[[Tensors, Tensors, Tensors], list[Any]] | None = None,
    ) -> Callable[[Tensors], Tensors]:
        """A function with a backward pass of its own.

        Args:
            forward: from inputs to outputs and residuals.
            backward: from inputs, residuals and the cotangents of the outputs to those
                of the inputs.
            spared: positions of inputs that `backward` does not read; it may get None.
            plain: from inputs to outputs, by operations that the framework
                differentiates. Read on torch alone.
            again: as `backward`, by such operations. Read on torch alone.
        """

    # --- compilation ---

    def compiled(self, function: Callable, xla: bool) -> Callable:
        """A function of trees of tensors, prepared for being called often."""

    def compiled_part(self, function: Callable) -> Callable:
        """A function of lists of tensors, a part of a graph, by XLA where there is
        XLA."""

    def prefers_xla(
        self,
        batch: Any,
        length: Length,
        units: int,
        gates: int,
        training: bool,
        sums: bool = False,
    ) -> bool:
        """Whether to compile the loop with XLA.

        Args:
            batch, length: as far as known when the layer is called: an int, or not.
            units: number of units.
            gates: number of gates, the candidate included.
            training: whether the layer is called in training.
            sums: whether steps have sums over units.
        """

    def stepping(self, model: Any, flat: Callable, specs: list[Any]) -> Callable:
        """One step of a model, of many that are taken: see `models.stepper`.

        Args:
            model: a Keras model.
            flat: `flat(call, tensors)`: its call from a list of tensors to a list.
            specs: of these tensors the shapes and dtypes.
        """

    # --- vendors' kernels ---

    def kernels(self) -> tuple[str | None, str]:
        """The engine of the vendors' kernels that are here, "cudnn", "native" or None;
        and whose they are, in words."""

    def kernel_refusal(self, kernel: str, dtype: str) -> str | None:
        """Why a kernel can't be run here in a dtype, or None."""

    def run_kernel(
        self,
        kernel: str,
        x: Tensor,
        states: Tensors,
        weights: list[Tensors],
        lengths: Tensor | None,
        bidirectional: bool = False,
    ) -> tuple[Tensor, Tensors]:
        """Runs a vendor's kernel, of one layer or of several on top of each other.

        With `bidirectional` a layer is two, one that runs forward and one that runs
        backward, and the layer above reads the outputs of both.

        Args:
            kernel: a name in `keras_rnnx.cells._lowering.spec.KERNELS`.
            x: inputs `(batch, time, features)`.
            states: initial states, each `(layers, batch, units)`.
            weights: for every layer the kernel `(features, gates * units)`, the
                recurrent kernel `(units, gates * units)` and their biases, by gate in
                the vendor's order; then the matrix that projects the outputs, where the
                kernel has one.
            lengths: None, or the number of steps of each row, `(batch,)`.
            bidirectional: whether layers come in pairs. Default False.

        Returns:
            Outputs `(batch, time, units)` of the last layer, of both directions one
            after the other, and the last states.
        """

    # --- what a call depends on ---

    def loop_kernel(self, in_segments: bool) -> str:
        """What runs the loop of the fused engine, in words."""

    def records_loops(self) -> bool:
        """Whether loops over whole sequences are recorded, and played again."""

    def exporting(self) -> bool:
        """Whether a graph is written down that is run elsewhere."""

    def may_write(self) -> bool:
        """Whether operations may write to tensors that are there."""

    def plan_key(self) -> tuple | None:
        """What a plan depends on beside its layer and the arguments of a call, or None
        where it may depend on more."""

    def hooked(self, layer: Any) -> bool:
        """Whether something else wants to see the calls of a layer."""


class EagerBackend(Backend, Protocol):
    """What a backend has more where every operation is a call."""

    # Made for a `CellProgram`: calls functions of lists of tensors, recorded where that
    # pays.
    Recorder: Callable[..., Callable]

    def empty(self, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """A tensor to be filled."""

    def add_product(self, term: Tensor, vectors: Tensor, matrix: Tensor) -> Tensor:
        """`term + vectors @ matrix`, of one step or of all."""

    def gradients(
        self, function: Callable, inputs: list[Any], cotangents: list[Any]
    ) -> list[Any]:
        """The gradients of a function, which can be differentiated; None for zero."""

    def reverse_loop(
        self,
        of_gates: list[Any],
        of_states: list[list[Any]],
        outer: Tensor | None,
        last: Tensors,
        back: Tensor | None,
        dropped: Tensor | None,
        carried: bool,
        out: Tensor | None,
    ) -> tuple[Tensors, Tensors]:
        """The loop back in time of `EagerRecurrence`."""

    def linear_loop(
        self, a: Tensors, b: Tensors, carry: Tensors, reverse: bool, adjoint: bool
    ) -> Tensors:
        """All steps of a linear recurrence: see `scan/algorithms.py`."""
