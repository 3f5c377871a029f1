"""Chorales of Bach: which of 88 notes sound next, by two GRUs with weight dropout.

    python examples/chorales.py --manual-dir RAW

RAW holds JSB_Chorales.mat; without it the file is downloaded. Prints the negative
log-likelihood of a frame in nats, the trivial one, and those of papers.
One CPU minute.
"""

import argparse

import keras

from keras_rnnx import datasets, models


def main(cell="gru", units=200, epochs=100, seed=0, **folders) -> float:
    """Trains until the validation part gains no more; returns the test figure."""
    keras.utils.set_random_seed(seed)
    task = datasets.load_task("jsb_chorales", **folders)
    model = models.for_task(
        task,
        cell=cell,
        units=units,
        depth=2,
        weight_dropout=0.3,  # on the recurrent kernels
    )
    task.compile(model, keras.optimizers.Adam(1e-3, global_clipnorm=1.0))
    name, direction = task.objective
    best = keras.callbacks.EarlyStopping(
        name, mode=direction, patience=10, restore_best_weights=True
    )
    model.fit(
        task.batches("train", batch_size=4, seed=seed),
        validation_data=task.batches("validation", batch_size=16),
        epochs=epochs,
        callbacks=[best],
        verbose=2,
    )
    test = model.evaluate(task.batches("test"), return_dict=True, verbose=0)
    print(task.compared(f"{cell}, 2 x {units}", frame_nll=test["frame_nll"]))
    return test["frame_nll"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--manual-dir", help="folder of the raw file")
    parser.add_argument("--data-dir", help="folder of prepared data sets")
    parser.add_argument("--cell", default="gru")
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    main(**vars(parser.parse_args()))
