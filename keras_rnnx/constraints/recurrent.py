"""Constraints on the recurrent matrix of each gate."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_rnnx import _gates
from keras_rnnx._numbers import number
from keras_rnnx._spectral import spectral_radius

# Tiny singular values grow by half in each step. So many steps raise the smallest ones
# that float32 can hold to 1.
STEPS = 60
# Distances from an orthogonal matrix: below the first, each step squares the distance;
# below the second, one more step leaves only rounding errors.
NEAR, DONE = 0.5, 5e-4


@keras.saving.register_keras_serializable("keras_rnnx")
class Orthogonal(_gates.Recurrent, keras.constraints.Constraint):
    """Keeps the recurrent matrix of each gate orthogonal.

    After each update it replaces every block by the nearest orthogonal matrix, the
    polar factor `U Vᵀ` of the singular value decomposition `U S Vᵀ`. It does not change
    the initial weights: `keras_rnnx.initializers.PerGate("orthogonal")` makes them
    orthogonal.

    It uses the Newton-Schulz iteration (Björck & Bowie 1971; Higham 2008, Functions of
    Matrices, chapter 8), which needs only products of matrices, so that it runs inside
    of compiled programs. Near an orthogonal matrix it takes three to seven products. If
    a block is singular, several orthogonal matrices are nearest; it takes one of them.

    Raises:
        ValueError: for any weight but a recurrent kernel, `(n, k n)`.

    Example:

    >>> matrix = ops.convert_to_numpy(Orthogonal()(2 * ops.eye(3)))
    >>> np.allclose(matrix, np.eye(3), atol=1e-6)
    True
    """

    def __call__(self, w: Any) -> Any:
        w = ops.convert_to_tensor(w)
        n, gates = _gates.square(type(self).__name__, w.shape)
        blocks = _gates.stacked(_gates.full(w), gates)
        polar, regular = _polar(blocks)
        polar = ops.cond(regular, lambda: polar, lambda: _polar(_completed(polar))[0])
        return ops.cast(_gates.flat(polar), w.dtype)


def _transposed(blocks: Any) -> Any:
    return ops.transpose(blocks, (0, 2, 1))


def _gram(blocks: Any) -> Any:
    return _transposed(blocks) @ blocks


def _away(gram: Any) -> Any:
    """The distance from an orthogonal matrix: the norm of `Xᵀ X - I`."""
    off = gram - ops.eye(gram.shape[-1], dtype=gram.dtype)
    return ops.sqrt(ops.max(ops.sum(off * off, axis=(1, 2))))


def _polar(blocks: Any) -> tuple[Any, Any]:
    """The blocks with all singular values but zeros set to 1; whether none is 0."""
    rows = ops.max(ops.sum(ops.abs(blocks), axis=2), axis=1)
    columns = ops.max(ops.sum(ops.abs(blocks), axis=1), axis=1)
    # An upper bound of the singular values. Square roots first, to avoid overflow.
    bound = ops.maximum(ops.sqrt(rows) * ops.sqrt(columns), 1e-30)
    scaled = blocks / ops.reshape(bound, (-1, 1, 1))
    # After an update the matrix is usually near enough without scaling.
    x = ops.where(_away(_gram(blocks)) < NEAR, blocks, scaled)

    def step(x: Any, gram: Any) -> Any:
        return 1.5 * x - 0.5 * x @ gram

    def onwards(k: Any, x: Any, gram: Any) -> tuple[Any, Any, Any]:
        x = step(x, gram)
        return k + 1, x, _gram(x)

    # The distance that is due to rounding grows with the matrix.
    done = max(DONE, 1e-6 * blocks.shape[-1])
    _, x, gram = ops.while_loop(
        lambda k, x, gram: ops.logical_and(k < STEPS, _away(gram) > done),
        onwards,
        (ops.zeros((), dtype="int32"), x, _gram(x)),
    )
    return step(x, gram), _away(gram) < NEAR


def _completed(x: Any) -> Any:
    """`x` with its singular values of 0 replaced by others."""
    n = x.shape[-1]
    eye = ops.eye(n, dtype=x.dtype)
    # The noise makes sure that the product of both projections has full rank.
    noise = np.random.default_rng(0).normal(size=(n, n)) * 0.1 / n**0.5
    link = eye + ops.convert_to_tensor(noise, dtype=x.dtype)
    left, right = eye - x @ _transposed(x), eye - _transposed(x) @ x
    return x + left @ link @ right


@keras.saving.register_keras_serializable("keras_rnnx", name="SpectralRadiusConstraint")
class SpectralRadius(_gates.Recurrent, keras.constraints.Constraint):
    """Keeps the spectral radius of the recurrent matrix of each gate within a bound.

    After each update it scales blocks with a larger spectral radius down; others stay
    as they are. The radius is computed by Gelfand's formula, with fourteen matrix
    products for each gate. It is never underestimated, and overestimated by about 5 in
    10,000 at most. Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063, explain what the
    radius means for gradients.

    Args:
        radius: the largest spectral radius allowed, positive. Default 1.0.

    Raises:
        ValueError: for a radius out of range, and for any weight but a recurrent
            kernel, `(n, k n)`.

    Example:

    >>> matrix = SpectralRadius(0.5)(np.diag([2.0, -1.0]).astype("float32"))
    >>> np.round(ops.convert_to_numpy(matrix), 3).tolist()
    [[0.5, 0.0], [0.0, -0.25]]
    """

    def __init__(self, radius: float = 1.0):
        self.radius = number("radius", radius)
        if self.radius <= 0:
            raise ValueError(f"`radius` must be positive, received {radius!r}.")

    def __call__(self, w: Any) -> Any:
        w = ops.convert_to_tensor(w)
        n, gates = _gates.square(type(self).__name__, w.shape)
        blocks = _gates.stacked(_gates.full(w), gates)
        scale = self.radius / ops.maximum(spectral_radius(blocks), self.radius)
        blocks = blocks * ops.reshape(scale, (-1, 1, 1))
        return ops.cast(_gates.flat(blocks), w.dtype)

    def get_config(self) -> dict[str, Any]:
        return {"radius": self.radius}
