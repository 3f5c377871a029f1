"""Trains with and without the methods of keras_rnnx, over several seeds.

    python -m benchmarks.cures order                 # gradient flow, temporal order
    python -m benchmarks.cures adding                # initial weights, adding problem
    python -m benchmarks.cures long                  # cells, adding over 1,000 steps
    python -m benchmarks.cures chorales --data DIR   # regularizers, JSB chorales
    python -m benchmarks.cures words --data DIR      # Zaremba's model, Penn Treebank
    python -m benchmarks.cures doctor                # diagnose and try_cures, on five
    python -m benchmarks.cures order --show          # print what was kept

Each keeps a JSON, one line a run, and a plot in benchmarks/results. A run that is kept
already is not repeated, so that a command that was cut off goes on. KERAS_BACKEND
chooses the backend. DIR holds the data: jsb_chorales.npz, ptb.train.txt.xz.
"""

from __future__ import annotations

import argparse
import importlib
import os
import pathlib

RESULTS = pathlib.Path(__file__).parents[1] / "results"
EXPERIMENTS = ("order", "adding", "long", "chorales", "words", "doctor")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("experiment", choices=EXPERIMENTS)
    add("--seeds", type=int, default=5, help="runs of each setting. Default: 5")
    add("--data", type=pathlib.Path, help="folder of the data")
    add("--only", help="settings whose name begins so")
    add("--show", action="store_true", help="print what was kept, and draw it again")
    add("--out", type=pathlib.Path, default=RESULTS, help="default: benchmarks/results")
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Imports a backend, which the environment has to be ready for.
    runs = importlib.import_module("benchmarks.cures.runs")
    module = importlib.import_module(f"benchmarks.cures.{options.experiment}")
    kept = runs.Kept(module, options.out)
    if not options.show:
        settings = module.settings(options.data)
        for setting, train in settings.items():
            if options.only and not setting.startswith(options.only):
                continue
            for seed in range(getattr(module, "SEEDS", options.seeds)):
                kept.run(setting, seed, train)
        kept.sort(list(settings))
    kept.show()


if __name__ == "__main__":
    main()
