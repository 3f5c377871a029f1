"""One pass over all that is measured of a model, and what it finds."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np

from keras_rnnx.diagnosis import _measures, findings
from keras_rnnx.diagnosis._data import Data
from keras_rnnx.diagnosis._derivatives import Tape, without_gradients
from keras_rnnx.diagnosis._objective import WHOLE, Objective
from keras_rnnx.diagnosis._recording import Call, Recorder, as_arrays, refusal
from keras_rnnx.diagnosis.findings import numbers
from keras_rnnx.diagnosis.findings.patient import Patient
from keras_rnnx.diagnosis.measured import (
    Curves,
    Denormals,
    LayerReport,
    Past,
    Rates,
    Training,
)
from keras_rnnx.diagnosis.report import Finding


class Examination:
    """One pass over all that is measured, with what it finds.

    Args:
        model: the model, built.
        layers: its recurrent layers by name.
        data: the data.
        chosen: the measures.
        seed: of what is drawn.
        notes: a list to which is added what was not measured.
        curves: the losses of its epochs. Default None.
    """

    def __init__(
        self,
        model: keras.Model,
        layers: dict[str, keras.layers.RNN],
        data: Data,
        chosen: tuple[str, ...],
        seed: int,
        notes: list[str],
        curves: Curves | None = None,
    ):
        self.model, self.layers, self.data = model, layers, data
        self.chosen, self.seed, self.notes = chosen, seed, notes
        self.curves = curves
        self.reports: dict[str, LayerReport] = {}
        self.findings: list[Finding] = []
        self.training: Training | None = None
        self.past: Past | None = None
        self.denormals: Denormals | None = None
        self.rates: Rates | None = None
        self.loss: float | None = None
        self.objective_name = "the loss"

    def examine(self) -> None:
        """Measures, and looks for what is wrong."""
        refused = {name: refusal(layer) for name, layer in self.layers.items()}
        for name, reason in refused.items():
            if reason:
                self.notes.append(
                    f"{name} is measured from outside alone: {reason}. Its gradients "
                    f"are those for its inputs, and its states are not measured."
                )
        looped = [self.layers[name] for name in self.layers if not refused[name]]
        outside = [self.layers[name] for name in self.layers if refused[name]]
        self.recorder = Recorder(self.model, looped, outside)
        self._taped: _measures.gradients.TapedRun | None = None
        if "gradients" in self.chosen and Tape.works():
            self._taped = _measures.gradients.TapedRun(
                self.recorder, self.data.measured.x
            )
            outputs, self.calls = self._taped.outputs, self._taped.calls
        else:
            with without_gradients():
                outputs, calls = self.recorder.run(self.data.measured.x)
                self.calls = [as_arrays(call) for call in calls]
        with without_gradients():
            self.objective = Objective(
                self.model, self.data.measured, outputs, self.calls
            )
            self._check_loss(outputs)
        for name, layer in self.layers.items():
            own = [call for call in self.calls if call.layer is layer]
            reason = refused[name] or (None if own else "it was not called")
            self.reports[name] = blank(name, layer, own, reason)
            if reason == "it was not called":
                self.notes.append(f"{name} is not measured: {reason}.")
        if not self._finite(keras.tree.map_structure(_array, outputs)):
            self.notes.append(
                "Nothing else is measured where numbers are not finite: mend that "
                "first."
            )
            return
        if not self.objective.uses_loss:
            self.notes.append(
                f"Gradients are those of the mean square of the outputs, and updates "
                f"and the use of the past are not measured: {self.objective.instead}."
            )
        else:
            self.rates = _measures.rates.measure(
                self.model,
                self.objective,
                self.data.measured,
                keras.tree.map_structure(_array, outputs),
            )
        self._measure()
        self.findings += findings.found(self._patient())

    def _patient(self) -> Patient:
        return Patient(
            self.model,
            self.layers,
            self.reports,
            self.training,
            self.past,
            self.curves,
            self.denormals,
            self.rates,
        )

    def _finite(self, outputs: Any) -> bool:
        """Whether all numbers are finite; findings about those that are not."""
        reaches = numbers.reaches(self.calls, outputs)
        patient = self._patient()
        of_weights = list(numbers.in_weights(patient))
        self.findings += of_weights
        self.findings += numbers.in_data(self.model, self.data, reaches)
        # Weights or data that are not finite are the cause of such states.
        of_states = list(numbers.in_states(patient, self.calls, outputs))
        if not self.findings:
            self.findings += of_states
        return not (of_weights or of_states)

    def _check_loss(self, outputs: Any) -> None:
        self.objective_name = self.objective.name
        self.loss = loss(self.model, self.objective, outputs)

    def _measure(self) -> None:
        chosen, model, x = self.chosen, self.model, self.data.measured.x
        loss_is_finite = self.loss is not None and np.isfinite(self.loss)
        measured = {k: r for k, r in self.reports.items() if r.not_measured is None}
        share = 0.0
        if "gradients" in chosen and loss_is_finite and self.calls:
            if self._taped is not None:
                _, found = self._taped.gradients(self.objective)
            else:
                found = _measures.gradients.by_call(
                    self.recorder, x, self.calls, self.objective
                )
            share = _measures.denormals.largest_share(self.calls, found[WHOLE])
            # It holds all that went through the model.
            self._taped = None
            called = {id(call.layer) for call in self.calls}
            for name, layer in self.layers.items():
                if id(layer) not in called:
                    continue
                value = _measures.gradients.measure(layer, self.calls, found)
                self._set(name, gradients=value)
        batches = None
        if "updates" in chosen and loss_is_finite and self.objective.uses_loss:
            batches = _measures.gradients.of_batches(model, self.data.batches)
            self.training = _measures.gradients.training(model, batches)
            for name, layer in self.layers.items():
                self._set(
                    name, update=_measures.gradients.update(model, layer, batches)
                )
        for name in measured:
            self._measure_layer(name)
        for name in self.layers:
            self._count(name, batches)
        if "memory" in chosen and loss_is_finite and self.objective.uses_loss:
            self._measure_past()
        if "cost" in chosen:
            costs = _measures.cost.measure(model, x, self.layers, self.calls)
            for name, cost in costs.items():
                self._set(name, cost=cost)
            if batches is not None:
                first = self.data.batches[0]
                self.denormals = _measures.denormals.measure(model, first, share)

    def _measure_layer(self, name: str) -> None:
        layer = self.layers[name]
        loop = self.recorder.loop(layer)
        calls = [call for call in self.calls if call.layer is layer]
        longest = max(calls, key=lambda call: int(call.lengths.max()))
        if not longest.lengths.max():
            return
        if "dynamics" in self.chosen:
            value = _measures.dynamics.measure(self.model, loop, longest, self.seed)
            self._set(name, dynamics=value)
        if "states" in self.chosen:
            self._set(name, states=_measures.states.measure(loop, calls, self.seed))
        if "memory" in self.chosen:
            memory = _measures.memory.measure(self.model, loop, longest, self.seed)
            self._set(name, memory=memory)

    def _count(self, name: str, batches: list[list[Any]] | None) -> None:
        states = "states" in self.chosen
        if states or batches is not None:
            layer = self.layers[name]
            # A call that is seen from outside holds inputs in place of states.
            calls = [
                call
                for call in self.calls
                if call.layer is layer and states and not call.outside
            ]
            value = _measures.distributions.measure(
                self.model, layer, calls, batches, self.seed
            )
            self._set(name, distributions=value)

    def _measure_past(self) -> None:
        if not self.calls:
            return
        found = _measures.memory.past(
            self.model, self.data.measured, self.objective, self.calls[0], self.seed
        )
        if isinstance(found, Past):
            self.past = found
        else:
            self.notes.append(f"The use of the past is not measured: {found}.")

    def _set(self, name: str, **values: Any) -> None:
        self.reports[name] = dataclasses.replace(self.reports[name], **values)


def loss(model: keras.Model, objective: Objective, outputs: Any) -> float:
    """The value of the objective.

    Raises:
        ValueError: if the targets don't fit the outputs and the loss.
    """
    try:
        return float(_array(objective.value(outputs)))
    except Exception as error:
        # Each backend has errors of its own for shapes that don't fit.
        if not objective.uses_loss:
            raise
        raise ValueError(
            f"`y` does not fit the outputs and the loss of {model.name!r}: {error}"
        ) from error


def blank(
    name: str, layer: keras.layers.RNN, calls: list[Call], reason: str | None
) -> LayerReport:
    """A report without measures."""
    lengths = np.concatenate([call.lengths for call in calls]) if calls else np.zeros(1)
    return LayerReport(
        name=name,
        cell=type(layer.cell).__name__,
        units=_measures.states.widths(layer),
        length=int(np.median(lengths)),
        longest=int(lengths.max()),
        not_measured=reason,
    )


def _array(tensor: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor)
