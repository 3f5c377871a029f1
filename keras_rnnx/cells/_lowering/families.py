"""Families of cells that a vendor's kernel computes, by their activation."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_rnnx.cells._lowering.spec import OPEN, GateWeights, Lowering, Weights

_TANH = (keras.activations.tanh, ops.tanh)
_SIGMOID = (keras.activations.sigmoid, ops.sigmoid)
# Activations `max(a, 0) - slope max(-a, 0)`, by their slope.
_SLOPES = {
    keras.activations.relu: 0.0,
    ops.relu: 0.0,
    keras.activations.leaky_relu: 0.2,
    ops.leaky_relu: 0.2,
    keras.activations.linear: 1.0,
}

Gates = Callable[[Weights], dict[str, GateWeights]]
Vector = Callable[[Weights], Any]


def simple(activation: Callable, zoneout: float = 0.0) -> Lowering | str:
    """`h' = activation(a_h)`, followed by the expected value of zoneout."""
    if zoneout:

        def constant(value: float) -> Vector:
            return lambda w: value * ops.ones_like(w.h.bias)

        return _with_zoneout(
            leaky(activation, constant(zoneout), constant(1 - zoneout))
        )
    if activation in _SLOPES:
        return _rectified(activation)
    return _squashed("rnn_tanh", activation, lambda w: {"h": w.h}, rectifiers=True)


def gated(activation: Callable, gates: Gates, says: str = "") -> Lowering | str:
    """`h' = z h + (1 - z) activation(a_h)`, a GRU with these gates."""
    return _squashed("gru", activation, gates, says)


def embedded(
    activation: Callable, candidate: str, gate: str, of_candidate: str
) -> Lowering | str:
    """`h' = f h + (1 - f) z` with `z = tanh(W x + b)`, `f = sigmoid(U h + M z + b_f)`.

    A GRU whose inputs are `W x + b` and `z`, which need no state.

    Args:
        activation: of the candidate.
        candidate, gate, of_candidate: names of the gates with `W`, `U` and `M`.
    """
    if activation not in _TANH:
        return _other("activation", activation, "tanh")

    def inputs(sequence: Any, states: list[Any], w: Weights) -> Any:
        weights = getattr(w, candidate)
        total = sequence @ weights.kernel + weights.bias
        return ops.concatenate([total, ops.tanh(total)], axis=-1)

    def gates(w: Weights) -> dict[str, GateWeights]:
        of_state, of_z = getattr(w, gate), getattr(w, of_candidate).recurrent_kernel
        none = ops.zeros_like(of_z)
        eye = ops.eye(none.shape[0], dtype=none.dtype)
        zeros = ops.zeros_like(of_state.recurrent_bias)
        shut = GateWeights(ops.concatenate([none, none]), none, zeros, zeros)
        return {
            "z": GateWeights(
                ops.concatenate([none, of_z]),
                of_state.recurrent_kernel,
                zeros,
                of_state.recurrent_bias,
            ),
            "r": shut,
            "h": dataclasses.replace(shut, kernel=ops.concatenate([eye, none])),
        }

    return Lowering("gru", gates, inputs=inputs, says="inputs embedded before")


def leaky(
    activation: Callable,
    keep: Vector,
    write: Vector,
    forget: Vector | None = None,
    zoneout: float = 0.0,
) -> Lowering | str:
    """`h' = keep h + write activation(a_h)`, each a vector in (0, 1].

    Followed by the expected value of zoneout it is such a cell too, which keeps more
    and writes less.

    Args:
        activation: of the update.
        keep, write: the vectors.
        forget: `1 - keep`, where it is not `write`.
        zoneout: its rate. Default 0.
    """
    if zoneout:

        def less(vector: Vector) -> Vector:
            return lambda w: (1 - zoneout) * vector(w)

        def more(w: Weights) -> Any:
            return zoneout + (1 - zoneout) * keep(w)

        return _with_zoneout(
            leaky(activation, more, less(write), forget and less(forget))
        )
    if activation in _SLOPES:
        return _rectified(activation, keep, write)
    of_kernel = forget or write

    def gates(w: Weights) -> dict[str, GateWeights]:
        kept, forgotten = keep(w), of_kernel(w)
        # The logit must be finite, also for a unit that keeps all or nothing.
        least = _least(kept)
        logit = ops.log(kept + least) - ops.log(forgotten + least)
        return {"z": w.held(logit), "r": w.held(OPEN), "h": w.h}

    def scale(w: Weights) -> Any:
        return write(w) / of_kernel(w)

    says = "update and reset gate held"
    scaled = scale if forget else None
    return _squashed("gru", activation, gates, says, scaled, rectifiers=True)


def _least(x: Any) -> float:
    """The smallest normal number in the precision of `x`."""
    half = keras.backend.standardize_dtype(x.dtype) == "float16"
    return float(np.finfo("float16" if half else "float32").tiny)


def _with_zoneout(lowering: Lowering | str) -> Lowering | str:
    if not isinstance(lowering, Lowering):
        return lowering
    return dataclasses.replace(lowering, zoneout=True)


def standard(activation: Callable, recurrent_activation: Callable) -> str | None:
    """Why a gated kernel does not fit these activations, or None."""
    if recurrent_activation not in _SIGMOID:
        return _other("recurrent_activation", recurrent_activation, "sigmoid")
    return None if activation in _TANH else _other("activation", activation, "tanh")


def sigmoid_gates(recurrent_activation: Callable) -> str | None:
    """Why the gates of the kernels do not fit this activation, or None."""
    if recurrent_activation in _SIGMOID:
        return None
    return _other("recurrent_activation", recurrent_activation, "sigmoid")


def _other(name: str, activation: Callable, fitting: str) -> str:
    received = getattr(activation, "__name__", repr(activation))
    return f"{name}={received!r}, where the kernels have {fitting}"


def _squashed(
    kernel: str,
    activation: Callable,
    gates: Callable[[Weights], dict[str, GateWeights]],
    says: str = "",
    scale: Vector | None = None,
    rectifiers: bool = False,
) -> Lowering | str:
    """A kernel with tanh, for a cell with tanh or sigmoid and a state of any scale.

    The cell's state is `h = scale g + shift` of the kernel's state `g`. The logistic
    function is a tanh of half the argument, half as high and moved up by a half.
    """
    if activation in _TANH:
        if scale is None:
            return Lowering(kernel, gates, says=says)
        half = False
    elif activation in _SIGMOID:
        half = True
    else:
        fitting = "tanh, sigmoid" + ", rectifiers" * rectifiers
        return _other("activation", activation, fitting)

    def change(w: Weights) -> tuple[Any, Any]:
        full = 1.0 if scale is None else scale(w)
        return (full / 2, full / 2) if half else (full, 0.0)

    def of_kernel(w: Weights) -> dict[str, GateWeights]:
        weights = gates(w.of(*change(w)))
        return weights | {"h": weights["h"] * 0.5} if half else weights

    def states(states: list[Any], w: Weights) -> list[Any]:
        scale, shift = change(w)
        return [(state - shift) / scale for state in states]

    def outputs(sequence: Any, states: list[Any], w: Weights) -> Any:
        scale, shift = change(w)
        return scale * sequence + shift

    return Lowering(
        kernel,
        of_kernel,
        states=states,
        outputs=outputs,
        says=", ".join(filter(None, [says, "state rescaled"])),
        # Gradients of a learned scale are small differences of large numbers.
        half=scale is None,
    )


def _rectified(
    activation: Callable, keep: Vector | None = None, write: Vector | None = None
) -> Lowering:
    """ReLU units for `h' = keep h + write (max(a, 0) - slope max(-a, 0))`.

    The state is a weighted sum of the rectified parts of `a` and of the state before,
    which are units of the kernel: `max(h, 0)`, `max(-h, 0)`, `max(a, 0)`,
    `max(-a, 0)`, as far as they are needed. Each part is listed with its weight in the
    state, its sign in the inputs, what it takes from the state, and whether it is
    positive where its source is.
    """
    slope = _SLOPES[activation]
    # Without a slope, and starting from zero, no state is negative. So the kernel
    # starts from zero, and the share of the initial state enters with the inputs.
    decays = keep is not None and slope == 0

    def parts(w: Weights) -> list[tuple[Any, int, Any, bool]]:
        like = w.h.bias
        ones, eye = ops.ones_like(like), ops.eye(like.shape[0], dtype=like.dtype)
        written = ones if write is None else write(w) * ones
        result = [(written, 1, w.h.recurrent_kernel, True)]
        if slope:
            below = activation(-ones)  # the backend's slope: not exactly 0.2 in all
            result.append((below * written, -1, -w.h.recurrent_kernel, False))
        if keep is not None:
            kept = keep(w) * ones
            result.append((kept, 0, eye, True))
            if slope:
                result.append((-kept, 0, -eye, False))
        return result

    def lift(positive: bool, like: Any) -> Any:
        # At zero a kernel's ReLU has the gradient 0, but the activation has a slope. A
        # part at exactly zero (no input yet, no bias) is raised by less than the
        # precision, and its counterpart lowered, so that exactly one has a gradient.
        half = keras.backend.standardize_dtype(like.dtype) == "float16"
        least = (1e-7 if half else 1e-30) if slope else 0.0
        return (least if positive else -least) * ops.ones_like(like)

    def gates(w: Weights) -> dict[str, GateWeights]:
        rows, signs, columns, positive = zip(*parts(w))
        state = ops.reshape(ops.concatenate(rows), (-1, 1))
        kernel = w.h.kernel
        if decays:
            kernel = ops.concatenate([kernel, w.h.recurrent_kernel], axis=0)
        bias = w.h.bias + w.h.recurrent_bias
        gate = GateWeights(
            kernel=ops.concatenate([s * kernel for s in signs], axis=1),
            recurrent_kernel=state
            * ops.tile(ops.concatenate(columns, axis=1), (len(rows), 1)),
            bias=ops.concatenate([s * bias for s in signs]),
            recurrent_bias=ops.concatenate([lift(p, bias) for p in positive]),
        )
        return {"h": gate}

    def remaining(steps: Any, first: int, states: list[Any], w: Weights) -> Any:
        """What is left of the initial state after `first`, `first + 1`, ... steps."""
        kept = keep(w) + float(np.finfo("float32").tiny)  # type: ignore[misc]
        times = ops.cast(ops.arange(first, first + steps), kept.dtype)
        # The operator, since `ops.power` computes float64 in float32 on some backends.
        share = ops.expand_dims(kept, 0) ** ops.expand_dims(times, 1)
        return ops.expand_dims(share, 0) * ops.expand_dims(states[0], 1)

    def inputs(sequence: Any, states: list[Any], w: Weights) -> Any:
        if not decays:
            return sequence
        left = remaining(ops.shape(sequence)[1], 0, states, w)
        return ops.concatenate([sequence, left], axis=-1)

    def start(states: list[Any], w: Weights) -> list[Any]:
        terms = parts(w)
        first = 0.0 * states[0] if decays else states[0] / terms[0][0]
        others = [0.0 * states[0] for _ in terms[1:]]
        return [ops.concatenate([first, *others], axis=-1)]

    def outputs(sequence: Any, states: list[Any], w: Weights) -> Any:
        terms = parts(w)
        blocks = ops.split(sequence, len(terms), axis=-1)
        total = sum(row * block for (row, *_), block in zip(terms, blocks))
        if decays:
            total = total + remaining(ops.shape(sequence)[1], 1, states, w)
        return total

    width = (1 + bool(slope)) * (1 if keep is None else 2)
    if width == 1:
        return Lowering("rnn_relu", lambda w: {"h": w.h})
    return Lowering(
        "rnn_relu",
        gates,
        inputs=inputs,
        states=start,
        outputs=outputs,
        width=width,
        says=f"{width} units for each",
    )
