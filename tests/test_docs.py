"""Pages say what the code does: their tables are current, their examples run."""

import re
from pathlib import Path

import keras
import pytest
from pages import load

import keras_rnnx
from keras_rnnx.cells import registry
from keras_rnnx.datasets import registry as tasks
from keras_rnnx.engine import backends

ROOT = Path(__file__).parents[1]
PAGES = ["README.md", *sorted(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))]
BACKEND = keras.backend.backend()


@pytest.fixture(autouse=True)
def beside_each_other(monkeypatch):
    """The programs of pages, as they are where one of them is run."""
    monkeypatch.syspath_prepend(ROOT / "docs")


@pytest.fixture
def kernels():
    return load(ROOT / "docs" / "kernels.py")


@pytest.fixture
def catalogue_copy(monkeypatch):
    """What is registered in the test is not there after it."""
    monkeypatch.setattr(registry, "_CELLS", dict(registry._CELLS))
    monkeypatch.setattr(tasks, "_TASKS", dict(tasks._TASKS))


@pytest.mark.any_backend
def test_the_table_of_kernels_is_as_the_code_is(kernels):
    text = kernels.PAGE.read_text()
    assert kernels.page(text) == text, "run python docs/kernels.py"
    assert kernels.main(["--check"]) == 0


@pytest.mark.any_backend
def test_the_tables_of_what_was_measured_are_as_the_results_are():
    performance = load(ROOT / "docs" / "performance.py")
    text = performance.PAGE.read_text()
    assert performance.page(text) == text, "run python docs/performance.py"
    assert performance.main(["--check"]) == 0


@pytest.mark.any_backend
def test_tables_of_what_was_measured_are_written_anew(tmp_path, monkeypatch, capsys):
    performance = load(ROOT / "docs" / "performance.py")
    current = performance.PAGE.read_text()
    monkeypatch.setattr(performance, "PAGE", tmp_path / "performance.md")
    performance.PAGE.write_text(current.replace("| LSTM |", "| old |"))
    assert performance.main(["--check"]) == 1
    assert "run python docs/performance.py" in capsys.readouterr().out
    assert performance.main([]) == 0
    assert performance.PAGE.read_text() == current


@pytest.mark.any_backend
def test_the_table_has_every_cell_of_the_package(kernels):
    rows = [line for line in kernels.tables().splitlines() if line.startswith("| `")]
    listed = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    package = {
        info.name
        for info in keras_rnnx.cells.catalog()
        if info.cls.__module__.startswith("keras_rnnx.")
    }
    assert package and package <= listed


@pytest.mark.any_backend
@pytest.mark.parametrize("of_package", [True, False])
def test_a_new_cell_is_missed_if_it_is_the_packages(
    of_package, kernels, catalogue_copy, capsys
):
    class NewDocsCell(keras_rnnx.cells.SimpleRNNCell):
        """A cell added since."""

        __module__ = "keras_rnnx.cells.new" if of_package else "mine"

    before = kernels.PAGE.read_text()
    keras_rnnx.cells.register(NewDocsCell)
    assert kernels.main(["--check"]) == of_package
    assert kernels.PAGE.read_text() == before
    if of_package:
        assert "`new_docs`" in kernels.tables()
        assert "run python docs/kernels.py" in capsys.readouterr().out


def test_a_lowering_that_has_changed_is_noticed(kernels, monkeypatch):
    monkeypatch.setattr(
        keras_rnnx.cells.LSTMCell, "lowering", lambda self: "none any more"
    )
    assert kernels.main(["--check"]) == 1


def test_an_option_the_table_cannot_judge_is_an_error(kernels):
    class UnknownDocsCell(keras_rnnx.cells.SimpleRNNCell):
        options = {"strength": 0.5}

    with pytest.raises(ValueError, match="'strength' of UnknownDocsCell"):
        list(kernels.settings(UnknownDocsCell))


def test_the_back_ends_in_the_table_have_the_kernel(kernels):
    refusal = backends.current().kernel_refusal
    for kernel, served in kernels.SERVED.items():
        named = BACKEND in map(str.lower, served)
        assert named == (refusal(kernel, "float32") is None)


def blocks(page):
    return re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(), re.M | re.S)


@pytest.mark.slow
@pytest.mark.cases(3)
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)])
def test_the_examples_of_a_page_run(page, catalogue_copy, monkeypatch, tmp_path):
    """One after the other, as in one session."""
    monkeypatch.chdir(tmp_path)
    if BACKEND != "torch":
        # It takes 10 to 25 seconds elsewhere.
        monkeypatch.setattr(keras_rnnx.testing, "check_cell", registry.lookup)
    session = {"__name__": "session"}
    for number, block in enumerate(blocks(page), 1):
        # With the lines of the page, for tracebacks.
        exec(compile(block, f"{page}, example {number}", "exec"), session)


@pytest.mark.any_backend
def test_every_cell_says_what_to_take_it_for():
    package = [
        info.cls
        for info in keras_rnnx.cells.catalog()
        if info.cls.__module__.startswith("keras_rnnx.")
    ]
    assert len(package) >= 48
    assert not [cls for cls in package if not cls.use.strip()]


@pytest.mark.any_backend
def test_the_page_of_which_cell_knows_the_cells_that_it_names():
    text = (ROOT / "docs" / "choosing.md").read_text()
    advice = text.split("## By what you need")[1].split("\n```")[0]
    table = "\n".join(line for line in advice.splitlines() if line.startswith("|"))
    named = set(re.findall(r"`([A-Z]\w+)(?:\(|`)", table)) - {"IdentityRecurrent"}
    assert named and named <= set(vars(keras_rnnx.layers))


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    text = (ROOT / page).read_text()
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = target.partition("#")
        if "//" in path:
            continue
        found = (ROOT / page).parent / path if path else ROOT / page
        assert found.exists(), target
        if anchor:
            titles = re.findall(r"^#+ (.*)$", found.read_text(), re.M)
            plain = [re.sub(r"[^\w\- ]", "", t.lower()) for t in titles]
            assert anchor in [t.replace(" ", "-") for t in plain], target


@pytest.mark.skipif(BACKEND != "torch", reason="the pages show torch's")
@pytest.mark.parametrize("page", ["README.md", "docs/getting_started.md"])
def test_the_explanation_on_a_page_is_what_is_printed(page, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "88")
    keras.utils.clear_session()
    exec(blocks(page)[0], {"__name__": "session"})
    printed = "".join(f"    {line}\n" for line in capsys.readouterr().out.splitlines())
    assert printed.count("\n") > 4
    if backends.current().kernels()[0] != "cudnn":
        assert printed in (ROOT / page).read_text()


@pytest.mark.any_backend
def test_the_example_of_a_cell_of_ones_own_learns(catalogue_copy, monkeypatch, capsys):
    example = load(ROOT / "examples" / "custom_cell.py")
    assert registry.lookup("steady_gru") is example.SteadyGRUCell
    if BACKEND == "torch":
        report = keras_rnnx.testing.check_cell("steady_gru")
        assert "fused" in report.engines and len(report.engines) == 3
    load_task = keras_rnnx.datasets.load_task

    def small(name, length):
        return load_task(name, length=5, train=5000, validation=100, test=500)

    monkeypatch.setattr(keras_rnnx.datasets, "load_task", small)
    keras.utils.set_random_seed(0)
    assert example.main(epochs=4) < 0.12  # answering 1 always: 0.167
    assert "mean squared error" in capsys.readouterr().out
