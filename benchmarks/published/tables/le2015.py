"""The adding problem with rectified units that start at the identity."""

from benchmarks.published.declared import Row, Setup, Table, Taken

ADDING = "cures-adding-tensorflow.json"
TAKEN = "64 units, Adam, batches of 50, gradients clipped to norm 1, 4,000 updates"


def _taken(length, setting, name, rate):
    return Row(
        f"{length} steps, {name}",
        "mean squared error",
        taken=Taken(ADDING, f"{TAKEN}, rate {rate}", f"{length} steps: {setting}"),
        deviates="64 units in place of 100; Adam in place of gradient descent.",
    )


def _row(length, name, cell, rate, library="keras_rnnx", **arguments):
    return Row(
        f"{length} steps, {name}",
        "mean squared error",
        setup=Setup(
            task="adding",
            options={"length": length},
            cell=cell,
            units=100,
            arguments=arguments,
            library=library,
            rate=rate,
            clip=1.0,
            batch=50,
            updates=200,
            epochs=40,
            goal=0.002,
        ),
        deviates="Adam in place of gradient descent; 8,000 updates at most.",
    )


def _pair(length):
    return (
        _row(length, "IRNN", "simple_rnn", 1e-4, recipe="irnn"),
        _row(length, "LSTM of Keras", "LSTM", 1e-3, library="keras"),
    )


TABLE = Table(
    "le2015",
    "Adding: rectified units that start at the identity",
    "Le, Jaitly & Hinton 2015, arXiv:1504.00941",
    'The paper finds the IRNN "comparable to a standard implementation of LSTMs" on '
    "this problem (its abstract). It shows curves and states no final errors, so there "
    "is no verdict: compare the two. Always answering 1 has an error of 0.167.",
    (
        *_pair(150),
        _taken(200, "SimpleRNN, irnn", "IRNN", "0.0001"),
        _taken(200, "keras LSTM", "LSTM of Keras", "0.001"),
        *_pair(300),
        _taken(400, "SimpleRNN, irnn", "IRNN", "0.0001"),
        _taken(400, "keras LSTM", "LSTM of Keras", "0.001"),
    ),
)
