"""The methods by name: those of `keras_rnnx.tuner.search` and those of KerasTuner."""

from __future__ import annotations

from typing import NamedTuple

SAMPLERS = ("random", "bayesian", "tpe")
RULES = ("median", "asha", "none")
THEIRS = {
    "kt-random": "RandomSearch",
    "kt-bayesian": "BayesianOptimization",
    "kt-hyperband": "Hyperband",
}
DEFAULT = ("random+median/2", *THEIRS)


class Ours(NamedTuple):
    """How `search` is called.

    Attributes:
        tuner: "random", "bayesian" or "tpe".
        stopping: "median", "asha" or None.
        workers: number of processes. With one, the calling process runs the trials.
    """

    tuner: str
    stopping: str | None
    workers: int


def parsed(name: str) -> Ours | str:
    """What a name stands for.

    Args:
        name: "TUNER+RULE/WORKERS", as in "tpe+asha/2" or "random+none/1", or one of
            "kt-random", "kt-bayesian" and "kt-hyperband", or with a number of threads
            "kt-random/1".

    Returns:
        The arguments of `search`, or the name of a class of KerasTuner.

    Raises:
        ValueError: for another name.
    """
    theirs, slash, threads = name.partition("/")
    if theirs in THEIRS and (not slash or threads.isdecimal() and int(threads)):
        return THEIRS[theirs]
    tuner, plus, rest = name.partition("+")
    rule, slash, workers = rest.partition("/")
    well = plus and slash and tuner in SAMPLERS and rule in RULES
    if not well or not workers.isdecimal() or int(workers) < 1:
        raise ValueError(
            f"A method is TUNER+RULE/WORKERS, with a tuner of {', '.join(SAMPLERS)} "
            f"and a rule of {', '.join(RULES)}, as random+median/2; or one of "
            f"{', '.join(THEIRS)}, with /THREADS or without; received {name!r}."
        )
    return Ours(tuner, None if rule == "none" else rule, int(workers))


def is_ours(name: str) -> bool:
    """Whether a method is one of `search`."""
    return not name.startswith("kt-")


def environment(name: str) -> dict[str, str]:
    """The environment variables that give a method of KerasTuner its threads.

    Without a number it has those that a process has by default, as ours with one
    worker; of several workers each has its share.
    """
    if is_ours(name) or "/" not in name:
        return {}
    threads = name.partition("/")[2]
    names = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    return dict.fromkeys(names, threads)
