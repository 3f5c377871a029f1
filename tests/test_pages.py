"""The pages of the cells, and what they and the terminal are made from."""

import re
from pathlib import Path

import keras
import pytest
from pages import load

import keras_rnnx
from keras_rnnx._docstrings import cell_text, parted
from keras_rnnx.cells._lowering import kernel_uses
from keras_rnnx.inspection import describe

DOCS = Path(__file__).parents[1] / "docs"
PACKAGE = [
    info.name
    for info in keras_rnnx.cells.catalog()
    if info.cls.__module__.startswith("keras_rnnx.")
]


@pytest.fixture
def notation():
    return load(DOCS / "notation.py")


@pytest.fixture
def generator(monkeypatch):
    monkeypatch.syspath_prepend(DOCS)
    return load(DOCS / "cells.py")


class UndescribedCell(keras_rnnx.cells.SimpleRNNCell):
    options = {**keras_rnnx.cells.SimpleRNNCell.options, "strength": 0.5}


class OddNotationCell(keras_rnnx.cells.SimpleRNNCell):
    """A cell.

    `h' = squish(W x)`. Nobody 1999.
    """


@pytest.mark.parametrize(
    ("plain", "expected"),
    [
        ("h' = z h + (1 - z) tanh(a_h)", r"h' = z \, h + (1 - z) \, \tanh(a_h)"),
        ("c' = f c'", r"c' = f \, c'"),
        ("m = (W_m x) * (U_m h)", r"m = (W_m \, x) \odot (U_m \, h)"),
        ("z = W [x_(t-1), x_t]", r"z = W \, [x_{t - 1}, x_t]"),
        ("l1 + u10", "l_{1} + u_{10}"),
        ("s_depth + W_10", r"s_{\mathrm{depth}} + W_{10}"),
        ("dt sigmoid(c) alpha h", r"\Delta t \, \sigma(c) \, \alpha \, h"),
        ("a = exp(-exp(nu) + i theta)", r"a = \exp(-\exp(\nu) + i \, \theta)"),
        ("sqrt(1 - |a|^2) x", r"\sqrt{1 - |a|^2} \, x"),
        ("sqrt((a + b) c)", r"\sqrt{(a + b) \, c}"),
        ("(M - M^T) h", r"(M - M^{\top}) \, h"),
        ("f = sigmoid(...)", r"f = \sigma(\ldots)"),
        ("v >= 0.5", r"v \ge 0.5"),
        ("-gamma", r"-\gamma"),
        ("c' / n'", "c' / n'"),
        ("leaky_relu(a)", r"\mathrm{lrelu}(a)"),
        ("g(v) + g (v)", r"g(v) + g \, (v)"),
    ],
)
def test_notation_as_tex(plain, expected, notation):
    assert notation.tex(plain) == expected


@pytest.mark.parametrize(
    ("equation", "message"),
    [
        ("h' = squish(a)", "name 'squish'"),
        ("h' = a & b", "sign '&'"),
        ("h' = {a}", "sign '{'"),
        ("h' = (a + b", "bracket"),
        ("h' = a) + (b", "bracket"),
        ("h' = [a", "bracket"),
        ("h' = |a", "bar"),
        ("h' = W_ x", "Nothing stands behind"),
        ("h' = sqrt(a", "bracket"),
    ],
)
def test_notation_that_is_not_known_is_an_error(equation, message, notation):
    with pytest.raises(ValueError, match=re.escape(message)):
        notation.tex(equation)


def test_equations_are_parted_from_text():
    assert parted("A net: `h' = f h` with `f = a`, and `g = 2`. Nobody 1999.") == [
        "A net:",
        ["h' = f h", "f = a", "g = 2"],
        "Nobody 1999.",
    ]
    # Neither a call nor an equation of no state is one of these.
    text = "With `reset_after=True` the candidate is `g = a`."
    assert parted(text) == [text]
    assert parted("`h' = a`, `depth` times") == [["h' = a"], "`depth` times"]


def test_a_docstring_is_taken_apart():
    text = cell_text(keras_rnnx.cells.LeakyRNNCell)
    assert text.equations == ("h' = (1 - leak) h + leak tanh(W x + U h + b)",)
    assert text.arguments["leak_trainable"].startswith("whether the rates are learned")
    lru = cell_text(keras_rnnx.cells.LRUCell)
    assert lru.arguments["radius_min"] == lru.arguments["radius_max"] != ""
    assert cell_text(UndescribedCell).equations == ()


@pytest.mark.parametrize("name", PACKAGE)
def test_every_cell_says_its_equation_its_use_and_its_options(name):
    cls = keras_rnnx.cells.registry.lookup(name)
    text = cell_text(cls)
    assert any(re.match(r"\w+' = ", equation) for equation in text.equations)
    assert cls.use.startswith("For ") and cls.paper
    assert all(row.meaning for row in describe.describe(name).options)


def test_the_pages_are_as_the_code_is(generator):
    folder = generator.FOLDER
    files = [*folder.glob("*.md"), *folder.glob("images/*.svg")]
    there = {p.relative_to(folder).as_posix(): p.read_text("utf-8") for p in files}
    there.pop("comparison.md", None)
    assert there == generator.pages(), "run python docs/cells.py"
    pages = {f"{name}.md" for name in PACKAGE}
    images = {f"images/{name}.svg" for name in PACKAGE}
    assert set(there) == {"README.md", *pages, *images}


