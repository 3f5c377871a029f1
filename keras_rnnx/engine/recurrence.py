"""A cell's recurrence over whole sequences, with a backward pass of its own.

Autodiff through a loop multiplies into every weight gradient once per step. Here the
loop back in time only carries the cotangents of states and gates, by the cell's own
vector-Jacobian product, and all weight gradients are single products over all steps.
"""

from __future__ import annotations

from types import ModuleType

import keras
from keras import ops

from keras_rnnx.cells import Cell
from keras_rnnx.cells.normalization import NOTED
from keras_rnnx.engine.differentiable import Differentiable
from keras_rnnx.engine.flow import cotangent as gradient_flow
from keras_rnnx.engine.products import Products


class Recurrence(Differentiable):
    """The loop over time of one cell, over a block for each gate.

    Args:
        cell, backend, sequences, keep: as for `Differentiable`.
        unroll: whether to write the loop out.
        xla: whether the loop is compiled into one program.
        pieces: whether what is kept may stay in pieces, one for each step. Else all of
            the recurrence, with what stands around it, is one program for XLA.
        states_only: whether to keep the states alone. The backward pass then has the
            products of all steps once more, each as one large product.
        noise: names of the masks of every step, and of those of the whole sequence.
    """

    def __init__(
        self,
        cell: Cell,
        backend: ModuleType,
        sequences: bool,
        keep: bool = True,
        unroll: bool = False,
        xla: bool = False,
        pieces: bool = True,
        states_only: bool = False,
        noise: tuple[list[str], list[str]] = ((), ()),
    ):
        super().__init__(cell, backend, sequences, keep)
        self.unroll = unroll
        self.xla = xla
        self.pieces = pieces
        # Not where XLA holds a sequence in one buffer, nor where vectors take gradients
        # over all steps.
        self.loose = pieces and not xla and not cell.vector_names
        self.apart = [k for k in cell.gates if k in cell.unsummed]
        self.projected, self.multiplied = cell.projected, cell.products
        self.biased = cell.product_biased
        self.by_step, self.by_sequence = noise
        self.moments = _notes(cell) and "moving recurrent" not in self.by_step
        # In one program a sum that goes along is nearly free, and a pass over all steps
        # behind the loop computes the equation once more.
        self.sums_along = xla and bool(cell.vector_names)
        self.states_only = states_only
        self.kept_widths = self._widths_kept()
        self.kept = len(self.kept_widths)

    def spared(self):
        # Where a sum is kept its input part is not read again.
        summed = set(self.multiplied) - set(self.apart)
        return {i for i, gate in enumerate(self.projected) if gate in summed}

    def _noise(self, given, of_steps):
        """The masks by name, with those of one step or of all."""
        whole = zip(self.by_sequence, given["d"])
        return dict(zip(self.by_step, of_steps)) | dict(whole)

    def _multiplier(self, noise):
        """What is done to a vector before the matrix of a gate multiplies it, or that
        of any gate that multiplies the state."""
        mask, projection = noise.get("recurrent"), self.cell.projection

        def dropped(vector, gate=None):
            return vector if mask is None or gate in projection else vector * mask

        return dropped

    def _advance(self, states, gates, vectors, mask, noise, late=None):
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
        if mask is not None:
            new = [self.backend.where(mask, n, o) for n, o in zip(new, states)]
        return new, [multiplied[k] for k in cell.late]

    def forward(self, length, given, keep):
        cell = self.cell
        times_r = self._products(given["r"])
        b = dict(zip(self.biased, given["b"]))

        def step(states, slices):
            x = dict(zip(self.projected, slices))
            rest = slices[len(self.projected) :]
            mask = rest.pop(0) if given["m"] else None
            noise, noted = self._noise(given, rest), {}
            if self.moments:
                noise[NOTED] = noted
            dropped = self._multiplier(noise)
            early = times_r.each(dropped(states[0]))
            gates, kept, products = [], [], {}
            for k in cell.gates:
                if k in cell.late:
                    gates.append([x.get(k), None])
                    continue
                if k not in self.multiplied:
                    gates.append(x[k])
                    continue
                u = early[k] + b[k] if k in b else early[k]
                kept.append(u if k in self.apart or k not in x else x[k] + u)
                gates.append([x[k], u] if k in self.apart else kept[-1])

            def late(gate, vector):
                out = times_r.one(gate, dropped(vector, gate))
                products[gate] = out + b[gate] if gate in b else out
                return products[gate]

            new, multiplied = self._advance(
                states, gates, given["v"], mask, noise, late
            )
            outs = [new[0]] if keep or self.sequences else []
            if self.moments:
                scopes = cell.normalization.scopes[1:]
                moments = cell.normalization.gathered(noted, scopes)
                outs += [ops.cast(m, new[0].dtype) for m in moments]
            if keep:
                outs += [*multiplied, *self._kept_states(states)]
            if keep and not self.states_only:
                outs += [*kept, *(products[k] for k in cell.late)]
            return new, outs

        n_late = len(cell.late)
        first = int(keep or self.sequences)
        n_moments = len(cell.normalization.scopes) - 1 if self.moments else 0
        loose = [False] * (first + n_moments)
        if keep:
            loose += [False] * n_late + [self.loose] * (self.kept - n_late)
        last, stacks = self._scan(
            step,
            given["s"],
            given["x"] + given["m"] + given["n"],
            length,
            loose,
            unroll=self.unroll,
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
        found = [takes[k] for k in cell.late] + self._kept_states(of_states)
        if self.states_only:
            return found
        early = [gives[k] for k in self.multiplied if k not in cell.late]
        return found + early + [gives[k] for k in cell.late]

    def _products(self, matrices):
        return Products(self.cell, matrices, self.backend, self.xla)

    def _scan(self, *args, **kwargs):
        alone = self.xla and self.pieces
        run = self.backend.compiled_scan if alone else self.backend.scan
        return run(*args, **kwargs)

    def _products_again(self, given, x, source):
        """What the step kept of each gate, for all steps at once."""
        b = dict(zip(self.biased, given["b"]))
        kept = {}
        for k, r in zip(self.multiplied, given["r"]):
            u = source[k] @ r
            u = u + b[k] if k in b else u
            kept[k] = u if k in self.apart or k not in x else x[k] + u
        return kept

    def _by_gate(self, values):
        """Local inputs as `_advance` takes them."""
        values = iter(values)
        return [
            [next(values) if k in self.projected else None, next(values)]
            if k in self.apart
            else next(values)
            for k in self.cell.gates
        ]

    def _kept_states(self, states):
        """States before a step. The first stands in the outputs too, so that keeping
        it costs memory unless the pieces are shared."""
        return list(states) if self.loose else list(states[1:])

    def backward(self, length, given, residuals, cotangents):
        cell = self.cell
        n, n_late = len(cell.states), len(cell.late)
        early = [k for k in self.multiplied if k not in cell.late]
        noise_of_all = self._noise(given, given["n"])
        dropped = self._multiplier(noise_of_all)
        rest = iter(residuals)
        outputs = next(rest)
        multiplied = [next(rest) for _ in range(n_late)]
        first = ops.expand_dims(given["s"][0], 0)
        h_before = self.backend.concatenate([first, outputs], 0)[:length]
        before = [] if self.loose else [h_before]
        before += [next(rest) for _ in self._kept_states(cell.states)]
        x = dict(zip(self.projected, given["x"]))
        source = dict.fromkeys(early, dropped(h_before))
        source |= {k: dropped(v, k) for k, v in zip(cell.late, multiplied)}
        if self.states_only:
            kept = self._products_again(given, x, source)
        else:
            kept = {k: next(rest) for k in (*early, *cell.late)}
        times_r_t = self._products([ops.transpose(r) for r in given["r"]])
        # A gate that was summed has one local input, one of two parts has both.
        local, widths, inputs_at, product_at = [], [], {}, {}
        for k in cell.gates:
            if k not in self.multiplied or (k in self.apart and k in x):
                inputs_at[k] = len(local)
                local.append(x[k])
                widths.append(cell.units)
            if k in self.multiplied:
                product_at[k] = len(local)
                local.append(kept[k])
                widths.append(cell.product_widths(k)[1])
        inputs_at = {k: inputs_at.get(k, product_at.get(k)) for k in self.projected}
        outer = cotangents[:1] if self.sequences else []
        flow = cell.gradient_flow
        d_states = cotangents[-n:]
        along = given["v"] if self.sums_along else []
        behind = [] if along else given["v"]

        def advance(values, vectors, mask, noise):
            gates = self._by_gate(values[n:])
            new, late = self._advance(values[:n], gates, vectors, mask, noise)
            return new + late

        def step(carry, slices):
            carry, sums = carry[:n], carry[n:]
            values = slices[: n + len(local)]
            rest = slices[n + len(local) :]
            mask = rest.pop(0) if given["m"] else None
            if outer:
                carry = [carry[0] + rest.pop(0), *carry[1:]]
            noise = self._noise(given, rest)
            dropped = self._multiplier(noise)
            width = len(values)
            _, pull = self.backend.pullback(
                lambda v: advance(v[:width], v[width:] or behind, mask, noise),
                [*values, *along],
            )
            cotangent = list(carry) + [None] * n_late
            for i in reversed(range(n_late)):
                gate = cell.late[i]
                (d_u,) = pull(cotangent, [n + product_at[gate]])
                cotangent[n + i] = dropped(times_r_t.one(gate, d_u), gate)
            gradients = list(pull(cotangent, range(width + len(along))))
            sums = [
                total if g is None else total + ops.cast(g, total.dtype)
                for total, g in zip(sums, gradients[width:])
            ]
            gradients = gradients[:width]
            d_local = [
                ops.zeros_like(value) if g is None else g
                for g, value in zip(gradients[n:], values[n:])
            ]
            d_u = {k: d_local[product_at[k]] for k in early}
            if early:
                d_h = dropped(times_r_t.total(d_u))
                gradients[0] = d_h if gradients[0] is None else gradients[0] + d_h
            new = [
                ops.zeros_like(value) if g is None else g
                for g, value in zip(gradients[:n], values)
            ]
            passed = [*carry, new[0]] if flow else list(carry)
            return new + sums, d_local + (passed if behind or flow else [])

        of_states = list(cell.state_widths.values())
        widths += of_states if behind or flow else []
        widths += of_states[:1] if flow else []
        d_first, d_stacks = self._scan(
            step,
            [*d_states, *map(_start_of_sum, along)],
            before + local + given["m"] + outer + given["n"],
            length,
            [False] * len(widths),
            reverse=True,
            unroll=self.unroll,
            shapes=[(ops.shape(d_states[0])[0], width) for width in widths],
        )
        d_x = [d_stacks[inputs_at[k]] for k in self.projected]
        d_u = {k: d_stacks[product_at[k]] for k in self.multiplied}
        if flow:
            # The penalty sees the recurrent kernel as what the cotangents went through,
            # as the loss sees it as what the states went through.
            passed = gradient_flow(flow, d_stacks[-2], d_stacks.pop())
            source = {k: source[k] + dropped(passed) for k in self.multiplied}
        gradients = {
            "x": d_x,
            "r": [self.backend.outer(source[k], d_u[k]) for k in self.multiplied],
            "s": list(d_first[:n]),
        }
        if given["b"]:
            gradients["b"] = [self.backend.total(d_u[k]) for k in self.biased]
        if along:
            pairs = zip(d_first[n:], along)
            gradients["v"] = [ops.cast(total, v.dtype) for total, v in pairs]
        if behind:
            mask = given["m"][0] if given["m"] else None
            _, pull = self.backend.pullback(
                lambda vectors: advance(before + local, vectors, mask, noise_of_all),
                behind,
            )
            d_late = [dropped(times_r_t.one(k, d_u[k]), k) for k in cell.late]
            d_v = pull(d_stacks[len(local) :] + d_late, range(len(behind)))
            gradients["v"] = [
                ops.zeros_like(v) if g is None else g for g, v in zip(d_v, behind)
            ]
        return gradients


def _start_of_sum(vector):
    """Zeros in which a sum over many steps keeps its digits."""
    dtype = keras.backend.standardize_dtype(vector.dtype)
    return ops.zeros_like(vector, "float64" if dtype == "float64" else "float32")


def _notes(cell):
    """Whether moments are noted in training."""
    return bool(cell.normalization) and cell.normalization.notes_moments
