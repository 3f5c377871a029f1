"""Runs Keras' own recurrent tests, on Keras' layers and on those of keras_rnnx.

`make test-keras` loads this pytest plugin twice on each backend. The first run
records what becomes of every test with Keras' own layers. The second puts the
classes of keras_rnnx in their place, where the test modules look them up, and has
to do as well. What may differ is listed in differences.toml with its reason; a
listed test that no longer differs fails too, so the list stays true.
"""

import json
import tomllib
from collections import Counter
from pathlib import Path

import keras
import pytest

LAYERS = ("LSTM", "GRU", "SimpleRNN", "RNN", "Bidirectional")
CELLS = ("LSTMCell", "GRUCell", "SimpleRNNCell")
DIFFERENCES = Path(__file__).with_name("differences.toml")


def pytest_addoption(parser):
    """Adds the two options that `make test-keras` gives."""
    group = parser.getgroup("keras suite")
    group.addoption("--layers-from", choices=("keras", "keras_rnnx"), required=True)
    group.addoption("--outcomes", type=Path, required=True, help="of Keras' own run")


def pytest_configure(config):
    """Chooses the run; Keras' markers are not declared outside its repository."""
    config.addinivalue_line("markers", "requires_trainable_backend: Keras' own marker")
    path = config.getoption("--outcomes")
    if config.getoption("--layers-from") == "keras":
        config.pluginmanager.register(StockRun(path))
    else:
        config.pluginmanager.register(SwappedRun(json.loads(path.read_text())))


def key_of(item):
    """`lstm_test.py::LSTMTest::test_basics`, wherever Keras is installed.

    Outside the root directory pytest's node ids lack the file, and two files have
    classes of one name.
    """
    return f"{item.path.name}::{item.nodeid.partition('::')[2]}"


class Run:
    """Keeps the outcome of every test: passed, failed, skipped or xfailed."""

    def __init__(self):
        self.outcomes = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item):
        report = yield
        if report.when == "call" or report.outcome != "passed":
            outcome = "xfailed" if hasattr(report, "wasxfail") else report.outcome
            # The setup and the teardown of a test fail it too.
            if self.outcomes.get(key_of(item)) != "failed":
                self.outcomes[key_of(item)] = outcome
        return report

    def counts(self):
        """The outcomes as pytest words them: `60 passed, 2 skipped`."""
        counts = Counter(self.outcomes.values())
        return ", ".join(f"{counts[key]} {key}" for key in sorted(counts))


class StockRun(Run):
    """Keras' own layers. What fails here is no fault of keras_rnnx."""

    def __init__(self, path):
        super().__init__()
        self.path = path

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session, exitstatus):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(self.outcomes, indent=1))
        if exitstatus == pytest.ExitCode.TESTS_FAILED:
            session.exitstatus = pytest.ExitCode.OK


class SwappedRun(Run):
    """The classes of keras_rnnx in place of Keras', held to the stock outcomes."""

    def __init__(self, stock):
        super().__init__()
        self.stock = stock
        self.differences = read_differences(keras.config.backend())

    @pytest.fixture(autouse=True)
    def classes_of_keras_rnnx(self, request, monkeypatch):
        """Keras' tests write `layers.LSTM`: that attribute is replaced."""
        for name, replacement in replacements().items():
            monkeypatch.setattr(request.module.layers, name, replacement)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items):
        for item in items:
            key = key_of(item)
            if key in self.differences:
                reason = self.differences[key]
                item.add_marker(pytest.mark.xfail(reason=reason, strict=True))
            elif self.stock.get(key) == "failed":
                reason = "fails with Keras' own layers too"
                item.add_marker(pytest.mark.xfail(reason=reason, strict=False))
        keys = {key_of(item) for item in items}
        files = {key.split("::")[0] for key in keys}
        for key in self.differences.keys() - keys:
            if key.split("::")[0] in files:
                raise pytest.UsageError(f"{DIFFERENCES.name} lists no test: {key}")

    def not_run(self):
        """Tests that pass with Keras' layers and are skipped or missing here."""
        return sorted(
            key
            for key, outcome in self.stock.items()
            if outcome == "passed" and self.outcomes.get(key, "skipped") == "skipped"
        )

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session, exitstatus):
        if exitstatus == pytest.ExitCode.OK and self.not_run():
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter):
        if not self.outcomes:
            return
        stock = Counter(self.stock.values())["passed"]
        terminalreporter.write_line(
            f"Keras' tests on {keras.config.backend()}: {stock} pass with Keras' "
            f"layers; with those of keras_rnnx {self.counts()}"
        )
        for key in self.not_run():
            terminalreporter.write_line(f"passes with Keras' layers, not run: {key}")


def read_differences(backend):
    """Maps the tests that differ on a backend to the reason why."""
    table = tomllib.loads(DIFFERENCES.read_text())
    return {
        entry["test"]: entry["reason"]
        for entry in table.get("difference", [])
        if backend in entry["backends"]
    }


def replacements():
    """The classes that take the place of those in `keras.layers`, by name."""
    import keras_rnnx.cells
    import keras_rnnx.layers

    layers = {name: getattr(keras_rnnx.layers, name) for name in LAYERS}
    cells = {name: getattr(keras_rnnx.cells, name) for name in CELLS}
    return layers | cells
