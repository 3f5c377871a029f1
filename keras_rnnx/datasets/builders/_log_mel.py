"""Log-mel energies of speech at 8 kHz, in NumPy."""

from __future__ import annotations

import functools

import numpy as np

RATE = 8_000
# In samples: 25 ms every 10 ms.
WINDOW = 200
HOP = 80
FFT = 256
BANDS = 24
LOWEST, HIGHEST = 20, 4_000


def steps(samples: np.ndarray) -> np.ndarray:
    """Log-mel energies in steps of half a decibel, from -90 dB on.

    Args:
        samples: sound in -1 ... 1 at 8 kHz, at least 200 samples.

    Returns:
        uint8 `(frames, 24)`: one frame for each whole window, without padding.
    """
    frames = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP]
    spectrum = np.fft.rfft(frames * np.hanning(WINDOW), FFT)
    energies = (np.abs(spectrum) ** 2) @ _filters().T
    decibels = 10 * np.log10(np.maximum(energies, 1e-10))
    return np.clip(np.round((decibels + 90) / 0.5), 0, 255).astype("uint8")


def decibel(steps: np.ndarray) -> np.ndarray:
    """Steps as decibels, float32."""
    return steps.astype("float32") * np.float32(0.5) - np.float32(90)


@functools.cache
def _filters() -> np.ndarray:
    """Triangles that are equally wide in mel, `(24, 129)`."""
    lowest, highest = (2595 * np.log10(1 + f / 700) for f in (LOWEST, HIGHEST))
    mels = np.linspace(lowest, highest, BANDS + 2)
    edges = 700 * (10 ** (mels / 2595) - 1)
    at = np.fft.rfftfreq(FFT, 1 / RATE)
    left, middle, right = (edges[i : i + BANDS, np.newaxis] for i in range(3))
    return np.maximum(
        0, np.minimum((at - left) / (middle - left), (right - at) / (right - middle))
    )
