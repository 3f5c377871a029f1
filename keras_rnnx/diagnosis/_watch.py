"""The cheap measures of a model, taken again and again while it trains."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import keras

from keras_rnnx._finite import all_finite
from keras_rnnx.callbacks.gradients import gradient_function
from keras_rnnx.diagnosis import _examination, _measures, _snapshot, findings
from keras_rnnx.diagnosis._data import Batch, Data
from keras_rnnx.diagnosis._derivatives import without_gradients
from keras_rnnx.diagnosis._objective import Objective
from keras_rnnx.diagnosis._recording import Call, Recorder, as_arrays, refusal
from keras_rnnx.diagnosis.findings import numbers
from keras_rnnx.diagnosis.findings.patient import Patient
from keras_rnnx.diagnosis.measured import Curves, LayerReport, Training
from keras_rnnx.diagnosis.report import Finding


@dataclasses.dataclass
class Seen:
    """What was seen of a model.

    Attributes:
        layers: measures by the name of the recurrent layer.
        training: gradients of batches, or None.
        findings: what is wrong, worst first.
        finite: whether all numbers are finite. If not, nothing else was measured.
    """

    layers: dict[str, LayerReport]
    training: Training | None
    findings: list[Finding]
    finite: bool = True


class Watch:
    """Measures a model as often as one asks, with programs that are made once.

    Args:
        model: the model, compiled and built.
        layers: its recurrent layers by name.
        data: the data.
        seed: of what is drawn.

    Raises:
        ValueError: if the targets don't fit the outputs.
    """

    def __init__(
        self,
        model: keras.Model,
        layers: dict[str, keras.layers.RNN],
        data: Data,
        seed: int,
    ):
        self._model, self._layers, self._seed = model, layers, seed
        self._batches: list[Batch] = data.batches
        refused = {name: refusal(layer) for name, layer in layers.items()}
        looped = [layers[name] for name in layers if not refused[name]]
        self._recorder = Recorder(model, looped)
        with _snapshot.kept(model), without_gradients():
            outputs, tensors = self._recorder.run(data.measured.x)
            calls = [as_arrays(call) for call in tensors]
            objective = Objective(model, data.measured, outputs, calls)
            _examination.loss(model, objective, outputs)
        self._calls = calls
        self._gradients = _measures.gradients.StateGradients(
            self._recorder, data.measured.x, calls, objective
        )
        self._blank: dict[str, LayerReport] = {}
        for name, layer in layers.items():
            own = [call for call in calls if call.layer is layer]
            reason = refused[name] or (None if own else "it was not called")
            self._blank[name] = _examination.blank(name, layer, own, reason)
        self._of_batch = gradient_function(model) if objective.uses_loss else None

    def look(self, model: keras.Model, curves: Curves | None = None) -> Seen:
        """Measures the model as it is, and leaves it as it was.

        Args:
            model: the model, with its weights in its variables.
            curves: the losses of its epochs. Default None.
        """
        with _snapshot.kept(model):
            return self._look(curves)

    def _look(self, curves: Curves | None) -> Seen:
        patient = Patient(self._model, self._layers, self._blank, None, None, curves)
        if not all_finite(self._model.trainable_variables):
            return self._lost(list(numbers.in_weights(patient)))
        calls: list[Call] = []
        of_states: _measures.gradients.ByCall = {}
        if self._calls:
            value, calls, of_states = self._gradients()
            found = list(numbers.in_states(patient, calls, []))
            if found or not math.isfinite(value):
                return self._lost(found or [numbers.in_loss(value)])
        reports, training, of_weights = dict(self._blank), None, []
        if self._of_batch is not None:
            of_weights = [self._of_batch(batch.parts) for batch in self._batches]
            training = _measures.gradients.training(self._model, of_weights)
        for name, layer in self._layers.items():
            own = [call for call in calls if call.layer is layer]
            values: dict[str, Any] = {}
            if self._blank[name].not_measured is None:
                values["gradients"] = _measures.gradients.measure(
                    layer, calls, of_states
                )
                values["states"] = self._states(layer, own)
            if of_weights:
                values["update"] = _measures.gradients.update(
                    self._model, layer, of_weights
                )
            reports[name] = dataclasses.replace(reports[name], **values)
        patient = dataclasses.replace(patient, measured=reports, training=training)
        return Seen(reports, training, findings.found(patient))

    def _states(self, layer: keras.layers.RNN, calls: list[Call]) -> Any:
        if not any(call.valid.any() for call in calls):
            return None
        return _measures.states.measure(self._recorder.loop(layer), calls, self._seed)

    def _lost(self, found: list[Finding]) -> Seen:
        return Seen(dict(self._blank), None, found, finite=False)
