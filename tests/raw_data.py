"""Small raw files in the form in which the large ones are published."""

import wave

import numpy as np
import scipy.io

PARTS = {"train": 3, "valid": 2, "test": 2}


def rolls(seed=0):
    """Piano rolls by the names of the parts in a .mat file."""
    random = np.random.default_rng(seed)
    return {
        part: [
            (random.random((random.integers(3, 9), 88)) < 0.1).astype("uint8")
            for _ in range(count)
        ]
        for part, count in PARTS.items()
    }


def write_mat(path, rolls):
    """As JSB_Chorales.mat has them: cells of matrices of doubles."""
    cells = {}
    for part, values in rolls.items():
        cell = np.empty((1, len(values)), dtype=object)
        cell[0, :] = [roll.astype("float64") for roll in values]
        cells[f"{part}data"] = cell
    scipy.io.savemat(path, cells)


def write_packed(path, rolls):
    """As bits, concatenated, with lengths."""
    arrays = {}
    for part, values in rolls.items():
        arrays[f"{part}_roll"] = np.packbits(np.concatenate(values), axis=1)
        arrays[f"{part}_lengths"] = np.array([len(v) for v in values], "int32")
    np.savez_compressed(path, **arrays)


def ts(rows, classes, header=""):
    """The text of a .ts file from pairs of channels and class."""
    lines = [
        "# a comment",
        "@problemName Small",
        *([header] if header else []),
        f"@classLabel true {' '.join(classes)}",
        "@data",
    ]
    for channels, label in rows:
        texts = [",".join(f"{value:.6f}" for value in channel) for channel in channels]
        lines.append(":".join([*texts, label]))
    return "\n".join(lines) + "\n"


def series(channels, lengths, classes, seed=0):
    """Rows for `ts`: `channels` of numbers with six decimals, classes in turn."""
    random = np.random.default_rng(seed)
    return [
        (random.standard_normal((channels, n)).round(6), classes[i % len(classes)])
        for i, n in enumerate(lengths)
    ]


def write_wav(path, samples, rate=8_000, width=2):
    """A recording of one channel."""
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(width)
        sound.setframerate(rate)
        sound.writeframes(np.asarray(samples, f"<i{width}").tobytes())


def tone(band, seconds=0.1):
    """A tone in the middle of a mel band, at 8 kHz."""
    mel = np.linspace(*(2595 * np.log10(1 + f / 700) for f in (20, 4000)), 26)
    frequency = 700 * (10 ** (mel[band + 1] / 2595) - 1)
    return np.sin(2 * np.pi * frequency * np.arange(seconds * 8000) / 8000)
