"""The cells once more, in NumPy, written from their papers and not from our code.

Each oracle is a function of one sequence batch `(batch, time, features)`, the weights
by name and the initial states; it returns the outputs and the last states, in float64.
A cell with options has a function of the options that returns its oracle. Each oracle
names the gates in the order of the columns of `kernel`, `recurrent_kernel` and `bias`.
A weight that is left out (`bias`) is zero.

`ORACLES` has them by the names of the registry, with default options: the file of a
family registers its own. What tests call with other options is imported here.
"""

# ruff: noqa: F401

from oracles import gated, grus, linear, lstms, oscillator, ungated
from oracles.common import blocks, columns, leaky_relu, oracle, relu, sigmoid
from oracles.gated import brc, cfn, janet, nas, nbrc, rhn, ugrnn
from oracles.grus import gru_v1, gru_v3, mgu, mgu2, mgu_reset_after, mut1, mut2, mut3
from oracles.layouts import KEEPING, KERNELS, LAYOUTS, ORACLES, Layout
from oracles.linear import qrnn, sru
from oracles.lstms import cifg, lstm, lstmp, multiplicative_lstm, peephole_lstm, slstm
from oracles.oscillator import unicornn
from oracles.ungated import (
    antisymmetric,
    clockwork,
    fast,
    fast_grnn,
    gated_antisymmetric,
    ind_rnn,
    leaky,
    simple,
)
