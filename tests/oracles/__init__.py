"""The cells once more, in NumPy, written from their papers and not from our code.

Each oracle is a function of one sequence batch `(batch, time, features)`, the weights
by name and the initial states; it returns the outputs and the last states, in float64.
A cell with options has a function of the options that returns its oracle. Each oracle
names the gates in the order of the columns of `kernel`, `recurrent_kernel` and `bias`.
A weight that is left out (`bias`) is zero.

`ORACLES` has them by the names of the registry, with default options.
"""

# ruff: noqa: F401

from oracles.common import blocks, columns, leaky_relu, oracle, relu, sigmoid
from oracles.gated import (
    atr,
    brc,
    cfn,
    janet,
    li_gru,
    minimal_rnn,
    nas,
    nbrc,
    ran,
    rhn,
    star,
    ugrnn,
)
from oracles.grus import (
    gru_v1,
    gru_v3,
    mgu,
    mgu2,
    mgu_reset_after,
    mut1,
    mut2,
    mut3,
)
from oracles.layouts import LAYOUTS, Layout
from oracles.linear import lru, min_gru, min_lstm, qrnn, sru, tgru, tlstm, trnn
from oracles.lstms import (
    cifg,
    lstm,
    lstmp,
    multiplicative_lstm,
    peephole_lstm,
    slstm,
)
from oracles.oscillator import cornn, lem, unicornn
from oracles.ungated import (
    antisymmetric,
    clockwork,
    fast,
    fast_grnn,
    gated_antisymmetric,
    ind_rnn,
    leaky,
    scrn,
    simple,
)

ORACLES = {
    "antisymmetric_rnn": antisymmetric(),
    "atr": atr,
    "brc": brc,
    "cfn": cfn,
    "cifg": cifg,
    "clockwork_rnn": clockwork(),
    "cornn": cornn(),
    "fast_grnn": fast_grnn(),
    "fast_rnn": fast(),
    "gated_antisymmetric_rnn": gated_antisymmetric(),
    "gru": gru_v1,
    "ind_rnn": ind_rnn(),
    "irnn": simple(relu),
    "janet": janet(),
    "leaky_rectifier_rnn": simple(leaky_relu),
    "leaky_rnn": leaky(0.5),
    "lem": lem(),
    "li_gru": li_gru(),
    "lru": lru,
    "lstm": lstm,
    "lstmp": lstmp,
    "mgu": mgu,
    "mgu2": mgu2,
    "min_gru": min_gru,
    "min_lstm": min_lstm,
    "minimal_rnn": minimal_rnn,
    "multiplicative_lstm": multiplicative_lstm,
    "mut1": mut1,
    "mut2": mut2,
    "mut3": mut3,
    "nas": nas,
    "nbrc": nbrc,
    "np_rnn": simple(relu),
    "peephole_lstm": peephole_lstm,
    "qrnn": qrnn(),
    "ran": ran,
    "rhn": rhn(),
    "scrn": scrn(),
    "simple_rnn": simple(),
    "slstm": slstm,
    "sru": sru(),
    "star": star,
    "tgru": tgru,
    "tlstm": tlstm,
    "trnn": trnn,
    "ugrnn": ugrnn,
    "unicornn": unicornn(),
}
