"""A search that is killed again and again, and what has to be left of it.

With PYTHONPATH=tests, `python -m killing --kills 30` kills a search with two workers 30
times and one in one process a third as often, goes on from what a kill before each
change of a file leaves, and prints what was lost.
"""

import argparse
import collections
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

# The machine may have other things to do.
DEADLINE = 900.0
KINDS = ("chief", "all", "worker")
TASK = {"length": 4, "train": 32, "validation": 16, "test": 16}
ENDED = ("completed", "stopped", "diverged", "failed")
# What two searches of one seed have in common, whenever they run and whoever runs them.
SAME = ("values", "status", "reason", "score", "best_epoch", "of", "run", "message")

# What a user would write. Most of the time goes into imports, so those that a search on
# torch can do without are left out.
SCRIPT = """
import ast, gc, os, sys, time
from pathlib import Path

gc.disable()
if os.environ["KERAS_BACKEND"] == "torch":
    unused = "tensorflow jax scipy sklearn matplotlib tensorflow_datasets"
    for name in unused.split():
        sys.modules[name] = None

import keras
import keras_rnnx
from keras_rnnx.datasets import load_task
from keras_rnnx.tuner import search

# KerasTuner collects garbage before each model, among all that was imported.
gc.freeze()
gc.enable()
# In workers, too, which import this.
forced = keras_rnnx.engine.force("step")
forced.__enter__()
HERE = Path(__file__).parent
TOLD = ast.literal_eval((HERE / "told").read_text())


class Witness(keras.callbacks.Callback):
    '''Notes each training, and makes it long enough to be killed in.'''

    def on_train_begin(self, logs=None):
        with open(HERE / "trainings", "a") as file:
            file.write(f"{os.getpid()}\\n")

    def on_epoch_end(self, epoch, logs=None):
        time.sleep(TOLD["pause"])


def witness():
    return [Witness()]


if __name__ == "__main__":
    search(
        load_task("adding", **TOLD["task"]),
        directory=HERE / "search",
        callbacks=witness,
        **TOLD["search"],
    )
"""


def arguments(**kwargs):
    """Arguments of a search whose trials take a fraction of a second."""
    space = {"units": (2, 4), "batch_size": 16}
    small = {"cells": ["simple_rnn"], "preset": "quick", "space": space}
    return {**small, "trials": 8, "max_epochs": 3, "stopping": None, **kwargs}


