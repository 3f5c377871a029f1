"""How the next trial is chosen: alike in a resumed search and one never stopped."""

from __future__ import annotations

import json
from typing import Any

import keras_tuner
from keras_tuner.engine.trial import Trial, TrialStatus

from keras_rnnx.tuner.seeds import derive_seed
from keras_rnnx.tuner.training import PENALTY

RANDOM_TRIALS = 2


class BayesianOracle(keras_tuner.oracles.RandomSearchOracle):
    """KerasTuner's Bayesian optimization, begun with what is known to be worth a trial.

    First each cell at its defaults, then `RANDOM_TRIALS` at random, then KerasTuner's
    `BayesianOptimizationOracle`, which is made anew for each suggestion with a seed
    derived from the number of trials: its own random state is not saved by KerasTuner.
    Trials that diverged count as the worst of the others: next to 1e30 the differences
    between all others would vanish.

    Args:
        **kwargs: arguments of `keras_tuner.oracles.RandomSearchOracle`.
    """

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Chooses the values of the next trial, as `keras_tuner.Oracle` describes."""
        import threadpoolctl  # comes with scikit-learn, which this oracle needs

        space = self.get_space()
        cells = next(hp for hp in space.space if hp.name == "cell").values
        if len(self.trials) < len(cells):
            space.values = {}
            for hp in space.space:
                if space.is_active(hp):
                    space.values[hp.name] = hp.default
                if hp.name == "cell":
                    space.values["cell"] = cells[len(self.trials)]
            return {"status": TrialStatus.RUNNING, "values": space.values}
        finished = [t for t in self.trials.values() if t.status == "COMPLETED"]
        scores = [t.score for t in finished if abs(t.score) < PENALTY]
        enough = len(self.trials) >= len(cells) + RANDOM_TRIALS
        if not enough or len(scores) < 2:
            return super().populate_space(trial_id)

        guide = keras_tuner.oracles.BayesianOptimizationOracle(
            objective=self.objective,
            num_initial_points=1,
            seed=derive_seed(self.seed, len(self.trials)),
        )
        guide.hyperparameters = space
        worst = (max if self.objective.direction == "min" else min)(scores)
        for trial in finished:
            copy = Trial.from_state(trial.get_state())
            if abs(copy.score) >= PENALTY:
                copy.score = worst
            guide.trials[copy.trial_id] = copy
        # Small products on several threads wait for each other, 3 times as long.
        with threadpoolctl.threadpool_limits(1):
            suggestion = guide.populate_space(trial_id)
        # As they will be read back from the journal.
        values = json.loads(json.dumps(suggestion["values"]))
        return {**suggestion, "values": values}
