"""The scan engine: runs cells that are linear in their state without a loop over steps.

The gates of such cells read the inputs alone. So the coefficients, outputs and
gradients of all steps are computed at once, from the cell's own equation. Only
`c' = a c + b` goes from step to step, and `g' = d + a g` in the backward pass.
"""

from __future__ import annotations

import dataclasses

import keras
from keras import ops

from keras_rnnx import _trees
from keras_rnnx.cells._base.program import CellProgram
from keras_rnnx.engine import _precision
from keras_rnnx.engine.backends.protocol import Backend, Length, Tensor, Tensors, Tree
from keras_rnnx.engine.loop.backward import Pullback
from keras_rnnx.engine.loop.differentiable import Differentiable
from keras_rnnx.engine.loop.engine import FusedEngine, Loop
from keras_rnnx.engine.loop.inputs import GateInputs
from keras_rnnx.engine.loop.tensors import LoopGradients, LoopResults, LoopTensors
from keras_rnnx.engine.scan.algorithms import WAYS, last_of, states_before, times
from keras_rnnx.engine.sequence import CallOptions, SequenceEngine


class ScanEngine(FusedEngine):
    """Runs one linear cell over sequences."""

    def _options(self, sequences: Tensor, *args: bool) -> CallOptions:
        options = SequenceEngine._options(self, sequences, *args)
        # One program, since the operations around the scan are elementwise.
        xla = isinstance(sequences.shape[1], int)
        return dataclasses.replace(options, xla=xla)

    def _make_loop(self, options: CallOptions) -> ScanLoop:
        return ScanLoop(self, options)


class ScanLoop(Loop):
    """The scan over a whole sequence."""

    def _parts(self) -> tuple[GateInputs, ScanRecurrence]:
        options = self.loop_options
        recurrence = ScanRecurrence(
            self.program, self.backend, options.sequences, options.keep, options.xla
        )
        return GateInputs(self.program, self.backend, merged=False), recurrence


