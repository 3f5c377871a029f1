"""A recurrent cell of one's own in ten lines, trained with `model.fit`.

The minimal gated unit (Zhou, Wu, Zhang & Zhou 2016, arXiv:1603.09420): a GRU with a
single gate. Registered, it is in the catalogue too:

    keras-rnnx tune digits --import examples/custom_cell.py --cells mgu,gru --dir mgu
"""

import keras

import keras_rnnx
from keras_rnnx.cells import Cell, State


@keras_rnnx.cells.register
class MGUCell(Cell):
    """Minimal gated unit."""

    states = ("h",)
    gates = ("f", "h")
    late = ("h",)

    def update(self, state, gate):
        f = keras.ops.sigmoid(gate.f)
        candidate = keras.ops.tanh(gate.x.h + gate.u.h(f * state.h))
        return State(h=(1 - f) * state.h + f * candidate)


def main(epochs: int = 15) -> float:
    """Trains it to add two marked numbers among fifty; returns the test error."""
    task = keras_rnnx.datasets.load_task("adding", length=50)
    model = keras.Sequential(
        [
            keras.Input(task.input_shape),
            keras_rnnx.layers.RNN(MGUCell(32)),
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
