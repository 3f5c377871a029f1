"""JapaneseVowels: which of nine speakers says two vowels, in 7 to 29 steps.

    python examples/vowels.py --manual-dir RAW

RAW holds JapaneseVowels_TRAIN.ts and JapaneseVowels_TEST.ts. A GRU reads each sequence
both ways; the mean of its outputs over all steps is classified. 20 CPU seconds.
"""

import argparse

import keras

from keras_rnnx import datasets, models


def main(cell="gru", units=100, epochs=60, seed=0, **folders) -> float:
    """Trains with a falling rate; returns the accuracy on the test part."""
    keras.utils.set_random_seed(seed)
    task = datasets.load_task("japanese_vowels", seed=seed, **folders)
    model = models.for_task(
        task,
        cell=cell,
        units=units,
        bidirectional=True,
        pooling="mean",
        input_dropout=0.3,
        output_dropout=0.5,
    )
    train = task.batches("train", batch_size=16, seed=seed)
    falling = keras.optimizers.schedules.CosineDecay(2e-3, epochs * len(train))
    task.compile(model, keras.optimizers.Adam(falling))
    validation = task.batches("validation")
    model.fit(train, validation_data=validation, epochs=epochs, verbose=2)
    test = model.evaluate(task.batches("test"), return_dict=True, verbose=0)
    print(task.compared(f"{cell}, {units} both ways", accuracy=test["accuracy"]))
    return test["accuracy"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--manual-dir", help="folder of the raw files")
    parser.add_argument("--data-dir", help="folder of prepared data sets")
    parser.add_argument("--cell", default="gru")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    main(**vars(parser.parse_args()))
