"""Penn Treebank, characters: zoneout, at a smaller size."""

from benchmarks.published.declared import Row, Setup, Table

SMALLER = (
    "200 units in place of 1,000 and at most 8 epochs, so that a run fits into hours "
    "of one core. All validation figures fall in every epoch: nothing is learned by "
    "heart yet, and what regularizes makes training slower. In the paper, at its size "
    "and after more epochs, the methods lower the figure; that was not run here."
)


def characters(name: str, figure: float, **arguments) -> Row:
    """A row of an LSTM of 200 units on the characters of the Penn Treebank."""
    return Row(
        name,
        "bits a character",
        key="bits_per_character",
        figure=figure,
        digits=3,
        comparable=False,
        deviates=SMALLER,
        setup=Setup(
            task="penn_treebank_characters",
            cell="lstm",
            units=200,
            arguments=arguments,
            rate=2e-3,
            clip=1.0,
            batch=32,
            steps=100,
            epochs=8,
        ),
    )


TABLE = Table(
    "krueger2016",
    "Penn Treebank, characters: zoneout",
    "Krueger et al. 2016, arXiv:1606.01305",
    "LSTM, 100 steps a batch, 32 sequences side by side, Adam at rate 0.002 as in the "
    "paper, but smaller.",
    (
        characters("LSTM", 1.356),
        characters(
            "zoneout, 0.5 of cells and 0.05 of outputs", 1.27, zoneout=[0.05, 0.5]
        ),
    ),
)
