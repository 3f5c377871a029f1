"""`keras_rnnx.diagnose`: measures a recurrent network, and says what is wrong."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import keras

from keras_rnnx import _numbers
from keras_rnnx._errors import unknown
from keras_rnnx._sublayers import path, walk
from keras_rnnx.diagnosis import _data, _measures, _objective, _snapshot
from keras_rnnx.diagnosis._examination import Examination
from keras_rnnx.diagnosis._recording import forward
from keras_rnnx.diagnosis.cures.try_cures import Subject
from keras_rnnx.diagnosis.report import Report

MEASURES = ("gradients", "updates", "dynamics", "states", "memory", "cost")


def diagnose(
    model: keras.Model,
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    history: Any = None,
    measures: Sequence[str] = MEASURES,
    sequences: int = 64,
    batches: int = 4,
    batch_size: int = 32,
    seed: int = 0,
) -> Report:
    """Measures the recurrent layers of a model, and says what is wrong with them.

    The layers are those of keras_rnnx and of Keras, wherever they are in the model. All
    but the gradients of batches is measured at inference, without dropout. The model
    stays as it is: weights, seeds, states, metrics and optimizer.

    Args:
        model: a Keras model. For the loss it must be compiled.
        x: inputs, as arrays; or a `keras.utils.PyDataset`, a task of
            `keras_rnnx.datasets`, or what else `fit` takes and can be looped over.
        y: targets. Without them, the gradients are those of the mean square of the
            outputs. Default None.
        sample_weight: weights of samples. Default None.
        history: what `fit` returned, or a dict with the lists "loss" and "val_loss" of
            its epochs: overfitting, plateaus and jumps are looked for. Default None.
        measures: what is measured, of `keras_rnnx.diagnosis.MEASURES`: "gradients" by
            step back in time, "updates" (norms of gradients and their clipping),
            "dynamics", "states", "memory" and "cost". Default: all.
        sequences: sequences at most for measures of each step; a model that takes
            batches of one size alone gets one batch. Default 64.
        batches: batches at most for "updates". Default 4.
        batch_size: sequences in a batch, of arrays. Default 32.
        seed: of what is drawn: which sequences, and small changes. Default 0.

    Returns:
        A `keras_rnnx.diagnosis.Report`. It prints as text, and its `try_cures` trains
        what it proposes beside the model. For that it holds the model and the data.

    Raises:
        TypeError: if `model` is not a Keras model, or `history` no such thing.
        ValueError: for a model without recurrent layers; for data that are empty, or
            don't fit each other or the model; for "updates" asked for by name without
            targets or a compiled model; for an unknown measure; for a `history` without
            losses.

    Example:

    >>> model = keras.Sequential([
    ...     keras.Input((30, 2)), keras_rnnx.layers.SimpleRNN(4, name="rnn",
    ...         recurrent_initializer=keras_rnnx.initializers.SpectralRadius(0.3)),
    ...     keras.layers.Dense(1)])
    >>> model.compile("adam", "mse")
    >>> x = np.random.default_rng(0).normal(size=(16, 30, 2)).astype("float32")
    >>> report = keras_rnnx.diagnose(model, x, x[:, 0, :1])
    >>> report.findings[0].title
    'Gradients vanish in rnn'
    >>> report.layers["rnn"].gradients.norms.shape
    (30,)
    """
    start = time.perf_counter()
    layers = recurrent_layers(model)
    chosen = _chosen(measures)
    curves = None if history is None else _measures.curves.measure(history)
    data = _data.prepare(
        model,
        x,
        y,
        sample_weight,
        _numbers.integer("sequences", sequences, least=1),
        _numbers.integer("batches", batches, least=1),
        _numbers.integer("batch_size", batch_size, least=1),
        _numbers.integer("seed", seed, least=0),
    )
    missing = _objective.missing(model, data.measured)
    if missing and "updates" in measures and measures is not MEASURES:
        raise ValueError(
            f"`measures` names 'updates', which needs the loss: {missing}."
        )
    notes: list[str] = []
    if not model.built or any(not layer.built for layer in layers.values()):
        forward(model, data.measured.x)
        notes.append("The model was not built. It is now.")
    with _snapshot.kept(model):
        found = Examination(model, layers, data, chosen, seed, notes, curves)
        found.examine()
    return Report(
        model=model.name,
        samples=data.measured.size,
        objective=found.objective_name,
        loss=found.loss,
        layers=found.reports,
        findings=found.findings,
        training=found.training,
        past=found.past,
        notes=notes,
        seconds=time.perf_counter() - start,
        curves=curves,
        denormals=found.denormals,
        rates=found.rates,
        subject=Subject(model, layers, (x, y, sample_weight), batch_size),
    )


def recurrent_layers(model: Any) -> dict[str, keras.layers.RNN]:
    """The recurrent layers of a model, by name.

    Raises:
        TypeError: if it is no Keras model.
        ValueError: if it has none.
    """
    if not isinstance(model, keras.Model):
        raise TypeError(
            f"keras_rnnx.diagnose takes a Keras model, received `model`={model!r} of "
            f"type {type(model).__name__}. Put a layer into keras.Sequential([layer])."
        )
    found: dict[str, keras.layers.RNN] = {}
    for owners, layer in walk(model):
        if isinstance(layer, keras.layers.RNN):
            name = path(owners, layer)
            same = sum(known.partition("#")[0] == name for known in found)
            found[f"{name}#{same + 1}" if same else name] = layer
    if not found:
        raise ValueError(
            f"`model` has no recurrent layers: {model.name!r} holds none of "
            f"keras_rnnx.layers and no keras.layers.RNN, LSTM, GRU or SimpleRNN."
        )
    return found


def _chosen(measures: Any) -> tuple[str, ...]:
    names = (measures,) if isinstance(measures, str) else tuple(measures)
    for name in names:
        if name not in MEASURES:
            raise unknown("measure", name, MEASURES)
    return names
