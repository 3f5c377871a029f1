"""The results of a search in sentences. All text is plain; the page escapes it."""

from __future__ import annotations

from keras_rnnx._pages.numbers import (
    count,
    duration,
    runs,
    score,
    with_spread,
)
from keras_rnnx.tuner.reporting._search import Search, Trial, finite


def findings(search: Search) -> list[str]:
    """The first paragraphs of the report."""
    if not search.trials:
        return ["The search has no trials yet."]
    first = [_best(search), _seeds(search), _test(search)]
    second = [_counts(search), _epochs(search), _time(search)]
    paragraphs = [" ".join(filter(None, part)) for part in (first, second)]
    return [paragraph for paragraph in paragraphs if paragraph]


def _best(search: Search) -> str:
    best, trials = search.best, count(len(search.trials), "trial")
    if best is None:
        return (
            f"None of {trials} completed with a score, so there is no best model. The "
            f"reasons are below."
        )
    cell = f", cell {best.cell}" if best.cell else ""
    epoch = f" after epoch {best.best_epoch}" if best.best_epoch else ""
    return (
        f"The best of {trials} is trial {best.trial}{cell}: {search.objective} "
        f"{score(best.score)}{epoch}."
    )


def _test(search: Search) -> str:
    if not search.test or search.best is None:
        return ""
    metrics = [f"{name} {score(value)}" for name, value in search.test.items()]
    sentence = f"On the test data its model reaches {' and '.join(metrics)}."
    names = [n for n in search.test if any(finite(r.get(n)) for r in search.test_runs)]
    if len(search.test_runs) < 2 or not names:
        return sentence
    spreads = [f"{name} {runs(test_values(search, name))}" for name in names]
    return (
        f"{sentence} Trained {len(search.test_runs)} times, each time with another "
        f"seed, it reaches {' and '.join(spreads)} on them (mean ± standard deviation)."
    )


def test_values(search: Search, name: str) -> list[float]:
    """A test metric of the winner's runs."""
    values = [finite(run.get(name)) for run in search.test_runs]
    return [value for value in values if value is not None]


def _seeds(search: Search) -> str:
    best = search.best
    if best is None or best.mean is None:
        return ""
    sentence = (
        f"Over {count(len(best.seeds), 'seed')} its {search.objective} is "
        f"{with_spread(best.mean, best.spread)}."
    )
    others = [t for t in search.completed if t is not best and t.mean is not None]
    if not others or not best.spread:
        return sentence
    second = others[0]
    gap = abs(best.mean - (second.mean or 0.0))
    if gap > max(best.spread, second.spread or 0):
        return sentence
    return (
        f"{sentence} Trial {second.trial} is as good within this spread "
        f"({with_spread(second.mean, second.spread)})."
    )


def _counts(search: Search) -> str:
    verbs = {
        "completed": "completed",
        "stopped": "stopped early",
        "diverged": "diverged",
        "failed": "failed with an error",
        "refused": "refused before training",
        "running": "still running",
    }
    parts = [f"{number} {verbs.get(s, s)}" for s, number in search.counts.items()]
    return f"Of {count(len(search.trials), 'trial')}: {', '.join(parts)}."


def _epochs(search: Search) -> str:
    if not search.max_epochs:
        return ""
    trained = [t for t in search.trials if t.status not in ("failed", "refused")]
    trained = [trial for trial in trained if trial.status != "running"]
    full = search.max_epochs * len(trained)
    ran = sum(trial.epochs for trial in trained)
    if not full or ran >= full:
        return ""
    saved = sum(saved_epochs(search, t) for t in trained if t.status == "stopped")
    sentence = f"Training took {ran:,} of the {full:,} epochs of full trials."
    if not saved:
        return sentence
    return (
        f"{sentence} Stopping bad trials saved {saved:,} epochs ({saved / full:.0%})."
    )


def saved_epochs(search: Search, trial: Trial) -> int:
    """The number of epochs that a trial could have trained, but did not."""
    return max(0, (search.max_epochs or 0) - trial.epochs)


def _time(search: Search) -> str:
    if not search.seconds:
        return ""
    workers = f" with {search.workers} workers" if (search.workers or 1) > 1 else ""
    return f"The search took {duration(search.seconds)}{workers}."
