"""The recurrence where every operation is called one by one, and so costs a call.

Little is left in the loops: forward one product and the equation; backward a few
multiplications, since the local derivatives of all steps are taken at once before.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from keras import ops

from keras_rnnx.cells import Cell
from keras_rnnx.engine import _precision
from keras_rnnx.engine.loop.differentiable import Differentiable

# Elements of a state over the steps of a piece: those of some tens of such tensors fit
# into a processor's cache.
PIECE = 2**17


class EagerRecurrence(Differentiable):
    """The loop over time of one cell without late gates, over merged blocks.

    Args:
        cell, backend, sequences, keep: as for `Differentiable`.
        kernel: computes the outputs of all steps, `(time, batch, units)`, in place of
            the loop, for a cell with one state. Default: the loop.
        noise: names of the masks of every step, and of those of the whole sequence.
    """

    def __init__(
        self,
        cell: Cell,
        backend: ModuleType,
        sequences: bool,
        keep: bool = True,
        kernel: Callable[[], Any] | None = None,
        noise: tuple[list[str], list[str]] = ((), ()),
    ):
        self.loops = kernel is None
        super().__init__(cell, backend, sequences, keep)
        self.kernel = kernel
        # Else the recurrent product is added to the inputs' part at once.
        self.separate = bool(cell.split) or cell.projected != cell.multiplied
        self.product = bool(cell.multiplied)
        self.by_step, self.by_sequence = noise
        self.moments = False
        self.kept = len(cell.states) - (not self.product)

    @staticmethod
    def takes(cell: Cell) -> bool:
        """Whether derivatives are elementwise, and no more than those are wanted."""
        more = cell.late or cell.normalization or cell.gradient_flow
        return cell.even and not more

    def spared(self):
        # Where sums are kept the input part is not read again.
        return set() if self.separate or self.kernel else {0}

    def _noise(self, given, steps):
        """The masks by name, with those of a step or of several."""
        each = {k: v[steps] for k, v in zip(self.by_step, given["n"])}
        return each | dict(zip(self.by_sequence, given["d"]))

    def _advance(self, states, x, u, vectors, mask, noise):
        """The states after a step, or after all steps, from the parts of all gates.

        Where they are not separate `u` is the sum and `x` is not read.
        """
        cell = self.cell
        recurrent = {}
        if self.product:
            blocks = self.backend.split(u, len(cell.multiplied))
            recurrent = dict(zip(cell.multiplied, blocks))
        sums, apart = recurrent, ({}, {})
        if self.separate:
            blocks = self.backend.split(x, len(cell.projected))
            inputs = dict(zip(cell.projected, blocks))
            apart = ({k: part[k] for k in cell.split} for part in (inputs, recurrent))
            sums = {
                k: _add(inputs.get(k), recurrent.get(k))
                for k in cell.gates
                if k not in cell.split
            }
        vectors = dict(zip(cell.vector_names, vectors))
        new = cell.advance(states, sums, *apart, vectors, noise)
        if mask is not None:
            new = [self.backend.where(mask, n, o) for n, o in zip(new, states)]
        return new

    def _recurrent_part(self, given, h, x, noise):
        """What `h` adds to the gates: where they are separate alone, else with `x`."""
        if not self.product:
            return None
        h = h * noise["recurrent"] if "recurrent" in noise else h
        if not self.separate:
            return self.backend.add_product(x, h, given["r"][0])
        if given["b"]:
            return self.backend.add_product(given["b"][0], h, given["r"][0])
        return h @ given["r"][0]

    def forward(self, length, given, keep):
        if self.kernel is not None:
            outputs = self.kernel()
            last = [outputs[-1]]
            return [outputs] * self.sequences + last, [outputs] if keep else []
        return self._loop(length, given, keep)

    def plain(self, length, given):
        return self._loop(length, given, keep=False)[0]

    def _loop(self, length, given, keep):
        given = _precision.rounded(given, "rbv")
        whole = dict(zip(self.by_sequence, given["d"]))

        def step(states, slices):
            x, rest = slices[0], slices[1:]
            mask = rest.pop(0) if given["m"] else None
            noise = dict(zip(self.by_step, rest)) | whole
            u = self._recurrent_part(given, states[0], x, noise)
            new = self._advance(states, x, u, given["v"], mask, noise)
            outs = [new[0]] if keep or self.sequences else []
            kept = [u, *states[1:]] if self.product else states[1:]
            return new, outs + (kept if keep else [])

        n = (keep or self.sequences) + self.kept * keep
        last, stacks = self.backend.scan(
            step,
            given["s"],
            given["x"] + given["m"] + given["n"],
            length,
            [False] * n,
        )
        outputs = stacks[:1] if self.sequences else []
        return outputs + list(last), stacks if keep else []

    def backward(self, length, given, residuals, cotangents):
        """Goes back in pieces, each of so many steps that it stays in the cache."""
        cell, backend = self.cell, self.backend
        given = _precision.rounded(given, "rb")
        n = len(cell.states)
        batch = given["s"][0].shape[0]
        at_once = max(1, PIECE // max(1, batch * cell.units))
        back, d_u = None, None
        carry = list(cotangents[-n:])
        first = int(self.product)
        if self.product:
            back = ops.transpose(given["r"][0])
            d_u = backend.empty(
                (length, batch, len(cell.multiplied), cell.units), carry[0]
            )
        d_x, d_r, d_v = [], None, [None] * len(given["v"])
        for stop in range(length, 0, -at_once):
            steps = slice(max(0, stop - at_once), stop)
            before = self._before(given["s"], residuals, steps)
            noise = self._noise(given, steps)
            dropped = noise.get("recurrent")
            inputs, pull = self._local(given, residuals, before, steps, noise)
            derivatives = []
            for i in range(n):
                ones = [
                    ops.ones_like(s) if k == i else None for k, s in enumerate(before)
                ]
                derivatives.append(pull(ones, range(first + n)))
            carry, d_states = backend.reverse_loop(
                [self._by_gate(d[0]) if first else None for d in derivatives],
                [of_state[first:] for of_state in derivatives],
                cotangents[0][steps] if self.sequences else None,
                carry,
                back,
                dropped,
                bool(self.separate or cell.vector_names),
                d_u[steps] if first else None,
            )
            if first:
                source = before[0] if dropped is None else before[0] * dropped
                found = backend.outer(
                    source, ops.reshape(d_u[steps], (*source.shape[:2], -1))
                )
                d_r = _add(d_r, found)
            if d_states:
                rest = list(pull(d_states, range(first + n, len(inputs))))
                if self.separate:
                    d_x.insert(0, rest.pop(0))
                d_v = [_add(a, b) for a, b in zip(d_v, rest)]
        gradients = {"s": carry, "r": []}
        if first:
            d_u = ops.reshape(d_u, (length, batch, -1))
            gradients |= {"x": [d_u], "r": [d_r]}
        if given["b"]:
            gradients["b"] = [backend.total(d_u)]
        if self.separate:
            gradients["x"] = [backend.concatenate(d_x, 0)]
        gradients["v"] = [
            ops.zeros_like(v) if g is None else g for g, v in zip(d_v, given["v"])
        ]
        return gradients

    def _before(self, first, residuals, steps):
        """The states before each of the steps."""
        outputs, others = residuals[0], residuals[1 + self.product :]
        others = [] if self.kernel else others
        if steps.start:
            h = outputs[steps.start - 1 : steps.stop - 1]
        else:
            first = ops.expand_dims(first[0], 0)
            h = self.backend.concatenate([first, outputs[: steps.stop - 1]], 0)
        return [h, *(state[steps] for state in others)]

    def _local(self, given, residuals, before, steps, noise):
        """The equation at these steps: its inputs, and its vector-Jacobian product."""
        n, first, separate = len(before), int(self.product), self.separate
        x = given["x"][0][steps] if separate or self.kernel else None
        u = None
        if self.product and self.kernel is None:
            u = residuals[1][steps]
        elif self.product:
            u = self._recurrent_part(given, before[0], x, noise)
        mask = given["m"][0][steps] if given["m"] else None
        inputs = [u] * first + [*before, *([x] if separate else []), *given["v"]]

        def advance(inputs):
            u = inputs[0] if first else None
            states, rest = inputs[first : first + n], inputs[first + n :]
            x = rest.pop(0) if separate else None
            vectors = [_precision.along(v, before[0]) for v in rest]
            return self._advance(states, x, u, vectors, mask, noise)

        return inputs, self.backend.pullback(advance, inputs)[1]

    def _by_gate(self, derivative):
        if derivative is None:
            return None
        shape = (*derivative.shape[:-1], len(self.cell.multiplied), -1)
        return ops.reshape(derivative, shape)


def _add(a, b):
    return b if a is None else a if b is None else a + b
