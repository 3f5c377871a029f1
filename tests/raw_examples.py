"""Small raw files of all tasks of the examples, in the form of the published ones."""

import dataclasses
import hashlib

import numpy as np
import tensorflow_datasets as tfds

from keras_rnnx.datasets.builders._files import finding, raw_files


def unchecked(monkeypatch) -> None:
    """Takes raw files of other content than the published one."""

    def unknown_checksum(path, file, known):
        return raw_files.LocalFile(path, file, None)

    monkeypatch.setattr(finding, "LocalFile", unknown_checksum)


def as_published(monkeypatch, builder: str, path) -> None:
    """Takes a file for the one that a builder of TFDS downloads."""
    builder = tfds.builder_cls(builder)
    ((url, info),) = builder.url_infos.items()
    checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    own = dataclasses.replace(info, size=path.stat().st_size, checksum=checksum)
    monkeypatch.setattr(builder, "url_infos", {url: own})


def write(folder) -> None:
    """Writes the raw files of all tasks."""
    rng = np.random.default_rng(0)
    _chorales(folder, rng)
    _vowels(folder, rng)
    _recordings(folder, rng)
    lines = [
        f"{label} {word} is it ?\n"
        for label, word in enumerate(["Why", "What", "IBM", "Who", "Where", "When"])
    ]
    (folder / "TREC.train.all").write_text("".join(lines * 40), "latin-1")
    (folder / "TREC.test.all").write_text("".join(lines), "latin-1")
    for part in ("train", "valid", "test"):
        text = " to be or not \n be it so \n" * 10
        (folder / f"ptb.{part}.txt").write_text(text)
    lines = ["All:", "Speak, speak.", "", "First Citizen:", "You are all resolved?"]
    (folder / "input.txt").write_text("\n".join(lines * 40))
    (folder / "cmudict.dict").write_text(_dictionary())


def _chorales(folder, rng):
    arrays = {}
    for part, count in {"train": 4, "valid": 2, "test": 2}.items():
        lengths = rng.integers(4, 9, count)
        roll = rng.random((lengths.sum(), 88)) < 0.1
        arrays[f"{part}_roll"] = np.packbits(roll, axis=1)
        arrays[f"{part}_lengths"] = lengths.astype("int32")
    np.savez(folder / "jsb_chorales.npz", **arrays)


def _vowels(folder, rng):
    arrays, own = {"classes": list("123456789")}, rng.normal(size=(9, 12))
    for part, count in {"train": 270, "test": 18}.items():
        lengths = rng.integers(3, 6, count)
        labels = np.arange(count) % 9
        noise = rng.normal(scale=0.1, size=(lengths.sum(), 12))
        arrays[f"x_{part}"] = noise + np.repeat(own[labels], lengths, axis=0)
        arrays[f"len_{part}"], arrays[f"y_{part}"] = lengths, labels
    np.savez(folder / "JapaneseVowels.npz", **arrays)


def _recordings(folder, rng):
    """Two clips of each digit for each part, by one speaker."""
    digits, index = np.repeat(np.arange(10), 3), np.tile([0, 20, 47], 10)
    lengths = np.full(30, 4)
    np.savez(
        folder / "fsdd_logmel24.npz",
        logmel_q=rng.integers(0, 256, (120, 24)).astype("uint8"),
        lengths=lengths,
        digit=digits,
        speaker=np.zeros(30, int),
        index=index,
        speaker_names=np.array(["theo"]),
    )


def _dictionary():
    """Words of two letters, each with a phone, and some with another one as well."""
    letters = {"a": "AH", "b": "B", "k": "K", "m": "M", "o": "OW", "s": "S", "t": "T"}
    lines = []
    for a in letters:
        for b in letters:
            for c in letters:
                lines.append(f"{a}{b}{c} {letters[a]}1 {letters[b]} {letters[c]}")
                if c == "s":
                    lines.append(f"{a}{b}{c}(2) {letters[a]}0 {letters[b]} Z")
    return "\n".join(lines) + "\n"
