"""Initializers of recurrent kernels, a matrix for each gate."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_rnnx._gates import Recurrent, flat, square
from keras_rnnx._numbers import number
from keras_rnnx._spectral import spectral_radius
from keras_rnnx.initializers.seeds import Seeded, apart


def _joined(blocks: Any, dtype: str | None) -> Any:
    return ops.cast(flat(blocks), dtype or keras.config.floatx())


@keras.saving.register_keras_serializable("keras_rnnx")
class IdentityRecurrent(Recurrent, keras.initializers.Initializer):
    """A multiple of the identity for each gate.

    Keras' "identity" puts it only into the first gate. Le, Jaitly & Hinton 2015,
    arXiv:1504.00941, for one gate.

    Args:
        scale: value of the diagonals. Default 1.0.

    Raises:
        ValueError: for a scale that is not a number, and for any weight but a
            recurrent kernel, `(n, k n)`.

    Example:

    >>> ops.convert_to_numpy(IdentityRecurrent(0.5)((2, 4))).tolist()
    [[0.5, 0.0, 0.5, 0.0], [0.0, 0.5, 0.0, 0.5]]
    """

    def __init__(self, scale: float = 1.0):
        self.scale = number("scale", scale)

    def __call__(self, shape: tuple[int, ...], dtype: str | None = None) -> Any:
        n, gates = square(type(self).__name__, shape)
        block = self.scale * ops.eye(n, dtype="float32")
        return ops.cast(ops.tile(block, (1, gates)), dtype or keras.config.floatx())

    def get_config(self) -> dict[str, Any]:
        return {"scale": self.scale}


@keras.saving.register_keras_serializable(
    "keras_rnnx", name="SpectralRadiusInitializer"
)
class SpectralRadius(Recurrent, Seeded):
    """Random matrices of a given spectral radius, as in echo state networks.

    The largest absolute value of an eigenvalue of each gate's matrix is `radius` (to
    about 1e-3 of it). Jaeger 2001, GMD Report 148.

    Args:
        radius: the spectral radius, positive. Below 1 a network without inputs comes to
            rest, near 1 it does so slowly. Default 0.9.
        initializer: of the matrices before they are scaled, one draw for each gate.
            Its matrices must have an eigenvalue other than 0, or the weights are NaN.
            Default None: normal, by `seed`.
        density: the share of connections, in (0, 1]: each unit keeps this share of its
            incoming ones, at least one, and the others are 0. Default 1.0.
        seed: an integer, a `keras.random.SeedGenerator` or None. Default None: random.

    Raises:
        ValueError: for a number out of range, and for any weight but a recurrent
            kernel, `(n, k n)`.

    Example:

    >>> matrix = SpectralRadius(0.8, density=0.5, seed=1)((6, 6))
    >>> eigenvalues = np.linalg.eigvals(ops.convert_to_numpy(matrix))
    >>> round(float(np.max(np.abs(eigenvalues))), 2)
    0.8
    """

    def __init__(
        self,
        radius: float = 0.9,
        initializer: Any = None,
        density: float = 1.0,
        seed: Any = None,
    ):
        super().__init__(seed)
        self.radius = number("radius", radius)
        self.density = number("density", density)
        if self.radius <= 0:
            raise ValueError(f"`radius` must be positive, received {radius!r}.")
        if not 0 < self.density <= 1:
            raise ValueError(f"`density` must be in (0, 1], received {density!r}.")
        self.initializer = (
            None if initializer is None else keras.initializers.get(initializer)
        )

    def __call__(self, shape: tuple[int, ...], dtype: str | None = None) -> Any:
        n, gates = square(type(self).__name__, shape)
        if self.initializer is None:
            blocks = keras.random.normal((gates, n, n), dtype="float32", seed=self.seed)
        else:
            drawing = apart(self.initializer, gates)
            blocks = ops.stack([draw((n, n), dtype="float32") for draw in drawing])
        if self.density < 1:
            blocks = blocks * self._connections(gates, n)
        scale = self.radius / spectral_radius(blocks, doublings=20)
        return _joined(blocks * ops.reshape(scale, (-1, 1, 1)), dtype)

    def _connections(self, gates: int, n: int) -> Any:
        # Equally many for each unit: then there is a cycle, so that not all eigenvalues
        # are 0.
        kept = max(1, round(self.density * n))
        scores = keras.random.uniform((gates, n, n), dtype="float32", seed=self.seed)
        bound = ops.sort(scores, axis=1)[:, kept - 1 : kept]
        return ops.cast(scores <= bound, "float32")

    def get_config(self) -> dict[str, Any]:
        initializer = self.initializer
        return {
            "radius": self.radius,
            "initializer": initializer and keras.initializers.serialize(initializer),
            "density": self.density,
            **super().get_config(),
        }


@keras.saving.register_keras_serializable("keras_rnnx")
class Antisymmetric(Recurrent, Seeded):
    """Antisymmetric matrices with a little damping: `V - Vᵀ - gamma I` for each gate.

    `V` is normal with variance `scale ** 2 / n`. All eigenvalues have the real part
    `-gamma`, so that a flow along this field neither explodes nor forgets fast. Chang,
    Chen, Haber & Chi 2019, arXiv:1902.09689.

    Args:
        scale: standard deviation of the entries of `V`, times `sqrt(n)`. Default 1.0.
        gamma: the damping, at least 0. Default 0.01.
        seed: an integer, a `keras.random.SeedGenerator` or None. Default None: random.

    Raises:
        ValueError: for a number out of range, and for any weight but a recurrent
            kernel, `(n, k n)`.

    Example:

    >>> matrix = ops.convert_to_numpy(Antisymmetric(gamma=0.25, seed=1)((4, 4)))
    >>> np.allclose(matrix + matrix.T, -0.5 * np.eye(4))
    True
    """

    def __init__(self, scale: float = 1.0, gamma: float = 0.01, seed: Any = None):
        super().__init__(seed)
        self.scale = number("scale", scale)
        self.gamma = number("gamma", gamma)
        for name, value in (("scale", scale), ("gamma", gamma)):
            if value < 0:
                raise ValueError(f"`{name}` must not be negative, received {value!r}.")

    def __call__(self, shape: tuple[int, ...], dtype: str | None = None) -> Any:
        n, gates = square(type(self).__name__, shape)
        random = keras.random.normal((gates, n, n), dtype="float32", seed=self.seed)
        v = random * (self.scale / n**0.5)
        damping = self.gamma * ops.eye(n, dtype="float32")
        return _joined(v - ops.transpose(v, (0, 2, 1)) - damping, dtype)

    def get_config(self) -> dict[str, Any]:
        return {"scale": self.scale, "gamma": self.gamma, **super().get_config()}
