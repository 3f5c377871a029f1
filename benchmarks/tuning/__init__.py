"""`keras_rnnx.tuner.search` beside KerasTuner's own tuners, for the same time."""
