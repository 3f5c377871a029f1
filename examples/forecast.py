"""The path of Lorenz' chaotic system, a hundred steps of it, and the next 25.

    python examples/forecast.py

The forecast that repeats the last value is what others are measured by. 1 CPU minute.
"""

import argparse

import keras
import numpy as np

from keras_rnnx import datasets, models


def main(cell="lstm", units=64, steps=20_000, epochs=20, seed=0) -> dict[str, float]:
    """Trains with a falling rate; returns the errors on the end of the path."""
    keras.utils.set_random_seed(seed)
    paths, _ = datasets.drawn.lorenz(np.random.default_rng(seed), 1, steps)
    task = datasets.Task.from_series(paths[0], window=100, horizon=25, stride=5)
    model = models.for_task(task, cell=cell, units=units)
    train = task.batches("train", batch_size=64, seed=seed)
    falling = keras.optimizers.schedules.CosineDecay(3e-3, epochs * len(train))
    task.compile(model, keras.optimizers.Adam(falling, global_clipnorm=1.0))
    validation = task.batches("validation")
    model.fit(train, validation_data=validation, epochs=epochs, verbose=2)
    test = model.evaluate(task.batches("test"), return_dict=True, verbose=0)
    errors = {"mean_squared_error": test["loss"], "mase": test["mase"]}
    print(task.compared(f"{cell}, {units}", **errors))
    _, repeated = task.new_metrics()
    repeated.update_state(task.test.y, np.repeat(task.test.x[:, -1:], 25, axis=1))
    print(f"{float(repeated.result()):8.3f}  last value")
    return errors


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cell", default="lstm")
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    main(**vars(parser.parse_args()))
