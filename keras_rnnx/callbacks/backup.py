"""Backups that training resumes from, also in the middle of an epoch."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_rnnx import _random, _states
from keras_rnnx._numbers import integer
from keras_rnnx.datasets import ContiguousBatches

SLOTS = ("a", "b")


class BackupAndRestore(keras.callbacks.Callback):
    """Backs training up, so that the same script resumes it when run again.

    It works as `keras.callbacks.BackupAndRestore`, which it uses for weights and
    optimizer. It also keeps the states of stateful layers, random seeds (so that the
    dropout masks are the same), the metrics of the epoch so far and the position in a
    `ContiguousBatches`. So training can resume in the middle of an epoch, and gives the
    same weights as without the interruption.

    It makes a backup at the end of each epoch. A new backup replaces the old one once
    it is complete. List this callback last. Other callbacks start again, such as the
    patience of `EarlyStopping`.

    Args:
        backup_dir: a directory that nothing else uses.
        dataset: the `ContiguousBatches` that `fit` and `TruncatedBPTT` receive. Default
            None: backups only at the end of epochs.
        save_freq: "epoch", or the number of batches after which to back up. Default
            "epoch".
        delete_checkpoint: whether to delete the backup once `fit` has ended. Default
            True.

    Raises:
        ValueError: for another kind of data set, for a `save_freq` that is not a number
            of batches or comes without `dataset`; when training begins, for a backup of
            another model, or for `steps_per_epoch`; in training, if `TruncatedBPTT` is
            not listed before.

    Example:

    >>> import tempfile
    >>> batches = keras_rnnx.datasets.ContiguousBatches(np.arange(99) % 7, 4, steps=5)
    >>> model = keras.Sequential([
    ...     keras.Input(batch_shape=(4, None)),
    ...     keras.layers.Embedding(7, 5),
    ...     keras_rnnx.layers.LSTM(8, stateful=True, return_sequences=True),
    ...     keras.layers.Dense(7, activation="softmax"),
    ... ])
    >>> model.compile("adam", "sparse_categorical_crossentropy")
    >>> bptt = keras_rnnx.callbacks.TruncatedBPTT(batches)
    >>> backup = BackupAndRestore(tempfile.mkdtemp(), batches, save_freq=2)
    >>> _ = model.fit(batches, shuffle=False, verbose=0, callbacks=[bptt, backup])
    """

    def __init__(
        self,
        backup_dir: str | os.PathLike,
        dataset: ContiguousBatches | None = None,
        save_freq: int | str = "epoch",
        delete_checkpoint: bool = True,
    ):
        super().__init__()
        if not isinstance(backup_dir, (str, os.PathLike)) or not os.fspath(backup_dir):
            raise ValueError(
                f"`backup_dir` must name a directory, received {backup_dir!r}."
            )
        if dataset is not None and not isinstance(dataset, ContiguousBatches):
            raise ValueError(
                "`dataset` must be a keras_rnnx.datasets.ContiguousBatches, received "
                f"{dataset!r}."
            )
        if save_freq != "epoch":
            save_freq = integer("save_freq", save_freq, least=1)
            if dataset is None:
                raise ValueError(
                    f"save_freq={save_freq} backs up in the middle of an epoch, which "
                    "needs `dataset`, to resume from there. Received None."
                )
        self.backup_dir = Path(backup_dir)
        self.dataset = dataset
        self.save_freq = save_freq
        self.delete_checkpoint = delete_checkpoint
        self._latest = self.backup_dir / "latest.json"
        self._quiet = contextlib.ExitStack()

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        steps = self.params["steps"]
        if self.dataset is not None and steps not in (None, len(self.dataset)):
            raise ValueError(
                f"Received steps_per_epoch={steps}, for {len(self.dataset)} batches: "
                "training can only be resumed if epochs are whole. Leave it out."
            )
        # What is to be restored: the place in training, and arrays; None: nothing.
        self._place: Any = None
        self._arrays: Any = None
        self._random = _random.get_state()
        if self._latest.exists():
            self._place = json.loads(self._latest.read_text())
            slot = self.backup_dir / self._place["slot"]
            with np.load(slot / "more.npz", allow_pickle=False) as file:
                self._arrays = dict(file)
            self._build_metrics()
            self._check()
            self._keras(slot).on_train_begin()
            self._random = self._found("random")
            self._put()
        self._saved = 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epoch = epoch
        if self._place and epoch != self._place["epoch"]:
            raise ValueError(
                f"The backup in {str(self.backup_dir)!r} is of epoch "
                f"{self._place['epoch']}, but fit began with epoch {epoch}. Leave "
                "initial_epoch out, or delete the backup."
            )
        if self._place and self._place["batch"]:
            self._saved = self._place["batch"]
            dataset: Any = self.dataset
            dataset.seek(epoch, self._saved)
            # Keras rightly reads fewer batches than it counted.
            self._quiet.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("ignore", "Your input ran out of data")
            self._put()
        else:
            self._saved = 0
        self._place = None
        self._begun = False

    def on_train_batch_begin(
        self, batch: int, logs: dict[str, Any] | None = None
    ) -> None:
        if not self._begun:
            # Torch's data loaders draw from the same generator as dropout, and more
            # often in an epoch that is not resumed. Training must not depend on that.
            _random.set_state(self._random)
            self._begun = True

    def on_train_batch_end(
        self, batch: int, logs: dict[str, Any] | None = None
    ) -> None:
        self._random = _random.get_state()
        if self.save_freq == "epoch":
            return
        # A number of batches comes with a data set.
        dataset: Any = self.dataset
        every: Any = self.save_freq
        batches = len(dataset.lengths)
        position = dataset.start + batch + 1
        if dataset.position != min(position, batches):
            raise ValueError(
                "BackupAndRestore needs TruncatedBPTT, with the same data set, before "
                "it in the list of callbacks."
            )
        # The backup after the last batch is made at the end of the epoch.
        if position < batches and position - self._saved >= every:
            self._save(self._epoch, position)
            self._saved = position

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._quiet.close()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._quiet.close()
        self._save(epoch + 1, 0)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self._quiet.close()
        if self.delete_checkpoint:
            self._latest.unlink(missing_ok=True)
            for slot in SLOTS:
                shutil.rmtree(self.backup_dir / slot, ignore_errors=True)
            with contextlib.suppress(OSError):
                # The folder may contain other files.
                self.backup_dir.rmdir()

    def _keras(self, slot: Path) -> keras.callbacks.BackupAndRestore:
        callback = keras.callbacks.BackupAndRestore(str(slot), delete_checkpoint=False)
        callback.set_model(self.model)
        return callback

    def _save(self, epoch: int, batch: int) -> None:
        latest = json.loads(self._latest.read_text()) if self._latest.exists() else {}
        slot = SLOTS[latest.get("slot") == SLOTS[0]]
        folder = self.backup_dir / slot
        folder.mkdir(parents=True, exist_ok=True)
        # At the end of the epoch before, Keras saves that `epoch` is the next one.
        self._keras(folder).on_epoch_end(epoch - 1)
        arrays: dict[str, Any] = {
            f"random_{i}": state for i, state in enumerate(self._random)
        }
        for kind, variables in self._variables(batch).items():
            for i, variable in enumerate(variables):
                arrays[f"{kind}_{i}"] = keras.ops.convert_to_numpy(variable)
        np.savez(folder / "more.npz", **arrays)
        place = {"slot": slot, "epoch": epoch, "batch": batch}
        written = self._latest.with_suffix(".new")
        written.write_text(json.dumps(place))
        os.replace(written, self._latest)

    def _variables(self, batch: int) -> dict[str, list[keras.Variable]]:
        """Variables that a weights file lacks; metrics only within an epoch."""
        model = self.model
        weights = set(map(id, model.weights))
        variables = [*model.variables, *_states.variables(model)]
        unique = {id(variable): variable for variable in variables}
        more = [v for key, v in unique.items() if key not in weights]
        return {"variable": more, "metric": model.metrics_variables if batch else []}

    def _found(self, kind: str) -> list[np.ndarray]:
        return [v for name, v in self._arrays.items() if name.startswith(kind)]

    def _put(self) -> None:
        for kind, variables in self._variables(self._place["batch"]).items():
            for variable, value in zip(variables, self._found(kind), strict=True):
                variable.assign(value)

    def _build_metrics(self) -> None:
        """Makes the variables of metrics; on TensorFlow the first batch makes them."""
        model, missing = self.model, self._found("metric")
        if self.dataset and len(missing) > len(model.metrics_variables):
            x, y = map(keras.ops.convert_to_tensor, self.dataset[0])
            model.compute_metrics(x, y, model(x), None)
            model.reset_metrics()

    def _check(self) -> None:
        batch, dataset = self._place["batch"], self.dataset
        fits = all(
            [value.shape for value in self._found(kind)]
            == [tuple(variable.shape) for variable in variables]
            for kind, variables in self._variables(batch).items()
        )
        if not fits or (batch and (not dataset or batch >= len(dataset))):
            raise ValueError(
                f"The backup in {str(self.backup_dir)!r} is of another model or data "
                "set: delete it, or pass another backup_dir."
            )
