"""One run in a process of its own: `python -m benchmarks.tuning.one REQUEST`.

REQUEST is JSON, as `benchmarks.tuning.__main__` makes it. The run is written as JSON
into the file that it names.
"""

from __future__ import annotations

import datetime
import importlib
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

# What searches import while they run. It is no part of their time.
IMPORTED = (
    "filelock",
    "optuna",
    "psutil",
    "scipy.optimize",
    "sklearn.gaussian_process",
    "tensorboard.plugins.hparams.api",
    "threadpoolctl",
)


def run(request: dict[str, Any], task: Any = None) -> dict[str, Any]:
    """Runs a search.

    Args:
        request: "task", "method", "seed", "seconds", "max_epochs", "preset",
            "manual_dir", "data_dir" and "keep", a folder for that of the search, or
            None.
        task: the task itself, in place of that of the name.
    """
    import keras_tuner

    from benchmarks import device
    from benchmarks.tuning import curves, methods, settings

    if task is None:
        task = settings.load(
            request["task"], request["manual_dir"], request["data_dir"]
        )
    how = methods.parsed(request["method"])
    ours = isinstance(how, methods.Ours)
    side = importlib.import_module(f"benchmarks.tuning.{'ours' if ours else 'theirs'}")
    given = [request[key] for key in ("seed", "seconds", "max_epochs", "preset")]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(request["keep"] or folder) / name_of(request)
        # What a run that was cut off has left would be gone on with.
        shutil.rmtree(place, ignore_errors=True)
        found = side.run(task, how, *given, place)
    direction = task.objective.direction
    curve = curves.best_so_far(found.pop("points"), direction, request["seconds"])
    known = ("task", "method", "seed", "seconds", "max_epochs", "preset")
    return {
        **{key: request[key] for key in known},
        "objective": list(task.objective),
        "best": curve[-1][1] if curve else None,
        "best_after": curve[-1][0] if curve else None,
        **found,
        "curve": [list(point) for point in curve],
        "date": datetime.date.today().isoformat(),
        **device.description(),
        "keras_tuner": keras_tuner.__version__,
    }


def name_of(request: dict[str, Any]) -> str:
    """The name of the folder of a search."""
    method = request["method"].replace("/", "x")
    return f"{request['task']}-{method}-{request['seed']}"


def main() -> None:
    for module in IMPORTED:
        try:
            importlib.import_module(module)
        except ImportError:
            continue
    request = json.loads(sys.argv[1])
    found = run(request)
    Path(request["out"]).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
