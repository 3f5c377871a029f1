"""Batch normalization inside of a recurrent cell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from keras import ops

from keras_rnnx.cells._base.normalization.base import EPSILON, Normalization, exact

if TYPE_CHECKING:
    import keras

    from keras_rnnx.cells._base.tensors import StepContext


class BatchNormalization(Normalization):
    """Normalizes each unit over the batch, with separate moments for each step.

    Training takes the moments of the valid samples of the batch at a step; inference
    uses moving averages of them. Steps after the last one with separate averages share
    the averages of that one. Cooijmans, Ballas, Laurent, Gulcehre & Courville 2017,
    arXiv:1603.09025.
    """

    argument = "batch_norm"
    scale = 0.1
    notes_moments = True

    def build(self, states: int) -> None:
        super().build(states)
        cell = self.cell
        if cell.batch_norm_steps is None:
            cell.batch_norm_steps = cell.sequence_length
        if cell.batch_norm_steps is None:
            raise ValueError(
                f"batch_norm=True keeps moving averages for every step, but "
                f"{type(cell).__name__} was built without a known number of steps: "
                f"pass batch_norm_steps, the number of steps with separate averages."
            )
        self.scopes = ("inputs", "recurrent") + ("state",) * bool(states)
        for scope in self.scopes:
            width = cell.units * (
                1 if scope == "state" else len(cell.layout.input_gates)
            )
            for moment, start in (("mean", "zeros"), ("variance", "ones")):
                name = f"moving_{moment}_{scope}"
                weight = cell.add_weight(
                    shape=(cell.batch_norm_steps, width),
                    name=name,
                    initializer=start,
                    trainable=False,
                    autocast=False,
                )
                setattr(cell, name, weight)

    def width(self, scope: str) -> int:
        """Number of means of a scope at each step."""
        gates = self.cell.layout.input_gates
        return self.cell.units * (1 if scope == "state" else len(gates))

    def standardized(
        self, parts: dict[str, Any], scope: str, context: StepContext
    ) -> dict[str, Any]:
        # Concatenated, they need one operation instead of one for each gate.
        values = exact(ops.concatenate(list(parts.values()), axis=-1))
        mean, variance = self._moments(values, list(parts), scope, context)
        # The operator, since `ops.rsqrt` computes float64 in float32 on some backends.
        values = (values - mean) * (variance + EPSILON) ** -0.5
        blocks = ops.split(values, len(parts), axis=-1)
        return {k: ops.cast(v, parts[k].dtype) for k, v in zip(parts, blocks)}

    def _moments(
        self, values: Any, names: list[str], scope: str, context: StepContext
    ) -> tuple[Any, Any]:
        """Mean and variance of values side by side, `(..., 1, width)`."""
        if scope in context.moving:
            return self._moving(context.moving[scope], names, scope)
        weights = context.valid
        mean = _mean(values, weights)
        variance = _mean((values - mean) ** 2, weights)
        if context.noted is not None:
            pairs = zip(*(ops.split(m, len(names), axis=-1) for m in (mean, variance)))
            context.noted.setdefault(scope, {}).update(zip(names, pairs))
        return mean, variance

    def _moving(self, moving: Any, names: list[str], scope: str) -> Any:
        gates = ["state"] if scope == "state" else list(self.cell.layout.input_gates)
        if names == gates:
            return ops.split(moving, 2, axis=-1)
        blocks = ops.split(moving, 2 * len(gates), axis=-1)
        means = dict(zip(gates, blocks))
        variances = dict(zip(gates, blocks[len(gates) :]))
        return [
            ops.concatenate([blocks_of[k] for k in names], axis=-1)
            for blocks_of in (means, variances)
        ]

    def gathered(self, noted: dict[str, dict], scopes: tuple[str, ...]) -> list[Any]:
        """The recorded moments, `(..., 1, 2 * width)` for each scope, in order."""
        gathered = []
        for scope in scopes:
            names = ["state"] if scope == "state" else self.cell.layout.input_gates
            moments = [noted[scope][k] for k in names]
            flat = [moment for which in zip(*moments) for moment in which]
            gathered.append(ops.concatenate(flat, axis=-1))
        return gathered

    def moving(self, steps: Any) -> dict[str, Any]:
        """By scope the moving averages of `steps` steps, `(1, time, 2 * width)`."""
        last = self.cell.batch_norm_steps - 1
        index = ops.minimum(ops.arange(steps), last)
        averages = {}
        for scope in self.scopes:
            both = [ops.convert_to_tensor(v) for v in self._variables(scope)]
            rows = ops.take(ops.concatenate(both, axis=-1), index, axis=0)
            averages[scope] = ops.expand_dims(rows, 0)
        return averages

    def update(self, moments: dict[str, Any], valid: Any = None) -> None:
        """Moves the averages.

        Args:
            moments: of the batch, `(time, 1, 2 * width)` by scope.
            valid: boolean `(time,)`, the steps with a valid sample; the averages of the
                other steps stay as they are. Default: all steps.
        """
        cell = self.cell
        if valid is not None:
            valid = ops.expand_dims(valid[: cell.batch_norm_steps], -1)
        for scope, batch_moments in moments.items():
            batch_moments = ops.stop_gradient(batch_moments[: cell.batch_norm_steps, 0])
            steps = ops.shape(batch_moments)[0]
            for variable, new in zip(
                self._variables(scope), ops.split(batch_moments, 2, axis=-1)
            ):
                old = ops.convert_to_tensor(variable)
                new = ops.cast(new, old.dtype)
                share = cell.batch_norm_momentum
                moved = share * old[:steps] + (1 - share) * new
                if valid is not None:
                    moved = ops.where(valid, moved, old[:steps])
                variable.assign(ops.concatenate([moved, old[steps:]], axis=0))

    def _variables(self, scope: str) -> list[keras.Variable]:
        return [
            getattr(self.cell, f"moving_{moment}_{scope}")
            for moment in ("mean", "variance")
        ]


def _mean(values: Any, weights: Any) -> Any:
    """The mean over the batch, of the samples with a weight."""
    # Not `ops.mean`, which computes float64 in float32 on some backends. And no Python
    # number becomes a tensor: torch would copy it to the GPU at every step.
    if weights is None:
        samples = ops.shape(values)[-2]
        if not isinstance(samples, int):
            samples = ops.cast(samples, values.dtype)
        return ops.sum(values, axis=-2, keepdims=True) / samples
    weights = ops.cast(weights, values.dtype)
    total = ops.sum(weights, axis=-2, keepdims=True)
    total = total + ops.cast(total == 0, total.dtype)
    return ops.sum(values * weights, axis=-2, keepdims=True) / total
