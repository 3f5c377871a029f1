"""Trains one candidate, with its curves."""

from __future__ import annotations

import math
import statistics
import sys
import time
from typing import Any

import keras
import numpy as np

from keras_rnnx import _states
from keras_rnnx.diagnosis.cures._batches import Chunk, Source, Split
from keras_rnnx.diagnosis.cures._budget import POINTS
from keras_rnnx.diagnosis.cures._copies import seeded
from keras_rnnx.diagnosis.cures.tried import LearningCurve


class Course:
    """The training of one candidate.

    Args:
        model: a compiled model.
        data: batches for training and validation.
        steps: number of steps, or None.
        seconds: how long it trains and is validated, or None. What compiles it is not
            counted.
        patience: number of validations without a better loss after which it ends with
            the best weights; None to train to the end.
        seed: of random numbers that have no seed of their own.

    Attributes:
        curve: what was measured.
        step_seconds: the median time of a step; None for fewer than two steps.
        diverged: the step from which on the loss is not finite, or None.
        compile_seconds: the time of the first step and the first validation.
    """

    def __init__(
        self,
        model: keras.Model,
        data: Split,
        steps: int | None,
        seconds: float | None,
        patience: int | None,
        seed: int,
    ):
        self._model, self._data, self._seed = model, data, seed
        self._steps, self._seconds, self._patience = steps, seconds, patience
        self._clock = _Clock()
        self._stateful = bool(_states.layers(model))
        self._spent = self._trained = 0.0
        self._times: list[float] = []
        self._points: list[tuple[int, float, float, dict[str, float]]] = []
        self.diverged: int | None = None
        self.compile_seconds = 0.0
        self.curve = self._run()

    @property
    def step_seconds(self) -> float | None:
        """The median time of a step; None for fewer than two steps."""
        return statistics.median(self._times) if self._times else None

    def _run(self) -> LearningCurve:
        with seeded(self._seed):
            start = time.perf_counter()
            self._validate(math.nan)
            self.compile_seconds = time.perf_counter() - start
            self._spent = 0.0
            best, waited, weights = self._last, 0, self._weights()
            done = 0
            while self.diverged is None and not self._over(done):
                count = self._count(done)
                loss = self._fit(done, count)
                done = self._clock.steps
                if self.diverged is not None:
                    break
                self._validate(loss)
                if not self._last < best:
                    waited += 1
                else:
                    best, waited, weights = self._last, 0, self._weights()
                if self._patience is not None and waited >= self._patience:
                    break
        if self._patience is not None and self.diverged is None:
            for variable, value in zip(self._model.variables, weights):
                variable.assign(value)
        return self._made(best if self._patience is not None else self._last)

    @property
    def _last(self) -> float:
        return self._points[-1][3]["loss"]

    def _weights(self) -> list[np.ndarray]:
        if self._patience is None:
            return []
        # Copies: on torch an array may share the memory of its variable.
        return [np.array(keras.ops.convert_to_numpy(v)) for v in self._model.variables]

    def _over(self, done: int) -> bool:
        if self._steps is not None:
            return done >= self._steps
        return done > 0 and self._spent >= (self._seconds or 0.0)

    def _count(self, done: int) -> int:
        """The most steps until the next validation."""
        if done == 0:
            # It compiles, and its time tells nothing.
            return 1
        epoch = self._data.training.epoch
        # States are reset between epochs.
        count = epoch - done % epoch if self._stateful else sys.maxsize
        if self._steps is not None:
            every = math.ceil(self._steps / POINTS)
            return min(count, every - done % every, self._steps - done)
        step = self.step_seconds
        if step is None:
            return min(count, 10)
        return min(count, math.ceil(2 * (self._seconds or 0) / POINTS / step))

    def _fit(self, done: int, count: int) -> float:
        model, clock = self._model, self._clock
        if self._stateful and done % self._data.training.epoch == 0:
            _states.reset(model)
        # As long as from one point of the curve to the next, or until time is up.
        seconds = math.inf
        if self._seconds is not None and done:
            share = self._seconds / POINTS
            seconds = min(share, self._seconds - self._spent)
        clock.begin(seconds)
        start = time.perf_counter()
        found = model.fit(
            Chunk(self._data.training, done, count),
            epochs=1,
            shuffle=False,
            verbose=0,
            callbacks=[clock],
        )
        spent = time.perf_counter() - start
        if done == 0:
            self.compile_seconds += spent
        else:
            self._spent += spent
            self._trained += spent
            self._times.append(clock.seconds / max(1, clock.steps - done))
        loss = float(found.history["loss"][-1])
        if clock.diverged:
            self.diverged = clock.steps
        return loss

    def _validate(self, loss: float) -> None:
        model = self._model
        kept = _states.get(model)
        _states.reset(model)
        start = time.perf_counter()
        source: Source = self._data.validation
        logs = model.evaluate(
            Chunk(source, 0, source.epoch), verbose=0, return_dict=True
        )
        self._spent += time.perf_counter() - start
        _states.put(model, kept)
        logs = {k: float(v) for k, v in logs.items()}
        if not math.isfinite(logs["loss"]):
            self.diverged = self._clock.steps
        self._points.append((self._clock.steps, self._trained, loss, logs))

    def _made(self, end: float) -> LearningCurve:
        steps, seconds, losses, logs = zip(*self._points)
        return LearningCurve(
            steps=np.array(steps),
            seconds=np.array(seconds),
            loss=np.array(losses),
            val_loss=np.array([log["loss"] for log in logs]),
            metrics={
                name: np.array([log[name] for log in logs])
                for name in logs[0]
                if name != "loss" and all(name in log for log in logs)
            },
            end=end,
        )


class _Clock(keras.callbacks.Callback):
    """Ends a call of `fit` when its time is over, or the loss is not finite."""

    def __init__(self) -> None:
        super().__init__()
        self.steps, self.diverged = 0, False
        self.begin(math.inf)

    def begin(self, seconds: float) -> None:
        """Begins a call.

        Args:
            seconds: how long it may take.
        """
        self._end = time.perf_counter() + seconds
        self.seconds = 0.0
        self._start: float | None = None

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if self._start is None:
            self._start = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.steps += 1
        loss = float((logs or {}).get("loss", math.nan))
        now = time.perf_counter()
        self.seconds = now - (self._start or now)
        if not math.isfinite(loss):
            self.diverged = True
        if self.diverged or now >= self._end:
            self.model.stop_training = True
