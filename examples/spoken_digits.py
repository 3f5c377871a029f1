"""Which digits a recording says, in their order: connectionist temporal classification.

    python examples/spoken_digits.py --manual-dir RAW

RAW holds the folder "recordings" of the Free Spoken Digit Dataset. Clips of a speaker
are joined; nobody says where one ends. The figure is edits over digits. 3 CPU minutes.
"""

import argparse

import keras

from keras_rnnx import datasets, metrics, models


def error_rate(model, task, part: str) -> float:
    """Edits over digits, of the labellings that a beam finds."""
    errors = metrics.TokenErrorRate()
    for x, digits in task.batches(part, shuffle=False):
        said, _ = models.ctc_decode(model.predict_on_batch(x), beam_width=10)
        errors.update_state(digits, keras.utils.pad_sequences(said, padding="post"))
    return float(errors.result())


def main(cell="gru", units=128, epochs=6, seed=0, **options) -> float:
    """Trains with a falling rate; returns the error rate on the test part."""
    keras.utils.set_random_seed(seed)
    task = datasets.load_task("spoken_digit_strings", **options)
    model = models.for_task(task, cell=cell, units=units, output_dropout=0.3)
    train = task.batches("train", batch_size=16, seed=seed)
    falling = keras.optimizers.schedules.CosineDecay(3e-3, epochs * len(train))
    task.compile(model, keras.optimizers.Adam(falling, global_clipnorm=1.0))
    validation = task.batches("validation")
    model.fit(train, validation_data=validation, epochs=epochs, verbose=2)
    print("validation:", error_rate(model, task, "validation"))
    rate = error_rate(model, task, "test")
    print(task.compared(f"{cell}, {units} both ways", token_error_rate=rate))
    return rate


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--manual-dir", help="folder of the raw files")
    parser.add_argument("--data-dir", help="folder of prepared data sets")
    parser.add_argument("--cell", default="gru")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    main(**vars(parser.parse_args()))
