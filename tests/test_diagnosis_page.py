"""The figures, the page and the data of a diagnosis."""

import html
import io
import json
import math
import pathlib
import re
import sys
import types

import keras
import matplotlib
import numpy as np
import pytest
import rich.console
from browser import browser, loads_nothing, needs_browser, show

import keras_rnnx
from keras_rnnx import layers
from keras_rnnx.diagnosis import Report, _panels
from keras_rnnx.diagnosis.measured import GateShares, LayerReport, States

pytestmark = pytest.mark.any_backend

STEPS = 20


def data(samples=24):
    x = np.random.default_rng(0).normal(size=(samples, STEPS, 2)).astype("float32")
    return x, x[:, 0, :1]


@pytest.fixture(scope="module")
def report():
    """Two layers, with findings, and one that is not measured."""
    keras.utils.set_random_seed(0)
    start = keras_rnnx.initializers.SpectralRadius(0.4)
    model = keras.Sequential(
        [
            keras.Input((STEPS, 2)),
            layers.LSTM(6, return_sequences=True, name="lstm<b>"),
            layers.GRU(4, return_sequences=True, batch_norm=True, name="normed"),
            layers.SimpleRNN(5, recurrent_initializer=start, name="simple"),
            keras.layers.Dense(1),
        ],
        name="a_model",
    )
    model.compile(keras.optimizers.Adam(1e-3, global_clipnorm=1.0), "mse")
    return keras_rnnx.diagnose(model, *data())


def blank(**layers_):
    return Report("model", 1, "the loss", None, layers_, [], None, None, [], 0.1)


# --- what is counted ---


def test_histograms_count_what_is_there(report):
    found = report.layers["simple"].distributions
    assert found.weights.counts.sum() == 4 * 5 + 5 * 5
    assert found.states.counts.sum() == 24 * STEPS * 5
    assert np.abs(found.states.edges).max() <= 1
    # One batch of 24 samples.
    assert found.gradients.counts.sum() == 4 * 5 + 5 * 5
    assert found.gradients.edges[0] / found.gradients.edges[-1] == pytest.approx(1e-8)
    unmeasured = report.layers["normed"].distributions
    assert unmeasured.states is None and unmeasured.weights.counts.sum() > 0
    states = keras_rnnx.diagnose(_small(), data()[0], measures="states")
    (layer,) = states.layers.values()
    assert layer.distributions.gradients is None
    assert layer.distributions.weights is not None


def _small():
    return keras.Sequential([keras.Input((STEPS, 2)), layers.GRU(3, name="gru")])


def test_shares_of_the_units_are_those_of_the_gate(report):
    states = report.layers["lstm<b>"].states
    assert set(states.gates_by_unit) == set(states.gates) == set("ifo")
    for gate, (shut, opened) in states.gates_by_unit.items():
        assert shut.shape == (6,)
        assert shut.mean() == pytest.approx(states.gates[gate].shut)
        assert opened.mean() == pytest.approx(states.gates[gate].open)


# --- data ---


def test_data_for_json_give_the_report_back(report):
    text = json.dumps(report.to_dict(), allow_nan=False)
    again = Report.from_dict(json.loads(text))
    assert json.dumps(again.to_dict()) == text
    assert str(again) == str(report)
    for name, layer in report.layers.items():
        other = again.layers[name]
        assert (
            type(other) is LayerReport
            and other.cost == layer.cost
            or (vars(other.cost) == vars(layer.cost))
        )
        if layer.states is not None:
            found = other.gradients.norms
            np.testing.assert_array_equal(found, layer.gradients.norms)
            assert other.states.gates == layer.states.gates
            assert other.dynamics.kernels == layer.dynamics.kernels
    assert again.past.used == report.past.used


def test_numbers_that_json_has_not_come_back(report):
    value = dict(report.to_dict(), loss=math.inf)
    value["training"] = dict(value["training"], norms=[1.0, math.nan, -math.inf])
    made = Report.from_dict(value)
    text = json.dumps(made.to_dict(), allow_nan=False)
    again = Report.from_dict(json.loads(text))
    assert again.loss == math.inf
    np.testing.assert_array_equal(again.training.norms, [1.0, math.nan, -math.inf])


