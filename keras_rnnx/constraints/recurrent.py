"""Constraints on the recurrent matrix of each gate."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_rnnx import _gates
from keras_rnnx._numbers import number
from keras_rnnx._spectral import spectral_radius

# Tiny singular values grow by half in each step: from what float32 can hold to 1.
STEPS = 60
# How far from orthogonal a matrix may be for the iteration to square the distance in
# each step, and from where on one more step leaves nothing but rounding.
NEAR, DONE = 0.5, 5e-4


@keras.saving.register_keras_serializable("keras_rnnx")
class Orthogonal(_gates.Recurrent, keras.constraints.Constraint):
    """Keeps the recurrent matrix of each gate orthogonal.

    After each update every block is replaced by the nearest orthogonal matrix, its
    polar factor `U Vᵀ` of the singular value decomposition `U S Vᵀ`. Initial weights
    are not touched: `keras_rnnx.initializers.PerGate("orthogonal")` starts there.

    It is computed by the Newton-Schulz iteration (Björck & Bowie 1971; Higham 2008,
    Functions of Matrices, chapter 8), with products of matrices alone, and so inside of
    compiled programs; near an orthogonal matrix it takes three to seven products. Where
    a block is singular many are nearest, and one of them is taken.

    Raises:
        ValueError: for any weight but a recurrent kernel, `(n, k n)`.

    Example:

    >>> matrix = ops.convert_to_numpy(Orthogonal()(2 * ops.eye(3)))
    >>> np.allclose(matrix, np.eye(3), atol=1e-6)
    True
    """

    def __call__(self, w):
        w = ops.convert_to_tensor(w)
        n, gates = _gates.square(type(self).__name__, w.shape)
        blocks = _gates.stacked(_gates.full(w), gates)
        found, regular = _polar(blocks)
        found = ops.cond(regular, lambda: found, lambda: _polar(_completed(found))[0])
        return ops.cast(_gates.flat(found), w.dtype)


def _transposed(blocks):
    return ops.transpose(blocks, (0, 2, 1))


def _gram(blocks):
    return _transposed(blocks) @ blocks


def _away(gram):
    """How far from orthogonal, the norm of `Xᵀ X - I`."""
    off = gram - ops.eye(gram.shape[-1], dtype=gram.dtype)
    return ops.sqrt(ops.max(ops.sum(off * off, axis=(1, 2))))


def _polar(blocks):
    """Singular values made 1, but 0 where they are 0; and whether there are none."""
    rows = ops.max(ops.sum(ops.abs(blocks), axis=2), axis=1)
    columns = ops.max(ops.sum(ops.abs(blocks), axis=1), axis=1)
    # No singular value is larger than this. Square roots first: no overflow.
    bound = ops.maximum(ops.sqrt(rows) * ops.sqrt(columns), 1e-30)
    scaled = blocks / ops.reshape(bound, (-1, 1, 1))
    # After an update the matrix is as near as it has to be.
    x = ops.where(_away(_gram(blocks)) < NEAR, blocks, scaled)

    def step(x, gram):
        return 1.5 * x - 0.5 * x @ gram

    def onwards(k, x, gram):
        x = step(x, gram)
        return k + 1, x, _gram(x)

    # Rounding alone is a distance that grows with the matrix.
    done = max(DONE, 1e-6 * blocks.shape[-1])
    _, x, gram = ops.while_loop(
        lambda k, x, gram: ops.logical_and(k < STEPS, _away(gram) > done),
        onwards,
        (ops.zeros((), dtype="int32"), x, _gram(x)),
    )
    return step(x, gram), _away(gram) < NEAR


def _completed(x):
    """Something put where the singular values are 0, on both sides."""
    n = x.shape[-1]
    eye = ops.eye(n, dtype=x.dtype)
    # Nothing is lost on the way from one side to the other, by chance apart.
    noise = np.random.default_rng(0).normal(size=(n, n)) * 0.1 / n**0.5
    link = eye + ops.convert_to_tensor(noise, dtype=x.dtype)
    left, right = eye - x @ _transposed(x), eye - _transposed(x) @ x
    return x + left @ link @ right


@keras.saving.register_keras_serializable("keras_rnnx", name="SpectralRadiusConstraint")
class SpectralRadius(_gates.Recurrent, keras.constraints.Constraint):
    """Keeps the spectral radius of the recurrent matrix of each gate within a bound.

    After each update a block whose spectral radius is larger is scaled down to it;
    others stay as they are. The radius comes from Gelfand's formula, fourteen matrix
    products for each gate, and is never taken too small, and too large by about 5 in
    10,000 at most. Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063, on what the radius
    means for gradients.

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

    def __call__(self, w):
        w = ops.convert_to_tensor(w)
        n, gates = _gates.square(type(self).__name__, w.shape)
        blocks = _gates.stacked(_gates.full(w), gates)
        scale = self.radius / ops.maximum(spectral_radius(blocks), self.radius)
        blocks = blocks * ops.reshape(scale, (-1, 1, 1))
        return ops.cast(_gates.flat(blocks), w.dtype)

    def get_config(self) -> dict[str, Any]:
        return {"radius": self.radius}
