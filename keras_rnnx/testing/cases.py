"""The cases the conformance suite crosses a cell with."""

from __future__ import annotations

from dataclasses import dataclass, field

import keras
import numpy as np


@dataclass(frozen=True)
class Case:
    """One way to run a layer.

    Attributes:
        name: its name in the message of a failure.
        mask: "none", "right" (padding at the end), "left", "holes" (any pattern, with
            an empty row if the batch has more than one).
        dtype: dtype policy.
        training: whether the layer is called in training.
        arguments: arguments of the cell.
        batch, steps, features: sizes, odd and unequal on purpose.
        loop: arguments of the layer.
    """

    name: str
    mask: str = "none"
    dtype: str = "float32"
    training: bool = False
    arguments: dict = field(default_factory=dict)
    batch: int = 3
    steps: int = 6
    features: int = 5
    return_sequences: bool = True
    go_backwards: bool = False
    unroll: bool = False
    zero_output_for_mask: bool = False
    checkpoint: bool | int | None = None

    @property
    def loop(self) -> dict[str, bool | int | None]:
        """Arguments for the layer."""
        return {
            "return_sequences": self.return_sequences,
            "go_backwards": self.go_backwards,
            "unroll": self.unroll,
            "zero_output_for_mask": self.zero_output_for_mask,
            "checkpoint": self.checkpoint,
            "return_state": True,
        }

    @property
    def tolerance(self) -> float:
        """Largest error allowed, relative to the largest value."""
        # On JAX, Keras' activations compute float64 in float32.
        double = 1e-6 if keras.backend.backend() == "jax" else 1e-10
        return {"float32": 1e-5, "float64": double}.get(self.dtype, 3e-2)

    def make_mask(self, rng: np.random.Generator) -> np.ndarray | None:
        """The mask, `(batch, steps)`."""
        if self.mask == "none":
            return None
        if self.mask == "holes":
            mask = rng.random((self.batch, self.steps)) < 0.6
            mask[0] = [t % 3 != 0 for t in range(self.steps)]
            if self.batch > 1:
                mask[-1] = False
            return mask
        lengths: np.ndarray = 1 + np.arange(self.batch) % self.steps
        mask = np.arange(self.steps) < lengths[:, None]
        return mask if self.mask == "right" else mask[:, ::-1].copy()


# Every pair of settings that could interact meets in some case.
CASES = (
    Case("training", training=True),
    Case("last output, float64", dtype="float64", return_sequences=False),
    Case(
        "right padding, zero output, training, float64",
        mask="right",
        dtype="float64",
        training=True,
        zero_output_for_mask=True,
    ),
    Case("holes, backwards", mask="holes", go_backwards=True),
    Case(
        "left padding, last output, backwards, float64",
        mask="left",
        dtype="float64",
        return_sequences=False,
        go_backwards=True,
    ),
    Case(
        "holes, unrolled, last output, float64",
        mask="holes",
        dtype="float64",
        unroll=True,
        return_sequences=False,
        # Few steps, since the compiler sees every unrolled step.
        steps=4,
    ),
    Case(
        "dropout, holes, zero output",
        mask="holes",
        training=True,
        arguments={"dropout": 0.4, "recurrent_dropout": 0.4, "weight_dropout": 0.3},
        zero_output_for_mask=True,
        return_sequences=False,
    ),
    Case(
        "masks of every step, zoneout, float64",
        training=True,
        arguments={
            "dropout": 0.4,
            "recurrent_dropout": 0.4,
            "dropout_mask": "step",
            "zoneout": 0.3,
            "input_weight_dropout": 0.3,
        },
        dtype="float64",
        steps=4,
    ),
    Case(
        "checkpoint, holes, backwards, float64",
        mask="holes",
        dtype="float64",
        training=True,
        go_backwards=True,
        checkpoint=4,
    ),
    Case("one sample, one step", batch=1, steps=1, features=1, mask="right"),
    Case("two steps, unrolled, backwards", steps=2, unroll=True, go_backwards=True),
    Case("mixed_bfloat16", dtype="mixed_bfloat16", mask="right"),
    Case("mixed_float16", dtype="mixed_float16"),
)
