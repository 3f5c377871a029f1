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

from keras_rnnx.cells import Cell
from keras_rnnx.engine import _precision
from keras_rnnx.engine.loop.differentiable import Differentiable
from keras_rnnx.engine.loop.engine import FusedEngine, Loop
from keras_rnnx.engine.scan.algorithms import WAYS, last_of, states_before, times
from keras_rnnx.engine.sequence import SequenceEngine

# Groups of tensors that take gradients, beside the states.
WEIGHTS = ("x", "v", "r", "b")


class ScanEngine(FusedEngine):
    """Runs one linear cell over sequences."""

    def _way(self, sequences, training):
        way = SequenceEngine._way(self, sequences, training)
        # One program: what stands around the scan is a chain of elementwise operations.
        return dataclasses.replace(way, xla=isinstance(sequences.shape[1], int))

    def _loop(self, return_sequences, way):
        return ScanLoop(self, return_sequences, way)


class ScanLoop(Loop):
    """The scan over a whole sequence."""

    def _merges(self):
        return False

    def _recurrence(self, sequences, way, noise):
        given = self.cell, self.engine.backend, sequences, way.training
        return ScanRecurrence(*given, way.xla, noise)


class ScanRecurrence(Differentiable):
    """The states of all steps of a linear cell.

    Args:
        cell, backend, sequences, keep: as for `Differentiable`.
        xla: whether forward and backward pass are programs for XLA.
        noise: names of the masks of every step, and of those of the whole sequence.
    """

    moments = False
    loops = False

    def __init__(
        self,
        cell: Cell,
        backend: ModuleType,
        sequences: bool,
        keep: bool = True,
        xla: bool = False,
        noise: tuple[list[str], list[str]] = ((), ()),
    ):
        super().__init__(cell, backend, sequences, keep)
        self.pairs = [k if isinstance(k, tuple) else (k,) for k in cell.linear]
        self.linear = list(cell.linear_states)
        self.rest = [k for k in cell.states if k not in self.linear]
        # The output comes first.
        self.order = list(dict.fromkeys([cell.states[0], *self.linear]))
        self.kept = len(self.order) - 1
        self.by_step, self.by_sequence = noise
        if xla:
            self._forward = backend.compiled_part(self._forward)
            self._backward = backend.compiled_part(self._backward)

    def forward(self, length, given, keep):
        found = self._forward(_present(_precision.rounded(given, "rbv")))
        last = [found[k][-1] for k in self.cell.states]
        kept = [found[k] for k in self.order]
        return kept[: int(self.sequences)] + last, kept if keep else []

    def backward(self, length, given, residuals, cotangents):
        n = len(self.cell.states)
        last = dict(zip(self.cell.states, cotangents[-n:]))
        known = dict(zip(self.order, residuals))
        outer = list(cotangents[:1]) if self.sequences else []
        return self._backward(_present(given), known, last, outer)

    def _forward(self, given):
        """All states after every step, by name."""
        first = dict(zip(self.cell.states, given["s"]))
        weights = {name: given.get(name, []) for name in WEIGHTS}
        zeros = [ops.zeros_like(given["x"][0]) for _ in self.linear]
        without = {**weights, "r": None}
        b, pull = self.backend.pullback(
            lambda states: self._after(given, states, without)[: len(states)], zeros
        )
        a = self._coefficients(pull, zeros[0], len(b))
        b = dict(zip(self.linear, b))
        found = {}
        for pair in self.pairs:
            start = [first[k] for k in pair]
            states = self._run(a[pair], [b[k] for k in pair], start)
            found |= zip(pair, states)
        if self.rest:
            new = self._after(given, self._before(found, first), weights)
            for k, value in zip(self.rest, new[len(self.linear) :]):
                found[k] = self._carried(given, value, first[k])
        return found

    def _backward(self, given, known, last, outer):
        """Gradients by group. Of `outer` there is the one tensor, or none."""
        first = dict(zip(self.cell.states, given["s"]))
        before, n = self._before(known, first), len(self.linear)
        names = [name for name in WEIGHTS if given.get(name)]
        flat = [tensor for name in names for tensor in given[name]]

        def by_name(tensors):
            tensors = iter(tensors)
            return {k: [next(tensors) for _ in given.get(k, [])] for k in WEIGHTS}

        _, pull = self.backend.pullback(
            lambda values: self._after(given, values[:n], by_name(values[n:])),
            [*before, *flat],
        )
        zeros = ops.zeros_like(before[0])
        a = self._coefficients(pull, zeros, n + len(self.rest))
        shown = {k: self._zeros(k, zeros) for k in self.cell.states}
        shown |= dict(zip(self.cell.states, outer))
        d_first, d_after, d_read = {}, {}, dict.fromkeys(self.linear)
        for k in self.rest:
            d_after[k], d_first[k] = self._carried_back(given, shown[k], last[k])
        if self.rest:
            of_rest = [None] * n + [d_after[k] for k in self.rest]
            d_read = dict(zip(self.linear, pull(of_rest, range(n))))
        for pair in self.pairs:
            d = [self._later(d_read[k], shown[k]) for k in pair]
            found = self._run(a[pair], d, [last[k] for k in pair], adjoint=True)
            start = times(*(last_of(x, True) for x in (a[pair], found)), conjugate=True)
            d_after |= zip(pair, found)
            for k, value in zip(pair, start):
                read = d_read[k]
                d_first[k] = value if read is None else value + read[0]
        total = [d_after[k] for k in (*self.linear, *self.rest)]
        found = pull(total, range(n, n + len(flat)))
        found = [ops.zeros_like(v) if g is None else g for g, v in zip(found, flat)]
        return by_name(found) | {"s": [d_first[k] for k in self.cell.states]}

    def _after(self, given, linear, weights):
        """The states after steps that start from these, linear ones first.

        Without `r` the linear ones are right alone.
        """
        cell = self.cell
        rest = [self._zeros(k, linear[0]) for k in self.rest]
        before = dict(zip((*self.linear, *self.rest), [*linear, *rest]))
        noise = dict(zip(self.by_step, given.get("n", [])))
        noise |= dict(zip(self.by_sequence, given.get("d", [])))
        matrices = dict(zip(cell.products, weights["r"] or []))
        biases = dict(zip(cell.product_biased, weights["b"]))
        vectors = [_precision.along(v, linear[0]) for v in weights["v"]]

        def product(gate):
            def call(vector):
                if gate not in matrices:
                    zeros = ops.zeros_like(vector[..., :1])
                    return zeros + ops.zeros(cell.product_widths(gate)[1], zeros.dtype)
                if "recurrent" in noise and gate not in cell.projection:
                    vector = vector * noise["recurrent"]
                matrix, bias = matrices[gate], biases.get(gate)
                if matrix.dtype != vector.dtype:
                    return _precision.product(self.backend, vector, matrix, bias)
                out = vector @ matrix
                return out if bias is None else out + bias

            return call

        states = [before[k] for k in cell.states]
        new = cell.advance(
            states,
            dict(zip(cell.projected, weights["x"])),
            {},
            {k: product(k) for k in cell.late},
            dict(zip(cell.vector_names, vectors)),
            noise,
        )
        new = dict(zip(cell.states, new))
        if given.get("m"):
            new |= {
                k: self.backend.where(given["m"][0], new[k], before[k])
                for k in self.linear
            }
        return [new[k] for k in (*self.linear, *self.rest)]

    def _zeros(self, state, like):
        """Zeros for a state, of the steps and the batch of another."""
        width = self.cell.state_widths[state]
        if width == like.shape[-1]:
            return ops.zeros_like(like)
        return ops.zeros_like(like[..., :1]) + ops.zeros(width, like.dtype)

    def _coefficients(self, pull, like, count):
        """Of each pair, from the derivatives at any state: real and imaginary part."""
        found, at = {}, 0
        for pair in self.pairs:
            cotangents = [None] * count
            cotangents[at] = ops.ones_like(like)
            parts = pull(cotangents, range(at, at + len(pair)))
            found[pair] = [parts[0], *(-part for part in parts[1:])]
            at += len(pair)
        return found

    def _run(self, a, b, carry, adjoint=False):
        """A linear recurrence, or on the way back its adjoint; see `linear_ways`."""
        dtype = keras.backend.standardize_dtype(b[0].dtype)
        if dtype in _precision.HALVES:
            a, b, carry = ([ops.cast(x, "float32") for x in v] for v in (a, b, carry))
        way = WAYS[self.backend.linear_way(*b[0].shape)]
        found = way(self.backend, a, b, carry, adjoint, adjoint)
        return [ops.cast(x, dtype) for x in found]

    def _before(self, found, first):
        """The linear states before every step."""
        outs, start = ([v[k] for k in self.linear] for v in (found, first))
        return states_before(self.backend, outs, start, False)

    def _carried(self, given, value, first):
        """A state after every step, where masked steps carry it on."""
        if not given.get("m"):
            return value
        (mask,) = given["m"]
        zeros = ops.zeros_like(value)
        b = self.backend.where(mask, value, zeros)
        a = self.backend.where(mask, zeros, zeros + 1)
        (found,) = self._run([a], [b], [first])
        return found

    def _carried_back(self, given, d, last):
        """The cotangents of what `_carried` took."""
        if not given.get("m"):
            d = self.backend.concatenate([d[:-1], d[-1:] + last], 0)
            return d, ops.zeros_like(last)
        (mask,) = given["m"]
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


def _present(given):
    return {k: v for k, v in given.items() if isinstance(v, list) and v}
