"""The spectral radius, by matrix products alone."""

from __future__ import annotations

from typing import Any

from keras import ops

DOUBLINGS = 14


def spectral_radius(blocks: Any, doublings: int = DOUBLINGS) -> Any:
    """The largest absolute value of an eigenvalue of each matrix.

    By Gelfand's formula: the limit of `norm(A ** m) ** (1 / m)`, here with
    `m = 2 ** doublings`. Eigenvalues themselves are not to be had in all compiled
    programs, and a power iteration does not converge where the largest are complex.
    It is never less than the radius but for rounding, and more by a factor of
    `norm(...) ** (1 / m)` of a matrix of radius 1, as a rule 1.0005.

    Args:
        blocks: `(k, n, n)`.
        doublings: how many times the matrix is squared. Default 14.

    Returns:
        `(k,)`; 0 for a nilpotent matrix.
    """
    tiny = 1e-30

    def normed(matrix):
        # Scaled first, since squares of small entries would be 0.
        largest = ops.maximum(ops.max(ops.abs(matrix), axis=(1, 2)), tiny)
        matrix = matrix / ops.reshape(largest, (-1, 1, 1))
        norm = ops.sqrt(ops.maximum(ops.sum(matrix * matrix, axis=(1, 2)), tiny))
        return matrix / ops.reshape(norm, (-1, 1, 1)), ops.log(largest) + ops.log(norm)

    power, log_norm = normed(blocks)
    for k in range(1, doublings + 1):
        power, more = normed(power @ power)
        log_norm = log_norm + more / 2**k
    vanished = ops.max(ops.abs(power), axis=(1, 2)) == 0
    return ops.where(vanished, ops.zeros_like(log_norm), ops.exp(log_norm))
