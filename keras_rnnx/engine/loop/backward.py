"""The way back in time of a `Recurrence`: its step, and the gradients behind it."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_rnnx.engine import _precision
from keras_rnnx.engine.loop.gradient_flow import cotangent as gradient_flow


class WayBack:
    """One step of the loop back in time, and what is done before and after all.

    Args:
        recurrence: the `Recurrence`.
        length: number of steps.
        given: its groups.
        residuals: what it kept.
        outer: whether there are cotangents of outputs.

    Attributes:
        values: the states before each step, and what the equation reads of the gates:
            the sum of the parts, one of them, or both, for all steps.
        widths: those of what a step gives.
    """

    def __init__(
        self,
        recurrence: Any,
        length: Any,
        given: dict[str, list[Any]],
        residuals: list[Any],
        outer: bool,
    ):
        self.recurrence, self.outer = recurrence, outer
        self.vectors = given["v"]
        given = self.given = _precision.rounded(given, "rbv")
        cell = self.cell = recurrence.cell
        self.early = [k for k in recurrence.multiplied if k not in cell.late]
        # With the masks of all steps.
        self.noise = recurrence.noise(given, given["n"])
        self.dropped = recurrence.multiplier(self.noise)
        before, kept = self._kept(length, residuals)
        local = self._local(kept)
        self.values = before + local
        transposed = [ops.transpose(r) for r in given["r"]]
        self.products = recurrence.products(transposed)
        # Gradients of vectors are summed in the loop, or taken behind it.
        self.along = self.vectors if recurrence.sums_along else []
        self.behind = [] if self.along else self.vectors
        # What is behind the loop may want cotangents of the states after each step, and
        # of the first one before.
        of_states = list(cell.state_widths.values())
        self.widths += of_states if self.behind or cell.gradient_flow else []
        self.widths += of_states[:1] if cell.gradient_flow else []

    def _kept(self, length, residuals):
        """The states before each step, and the products or sums of the gates."""
        recurrence, cell = self.recurrence, self.cell
        rest = iter(residuals)
        h = recurrence.before(length, self.given["s"][0], next(rest))
        late = {k: self.dropped(next(rest), k) for k in cell.late}
        # What each matrix multiplied.
        self.source = dict.fromkeys(self.early, self.dropped(h)) | late
        before = [] if recurrence.loose else [h]
        before += [next(rest) for _ in recurrence.kept_states(cell.states)]
        if recurrence.states_only:
            return before, self._products_again()
        return before, {k: next(rest) for k in (*self.early, *cell.late)}

    def _products_again(self):
        """What a step kept of each gate, for all steps at once."""
        recurrence, given = self.recurrence, self.given
        x = dict(zip(recurrence.projected, given["x"]))
        b = dict(zip(recurrence.biased, given["b"]))
        kept = {}
        for k, r in zip(recurrence.multiplied, given["r"]):
            u = self.source[k] @ r
            u = u + b[k] if k in b else u
            kept[k] = u if k in recurrence.apart or k not in x else x[k] + u
        return kept

    def _local(self, kept):
        """What the equation reads of the gates, and where each part stands in it."""
        recurrence, cell = self.recurrence, self.cell
        x = dict(zip(recurrence.projected, self.given["x"]))
        local, self.widths, inputs_at, self.product_at = [], [], {}, {}
        # A gate that was summed has one local input, one of two parts has both.
        for k in cell.gates:
            if k not in kept or (k in recurrence.apart and k in x):
                inputs_at[k] = len(local)
                local.append(x[k])
                self.widths.append(cell.units)
            if k in kept:
                self.product_at[k] = len(local)
                local.append(kept[k])
                self.widths.append(cell.product_widths(k)[1])
        self.inputs_at = [inputs_at.get(k, self.product_at.get(k)) for k in x]
        return local

    def _equation(self, values, vectors, mask, noise):
        """The states after a step, or after all, and what late gates multiplied."""
        recurrence, n = self.recurrence, len(self.cell.states)
        vectors = [_precision.along(v, values[0]) for v in vectors]
        rest = iter(values[n:])
        gates = [
            [next(rest) if k in recurrence.projected else None, next(rest)]
            if k in recurrence.apart
            else next(rest)
            for k in self.cell.gates
        ]
        new, late = recurrence.advance(values[:n], gates, vectors, mask, noise)
        return new + late

    def sums(self) -> list[Any]:
        """Where sums over all steps start: zeros in which they keep their digits."""

        def zeros(vector):
            dtype = keras.backend.standardize_dtype(vector.dtype)
            return ops.zeros_like(vector, dtype if dtype == "float64" else "float32")

        return [zeros(vector) for vector in self.along]

    def __call__(self, carry: list[Any], slices: list[Any]) -> tuple[list, list]:
        """The step.

        Args:
            carry: cotangents of the states, then the sums.
            slices: `values`; then the mask, cotangents of outputs, and noise.

        Returns:
            The carry before the step; the gradients of what is read of the gates; and,
            where that is wanted, the cotangents of the states.
        """
        n, width = len(self.cell.states), len(self.values)
        carry, sums = list(carry[:n]), carry[n:]
        values, rest = slices[:width], slices[width:]
        mask = rest.pop(0) if self.given["m"] else None
        if self.outer:
            carry[0] = carry[0] + rest.pop(0)
        noise = self.recurrence.noise(self.given, rest)
        dropped = self.recurrence.multiplier(noise)
        found, sums = self._pulled(carry, values, sums, mask, noise, dropped)
        d_local = [_or_zeros(*pair) for pair in zip(found[n:], values[n:])]
        if self.early:
            d_u = {k: d_local[self.product_at[k]] for k in self.early}
            d_h = dropped(self.products.total(d_u))
            found[0] = d_h if found[0] is None else found[0] + d_h
        new = [_or_zeros(*pair) for pair in zip(found[:n], values)]
        flow = self.cell.gradient_flow
        passed = carry if self.behind or flow else []
        return new + sums, [*d_local, *passed, *([new[0]] if flow else [])]

    def _pulled(self, carry, values, sums, mask, noise, dropped):
        """The gradients of `values` by the equation alone, None for zero; the sums."""
        n, width, late = len(self.cell.states), len(values), self.cell.late
        _, pull = self.recurrence.backend.pullback(
            lambda v: self._equation(
                v[:width], v[width:] or self.given["v"], mask, noise
            ),
            [*values, *self.along],
        )
        cotangent = carry + [None] * len(late)
        # What a late gate multiplied may depend on one that was before.
        for i, gate in reversed(list(enumerate(late))):
            (d_u,) = pull(cotangent, [n + self.product_at[gate]])
            cotangent[n + i] = dropped(self.products.one(gate, d_u), gate)
        found = list(pull(cotangent, range(width + len(self.along))))
        sums = [
            total if d is None else total + ops.cast(d, total.dtype)
            for total, d in zip(sums, found[width:])
        ]
        return found[:width], sums

    def gradients(self, last: list[Any], stacks: list[Any]) -> dict[str, list[Any]]:
        """Gradients by group, from the last carry and what the steps gave."""
        recurrence, n = self.recurrence, len(self.cell.states)
        flow, source = self.cell.gradient_flow, self.source
        d_u = {k: stacks[self.product_at[k]] for k in recurrence.multiplied}
        if flow:
            # The penalty sees the recurrent kernel as what the cotangents went through,
            # as the loss sees it as what the states went through.
            passed = self.dropped(gradient_flow(flow, stacks[-2], stacks[-1]))
            source = {k: vector + passed for k, vector in source.items()}
        outer, total = recurrence.backend.outer, recurrence.backend.total
        found = {
            "x": [stacks[place] for place in self.inputs_at],
            "r": [outer(source[k], d_u[k]) for k in recurrence.multiplied],
            "s": list(last[:n]),
        }
        if self.given["b"]:
            found["b"] = [total(d_u[k]) for k in recurrence.biased]
        if self.along:
            pairs = zip(last[n:], self.along)
            found["v"] = [ops.cast(total, v.dtype) for total, v in pairs]
        if self.behind:
            found["v"] = self._of_vectors(stacks[len(self.values) - n :], d_u)
        return found

    def _of_vectors(self, d_states, d_u):
        """The gradients of vectors, by the equation at all steps once more."""
        mask = self.given["m"][0] if self.given["m"] else None
        _, pull = self.recurrence.backend.pullback(
            lambda vectors: self._equation(self.values, vectors, mask, self.noise),
            self.behind,
        )
        n, late = len(self.cell.states), self.cell.late
        d_late = [self.dropped(self.products.one(k, d_u[k]), k) for k in late]
        found = pull([*d_states[:n], *d_late], range(len(self.behind)))
        return [_or_zeros(*pair) for pair in zip(found, self.behind)]


def _or_zeros(gradient, like):
    return ops.zeros_like(like) if gradient is None else gradient
