"""The random masks that regularize a cell."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_rnnx.cells._base.tensors import DrawnMasks

# Arguments that are rates of masks, and what each mask multiplies.
RATES = {
    "dropout": "inputs",
    "recurrent_dropout": "recurrent",
    "update_dropout": "update",
    "input_weight_dropout": "kernel",
    "weight_dropout": "recurrent_kernel",
}
WEIGHTS = ("kernel", "recurrent_kernel")


def stream_seed(seed: int, stream: int) -> int:
    """The seed of one of many streams of random numbers.

    On torch, Keras adds the number of draws to the seed, so that similar seeds would
    give the same numbers some draws later.
    """
    return int(np.random.SeedSequence([seed, stream]).generate_state(1)[0]) >> 1


@dataclasses.dataclass(frozen=True)
class Mask:
    """One random mask of a cell.

    Attributes:
        kind: what it multiplies: "inputs", "recurrent" (the vector that the recurrent
            kernel multiplies), "update" (the new content of the state), "kernel" or
            "recurrent_kernel"; or "zoneout", which is True where a state keeps its
            value.
        rate: the share of values that is dropped, or that zoneout keeps.
        by_step: whether it is drawn for every step.
        state: the state that zoneout keeps, else None.
    """

    kind: str
    rate: float
    by_step: bool
    state: str | None = None

    @property
    def label(self) -> str:
        """Its kind, with the state of zoneout."""
        return self.kind if self.state is None else f"{self.kind} {self.state}"


class RandomMasks:
    """The masks that one call of a cell over sequences draws.

    Args:
        cell: the cell, with its arguments set.

    Attributes:
        masks: all masks, in the order in which they are drawn.
        by_step: the masks among them that are drawn for every step.
    """

    def __init__(self, cell: Any):
        self.cell = cell
        each_step = cell.dropout_mask == "step"
        dropped = [
            Mask(kind, getattr(cell, rate), each_step and kind not in WEIGHTS)
            for rate, kind in RATES.items()
            if getattr(cell, rate)
        ]
        # Masks of weights first, then masks of a sequence, then masks of every step.
        dropped.sort(key=lambda mask: (mask.kind not in WEIGHTS, mask.by_step))
        zoned = [
            Mask("zoneout", rate, True, state)
            for state, rate in zip(cell.states, cell.zoneout_rates)
            if rate
        ]
        self.masks = (*dropped, *zoned)
        self.by_step = tuple(mask for mask in self.masks if mask.by_step)
        self.reseed(0)

    def reseed(self, stream: int) -> None:
        """Draws from another stream of random numbers of the same seed."""
        if self.cell.seed is not None:
            seed = stream_seed(self.cell.seed, stream)
            # In place: a cell that is built takes no new generator.
            self.cell.seed_generator.state.assign(np.array([seed, 0], "uint32"))

    def on(self, training: Any) -> bool:
        """Whether a call draws masks."""
        return bool(self.masks) and bool(training or self.cell.monte_carlo)

    def draw(self, batch: Any, steps: Any) -> DrawnMasks:
        """Draws all masks of a call.

        Args:
            batch, steps: number of sequences and of their steps.
        """
        drawn = DrawnMasks()
        for mask in self.masks:
            self._keep(drawn, mask, self._draw(mask, batch, steps))
        return drawn

    @staticmethod
    def _keep(drawn: DrawnMasks, mask: Mask, values: Any) -> None:
        """Stores the values of a mask in its field of `drawn`."""
        context = drawn.by_step if mask.by_step else drawn.whole
        if mask.kind in WEIGHTS:
            drawn.weights[mask.kind] = values
        elif mask.kind == "inputs":
            drawn.inputs = values
        elif mask.kind == "zoneout":
            context.zoneout[mask.state] = values  # type: ignore[index]
        else:
            setattr(context, mask.kind, values)

    @staticmethod
    def _held(drawn: DrawnMasks, mask: Mask) -> Any:
        """The values of a mask that is drawn for every step."""
        if mask.kind == "inputs":
            return drawn.inputs
        if mask.kind == "zoneout":
            return drawn.by_step.zoneout[mask.state]  # type: ignore[index]
        return getattr(drawn.by_step, mask.kind)

    def _draw(self, mask: Mask, batch: Any, steps: Any) -> Any:
        cell = self.cell
        if mask.kind in WEIGHTS:
            shape = tuple(getattr(cell, mask.kind).shape)
        else:
            width = self._width(mask)
            shape = (batch, steps, width) if mask.by_step else (batch, width)
        uniform = keras.random.uniform(shape, dtype="float32", seed=cell.seed_generator)
        if mask.kind == "zoneout":
            return uniform < mask.rate
        # Twice as fast on torch as `keras.random.dropout` of ones.
        return ops.cast(uniform >= mask.rate, cell.compute_dtype) * (
            1 / (1 - mask.rate)
        )

    @property
    def _features(self) -> int:
        return self.cell.kernel.shape[0] // self.cell.window

    def _width(self, mask: Mask) -> int:
        """Width of a mask on inputs, states or what is written to them."""
        if mask.kind == "zoneout":
            return self.cell.state_widths[mask.state]
        others = {"inputs": self._features, "recurrent": self.cell.output_size}
        return others.get(mask.kind, self.cell.units)

    def joined(self, sequences: Any, drawn: DrawnMasks) -> Any:
        """The inputs, with the masks of every step appended to their features.

        Keras' loop takes a single tensor.

        Args:
            sequences: inputs, `(batch, time, features)`.
            drawn: what `draw` returned.
        """
        masks = [
            ops.cast(self._held(drawn, mask), sequences.dtype) for mask in self.by_step
        ]
        return ops.concatenate([sequences, *masks], axis=-1) if masks else sequences

    def parted(self, inputs: Any) -> tuple[Any, DrawnMasks]:
        """The reverse of `joined`, for one step.

        Args:
            inputs: `(batch, features and widths of the masks)`.
        """
        at, drawn = self._features, DrawnMasks()
        x = inputs[..., :at]
        for mask in self.by_step:
            stop = at + self._width(mask)
            values = inputs[..., at:stop]
            self._keep(drawn, mask, values > 0.5 if mask.kind == "zoneout" else values)
            at = stop
        return x, drawn

    def draw_step(self, batch: Any) -> DrawnMasks:
        """Draws the masks that are drawn anew for every step, for one step.

        Args:
            batch: number of sequences.
        """
        drawn, of_step = self.draw(batch, 1), DrawnMasks()
        for mask in self.by_step:
            self._keep(of_step, mask, self._held(drawn, mask)[:, 0])
        return of_step

    def refusal(self, training: Any) -> str | None:
        """Why no vendor's kernel can run the cell with these masks, or None.

        Masks on weights and inputs are applied before the kernel, so any kernel runs
        with them.
        """
        if not self.on(training):
            return None
        cell = self.cell
        each = "step" if cell.dropout_mask == "step" else "sample"
        if cell.recurrent_dropout:
            return (
                f"recurrent_dropout={cell.recurrent_dropout} draws a mask per {each} "
                f"for the state; weight_dropout would keep the kernel"
            )
        if cell.update_dropout:
            return (
                f"update_dropout={cell.update_dropout} draws a mask per {each} for "
                f"what is written to the state"
            )
        if any(cell.zoneout_rates):
            return f"zoneout={cell.zoneout} keeps values of the state at random"
        return None