@pytest.mark.parametrize("wrong", [{}, {"model": "a"}, [], None, "text"])
def test_what_is_no_report_is_refused(wrong):
    with pytest.raises(ValueError, match="`data` is not what Report.to_dict returns"):
        Report.from_dict(wrong)


def test_a_console_shows_all_in_its_width(report):
    for width in (70, 120):
        console = rich.console.Console(width=width, file=io.StringIO())
        console.print(report)
        text = console.file.getvalue()
        assert all(len(line) <= width for line in text.splitlines())
        for finding in report.findings:
            assert finding.title in text
        assert "lstm<b>" in text and "batch_norm" in text


# --- figures ---


def panels(report):
    return [panel.name for panel in _panels.panels(report)]


def test_a_panel_for_each_measure_that_was_taken(report, tmp_path):
    names = ["gradients", "memory", "spectrum", "kernels", "gates", "times"]
    assert panels(report) == [*names, "distributions"]
    model, x = _small(), data()[0]
    for measures, expected in (
        ("gradients", ["gradients"]),
        ("memory", ["memory"]),
        ("dynamics", ["spectrum", "kernels"]),
        ("states", ["gates", "distributions"]),
        ("cost", ["times"]),
    ):
        one = keras_rnnx.diagnose(model, x, measures=measures)
        assert panels(one) == expected
        path = tmp_path / f"{measures}.png"
        figure = one.plot(path)
        assert path.read_bytes().startswith(b"\x89PNG")
        drawn = [part for part in figure.findobj(matplotlib.axes.Axes) if part.axison]
        assert len(drawn) >= len(expected)
    with pytest.raises(ValueError, match="'model' has no measures that can be drawn"):
        blank(rnn=LayerReport("rnn", "Cell", 4, 9, 9)).plot()


def test_a_figure_names_the_layers_and_leaves_matplotlib_alone(report):
    before = dict(matplotlib.rcParams)
    figure = report.plot()
    assert dict(matplotlib.rcParams) == before
    texts = {text.get_text() for text in figure.findobj(matplotlib.text.Text)}
    assert {"lstm<b>", "simple"} <= texts
    horizon = report.layers["simple"].gradients.horizon
    assert horizon is not None and str(horizon) in texts
    assert figure.get_facecolor()[3] == 0
    assert figure._repr_png_().startswith(b"\x89PNG")


def test_more_layers_than_can_be_told_apart(report):
    from keras_rnnx.diagnosis.measured import Memory
    from keras_rnnx.diagnosis.report import Finding

    made = {
        f"a_layer_with_a_long_name_{n}": LayerReport(
            f"a_layer_with_a_long_name_{n}",
            *("Cell", 4, 9, 9),
            memory=Memory(0.5 ** np.arange(9.0), None),
        )
        for n in range(12)
    }
    many = blank(**made)
    worst = "a_layer_with_a_long_name_11"
    many.findings.append(Finding("dead", worst, "Dead", "All.", "None.", "", ""))
    names = [layer.name for layer in _panels.drawn(many)]
    assert len(names) == _panels.MOST and names[-1] == worst
    many.plot()


def test_numbers_that_no_axis_can_show():
    from keras_rnnx.diagnosis.measured import Dynamics, Gradients, Kernel, Memory

    bad = np.array([1.0, 0.0, math.nan, math.inf, 1e300])
    layer = LayerReport(
        "rnn",
        *("Cell", 4, 5, 5),
        gradients=Gradients(bad, None, None, 1),
        memory=Memory(np.zeros(5), 1),
        dynamics=Dynamics(
            np.array([0.1, -70.0, math.nan]), None, 3, {"h": Kernel(None, math.inf)}
        ),
        states=States({"f": GateShares(0.2, 0.1, 0.3, 0.5)}, None, 0, 0, 1, 4),
    )
    one = blank(rnn=layer)
    assert panels(one) == ["gradients", "spectrum", "kernels", "gates"]
    one.plot()
    # What can't be told is no panel.
    nothing = LayerReport("rnn", "Cell", 4, 5, 5, memory=Memory(np.zeros(5), 1))
    assert panels(blank(rnn=nothing)) == []


