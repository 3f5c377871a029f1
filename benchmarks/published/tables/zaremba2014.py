"""Penn Treebank, words: the small LSTM without dropout."""

from benchmarks.published.declared import Row, Setup, Table, Taken

TABLE = Table(
    "zaremba2014",
    "Penn Treebank, words: the small LSTM",
    "Zaremba, Sutskever & Vinyals 2014, arXiv:1409.2329",
    '`models.zaremba("small")` as `models.zaremba_training` trains it: 13 epochs of '
    "gradient descent, whose rate is 1 for 4 epochs and then halved after each.",
    (
        Row(
            "small",
            "test perplexity",
            key="perplexity",
            figure=114.5,
            digits=1,
            deviates="A run takes 1.7 hours on one core, so there is one.",
            taken=Taken(
                "cures-words-tensorflow.json",
                "the same model and training",
                "keras_rnnx",
            ),
            setup=Setup(
                task="penn_treebank",
                cell="lstm",
                units=200,
                depth=2,
                batch=20,
                steps=20,
                epochs=13,
                recipe="zaremba",
            ),
        ),
    ),
)
