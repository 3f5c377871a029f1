"""Cells with a complex state."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from keras_rnnx._gates import known_steps
from keras_rnnx._numbers import number
from keras_rnnx.cells._base.cell import Cell
from keras_rnnx.cells._base.default_initializers import per_gate, scaled
from keras_rnnx.cells._base.reference import Reference
from keras_rnnx.cells._base.values import State
from keras_rnnx.cells.ranges import Log, Uniform
from keras_rnnx.cells.registry import register


def _normal(scale):
    return scaled(scale, "untruncated_normal")


def ring_of_length(steps: int) -> tuple[float, float]:
    """Bounds of `|a|` with which states fade over a fifth of a sequence to 20 of them.

    Args:
        steps: number of steps of a sequence. From 50,000 on the bounds stay the same,
            since float32 can hardly tell a radius that is nearer to 1 from 1.
    """
    steps = min(steps, 50_000)
    return max(0.0, 1 - 5 / steps), 1 - 0.05 / steps


@register(name="lru")
class LRUCell(Cell):
    """Linear recurrent unit: complex, diagonal and stable.

    `s' = a s + gamma B x`, `h' = Re(C s') + D x + b` with
    `a = exp(-exp(nu) + i exp(theta))` and `gamma = sqrt(1 - |a|^2)`, for a complex
    state `s = re + i im`. In the paper `gamma` is a weight that starts there. `a`
    starts in a ring of the unit circle. `B` and `D` are blocks of `kernel`; `C` is
    `recurrent_kernel`, which here does not enter the recurrence.
    Orvieto et al. 2023, arXiv:2303.06349.

    Args:
        units: number of units, and of complex states.
        radius_min, radius_max: bounds of `|a|` at the start, in [0, 1). Default 0.9 and
            0.999, with which states fade over 10 to 1,000 steps. None: `1 - 5 / T` and
            `1 - 0.05 / T`, for the length T of the sequences that the layer is built
            with.
        phase_max: largest angle of `a` at the start, positive. Default 6.283.
        kernel_initializer: of `kernel`. Default normal with a variance over the number
            of features of 0.5 for `B`, real and imaginary part, and of 1 for `D`.
        recurrent_initializer: of `C`. Default normal with variance `1 / units`.
        **kwargs: the arguments of `Cell`.

    Raises:
        ValueError: for a number out of range; for None, if the length is not known.

    Example:

    >>> keras_rnnx.layers.RNN(LRUCell(4))(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    states = ("h", "re", "im")
    gates = ("re", "im", "d", "c_re", "c_im")
    inputs_only = ("re", "im", "d")
    states_only = late = ("c_re", "c_im")
    biases = ("d",)
    linear = (("re", "im"),)
    linear_outputs = True
    vectors = {"real": None, "imaginary": None, "gamma": None}
    options = {
        "kernel_initializer": per_gate(re=_normal(0.5), im=_normal(0.5), d=_normal(1)),
        "recurrent_initializer": _normal(1),
        "radius_min": 0.9,
        "radius_max": 0.999,
        "phase_max": 6.283,
    }
    search = {"radius_min": Uniform(0.0, 0.99), "phase_max": Log(0.05, 6.283)}
    recipes = ("ring",)
    paper = Reference("Orvieto et al.", 2023, "2303.06349")
    use = (
        "For very long sequences, of thousands of steps: a scan over time "
        'computes it, and recipe="ring" starts it with a memory as long as they are. '
        "It is linear, and so are layers of it on top of each other: a Stack with "
        'connection="glu" puts a gated linear unit between one and the next.'
    )

    def update(self, state, gate, vector):
        re = vector.real * state.re - vector.imaginary * state.im
        im = vector.real * state.im + vector.imaginary * state.re
        re = re + vector.gamma * gate.drop(gate.re)
        im = im + vector.gamma * gate.drop(gate.im)
        return State(h=gate.u.c_re(re) - gate.u.c_im(im) + gate.d, re=re, im=im)

    def configure(self):
        self.phase_max = number("phase_max", self.phase_max)
        for name in ("radius_min", "radius_max"):
            if getattr(self, name) is not None:
                setattr(self, name, number(name, getattr(self, name)))
        low = 0 if self.radius_min is None else self.radius_min
        high = 1 if self.radius_max is None else self.radius_max
        if not 0 <= low < high <= 1 or self.radius_max == 1 or self.phase_max <= 0:
            raise self._no_ring(self.radius_min, self.radius_max)

    def _no_ring(self, low, high):
        return ValueError(
            f"The ring needs 0 <= radius_min < radius_max < 1 and phase_max > 0, "
            f"received radius_min={low}, radius_max={high}, phase_max={self.phase_max}."
        )

    def ring(self) -> tuple[float, float]:
        """Bounds of `|a|` at the start, once the length of the sequences is known."""
        low, high = self.radius_min, self.radius_max
        if low is None or high is None:
            steps = known_steps(
                self, "A ring with a bound of None", "radius_min and radius_max"
            )
            lowest, highest = ring_of_length(steps)
            low = lowest if low is None else low
            high = highest if high is None else high
        if not low < high:
            raise self._no_ring(low, high)
        return low, high

    def build_vector(self, name):
        if name == "real":
            self.nu = self.add_weight(
                shape=(self.units,), name="nu", initializer=self._first_nu
            )
        elif name == "imaginary":
            self.theta = self.add_weight(
                shape=(self.units,), name="theta", initializer=self._first_theta
            )

    def _first_nu(self, shape, dtype=None):
        low, high = self.ring()
        square = keras.random.uniform(
            shape, low**2, high**2, dtype="float32", seed=self.seed_generator
        )
        return ops.cast(ops.log(-0.5 * ops.log(square + 1e-8)), dtype)

    def _first_theta(self, shape, dtype=None):
        phase = keras.random.uniform(
            shape, 0, self.phase_max, dtype="float32", seed=self.seed_generator
        )
        return ops.cast(ops.log(phase + float(np.finfo("float32").tiny)), dtype)

    def coefficients(self):
        nu, theta = (ops.convert_to_tensor(v) for v in (self.nu, self.theta))
        rate, phase = ops.exp(nu), ops.exp(theta)
        radius = ops.exp(-rate)
        return {
            "real": radius * ops.cos(phase),
            "imaginary": radius * ops.sin(phase),
            # 1 - radius^2, written so that it is exact where the radius is near 1.
            "gamma": (ops.tanh(rate) * (1 + radius**2)) ** 0.5,
        }
