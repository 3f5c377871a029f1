"""The scan engine: cells that are linear in their state, without a loop over steps.

Their gates are of the inputs alone. So coefficients, outputs and gradients of all steps
are each taken at once, from the cell's own equation, and all that goes from step to
step is `c' = a c + b`, and on the way back `g' = d + a g`.
"""

from __future__ import annotations

import dataclasses
from types import ModuleType

import keras
from keras import ops

from keras_rnnx import _trees
from keras_rnnx.cells._base.program import CellProgram
from keras_rnnx.engine import _precision
from keras_rnnx.engine.loop.backward import Pullback
from keras_rnnx.engine.loop.differentiable import Differentiable
from keras_rnnx.engine.loop.engine import FusedEngine, Loop
from keras_rnnx.engine.loop.inputs import GateInputs
from keras_rnnx.engine.loop.tensors import LoopGradients, LoopResults, LoopTensors
from keras_rnnx.engine.scan.algorithms import WAYS, last_of, states_before, times
from keras_rnnx.engine.sequence import SequenceEngine


class ScanEngine(FusedEngine):
    """Runs one linear cell over sequences."""

    def _options(self, sequences, *args):
        options = SequenceEngine._options(self, sequences, *args)
        # One program: what stands around the scan is a chain of elementwise operations.
        xla = isinstance(sequences.shape[1], int)
        return dataclasses.replace(options, xla=xla)

    def _make_loop(self, options):
        return ScanLoop(self, options)


class ScanLoop(Loop):
    """The scan over a whole sequence."""

    def _parts(self):
        options = self.loop_options
        recurrence = ScanRecurrence(
            self.program, self.backend, options.sequences, options.keep, options.xla
        )
        return GateInputs(self.program, self.backend, merged=False), recurrence


