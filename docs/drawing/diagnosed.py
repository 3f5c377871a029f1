"""What a diagnosis draws."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from drawing.look import IMAGES, RESULTS


def diagnosis() -> None:
    """What `diagnose` draws of an LSTM with a chrono GRU on top of it."""
    path = RESULTS / "diagnosis.json"
    if not path.exists():
        path.write_text(json.dumps(_diagnosed()) + "\n")
    from keras_rnnx.diagnosis import Report

    Report.from_dict(json.loads(path.read_text())).plot(IMAGES / "diagnosis.svg")


def _diagnosed() -> dict[str, Any]:
    """The report as data; it is measured if the file with it was removed."""
    import keras

    import keras_rnnx
    from keras_rnnx import layers

    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(512, 60, 2)).astype("float32")
    y = x[:, 0, :1]
    chrono = keras_rnnx.initializers.Chrono(60)
    model = keras.Sequential(
        [
            keras.Input((60, 2)),
            layers.LSTM(32, return_sequences=True, name="lstm"),
            layers.GRU(32, bias_initializer=chrono, name="chrono_gru"),
            keras.layers.Dense(1),
        ]
    )
    model.compile("adam", "mse")
    model.fit(x, y, epochs=10, verbose=0)
    return _rounded(keras_rnnx.diagnose(model, x, y).to_dict())


def _rounded(value: Any) -> Any:
    """Numbers with as many digits as a figure shows."""
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_rounded(each) for each in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value
