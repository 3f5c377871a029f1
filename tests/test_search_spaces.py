"""Search spaces of cells: what is drawn, a cell takes."""

import math

import keras_tuner
import numpy as np
import pytest
from tensors import numpy

from keras_rnnx import cells, layers
from keras_rnnx.cells import Cell, State
from keras_rnnx.cells.ranges import Boolean, Choice, Int, Log, Uniform
from keras_rnnx.inspection import describe
from keras_rnnx.tuner import HyperRNN

OURS = {
    row.name: row.cls
    for row in cells.catalog()
    if row.cls.__module__.startswith("keras_rnnx.")
}
RHN = cells.RHNCell
# Options that are numbers and are not searched over, and why.
WITHOUT = {
    ("lru", "radius_max"): "the ring is moved by its lower bound, which stays below",
}


def space(name):
    hp = keras_tuner.HyperParameters()
    return OURS[name].search_space(hp), hp


def values(hyperparameter):
    """Default and extreme values of a drawn hyperparameter."""
    if hasattr(hyperparameter, "min_value"):
        found = [hyperparameter.min_value, hyperparameter.max_value]
    else:
        found = list(hyperparameter.values)
    return [hyperparameter.default, *found]


@pytest.mark.parametrize("name", OURS)
def test_what_is_drawn_makes_a_cell(name):
    """At both ends of each range, and what is drawn is what the cell has."""
    drawn, hp = space(name)
    assert set(drawn) <= set(OURS[name].options)
    assert {p.name for p in hp.space} == set(drawn)
    for parameter in hp.space:
        for value in values(parameter):
            hp = keras_tuner.HyperParameters()
            hp.values[parameter.name] = value
            arguments = OURS[name].search_space(hp)
            config = OURS[name](9, **arguments).get_config()
            taken = OURS[name](9, **{parameter.name: arguments[parameter.name]})
            assert config[parameter.name] == taken.get_config()[parameter.name]


@pytest.mark.parametrize("name", OURS)
def test_a_search_begins_at_the_defaults(name):
    if "search_space" in vars(OURS[name]):
        return
    drawn, _ = space(name)
    for option, value in drawn.items():
        assert value == OURS[name].options[option]


@pytest.mark.parametrize("name", OURS)
def test_an_option_that_is_a_number_has_a_range(name):
    numbers = {
        option
        for option, default in OURS[name].options.items()
        if isinstance(default, int | float) and not isinstance(default, bool)
    }
    left_out = {option for cell, option in WITHOUT if cell == name}
    assert numbers - left_out <= set(space(name)[0])
    assert not left_out & set(space(name)[0])


def test_the_ends_of_ranges_do_not_diverge():
    """A long sequence at either end of all ranges at once."""
    x = np.random.default_rng(0).normal(size=(1, 200, 2)).astype("float32")
    for name in ("cornn", "unicornn", "lem", "antisymmetric_rnn"):
        for end in (0, -1):
            options = {k: v.examples()[end] for k, v in OURS[name].search.items()}
            outputs = layers.RNN(OURS[name](4, **options))(x)
            assert np.abs(numpy(outputs)).max() < 1e3, name


def test_pages_tell_of_it():
    said = {p.name: describe.searched(p) for p in describe.search_space(RHN)}
    assert said == {"depth": "1 to 10", "transform_bias": "-4.0 to -1.0"}


class SearchedCell(Cell):
    """One option of each kind."""

    states = ("h",)
    gates = ("h",)
    options = {"a": 0.5, "b": 0.1, "c": 3, "d": True, "e": "x", "f": (1, 2), "g": 1.0}
    search = {
        **{"a": Uniform(0, 1), "b": Log(0.01, 1), "c": Int(1, 4), "d": Boolean()},
        **{"e": Choice(["x", "y"]), "f": Choice({"few": (1, 2), "many": (1, 2, 4)})},
    }

    def update(self, state, gate):
        return State(h=gate.h)


def test_each_kind_of_range():
    hp = keras_tuner.HyperParameters()
    defaults = {"a": 0.5, "b": 0.1, "c": 3, "d": True, "e": "x", "f": (1, 2)}
    assert SearchedCell.search_space(hp) == defaults
    a, b, c, d, e, f = hp.space
    assert (a.min_value, a.max_value, a.sampling) == (0, 1, "linear")
    assert (b.min_value, b.max_value, b.sampling) == (0.01, 1, "log")
    assert (c.min_value, c.max_value, c.default) == (1, 4, 3)
    assert (type(d).__name__, d.default) == ("Boolean", True)
    assert (e.values, f.values, f.default) == (["x", "y"], ["few", "many"], "few")
    hp = keras_tuner.HyperParameters()
    hp.values = {"a": 0.25, "b": 0.02, "c": 1, "d": False, "e": "y", "f": "many"}
    assert SearchedCell.search_space(hp) == {**hp.values, "f": (1, 2, 4)}


