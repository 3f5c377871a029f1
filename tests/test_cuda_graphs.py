"""Loops recorded as CUDA graphs: on a GPU as they are, elsewhere with an emulator."""

import gc
import types
import warnings
import weakref

import catalogue
import keras
import numpy as np
import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

import keras_rnnx
from keras_rnnx import engine, layers
from keras_rnnx.engine import backends, torch_graphs
from keras_rnnx.regularizers import GradientFlow
from keras_rnnx.testing.gradients import gradients

BATCH, STEPS, FEATURES = 3, 5, 4
# Bytes for the recordings of one of the shapes below.
ROOM = 30_000
# One for each kind of loop, and for what else goes into one.
LOOPS = {
    "merged gates": ("peephole_lstm", {}),
    "masks of a sequence": ("lstm", {"recurrent_dropout": 0.4, "zoneout": 0.3}),
    "masks of a step": ("lstm", {"recurrent_dropout": 0.4, "dropout_mask": "step"}),
    "one after the other": ("gru_reset_before", {"recurrent_dropout": 0.4}),
    "vectors": ("brc", {"zoneout": 0.3}),
    "no product": ("ind_rnn", {"zoneout": 0.3}),
    "layer_norm": ("lstm", {"layer_norm": True}),
    "batch_norm": ("gru", {"batch_norm": True}),
    "GradientFlow": ("ugrnn", {"recurrent_regularizer": GradientFlow(2.0)}),
}


def put(groups, tensors):
    """The groups with these tensors for theirs."""
    tensors = iter(tensors)
    return tuple([None if t is None else next(tensors) for t in g] for g in groups)


class Emulated:
    """Operations on tensors that stay where they are, with all else as it was when they
    were recorded: what a graph is."""

    def __init__(self, function, inputs):
        self.inputs, found = torch_graphs.tensors_of(inputs), []

        def flat(*tensors):
            found[:] = function(*put(inputs, tensors))
            return torch_graphs.tensors_of(found)

        self.graph = make_fx(flat)(*self.inputs)
        self.results = put(found, self.graph(*self.inputs))

    def replay(self):
        results = torch_graphs.tensors_of(self.results)
        for own, new in zip(results, self.graph(*self.inputs)):
            own.copy_(new)


@pytest.fixture(params=["emulated", pytest.param("real", marks=pytest.mark.gpu)])
def played(request, monkeypatch):
    """Recordings are made and counted: a list of those that were played."""
    if request.param == "emulated":
        stream = types.SimpleNamespace(cuda_stream=0)
        monkeypatch.setattr(torch.cuda, "current_stream", lambda: stream)
        monkeypatch.setattr(torch.cuda, "current_device", lambda: -1)
        monkeypatch.setattr(torch_graphs, "recordable", lambda tensors: True)
        monkeypatch.setattr(torch_graphs, "memory", lambda: (2**40, 2**40))
        monkeypatch.setattr(torch_graphs, "Captured", Emulated)
    elif not torch.cuda.is_available():
        pytest.skip("torch finds no GPU")
    monkeypatch.setattr(torch_graphs, "_recorders", weakref.WeakSet())
    calls = []

    class Counted(torch_graphs.Recording):
        def play(self, groups):
            calls.append(self)
            return super().play(groups)

    monkeypatch.setattr(torch_graphs, "Recording", Counted)
    return calls


def built(variant, arguments):
    cell = catalogue.make(variant, dtype="float64", seed=3, **arguments)
    layer = layers.RNN(cell, dtype="float64", return_sequences=True)
    layer.build((BATCH, STEPS, FEATURES))
    return layer


def pair(variant, arguments):
    """Two layers with the same random weights and the same noise."""
    first, second = built(variant, arguments), built(variant, arguments)
    rng = np.random.default_rng(5)
    for a, b in zip(first.trainable_variables, second.trainable_variables):
        a.assign(a + 0.2 * rng.normal(size=a.shape))
        b.assign(a)
    return first, second


def drawn(seed, steps=STEPS, batch=BATCH):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(batch, steps, FEATURES)), rng.random((batch, steps)) < 0.7


def values(layer, x, mask=None, calls=1, training=True):
    """Outputs of the last of some calls, and the gradients of all of them."""
    cotangent = np.random.default_rng(6).normal(
        size=(*x.shape[:2], layer.cell.output_size)
    )

    def call(x):
        with engine.force("fused"):
            found = [
                layer((1 + i) * x, mask=mask, training=training) for i in range(calls)
            ]
        return [sum(found)]

    outputs, found = gradients(call, [x], layer.trainable_variables, [cotangent])
    return [*outputs, *found]


