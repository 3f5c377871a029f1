"""Batch normalization inside of a recurrent cell."""

from __future__ import annotations

from typing import Any

from keras import ops

from keras_rnnx.cells._base.normalization.base import EPSILON, Normalization, exact


class BatchNormalization(Normalization):
    """Normalizes each unit over the batch, with moments of its own at each step.

    In training the moments are those of the valid samples of the batch at that step;
    moving averages of them serve at inference. Steps behind the last one that has
    averages of its own share that one's. Cooijmans, Ballas, Laurent, Gulcehre &
    Courville 2017, arXiv:1603.09025.
    """

    argument = "batch_norm"
    scale = 0.1
    notes_moments = True

    def build(self, states):
        super().build(states)
        cell = self.cell
        if cell.batch_norm_steps is None:
            cell.batch_norm_steps = cell.sequence_length
        if cell.batch_norm_steps is None:
            raise ValueError(
                f"batch_norm=True keeps moving averages for every step, and "
                f"{type(cell).__name__} was built without a known number of steps: "
                f"pass batch_norm_steps, the number of steps with averages of their "
                f"own."
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

    def standardized(self, parts, scope, context):
        # Side by side they are one operation where they would be one for each gate.
        values = exact(ops.concatenate(list(parts.values()), axis=-1))
        mean, variance = self._moments(values, list(parts), scope, context)
        # The operator, since `ops.rsqrt` computes float64 in float32 on some backends.
        values = (values - mean) * (variance + EPSILON) ** -0.5
        blocks = ops.split(values, len(parts), axis=-1)
        return {k: ops.cast(v, parts[k].dtype) for k, v in zip(parts, blocks)}

    def _moments(self, values, names, scope, context):
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

    def _moving(self, moving, names, scope):
        known = ["state"] if scope == "state" else list(self.cell.layout.input_gates)
        if names == known:
            return ops.split(moving, 2, axis=-1)
        blocks = ops.split(moving, 2 * len(known), axis=-1)
        means = dict(zip(known, blocks))
        variances = dict(zip(known, blocks[len(known) :]))
        return [
            ops.concatenate([found[k] for k in names], axis=-1)
            for found in (means, variances)
        ]

    def gathered(self, noted: dict[str, dict], scopes: tuple[str, ...]) -> list[Any]:
        """What was noted, `(..., 1, 2 * width)` for each scope, in order."""
        found = []
        for scope in scopes:
            names = ["state"] if scope == "state" else self.cell.layout.input_gates
            moments = [noted[scope][k] for k in names]
            flat = [moment for which in zip(*moments) for moment in which]
            found.append(ops.concatenate(flat, axis=-1))
        return found

    def moving(self, steps: Any) -> dict[str, Any]:
        """By scope the moving averages of `steps` steps, `(1, time, 2 * width)`."""
        last = self.cell.batch_norm_steps - 1
        index = ops.minimum(ops.arange(steps), last)
        found = {}
        for scope in self.scopes:
            both = [ops.convert_to_tensor(v) for v in self._variables(scope)]
            rows = ops.take(ops.concatenate(both, axis=-1), index, axis=0)
            found[scope] = ops.expand_dims(rows, 0)
        return found

    def update(self, moments: dict[str, Any], valid: Any = None) -> None:
        """Moves the averages.

        Args:
            moments: of the batch, `(time, 1, 2 * width)` by scope.
            valid: boolean `(time,)`, the steps at which there is a valid sample; at the
                others averages stay as they are. Default: all of them.
        """
        cell = self.cell
        if valid is not None:
            valid = ops.expand_dims(valid[: cell.batch_norm_steps], -1)
        for scope, found in moments.items():
            found = ops.stop_gradient(found[: cell.batch_norm_steps, 0])
            steps = ops.shape(found)[0]
            for variable, new in zip(
                self._variables(scope), ops.split(found, 2, axis=-1)
            ):
                old = ops.convert_to_tensor(variable)
                new = ops.cast(new, old.dtype)
                share = cell.batch_norm_momentum
                moved = share * old[:steps] + (1 - share) * new
                if valid is not None:
                    moved = ops.where(valid, moved, old[:steps])
                variable.assign(ops.concatenate([moved, old[steps:]], axis=0))

    def _variables(self, scope):
        return [
            getattr(self.cell, f"moving_{moment}_{scope}")
            for moment in ("mean", "variance")
        ]


def _mean(values, weights):
    """Over the batch; of the samples with a weight."""
    # Not `ops.mean`, which computes float64 in float32 on some backends; and with no
    # number made a tensor, which torch would take to the GPU at every step.
    if weights is None:
        samples = ops.shape(values)[-2]
        if not isinstance(samples, int):
            samples = ops.cast(samples, values.dtype)
        return ops.sum(values, axis=-2, keepdims=True) / samples
    weights = ops.cast(weights, values.dtype)
    total = ops.sum(weights, axis=-2, keepdims=True)
    total = total + ops.cast(total == 0, total.dtype)
    return ops.sum(values * weights, axis=-2, keepdims=True) / total
