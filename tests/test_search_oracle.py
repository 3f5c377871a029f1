"""The state of a search: who gets which trial, what is kept, and who is stopped.

Workers are played here: they ask, report and end as a tuner does.
"""

import errno
import json
import math

import keras_tuner
import numpy as np
import pytest
from keras_tuner.engine.trial import Trial

from keras_rnnx.tuner import HyperRNN, SearchError, SearchPaused
from keras_rnnx.tuner._state import samplers
from keras_rnnx.tuner._state.finals import Finals, winner
from keras_rnnx.tuner._state.journal import REPORTS, SNAPSHOT, Journal, Lock
from keras_rnnx.tuner._state.oracle import (
    ATTEMPT,
    EPOCH,
    FACTS,
    SearchOracle,
    failure_path,
)
from keras_rnnx.tuner._state.stopping import asha, median, rule
from keras_rnnx.tuner.errors import described

pytestmark = pytest.mark.any_backend

LOSS = keras_tuner.Objective("val_loss", "min")
SPACE = {"preset": "quick", "cells": ["gru", "lstm"]}


def made(directory, epochs=4, trials=6, tuner="random", stopping=None, **kwargs):
    """An oracle over a small space, gone on with where there is something."""
    journal = Journal(directory, {"of": "a test"})
    journal.read()
    oracle = SearchOracle(
        kwargs.pop("objective", LOSS),
        samplers.sampler(tuner),
        rule(stopping, epochs),
        trials,
        epochs,
        3,
        journal,
        **kwargs,
    )
    hp = oracle.get_space()
    HyperRNN((4, 2), **SPACE).declare_hyperparameters(hp)
    oracle.update_space(hp)
    oracle.reload()
    return oracle


class Worker:
    """Plays a tuner: it holds the trial that it was given."""

    def __init__(self, oracle, name="tuner0"):
        self.oracle, self.name = oracle, name
        self.trial = None

    def ask(self):
        self.trial = self.oracle.create_trial(self.name)
        return self.trial

    @property
    def attempt(self):
        return self.trial.hyperparameters.values[ATTEMPT]

    def report(self, epoch, **logs):
        note = {EPOCH: 1.0, ATTEMPT: self.attempt}
        told = self.oracle.update_trial(self.trial.trial_id, {**logs, **note}, epoch)
        return told.status == "RUNNING"

    def measured(self, **facts):
        note = {FACTS: 1.0, ATTEMPT: self.attempt}
        told = self.oracle.update_trial(self.trial.trial_id, {**facts, **note})
        return told.status == "RUNNING"

    def end(self, status="COMPLETED", message=None):
        self.trial.status, self.trial.message = status, message
        self.oracle.end_trial(self.trial)

    def run(self, losses):
        """A whole trial: as many epochs as it may."""
        self.ask()
        for epoch, loss in enumerate(losses):
            if not self.report(epoch, val_loss=loss):
                break
        self.end()
        return self.oracle.records[self.trial.trial_id]


# --- who gets what ----------------------------------------------------------------


def test_a_worker_that_is_started_again_gets_its_trial_as_another_attempt(tmp_path):
    """What the first attempt still says does not count, nor what it ends."""
    oracle = made(tmp_path)
    first, other = Worker(oracle, "worker0"), Worker(oracle, "worker1")
    first.ask()
    other.ask()
    assert first.trial.trial_id != other.trial.trial_id
    first.report(0, val_loss=9.0)
    again = Worker(oracle, "worker0")
    again.ask()
    assert again.trial.trial_id == first.trial.trial_id
    assert (first.attempt, again.attempt) == (1, 2)
    again.report(0, val_loss=2.0)
    assert not first.report(1, val_loss=0.1)
    first.end()
    record = oracle.records[again.trial.trial_id]
    assert record.status == "running" and record.history == {"val_loss": [2.0]}
    again.report(1, val_loss=1.0)
    again.end()
    assert (record.status, record.score, record.best_epoch) == ("completed", 1.0, 2)


def test_what_is_said_twice_counts_once(tmp_path):
    """A call that was cut off is made again."""
    oracle = made(tmp_path)
    worker = Worker(oracle)
    worker.ask()
    for _ in range(2):
        worker.report(0, val_loss=2.0)
    worker.report(1, val_loss=3.0)
    for _ in range(2):
        worker.end()
    assert oracle.end_order == [worker.trial.trial_id]
    assert oracle.records[worker.trial.trial_id].history == {"val_loss": [2.0, 3.0]}


