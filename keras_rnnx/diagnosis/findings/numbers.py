"""Numbers that are not finite: in weights, data, states or outputs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras_rnnx import layers as ours
from keras_rnnx._finite import not_finite as _count
from keras_rnnx._sublayers import walk
from keras_rnnx.diagnosis._data import Data
from keras_rnnx.diagnosis._recording import Call
from keras_rnnx.diagnosis.report import Finding

GUARD = (
    "guard = keras_rnnx.callbacks.DivergenceGuard(restore_weights=True)\n"
    "model.fit(guard.watch(x, y), callbacks=[guard])"
)
PAPER = "Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063"


def in_weights(model: keras.Model) -> Iterator[Finding]:
    """Weights that are NaN or infinite."""
    bad = []
    for variable in model.weights:
        array = np.asarray(keras.ops.convert_to_numpy(variable))
        count = _count(array)
        if count:
            bad.append(f"{count} of {array.size} in {variable.path}")
    if bad:
        yield _finding(
            "Weights are NaN or infinite",
            ", ".join(bad) + ".",
            "Training has diverged before, or a file holds such weights. All that "
            "depends on them is NaN.",
            GUARD,
        )


def in_data(model: keras.Model, data: Data, reaches: bool) -> Iterator[Finding]:
    """Inputs, targets or weights of samples that are NaN or infinite.

    Args:
        model: the model.
        data: the data.
        reaches: whether inputs that are not finite reach a layer.
    """
    masks = any(isinstance(layer, ours.MaskPadding) for _, layer in walk(model))
    whole = data.whole
    parts = {"y": whole.y, "sample_weight": whole.weights}
    # With a layer that makes a mask of NaN, they are padding.
    if reaches or not masks:
        parts = {"x": whole.x, **parts}
    for name, part in parts.items():
        arrays = [np.asarray(a) for a in keras.tree.flatten(part) if a is not None]
        for array in arrays:
            count = _count(array)
            if not count:
                continue
            first = np.argwhere(~np.isfinite(array))[0].tolist()
            axes = ["sample", "step", *["feature"] * (len(first) - 2)]
            axes = axes if name == "x" else ["sample", *["index"] * (len(first) - 1)]
            at = ", ".join(f"{axis} {n}" for axis, n in zip(axes, first))
            cures = {"x": "keras_rnnx.layers.MaskPadding()  # if NaN is padding"}
            yield _finding(
                f"`{name}` holds NaN or infinity",
                f"{count} of {array.size} values in {data.place}; the first one is at "
                f"{at}.",
                "The loss and all gradients of a batch with such a value are NaN.",
                cures.get(name, f"{name} = np.nan_to_num({name})"),
            )


def in_states(
    names: dict[int, str], calls: list[Call], outputs: Any
) -> Iterator[Finding]:
    """States or outputs that become infinite, of finite weights and inputs.

    Args:
        names: of the recurrent layers, by `id`.
        calls: their calls, as arrays.
        outputs: of the model.
    """
    for call in calls:
        name, valid = names[id(call.layer)], call.valid
        if _count(call.inputs[valid]):
            yield _finding(
                f"What {name} reads is not finite",
                f"{_count(call.inputs[valid])} of {call.inputs[valid].size} values of "
                f"its inputs are NaN or infinite.",
                "A layer in front of it gives such values.",
                GUARD,
                name,
            )
            return
        finite = [np.isfinite(state).all(axis=-1) for state in call.states]
        bad = ~np.all(finite, axis=0)
        if (bad & valid).any():
            step = int(np.argwhere((bad & valid).any(axis=1))[0, 0])
            yield _finding(
                f"The states of {name} are not finite from step {step} on",
                f"{int((bad & valid).any(axis=0).sum())} of {valid.shape[1]} sequences "
                f"have such states.",
                "The state grows from step to step until it is too large for its "
                "number format.",
                "keras_rnnx.constraints.SpectralRadius(1.0)  # recurrent_constraint",
                name,
            )
            return
    flat = [np.asarray(o) for o in keras.tree.flatten(outputs)]
    count = sum(map(_count, flat))
    if count:
        yield _finding(
            "The outputs of the model are not finite",
            f"{count} of {sum(o.size for o in flat)} values.",
            "A layer behind the recurrent ones gives such values.",
            GUARD,
        )


def in_loss(value: float) -> Finding:
    """A loss that is not finite, of finite states."""
    return _finding(
        f"The loss is {value}",
        "All weights and states are finite.",
        "The outputs of the model or the targets give such a loss.",
        GUARD,
    )


def reaches(calls: list[Call], outputs: Any) -> bool:
    """Whether something not finite comes to a recurrent layer, or out of the model."""
    read = any(_count(call.inputs[call.valid]) for call in calls)
    return read or any(_count(np.asarray(o)) for o in keras.tree.flatten(outputs))


def _finding(
    title: str, evidence: str, cause: str, cure: str, layer: str | None = None
) -> Finding:
    return Finding("nan", layer, title, evidence, cause, cure, PAPER)
