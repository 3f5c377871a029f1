"""Five networks that fail: what `diagnose` finds, and which cure helps.

Each is trained as a user would train it, until one sees that it fails. Then
`keras_rnnx.diagnose` examines it, and `try_cures` trains the first cures beside it, all
from the same weights and with the same batches, for the steps in `FAILURES`: minutes on
one core. Steps, not minutes, so that a run is the same on any machine. 64 units
and Adam at rate 0.001 if nothing else is said; the batches have 50 sequences.

- adding: Keras' LSTM, two numbers to add in 400 steps. Always answering 1 has an error
  of 0.167.
- order: a simple network, which of two symbols came first and second in 100 steps.
  Guessing has a loss of 1.386.
- independent: IndRNN with its defaults, the adding problem over 1,000 steps.
- letters: an LSTM of 256 units that has learned 20,000 letters of Python's manual by
  heart, at rate 0.01.
- slow: Keras' GRU of 128 units with recurrent dropout, on torch; the mean of 40 steps.
"""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pydoc_data.topics import topics
from typing import Any, NamedTuple

import keras
import numpy as np

import keras_rnnx
from keras_rnnx import datasets, layers
from keras_rnnx.diagnosis import Tried

TITLE = "five networks that fail, before and after the best cure"
MEASURE = "validation loss"
GOAL = None
LOGARITHMIC = True
SEEDS = 1
STEM = "cures-doctor"
UNITS, BATCH, RATE = 64, 50, 1e-3


class Failure(NamedTuple):
    """A network that fails, with what it was trained on.

    Attributes:
        model: the network, after some training.
        data: inputs and targets.
        validation: others.
        more: further arguments of `diagnose`.
        batch_size: sequences in a batch.
    """

    model: keras.Model
    data: tuple[np.ndarray, np.ndarray]
    validation: tuple[np.ndarray, np.ndarray]
    more: dict[str, Any] = {}
    batch_size: int = BATCH


def adding(seed: int, length: int = 400, layer: Any = keras.layers.LSTM) -> Failure:
    """The adding problem."""
    task = datasets.load_task(
        "adding", length=length, train=20_000, validation=500, test=1, seed=seed
    )
    model = keras.Sequential(
        [keras.Input((length, 2)), layer(UNITS, name="rnn"), keras.layers.Dense(1)]
    )
    model.compile(keras.optimizers.Adam(RATE), "mse")
    return _trained(model, task, 100)


