"""Leaky integrators."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from keras_rnnx._gates import bound
from keras_rnnx.cells._base.cell import Cell
from keras_rnnx.cells._base.reference import Reference
from keras_rnnx.cells._base.values import State
from keras_rnnx.cells._lowering import families
from keras_rnnx.cells.registry import register
from keras_rnnx.initializers.leak_rates import LeakRates


@register
class LeakyRNNCell(Cell):
    """Leaky integrator network: `h' = (1 - leak) h + leak tanh(W x + U h + b)`.

    A unit with leak rate `leak` forgets over about `1 / leak` steps. Jaeger,
    Lukosevicius, Popovici & Siewert 2007, Neural Networks 20(3); Bengio,
    Boulanger-Lewandowski & Pascanu 2013, arXiv:1212.0901.

    Args:
        units: number of units.
        activation: of the update; "tanh", "relu" and "leaky_relu" are common. Default
            "tanh".
        leak: leak rate in (0, 1], or one per unit, or
            `keras_rnnx.initializers.LeakRates`, which draws them when the cell is built
            (`cell.leak_rates`, a weight that is not trained). At 1 this is a simple
            RNN. Default 0.5.
        leak_trainable: whether the rates are learned, one per unit, starting at
            `leak`, which is then in (0, 1) and stays there. Default False.
        **kwargs: the arguments of `Cell`.

    Raises:
        ValueError: for a leak rate out of range, or a list whose length is not
            `units`.

    Example:

    >>> cell = LeakyRNNCell(4, leak=[0.01, 0.05, 0.2, 1.0])
    >>> keras_rnnx.layers.RNN(cell)(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    states = ("h",)
    gates = ("h",)
    vectors = {"leak": None}
    options = {"activation": "tanh", "leak": 0.5, "leak_trainable": False}
    lowering_values = {"leak": (1.0,)}
    recipes = ("leaky",)
    paper = Reference("Jaeger et al.", 2007)
    use = (
        "For smooth signals and small models, with leak rates near the time "
        "constants of the signal; with learned ones where these are not known."
    )

    def update(self, state, gate, vector):
        moved = gate.drop(self.activation(gate.h)) - state.h
        return State(h=state.h + vector.leak * moved)

    def configure(self):
        self._rates = None
        if isinstance(self.leak, LeakRates):
            if self.leak_trainable and self.leak.shortest == 1:
                raise ValueError(
                    "`leak` must be in (0, 1) where leak_trainable=True; received "
                    "LeakRates with shortest=1, which is a rate of 1. Pass a "
                    "`shortest` above 1."
                )
            return
        if isinstance(self.leak, keras.initializers.Initializer):
            raise ValueError(
                f"`leak` must be a rate, a list of rates or "
                f"keras_rnnx.initializers.LeakRates, whose bounds are known; received "
                f"{type(self.leak).__name__}."
            )
        rates = np.asarray(self.leak, dtype="float64")
        if rates.shape not in ((), (self.units,)):
            raise ValueError(
                f"`leak` must be one rate or a list of units={self.units} rates, "
                f"received shape {rates.shape}."
            )
        top = rates < 1 if self.leak_trainable else rates <= 1
        if not np.all((rates > 0) & top):
            interval = "(0, 1)" if self.leak_trainable else "(0, 1]"
            raise ValueError(f"`leak` must be in {interval}, received {self.leak!r}.")
        self._rates = np.broadcast_to(rates, (self.units,))

    def build_vector(self, name):
        if self.leak_trainable:
            self.leak_logit = self.add_weight(
                shape=(self.units,), name="leak_logit", initializer=self._first_logit
            )
        elif self._rates is None:
            # A weight, so that it is saved.
            self.leak_rates = self.add_weight(
                shape=(self.units,),
                name="leak_rates",
                initializer=bound(self.leak, self, "leak"),
                trainable=False,
            )

    def _first_logit(self, shape, dtype=None):
        if self._rates is None:
            return _logit(bound(self.leak, self, "leak")(shape, dtype=dtype))
        logit = np.log(self._rates) - np.log1p(-self._rates)
        return ops.convert_to_tensor(logit, dtype)

    def coefficients(self):
        if self.leak_trainable:
            return {"leak": ops.sigmoid(self.leak_logit)}
        rates = self.leak_rates if self._rates is None else self._rates
        return {"leak": ops.convert_to_tensor(rates, self.compute_dtype)}

    def lowering(self):
        known = self._rates is not None and not self.leak_trainable
        if known and np.all(self._rates == 1):
            return families.simple(self.activation, *self.zoneout_rates)
        return families.leaky(
            self.activation,
            keep=lambda w: 1 - w.vector.leak,
            write=lambda w: w.vector.leak,
            zoneout=self.zoneout_rates[0],
        )

    @classmethod
    def search_space(cls, hp):
        return {
            "activation": hp.Choice("activation", ["tanh", "relu", "leaky_relu"]),
            "leak": hp.Float("leak", 0.02, 0.9, sampling="log"),
            "leak_trainable": hp.Boolean("leak_trainable", default=True),
        }


def _logit(rates):
    # At leak 1 a tiny share is kept, so that the logit is finite. (The operator, since
    # `ops.maximum` computes float64 in float32 on torch.)
    kept = 1 - rates + float(np.finfo("float32").tiny)
    return ops.log(rates) - ops.log(kept)
