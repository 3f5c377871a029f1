"""A faster call of a recurrent layer on a backend that runs operations eagerly.

One step of a stream takes longer in Python than on the processor. Keras' `RNN` searches
nested structures around the loop; this call does not, since the states of a keras_rnnx
cell are not nested.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from keras_rnnx.engine import backends

if TYPE_CHECKING:
    from keras_rnnx.layers.recurrent import RNN


def takes(layer: RNN, sequences: Any) -> bool:
    """Whether `call` may replace the call of `keras.layers.RNN`.

    Args:
        layer: a layer with a cell of keras_rnnx.
        sequences: its inputs.
    """
    backend = backends.find()
    if backend is None or not backend.EAGER or layer.unroll:
        return False
    # For another number of sequences Keras' call raises the error.
    return not layer.stateful or sequences.shape[0] == layer.states[0].shape[0]


def call(
    layer: RNN, sequences: Any, initial_state: Any, mask: Any, training: Any
) -> Any:
    """Does what `keras.layers.RNN.call` does, with the same arguments."""
    tensor = backends.current().tensor
    if initial_state is None and layer.stateful:
        states = layer.states
    elif initial_state is None:
        states = layer.first_states(sequences.shape[0])
    elif isinstance(initial_state, (list, tuple)):
        states = initial_state
    else:
        states = [initial_state]
    dtype = layer.cell.compute_dtype
    states = [tensor(state, dtype) for state in states]
    last, outputs, states = layer.inner_loop(
        sequences=sequences, initial_state=states, mask=mask, training=training
    )
    dtype = layer.compute_dtype
    output = tensor(outputs if layer.return_sequences else last, dtype)
    if not (layer.stateful or layer.return_state):
        return output
    states = [tensor(state, dtype) for state in states]
    if layer.stateful:
        for variable, state in zip(layer.states, states):
            variable.assign(state)
    return (output, *states) if layer.return_state else output


def keeps_states() -> bool:
    """Whether a backward pass may still read the states of a stateful layer, which the
    next call overwrites in place."""
    backend = backends.find()
    return backend is not None and backend.EAGER and not backend.may_write()
