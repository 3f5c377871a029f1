"""One step back in time of a normalized recurrence.

The sums over units are left to the formula for the gradient of a normalization. What
remains of the equation is elementwise.
"""

from __future__ import annotations

import functools
import operator
from typing import Any

from keras import ops

from keras_rnnx.cells._base.normalization.layer import exact


class Weights:
    """The vectors of a recurrence as its steps read them."""

    def __init__(self, recurrence: Any, given: dict):
        cell = recurrence.cell
        vectors = dict(zip(cell.vector_names, given["v"]))
        self.own = {name: vectors[name] for name in cell.vectors}
        n = len(cell.gates)
        self.scale_x = given["p"][:n]
        biases = dict(zip(recurrence.input_biased, given["p"][n:]))
        self.bias_x = [biases.get(k) for k in cell.gates]
        self.scale_u = [vectors[f"scale {k}"] for k in cell.gates]
        self.bias_u = [vectors.get(f"bias {k}") for k in cell.gates]
        self.apart = [k in cell.apart for k in cell.gates]
        self.of_gates = recurrence.of_gates
        self.state_scale = vectors.get("state_scale")
        self.state_offset = vectors.get("state_offset")
        # Of these the loop back sums the gradients.
        self.summed = [*self.own]
        if cell.normalization.states:
            self.summed += ["state_scale", "state_offset"]

    def of_state(self, standard: Any) -> Any:
        """A standardized state as the equation reads it."""
        return standard * self.state_scale + self.state_offset

    def read(self, x: list, of_x: list, u: list, of_u: list) -> list[list[Any]]:
        """What the equation reads of each gate: a sum, or its two parts."""
        of_x, of_u, found = self.of_gates(of_x), self.of_gates(of_u), []
        for i, apart in enumerate(self.apart):
            a = _scaled(x[i], of_x[i], self.scale_x[i], self.bias_x[i])
            b = _scaled(u[i], of_u[i], self.scale_u[i], self.bias_u[i])
            found.append([a, b] if apart else [a + b])
        return found


