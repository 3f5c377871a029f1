"""Where words begin in English without blanks: a softmax at each letter, and a CRF.

    python examples/word_boundaries.py --manual-dir RAW

RAW holds ptb.train.txt, ptb.valid.txt and ptb.test.txt, the Penn Treebank.
2 CPU minutes.
"""

import argparse

import keras
import numpy as np

from keras_rnnx import datasets, losses, metrics, models


def boundaries(text: str) -> np.ndarray:
    """1 for the letters that begin a word, 0 for others."""
    return np.concatenate([[1] + [0] * (len(word) - 1) for word in text.split()])


def main(cell="gru", units=100, sentences=4000, epochs=6, **folders) -> dict:
    """Trains both; returns the accuracies over all letters of the test part."""
    builder = datasets.prepare("rnnx_penn_treebank/characters", **folders)
    texts = datasets.read(builder, f"train[:{sentences}]")["text"]
    task = datasets.Task.from_arrays(
        ["".join(text.split()) for text in texts],
        [boundaries(text) for text in texts],
        kind="tagging",
        level="character",
    )
    own = {"vocabulary": task.tokens, "cell": cell, "units": units, "embedding": 32}
    crf = {"loss": losses.CRF(), "metrics": [metrics.CRFAccuracy(name="accuracy")]}
    softmax = {"metrics": [metrics.TokenAccuracy(name="accuracy")]}
    accuracies = {}
    for head, training in {"softmax": softmax, "crf": crf}.items():
        keras.utils.set_random_seed(0)
        model = models.tagger(2, head=head, bidirectional=True, **own)
        task.compile(model, keras.optimizers.Adam(3e-3), **training)
        model.fit(
            task.batches("train"),
            validation_data=task.batches("validation"),
            epochs=epochs,
            verbose=2,
        )
        test = model.evaluate(task.batches("test"), return_dict=True, verbose=0)
        accuracies[head] = test["accuracy"]
        print(task.compared(f"{cell}, {head}", accuracy=test["accuracy"]))
    return accuracies


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--manual-dir", help="folder of the raw files")
    parser.add_argument("--data-dir", help="folder of prepared data sets")
    parser.add_argument("--epochs", type=int, default=6)
    main(**vars(parser.parse_args()))
