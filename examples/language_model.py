"""A language model of the characters of a text, by truncated backpropagation in `fit`.

    python examples/language_model.py TEXT --dir run --epochs 10

Stopped, the same command goes on in the middle of the epoch, with the states it had.
"""

import argparse
import pathlib

import keras
import numpy as np

from keras_rnnx import callbacks, datasets, layers, models

ROWS, STEPS = 32, 64


def network(characters: int, rows: int, steps: int) -> keras.Model:
    """Two layers whose states go on from batch to batch."""
    return keras.Sequential(
        [
            keras.Input(batch_shape=(rows, steps), dtype="int32"),
            keras.layers.Embedding(characters, 64),
            layers.Stack(
                "lstm",
                256,
                depth=2,
                dropout=0.2,  # between the layers, anew at every step
                weight_dropout=0.2,  # on the recurrent kernels; keeps the fastest
                return_sequences=True,
                stateful=True,
            ),
            keras.layers.Dense(characters),
        ]
    )


def sample(model: keras.Model, characters: str, length: int = 300) -> str:
    """Text that the model makes up, character by character."""
    writer = network(len(characters), 1, 1)
    writer.set_weights(model.get_weights())
    random, found = np.random.default_rng(0), [characters.index("\n")]
    for _ in range(length):
        scores = writer(np.array([found[-1:]]), training=False)
        odds = keras.ops.convert_to_numpy(keras.ops.softmax(scores[0, 0]))
        found.append(random.choice(len(odds), p=odds / odds.sum(dtype="float64")))
    return "".join(characters[k] for k in found).strip()


def main(text: str, folder: pathlib.Path, epochs: int) -> float:
    """Trains on nine tenths of a text; returns the nats a character of the rest."""
    characters = "".join(sorted({*text, "\n"}))
    tokens = np.array([characters.index(c) for c in text], "int32")
    cut = len(tokens) * 9 // 10
    train, rest = (
        datasets.ContiguousBatches(part, ROWS, STEPS, drop_remainder=True)
        for part in (tokens[:cut], tokens[cut:])
    )
    keras.utils.set_random_seed(0)
    model = network(len(characters), ROWS, STEPS)
    model.compile(
        keras.optimizers.Adam(2e-3, global_clipnorm=1.0),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    guard = callbacks.DivergenceGuard()
    history = model.fit(
        guard.watch(train),  # so that it can name the layer where a loss goes wrong
        validation_data=rest,
        epochs=epochs,
        shuffle=False,
        verbose=2,
        callbacks=[
            callbacks.TruncatedBPTT(train),
            guard,
            callbacks.BackupAndRestore(folder / "backup", train, save_freq=200),
        ],
    ).history
    models.reset_states(model)
    loss = model.evaluate(rest, verbose=0)
    print(f"{loss:.3f} nats a character after {len(history['loss'])} epochs\n")
    print(sample(model, characters))
    model.save(folder / "model.keras")
    return loss


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("text", type=pathlib.Path, help="a text file")
    parser.add_argument("--dir", type=pathlib.Path, default=pathlib.Path("run"))
    parser.add_argument("--epochs", type=int, default=10)
    options = parser.parse_args()
    main(options.text.read_text(), options.dir, options.epochs)
