"""cuDNN's LSTM as JAX has it, with JAX's own reference in its place."""

import inspect
import types

from jax.experimental import rnn

from keras_rnnx.engine import backends


def reference(
    x,
    h_0,
    c_0,
    weights,
    seq_lengths,
    input_size,
    hidden_size,
    num_layers,
    dropout,
    bidirectional,
    precision=None,
):
    """`rnn.lstm` by `rnn.lstm_ref`: the buffer is cut up as JAX says cuDNN does."""
    sizes = input_size, hidden_size, num_layers, bidirectional
    assert weights.shape == (rnn.get_num_params_in_lstm(*sizes),)
    assert x.shape[2] == input_size and x.dtype == "float32"
    layers = num_layers * (1 + bidirectional)
    assert h_0.shape == c_0.shape == (layers, x.shape[0], hidden_size)
    assert {h_0.dtype, c_0.dtype, weights.dtype} == {x.dtype}
    assert seq_lengths.shape == x.shape[:1] and seq_lengths.dtype == "int32"
    parts = rnn.unpack_lstm_weights(weights, *sizes)
    return rnn.lstm_ref(
        x,
        h_0,
        c_0,
        *parts,
        seq_lengths,
        input_size,
        hidden_size,
        num_layers,
        dropout,
        bidirectional,
    )


def installed(monkeypatch):
    """Puts the reference into the place of `rnn.lstm`, and shows a GPU.

    Returns:
        A list of the arguments of all calls; in compiled code those of its tracing.
    """
    calls = []
    signature = inspect.signature(reference)
    assert list(signature.parameters) == list(inspect.signature(rnn.lstm).parameters)

    def lstm(*args, **kwargs):
        calls.append(signature.bind(*args, **kwargs).arguments)
        return reference(*args, **kwargs)

    backend = backends.current()
    monkeypatch.setattr(backend, "rnn", types.SimpleNamespace(lstm=lstm))
    monkeypatch.setattr(backend, "kernels", lambda: ("cudnn", "cuDNN"))
    return calls
