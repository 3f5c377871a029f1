"""Recordings of loops: how many are kept, for how long, in how much memory."""

import gc
import types
import warnings
import weakref

import pytest
import torch
from graphs import (
    LOOPS,
    built,
    drawn,
    pair,
    rounds,
    values,
)

from keras_rnnx.engine.backends.torch import cuda_graphs

# Bytes for the recordings of one of the shapes below.
ROOM = 30_000


@pytest.fixture
def little_room(monkeypatch):
    room = cuda_graphs.SHARE * ROOM
    monkeypatch.setattr(cuda_graphs, "memory", lambda: (room, room))


def test_shapes_in_turn_are_recorded_once_each(played):
    rounds(*pair("peephole_lstm", {}), shapes=(3, 4, 5), many=4)
    assert len(played) == 2 * 3 * 3
    assert len(set(played)) == 2 * 3


@pytest.mark.parametrize("kind", ["merged gates", "layer_norm"])
def test_recordings_in_use_keep_their_room(kind, played, little_room):
    """Else shapes in turn would drive each other out."""
    rounds(*pair(*LOOPS[kind]), shapes=(3, 4, 5), many=4)
    recordings = set(played)
    assert 1 <= len(recordings) < 6
    # Each was played from its second call on.
    assert len(played) == 3 * len(recordings)
    assert sum(recording.size for recording in recordings) <= ROOM


def test_recordings_of_all_layers_share_the_room(played, little_room):
    pairs = [pair("peephole_lstm", {}) for _ in range(4)]
    for both in pairs:
        rounds(*both, shapes=(5,), many=3)
    assert sum(recording.size for recording in set(played)) <= ROOM
    assert 2 <= len(set(played)) < 8


def test_recordings_out_of_use_give_way(played, little_room, monkeypatch):
    monkeypatch.setattr(cuda_graphs, "IDLE", 30)
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

    monkeypatch.setattr(cuda_graphs, "Captured", full)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        rounds(*pair("peephole_lstm", {}), shapes=(5,), many=3)
    assert not played


@pytest.mark.parametrize("played", ["emulated"], indirect=True)
@pytest.mark.parametrize("what", ["current_stream", "current_device"])
def test_each_stream_and_each_gpu_has_its_own(what, played, monkeypatch):
    ours, plain = pair("peephole_lstm", {})
    rounds(ours, plain, shapes=(5,), many=3)
    assert len(played) == 4
    others = {
        "current_stream": lambda: types.SimpleNamespace(cuda_stream=7),
        "current_device": lambda: 1,
    }
    monkeypatch.setattr(torch.cuda, what, others[what])
    rounds(ours, plain, shapes=(5,), many=2)
    assert len(played) == 6
    assert len(set(played)) == 4
