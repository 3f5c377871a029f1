"""TREC: what a question asks for, of six classes, without word vectors from elsewhere.

    python examples/questions.py --manual-dir RAW

RAW holds TREC.train.all and TREC.test.all; without them they are downloaded. A GRU
reads each question both ways; the greatest of its outputs over all words are
classified. Words that occur once are one unknown word to it. 40 CPU seconds.
"""

import argparse

import keras

from keras_rnnx import datasets, models


def main(cell="gru", units=128, epochs=10, seed=0, **folders) -> float:
    """Trains with a falling rate; returns the accuracy on the test part."""
    keras.utils.set_random_seed(seed)
    task = datasets.load_task("trec", seed=seed, **folders)
    model = models.for_task(
        task,
        cell=cell,
        units=units,
        bidirectional=True,
        pooling="max",
        input_dropout=0.5,
        output_dropout=0.5,
    )
    train = task.batches("train", batch_size=32, seed=seed)
    falling = keras.optimizers.schedules.CosineDecay(1e-3, epochs * len(train))
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
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    main(**vars(parser.parse_args()))