def test_a_silent_workers_trial_goes_to_another(tmp_path, monkeypatch):
    """On other machines nobody sees it die."""
    oracle = made(tmp_path, trials=1)
    oracle.patient = False
    lost, other = Worker(oracle, "far0"), Worker(oracle, "far1")
    lost.ask()
    lost.report(0, val_loss=1.0)
    assert other.ask().status == "STOPPED"
    monkeypatch.setattr("keras_rnnx.tuner._state.oracle.SILENCE", -1.0)
    oracle._longest_silence = -1.0
    other.ask()
    assert other.trial.trial_id == lost.trial.trial_id and other.attempt == 2
    assert not lost.report(1, val_loss=0.5)
    other.report(0, val_loss=2.0)
    other.end()
    assert oracle.records["0000"].score == 2.0 and oracle.records["0000"].worker == (
        "far1"
    )


def test_a_search_goes_on_from_what_was_written(tmp_path):
    """The log holds the epochs of the attempt that counts; a torn line is nothing."""
    oracle = made(tmp_path)
    Worker(oracle).run([3.0, 2.0, 4.0])
    running = Worker(oracle)
    running.ask()
    running.report(0, val_loss=7.0)
    with open(tmp_path / REPORTS, "a") as file:
        file.write('{"trial": "0001", "att')
    (tmp_path / f"{SNAPSHOT}.new").write_text('{"torn')
    before = {key: one.state() for key, one in oracle.records.items()}

    oracle = made(tmp_path)
    assert {key: one.state() for key, one in oracle.records.items()} == before
    assert oracle.records["0000"].history == {"val_loss": [3.0, 2.0, 4.0]}
    oracle.abandon_workers()
    # Another name: it is the one process of another session.
    record = Worker(oracle, "tuner7").run([6.0, 5.0])
    assert record is oracle.records["0001"] and record.attempt == 2
    assert record.history == {"val_loss": [6.0, 5.0]}
    assert record.values == before["0001"]["values"]

    oracle = made(tmp_path)
    assert oracle.records["0001"].history == {"val_loss": [6.0, 5.0]}
    assert oracle.end_order == ["0000", "0001"] and not oracle.waiting


def test_the_same_trials_however_often_it_was_stopped(tmp_path):
    """A sampler is a function of what was tried."""

    def all_values(tuner, stops, directory):
        found, oracle = [], None
        for number in range(12):
            if number == 0 or number in stops:
                oracle = made(directory, tuner=tuner, trials=12)
            found.append(Worker(oracle).run([1.0 / (number + 1)]).values)
        return found

    for tuner in ("random", "bayesian", "tpe"):
        whole = all_values(tuner, (), tmp_path / tuner)
        assert all_values(tuner, (3, 10, 11), tmp_path / f"{tuner}-parts") == whole
        assert [one["cell"] for one in whole[:2]] == ["gru", "lstm"]
        assert len({json.dumps(one, sort_keys=True) for one in whole}) == 12


@pytest.fixture(autouse=True)
def folders(tmp_path):
    """Directories of searches are there."""
    for tuner in ("random", "bayesian", "tpe"):
        (tmp_path / tuner).mkdir()
        (tmp_path / f"{tuner}-parts").mkdir()


@pytest.mark.parametrize("tuner", ["random", "bayesian", "tpe"])
def test_workers_at_once_get_other_points(tmp_path, tuner):
    oracle = made(tmp_path, tuner=tuner, trials=30)
    for number in range(11):
        Worker(oracle).run([float(number)])
    rates = [
        Worker(oracle, f"worker{k}").ask().hyperparameters.values["learning_rate"]
        for k in range(4)
    ]
    assert len(set(rates)) == 4


@pytest.mark.parametrize("tuner", ["bayesian", "tpe"])
def test_what_was_good_is_tried_again_nearby(tmp_path, tuner):
    """Half of what is suggested has the better cell, and a rate in the better half."""
    oracle = made(tmp_path, tuner=tuner, trials=40)
    found = []
    for _ in range(24):
        worker = Worker(oracle)
        values = worker.ask().hyperparameters.values
        away = abs(math.log(values["learning_rate"] / 2e-3))
        worker.report(0, val_loss=away + 2.0 * (values["cell"] == "gru"))
        worker.end()
        found.append(values)
    guided = found[12:]
    assert np.mean([one["cell"] == "lstm" for one in guided]) > 0.6
    near = [abs(math.log(one["learning_rate"] / 2e-3)) < 0.7 for one in guided]
    # At random it is one in three.
    assert np.mean(near) > 0.5


