"""A call of a recurrent layer where every operation of it is a call by itself.

One step of a stream takes longer in Python than on the processor. So what Keras' `RNN`
does around the loop is done here without searching nested structures, which the states
of a cell of keras_rnnx are not.
"""

from __future__ import annotations

from typing import Any

from keras_rnnx.engine import backends


def takes(layer: Any, sequences: Any) -> bool:
    """Whether `call` may stand in for that of `keras.layers.RNN`.

    Args:
        layer: a `keras_rnnx.layers.RNN` with a cell of keras_rnnx.
        sequences: its inputs.
    """
    backend = backends.find()
    if backend is None or not backend.EAGER or layer.unroll:
        return False
    # Keras says what is wrong with another number of sequences.
    return not layer.stateful or sequences.shape[0] == layer.states[0].shape[0]


def call(
    layer: Any, sequences: Any, initial_state: Any, mask: Any, training: Any
) -> Any:
    """What `keras.layers.RNN.call` returns; arguments as there."""
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
        for own, state in zip(layer.states, states):
            own.assign(state)
    return (output, *states) if layer.return_state else output


def keeps_states() -> bool:
    """Whether a backward pass may come that reads the states of a stateful layer, which
    are written to in place."""
    backend = backends.find()
    return backend is not None and backend.EAGER and not backend.may_write()
