"""Writes what goes on inside of recurrent layers to the logs of `fit`, and warns."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import keras

from keras_rnnx._numbers import integer

if TYPE_CHECKING:
    from keras_rnnx.diagnosis._watch import Seen, Watch
    from keras_rnnx.diagnosis.measured import LayerReport
    from keras_rnnx.diagnosis.report import Finding

UNITS = ("epoch", "batch")


class MonitorWarning(UserWarning):
    """Something goes wrong in a model that trains, as `Monitor` sees it."""


class Monitor(keras.callbacks.Callback):
    """Measures the recurrent layers while `fit` trains, and warns if they don't learn.

    It takes the cheap measures of `keras_rnnx.diagnose` on some of the training data. A
    measure takes about as long as four training steps; on TensorFlow and JAX the first
    one also compiles. The model trains as without it, to the bit.

    The logs get numbers for each recurrent layer, after the name that
    `keras_rnnx.explain` shows:

    - `gru/gradient_horizon`: how many steps back the gradient is below a thousandth of
      its largest norm; the number of steps, if it reaches the first one.
    - `gru/gradient_factor`: by which its norm changes with each step back.
    - `gru/saturated`: share of the outputs beyond 0.99 in size, of tanh layers.
    - `gru/dead`: share of the units that are always 0.
    - `gru/stuck`: share of the values of a sigmoid gate that are stuck, of the gate
      that has most of them.
    - `gru/dimensions`: how many directions the outputs use.
    - `gru/update_ratio`: the size of an update beside that of the layer's matrices.

    And for the model `gradient_norm`, the mean over the batches, and `clipped`, the
    share of them that the optimizer clips. Names stay the same in all of a training.
    Where the optimizer, the layer or the loss has no such number, there is no name.
    Between measures the logs repeat the last ones. All are finite, unless weights,
    states or the loss are not: then all are NaN.

    Callbacks read the logs in the order of the list. So list it before `CSVLogger`,
    `TensorBoard` and others that read them. The `History` of `fit` and the progress bar
    come last by themselves.

    Args:
        x: some of the training inputs, as arrays; or what else `keras_rnnx.diagnose`
            takes. 32 sequences are enough.
        y: their targets. Default None.
        sample_weight: their weights. Default None.
        every: it measures after the first epoch, and then after so many more. Default
            1.
        unit: what `every` counts, "epoch" or "batch". Default "epoch". Logs of batches
            have the numbers too then.
        warn: whether it warns of what `keras_rnnx.diagnose` would find: with a
            `MonitorWarning`, once for each trouble and layer. Default True.
        prefix: in front of all names, for a second Monitor. Default "".
        sequences: sequences at most for measures of each step. Default 32.
        batches: batches at most for `gradient_norm`, `clipped` and `update_ratio`.
            Default 4.
        batch_size: sequences in a batch, of arrays. Default 32.
        seed: of what is drawn. Default 0.

    Attributes:
        findings: what it found so far, in the order in which it did: each a
            `keras_rnnx.diagnosis.Finding`.

    Raises:
        ValueError: for an argument out of range; when training begins, for a model
            without recurrent layers, or data that don't fit it; in training, if the
            logs have one of its names already.

    Example:

    >>> model = keras.Sequential([
    ...     keras.Input((12, 2)), keras_rnnx.layers.GRU(4, name="gru"),
    ...     keras.layers.Dense(1)])
    >>> model.compile("adam", "mse")
    >>> x = np.random.default_rng(0).normal(size=(64, 12, 2)).astype("float32")
    >>> y = x.sum(axis=(1, 2))
    >>> monitor = keras_rnnx.callbacks.Monitor(x[:32], y[:32])
    >>> history = model.fit(x, y, epochs=2, verbose=0, callbacks=[monitor])
    >>> history.history["gru/gradient_horizon"]
    [12.0, 12.0]

    Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063 (gradients); Glorot & Bengio 2010,
    AISTATS (saturation); Bengio 2012, arXiv:1206.5533 (sizes of updates).
    """

    # The search of this package would hand it logs of its own, which nobody else reads.
    sees_divergence = True

    def __init__(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        every: int = 1,
        unit: str = "epoch",
        warn: bool = True,
        prefix: str = "",
        sequences: int = 32,
        batches: int = 4,
        batch_size: int = 32,
        seed: int = 0,
    ):
        super().__init__()
        if unit not in UNITS:
            raise ValueError(f"`unit` is 'epoch' or 'batch', received {unit!r}.")
        self.x, self.y, self.sample_weight = x, y, sample_weight
        self.every = integer("every", every, least=1)
        self.unit = unit
        self.warn = warn
        self.prefix = prefix
        self.sequences = integer("sequences", sequences, least=1)
        self.batches = integer("batches", batches, least=1)
        self.batch_size = integer("batch_size", batch_size, least=1)
        self.seed = integer("seed", seed, least=0)
        self.findings: list[Finding] = []
        # Keras needs not wait for each batch where nothing happens after it.
        self.async_safe = unit == "epoch"

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        # The diagnosis itself imports a module of this package.
        from keras_rnnx.diagnosis import _data
        from keras_rnnx.diagnosis._watch import Watch
        from keras_rnnx.diagnosis.diagnose import recurrent_layers

        model = self.model
        layers = recurrent_layers(model)
        data = _data.prepare(
            model,
            self.x,
            self.y,
            self.sample_weight,
            self.sequences,
            self.batches,
            self.batch_size,
            self.seed,
        )
        self._watch: Watch = Watch(model, layers, data, self.seed)
        self._values: dict[str, float] = {}
        self._passed = self._epoch = 0
        self._batch = -1
        self._losses: dict[str, list[float]] = {}

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epoch, self._batch = epoch, -1

    def on_train_batch_end(
        self, batch: int, logs: dict[str, Any] | None = None
    ) -> None:
        if self.unit == "batch":
            # Several at once, if the model is compiled with steps_per_execution.
            count, self._batch = batch - self._batch, batch
            self._pass(count, logs)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        for name in ("loss", "val_loss"):
            if name in (logs or {}):
                self._losses.setdefault(name, []).append((logs or {})[name])
        self._pass(int(self.unit == "epoch"), logs)

    def _pass(self, count: int, logs: dict[str, Any] | None) -> None:
        """Counts epochs or batches, measures if it is time, and writes the logs."""
        self._passed += count
        if not self._values or self._passed >= self.every:
            self._passed = 0
            self.look()
        if logs is None:
            return
        for name, value in self._values.items():
            if name in logs:
                raise ValueError(
                    f"Monitor writes {name!r} to the logs, and they have it already: a "
                    "metric or another Monitor has this name. Give one Monitor a "
                    "prefix: Monitor(x, y, prefix='inner/')."
                )
            logs[name] = value

    def look(self) -> dict[str, float]:
        """Measures the model as it is: the numbers for the logs.

        What is found is added to `findings`, with a warning. For use while `fit` runs.
        """
        from keras_rnnx.diagnosis import _measures

        epochs = len(self._losses.get("loss", []))
        # Validation may be rarer: `fit` has validation_freq.
        if len(self._losses.get("val_loss", [])) not in (0, epochs):
            del self._losses["val_loss"]
        curves = _measures.curves.measure(self._losses) if epochs else None
        # On JAX `self.model` puts the weights back into the variables.
        seen = self._watch.look(self.model, curves)
        if seen.finite:
            # A number that is missing now keeps its last value.
            self._values |= {self.prefix + k: v for k, v in numbers(seen).items()}
        else:
            names = self._values or {self.prefix + "gradient_norm": math.nan}
            self._values = dict.fromkeys(names, math.nan)
        known = {(finding.name, finding.layer) for finding in self.findings}
        new = [f for f in seen.findings if (f.name, f.layer) not in known]
        self.findings += new
        for finding in new if self.warn else []:
            warnings.warn(
                self._sentence(finding), category=MonitorWarning, stacklevel=2
            )
        return self._values

    def _sentence(self, finding: Finding) -> str:
        when = f"epoch {self._epoch + 1}"
        if self.unit == "batch":
            when += f", batch {self._batch + 1}"
        cure = "; ".join(finding.cure.splitlines())
        return f"{finding.title} ({when}): {finding.evidence} What helps: {cure}"


def numbers(seen: Seen) -> dict[str, float]:
    """The numbers for the logs, by name."""
    found = {}
    for layer in seen.layers.values():
        for name, value in _of_layer(layer).items():
            found[f"{layer.name}/{name}"] = value
    training = seen.training
    if training is not None:
        found["gradient_norm"] = float(training.norms.mean())
        if training.clipped is not None:
            found["clipped"] = training.clipped
    return found


def _of_layer(layer: LayerReport) -> dict[str, float]:
    found: dict[str, float | None] = {}
    gradients, states, update = layer.gradients, layer.states, layer.update
    if gradients is not None:
        lags = len(gradients.norms)
        found["gradient_horizon"] = float(gradients.horizon or lags)
        # Less than two steps with a gradient: nothing comes through a step.
        found["gradient_factor"] = gradients.factor or 0.0
    if states is not None:
        found["saturated"], found["dead"] = states.saturated, states.dead
        stuck = [share.stuck for share in states.gates.values()]
        found["stuck"] = max(stuck, default=None)
        found["dimensions"] = states.dimensions
    if update is not None:
        found["update_ratio"] = update.ratio
    return {name: value for name, value in found.items() if value is not None}
