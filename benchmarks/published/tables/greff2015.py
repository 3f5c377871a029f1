"""Which hyperparameters of an LSTM matter, by the search of this package."""

from benchmarks.published.declared import Row, Search, Table

TABLE = Table(
    "greff2015",
    "Which hyperparameters matter",
    "Greff, Srivastava, Koutnik, Steunebrink & Schmidhuber 2015, arXiv:1503.04069",
    "The paper trains 5,400 LSTMs with drawn hyperparameters and takes apart how much "
    "of the variance each explains (fANOVA). Here `keras_rnnx.tuner.search` draws 40 "
    "LSTMs on the JSB chorales, and its report ranks the hyperparameters (PED-ANOVA, "
    "by how the values of the best trials differ from those of all). A share is not "
    "the same quantity as the paper's; the order can be compared. The paper puts the "
    "learning rate first, then the units (from memory, not checked).",
    (
        Row(
            "share of the learning rate",
            "share of the importance",
            more_is_better=True,
            deviates="Other task, 40 trials, another measure of importance.",
            setup=Search(
                task="jsb_chorales",
                cell="lstm",
                space={
                    "learning_rate": (1e-4, 5e-2),
                    "units": (20, 200),
                    "dropout": (0.0, 0.6),
                },
                trials=40,
                epochs=20,
                importance="learning_rate",
            ),
        ),
    ),
)
