"""Every registered cell with its variants, and the oracle for each."""

import keras
import numpy as np
import oracles
from tensors import randomize

from keras_rnnx import cells, engine, layers, testing
from keras_rnnx.engine import backends

UNITS = 7
RATES = np.linspace(0.1, 1.0, UNITS).tolist()

# name of the variant: (catalogue name, arguments, oracle)
VARIANTS = {
    "lstm": ("lstm", {}, oracles.lstm),
    "cifg": ("cifg", {}, oracles.cifg),
    "gru": ("gru", {}, oracles.gru_v1),
    "gru_reset_before": ("gru", {"reset_after": False}, oracles.gru_v3),
    "ugrnn": ("ugrnn", {}, oracles.ugrnn),
    "janet": ("janet", {}, oracles.janet(1.0)),
    "janet_coupled": ("janet", {"beta": 0.0}, oracles.janet(0.0)),
    "mgu": ("mgu", {}, oracles.mgu),
    "mgu_reset_after": ("mgu", {"reset_after": True}, oracles.mgu_reset_after),
    "simple_rnn": ("simple_rnn", {}, oracles.simple()),
    "simple_rnn_relu": (
        "simple_rnn",
        {"activation": "relu"},
        oracles.simple(oracles.relu),
    ),
    "simple_rnn_sigmoid": (
        "simple_rnn",
        {"activation": "sigmoid"},
        oracles.simple(oracles.sigmoid),
    ),
    "simple_rnn_leaky_relu": (
        "simple_rnn",
        {"activation": "leaky_relu"},
        oracles.simple(oracles.leaky_relu),
    ),
    "irnn": ("irnn", {}, oracles.simple(oracles.relu)),
    "np_rnn": ("np_rnn", {}, oracles.simple(oracles.relu)),
    "leaky_rnn": ("leaky_rnn", {}, oracles.leaky(0.5)),
    "leaky_rnn_sigmoid": (
        "leaky_rnn",
        {"activation": "sigmoid", "leak": RATES},
        oracles.leaky(RATES, oracles.sigmoid),
    ),
    "leaky_rnn_relu": (
        "leaky_rnn",
        {"leak": RATES, "activation": "relu"},
        oracles.leaky(RATES, oracles.relu),
    ),
    "leaky_rnn_leaky_relu": (
        "leaky_rnn",
        {"leak": RATES, "activation": "leaky_relu"},
        oracles.leaky(RATES, oracles.leaky_relu),
    ),
    "leaky_rnn_learned": (
        "leaky_rnn",
        {"leak": 0.3, "leak_trainable": True, "activation": "leaky_relu"},
        oracles.leaky(None, oracles.leaky_relu),
    ),
    "fast_rnn": ("fast_rnn", {}, oracles.fast()),
    "fast_rnn_relu": ("fast_rnn", {"activation": "relu"}, oracles.fast(oracles.relu)),
}


def renamed(oracle, names):
    """An oracle that goes by other names of the blocks of `recurrent_kernel`."""

    def run(x, weights, states):
        parts = np.split(weights["recurrent_kernel"], len(names))
        return oracle(x, {**weights, **dict(zip(names, parts))}, states)

    return run


def without_peepholes(oracle):
    zeros = dict.fromkeys(["peephole_f", "peephole_r"], 0.0)
    return lambda x, weights, states: oracle(x, weights | zeros, states)


# All others with one variant, and further ones where an option changes the equation.
ALIKE = {
    "brc": renamed(oracles.brc, ["recurrent_r", "recurrent_z"]),
    "unicornn": renamed(oracles.unicornn(), ["w"]),
}
NAMED = {name for name, _, _ in VARIANTS.values()}
VARIANTS |= {
    name: (name, {}, ALIKE.get(name, oracle))
    for name, oracle in oracles.ORACLES.items()
    if name not in NAMED and name in cells.names()
}
VARIANTS |= {
    "clockwork_rnn": ("clockwork_rnn", {"units": 8}, oracles.clockwork()),
    "clockwork_rnn_uneven": ("clockwork_rnn", {}, oracles.clockwork()),
    "nas_biased": ("nas", {"use_bias": True}, oracles.nas),
    "rhn_three": ("rhn", {"depth": 3}, oracles.rhn(depth=3)),
    "rhn_carry": ("rhn", {"coupled": False}, oracles.rhn(coupled=False)),
    "lstmp_narrow": ("lstmp", {"projection_units": 2}, oracles.lstmp),
    "lstmp_square": ("lstmp", {"projection_units": UNITS}, oracles.lstmp),
    "lstmp_wide": ("lstmp", {"projection_units": 9}, oracles.lstmp),
    "qrnn_three": ("qrnn", {"window": 3}, oracles.qrnn(window=3)),
    "sru_linear": ("sru", {"peepholes": False}, without_peepholes(oracles.sru())),
    "antisymmetric_rnn_far": (
        "antisymmetric_rnn",
        {"epsilon": 0.5, "gamma": 0.3},
        oracles.antisymmetric(epsilon=0.5, gamma=0.3),
    ),
}

