"""A search over recurrent models for handwritten digits, read pixel by pixel.

The same as `keras-rnnx tune digits --workers 2 --dir digits --report`, from Python. Two
processes run trials; stopped, it goes on when run again.
"""

import keras_rnnx


def show(progress: keras_rnnx.tuner.Progress) -> None:
    """Prints a line for each trial that has ended."""
    row = progress.row
    if row and progress.again is None:
        why = row["reason"] or "all epochs"
        print(f"trial {row['trial']}: {row['cell']}, {row['score']} ({why})")


def main() -> None:
    """Searches, and shows what was found."""
    result = keras_rnnx.tuner.search(
        "digits",
        cells=["lstm", "gru", "leaky_rnn"],
        trials=8,
        max_epochs=40,
        workers=2,
        directory="digits",
        progress=show,
    )
    print(result.table())
    print(f"test accuracy {result.test['accuracy']:.3f}")
    print("the smallest models that are good:", [r["trial"] for r in result.pareto()])
    print(keras_rnnx.explain(result.model))
    print("report:", result.report())


# Workers import this file: what must run once stands behind this line.
if __name__ == "__main__":
    main()
