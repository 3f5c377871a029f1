"""The fuzzer: a defect is found, shrunk and shown, and it draws all there is."""

import re

import pytest
from fuzz import __main__ as fuzz
from fuzz import drawing
from fuzz.case import Case
from fuzz.comparing import Difference, check, ways
from fuzz.running import built

from keras_rnnx.cells.registry import lookup
from keras_rnnx.engine.sequence import SequenceEngine


@pytest.fixture
def defect(monkeypatch):
    """An engine that reads `zero_output_for_mask=True` as False."""
    run = SequenceEngine.__call__

    def wrong(self, *arguments, zero_output_for_mask, **options):
        return run(self, *arguments, zero_output_for_mask=False, **options)

    monkeypatch.setattr(SequenceEngine, "__call__", wrong)


def test_a_defect_is_found_shrunk_and_shown(
    seeds_as_stated, defect, monkeypatch, capsys
):
    status = fuzz.main(["--seed", "16", "--fills", "0"])
    said = capsys.readouterr().out
    assert status == 1
    assert re.search(r"\d+ cases of \d+ cells on torch in \d+ s: one differs", said)
    assert re.search(
        r"To draw it again: make fuzz KERAS_BACKEND=torch SEED=\d+ CASES=1", said
    )
    program = said[said.index('"""The planned engine differs') :]
    (made,) = re.findall(r"def tested\(\):\n    return (.*)\n", program)
    # The smallest case in which it can be seen.
    layer = "layers.RNN(cells.get('simple_rnn', units=1), zero_output_for_mask=True)"
    assert made == layer
    assert "call = dict(shape=(1, 2, 1), mask=((True, False),))" in program
    exec(compile(program, "shown", "exec"), {})
    assert capsys.readouterr().out.startswith("result 0\n")
    monkeypatch.undo()
    exec(compile(program, "shown", "exec"), {})
    assert capsys.readouterr().out == ""


def test_a_seed_draws_the_same_again(monkeypatch, capsys):
    drawn = []
    monkeypatch.setattr(fuzz, "run", drawn.append)
    for _ in range(2):
        assert fuzz.main(["--seed", "5", "--cases", "30"]) == 0
        assert "30 cases of" in capsys.readouterr().out
    assert drawn[:30] == drawn[30:]
    assert len({case.cell for case in drawn}) > 15


def test_some_cases():
    """Of several kinds of layers and masks, and none differs."""
    fuzzer = fuzz.Fuzzer(7, 600, 12, fills=(0.0,))
    difference = fuzzer.run()
    assert difference is None, difference.program
    assert fuzzer.seen.total() == 12


def test_an_error_is_a_difference():
    with pytest.raises(Difference, match="ValueError: .*no argument 'gate'"):
        check(Case(arguments={"gate": 1}))


@pytest.mark.parametrize("name", drawing.NAMES)
def test_every_option_is_drawn_or_known_to_say_how_weights_start(name):
    for option in lookup(name).options:
        if option != "use_bias":
            drawing.values(name, option, 4)


@pytest.mark.parametrize(
    ("case", "engines"),
    [
        (Case("min_gru"), [(), ("fused",)]),
        (Case("lstm"), [(), ("fused",)]),
        (Case("lem"), [()]),
        (
            Case("lstm", (2, 2), kind="stack"),
            [(), ("native", False), ("native", True), ("fused", False)],
        ),
        (
            Case("lem", mask=((False,),), fill=1e38),
            [(), ("step",)],
        ),
        (
            Case("lstm", loop={"checkpoint": 2}, training=True),
            [(), ("fused",)],
        ),
    ],
)
def test_every_engine_is_compared(case, engines):
    layer = built(lambda: case.make(case.tested), case.shape, case.seed)
    assert list(ways(case, layer)) == engines