def unrecorded(*args, **kwargs):
    with engine.cuda_graphs(False):
        return values(*args, **kwargs)


def smaller(*layers):
    """Changes all weights: what was recorded must read them anew."""
    for layer in layers:
        for weight in layer.trainable_variables:
            weight.assign(0.9 * weight)


def same(found, expected):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("masked", [False, True], ids=["all", "holes"])
@pytest.mark.parametrize("variant, arguments", LOOPS.values(), ids=LOOPS)
def test_what_is_played_is_what_the_loop_computes(variant, arguments, masked, played):
    """Call by call with other inputs, masks and noise, and with weights that change."""
    ours, plain = pair(variant, arguments)
    for seed in range(4):
        x, mask = drawn(seed)
        mask = mask if masked else None
        same(values(ours, x, mask), unrecorded(plain, x, mask))
        # The first call of a shape is not recorded.
        assert len(played) == 2 * seed
        smaller(ours, plain)
    assert len(set(played)) == 2
    moving = [layer.non_trainable_variables for layer in (ours, plain)]
    same(*([keras.ops.convert_to_numpy(v) for v in group] for group in moving))


@pytest.mark.parametrize("variant", catalogue.VARIANTS)
def test_every_cell_can_be_recorded(variant, played):
    ours, plain = pair(variant, {})
    for seed in range(3):
        x, mask = drawn(seed)
        same(values(ours, x, mask), unrecorded(plain, x, mask))
        smaller(ours, plain)
    assert len(played) == 4


def test_calls_before_a_backward_pass_keep_their_own_results(played):
    """As of a layer that is shared, or when gradients are accumulated."""
    arguments = {"recurrent_dropout": 0.4}
    ours, plain = pair("lstm", arguments)
    x, _ = drawn(0)
    same(values(ours, x, calls=3), unrecorded(plain, x, calls=3))
    same(values(ours, x, calls=3), unrecorded(plain, x, calls=3))
    assert len(played) == 2 + 2 + 3 + 3


def test_results_are_not_written_to_by_a_later_call(played):
    layer = built("peephole_lstm", {})
    (x, _), (other, _) = drawn(0), drawn(1)
    with engine.force("fused"):
        layer(x)
        found = layer(x)
        before = keras.ops.convert_to_numpy(found).copy()
        layer(other)
    assert len(played) == 2
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(found), before)


def rounds(ours, plain, shapes, many):
    """Calls with each shape in turn, and that again."""
    for number in range(many):
        for steps in shapes:
            x, mask = drawn(number, steps)
            same(values(ours, x, mask), unrecorded(plain, x, mask))


def test_shapes_in_turn_are_recorded_once_each(played):
    rounds(*pair("peephole_lstm", {}), shapes=(3, 4, 5), many=4)
    assert len(played) == 2 * 3 * 3
    assert len(set(played)) == 2 * 3


@pytest.mark.parametrize("kind", ["merged gates", "layer_norm"])
def test_recordings_in_use_keep_their_room(kind, played, monkeypatch):
    """Else shapes in turn would drive each other out."""
    monkeypatch.setattr(
        torch_graphs, "memory", lambda: (torch_graphs.SHARE * ROOM,) * 2
    )
    rounds(*pair(*LOOPS[kind]), shapes=(3, 4, 5), many=4)
    recordings = set(played)
    assert 1 <= len(recordings) < 6
    # Each was played from its second call on.
    assert len(played) == 3 * len(recordings)
    assert sum(recording.size for recording in recordings) <= ROOM


def test_recordings_of_all_layers_share_the_room(played, monkeypatch):
    monkeypatch.setattr(
        torch_graphs, "memory", lambda: (torch_graphs.SHARE * ROOM,) * 2
    )
    pairs = [pair("peephole_lstm", {}) for _ in range(4)]
    for both in pairs:
        rounds(*both, shapes=(5,), many=3)
    assert sum(recording.size for recording in set(played)) <= ROOM
    assert 2 <= len(set(played)) < 8


def test_recordings_out_of_use_give_way(played, monkeypatch):
    monkeypatch.setattr(
        torch_graphs, "memory", lambda: (torch_graphs.SHARE * ROOM,) * 2
    )
    monkeypatch.setattr(torch_graphs, "IDLE", 30)
    first, second = pair("peephole_lstm", {}), pair("peephole_lstm", {})
    rounds(*first, shapes=(5,), many=3)
    rounds(*second, shapes=(5,), many=20)
    recordings = list(dict.fromkeys(played))
    assert len(recordings) > 3
    assert played.index(recordings[-1]) > 4


