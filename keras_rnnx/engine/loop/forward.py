"""A cell's recurrence over whole sequences, with a backward pass of its own.

Autodiff through a loop multiplies into every weight gradient once per step. Here the
loop back in time only carries the cotangents of states and gates, by the cell's own
vector-Jacobian product, and all weight gradients are single products over all steps:
see `recurrence_back.py`.
"""

from __future__ import annotations

from typing import Any

from keras import ops

from keras_rnnx.cells import Cell
from keras_rnnx.cells._base.normalization.layer import NOTED
from keras_rnnx.engine import _precision
from keras_rnnx.engine.loop.backward import WayBack
from keras_rnnx.engine.loop.looped import Looped
from keras_rnnx.engine.loop.products import Products


class Recurrence(Looped):
    """The loop over time of one cell, over a block for each gate.

    Arguments are those of `Looped`.
    """

    def __init__(self, cell: Cell, *args: Any, **kwargs: Any):
        super().__init__(cell, *args, **kwargs)
        # Not where vectors take gradients over all steps.
        self.loose = self.loose and not cell.vector_names
        self.apart = [k for k in cell.gates if k in cell.unsummed]
        self.projected, self.multiplied = cell.projected, cell.products
        self.biased = cell.product_biased
        notes = bool(cell.normalization) and cell.normalization.notes_moments
        self.moments = notes and "moving recurrent" not in self.by_step
        # In one program a sum that goes along is nearly free, and a pass over all steps
        # behind the loop computes the equation once more.
        self.sums_along = self.xla and bool(cell.vector_names)
        self.kept_widths = self._widths_kept()
        self.kept = len(self.kept_widths)

    def spared(self):
        # Where a sum is kept its input part is not read again.
        summed = set(self.multiplied) - set(self.apart)
        return {i for i, gate in enumerate(self.projected) if gate in summed}

    def multiplier(self, noise):
        """What is done to a vector before the matrix of a gate multiplies it, or that
        of any gate that multiplies the state."""
        mask, projection = noise.get("recurrent"), self.cell.projection

        def dropped(vector, gate=None):
            return vector if mask is None or gate in projection else vector * mask

        return dropped

    def advance(self, states, gates, vectors, mask, noise, late=None):
        """The states after a step, and the vectors that late gates multiplied.

        `gates` holds, for every gate, its sum or only part, or a list of two parts, of
        which the first can be None. `late` gives a late gate's product; without it the
        product is the second part already.
        """
        cell = self.cell
        multiplied = {}

        def product(gate):
            def call(vector):
                if vector.dtype != states[0].dtype:
                    # Keras' activations give float32 for float64 on some backends.
                    vector = ops.cast(vector, states[0].dtype)
                multiplied[gate] = vector
                return parts[gate][1] if late is None else late(gate, vector)

            return call

        parts = dict(zip(cell.gates, gates))
        x = {k: parts[k][0] for k in self.apart if k in self.projected}
        u = {k: product(k) if k in cell.late else parts[k][1] for k in self.apart}
        total = {k: parts[k] for k in cell.gates if k not in self.apart}
        vectors = dict(zip(cell.vector_names, vectors))
        if mask is not None and cell.normalization:
            noise = {**noise, "mask": mask}
        new = cell.advance(states, total, x, u, vectors, noise)
        return self.held(mask, new, states), [multiplied[k] for k in cell.late]

    def _read(self, x, u, b):
        """What the equation reads of the gates but late products, and what is kept."""
        gates, kept = [], []
        for k in self.cell.gates:
            if k in self.cell.late:
                gates.append([x.get(k), None])
            elif k not in self.multiplied:
                gates.append(x[k])
            else:
                product = u[k] + b[k] if k in b else u[k]
                summed = k in x and k not in self.apart
                kept.append(x[k] + product if summed else product)
                gates.append([x[k], product] if k in self.apart else kept[-1])
        return gates, kept

    def forward(self, length, given, keep):
        cell = self.cell
        given = _precision.rounded(given, "rbv")
        times_r = self.products(given["r"])
        b = dict(zip(self.biased, given["b"]))

        def step(states, slices):
            x = dict(zip(self.projected, slices))
            rest = slices[len(self.projected) :]
            mask = rest.pop(0) if given["m"] else None
            noise, noted = self.noise(given, rest), {}
            if self.moments:
                noise[NOTED] = noted
            dropped = self.multiplier(noise)
            early = times_r.each(dropped(states[0]))
            gates, kept = self._read(x, early, b)
            products = {}

            def late(gate, vector):
                out = times_r.one(gate, dropped(vector, gate))
                products[gate] = out + b[gate] if gate in b else out
                return products[gate]

            new, multiplied = self.advance(states, gates, given["v"], mask, noise, late)
            outs = [new[0]] if keep or self.sequences else []
            if self.moments:
                scopes = cell.normalization.scopes[1:]
                moments = cell.normalization.gathered(noted, scopes)
                outs += [ops.cast(m, new[0].dtype) for m in moments]
            if keep:
                outs += [*multiplied, *self.kept_states(states)]
            if keep and not self.states_only:
                outs += [*kept, *(products[k] for k in cell.late)]
            return new, outs

        n_late = len(cell.late)
        first = int(keep or self.sequences)
        n_moments = len(cell.normalization.scopes) - 1 if self.moments else 0
        loose = [False] * (first + n_moments)
        if keep:
            loose += [False] * n_late + [self.loose] * (self.kept - n_late)
        last, stacks = self.scan(
            step,
            given["s"],
            given["x"] + given["m"] + given["n"],
            length,
            loose,
            shapes=self._shapes(given["s"][0], first, n_moments, keep),
        )
        moments = [stacks.pop(first) for _ in range(n_moments)]
        outputs = stacks[:1] if self.sequences else []
        return outputs + moments + list(last), stacks if keep else []

    def _shapes(self, state, first, moments, keep):
        """Shapes of what a step gives forward."""
        cell = self.cell
        batch, width = ops.shape(state)
        found = [(batch, width)] * first
        if moments:
            found += [
                (1, 2 * cell.units * (1 if scope == "state" else len(cell.projected)))
                for scope in cell.normalization.scopes[1:]
            ]
        return found + [(batch, n) for n in self.kept_widths] * keep

    def _widths_kept(self):
        """Widths of what is kept of a step, in its order."""
        cell = self.cell
        takes, gives = (
            {k: cell.product_widths(k)[i] for k in self.multiplied} for i in range(2)
        )
        of_states = list(cell.state_widths.values())
        found = [takes[k] for k in cell.late] + self.kept_states(of_states)
        if self.states_only:
            return found
        early = [gives[k] for k in self.multiplied if k not in cell.late]
        return found + early + [gives[k] for k in cell.late]

    def products(self, matrices):
        return Products(self.cell, matrices, self.backend, self.xla)

    def backward(self, length, given, residuals, cotangents):
        outer = cotangents[:1] if self.sequences else []
        back = WayBack(self, length, given, residuals, bool(outer))
        d_states = cotangents[-len(self.cell.states) :]
        last, stacks = self.scan(
            back,
            [*d_states, *back.sums()],
            back.values + given["m"] + outer + given["n"],
            length,
            [False] * len(back.widths),
            reverse=True,
            shapes=[(ops.shape(d_states[0])[0], width) for width in back.widths],
        )
        return back.gradients(last, stacks)
