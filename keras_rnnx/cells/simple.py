"""The simple recurrent network, and variants that start so that they train well."""

from __future__ import annotations

from keras_rnnx.cells._base.cell import Cell
from keras_rnnx.cells._base.reference import Reference
from keras_rnnx.cells._base.values import State
from keras_rnnx.cells._lowering import families
from keras_rnnx.cells.registry import register


@register
class SimpleRNNCell(Cell):
    """Simple recurrent network: `h' = tanh(W x + U h + b)`.

    Elman 1990, Cognitive Science 14(2). Weights are those of
    `keras.layers.SimpleRNNCell`.

    Args:
        units: number of units.
        activation: of the state. Default "tanh".
        **kwargs: the arguments of `Cell`.

    Example:

    >>> keras_rnnx.layers.RNN(SimpleRNNCell(4))(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    states = ("h",)
    gates = ("h",)
    options = {"activation": "tanh"}
    recipes = ("irnn", "np-rnn")
    feedback_gate = "h"
    paper = Reference("Elman", 1990)
    use = (
        "For dependencies over about ten steps, and as a baseline: over more steps "
        "gradients fade or grow. It has the fewest weights and runs on the vendors' "
        "kernels."
    )

    def update(self, state, gate):
        return State(h=self.activation(gate.h))

    def lowering(self):
        return families.simple(self.activation, *self.zoneout_rates)


@register
class IRNNCell(SimpleRNNCell):
    """Simple ReLU network that starts as the identity: `h' = relu(W x + U h + b)`.

    `U = I`, `b = 0` and small `W` at the start, so that states and gradients are kept.
    Le, Jaitly & Hinton 2015, arXiv:1504.00941.

    Args:
        units: number of units.
        activation: of the state. Default "relu".
        kernel_initializer: default normal with standard deviation 0.001.
        recurrent_initializer: default the identity; `keras.initializers.Identity(0.01)`
            forgets sooner, as the paper does for speech.
        **kwargs: the arguments of `Cell`.

    Example:

    >>> keras_rnnx.layers.RNN(IRNNCell(4))(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    options = {
        "activation": "relu",
        "kernel_initializer": {
            "class_name": "RandomNormal",
            "config": {"stddev": 0.001},
        },
        "recurrent_initializer": "identity",
    }
    recipes = ()
    paper = Reference("Le et al.", 2015, "1504.00941")
    use = (
        "For long dependencies where a gated cell is too slow. It is sensitive to "
        "the learning rate: clip the gradients."
    )


@register(name="np_rnn")
class NPRNNCell(SimpleRNNCell):
    """Simple ReLU network with a normalized positive definite recurrent matrix.

    `h' = relu(W x + U h + b)`, where the largest eigenvalue of `U` is 1 at the start.
    Talathi & Vartak 2015, arXiv:1511.03771.

    Args:
        units: number of units.
        activation: of the state. Default "relu".
        recurrent_initializer: default
            `keras_rnnx.initializers.NormalizedPositiveDefinite()`.
        **kwargs: the arguments of `Cell`.

    Example:

    >>> keras_rnnx.layers.RNN(NPRNNCell(4))(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    options = {
        "activation": "relu",
        "recurrent_initializer": {
            "class_name": "keras_rnnx>NormalizedPositiveDefinite",
            "config": {},
        },
    }
    recipes = ()
    paper = Reference("Talathi & Vartak", 2015, "1511.03771")
    use = (
        "For the tasks of `IRNNCell`. Its first weights forget some directions "
        "sooner than others. Neither cell is better in general: try both."
    )


@register
class LeakyRectifierRNNCell(SimpleRNNCell):
    """Simple network of leaky rectifiers: `h' = leaky_relu(W x + U h + b)`.

    A leaky rectifier multiplies negative values by a small slope: Maas, Hannun & Ng
    2013, ICML workshop on deep learning for audio, speech and language.

    Args:
        units: number of units.
        activation: of the state. Default "leaky_relu", of slope 0.2.
        **kwargs: the arguments of `Cell`.

    Example:

    >>> cell = LeakyRectifierRNNCell(4)
    >>> keras_rnnx.layers.RNN(cell)(np.ones((2, 5, 3), "float32")).shape
    (2, 4)
    """

    options = {"activation": "leaky_relu"}
    recipes = ()
    paper = Reference("Maas et al.", 2013)
    use = (
        "For short sequences on which units of a ReLU network die. Nothing bounds "
        "the states: clip the gradients."
    )
