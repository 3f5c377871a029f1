"""The spectral radius, computed only by matrix products."""

from __future__ import annotations

from typing import Any

from keras import ops

DOUBLINGS = 14


def spectral_radius(blocks: Any, doublings: int = DOUBLINGS) -> Any:
    """The largest absolute value of an eigenvalue of each matrix.

    By Gelfand's formula: the limit of `norm(A ** m) ** (1 / m)`, here with
    `m = 2 ** doublings`. Not all compiled programs can compute eigenvalues, and a power
    iteration does not converge if the largest ones are complex. Up to rounding the
    result is never less than the radius. It is larger by a factor of
    `norm(...) ** (1 / m)` of a matrix of radius 1, typically 1.0005.

    Args:
        blocks: `(k, n, n)`.
        doublings: how many times the matrix is squared. Default 14.

    Returns:
        `(k,)`; 0 for a nilpotent matrix.
    """
    tiny = 1e-30

    def normed(matrix: Any) -> tuple[Any, Any]:
        # Scaled first, since squares of small entries would underflow to 0.
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