def test_a_grid_is_all_combinations():
    hp = keras_tuner.HyperParameters()
    kind = hp.Choice("kind", ["a", "b"])
    with hp.conditional_scope("kind", ["a"]):
        hp.Int("size", 1, 3)
    hp.Boolean("flag")
    found, draw = [], 0
    while (values := samplers.grid(hp, [], draw, 0, LOSS)) is not None:
        found.append(values)
        draw += 1
    assert kind == "a" and len(found) == 3 * 2 + 2
    assert {tuple(sorted(one.items())) for one in found} == {
        *((("flag", f), ("kind", "a"), ("size", s)) for f in (0, 1) for s in (1, 2, 3)),
        *((("flag", f), ("kind", "b")) for f in (0, 1)),
    }


# --- who is stopped ---------------------------------------------------------------


def test_the_median_rule_against_a_count_by_hand(tmp_path):
    oracle = made(tmp_path, epochs=10, trials=9, stopping="median")
    for losses in ([5, 4, 3, 2], [6, 5, 4, 1], [7, 6, 5, 5], [9, 8, 7, 7]):
        assert Worker(oracle).run(losses).status == "completed"
    # After the second epoch the bests so far are 4, 5, 6, 8.
    good = Worker(oracle).run([9.0, 5.0, 4.4, 3.0])
    assert good.status == "completed" and good.epochs == 4
    bad = Worker(oracle).run([5.6, 9.0, 1.0])
    assert (bad.status, bad.epochs, bad.score) == ("stopped", 2, 5.6)
    assert bad.reason == "worse than the median of 5 trials after epoch 2"
    # The last epochs are run by whoever came there.
    assert median(4)([9, 9, 9, 9], [[1] * 4] * 9) is None


def test_successive_halving_keeps_the_better_half():
    decide = asha(20)  # rungs at 4, 8 and 16
    others = [[k] * 20 for k in range(6)]
    assert decide([99] * 3, others) is None
    assert decide([99] * 5, others) is None
    assert decide([2.5] * 4, others) is None
    assert decide([3.5] * 4, others) == "not among the best 4 of 7 trials after epoch 4"
    assert decide([3.5] * 16, others) is not None
    assert decide([99] * 4, [[1] * 4]) is None


def test_directions(tmp_path):
    """More accuracy is better: the one below is stopped."""
    goal = keras_tuner.Objective("val_accuracy", "max")
    oracle = made(tmp_path, 10, 9, stopping="median", objective=goal)

    def run(values):
        worker = Worker(oracle)
        worker.ask()
        for epoch, value in enumerate(values):
            if not worker.report(epoch, val_accuracy=value):
                break
        worker.end()
        return oracle.records[worker.trial.trial_id]

    for _ in range(4):
        run([0.5, 0.6, 0.7])
    assert run([0.2, 0.3, 0.9]).status == "stopped"
    assert run([0.8, 0.9, 0.9]).score == 0.9


def test_what_diverges_scores_what_it_had_and_cannot_win(tmp_path):
    oracle = made(tmp_path)
    worker = Worker(oracle)
    worker.ask()
    for epoch, loss in enumerate([3.0, 0.5, math.inf]):
        worker.report(epoch, loss=1.0, val_loss=loss)
    worker.end()
    record = oracle.records["0000"]
    assert (record.status, record.score, record.best_epoch) == ("diverged", 0.5, 2)
    assert record.reason == "val_loss not finite after epoch 3"
    other = Worker(oracle)
    other.ask()
    other.report(0, loss=math.nan, val_loss=0.1)
    other.end()
    assert oracle.records["0001"].score is None
    assert winner(oracle.records, Finals(3, 3), "min") is None
    Worker(oracle).run([8.0])
    assert winner(oracle.records, Finals(3, 3), "min") == "0002"


def test_the_time_is_up(tmp_path):
    """What runs is stopped, and counts; nothing new begins."""
    oracle = made(tmp_path, trials=None, budget=1000.0)
    worker = Worker(oracle)
    worker.ask()
    assert worker.report(0, val_loss=2.0)
    oracle._before = 1000.0
    assert not worker.report(1, val_loss=1.0)
    worker.end()
    record = oracle.records["0000"]
    assert (record.status, record.score) == ("completed", 1.0)
    assert record.reason == "the time was up after epoch 2"
    assert worker.ask().status == "STOPPED"


