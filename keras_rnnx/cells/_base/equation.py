"""What engines ask of a cell: its equation, with all that its arguments put into it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import ops

from keras_rnnx.cells._base.values import Gates, State, Vectors


class Equation:
    """The part of a `Cell` that engines call."""

    @property
    def by_step(self) -> tuple[str, ...]:
        """Names of all that may be given for every step."""
        more = self.normalization.by_step if self.normalization else ()
        return (*self.noise.by_step, *more)

    @property
    def apart(self) -> tuple[str, ...]:
        """Gates of which the equation reads the two parts, or makes the second."""
        return (*self.split, *self.late)

    @property
    def gradient_flow(self) -> float:
        """Weight of the penalty on gradients that shrink or grow over a step."""
        return getattr(self.recurrent_regularizer, "gradient_flow", 0.0)

    @property
    def unsummed(self) -> tuple[str, ...]:
        """Gates of which `advance` takes the two parts."""
        return self.gates if self.normalization else self.apart

    @property
    def vector_names(self) -> tuple[str, ...]:
        """Names of all vectors that `advance` takes."""
        more = self.normalization.vectors if self.normalization else ()
        scaled = (f"recurrent {k}" for k in self.scaled)
        return (*self.vectors, *scaled, *more)

    def all_coefficients(self) -> dict[str, Any]:
        """These vectors, each of shape `(units,)`."""
        found = self.coefficients() if self.vectors else {}
        if self.diagonal:
            of_gates = self.blocks(
                ops.convert_to_tensor(self.recurrent_kernel), "recurrent_kernel"
            )
            found |= {f"recurrent {k}": v for k, v in of_gates.items()}
        return found | (self.normalization.coefficients() if self.normalization else {})

    def advance(
        self,
        states: list[Any],
        total: dict[str, Any],
        x: dict[str, Any],
        u: dict[str, Any],
        vectors: dict[str, Any],
        noise: dict[str, Any] | None = None,
    ) -> list[Any]:
        """Applies the equation to tensors. Engines call this, users call the layer.

        Args:
            states: the states before the step, in the order of `self.states`.
            total: pre-activations of the gates that are not in `unsummed`, without the
                part of diagonal weights.
            x: input parts of the others, where they have one.
            u: their recurrent parts; for late gates, functions.
            vectors: what `all_coefficients` returned.
            noise: masks of the step by name, as in `Noise`.

        Returns:
            The states after the step.
        """
        noise = noise or {}
        if not self.normalization:
            return self.applied(states, total, x, u, vectors, noise)
        total, x, u = self.normalization.step(x, u, vectors, noise)

        def norm(state):
            return self.normalization.state(state, vectors, noise)

        return self.applied(states, total, x, u, vectors, noise, norm)

    def applied(
        self,
        states: list[Any],
        total: dict[str, Any],
        x: dict[str, Any],
        u: dict[str, Any],
        vectors: dict[str, Any],
        noise: dict[str, Any],
        norm: Callable[[Any], Any] | None = None,
    ) -> list[Any]:
        """Applies the equation behind any normalization of the pre-activations.

        Args:
            states, vectors, noise: as for `advance`.
            total, x, u: as the equation reads them: its sums, and the two parts of the
                gates in `apart`.
            norm: what normalizes a state that is read. Default: nothing does.

        Returns:
            The states after the step.
        """
        hooks = {"norm": norm} if norm else {}
        if "update" in noise:
            hooks["drop"] = lambda written: written * noise["update"]
        if self.diagonal:
            h = states[0] * noise["recurrent"] if "recurrent" in noise else states[0]
            for k in self.scaled:
                total = {**total, k: total[k] + vectors[f"recurrent {k}"] * h}
        state = State(**dict(zip(self.states, states)))
        arguments = (state, Gates(total, x, u, **hooks))
        if self.vectors:
            arguments += (Vectors(**{name: vectors[name] for name in self.vectors}),)
        new = self.update(*arguments)
        new = [getattr(new, name) for name in self.states]
        # Keras' activations give float32 for float64 on some backends.
        new = [
            n if n.dtype == old.dtype else ops.cast(n, self.compute_dtype)
            for n, old in zip(new, states)
        ]
        return self._zoned(states, new, noise)

    def _zoned(self, states, new, noise):
        if not any(self.zoneout_rates):
            return new
        found = []
        for name, rate, a, b in zip(self.states, self.zoneout_rates, states, new):
            keep = noise.get(f"zoneout {name}")
            if keep is not None:
                b = ops.where(keep, a, b)
            elif rate:
                b = rate * a + (1 - rate) * b
            found.append(b)
        return found
