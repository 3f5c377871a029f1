"""BackupAndRestore: interrupted training ends as if it had not been interrupted."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_rnnx
from keras_rnnx.callbacks import BackupAndRestore, SwapAverages, TruncatedBPTT
from keras_rnnx.datasets import ContiguousBatches, RandomSteps
from keras_rnnx.optimizers import NTASGD

BACKEND = keras.backend.backend()
ROWS, FEATURES, EPOCHS = 2, 3, 3


def series(steps, seed=0):
    return np.random.default_rng(seed).normal(size=(steps, FEATURES)).astype("float32")


class Interrupt(keras.callbacks.Callback):
    """Ends training in the middle, as a failing machine would."""

    def __init__(self, epoch, batch):
        super().__init__()
        self.at = epoch, batch

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == self.at:
            raise InterruptedError


def setting(random=True):
    steps = RandomSteps(4, deviation=3, least=1, round_to=2, seed=2) if random else 3
    return ContiguousBatches(series(41), ROWS, steps)


def model(seed, dropout=0.3):
    """What a new process makes: the same model, from other random numbers."""
    keras.utils.set_random_seed(seed)
    made = keras.Sequential(
        [
            keras.Input(batch_shape=(ROWS, None, FEATURES)),
            keras_rnnx.layers.LSTM(
                4, stateful=True, return_sequences=True, recurrent_dropout=dropout
            ),
            keras.layers.Dropout(dropout),
            keras.layers.Dense(FEATURES),
        ]
    )
    made.compile(NTASGD(keras.optimizers.Adam(0.05), 1), "mse", metrics=["mae"])
    return made


def train(made, data, folder, *callbacks, **options):
    valid = ContiguousBatches(series(9, seed=1), ROWS, steps=2, drop_remainder=True)
    backup = BackupAndRestore(folder, data, **{"save_freq": 2, **options})
    return made.fit(
        data,
        validation_data=valid,
        epochs=EPOCHS,
        shuffle=False,
        verbose=0,
        callbacks=[TruncatedBPTT(data), SwapAverages(), *callbacks, backup],
    )


def arrays(made):
    variables = [*made.weights, *made.optimizer.variables]
    return [keras.ops.convert_to_numpy(v) for v in variables]


@pytest.mark.parametrize(("place", "saved"), [((1, 3), (1, 2)), ((2, 0), (2, 0))])
@pytest.mark.usefixtures("seeds_as_stated")  # They give the batches of an epoch.
def test_interrupted_training_ends_where_the_other_does(place, saved, tmp_path):
    start = model(1).get_weights()
    whole, data = model(1), setting()
    wanted = train(whole, data, tmp_path / "whole").history
    assert not (tmp_path / "whole").exists()

    first, folder = model(1), tmp_path / "parts"
    with pytest.raises(InterruptedError):
        train(first, setting(), folder, Interrupt(*place))
    again, data = model(9), setting()
    assert not np.allclose(again.get_weights()[0], start[0])
    with warnings.catch_warnings():
        # Keras' own about running out of data: nothing is wrong.
        warnings.simplefilter("error", UserWarning)
        found = train(again, data, folder).history
    for a, b in zip(arrays(again), arrays(whole), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    for name in ("loss", "mae", "val_loss"):
        np.testing.assert_allclose(found[name], wanted[name][saved[0] :], rtol=1e-5)
    assert not folder.exists()


@pytest.mark.any_backend
def test_an_incomplete_backup_leaves_the_one_before(tmp_path, monkeypatch):
    whole = model(1, dropout=0.0)
    train(whole, setting(False), tmp_path / "whole")
    first = model(1, dropout=0.0)
    savez, saves = np.savez, []

    def fail(path, **values):
        saves.append(path)
        if len(saves) == 3:
            Path(path).write_bytes(b"half a file")
            raise InterruptedError
        savez(path, **values)

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(InterruptedError):
        train(first, setting(False), tmp_path / "parts")
    monkeypatch.undo()
    again = model(9, dropout=0.0)
    history = train(again, setting(False), tmp_path / "parts").history
    assert len(history["loss"]) == EPOCHS
    for a, b in zip(arrays(again), arrays(whole), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.any_backend
def test_backups_at_the_end_of_epochs_need_no_data_set(tmp_path):
    x = series(24).reshape(8, 3, FEATURES)
    y = series(8, seed=2)

    def run(seed, *callbacks, folder):
        keras.utils.set_random_seed(seed)
        made = keras.Sequential(
            [keras.Input((3, FEATURES)), keras_rnnx.layers.GRU(FEATURES, dropout=0.2)]
        )
        made.compile("adam", "mse")
        backup = BackupAndRestore(folder, delete_checkpoint=False)
        callbacks = [*callbacks, backup]
        made.fit(x, y, 4, epochs=3, shuffle=False, verbose=0, callbacks=callbacks)
        return made

    whole = run(1, folder=tmp_path / "whole")
    with pytest.raises(InterruptedError):
        run(1, Interrupt(1, 1), folder=tmp_path / "parts")
    again = run(9, folder=tmp_path / "parts")
    for a, b in zip(arrays(again), arrays(whole), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    assert (tmp_path / "parts" / "latest.json").exists()


@pytest.mark.any_backend
def test_what_cannot_be_resumed_is_refused(tmp_path):
    data = setting(False)
    for wrong in (None, 3):
        with pytest.raises(ValueError, match="name a directory, received"):
            BackupAndRestore(wrong)
    with pytest.raises(ValueError, match="`backup_dir`"):
        BackupAndRestore("")
    with pytest.raises(ValueError, match="ContiguousBatches, received"):
        BackupAndRestore(tmp_path, [1])
    with pytest.raises(ValueError, match="`save_freq` .* received 0"):
        BackupAndRestore(tmp_path, data, save_freq=0)
    with pytest.raises(ValueError, match="needs `dataset`"):
        BackupAndRestore(tmp_path, save_freq=3)
    made, options = model(1), {"shuffle": False, "verbose": 0}
    backup, bptt = BackupAndRestore(tmp_path, data, save_freq=2), TruncatedBPTT(data)
    with pytest.raises(ValueError, match="steps_per_epoch=2"):
        made.fit(data, callbacks=[bptt, backup], steps_per_epoch=2, **options)
    with pytest.raises(ValueError, match="TruncatedBPTT, .* before"):
        made.fit(data, callbacks=[backup, bptt], **options)
    with pytest.raises(InterruptedError):
        train(made, data, tmp_path, Interrupt(1, 2))
    with pytest.raises(ValueError, match="began with epoch 2"):
        backup = BackupAndRestore(tmp_path, data, save_freq=2)
        again = model(1)
        begin = keras.callbacks.LambdaCallback(
            on_train_begin=lambda logs: setattr(again, "_initial_epoch", 2)
        )
        again.fit(data, callbacks=[bptt, backup, begin], epochs=3, **options)
    other = keras.Sequential(
        [
            keras.Input(batch_shape=(ROWS, None, FEATURES)),
            keras_rnnx.layers.LSTM(FEATURES, stateful=True, return_sequences=True),
        ]
    )
    other.compile("sgd", "mse")
    with pytest.raises(ValueError, match="another model"):
        other.fit(data, callbacks=[bptt, backup], **options)


SCRIPT = """
import os, sys
sys.path.insert(0, {tests!r})
import keras, numpy as np
import test_backup as t

class Kill(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch
    def on_train_batch_end(self, batch, logs=None):
        if sys.argv[1] == "kill" and self.epoch == 1 and batch == 3:
            os._exit(3)

made = t.model(1 if sys.argv[1] != "resume" else 9)
t.train(made, t.setting(), sys.argv[2], Kill())
np.savez(sys.argv[3], *made.get_weights())
"""


@pytest.mark.slow
@pytest.mark.any_backend
def test_a_killed_process_is_resumed_by_another(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(tests=str(Path(__file__).parent)))

    def run(mode, folder):
        arguments = [mode, str(tmp_path / folder), str(tmp_path / f"{mode}.npz")]
        environment = {**os.environ, "KERAS_BACKEND": BACKEND}
        command = [sys.executable, str(script), *arguments]
        root = Path(__file__).parents[1]
        return subprocess.run(command, env=environment, cwd=root).returncode

    assert run("whole", "a") == 0
    assert run("kill", "b") == 3
    assert run("resume", "b") == 0
    with np.load(tmp_path / "whole.npz") as a, np.load(tmp_path / "resume.npz") as b:
        for name in a.files:
            np.testing.assert_allclose(a[name], b[name], atol=1e-6)