def test_settings_over_a_limit_are_not_tried(tmp_path):
    """Where it is known before; else when it was measured."""

    def refuse(values):
        return "an lstm" if values["cell"] == "lstm" else None

    oracle = made(tmp_path, refuse=refuse, limits={"step_ms": 5.0})
    cells = set()
    for step_ms in (4.0, 6.0, 4.5):
        worker = Worker(oracle)
        cells.add(worker.ask().hyperparameters.values["cell"])
        if worker.measured(parameters=10.0, step_ms=step_ms):
            worker.report(0, val_loss=1.0)
        else:
            # As a tuner says it: the worst there is.
            note = {ATTEMPT: worker.attempt, "val_loss": math.inf}
            oracle.update_trial(worker.trial.trial_id, note)
        worker.end()
    assert cells == {"gru"} and set(oracle.refused) == {"an lstm"}
    states = [one.status for one in oracle.records.values()]
    assert states == ["completed", "stopped", "completed"]
    slow = oracle.records["0001"]
    assert slow.score is None and slow.reason == "step_ms 6 is more than 5"


def test_a_space_without_a_valid_model_says_so(tmp_path):
    oracle = made(tmp_path, refuse=lambda values: "too large")
    assert Worker(oracle).ask().status == "STOPPED"
    assert "No setting of the space is within the limits" in oracle.problem
    assert "too large" in oracle.problem


def test_a_space_that_is_used_up_ends_the_search(tmp_path):
    """What was found counts, whether what is left is refused or was tried."""
    seen = []

    def refuse(values):
        seen.append(values)
        return "enough" if len(seen) > 2 else None

    oracle = made(tmp_path, trials=50, refuse=refuse)
    for _ in range(2):
        Worker(oracle).run([1.0])
    assert Worker(oracle).ask().status == "STOPPED"
    assert oracle.problem is None and oracle.refused == {"enough": 200}
    assert len(oracle.records) == 2


def test_failures_in_a_row_end_it_and_show_the_error(tmp_path):
    oracle = made(tmp_path)
    for _ in range(3):
        worker = Worker(oracle)
        worker.ask()
        # KerasTuner's protocol has no place for the message.
        path = failure_path(oracle.trial_directory(worker.trial.trial_id), 1)
        path.parent.mkdir(parents=True)
        path.write_text("OverflowError: out of numbers")
        worker.end("INVALID")
    assert oracle.problem == (
        "3 trials in a row failed, the last with: OverflowError: out of numbers"
    )
    assert Worker(oracle).ask().status == "STOPPED"


def test_errors_on_one_line():
    """Without a traceback and colours, and a KeyError says that it is one."""
    error = ValueError("\x1b[1mshapes\x1b[0m\n  differ\n\nin many ways")
    assert described(error) == "ValueError: shapes differ in many ways"
    assert described(KeyError("units")) == "KeyError: 'units'"


# --- the best again ---------------------------------------------------------------


def test_finalists_are_trained_again_and_the_best_mean_wins(tmp_path):
    oracle = made(tmp_path, trials=4, finals=Finals(2, 3))
    for loss in (1.0, 5.0, 2.0):
        Worker(oracle).run([loss])
    last, waits = Worker(oracle), Worker(oracle, "worker1")
    last.ask()
    # Which are the best is known when all have ended.
    assert waits.ask().status == "IDLE"
    last.report(0, val_loss=9.0)
    last.end()
    again = []
    for loss in (4.0, 2.0, 4.0, 1.9):
        worker = Worker(oracle)
        worker.ask()
        again.append(worker.trial.hyperparameters.values)
        worker.report(0, val_loss=loss)
        worker.end()
    assert worker.ask().status == "STOPPED"
    runs = [
        (oracle.records[f"000{k}"].of, oracle.records[f"000{k}"].run)
        for k in (4, 5, 6, 7)
    ]
    assert runs == [("0000", 1), ("0002", 1), ("0000", 2), ("0002", 2)]
    assert [one["tuner/run"] for one in again] == [1, 1, 2, 2]
    rate = oracle.records["0002"].values["learning_rate"]
    assert again[1]["learning_rate"] == again[3]["learning_rate"] == rate
    # 1.0, 4.0, 4.0 against 2.0, 2.0, 1.9
    assert winner(oracle.records, oracle.finals, "min") == "0002"
    assert winner(oracle.records, Finals(0, 1), "min") == "0000"


