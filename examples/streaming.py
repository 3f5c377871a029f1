"""A network that reads a signal as it comes, one sample at a time.

It learns on whole sequences to say what a noisy sine is without its noise, and then
follows a signal that has no end. `models.stepper` gives the same numbers as the whole
sequence would.

    python examples/streaming.py
"""

import keras
import numpy as np

import keras_rnnx


def signals(n, steps, random):
    """Noisy sines `(n, steps, 1)`, and the same without their noise."""
    time = np.arange(steps) / random.uniform(3, 8, (n, 1)) + random.uniform(
        0, 6, (n, 1)
    )
    clean = np.sin(time)[..., np.newaxis].astype("float32")
    return clean + random.normal(scale=0.3, size=clean.shape).astype("float32"), clean


def main(steps=60, epochs=10):
    keras.utils.set_random_seed(0)
    random = np.random.default_rng(0)
    model = keras.Sequential(
        [
            keras.Input((None, 1)),
            keras_rnnx.layers.Stack("gru", 24, depth=2, return_sequences=True),
            keras.layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), "mse")
    model.fit(*signals(256, steps, random), epochs=epochs, verbose=0)

    noisy, clean = signals(1, steps, random)
    stream = keras_rnnx.models.stepper(model)
    states, heard = stream.init(), []
    for x in noisy[0]:
        y, states = stream.step(x[np.newaxis], states)
        heard.append(keras.ops.convert_to_numpy(y)[0])
    error = np.mean((np.array(heard) - clean[0]) ** 2)
    print(f"squared error of the signal {np.mean((noisy - clean) ** 2):.3f}")
    print(f"squared error of the stream {error:.3f}")
    whole = keras.ops.convert_to_numpy(model(noisy))[0]
    print(f"largest difference to the whole sequence {np.abs(heard - whole).max():.1e}")


if __name__ == "__main__":
    main()