class StepBack:
    """One step of the loop back in time.

    Args:
        recurrence: the `NormalizedRecurrence`.
        given: its groups.
        weights: its vectors.
        outer: whether there are cotangents of outputs.
    """

    def __init__(self, recurrence: Any, given: dict, weights: Weights, outer: bool):
        self.recurrence = recurrence
        self.given = given
        self.weights = weights
        self.outer = outer
        kernels = [ops.transpose(kernel) for kernel in given["r"]]
        self.kernel = recurrence.backend.concatenate(kernels, 0)
        # For every output and input of the equation whether there is a derivative.
        self.known = None

    def derivatives(self, slices: list[Any], noise: dict[str, Any]) -> list[Any]:
        """Those of the equation at all steps at once, to be given to each step.

        Where every operation is a call, they save going through the equation in each.
        """
        mask = self.given["m"][0] if self.given["m"] else None
        inputs, pull = self._local(self._by_kind(iter(slices)), mask, noise)
        found, self.known = [], []
        n_states, n_read = len(self.recurrence.cell.states), self._n_read
        # Every output has the shape of the first state.
        ones = ops.ones_like(inputs[n_read])
        for i in range(n_states + n_read):
            cotangent = [None] * (n_states + n_read)
            cotangent[i] = ones
            row = pull(cotangent, range(len(inputs)))
            self.known.append([d is not None for d in row])
            found += [d for d in row if d is not None]
        return found

    @property
    def _n_read(self):
        return self.recurrence.cell.normalization.states

    def _by_kind(self, slices):
        loop = self.recurrence
        n, n_gates, n_groups = (
            len(x) for x in (loop.cell.states, loop.cell.gates, loop.groups)
        )
        sizes = [n, self._n_read, n_gates, n_gates, n_groups, n_groups, self._n_read]
        return [[next(slices) for _ in range(size)] for size in sizes]

    def _local(self, kinds, mask, noise):
        """The equation: its inputs, and its vector-Jacobian product.

        Inputs are the normalized states that it reads, the states, what it reads of the
        gates, and its vectors; outputs the new states and those it normalizes.
        """
        loop, weights, n_read = self.recurrence, self.weights, self._n_read
        states, standard, x, u, of_x, of_u, _ = kinds
        read = weights.read(x, of_x, u, of_u)
        inputs = [weights.of_state(s) for s in standard]
        inputs += [*states, *(part for parts in read for part in parts)]
        shape = ops.shape(states[0])
        inputs += [ops.broadcast_to(v, shape) for v in weights.own.values()]

        def equation(inputs):
            inputs, normalized = iter(inputs), []
            as_read = [next(inputs) for _ in range(n_read)]
            before = [next(inputs) for _ in states]
            parts = [[next(inputs) for _ in parts] for parts in read]

            def norm(state):
                normalized.append(state)
                return as_read[len(normalized) - 1]

            own = dict(zip(weights.own, inputs))
            new = loop.applied(before, parts, own, mask, noise, norm)
            return new + normalized

        return inputs, loop.backend.pullback(equation, inputs)[1]

    def _known(self, slices):
        """The vector-Jacobian product from derivatives that are given."""
        rows = [[next(slices) if is_ else None for is_ in row] for row in self.known]

        def pull(cotangents, positions):
            found = []
            for position in positions:
                terms = [
                    row[position] * cotangent
                    for row, cotangent in zip(rows, cotangents)
                    if cotangent is not None and row[position] is not None
                ]
                found.append(functools.reduce(operator.add, terms) if terms else None)
            return found

        return pull

    def __call__(self, carry: list[Any], slices: list[Any]) -> tuple[list, list]:
        """The step.

        Args:
            carry: cotangents of the states, then sums of the gradients of vectors.
            slices: states before the step, standardized states, products of the inputs
                and of the state, factors of both by group, and of the states; then the
                mask, cotangents of outputs, noise and derivatives.

        Returns:
            The carry before the step; the gradients of what is read of the gates, and
            by group the share that is taken out of those of the state's products.
        """
        loop, weights, n_read = self.recurrence, self.weights, self._n_read
        n, gates = len(loop.cell.states), loop.cell.gates
        slices = iter(slices)
        kinds = self._by_kind(slices)
        _, standard, x, u, _, of_u, of_states = kinds
        mask = next(slices) if self.given["m"] else None
        carry, sums = list(carry[:n]), dict(zip(weights.summed, carry[n:]))
        if self.outer:
            carry[0] = carry[0] + next(slices)
        noise = loop.noise(self.given, [next(slices) for _ in self.given["n"]])
        if self.known is None:
            _, pull = self._local(kinds, mask, noise)
        else:
            pull = self._known(slices)

        def pulled(cotangents, positions):
            found = pull(cotangents, positions)
            return [ops.zeros_like(carry[0]) if d is None else d for d in found]

        cotangent = carry + [None] * n_read
        # A state that is normalized may depend on one that was before.
        for i in reversed(range(n_read)):
            (d,) = pulled(cotangent, [i])
            _add(sums, "state_scale", exact(d) * exact(standard[i]))
            _add(sums, "state_offset", d)
            d = d * weights.state_scale
            cotangent[n + i] = self._before_state(d, standard[i], of_states[i])
        parts = [2 if apart else 1 for apart in weights.apart]
        wanted = range(n_read, n_read + n + sum(parts) + len(weights.own))
        found = iter(pulled(cotangent, wanted))
        d_states = [next(found) for _ in range(n)]
        d_parts = [[next(found) for _ in range(count)] for count in parts]
        for name in weights.own:
            _add(sums, name, next(found))
        of_products, shares = self._before_products(d_parts, u, of_u)
        products = [ops.cast(of_products[k], carry[0].dtype) for k in gates]
        product = loop.backend.concatenate(products, -1) @ self.kernel
        d_states[0] = d_states[0] + dropped(product, noise)
        return [*d_states, *sums.values()], [*(d for p in d_parts for d in p), *shares]

    def _before_products(self, d_parts, u, of_u):
        """The gradients of the state's products by gate, and the shares taken out."""
        loop, found, shares = self.recurrence, {}, []
        gates = loop.cell.gates
        values = dict(zip(gates, map(exact, u)))
        scales = zip(gates, d_parts, self.weights.scale_u)
        d = {k: exact(parts[-1]) * exact(scale) for k, parts, scale in scales}
        for group, factor in zip(loop.groups, of_u):
            along = loop.mean(*(d[k] * values[k] for k in group))
            shares.append(along * factor * factor * factor)
            for k in group:
                found[k] = d[k] * factor - values[k] * shares[-1]
        return found, shares

    def _before_state(self, d, standard, factor):
        """The gradient of a state, from that of the same with mean 0 and variance 1."""
        dtype, d, standard = d.dtype, exact(d), exact(standard)
        mean = self.recurrence.mean
        taken = mean(d) + standard * mean(d * standard)
        return ops.cast((d - taken) * factor, dtype)


def dropped(vector: Any, noise: dict[str, Any]) -> Any:
    """What the recurrent kernel multiplies."""
    return vector * noise["recurrent"] if "recurrent" in noise else vector


def _scaled(values, factor, scale, bias):
    values = ops.cast(exact(values) * factor, values.dtype) * scale
    return values if bias is None else values + bias


def _add(sums, name, term):
    sums[name] = sums[name] + exact(term)