def test_a_trial_that_was_told_to_stop_may_come_back(tmp_path):
    """Its worker died before it could say that it had ended: no final begins."""
    oracle = made(tmp_path, epochs=9, trials=6, stopping="median", finals=Finals(1, 2))
    for loss in (3.0, 4.0, 5.0, 6.0, 7.0):
        Worker(oracle).run([loss] * 9)
    lost, other = Worker(oracle, "worker0"), Worker(oracle, "worker1")
    lost.ask()
    while lost.report(0, val_loss=99.0) and lost.report(1, val_loss=99.0):
        pass
    assert other.ask().status == "IDLE" and not oracle.finished()
    again = Worker(oracle, "worker0").run([1.0] * 9)
    assert again.status == "completed"
    assert Worker(oracle, "worker1").run([1.0] * 9).of == "0005"


def test_it_says_when_nothing_is_left(tmp_path):
    """For those who look after workers: one that never asked is not waited for."""
    oracle = made(tmp_path, trials=1)
    assert not oracle.finished() and not oracle.left_alone()
    worker, other = Worker(oracle, "worker0"), Worker(oracle, "worker1")
    worker.ask()
    assert other.ask().status == "STOPPED"
    assert not oracle.finished() and not oracle.left_alone()
    worker.report(0, val_loss=1.0)
    worker.end()
    # A chief elsewhere waits until this worker has asked, too.
    assert oracle.finished() and not oracle.left_alone()
    worker.ask()
    assert oracle.left_alone()
    late = made(tmp_path / "random", trials=None, budget=9.0)
    late._before = 9.0
    assert late.finished()


def test_finals_are_not_pruned_and_more_trials_come_after_them(tmp_path):
    oracle = made(tmp_path, epochs=10, trials=5, stopping="median", finals=Finals(1, 2))
    for k in range(5):
        Worker(oracle).run([k + 1.0] * 10)
    record = Worker(oracle).run([99.0] * 10)
    assert record.of == "0000" and record.epochs == 10
    more = made(tmp_path, epochs=10, trials=6, stopping="median", finals=Finals(1, 2))
    assert Worker(more).run([0.5] * 10).of is None
    assert Worker(more).run([0.6] * 10).of == "0006"


# --- files ------------------------------------------------------------------------


def test_a_full_disk_pauses_and_marks_nothing_as_failed(tmp_path, monkeypatch):
    oracle = made(tmp_path)
    Worker(oracle).run([1.0])
    worker = Worker(oracle)
    worker.ask()

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device", "search.json.new")

    with monkeypatch.context() as patch:
        patch.setattr("keras_rnnx.tuner._state.journal.write_json", full)
        worker.report(0, val_loss=0.5)
        worker.end()
        assert isinstance(oracle.problem, SearchPaused)
        assert "No space left on device (search.json.new)" in str(oracle.problem)
        assert worker.ask().status == "STOPPED"
    again = made(tmp_path)
    again.abandon_workers()
    assert again.records["0000"].score == 1.0
    assert Worker(again).run([0.4]).attempt == 2
    assert {one.status for one in again.records.values()} == {"completed"}


def test_what_is_no_journal_is_named(tmp_path):
    for text in ('{"signature": 1', "[]", '{"format": 1}', '{"format": 2}'):
        (tmp_path / SNAPSHOT).write_text(text)
        with pytest.raises(SearchError, match="search.json is not the journal of a"):
            Journal(tmp_path, {}).read()


def test_a_directory_is_for_one_search_at_a_time(tmp_path):
    import os
    import socket

    with (
        Lock(tmp_path),
        pytest.raises(
            SearchError,
            match=f"in use by process {os.getpid()} on {socket.gethostname()}",
        ),
        Lock(tmp_path),
    ):
        pass
    with Lock(tmp_path):
        pass


def test_a_copy_goes_to_the_worker(tmp_path):
    """What a worker does to a trial is not done to the state."""
    oracle = made(tmp_path)
    worker = Worker(oracle)
    worker.ask().hyperparameters.values["units"] = -1
    assert oracle.records["0000"].values["units"] == 64
    assert isinstance(oracle.get_trial("0000"), Trial)
    assert not oracle.get_trial("0000").hyperparameters.space
