"""`python -m patients`: draws patients, and prints what was found in them."""

from __future__ import annotations

import argparse
import os
import sys
import time

import quick

os.environ.update(quick.environment())

import keras_rnnx
import patients


def main() -> None:
    """Examines as many as are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=120)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=patients.available())
    parser.add_argument("--number", type=int, help="one patient, and its report")
    given = parser.parse_args()
    if given.number is not None:
        patient = patients.draw(given.kind or "healthy", given.number)
        print(patient.words)
        print(
            keras_rnnx.diagnose(
                patient.model, patient.x, patient.y, history=patient.history
            )
        )
        return
    start = time.perf_counter()
    if given.kind:
        found = [(given.kind, 10_000 * given.seed + k) for k in range(given.count)]
    else:
        found = list(patients.chosen(given.count, given.seed))
    seen = []
    for one in patients.examine(found):
        seen.append(one)
        if not one.right:
            print(*patients.misses([one]), flush=True)
    print(patients.table(seen))
    named, alarmed = patients.rates(seen)
    seconds = time.perf_counter() - start
    print(
        f"{len(seen)} patients: the first finding is right for {named:.1%} of the ill; "
        f"{alarmed:.1%} of the healthy have one. {seconds:.0f} s"
    )
    sys.exit(named < 0.95 or alarmed > 0.05)


if __name__ == "__main__":
    main()
