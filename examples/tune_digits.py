"""A search over recurrent models for handwritten digits, read pixel by pixel.

The same as `keras-rnnx tune digits --dir digits`, from Python. Stopped, it goes on when
run again.
"""

import keras_rnnx


def show(progress: keras_rnnx.tuner.Progress) -> None:
    """Prints a line for each trial that has ended."""
    if progress.row:
        row = progress.row
        print(f"trial {row['trial']}: {row['cell']} {row['units']}, {row['score']}")


def main() -> None:
    """Searches, and shows what was found."""
    result = keras_rnnx.tuner.search(
        "digits",
        cells=["lstm", "gru", "leaky_rnn"],
        trials=8,
        max_epochs=40,
        directory="digits",
        progress=show,
    )
    print(result.table())
    print(f"test accuracy {result.test['accuracy']:.3f}")
    print(keras_rnnx.explain(result.model))


if __name__ == "__main__":
    main()