def order(seed: int, length: int = 100) -> Failure:
    """Temporal order."""
    task = datasets.load_task(
        "temporal_order", length=length, train=20_000, validation=500, test=1, seed=seed
    )
    model = keras.Sequential(
        [
            keras.Input((length, 6)),
            keras.layers.SimpleRNN(UNITS, name="rnn"),
            keras.layers.Dense(4),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(RATE), loss, metrics=["accuracy"])
    return _trained(model, task, 200)


def independent(seed: int) -> Failure:
    """IndRNN with its defaults over 1,000 steps."""
    return adding(seed, 1000, layers.IndRNN)


def letters(seed: int, count: int = 20_000, steps: int = 100) -> Failure:
    """A language model that is too large for its text."""
    text = "\n".join(topics.values()).encode("ascii", "ignore").decode()
    known = sorted(set(text))
    codes = np.array([known.index(letter) for letter in text[: 2 * count]], "int32")
    pieces = codes[: len(codes) // (steps + 1) * (steps + 1)].reshape(-1, steps + 1)
    half = len(pieces) // 2
    x, y = pieces[:, :-1], pieces[:, 1:]
    model = keras.Sequential(
        [
            keras.Input((steps,), dtype="int32"),
            keras.layers.Embedding(len(known), 32),
            layers.LSTM(256, return_sequences=True, name="rnn"),
            keras.layers.Dense(len(known)),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-2), loss)
    data, held = (x[:half], y[:half]), (x[half:], y[half:])
    history = model.fit(
        *data, validation_data=held, batch_size=20, epochs=60, verbose=0
    )
    return Failure(model, data, held, {"history": history}, 20)


def slow(seed: int) -> Failure:
    """A GRU with recurrent dropout."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(4000, 40, 8)).astype("float32")
    y = x[:, :, :1].mean(axis=1) * np.sqrt(40)
    model = keras.Sequential(
        [
            keras.Input((40, 8)),
            keras.layers.GRU(128, recurrent_dropout=0.2, name="rnn"),
            keras.layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.Adam(RATE), "mse")
    model.fit(x[:3500], y[:3500], batch_size=BATCH, epochs=2, verbose=0)
    return Failure(model, (x[:3500], y[:3500]), (x[3500:], y[3500:]))


def _trained(model, task, updates):
    x, y = task.train
    rows = slice(updates * BATCH)
    model.fit(x[rows], y[rows], batch_size=BATCH, verbose=0)
    return Failure(model, tuple(task.train), tuple(task.validation))


# How each is made, the budget of each candidate, and the backend. On torch, Keras' own
# layers run a loop in Python, and that backend alone has a faster kernel for `slow`.
FAILURES = {
    "adding": (adding, "1500 steps", "tensorflow"),
    "order": (order, "800 steps", "tensorflow"),
    "independent": (independent, "1000 steps", "tensorflow"),
    "letters": (letters, "60 epochs", "torch"),
    "slow": (slow, "2 epochs", "torch"),
}


def settings(data: pathlib.Path | None) -> dict[str, Callable[[int], dict]]:
    """Functions that train with a seed, by name."""
    return {name: _in_process(name) for name in FAILURES}


def _in_process(name):
    """Trains in a process of its own, with the backend of the failure."""

    def train(seed):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "run.json"
            subprocess.run(
                [sys.executable, "-m", __spec__.name, name, str(seed), str(file)],
                env={**os.environ, "KERAS_BACKEND": FAILURES[name][2]},
                check=True,
            )
            return json.loads(file.read_text())

    return train


def run(name: str, seed: int) -> dict[str, Any]:
    """Makes a failure, and tries its cures.

    Args:
        name: in `FAILURES`.
        seed: of all that is drawn.
    """
    make, budget, backend = FAILURES[name]
    keras.utils.set_random_seed(seed)
    model, data, validation, more, size = make(seed)
    report = keras_rnnx.diagnose(model, *data, batch_size=size, **more)
    for finding in report.findings:
        print(f"  {finding.title}. {finding.evidence}", flush=True)
    tried = report.try_cures(budget, validation_data=validation, seed=seed)
    print(tried, flush=True)
    names = [finding.name for finding in report.findings]
    return {"backend": backend, **described(tried, names, budget)}


def described(tried: Tried, findings: list[str], budget: str) -> dict[str, Any]:
    """What is kept of a run.

    Args:
        tried: the cures that were tried.
        findings: names of the findings, worst first.
        budget: of the cures.
    """
    winner, as_it_is = tried.winner, tried.as_it_is
    return {
        "findings": findings,
        "budget": budget,
        "start": tried.start,
        "given": tried.given,
        "as_it_is": as_it_is.end,
        "best": winner.end,
        "cure": winner.name,
        "code": winner.cure.code if winner.cure else "",
        "improvement": float(tried.improvement),
        "speedup": float(tried.speedup),
        "curve": [float(v) for v in winner.curve.val_loss],
        "trials": [
            {
                "name": trial.name,
                "end": trial.end,
                "diverged": trial.diverged,
                "ms": 1e3 * (trial.step_seconds or 0.0),
                "steps": [int(n) for n in trial.curve.steps],
                "seconds": [float(s) for s in trial.curve.seconds],
                "val_loss": [float(v) for v in trial.curve.val_loss],
            }
            for trial in tried.trials
        ],
        "refused": {trial.name: trial.refused for trial in tried.refused},
    }


def _of(key, digits=3):
    def column(runs):
        value = runs[0][key]
        return "-" if value is None else f"{value:.{digits}g}"

    return column


COLUMNS = {
    "first finding": lambda runs: next(iter(runs[0]["findings"]), "none"),
    "as it is": _of("as_it_is"),
    "best": _of("best"),
    "times lower": _of("improvement"),
    "times faster": _of("speedup"),
    "cure": lambda runs: runs[0]["cure"],
}


def draw(runs: list[dict], figure: Any) -> None:
    """A panel for each failure, a line for each candidate.

    Args:
        runs: those that are kept.
        figure: a matplotlib figure.
    """
    for number, run in enumerate(runs, 1):
        axis = figure.add_subplot(2, 3, number)
        for k, trial in enumerate(run["trials"]):
            values = [np.nan if v is None else v for v in trial["val_loss"]]
            style = {"color": "black", "ls": "--"} if k == 0 else {"color": f"C{k - 1}"}
            width = 2.4 if trial["name"] == run["cure"] else 1.0
            label = trial["name"].removesuffix(" in rnn")
            axis.plot(trial["seconds"], values, lw=width, label=label, **style)
        axis.set(title=run["setting"], xlabel="seconds of training", ylabel=MEASURE)
        axis.set_yscale("log")
        axis.legend(fontsize=5)


if __name__ == "__main__":
    _, name, seed, file = sys.argv
    pathlib.Path(file).write_text(json.dumps(run(name, int(seed))))
