"""Tiny Shakespeare, character by character, by two LSTMs whose states go on.

    python examples/shakespeare.py --manual-dir RAW

RAW holds input.txt; without it the file is downloaded. Prints nats and perplexity a
character, and what the model writes. `language_model.py` takes a text of your own, and
goes on where it was stopped. 12 CPU minutes.
"""

import argparse

import keras

from keras_rnnx import callbacks, datasets, models


def main(cell="lstm", units=256, epochs=8, rows=32, steps=64, **folders) -> float:
    """Trains with a falling rate; returns the nats a character of the test part."""
    keras.utils.set_random_seed(0)
    task = datasets.load_task("tiny_shakespeare", **folders)
    model = models.for_task(
        task,
        cell=cell,
        units=units,
        depth=2,
        embedding=64,
        dropout=0.2,  # between the layers
        output_dropout=0.2,
        stateful=True,
        batch_size=rows,
        steps=steps,
    )
    train, validation, test = (
        task.batches(part, rows, steps=steps, drop_remainder=True)
        for part in ("train", "validation", "test")
    )
    falling = keras.optimizers.schedules.CosineDecay(3e-3, epochs * len(train))
    task.compile(model, keras.optimizers.Adam(falling, global_clipnorm=1.0))
    carried = {"shuffle": False, "callbacks": [callbacks.TruncatedBPTT(train)]}
    model.fit(train, validation_data=validation, epochs=epochs, verbose=2, **carried)
    models.reset_states(model)
    found = model.evaluate(test, return_dict=True, verbose=0)
    found["nats"] = found.pop("loss")
    print(task.compared(f"{cell}, 2 x {units}", **found))
    prompt = task.vocabulary.encode("\n")
    text = models.generate(model, prompt, steps=400, temperature=0.8, seed=0)
    print("", task.vocabulary.decode(text), sep="\n")
    return found["nats"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--manual-dir", help="folder of the raw file")
    parser.add_argument("--data-dir", help="folder of prepared data sets")
    parser.add_argument("--epochs", type=int, default=8)
    main(**vars(parser.parse_args()))
