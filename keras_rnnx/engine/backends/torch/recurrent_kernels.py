"""Calls cuDNN's and torch's own recurrent kernels."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch

from keras_rnnx.engine.backends.protocol import Tensor, Tensors
from keras_rnnx.engine.backends.torch.export import exporting

# torch's functions for one step. There is none for a projection of the outputs.
STEPS = {
    "lstm": torch.lstm_cell,
    "gru": torch.gru_cell,
    "rnn_tanh": torch.rnn_tanh_cell,
    "rnn_relu": torch.rnn_relu_cell,
}


def run_kernel(
    kernel: str,
    x: Tensor,
    states: Tensors,
    weights: list[Tensors],
    lengths: Tensor | None,
    bidirectional: bool = False,
) -> tuple[Tensor, Tensors]:
    """Runs a vendor's kernel, for one layer or for several stacked ones.

    With `bidirectional` a layer is a pair: one runs forward, one backward, and the
    layer above reads the outputs of both.

    Args:
        kernel: a name in `keras_rnnx.cells._lowering.spec.KERNELS`.
        x: inputs `(batch, time, features)`.
        states: initial states, each `(layers, batch, units)`.
        weights: for every layer the kernel `(features, gates * units)`, the recurrent
            kernel `(units, gates * units)` and their biases, by gate in the vendor's
            order; then the matrix that projects the outputs, if the kernel has one.
        lengths: None, or the number of steps of each row, `(batch,)`.
        bidirectional: whether layers come in pairs. Default False.

    Returns:
        Outputs `(batch, time, units)` of the last layer, those of both directions
        concatenated, and the last states.

    Raises:
        ValueError: for inputs or states that do not fit the weights.
    """
    _check_sizes(kernel, x, states, weights)
    # A trace with one step may be meant for any number of steps.
    single = (
        len(weights) == 1 and lengths is None and not exporting() and x.shape[1] == 1
    )
    if single and not x.is_cuda and kernel in STEPS:
        return _one_step(kernel, x[:, 0], [state[0] for state in states], *weights)
    layers = [
        [w.T, u.T, *biases, *(p.T for p in projection)]
        for w, u, *biases, projection in ((*layer[:4], layer[4:]) for layer in weights)
    ]
    if x.is_cuda:
        layers = in_one_piece(layers)
    states = [state.contiguous() for state in states]
    packed, where = [x], {"batch_first": True}
    if lengths is not None:
        # torch needs the lengths on the host, and sorts the rows by them.
        rows = torch.nn.utils.rnn.pack_padded_sequence(
            x, lengths.to("cpu", torch.int64), batch_first=True, enforce_sorted=False
        )
        packed, where = [rows.data, rows.batch_sizes], {}
        states = [state.index_select(1, rows.sorted_indices) for state in states]
    outputs, *last = _function(kernel)(
        *packed,
        states if kernel in ("lstm", "lstmp") else states[0],
        [tensor for layer in layers for tensor in layer],
        has_biases=True,
        num_layers=len(layers) // (1 + bidirectional),
        dropout=0.0,
        train=torch.is_grad_enabled(),  # whether a backward pass may come
        bidirectional=bidirectional,
        **where,
    )
    if lengths is None:
        return outputs, last
    outputs, _ = torch.nn.utils.rnn.pad_packed_sequence(
        rows._replace(data=outputs), batch_first=True, total_length=x.shape[1]
    )
    return outputs, [state.index_select(1, rows.unsorted_indices) for state in last]


def _one_step(
    kernel: str, x: Tensor, states: Tensors, weights: Tensors
) -> tuple[Tensor, Tensors]:
    """One step of one layer, without the preparations that a kernel makes."""
    w, u, *biases = weights
    state_input = states if kernel == "lstm" else states[0]
    after = STEPS[kernel](x, state_input, w.T, u.T, *biases)
    after = [state.unsqueeze(0) for state in (after if kernel == "lstm" else [after])]
    return after[0].transpose(0, 1), after


def _check_sizes(
    kernel: str, x: Tensor, states: Tensors, weights: list[Tensors]
) -> None:
    """Raises a ValueError for sizes that do not fit."""
    # On the CPU torch reads and writes past the end of tensors that are too small.
    features, units = weights[0][0].shape[0], weights[0][1].shape[0]
    if x.shape[-1] != features:
        raise ValueError(
            f"The {kernel} kernel received inputs with {x.shape[-1]} features, but "
            f"its weights are for {features}."
        )
    fits = len(weights), x.shape[0]
    for state in states:
        if tuple(state.shape[:2]) != fits:
            raise ValueError(
                f"The {kernel} kernel received {x.shape[0]} sequences and "
                f"{len(weights)} layer(s), for which initial states are of shape "
                f"(layers, batch, units) = {(*fits, state.shape[2])}; received shape "
                f"{tuple(state.shape)}."
            )
    if states[0].shape[2] != units:
        raise ValueError(
            f"The {kernel} kernel received initial states of {states[0].shape[2]} "
            f"units, but its weights are for {units}."
        )


def _function(kernel: str) -> Callable[..., tuple[Tensor, ...]]:
    """The function of torch that runs a kernel."""
    if kernel != "lstmp":
        return getattr(torch, kernel)

    def projected(*args: Any, **kwargs: Any) -> tuple[Tensor, ...]:
        # torch recognizes a projection by states of two widths. It warns once that
        # MKLDNN has none; users cannot do anything about that.
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "LSTM with projections is not supported")
            return torch.lstm(*args, **kwargs)

    return projected


def in_one_piece(layers: list[Tensors]) -> list[Tensors]:
    """The same weights in cuDNN's layout: one buffer, with all biases at its end."""
    # Weights of a layer: two matrices, two biases, and maybe a projection. The place of
    # the projection is not tested: if it is wrong, torch notices and copies.
    kinds = ([0, 1, *range(4, len(layers[0]))], [2, 3])
    order = [(n, k) for kind in kinds for n in range(len(layers)) for k in kind]
    tensors = [layers[n][k] for n, k in order]
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    pieces = flat.split([tensor.numel() for tensor in tensors])
    views = {at: p.view(t.shape) for at, p, t in zip(order, pieces, tensors)}
    return [[views[n, k] for k in range(len(own))] for n, own in enumerate(layers)]
