"""Recurrent networks beside which convolutions were put to the test."""

from benchmarks.published.declared import Row, Setup, Table, Taken

CHORALES = "cures-chorales-tensorflow.json"
ONE_BY_ONE = (
    "2 layers of 200 units, Adam at rate 0.001, which falls, an update for each chorale"
)
KEPT = "2 layers of 200 units are {:,} parameters here; the paper states 300,000."
FORTY = "at most 12,000 updates of 32 sequences"


def _adding(name, cell, units, figure, rate, parameters=70_000, **arguments):
    return Row(
        f"adding, 600 steps, {name}",
        "mean squared error",
        figure=figure,
        parameters=parameters,
        deviates=(
            f"Adam at rate {rate:g} and {FORTY}: the paper's program draws 50,000 "
            f"sequences once, these are new ones."
        ),
        setup=Setup(
            task="adding",
            options={"length": 600},
            cell=cell,
            units=units,
            arguments=arguments,
            rate=rate,
            clip=5.0,
            batch=32,
            updates=400,
            epochs=30,
            goal=4e-5,
        ),
    )


def _music(task, name, cell, figure, deviates, parameters, epochs=60, units=200):
    return Row(
        f"{name}",
        "nats a frame",
        key="frame_nll",
        figure=figure,
        parameters=parameters,
        deviates=deviates,
        setup=Setup(
            task=task,
            cell=cell,
            units=units,
            depth=2,
            arguments={"dropout": 0.2},
            rate=1e-3,
            clip=1.0,
            batch=1 if task == "jsb_chorales" else 8,
            epochs=epochs,
            patience=10,
            at_least=10,
            falls=10,
        ),
    )


def _jsb_taken(name, setting, figure, parameters):
    return Row(
        f"JSB, {name}",
        "nats a frame",
        key="frame_nll",
        figure=figure,
        deviates=KEPT.format(parameters) + " No dropout.",
        taken=Taken(CHORALES, ONE_BY_ONE, setting),
    )


def _digits(name, cell, units, figure, **arguments):
    return Row(
        f"sequential MNIST, {name}",
        "share of digits that are right",
        key="accuracy",
        more_is_better=True,
        figure=figure,
        parameters=70_000,
        deviates="At most 20 epochs; 6,000 digits are kept back for validation.",
        setup=Setup(
            task="sequential_mnist",
            cell=cell,
            units=units,
            arguments=arguments,
            optimizer="RMSprop",
            rate=1e-3,
            clip=1.0,
            batch=64,
            epochs=20,
        ),
    )


TABLE = Table(
    "bai2018",
    "The recurrent baselines of Bai et al.",
    "Bai, Kolter & Koltun 2018, arXiv:1803.01271, Table 1",
    'LSTM, GRU and plain networks ("RNN") of a stated number of parameters.',
    (
        _adding("GRU", "gru", 150, 5.3e-5, 1e-3),
        _adding("LSTM", "lstm", 130, 0.164, 1e-3),
        _adding("RNN", "simple_rnn", 260, 0.177, 1e-3),
        _jsb_taken("LSTM", "LSTM, one by one, falling rate", 8.45, 569_688),
        _jsb_taken("GRU", "GRU, one by one, falling rate", 8.43, 432_888),
        _music(
            "jsb_chorales",
            "JSB, RNN",
            "simple_rnn",
            8.91,
            "2 layers of 200 units are 155,688 parameters here; the paper states "
            "300,000.",
            300_000,
        ),
        *(
            _music(
                "nottingham",
                f"Nottingham, {name}",
                cell,
                figure,
                "The units are chosen for the parameters that the paper states.",
                1_000_000,
                units=units,
            )
            for name, cell, figure, units in (
                ("LSTM", "lstm", 3.29, 275),
                ("GRU", "gru", 3.46, 320),
                ("RNN", "simple_rnn", 4.05, 530),
            )
        ),
        _digits("GRU", "gru", 150, 0.962),
        _digits("LSTM", "lstm", 130, 0.872),
        _digits("RNN", "simple_rnn", 260, 0.215),
    ),
)