# The engine of an LSTM, a GRU or a SimpleRNN: with torch a kernel also on the CPU.
BEST = backends.current().kernels()[0] or "fused"
# Those that a vendor's kernel computes.
WITH_LOWERING = {
    *oracles.KERNELS,
    *("janet_coupled", "mgu_reset_after", "lstmp_narrow", "fast_rnn_relu"),
    *("simple_rnn_relu", "simple_rnn_sigmoid", "simple_rnn_leaky_relu"),
    *(name for name in VARIANTS if name.startswith("leaky_rnn")),
}
WITHOUT_LOWERING = tuple(name for name in VARIANTS if name not in WITH_LOWERING)

# The conformance suite takes a second or two a cell on torch, where all cells go
# through it, and 10 to 20 where loops are compiled. There it runs once for each kind of
# equation (sums of the parts, split, late, of one part alone, diagonal, with a matrix
# made of the kernel, with vectors, with counts, linear, complex, with a window, with a
# projection) and each kind of lowering (as it is, gates tied, a gate held, the state
# rescaled, units repeated, inputs made or given in). The others differ from one of
# these in an activation or in how the parts are put together: oracle, finite
# differences and, where there are kernels, test_lowering.py cover them. Nor does each
# kind meet every case there, see `cases`. --everything runs all cases for all cells.
CONFORMING = (
    *("lstm", "cifg", "gru", "gru_reset_before", "janet", "mgu_reset_after"),
    *("simple_rnn", "leaky_rnn", "leaky_rnn_relu", "leaky_rnn_learned", "fast_rnn"),
    *("ind_rnn", "minimal_rnn", "nas", "antisymmetric_rnn", "clockwork_rnn"),
    *("min_gru", "qrnn", "lru", "lstmp_wide"),
)
if keras.backend.backend() == "torch":
    CONFORMING = tuple(VARIANTS)

# What every kind of cell goes through: any mask, in reverse, and all that is drawn.
COMMON = ("holes, backwards", "masks of every step, zoneout, float64")


def cases(variant=None, everything=False):
    """The cases of `check_cell` for a variant, or for a cell of a test's own.

    Where loops are compiled three of the others follow the common ones, in turn, so
    that each case meets five or six kinds of cells.
    """
    if everything or keras.backend.backend() == "torch":
        return testing.CASES
    common = [case for case in testing.CASES if case.name in COMMON]
    others = [case for case in testing.CASES if case.name not in COMMON]
    first = 3 * CONFORMING.index(variant) if variant else 0
    return [*common, *(others[(first + k) % len(others)] for k in range(3))]


def make(variant, **kwargs):
    name, arguments, _ = VARIANTS[variant]
    return cells.get(name, **{"units": UNITS, **arguments, **kwargs})


def built(variant, features=4, **kwargs):
    """A layer with random weights that returns sequences."""
    layer = layers.RNN(make(variant), return_sequences=True, **kwargs)
    layer.build((None, None, features))
    randomize(layer)
    return layer


def first_states(layer, rng, batch, features):
    """Random states, of the kinds that a cell takes."""
    cell = layer.cell
    widths = cell.state_widths
    found = {k: 0.5 * rng.normal(size=(batch, widths[k])) for k in cell.states}
    for name, kind in cell.state_kinds.items():
        counts = np.ones_like(found[name])
        found[name] = counts if kind == "count" else 1 + np.abs(found[name])
    if cell.window > 1:
        size = (batch, (cell.window - 1) * features)
        found["window"] = rng.normal(size=size)
    return list(found.values())


def engines(variant, layer, training=True):
    """The engines that can run a layer; with torch on the CPU its kernel is one."""
    found = [e for e in engine.ENGINES if not engine.refusal(layer, e, training)]
    if keras.backend.backend() == "torch" and not keras.ops.zeros(()).is_cuda:
        assert ("native" in found) == (variant not in WITHOUT_LOWERING)
    return found