def test_a_dead_layer_holds_nothing(played):
    layer = built("peephole_lstm", {})
    for _ in range(3):
        values(layer, drawn(0)[0])
    recordings = [weakref.ref(recording) for recording in set(played)]
    assert len(recordings) == 2
    played.clear()
    del layer
    gc.collect()
    assert [ref() for ref in recordings] == [None, None]


def test_without_memory_the_loop_runs_as_it_is(played, monkeypatch):
    def full(*args):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch_graphs, "Captured", full)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        rounds(*pair("peephole_lstm", {}), shapes=(5,), many=3)
    assert not played


def test_inference_mode_before_and_after(played):
    ours, plain = pair("peephole_lstm", {})
    x = torch.tensor(drawn(0)[0])
    for mode in (torch.inference_mode, torch.no_grad) * 2:
        with mode(), engine.force("fused"):
            found = [ours(x).clone() for _ in range(2)][-1]
            with engine.cuda_graphs(False):
                expected = plain(x).clone()
        torch.testing.assert_close(found, expected)
    assert len(played) == 7


def test_what_a_cell_declares_may_change(played):
    """A rate that a callback lowers acts in the next call."""
    ours, plain = pair("scrn", {})
    flowing = pair("ugrnn", {"recurrent_regularizer": GradientFlow(2.0)})
    x, _ = drawn(0)
    for alpha in (0.95, 0.95, 0.5, 0.5, 0.5):
        ours.cell.alpha = plain.cell.alpha = alpha
        same(values(ours, x), unrecorded(plain, x))
        for layer in flowing:
            layer.cell.recurrent_regularizer.rate = 2 * alpha
        same(values(flowing[0], x), unrecorded(flowing[1], x))
    assert len(played) == 2 * 2 * (1 + 2)


def test_the_switch(played):
    layer = built("peephole_lstm", {})
    x, _ = drawn(0)
    for _ in range(3):
        unrecorded(layer, x)
    assert not played
    values(layer, x)
    values(layer, x)
    assert len(played) == 2
    with pytest.raises(ValueError, match="`enabled` must be True or False, got 'no'"):
        engine.cuda_graphs("no").__enter__()


def says_so_once(why, ours, plain, before):
    x, _ = drawn(0)
    for _ in range(before):
        same(values(ours, x), unrecorded(plain, x))
    name = type(ours.cell).__name__
    with pytest.warns(match=f"loop of {name} cannot be recorded.*: {why}"):
        found = values(ours, x)
    same(found, unrecorded(plain, x))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        same(values(ours, x), unrecorded(plain, x))


def test_what_cannot_be_recorded_says_so_once_and_runs(played, monkeypatch):
    def refusing(*args):
        raise RuntimeError("operation not permitted")

    monkeypatch.setattr(torch_graphs, "Recording", refusing)
    ours, plain = pair("peephole_lstm", {})
    says_so_once("operation not permitted", ours, plain, before=1)


def test_a_loop_of_which_one_way_cannot_be_recorded_keeps_none(played, monkeypatch):
    made, real = [], torch_graphs.Captured

    def first_alone(*args):
        if made:
            raise RuntimeError("operation not permitted")
        made.append(True)
        return real(*args)

    monkeypatch.setattr(torch_graphs, "Captured", first_alone)
    says_so_once("operation not permitted", *pair("peephole_lstm", {}), before=1)
    assert len(played) == 1
    (recording,) = played
    assert not any(
        recording in recorder.recordings.values()
        for recorder in torch_graphs._recorders
    )


class Reading(keras_rnnx.cells.SimpleRNNCell):
    """Has a number that is taken to the GPU at every step."""

    def update(self, state, gate):
        return keras_rnnx.cells.State(h=keras.ops.maximum(gate.h, -0.5))


class Waiting(keras_rnnx.cells.SimpleRNNCell):
    """Asks the GPU for a number at every step."""

    def update(self, state, gate):
        rate = 0.5 if float(gate.h.detach().sum()) > 0 else 0.25
        return keras_rnnx.cells.State(h=rate * gate.h)


class Naming(keras_rnnx.cells.SimpleRNNCell):
    """Says by name what it makes a tensor of."""

    def update(self, state, gate):
        least = torch.tensor(data=-0.5, device=gate.h.device)
        return keras_rnnx.cells.State(h=torch.maximum(gate.h, least.to(gate.h.dtype)))


