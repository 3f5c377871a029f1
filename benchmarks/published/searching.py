"""A search of this package, and which hyperparameter its report ranks how high."""

from __future__ import annotations

import datetime
import pathlib
import shutil
import time
from typing import Any

import keras

import keras_rnnx
from benchmarks.published import data
from benchmarks.published.declared import Search


def search(
    setup: Search, seed: int, folder: pathlib.Path, raw: pathlib.Path | None = None
) -> dict[str, Any]:
    """Searches from where it was cut off; the figures of a run.

    Args:
        setup: what is searched.
        seed: of the search.
        folder: of the search. Removed at the end.
        raw: where raw files are.
    """
    from keras_rnnx import tuner
    from keras_rnnx.tuner.reporting._search import read
    from keras_rnnx.tuner.reporting._study import Importances, importances

    keras.utils.set_random_seed(seed)
    task = data.load(setup.task, raw, setup.options)
    start = time.process_time()
    place = folder / "search"
    found = tuner.search(
        task,
        cells=[setup.cell],
        preset="quick",
        space=dict(setup.space),
        trials=setup.trials,
        max_epochs=setup.epochs,
        stopping=None,
        finalists=0,
        seed=seed,
        directory=place,
    )
    assert found is not None
    ranked = importances(read(place / "leaderboard.json"))
    shares = {}
    if isinstance(ranked, Importances):
        shares = {row.name: row.share for row in ranked.rows}
    shutil.rmtree(folder)
    return {
        "status": "trained" if shares else "diverged",
        "test": shares.get(setup.importance),
        "shares": shares,
        "trials": setup.trials,
        "cpu_s": time.process_time() - start,
        "curve": [],
        "backend": keras.backend.backend(),
        "keras_rnnx": keras_rnnx.__version__,
        "date": datetime.date.today().isoformat(),
    }