def test_it_reaches_the_hypermodel():
    hp = keras_tuner.HyperParameters()
    hp.values = {"cell": "clockwork_rnn", "layers": 1, "units": 33}
    hp.values |= {"clockwork_rnn/periods": "1-32"}
    model = HyperRNN((4, 2), cells=["gru", "clockwork_rnn"]).build(hp)
    cell = model.get_layer("stack").layers[0].cell
    assert (cell.units, cell.periods) == (33, (1, 2, 4, 8, 16, 32))


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ([], r"`search` must map options to ranges, not \[\]"),
        ({"speed": Int(1, 2)}, "names 'speed', which is not in `options`; .*'speeds'"),
        ({"speeds": (1, 2)}, r"holds speeds=\(1, 2\); write one of keras_rnnx.cells"),
        ({"speeds": Uniform}, "holds speeds=<class"),
        ({"speeds": Int(2, 4)}, "does not hold the default of `options`, speeds=1"),
        ({"speeds": Boolean()}, "does not hold the default"),
        ({"speeds": Choice([2, 4])}, "does not hold the default"),
    ],
)
def test_a_wrong_declaration_is_explained_when_the_class_is_made(search, message):
    body = {"states": ("h",), "gates": ("h",), "options": {"speeds": 1}}
    body["update"] = lambda self, state, gate: state
    with pytest.raises(TypeError, match=message):
        type("WrongCell", (Cell,), body | {"search": search})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Uniform(2, 1),
            r"Uniform goes from a number to a larger.*\(2, 1",
        ),
        (lambda: Uniform(math.nan, 1), "to a larger one"),
        (lambda: Int(1, 2.5), r"larger one, both whole; received \(1, 2.5\)"),
        (lambda: Int(False, True), "both whole"),
        (lambda: Log(0, 1), r"Log needs bounds above 0, received \(0, 1\)"),
        (lambda: Choice(["one"]), r"two values or more, received \['one'\]"),
    ],
)
def test_a_wrong_range_is_explained(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def std(weight):
    return float(np.std(numpy(weight)))


def test_first_weights_are_those_of_the_authors():
    features, units = 200, 150

    def made(name, **kwargs):
        cell = cells.get(name, units, **kwargs)
        cell.build((None, features))
        return cell

    def blocks(weight, n):
        return np.split(numpy(weight), n, axis=-1)

    sru = made("sru")
    variances = [np.var(block) * features for block in blocks(sru.kernel, 4)]
    np.testing.assert_allclose(variances, [1, 0.5, 0.5, 3], rtol=0.05)
    assert not np.allclose(*blocks(sru.kernel, 4)[1:3])
    assert std(sru.peephole_f) == pytest.approx(0.5**0.5, rel=0.2)
    lru = made("lru")
    variances = [np.var(block) * features for block in blocks(lru.kernel, 3)]
    np.testing.assert_allclose(variances, [0.5, 0.5, 1], rtol=0.05)
    assert np.var(lru.recurrent_kernel) * units == pytest.approx(1, rel=0.05)
    lem = made("lem")
    for weight in (lem.kernel, lem.recurrent_kernel, lem.bias):
        assert np.abs(weight).max() == pytest.approx(units**-0.5, rel=0.02)
        assert std(weight) == pytest.approx((3 * units) ** -0.5, rel=0.1)
    for name in ("ind_rnn", "unicornn"):
        cell = made(name)
        assert np.var(cell.kernel) * features == pytest.approx(2 / 65, rel=0.05)
        assert 0 <= np.min(cell.recurrent_kernel) < 0.1
        assert 0.9 < np.max(cell.recurrent_kernel) <= 1
    assert std(made("fast_grnn").recurrent_kernel) == pytest.approx(0.1, rel=0.05)
    np.testing.assert_array_equal(made("brc").recurrent_kernel, 1)
    forget, written = blocks(made("cfn").bias, 2)
    assert (forget == 1).all() and (written == -1).all()
    assert not np.any(made("cfn", unit_forget_bias=False).bias)
    assert not np.any(made("ran").bias)
    assert made("nas").bias is None
    slstm = made("slstm")
    assert not np.any(numpy(slstm.recurrent_kernel))
    assert [np.ptp(block) for block in blocks(slstm.bias, 4)] == [0, 3, 0, 0]
    assert blocks(slstm.bias, 4)[1][[0, -1]].tolist() == [3, 6]
    assert not np.any(blocks(made("slstm", forget_bias=None).bias, 1))
    for wrong in (3.0, (1, 2, 3), (1, "high")):
        with pytest.raises(ValueError, match="forget_bias"):
            cells.get("slstm", 4, forget_bias=wrong)


def test_two_cells_start_apart():
    """Defaults are configs: each cell has an initializer of its own."""
    first, second = (cells.get("sru", 4) for _ in range(2))
    for cell in (first, second):
        cell.build((None, 3))
    assert np.abs(np.subtract(first.kernel, second.kernel)).max() > 1e-3
