"""How an English word is pronounced: from letters to phones, with attention.

    python examples/pronunciation.py --manual-dir RAW

RAW holds cmudict.dict; without it the file is downloaded. An answer is compared with
all pronunciations of a word, and counts by the nearest. 14 CPU minutes.
"""

import argparse

import keras
import numpy as np

from keras_rnnx import datasets, metrics, models


def error_rates(model, task, part: str, **folders) -> dict[str, float]:
    """Edits over phones, and the share of words with an edit."""
    said = []
    for (words, _), _ in task.batches(part, batch_size=256, shuffle=False):
        said += models.decode(model, words, beam_width=4)[0]
    builder = datasets.prepare("rnnx_cmudict", **folders)
    known = datasets.read(builder, part)["pronunciations"]
    encode, pad = task.target_vocabulary.encode, keras.utils.pad_sequences
    pairs = [(n, encode(phones)) for n, all_ in enumerate(known) for phones in all_]
    true = pad([phones for _, phones in pairs], padding="post")
    edits = metrics.edit_distance(
        true, pad([said[n] for n, _ in pairs], padding="post")
    )
    nearest = [(np.inf, 1)] * len(known)
    for (n, phones), distance in zip(pairs, keras.ops.convert_to_numpy(edits)):
        nearest[n] = min(nearest[n], (distance, len(phones)))
    edits, lengths = np.array(nearest).T
    rates = {"phone": edits.sum() / lengths.sum(), "word": np.mean(edits > 0)}
    return {f"{unit}_error_rate": float(rate) for unit, rate in rates.items()}


def main(cell="gru", units=192, epochs=10, seed=0, **folders) -> dict[str, float]:
    """Trains with a falling rate; returns the error rates on the test part."""
    keras.utils.set_random_seed(seed)
    task = datasets.load_task("cmudict", **folders)
    own = {"cell": cell, "units": units, "bidirectional": True, "output_dropout": 0.2}
    model = models.for_task(task, attention="multiplicative", **own)
    train = task.batches("train", batch_size=128, seed=seed)
    falling = keras.optimizers.schedules.CosineDecay(3e-3, epochs * len(train))
    task.compile(model, keras.optimizers.Adam(falling, global_clipnorm=1.0))
    validation = task.batches("validation", batch_size=256)
    model.fit(train, validation_data=validation, epochs=epochs, verbose=2)
    print("validation:", error_rates(model, task, "validation", **folders))
    rates = error_rates(model, task, "test", **folders)
    print(task.compared(f"{cell}, {units}, attention", **rates))
    return rates


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--manual-dir", help="folder of the raw file")
    parser.add_argument("--data-dir", help="folder of prepared data sets")
    parser.add_argument("--epochs", type=int, default=10)
    main(**vars(parser.parse_args()))
