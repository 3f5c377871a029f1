"""The recurrence of a cell whose steps are normalized over the units.

Autodiff of a step would go through all sums over units once more. Forward, steps take
variances alone, see `centered.py`; back, the formula for their gradient, see
`normalized_step.py`.
"""

from __future__ import annotations

import functools
import operator
from typing import Any

from keras import ops

from keras_rnnx.cells import Cell
from keras_rnnx.cells._base.normalization.layer import EPSILON, exact
from keras_rnnx.engine.loop.looped import Looped
from keras_rnnx.engine.loop.normalized.centered import inputs_gradient, kernel_gradients
from keras_rnnx.engine.loop.normalized.step_back import StepBack, Weights, dropped


class NormalizedRecurrence(Looped):
    """The loop over time of one normalized cell, over a block for each gate."""

    def __init__(self, cell: Cell, *args: Any, **kwargs: Any):
        super().__init__(cell, *args, **kwargs)
        self.groups = cell.normalization.groups
        self.input_biased = cell.normalization.input_biased
        # Only where states alone are kept does anybody ask.
        self.kept = len(cell.states) - 1

    @staticmethod
    def takes(cell: Cell) -> bool:
        """Whether moments are those of a sample, in products with the state alone."""
        normalization = cell.normalization
        if not normalization or normalization.groups is None:
            return False
        return cell.even and not (cell.late or cell.gradient_flow)

    def forward(self, length, given, keep):
        cell = self.cell
        recurrent = self.backend.concatenate(given["r"], 1)
        weights = Weights(self, given)
        keep_all = keep and not self.states_only

        def step(states, slices):
            x, rest = slices[: len(cell.gates)], slices[len(cell.gates) :]
            mask = rest.pop(0) if given["m"] else None
            noise = self.noise(given, rest)
            u = dropped(states[0], noise) @ recurrent
            u = ops.split(u, len(cell.gates), axis=-1)
            new, standard, factors = self._step(states, x, u, weights, mask, noise)
            outs = [new[0]] if keep or self.sequences else []
            outs += self.kept_states(states) if keep else []
            return new, outs + ([*standard, *u, *factors] if keep_all else [])

        x = [given["x"][0] @ kernel for kernel in given["k"]]
        state = given["s"][0]
        batch, units = ops.shape(state)
        first = int(keep or self.sequences)
        wide = len(self.kept_states(cell.states)) * keep
        wide += (cell.normalization.states + len(cell.gates)) * keep_all
        narrow = (2 * len(self.groups) + cell.normalization.states) * keep_all
        last, stacks = self.scan(
            step,
            given["s"],
            x + given["m"] + given["n"],
            length,
            [False] * first + [self.loose] * wide + [False] * narrow,
            shapes=[(batch, units)] * (first + wide) + [(batch, 1)] * narrow,
            dtypes=[state.dtype] * (first + wide) + [exact(state).dtype] * narrow,
        )
        outputs = stacks[:1] if self.sequences else []
        return outputs + list(last), stacks + x * keep_all if keep else []

    def _step(self, states, x, u, weights, mask, noise):
        """The states after a step, or after all steps; the states that were normalized;
        and the factors of both parts and of these."""
        of_x, of_u = self._factors(x), self._factors(u)
        standard, of_states = [], []

        def norm(state):
            values = exact(state)
            values = values - self.mean(values)
            of_states.append(self._factor(values))
            standard.append(ops.cast(values * of_states[-1], state.dtype))
            return weights.of_state(standard[-1])

        read = weights.read(x, of_x, u, of_u)
        new = self.applied(states, read, weights.own, mask, noise, norm)
        return new, standard, of_x + of_u + of_states

    def _factors(self, parts):
        """What gives the parts of the gates variance 1, for each group."""
        parts = dict(zip(self.cell.gates, parts))
        return [self._factor(*(parts[k] for k in group)) for group in self.groups]

    def _factor(self, *parts):
        squares = [exact(v) * exact(v) for v in parts]
        return self.backend.rsqrt(self.mean(*squares) + EPSILON)

    def mean(self, *tensors):
        """The mean over all units of all tensors."""
        # They are added first, so that one of them is summed.
        mean = self.backend.over_units(functools.reduce(operator.add, tensors))
        return mean if len(tensors) == 1 else mean / len(tensors)

    def of_gates(self, of_groups):
        """For every gate what is there for its group."""
        pairs = zip(self.groups, of_groups)
        by_gate = {k: value for group, value in pairs for k in group}
        return [by_gate[k] for k in self.cell.gates]

    def applied(self, states, read, own, mask, noise, norm):
        """The states after the equation; `read` holds for every gate a list."""
        total, x, u = {}, {}, {}
        for k, parts in zip(self.cell.gates, read):
            for part, found in zip(parts, (total,) if len(parts) == 1 else (x, u)):
                found[k] = part
        new = self.cell.applied(states, total, x, u, own, noise, norm)
        return self.held(mask, new, states)

    def _residuals(self, length, given, residuals, weights, noise):
        """The outputs before each step, the states, what else the loop back reads, the
        factors and the inputs' products."""
        outputs, rest = residuals[0], list(residuals[1:])
        h = self.before(length, given["s"][0], outputs)
        n = len(self.kept_states(self.cell.states))
        states = ([] if self.loose else [h]) + rest[:n]
        n_gates, n_read = len(self.cell.gates), self.cell.normalization.states
        if self.states_only:
            x = [given["x"][0] @ kernel for kernel in given["k"]]
            u = [dropped(h, noise) @ kernel for kernel in given["r"]]
            mask = given["m"][0] if given["m"] else None
            _, standard, factors = self._step(states, x, u, weights, mask, noise)
        else:
            rest, x = rest[n:-n_gates], rest[-n_gates:]
            standard, rest = rest[:n_read], rest[n_read:]
            u, factors = rest[:n_gates], rest[n_gates:]
        return h, states, standard, u, factors, x

    def backward(self, length, given, residuals, cotangents):
        n, n_groups = len(self.cell.states), len(self.groups)
        weights, noise = Weights(self, given), self.noise(given, given["n"])
        h, states, standard, u, factors, x = self._residuals(
            length, given, residuals, weights, noise
        )
        outer = cotangents[:1] if self.sequences else []
        step = StepBack(self, given, weights, bool(outer))
        slices = [*states, *standard, *x, *u, *factors]
        eager = self.backend.EAGER
        derivatives = step.derivatives(slices, noise) if eager else []
        state = given["s"][0]
        batch, units = ops.shape(state)
        # Sums over steps, for each sample.
        zeros = ops.zeros_like(exact(state))
        wide = len(self.cell.gates) + len(self.cell.apart)
        last, stacks = self.scan(
            step,
            [*cotangents[-n:], *[zeros] * len(weights.summed)],
            slices + given["m"] + outer + given["n"] + derivatives,
            length,
            [False] * (wide + n_groups),
            reverse=True,
            shapes=[(batch, units)] * wide + [(batch, 1)] * n_groups,
            dtypes=[state.dtype] * wide + [exact(state).dtype] * n_groups,
        )
        found = {
            name: ops.cast(ops.sum(total, axis=0), state.dtype)
            for name, total in zip(weights.summed, last[n:])
        }
        of_x, of_u, stacks = {}, {}, list(stacks)
        for k in self.cell.gates:
            of_x[k] = stacks.pop(0)
            of_u[k] = stacks.pop(0) if k in self.cell.apart else of_x[k]
        found |= {f"bias {k}": self.backend.total(of_u[k]) for k in self.cell.apart}
        source = dropped(h, noise)
        inputs = given["x"][0]
        d_inputs, d_k, d_r, d_scale = [], {}, {}, {}
        for i, group in enumerate(self.groups):
            places = [self.cell.gates.index(k) for k in group]

            def of_group(blocks, places=places):
                return [blocks[place] for place in places]

            of_part = [of_x[k] for k in group]
            part = of_group(given["k"]), of_group(weights.scale_x), factors[i]
            d, share = inputs_gradient(inputs, *part, of_part, of_group(x))
            d_inputs.append(d)
            outer = self.backend.outer
            d, scales = kernel_gradients(inputs, *part, share, of_part, outer)
            d_k |= zip(group, d)
            d_scale |= zip(group, scales)
            of_part = [of_u[k] for k in group]
            part = (
                of_group(given["r"]),
                of_group(weights.scale_u),
                factors[n_groups + i],
            )
            d, scales = kernel_gradients(source, *part, stacks[i], of_part, outer)
            d_r |= zip(group, d)
            found |= zip([f"scale {k}" for k in group], scales)
        gates = self.cell.gates
        d_bias = [self.backend.total(of_x[k]) for k in self.input_biased]
        return {
            "x": [functools.reduce(operator.add, d_inputs)],
            "k": [d_k[k] for k in gates],
            "r": [d_r[k] for k in gates],
            "s": list(last[:n]),
            "v": [found[name] for name in self.cell.vector_names],
            "p": ([d_scale[k] for k in gates] + d_bias)[: len(given["p"])],
        }
