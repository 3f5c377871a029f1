"""The weights each oracle reads: blocks of columns by gate, and the vectors."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Layout:
    """Gates in the order of the columns of `kernel`, `recurrent_kernel` and `bias`;
    None where there is no such weight."""

    kernel: str
    recurrent_kernel: str | None
    bias: str | None
    vectors: tuple[str, ...] = ()
    states: int = 1
    window: int = 1

    def weights(self, features, units, seed=0):
        """Random ones, all distinct."""
        rng = np.random.default_rng(seed)
        shapes = {"kernel": (self.window * features, len(self.kernel.split()) * units)}
        if self.recurrent_kernel:
            gates = len(self.recurrent_kernel.split())
            shapes["recurrent_kernel"] = (units, gates * units)
        if self.bias:
            shapes["bias"] = (len(self.bias.split()) * units,)
        shapes |= dict.fromkeys(self.vectors, (units,))
        # Small biases: rectifiers should be alive.
        scales = {"bias": 0.2}
        return {
            name: scales.get(name, 0.7) * rng.normal(size=shape)
            for name, shape in shapes.items()
        }

    def first_states(self, batch, units, seed=1):
        rng = np.random.default_rng(seed)
        return [rng.uniform(0.1, 0.9, size=(batch, units)) for _ in range(self.states)]


LAYOUTS = {
    "antisymmetric_rnn": Layout("h", "h", "h"),
    "atr": Layout("h", "h", "h"),
    "brc": Layout("r z h", None, "r z", ("recurrent_r", "recurrent_z")),
    "cfn": Layout("f i c", "f i", "f i"),
    "cifg": Layout("f c o", "f c o", "f c o", states=2),
    "clockwork_rnn": Layout("h", "h", "h", states=2),
    "cornn": Layout("h", "h z", "h", states=2),
    "fast_grnn": Layout("a", "a", None, ("bias_gate", "bias_update", "zeta", "nu")),
    "fast_rnn": Layout("h", "h", "h", ("alpha", "beta")),
    "gated_antisymmetric_rnn": Layout("h z", "s", "h z"),
    "gru": Layout("z r h", "z r h", "z r h"),
    "ind_rnn": Layout("h", None, "h", ("recurrent_kernel",)),
    "irnn": Layout("h", "h", "h"),
    "janet": Layout("f c", "f c", "f c"),
    "leaky_rectifier_rnn": Layout("h", "h", "h"),
    "leaky_rnn": Layout("h", "h", "h"),
    "lem": Layout("d1 d2 z h", "d1 d2 z h", "d1 d2 z h", states=2),
    "li_gru": Layout("z h", "z h", "z h"),
    "lru": Layout("re im d", "c_re c_im", "d", ("nu", "theta"), states=3),
    "lstm": Layout("i f c o", "i f c o", "i f c o", states=2),
    "lstmp": Layout("i f c o", "i f c o", "i f c o", states=2),
    "mgu": Layout("f h", "f h", "f h"),
    "mgu2": Layout("h", "f h", "h"),
    "min_gru": Layout("z h", None, "z h"),
    "min_lstm": Layout("f i h", None, "f i h"),
    "minimal_rnn": Layout("z", "f m", "z f"),
    "multiplicative_lstm": Layout("m i f c o", "m i f c o", "i f c o", states=2),
    "mut1": Layout("z r i", "r h", "z r h"),
    "mut2": Layout("z r h", "z r h", "z r h"),
    "mut3": Layout("z r h", "z r h", "z r h"),
    "nas": Layout(*["g1 g2 g3 g4 g5 g6 g7 g8"] * 3, states=2),
    "nbrc": Layout("r z h", "r z", "r z"),
    "np_rnn": Layout("h", "h", "h"),
    "peephole_lstm": Layout(
        *["i f c o"] * 3, ("peephole_i", "peephole_f", "peephole_o"), states=2
    ),
    "qrnn": Layout("z f o", None, "z f o", states=2, window=2),
    "ran": Layout("i f c", "i f", "i f", states=2),
    "rhn": Layout("h1 t1", "h1 t1 h2 t2", "h1 t1 h2 t2"),
    "scrn": Layout("s h", "h p", None, states=2),
    "simple_rnn": Layout("h", "h", "h"),
    "slstm": Layout("i f z o", "i f z o", "i f z o", states=4),
    "sru": Layout("c f r s", None, "f r", ("peephole_f", "peephole_r"), states=2),
    "star": Layout("k z", "k", "k z"),
    "tgru": Layout("z f o", None, "z f o", window=2),
    "tlstm": Layout("z f o", None, "z f o", states=2, window=2),
    "trnn": Layout("z f", None, "f"),
    "ugrnn": Layout("g c", "g c", "g c"),
    "unicornn": Layout("h", None, "h", ("w", "c"), states=2),
}