def test_losses_of_epochs_are_drawn_where_the_report_has_them():
    one = blank()
    losses = types.SimpleNamespace(
        loss=np.array([3.0, 1.0, 0.5]), validation=np.array([3.0, 2.0, 2.5]), best=2
    )
    object.__setattr__(one, "curves", losses)
    assert panels(one) == ["curves"]
    one.plot()


def test_without_matplotlib(report, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for call in (report.plot, lambda: report.write_html(tmp_path / "page.html")):
        with pytest.raises(ImportError, match=r"needs matplotlib.*keras-rnnx\[plots\]"):
            call()
    assert not list(tmp_path.iterdir())


# --- the page ---


def test_the_page_has_all_that_is_printed(report, tmp_path):
    path = report.write_html(tmp_path / "page.html")
    assert path == tmp_path / "page.html" and [*tmp_path.iterdir()] == [path]
    text = path.read_text(encoding="utf-8")
    assert "lstm<b>" not in text and "lstm&lt;b&gt;" in text
    at = [text.index(html.escape(f.title)) for f in report.findings]
    assert at and at == sorted(at) and at[-1] < text.index("<svg")
    for finding in report.findings:
        for part in (finding.evidence, finding.cause, finding.cure):
            assert html.escape(part) in text
        for number in re.findall(r"arXiv:([\d.]+\d)", finding.paper):
            assert f'href="https://arxiv.org/abs/{number}"' in text
    assert text.count("data-copy") == 1 + len(report.findings)
    for note in report.notes:
        assert html.escape(note) in text
    assert text.count("<svg") == len(panels(report))
    ids = re.findall(r' id="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    rows = re.search(r'id="layers".*?</section>', text, re.S)[0]
    assert rows.count("<tr") == 1 + len(report.layers)
    assert "None" not in rows and "nan" not in rows


def test_a_page_without_findings_says_so(tmp_path):
    text = blank().write_html(tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Nothing that was measured is beyond the limits" in text
    assert "<svg" not in text and "No findings on 1 sequence." in text


@needs_browser
def test_in_a_browser(report, tmp_path):
    page = report.write_html(tmp_path / "page.html").as_uri()
    with browser(tmp_path / "profile") as driver:
        for width in (1280, 400):
            for theme in ("light", "dark"):
                feature = {"name": "prefers-color-scheme", "value": theme}
                driver.execute_cdp_cmd(
                    "Emulation.setEmulatedMedia", {"features": [feature]}
                )
                show(driver, page, width)
                ground = driver.execute_script(
                    "return getComputedStyle(document.body).backgroundColor"
                )
                bright = sum(map(int, re.findall(r"\d+", ground)[:3])) > 384
                assert bright is (theme == "light")
            sizes = driver.execute_script(
                "return [...document.querySelectorAll('figure svg')]"
                ".map(e => e.getBoundingClientRect()).map(r => [r.width, r.height])"
            )
            assert len(sizes) == len(panels(report))
            assert all(300 < w <= width and h > 50 for w, h in sizes)
        buttons = "return document.querySelectorAll('ol.findings button').length"
        assert driver.execute_script(buttons) == len(report.findings)
        driver.execute_script("document.querySelector('button').click()")
        loads_nothing(driver, page)


def test_the_report_that_the_documentation_draws_is_one():
    """`docs/figures.py` reads it; a measure that it lacks would stop the figures."""
    root = pathlib.Path(__file__).parents[1]
    kept = json.loads((root / "benchmarks" / "results" / "diagnosis.json").read_text())
    report = keras_rnnx.diagnosis.Report.from_dict(kept)
    assert sorted(report.to_dict()) == sorted(kept)
    assert set(report.layers) == {"lstm", "chrono_gru"}