class ScanRecurrence(Differentiable):
    """The states of all steps of a linear cell.

    Args:
        program, backend, sequences, keep: as for `Differentiable`.
        xla: whether forward and backward pass are programs for XLA.
    """

    loops = False

    def __init__(
        self,
        program: CellProgram,
        backend: ModuleType,
        sequences: bool,
        keep: bool = True,
        xla: bool = False,
    ):
        super().__init__(program, backend, sequences, keep)
        # Numbers, or the real and the imaginary part of complex ones.
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

    def forward(self, length, given: LoopTensors, keep):
        found = self._run_forward(_precision.rounded(given))
        last = {k: found[k][-1] for k in self.program.states}
        outputs = found[self.program.output] if self.sequences else None
        return LoopResults(outputs, {}, last), {"states": found} if keep else None

    def backward(self, length, given: LoopTensors, kept, cotangents):
        return self._run_backward(given, kept["states"], cotangents)

    def _forward(self, given):
        """All states after every step, by name."""
        zeros = ops.zeros_like(next(iter(given.inputs.values())))
        # The linear states are right without the products.
        without = dataclasses.replace(given, matrices={}, biases={})
        pull = Pullback(
            self.backend,
            lambda states: self._linear(self._after(without, states)),
            # Each state its own: TensorFlow tells what it differentiates by identity.
            {k: ops.zeros_like(zeros) for k in self.linear},
        )
        a = self._coefficients(pull, pull.positions, zeros)
        found = {}
        for number in self.numbers:
            b = [pull.outputs[k] for k in number]
            states = self._run(a[number], b, [given.states[k] for k in number])
            found |= zip(number, states)
        if self.rest:
            new = self._after(given, self._before(found, given.states))
            for k in self.rest:
                found[k] = self._carried(given, new[k], given.states[k])
        return found

    def _backward(self, given, known, cotangents):
        """Gradients of the tensors."""
        first, last = given.states, cotangents.states
        weights = {
            name: getattr(given, name)
            for name in ("inputs", "matrices", "biases", "vectors")
        }

        def after(values):
            changed = dataclasses.replace(given, **values["weights"])
            return self._after(changed, values["states"])

        before = self._before(known, first)
        pull = Pullback(self.backend, after, {"states": before, "weights": weights})
        at = pull.positions
        zeros = ops.zeros_like(next(iter(before.values())))
        a = self._coefficients(pull, at["states"], zeros)
        shown = {k: self._zeros(k, zeros) for k in self.program.states}
        if cotangents.outputs is not None:
            shown[self.program.output] = cotangents.outputs
        d_first, d_after, d_read = {}, {}, {}
        for k in self.rest:
            d_after[k], d_first[k] = self._carried_back(given, shown[k], last[k])
        if self.rest:
            found = pull.some(d_after, list(at["states"].values()))
            d_read = dict(zip(self.linear, found))
        for number in self.numbers:
            d = [self._later(d_read.get(k), shown[k]) for k in number]
            found = self._run(a[number], d, [last[k] for k in number], adjoint=True)
            ends = (last_of(x, True) for x in (a[number], found))
            start = times(*ends, conjugate=True)
            d_after |= zip(number, found)
            for k, value in zip(number, start):
                d_first[k] = value + d_read[k][0] if k in d_read else value
        structure = _trees.Structure(at["weights"])
        of_weights = structure.tree(pull.some(d_after, structure.flat(at["weights"])))
        return LoopGradients(**of_weights, states=d_first)

    def _after(self, given, linear):
        """The states after steps that start from these linear ones, for all steps.

        Without matrices the linear ones are right alone.
        """
        program = self.program
        like = next(iter(linear.values()))
        context = given.by_step.beside(given.whole)
        vectors = _trees.mapped(lambda v: _precision.along(v, like), given.vectors)

        def multiply(gate, vector):
            matrix, bias = given.matrices.get(gate), given.biases.get(gate)
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
        return program.step(states, given.inputs, multiply, vectors, context)

    def _linear(self, states):
        return {k: states[k] for k in self.linear}

    def _zeros(self, state, like):
        """Zeros for a state, of the steps and the batch of another."""
        width = self.program.states[state]
        if width == like.shape[-1]:
            return ops.zeros_like(like)
        return ops.zeros_like(like[..., :1]) + ops.zeros(width, like.dtype)

    def _coefficients(self, pull, at, like):
        """Of each number, from the derivatives at any state: its parts.

        Args:
            at: positions of the linear states.
            like: a tensor of their shape.
        """
        found = {}
        for number in self.numbers:
            # The first row of the matrix that multiplies a complex number.
            cotangents = {number[0]: ops.ones_like(like)}
            real, *imaginary = pull.some(cotangents, [at[k] for k in number])
            found[number] = [real, *(-part for part in imaginary)]
        return found

    def _run(self, a, b, carry, adjoint=False):
        """A linear recurrence, or on the way back its adjoint; see `algorithms.py`."""
        dtype = keras.backend.standardize_dtype(b[0].dtype)
        if dtype in _precision.HALVES:
            a, b, carry = ([ops.cast(x, "float32") for x in v] for v in (a, b, carry))
        way = WAYS[self.backend.linear_way(*b[0].shape)]
        found = way(self.backend, a, b, carry, adjoint, adjoint)
        return [ops.cast(x, dtype) for x in found]

    def _before(self, found, first):
        """The linear states before every step."""
        outs, start = ([v[k] for k in self.linear] for v in (found, first))
        return dict(zip(self.linear, states_before(self.backend, outs, start, False)))

    def _carried(self, given, value, first):
        """A state after every step, where masked steps carry it on."""
        mask = given.by_step.valid
        if mask is None:
            return value
        zeros = ops.zeros_like(value)
        b = self.backend.where(mask, value, zeros)
        a = self.backend.where(mask, zeros, zeros + 1)
        (found,) = self._run([a], [b], [first])
        return found

    def _carried_back(self, given, d, last):
        """The cotangents of what `_carried` took."""
        mask = given.by_step.valid
        if mask is None:
            d = self.backend.concatenate([d[:-1], d[-1:] + last], 0)
            return d, ops.zeros_like(last)
        zeros = ops.zeros_like(d)
        a = self.backend.where(mask, zeros, zeros + 1)
        (found,) = self._run([a], [d], [last], adjoint=True)
        return self.backend.where(mask, found, zeros), a[0] * found[0]

    def _later(self, read, shown):
        """Cotangents of a state from the outside: shown, and read by the next step."""
        if read is None:
            return shown
        next_step = self.backend.concatenate([read[1:], ops.zeros_like(read[:1])], 0)
        return shown + next_step
