"""Memory over 200 steps: where Keras' LSTM learns nothing, and what does.

Two of 200 numbers are marked, and their sum is the answer. A minute or two a layer on a
core. With seeds and longer sequences: `python -m benchmarks.cures adding`.
"""

import keras
from rich.console import Console
from rich.table import Table

import keras_rnnx
from keras_rnnx import layers
from keras_rnnx.initializers import IdentityRecurrent

LAYERS = {
    "keras.layers.LSTM": lambda: keras.layers.LSTM(64),
    'LSTM(recipe="chrono")': lambda: layers.LSTM(64, recipe="chrono"),
    'LeakyRNN(recipe="leaky"), ReLU, identity': lambda: layers.LeakyRNN(
        64,
        recipe="leaky",  # leak rates for time scales of 1 to 200 steps, learned
        activation="relu",
        recurrent_initializer=IdentityRecurrent(),
    ),
}


def main(length: int = 200, updates: int = 2000) -> dict[str, float]:
    """Trains each layer equally long; returns the test errors."""
    task = keras_rnnx.datasets.load_task("adding", length=length, train=50 * updates)
    table = Table("layer", "parameters", "test error", title=f"{length} steps")
    errors = {}
    for name, make in LAYERS.items():
        keras.utils.set_random_seed(0)
        model = keras.Sequential(
            [keras.Input((length, 2)), make(), keras.layers.Dense(1)]
        )
        model.compile(keras.optimizers.Adam(global_clipnorm=1.0), loss="mse")
        model.fit(*task.train, batch_size=50, epochs=1, verbose=2)
        errors[name] = model.evaluate(*task.test, batch_size=500, verbose=0)
        table.add_row(name, f"{model.count_params():,}", f"{errors[name]:.4f}")
    Console().print(table)
    print("Answering 1 always gives 0.167.")
    return errors


if __name__ == "__main__":
    main()