class ScanRecurrence(Differentiable):
    """The states of all steps of a linear cell.

    Args:
        program, backend, sequences, keep: as for `Differentiable`.
        xla: whether XLA compiles the forward and the backward pass.
    """

    loops = False

    def __init__(
        self,
        program: CellProgram,
        backend: Backend,
        sequences: bool,
        keep: bool = True,
        xla: bool = False,
    ):
        super().__init__(program, backend, sequences, keep)
        # Names of real numbers, or of the two parts of complex numbers.
        self.numbers = program.linear
        self.linear = [k for number in self.numbers for k in number]
        self.rest = [k for k in program.states if k not in self.linear]
        kept = dict.fromkeys([program.output, *self.linear])
        self.kept = {"states": {k: program.states[k] for k in kept}}
        self._run_forward, self._run_backward = self._forward, self._backward
        if xla:
            compiled = backend.compiled_part
            self._run_forward = _trees.over_trees(compiled, self._forward)
            self._run_backward = _trees.over_trees(compiled, self._backward)

    def forward(
        self, length: Length, tensors: LoopTensors, keep: bool
    ) -> tuple[LoopResults, Tree]:
        states = self._run_forward(_precision.rounded(tensors))
        last = {k: states[k][-1] for k in self.program.states}
        outputs = states[self.program.output] if self.sequences else None
        return LoopResults(outputs, {}, last), {"states": states} if keep else None

    def backward(
        self,
        length: Length,
        tensors: LoopTensors,
        kept: dict[str, Tree],
        cotangents: LoopResults,
    ) -> LoopGradients:
        return self._run_backward(tensors, kept["states"], cotangents)

    def _forward(self, tensors: LoopTensors) -> dict[str, Tensor]:
        """All states after every step, by name."""
        zeros = ops.zeros_like(next(iter(tensors.inputs.values())))
        # The linear states do not depend on the products.
        without = dataclasses.replace(tensors, matrices={}, biases={})
        pull = Pullback(
            self.backend,
            lambda states: self._linear(self._after(without, states)),
            # A tensor for each state: TensorFlow identifies inputs by identity.
            {k: ops.zeros_like(zeros) for k in self.linear},
        )
        a = self._coefficients(pull, pull.positions, zeros)
        result: dict[str, Tensor] = {}
        for number in self.numbers:
            b = [pull.outputs[k] for k in number]
            states = self._run(a[number], b, [tensors.states[k] for k in number])
            result |= zip(number, states)
        if self.rest:
            new = self._after(tensors, self._before(result, tensors.states))
            for k in self.rest:
                result[k] = self._carried(tensors, new[k], tensors.states[k])
        return result

    def _backward(
        self, tensors: LoopTensors, kept: dict[str, Tensor], cotangents: LoopResults
    ) -> LoopGradients:
        """Gradients of the tensors."""
        first, last = tensors.states, cotangents.states
        weights = {
            name: getattr(tensors, name)
            for name in ("inputs", "matrices", "biases", "vectors")
        }

        def after(values: dict[str, Tree]) -> dict[str, Tensor]:
            changed = dataclasses.replace(tensors, **values["weights"])
            return self._after(changed, values["states"])

        before = self._before(kept, first)
        pull = Pullback(self.backend, after, {"states": before, "weights": weights})
        at = pull.positions
        zeros = ops.zeros_like(next(iter(before.values())))
        a = self._coefficients(pull, at["states"], zeros)
        shown = {k: self._zeros(k, zeros) for k in self.program.states}
        if cotangents.outputs is not None:
            shown[self.program.output] = cotangents.outputs
        d_first, d_after, d_read = {}, {}, {}
        for k in self.rest:
            d_after[k], d_first[k] = self._carried_back(tensors, shown[k], last[k])
        if self.rest:
            gradients = pull.some(d_after, list(at["states"].values()))
            d_read = dict(zip(self.linear, gradients))
        for number in self.numbers:
            d = [self._later(d_read.get(k), shown[k]) for k in number]
            gradients = self._run(a[number], d, [last[k] for k in number], adjoint=True)
            a_end, d_end = (last_of(x, True) for x in (a[number], gradients))
            start = times(a_end, d_end, conjugate=True)
            d_after |= zip(number, gradients)
            for k, value in zip(number, start):
                d_first[k] = value + d_read[k][0] if k in d_read else value
        structure = _trees.Structure(at["weights"])
        of_weights = structure.tree(pull.some(d_after, structure.flat(at["weights"])))
        return LoopGradients(**of_weights, states=d_first)

    def _after(
        self, tensors: LoopTensors, linear: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """The states after each step, from the linear states before it, for all steps.

        Without matrices only the linear states are right.
        """
        program = self.program
        like = next(iter(linear.values()))
        context = tensors.by_step.beside(tensors.whole)
        vectors = _trees.mapped(lambda v: _precision.along(v, like), tensors.vectors)

        def multiply(gate: str, vector: Tensor) -> Tensor:
            matrix, bias = tensors.matrices.get(gate), tensors.biases.get(gate)
            if matrix is None:
                gives = program.layout.gates[gate].gives
                zeros = ops.zeros_like(vector[..., :1])
                return zeros + ops.zeros(gives, zeros.dtype)
            if matrix.dtype != vector.dtype:
                return _precision.product(self.backend, vector, matrix, bias)
            out = vector @ matrix
            return out if bias is None else out + bias

        states = linear | {k: self._zeros(k, like) for k in self.rest}
        states = {k: states[k] for k in program.states}
        return program.step(states, tensors.inputs, multiply, vectors, context)

    def _linear(self, states: dict[str, Tensor]) -> dict[str, Tensor]:
        return {k: states[k] for k in self.linear}

    def _zeros(self, state: str, like: Tensor) -> Tensor:
        """Zeros for a state, with the steps and the batch of another tensor."""
        width = self.program.states[state]
        if width == like.shape[-1]:
            return ops.zeros_like(like)
        return ops.zeros_like(like[..., :1]) + ops.zeros(width, like.dtype)

    def _coefficients(
        self, pull: Pullback, at: dict[str, int], like: Tensor
    ) -> dict[tuple[str, ...], Tensors]:
        """The coefficient of each number, in its parts, from derivatives at any state.

        Args:
            at: positions of the linear states.
            like: a tensor of their shape.
        """
        result = {}
        for number in self.numbers:
            # The first row of the matrix that multiplies a complex number.
            cotangents = {number[0]: ops.ones_like(like)}
            real, *imaginary = pull.some(cotangents, [at[k] for k in number])
            result[number] = [real, *(-part for part in imaginary)]
        return result

    def _run(
        self, a: Tensors, b: Tensors, carry: Tensors, adjoint: bool = False
    ) -> Tensors:
        """A linear recurrence, or its adjoint in the backward pass: see
        `algorithms.py`."""
        dtype = keras.backend.standardize_dtype(b[0].dtype)
        if dtype in _precision.HALVES:
            a, b, carry = ([ops.cast(x, "float32") for x in v] for v in (a, b, carry))
        way = WAYS[self.backend.linear_way(*b[0].shape)]
        result = way(self.backend, a, b, carry, adjoint, adjoint)
        return [ops.cast(x, dtype) for x in result]

    def _before(
        self, states: dict[str, Tensor], first: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """The linear states before every step."""
        outs, start = ([v[k] for k in self.linear] for v in (states, first))
        return dict(zip(self.linear, states_before(self.backend, outs, start, False)))

    def _carried(self, tensors: LoopTensors, value: Tensor, first: Tensor) -> Tensor:
        """A state after every step, which masked steps keep."""
        mask = tensors.by_step.valid
        if mask is None:
            return value
        zeros = ops.zeros_like(value)
        b = self.backend.where(mask, value, zeros)
        a = self.backend.where(mask, zeros, zeros + 1)
        (carried,) = self._run([a], [b], [first])
        return carried

    def _carried_back(
        self, tensors: LoopTensors, d: Tensor, last: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The cotangents of the arguments of `_carried`."""
        mask = tensors.by_step.valid
        if mask is None:
            d = self.backend.concatenate([d[:-1], d[-1:] + last], 0)
            return d, ops.zeros_like(last)
        zeros = ops.zeros_like(d)
        a = self.backend.where(mask, zeros, zeros + 1)
        (gradient,) = self._run([a], [d], [last], adjoint=True)
        return self.backend.where(mask, gradient, zeros), a[0] * gradient[0]

    def _later(self, read: Tensor | None, shown: Tensor) -> Tensor:
        """The cotangents of a state: as an output, and as read by the next step."""
        if read is None:
            return shown
        next_step = self.backend.concatenate([read[1:], ops.zeros_like(read[:1])], 0)
        return shown + next_step