class Killed:
    """One search, which is run in a process group of its own, and killed.

    Args:
        root: a folder for it.
        told: arguments of `keras_rnnx.tuner.search`.
        seed: of the moments.
        pause: seconds that an epoch takes longer.

    Attributes:
        problems: what should not have happened.
        counts: what did.
    """

    def __init__(self, root, told, seed=0, pause=0.1):
        self.root, self.told = Path(root), told
        self.root.mkdir(parents=True, exist_ok=True)
        self.directory = self.root / "search"
        self.pause = pause
        self.random = random.Random(seed)
        self.workers = told.get("workers") or 1
        self.counts = collections.Counter()
        self.problems = []
        self.process = None
        self._ended = {}
        (self.root / "script.py").write_text(SCRIPT, encoding="utf-8")
        told = {"task": TASK, "search": told, "pause": pause}
        (self.root / "told").write_text(repr(told), encoding="utf-8")

    # --- a process group ---

    def start(self):
        """Runs the search, or goes on with it."""
        backend = os.environ.get("KERAS_BACKEND", "tensorflow")
        paths = [os.environ.get("PYTHONPATH"), str(Path(__file__).parents[1])]
        environment = {
            **os.environ,
            "KERAS_BACKEND": backend,
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            "OMP_NUM_THREADS": "1",
        }
        with open(self.root / "log", "ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(self.root / "script.py")],
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )
        self.counts["starts"] += 1

    def living(self):
        """The processes of the workers, by name: each has its log open."""
        found = {}
        try:
            children = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return {}
        for child in children:
            try:
                files = [Path(file.path) for file in child.open_files()]
            except psutil.Error:
                continue
            logs = [file for file in files if file.parent == self.directory / "workers"]
            if logs:
                found[logs[0].stem] = child
        return found

    def wait_for(self, what, condition):
        """Waits for a condition; gives what it gave."""
        limit = time.monotonic() + DEADLINE
        while True:
            found = condition()
            if found:
                return found
            code = self.process.poll()
            if code is not None:
                raise AssertionError(f"no {what}: exit code {code}\n{self.logs()}")
            if time.monotonic() > limit:
                raise AssertionError(f"no {what} for {DEADLINE} s\n{self.logs()}")
            time.sleep(0.02)

    def finish(self):
        """Waits for the end of the search."""
        try:
            code = self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"no end for {DEADLINE} s\n{self.logs()}") from None
        assert code == 0, f"exit code {code}\n{self.logs()}"
        self.look()

    def close(self):
        """Ends what is left."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def logs(self, lines=25):
        """The ends of all logs."""
        found = [self.root / "log", *sorted(self.directory.glob("workers/*.log"))]
        texts = [
            f"--- {path}\n"
            + "\n".join(path.read_text("utf-8", "replace").splitlines()[-lines:])
            for path in found
            if path.exists()
        ]
        return "\n".join([*self.problems, *texts])

    # --- what is on the disk ---

    def snapshot(self):
        """What `search.json` says, or None."""
        path = self.directory / "search.json"
        return json.loads(path.read_text("utf-8")) if path.exists() else None

    def reports(self):
        """The whole lines of `reports.jsonl`."""
        path = self.directory / "reports.jsonl"
        lines = path.read_text("utf-8", "replace").split("\n") if path.exists() else []
        found = []
        for line in lines:
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return found

    def look(self):
        """Reads the snapshot; what had ended when it was last read must be as it was.

        The reports are read behind it, so that those of what has ended are there.
        """
        state = self.snapshot()
        if state is None:
            return None
        reports = self.reports()
        if len(set(state["ended"])) != len(state["ended"]):
            self._problem(f"a trial ended twice: {state['ended']}")
        for key, (before, history) in self._ended.items():
            now = state["trials"].get(key)
            if now != before:
                self._problem(f"trial {key} had ended: {before}, and now: {now}")
            elif history_of(reports, key, now["attempt"]) != history:
                self._problem(f"the history of trial {key}, which had ended, changed")
            if key not in state["ended"]:
                self._problem(f"trial {key} had ended, and has not any more")
        for key in state["ended"]:
            one = state["trials"][key]
            history = history_of(reports, key, one["attempt"])
            self._ended.setdefault(key, (one, history))
        return state

    def _problem(self, text):
        if text not in self.problems:
            self.problems.append(text)

    # --- kills ---

    def kill(self, kind, reports=4, patient=True):
        """Kills, at a random moment.

        Args:
            kind: "worker", "chief" or "all".
            reports: most reports before that.
            patient: whether to wait until a worker that was killed has its trial again,
                and until workers without a chief are gone.
        """
        mark = len(self.reports()) + self.random.randint(0, reports)
        self.wait_for("report", lambda: len(self.reports()) > mark)
        self._kill(kind, patient)

    def kill_early(self, kind, seconds=6.0):
        """Kills, at a random moment after the start."""
        limit = time.monotonic() + self.random.uniform(0, seconds)
        while time.monotonic() < limit and self.process.poll() is None:
            time.sleep(0.02)
        self._kill(kind, False)

    def _kill(self, kind, patient):
        time.sleep(self.random.uniform(0, 0.3))
        self.look()
        if self.process.poll() is not None:
            raise AssertionError(f"it ended before the next kill\n{self.logs()}")
        if kind == "worker":
            self._kill_worker(patient)
        else:
            self._kill_chief(kind, patient)
        self.counts[kind] += 1

    def _kill_worker(self, patient):
        found = self.wait_for("worker", self.living)
        name = self.random.choice(sorted(found))
        # The chief is to hear what it still said: then it is known what it was at.
        found[name].suspend()
        time.sleep(0.3)
        state = self.look()
        found[name].kill()
        key = state and state["workers"].get(name)
        if key is None or key in state["ended"]:
            self.counts["idle"] += 1
            return
        attempt = state["trials"][key]["attempt"]
        if not patient:
            return

        def again():
            now = self.snapshot()
            one = now["trials"][key]
            return one if one["attempt"] > attempt or key in now["ended"] else None

        one = self.wait_for(f"other attempt of trial {key} of {name}", again)
        if one["attempt"] == attempt:
            # The chief had heard of its end, and was slow to write it.
            self.counts["idle"] += 1
            return
        if (one["attempt"], one["worker"]) != (attempt + 1, name):
            self._problem(f"{name} died in trial {key}, attempt {attempt}: then {one}")
        self.counts["own again"] += 1

    def _kill_chief(self, kind, patient):
        workers = list(self.living().values())
        if kind == "all":
            os.killpg(self.process.pid, signal.SIGKILL)
        else:
            self.process.kill()
        self.process.wait()
        if patient:
            self._gone(workers)
        self.look()
        self.tear()
        self.start()
        if not patient:
            self._gone(workers)

    def _gone(self, workers):
        _, left = psutil.wait_procs(workers, timeout=DEADLINE / 5)
        for process in left:
            self._problem(f"{process} lives on without its chief")
            process.kill()
        self.counts["workers that left"] += len(workers) - len(left)

    def tear(self):
        """Leaves half of a report and of a snapshot, as a kill in a write does."""
        path = self.directory / "reports.jsonl"
        state = self.snapshot()
        data = path.read_bytes() if path.exists() else b""
        if state is None or not data.endswith(b"\n"):
            return
        *_, last, _ = data.split(b"\n")
        of_one_that_runs = json.loads(last)["trial"] not in state["ended"]
        if of_one_that_runs and self.random.random() < 0.5:
            cut = self.random.randint(1, len(last))
            path.write_bytes(data[: -1 - cut])
        else:
            path.write_bytes(data + last[: self.random.randint(1, len(last) - 1)])
        text = (self.directory / "search.json").read_bytes()
        new = self.directory / "search.json.new"
        new.write_bytes(text[: self.random.randint(0, len(text) - 1)])
        self.counts["torn"] += 1

    # --- at the end ---

    def result(self):
        """What was found, by number of a trial: see `SAME`, and its history."""
        state, reports = self.snapshot(), self.reports()
        return {
            key: {name: one[name] for name in SAME}
            | {"history": history_of(reports, key, one["attempt"])}
            for key, one in state["trials"].items()
        }

    def check(self):
        """Adds to `problems` whatever is lost, doubled or mixed; counts the rest."""
        state, reports = self.look(), self.reports()
        trials = state["trials"]
        if list(trials) != [f"{number:04d}" for number in range(len(trials))]:
            self._problem(f"trials are numbered {list(trials)}")
        searched = [key for key, one in trials.items() if one["of"] is None]
        if len(searched) != self.told["trials"]:
            self._problem(f"{len(searched)} trials, not {self.told['trials']}")
        if sorted(state["ended"]) != sorted(trials):
            self._problem(f"ended: {state['ended']}, of {list(trials)}")
        for what in ("waiting", "workers"):
            if state[what]:
                self._problem(f"{what} at the end: {state[what]}")
        for key, one in trials.items():
            self._check_trial(key, one, reports)
        self._check_finals(trials)
        self._check_leaderboard(trials, searched)
        again = sum(one["attempt"] - 1 for one in trials.values())
        kills = self.counts["worker"]
        kills += self.workers * (self.counts["chief"] + self.counts["all"])
        if again > kills:
            self._problem(f"{again} trials were run again, and at most {kills} ran")
        path = self.root / "trainings"
        begun = path.read_text().split() if path.exists() else []
        if begun and not len(trials) <= len(begun) <= len(trials) + again:
            self._problem(f"{len(begun)} trainings, and {len(trials) + again} attempts")
        final = {(key, one["attempt"]) for key, one in trials.items()}
        old = [one for one in reports if (one["trial"], one["attempt"]) not in final]
        self.counts["trials"] = len(trials)
        self.counts["run again"] = again
        self.counts["trainings"] = len(begun)
        self.counts["processes that trained"] = len(set(begun))
        self.counts["reports"] = len(reports)
        self.counts["reports of earlier attempts"] = len(old)

    def _check_trial(self, key, one, reports):
        if one["status"] not in ENDED:
            self._problem(f"trial {key} is {one['status']}")
        mine = [report for report in reports if report["trial"] == key]
        attempts = [report["attempt"] for report in mine]
        if attempts != sorted(attempts) or max(attempts) != one["attempt"]:
            self._problem(f"reports of trial {key} are of attempts {attempts}")
        epochs = {}
        for report in mine:
            if report["attempt"] != one["attempt"]:
                continue
            if epochs.setdefault(report["epoch"], report["logs"]) != report["logs"]:
                self._problem(f"trial {key} has two reports of {report['epoch']}")
        if list(epochs) != list(range(len(epochs))):
            self._problem(f"trial {key} has epochs {list(epochs)}")
        if one["reason"] is None and len(epochs) != self.told["max_epochs"]:
            self._problem(f"trial {key} has {len(epochs)} epochs")
        if one["status"] == "completed":
            losses = [logs["val_loss"] for logs in epochs.values()]
            if (one["score"], one["best_epoch"] - 1) != (
                min(losses),
                losses.index(min(losses)),
            ):
                self._problem(f"trial {key} scores {one['score']}, with {losses}")

    def _check_finals(self, trials):
        done = [
            key
            for key, one in trials.items()
            if one["of"] is None and one["status"] == "completed"
        ]
        done.sort(key=lambda key: (trials[key]["score"], key))
        chosen = done[: self.told.get("finalists", 3)]
        runs = range(1, self.told.get("runs", 3))
        expected = sorted((key, run) for key in chosen for run in runs)
        found = sorted((one["of"], one["run"]) for one in trials.values() if one["of"])
        if found != expected:
            self._problem(f"finals are {found}, not {expected}")
        for one in trials.values():
            if one["of"] and one["values"] != trials[one["of"]]["values"]:
                self._problem(f"a final of {one['of']} has other values")

    def _check_leaderboard(self, trials, searched):
        import keras

        board = json.loads((self.directory / "leaderboard.json").read_text("utf-8"))
        rows = board["trials"]
        numbers = sorted(row["trial"] for row in rows)
        if numbers != sorted(int(key) + 1 for key in searched):
            self._problem(f"the leaderboard has trials {numbers}")
        if [row["rank"] for row in rows] != list(range(1, len(rows) + 1)):
            self._problem("the leaderboard's ranks are no ranks")
        reports = self.reports()
        for row in rows:
            key = f"{row['trial'] - 1:04d}"
            one = trials[key]
            if row["history"] != history_of(reports, key, one["attempt"]):
                self._problem(f"the leaderboard has another history of trial {key}")
            if (row["score"], row["status"]) != (one["score"], one["status"]):
                self._problem(f"the leaderboard has another end of trial {key}")
            finals = [one["score"] for one in trials.values() if one["of"] == key]
            if row["seeds"] != ([row["score"], *finals] if finals else []):
                self._problem(f"the leaderboard has seeds {row['seeds']} of {key}")
        data = task().test
        model = keras.saving.load_model(self.directory / "best_model.keras")
        tested = model.evaluate(*data, verbose=0, return_dict=True)
        for name, value in board["test"].items():
            if abs(tested[name] - value) > 1e-4 * abs(value):
                self._problem(f"the best model has {name} {tested[name]}, not {value}")


def task():
    """What is learned."""
    from keras_rnnx.datasets import load_task

    return load_task("adding", **TASK)


def history_of(reports, key, attempt):
    """What the epochs of one attempt of a trial logged, from its reports alone."""
    epochs = {
        report["epoch"]: report["logs"]
        for report in reports
        if (report["trial"], report["attempt"]) == (key, attempt)
    }
    found = collections.defaultdict(list)
    for epoch in sorted(epochs):
        for name, value in epochs[epoch].items():
            found[name].append(value)
    return dict(found)


def differences(one, other, about):
    """In what the trials of two searches differ."""
    found = [f"{about}: trials {sorted(one.keys() ^ other.keys())} are in one alone"]
    found *= one.keys() != other.keys()
    for key in one.keys() & other.keys():
        found += [
            f"{about}: {name} of trial {key}: {one[key][name]!r}, {other[key][name]!r}"
            for name in one[key]
            if one[key][name] != other[key][name]
        ]
    return found


# --- every moment at which files change ---------------------------------------------


def search_here(told, directory):
    """Runs a search in this process."""
    from keras_rnnx import engine
    from keras_rnnx.tuner import search

    with engine.force("step"):
        return search(task(), directory=directory, **told)


def moments(told, root):
    """Runs a search in this process, and keeps its files as a kill would leave them.

    Args:
        told: arguments of the search, with one process.
        root: a folder. The search is in "search" there.

    Returns:
        Folders like that of the search, each as it was before some file was opened to
        be written, renamed or removed; without those that are as the one before.
    """
    root.mkdir(parents=True)
    directory = root / "search"
    found = []
    before = None
    busy = False

    def hook(event, args):
        nonlocal before, busy
        if busy or event not in ("open", "os.rename", "os.remove"):
            return
        path = str(args[0])
        if not path.startswith(f"{directory}{os.sep}") or root in _done:
            return
        busy = True
        try:
            now = _contents(directory)
            if now and now != before:
                place = root / f"{len(found):03d}" / "search"
                shutil.copytree(directory, place)
                found.append(place.parent)
            before = now
        finally:
            busy = False

    # A hook stays as long as the process.
    sys.addaudithook(hook)
    try:
        search_here(told, directory)
    finally:
        _done.add(root)
    return found


_done = set()


def _contents(directory):
    files = (path for path in directory.rglob("*") if path.is_file())
    return {path: path.read_bytes() for path in files if path.name != "lock"}


def goes_on(root, told, whole):
    """Goes on from what a kill left; gives what is lost, doubled or other than whole.

    Args:
        root: one of those that `moments` gave.
        told: arguments of the search.
        whole: the search that was never killed.
    """
    killed = Killed(root, told)
    killed.look()
    search_here(told, killed.directory)
    killed.counts["all"] = 1
    killed.check()
    return killed.problems + differences(killed.result(), whole.result(), root.name)


# --- the big version ----------------------------------------------------------------


def run(root, told, kinds, seed, pause):
    """Kills a search so often, and compares it with one that was never killed."""
    dice = random.Random(seed)
    killed = Killed(root / "killed", told, seed, pause)
    started = time.monotonic()
    killed.start()
    try:
        for number, kind in enumerate(kinds):
            early = dice.random() < 0.25
            patient = dice.random() < 0.5
            print(
                f"{time.monotonic() - started:6.1f} s  {number + 1}: {kind}"
                f"{', early' * early}{', patient' * patient}",
                flush=True,
            )
            if early:
                killed.kill_early(kind)
            else:
                killed.kill(kind, patient=patient)
        killed.finish()
        killed.check()
    finally:
        killed.close()
    whole = Killed(root / "whole", {**told, "workers": None}, pause=0.0)
    whole.start()
    try:
        whole.finish()
        whole.check()
    finally:
        whole.close()
    killed.problems += [f"never killed: {one}" for one in whole.problems]
    killed.problems += differences(killed.result(), whole.result(), "killed, whole")
    print(json.dumps(dict(killed.counts), indent=1))
    print("\n".join(killed.problems) or "nothing is lost or doubled", flush=True)
    return not killed.problems


def run_moments(root):
    """Kills a search before each change of a file."""
    told = arguments(trials=3, max_epochs=2, finalists=1, runs=2)
    found = moments(told, root)
    whole = Killed(root, told)
    whole.check()
    problems = whole.problems
    for one in found:
        problems += [f"{one.name}: {text}" for text in goes_on(one, told, whole)]
    print(f"{len(found)} moments")
    print("\n".join(problems) or "nothing is lost or doubled", flush=True)
    return not problems


def main():
    """Kills searches, and says what became of them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--trials", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--directory", type=Path)
    given = parser.parse_args()
    root = given.directory or Path(tempfile.mkdtemp(prefix="killing-"))
    print(root)
    finals = {"finalists": 3, "runs": 3}
    kinds = [KINDS[number % len(KINDS)] for number in range(given.kills)]
    random.Random(given.seed).shuffle(kinds)
    told = arguments(trials=given.trials, workers=2, **finals)
    fine = run(root / "two", told, kinds, given.seed, pause=0.25)
    alone = arguments(trials=given.trials // 3, stopping="median", max_epochs=4)
    alone |= finals
    kinds = ["all"] * (given.kills // 3)
    fine &= run(root / "one", alone, kinds, given.seed, pause=0.1)
    fine &= run_moments(root / "moments")
    sys.exit(not fine)


if __name__ == "__main__":
    main()
