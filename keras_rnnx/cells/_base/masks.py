"""The random masks that regularize a cell."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

# Arguments that are rates of masks, and the mask each one draws.
MASKS = {
    "dropout": "inputs",
    "recurrent_dropout": "recurrent",
    "update_dropout": "update",
    "input_weight_dropout": "kernel",
    "weight_dropout": "recurrent_kernel",
}
WEIGHTS = ("kernel", "recurrent_kernel")


def stream_seed(seed: int, stream: int) -> int:
    """The seed of one of many streams of random numbers.

    On torch, Keras adds a seed and the number of draws: near seeds give the same
    numbers some draws later.
    """
    return int(np.random.SeedSequence([seed, stream]).generate_state(1)[0]) >> 1


class Noise:
    """The masks that one call of a cell over sequences draws.

    By name, with `time` only where a mask is drawn for every step:

    - "inputs" `(batch, [time,] features)` multiplies the inputs,
    - "recurrent" `(batch, [time,] width)` what the recurrent kernel multiplies, as
      wide as the output,
    - "update" `(batch, [time,] units)` what is written anew to the state,
    - "zoneout h" `(batch, time, width)`, for each state: True keeps its old value,
    - "kernel" and "recurrent_kernel" multiply the weight of that name.

    Args:
        cell: the cell, with its arguments set.
    """

    def __init__(self, cell: Any):
        self.cell = cell
        found = [mask for rate, mask in MASKS.items() if getattr(cell, rate)]
        self.weights = tuple(m for m in found if m in WEIGHTS)
        dropped = tuple(m for m in found if m not in WEIGHTS)
        zoned = tuple(
            f"zoneout {state}"
            for state, rate in zip(cell.states, cell.zoneout_rates)
            if rate
        )
        each_step = cell.dropout_mask == "step"
        self.by_sequence = () if each_step else dropped
        self.by_step = (dropped if each_step else ()) + zoned
        self.names = (*self.weights, *self.by_sequence, *self.by_step)
        self.reseed(0)

    def reseed(self, stream: int) -> None:
        """Draws from another stream of random numbers of the same seed."""
        if self.cell.seed is not None:
            seed = stream_seed(self.cell.seed, stream)
            # In place: a cell that is built takes no new generator.
            self.cell.seed_generator.state.assign(np.array([seed, 0], "uint32"))

    def on(self, training: Any) -> bool:
        """Whether a call draws masks."""
        return bool(self.names) and bool(training or self.cell.monte_carlo)

    def draw(self, batch: Any, steps: Any) -> dict[str, Any]:
        """Draws all masks of a call.

        Args:
            batch, steps: number of sequences and of their steps.

        Returns:
            The masks by name.
        """
        return {name: self._draw(name, batch, steps) for name in self.names}

    def _draw(self, name, batch, steps):
        cell = self.cell
        if name.startswith("zoneout"):
            rate = cell.zoneout_rates[cell.states.index(name.split()[1])]
            return self._uniform((batch, steps, self._width(name))) < rate
        rate = next(getattr(cell, r) for r, mask in MASKS.items() if mask == name)
        if name in WEIGHTS:
            shape = tuple(getattr(cell, name).shape)
        else:
            width = self._width(name)
            shape = (batch, steps, width) if name in self.by_step else (batch, width)
        # Twice as fast on torch as `keras.random.dropout` of ones.
        kept = ops.cast(self._uniform(shape) >= rate, cell.compute_dtype)
        return kept * (1 / (1 - rate))

    @property
    def _features(self):
        return self.cell.kernel.shape[0] // self.cell.window

    def _width(self, name):
        """Width of a mask on inputs, states or what is written to them."""
        if name.startswith("zoneout"):
            return self.cell.state_widths[name.split()[1]]
        others = {"inputs": self._features, "recurrent": self.cell.output_size}
        return others.get(name, self.cell.units)

    def _uniform(self, shape):
        seed = self.cell.seed_generator
        return keras.random.uniform(shape, dtype="float32", seed=seed)

    def beside(self, sequences: Any, drawn: dict[str, Any]) -> Any:
        """The inputs with the masks of every step behind their features.

        For Keras' loop, which takes one tensor.
        """
        masks = [ops.cast(drawn[name], sequences.dtype) for name in self.by_step]
        return ops.concatenate([sequences, *masks], axis=-1) if masks else sequences

    def apart(self, inputs: Any) -> tuple[Any, dict[str, Any]]:
        """The reverse of `beside`, for one step."""
        at = self._features
        x, found = inputs[..., :at], {}
        for name in self.by_step:
            stop = at + self._width(name)
            mask = inputs[..., at:stop]
            found[name] = mask > 0.5 if name.startswith("zoneout") else mask
            at = stop
        return x, found

    def refusal(self, training: Any) -> str | None:
        """Why no vendor's kernel can run the cell with these masks, or None.

        Kernels take weights and inputs, so that masks on those need nothing of them.
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