@pytest.mark.parametrize(
    "cell, why",
    [(Reading, "as_tensor"), (Waiting, "__float__"), (Naming, "tensor")],
)
def test_an_equation_that_asks_the_host_is_not_recorded(cell, why, played):
    first, second = (layers.RNN(cell(7), return_sequences=True) for _ in range(2))
    for layer in (first, second):
        layer.build((BATCH, STEPS, FEATURES))
    second.set_weights(first.get_weights())
    says_so_once(f"it calls torch's `{why}`", first, second, before=0)
    assert not played


@pytest.mark.parametrize(
    "name", ["is_autocast_enabled", "is_anomaly_enabled", "jit.is_tracing", None]
)
def test_where_operations_must_be_called_nothing_is_recorded(name, monkeypatch):
    here, there, host = (
        types.SimpleNamespace(is_cuda=device >= 0, get_device=lambda n=device: n)
        for device in (1, 0, -1)
    )
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    if name:
        monkeypatch.setattr(f"torch.{name}", lambda *device: True)
    assert not torch_graphs.recordable([here, here]), "no tensors"
    monkeypatch.setattr(torch_graphs, "KINDS", (types.SimpleNamespace,))
    assert torch_graphs.recordable([here, here]) == (name is None)
    assert not torch_graphs.recordable([here, there])
    assert not torch_graphs.recordable([here, host])
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    assert not torch_graphs.recordable([here, here])


@pytest.mark.parametrize("name", ["lstm", "min_gru"])
def test_kernels_and_scans_are_not_recorded(name, played):
    layer = built(name, {})
    x, _ = drawn(0)
    for _ in range(3):
        gradients(lambda x: [layer(x)], [x], [], [np.ones((BATCH, STEPS, 7))])
    assert not played


def leaky(shape, **arguments):
    """The plan of a built layer; on cuDNN it is a GRU, of three times the products."""
    layer = layers.LeakyRNN(7, leak_trainable=True, **arguments)
    layer.build(shape)
    return engine.plan(layer)


def test_a_loop_comes_before_a_kernel_of_many_more_products(monkeypatch):
    """Where the loop is recorded, and the model was made for one number of steps."""
    backend = backends.current()
    monkeypatch.setattr(backend, "kernels", lambda: ("cudnn", "cuDNN"))
    plan = leaky((None, STEPS, FEATURES))
    assert (plan.engine, plan.kernel) == ("fused", "CUDA graph of the loop")
    assert "3 times the matrix products" in plan.reason
    for shape in [(None, None, FEATURES), (BATCH, STEPS, FEATURES)]:
        assert leaky(shape).engine == "cudnn"
    with engine.cuda_graphs(False):
        assert leaky((None, STEPS, FEATURES)).engine == "cudnn"
    in_segments = leaky((None, STEPS, FEATURES), checkpoint=True)
    assert in_segments.engine == "cudnn"
    with torch.autograd.set_detect_anomaly(True):
        assert leaky((None, STEPS, FEATURES)).engine == "cudnn"
    inside = keras.Sequential([keras.Input((STEPS, FEATURES)), layers.LSTM(7)])
    assert engine.plan(inside.layers[0]).engine == "cudnn"
    dropout = layers.LSTM(7, recurrent_dropout=0.5)
    assert engine.plan(dropout).kernel == "CUDA graph of the loop"
    with engine.cuda_graphs(False):
        assert engine.plan(dropout).kernel == "eager loop"
    dropout = layers.LSTM(7, recurrent_dropout=0.5, checkpoint=2)
    assert engine.plan(dropout).kernel == "eager loop"
    assert engine.plan(dropout, training=False).engine == "cudnn"


def trained():
    """The losses of some epochs, of batches of two shapes."""
    keras.utils.set_random_seed(1)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(72, 12, 3)).astype("float32")
    y = (x.sum(axis=(1, 2)) > 0).astype("float32")
    model = keras.Sequential(
        [
            layers.LSTM(16, recurrent_dropout=0.2, zoneout=0.1, layer_norm=True),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(keras.optimizers.Adam(1e-2), "binary_crossentropy")
    return model.fit(x, y, batch_size=16, epochs=4, verbose=0).history["loss"]


def test_a_model_trains_as_it_does_without(played):
    with engine.cuda_graphs(False):
        expected = trained()
    assert not played
    np.testing.assert_allclose(trained(), expected, rtol=1e-3)
    # Two shapes, whole batches and the last one. Each first call is not recorded.
    assert len(played) == 2 * (4 * 5 - 2)
    assert len(set(played)) == 4