def test_pages_are_checked_and_written(generator, monkeypatch, tmp_path, capsys):
    current = {"README.md": "index", "lstm.md": "page", "images/lstm.svg": "drawn"}
    monkeypatch.setattr(generator, "pages", lambda: current)
    monkeypatch.setattr(generator, "FOLDER", tmp_path / "cells")
    assert generator.main(["--check"]) == 1
    assert "run python docs/cells.py" in capsys.readouterr().out
    assert not (tmp_path / "cells").exists()
    assert generator.main([]) == 0 == generator.main(["--check"])
    (tmp_path / "cells" / "gone.md").write_text("of a cell that is no more")
    (tmp_path / "cells" / "images" / "old.svg").write_text("of such a cell, too")
    (tmp_path / "cells" / "comparison.md").write_text("of another command")
    assert generator.main(["--check"]) == 1
    assert "gone.md, images/old.svg" in capsys.readouterr().out
    assert generator.main([]) == 0
    left = {p.name for p in (tmp_path / "cells").rglob("*.*")}
    assert left == {"README.md", "lstm.md", "lstm.svg", "comparison.md"}


def test_a_page_of_an_equation_that_is_not_known_is_an_error(generator):
    found = describe.describe("simple_rnn")
    with pytest.raises(ValueError, match="squish"):
        generator.prose("`h' = squish(W x)`.", found)
    # Names in Python stay as they are.
    assert generator.inline("`units`, `LSTMCell`, `a=True`", found) == (
        "`units`, `LSTMCell`, `a=True`"
    )


@pytest.mark.parametrize("name", PACKAGE)
def test_a_kernel_is_had_with_the_arguments_shown(name):
    cls = keras_rnnx.cells.registry.lookup(name)
    uses = kernel_uses.kernels(cls)
    for use in uses:
        assert cls(8, **use.arguments).lowering().kernel == use.kernel
        for left_out in use.arguments:
            rest = {k: v for k, v in use.arguments.items() if k != left_out}
            assert getattr(cls(8, **rest).lowering(), "kernel", "") != use.kernel
    by_default = cls(8).lowering()
    if not isinstance(by_default, str):
        assert by_default.kernel in [u.kernel for u in uses if not u.arguments]


def test_options_matter_where_there_is_a_lowering_alone():
    assert kernel_uses.unjudged(keras_rnnx.cells.AntisymmetricRNNCell) == []
    assert kernel_uses.unjudged(UndescribedCell) == ["strength"]
    assert list(kernel_uses.settings(keras_rnnx.cells.AntisymmetricRNNCell)) == [{}]
    # An option of one's own that cannot be judged keeps its default.
    kinds = [use.kernel for use in kernel_uses.kernels(UndescribedCell)]
    assert kinds == ["rnn_tanh", "rnn_relu"]


def test_a_description_tells_the_kinds_apart():
    mgu = describe.describe("mgu2", features=3, units=5)
    kinds = {row.gate: row.kind for row in mgu.gates}
    assert kinds["f"] == "reads the state alone"
    assert "(late)" in kinds["h"]
    shapes = {row.weight: row.shape for row in mgu.weights}
    assert shapes == {"kernel": (3, 5), "recurrent_kernel": (5, 10), "bias": (5,)}
    assert mgu.parameters == 15 + 50 + 5
    slstm = describe.describe("slstm")
    assert {row.state: row.kind for row in slstm.states}["n"] == "positive"
    qrnn = describe.describe("qrnn", features=3, units=5)
    assert [row.shape for row in qrnn.states] == ["(5,)", "(5,)", "(3,)"]
    assert qrnn.states[1].kind == "linear"
    brc = {row.gate: row.kind for row in describe.describe("brc").gates}
    assert "(diagonal)" in brc["z"] and brc["h"] == "reads the inputs alone"
    nbrc = {row.gate: row.kind for row in describe.describe("nbrc").gates}
    assert "diagonal" not in nbrc["z"]
    assert describe.describe("minimal_rnn").layer == "MinimalRNN"


def test_an_option_means_what_it_does_in_every_cell_unless_it_says_more():
    (row,) = (r for r in describe.describe("scrn").options if r[0] == "use_bias")
    assert row == ("use_bias", "False", "whether the gates have biases.")
    (row,) = (r for r in describe.describe("irnn").options if r[0] == "activation")
    assert row == ("activation", "'relu'", "of the state.")


def test_defaults_are_written_as_in_python():
    value = {
        "class_name": "keras_rnnx>Chrono",
        "config": {"max_steps": 3, "seed": None},
    }
    assert describe.shown(value) == "Chrono(max_steps=3)"
    assert describe.shown("tanh") == "'tanh'"
    assert describe.shown(keras.ops.tanh) == "tanh"
    assert describe.written({"beta": 0.0, "activation": "relu"}) == (
        "beta=0.0, activation='relu'"
    )


def test_a_search_space_is_said_in_words():
    space = describe.search_space(keras_rnnx.cells.LeakyRNNCell)
    said = {p.name: describe.searched(p) for p in space}
    assert said["leak"] == "0.02 to 0.9, on a logarithmic scale"
    assert said["leak_trainable"] == "True or False"
    assert describe.search_space(keras_rnnx.cells.LSTMCell) == []
