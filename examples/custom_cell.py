"""A recurrent cell of one's own in twenty lines, trained with `model.fit`.

A GRU whose gates do not move: each unit learns one number for either gate (variant 3 of
Dey & Salem 2017, arXiv:1701.05923, with the reset gate after the product). Registered,
it is in the catalogue too:

    keras-rnnx tune digits --import examples/custom_cell.py --cells steady_gru,gru \\
        --dir steady
"""

import keras
from keras.ops import sigmoid, tanh

import keras_rnnx
from keras_rnnx.cells import Cell, Lowering, Reference, State


@keras_rnnx.cells.register
class SteadyGRUCell(Cell):
    """GRU with gates that depend on neither input nor state."""

    states = ("h",)
    gates = ("h",)  # blocks of kernel, recurrent kernel and bias
    split = ("h",)  # gates of which W x + b and U h are read apart
    vectors = {"z": keras.initializers.Constant(2.0), "r": "ones"}  # a number per unit
    paper = Reference("Dey & Salem", 2017, "1701.05923")

    def update(self, state, gate, vector):
        z, r = sigmoid(vector.z), sigmoid(vector.r)
        return State(h=z * state.h + (1 - z) * tanh(gate.x.h + r * gate.u.h))

    def lowering(self):
        """Not needed. With it the cell runs on cuDNN's GRU, and on torch's."""
        return Lowering(
            "gru",
            lambda w: {"z": w.held(w.vector.z), "r": w.held(w.vector.r), "h": w.h},
            says="update and reset gate held",
        )


def main(epochs: int = 15) -> float:
    """Trains it to add two marked numbers among fifty; returns the test error."""
    task = keras_rnnx.datasets.load_task("adding", length=50)
    model = keras.Sequential(
        [
            keras.Input(task.input_shape),
            keras_rnnx.layers.RNN(SteadyGRUCell(32)),
            keras.layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.Adam(1e-2, clipnorm=1.0), loss=task.loss)
    model.fit(
        *task.train,
        validation_data=tuple(task.validation),
        batch_size=100,
        epochs=epochs,
        verbose=2,
    )
    error = model.evaluate(*task.test, batch_size=100, verbose=0)
    print(f"mean squared error {error:.4f}; answering 1 always gives 0.167")
    return error


if __name__ == "__main__":
    main()
