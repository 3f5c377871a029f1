"""Temporal order with a tanh network and the penalty on gradients."""

from benchmarks.published.declared import Row, Setup, Table, Taken

ORDER = "cures-order-jax.json"
TAKEN = (
    "a tanh network of 50 units with 15 recurrent connections each and spectral radius "
    "0.95; gradient descent at rate 0.01, batches of 20, at most 200,000 updates"
)


def _solved(run):
    return float(run["solved"] is not None)


def _row(length, method, name, figure, deviates=""):
    return Row(
        f"{length} steps, {name}",
        "share of runs that are solved",
        measure="solved",
        more_is_better=True,
        figure=figure,
        deviates=deviates,
        taken=Taken(ORDER, TAKEN, f"{length} steps: {method}", _solved),
    )


def _longer(length, epochs):
    """The same set-up with more updates, on sequences that are drawn anew."""
    small = {"class_name": "RandomNormal", "config": {"stddev": 0.01}}
    return Row(
        f"{length} steps, clipping and penalty, longer",
        "share of runs that are solved",
        key="accuracy",
        measure="solved",
        more_is_better=True,
        figure=1.0,
        deviates=(
            "The output layer starts as Keras' does, the sequences are new in each of "
            f"at most {epochs} epochs of 1,000 updates."
        ),
        setup=Setup(
            task="temporal_order",
            options={"length": length, "validation": 2000, "test": 2000},
            cell="simple_rnn",
            units=50,
            arguments={
                "kernel_initializer": small,
                "recurrent_initializer": {
                    "class_name": "keras_rnnx>SpectralRadius",
                    "config": {"radius": 0.95, "density": 0.3},
                },
                "recurrent_regularizer": {
                    "class_name": "keras_rnnx>GradientFlow",
                    "config": {"rate": 4.0},
                },
            },
            optimizer="SGD",
            rate=0.01,
            clip=1.0,
            batch=20,
            updates=1000,
            epochs=epochs,
            goal=0.99,
            chance=(40, 0.35),
        ),
    )


PENALTY = "clipped, GradientFlow(4)"
CUT = (
    "200,000 updates at most: the paper's runs may be longer. A run is solved or not: "
    "one of five that is not lies within two deviations."
)
TABLE = Table(
    "pascanu2013",
    "Temporal order: the penalty on gradients",
    "Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063",
    "With the penalty (here `GradientFlow`) and clipped gradients the paper solves all "
    "lengths from 50 to 200; with clipping alone none beyond 20. A run is solved when "
    "99 % of 2,000 new sequences are right.",
    (
        *(_row(length, "clipped", "clipping alone", 0.0) for length in (50, 100, 150)),
        _row(50, PENALTY, "clipping and penalty", 1.0),
        _row(100, PENALTY, "clipping and penalty", 1.0, CUT),
        _row(150, PENALTY, "clipping and penalty", 1.0, CUT),
        _longer(150, 600),
    ),
)
