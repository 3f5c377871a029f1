"""Biases of gates from the time scales of a task: chrono."""

import math

from benchmarks.published.declared import Row, Setup, Table

COPIED = 10


def plateau(length: int) -> float:
    """The loss of a network that remembers no symbol, a step of copy memory."""
    return COPIED * math.log(8) / (length + 2 * COPIED)


def _adding(length, name, figure=None, **arguments):
    return Row(
        f"adding, {length} steps, {name}",
        "updates until the error is below 0.01",
        measure="updates",
        figure=figure,
        deviates="Training ends at an error below 0.01, or after 20,000 updates.",
        setup=Setup(
            task="adding",
            options={"length": length},
            cell="lstm",
            units=128,
            arguments=arguments,
            optimizer="RMSprop",
            rate=1e-3,
            settings={"rho": 0.9},
            batch=32,
            updates=500,
            epochs=40,
            goal=0.01,
        ),
    )


def _copy(length, name, figure, **arguments):
    return Row(
        f"copy, {length} steps, {name}",
        "cross-entropy a step",
        figure=figure,
        deviates="At most 20,000 updates. "
        + ("T_max is 3/2 of the length, as in the paper." if arguments else ""),
        setup=Setup(
            task="copy_memory",
            options={"length": length},
            cell="lstm",
            units=128,
            arguments=arguments,
            optimizer="RMSprop",
            rate=1e-3,
            settings={"rho": 0.9},
            batch=32,
            updates=500,
            epochs=40,
            goal=plateau(length) / 10,
            by_loss=True,
        ),
    )


def _chrono(steps):
    return {
        "bias_initializer": {
            "class_name": "keras_rnnx>Chrono",
            "config": {"max_steps": steps},
        }
    }


TABLE = Table(
    "tallec2018",
    "Adding and copying with chrono initialization",
    "Tallec & Ollivier 2018, arXiv:1804.11188",
    "LSTM of 128 units, RMSprop at rate 0.001 (rho 0.9), batches of 32, no clipping. "
    "At 750 steps the paper's adding network learns seven times sooner with chrono "
    "biases. On copying over 500 steps a constant forget bias stays on the plateau "
    f"({plateau(500):.4f} a step), and chrono leaves it.",
    (
        _adding(200, "chrono", **_chrono(200)),
        _adding(200, "forget bias 1"),
        _adding(750, "chrono", **_chrono(750)),
        _adding(750, "forget bias 1"),
        _copy(500, "chrono", plateau(500), **_chrono(750)),
        _copy(500, "forget bias 1", plateau(500)),
    ),
)
