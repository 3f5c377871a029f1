"""When a run ends, and what it keeps so that it can be cut off at any time."""

from __future__ import annotations

import json
import math
import pathlib
import time
from collections.abc import Callable
from typing import Any

import keras

from benchmarks.published.declared import Setup

# Validation figures that a falling rate looks back on.
BACK = 3


class Watch(keras.callbacks.Callback):
    """Keeps the best weights and the curve of a run, and ends it.

    List it before `BackupAndRestore`. What it keeps of an epoch is then there when the
    backup of that epoch is; and what is ahead of the backup is dropped when the run
    goes on.

    Args:
        setup: how the model is trained.
        objective: name and direction of the validation figure.
        folder: where it keeps curve and weights.
        data: the batches for training, which `seek` an epoch.
        pause: called after each epoch with the watch; whether to stop here for now.

    Attributes:
        curve: validation figures, an epoch each.
        cpu: seconds of CPU time so far.
        updates: updates so far.
        over: whether the run has ended.
        paused: whether it was stopped to go on later.
    """

    def __init__(
        self,
        setup: Setup,
        objective: Any,
        folder: pathlib.Path,
        data: Any,
        pause: Callable[[Watch], bool],
    ):
        super().__init__()
        self.setup, self.data, self.pause = setup, data, pause
        self.name, self.sign = objective.name, 1 if objective.direction == "max" else -1
        self.path, self.weights = folder / "watch.json", folder / "best.weights.h5"
        self.epochs: list[dict[str, float]] = []
        self.over, self.paused, self.diverged = False, False, False
        self.batches = 0
        if self.path.exists():
            kept = json.loads(self.path.read_text())
            self.epochs, self.over = kept["epochs"], kept["over"]
            self.diverged = kept["diverged"]

    @property
    def curve(self) -> list[float]:
        return [epoch["figure"] for epoch in self.epochs]

    @property
    def cpu(self) -> float:
        return self.epochs[-1]["cpu"] if self.epochs else 0.0

    @property
    def updates(self) -> int:
        return int(self.epochs[-1]["updates"]) if self.epochs else 0

    @property
    def best(self) -> int:
        """The epoch with the best figure, the first of those as good."""
        scores = [self.sign * figure for figure in self.curve]
        return scores.index(max(scores))

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if hasattr(self.data, "seek"):
            self.data.seek(epoch)
        if self.setup.decay is not None:
            begin, factor = self.setup.decay
            rate = self.setup.rate * factor ** max(0, epoch + 1 - begin)
            self.model.optimizer.learning_rate.assign(rate)
        # It was cut off between this file and the backup.
        del self.epochs[epoch:]
        self.before, self.batches = (self.cpu, self.updates), 0
        self.start = time.process_time()

    def on_train_batch_end(
        self, batch: int, logs: dict[str, Any] | None = None
    ) -> None:
        self.batches += 1

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        logs = logs or {}
        figure, loss = float(logs[self.name]), float(logs["loss"])
        cpu = self.before[0] + time.process_time() - self.start
        self.diverged = not (math.isfinite(figure) and math.isfinite(loss))
        if not self.diverged:
            earlier = self.curve
            self.epochs.append(
                {"figure": figure, "cpu": cpu, "updates": self.before[1] + self.batches}
            )
            if self.best == len(earlier):
                self._keep_weights()
            self._fall(epoch, earlier)
        self.over = self.diverged or self._ended(epoch)
        self._keep()
        # Weights of the last batch of a run that diverged are of no use.
        if self.over:
            self.model.stop_training = True
        elif self.pause(self):
            self.paused = self.model.stop_training = True

    def _ended(self, epoch):
        setup, curve = self.setup, self.curve
        best = self.sign * curve[self.best]
        if setup.goal is not None and best >= self.sign * setup.goal:
            return True
        if setup.cpu is not None and self.cpu > setup.cpu:
            return True
        if setup.patience is not None:
            waited = epoch - max(self.best, setup.at_least - 1)
            if waited >= setup.patience:
                return True
        if setup.chance is not None:
            after, figure = setup.chance
            if epoch + 1 >= after and best <= self.sign * figure:
                return True
        return epoch + 1 >= setup.epochs

    def _fall(self, epoch, earlier):
        if self.setup.falls is None or epoch < self.setup.falls or not earlier:
            return
        worst = min(self.sign * figure for figure in earlier[-BACK:])
        if self.sign * self.curve[-1] < worst:
            rate = self.model.optimizer.learning_rate
            rate.assign(rate / 10)

    def _keep_weights(self):
        partial = self.weights.with_name("partial.weights.h5")
        self.model.save_weights(partial)
        partial.replace(self.weights)

    def _keep(self):
        kept = {"epochs": self.epochs, "over": self.over, "diverged": self.diverged}
        partial = self.path.with_suffix(".partial")
        partial.write_text(json.dumps(kept))
        partial.replace(self.path)
