"""Copies of a model, with the changes of a cure, and what weights they start from."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras_rnnx import _random
from keras_rnnx import layers as ours
from keras_rnnx._sublayers import walk
from keras_rnnx.conversion import state
from keras_rnnx.conversion.copying import Copier
from keras_rnnx.conversion.counterparts import WRAPPERS
from keras_rnnx.diagnosis.cures._treatment import Refused, Treatment

# A variable of the model and the one of a copy that starts from the same values.
Pair = tuple[keras.Variable, keras.Variable]


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """A block in which layers that are made draw what a seed gives.

    The generators are as before afterwards.
    """
    python, others = random.getstate(), _random.get_state()
    random.seed(seed)
    _random.seed(seed)
    try:
        yield
    finally:
        random.setstate(python)
        _random.set_state(others)


class Copy:
    """A copy of a model, built and compiled.

    Args:
        treatment: the model, and what changes.
        seed: of the weights that are drawn.

    Attributes:
        model: the copy.
        pairs: its variables that start from values of the model.
        anew: names of its weights that are drawn anew.
        notes: what differs in how it is compiled.

    Raises:
        Refused: if the change is not possible.
        ValueError: if the model can't be copied.
    """

    def __init__(self, treatment: Treatment, seed: int):
        old = treatment.model
        self.notes: list[str] = []
        classes = state.custom_objects(layer for _, layer in walk(old))
        with keras.saving.custom_object_scope(classes), seeded(seed):
            copier = Copier() if treatment.convert else _Changer(treatment)
            if treatment.convert and treatment.changes:
                raise Refused("convert does not go together with other layers")
            new: Any = copier.layer(old)
            state.build(copier.pairs)
        missing = set(treatment.changes) - {
            key for key, (a, b) in copier.pairs.items() if a is not b
        }
        if missing or new is old:
            raise Refused(f"{old.name} makes its recurrent layers itself")
        self.pairs: list[Pair] = []
        self.anew: list[str] = []
        self._pair(copier, treatment)
        for theirs, own in self.pairs:
            own.trainable = theirs.trainable
        rebuilt = bool(treatment.changes) or treatment.convert
        if treatment.front is not None:
            new = _behind(treatment.front, new)
        self.model = new
        self._compile(old, treatment, rebuilt)

    def start(self, values: dict[int, np.ndarray]) -> None:
        """Sets the variables that start from values of the model.

        Args:
            values: by the `id` of the variable of the model.
        """
        for theirs, own in self.pairs:
            own.assign(values[id(theirs)])
        for _, layer in walk(self.model):
            if isinstance(layer, keras.layers.Normalization):
                # It reads its statistics when they are set by a file.
                layer.finalize_state()

    def _pair(self, copier: Copier, treatment: Treatment) -> None:
        pairs = copier.pairs
        of_layers = [
            (a, b)
            for a, b in pairs.values()
            if isinstance(a, keras.Layer) and a is not b
        ]
        for old, new in reversed(of_layers):
            new.trainable = old.trainable
        for old, new in of_layers:
            if id(old) in treatment.changes:
                same = isinstance(copier, _Changer) and copier.same_gates[id(old)]
                self._pair_changed(old, new, same, treatment.redrawn[id(old)])
                continue
            inside = {id(layer) for _, layer in walk(new)}
            inner = [
                pairs[id(a)] for _, a in walk(old) if id(a) in pairs and a is not old
            ]
            inner = [(a, b) for a, b in inner if id(b) in inside]
            for variables in (state.own_weights, state.states_of):
                theirs = variables(old, [a for a, _ in inner])
                copies = variables(new, [b for _, b in inner])
                shapes = [[tuple(v.shape) for v in each] for each in (theirs, copies)]
                if shapes[0] != shapes[1]:
                    raise ValueError(
                        f"Layer {old.name!r} ({type(old).__name__}) cannot be copied: "
                        f"it has weights of the shapes {shapes[0]}, and the copy by "
                        f"its config has {shapes[1]}."
                    )
                self.pairs += zip(theirs, copies)

    def _pair_changed(
        self, old: Any, new: Any, same_gates: bool, redrawn: frozenset[str]
    ) -> None:
        olds = old.layers if isinstance(new, ours.Stack) else [old]
        news = new.layers if isinstance(new, ours.Stack) else [new]
        if isinstance(new, ours.Stack):
            # What is between the layers of a stack, such as highway connections.
            inner = [
                {id(v) for n in each for v in n.variables} for each in (olds, news)
            ]
            theirs = [v for v in old.variables if id(v) not in inner[0]]
            copies = [v for v in new.variables if id(v) not in inner[1]]
            self.pairs += zip(theirs, copies)
        for a, b in zip(olds, news):
            known = {v.name: v for v in a.weights}
            for own in b.weights:
                same = known.get(own.name)
                fits = same is not None and tuple(same.shape) == tuple(own.shape)
                kept = same_gates and own.name not in redrawn and "*" not in redrawn
                if fits and kept:
                    self.pairs.append((same, own))
                else:
                    self.anew.append(f"{b.name}/{own.name}")

    def _compile(self, old: Any, treatment: Treatment, rebuilt: bool) -> None:
        if not getattr(old, "compiled", False):
            return
        optimizer = _optimizer(old.optimizer, treatment.optimizer)
        run: dict[str, Any] = {"run_eagerly": old.run_eagerly, "steps_per_execution": 1}
        # Keras decides anew whether XLA compiles a model with other layers.
        again = rebuilt or treatment.front is not None
        run["jit_compile"] = "auto" if again and old.jit_compile else old.jit_compile
        parts = keras.tree.flatten([old.loss, old.optimizer, old.metrics])
        with keras.saving.custom_object_scope(state.custom_objects(parts)):
            try:
                config = keras.saving.deserialize_keras_object(old.get_compile_config())
            except (TypeError, ValueError) as error:
                cause = str(error).split(". ")[0]
                self.notes.append(
                    f"Metrics are left out: Keras can't restore how the model was "
                    f"compiled ({cause})."
                )
                config = {"loss": old.loss}
        self.model.compile(**{**config, **run, "optimizer": optimizer})
        optimizer.build(self.model.trainable_variables)


class _Changer(Copier):
    """Copies layers as they are, but for those that change."""

    def __init__(self, treatment: Treatment):
        super().__init__()
        self.changes = treatment.changes
        self.same_gates: dict[int, bool] = {}

    def layer(
        self, layer: keras.Operation, made: keras.Operation | None = None
    ) -> keras.Operation:
        change = self.changes.get(id(layer))
        if id(layer) in self.pairs:
            return self.pairs[id(layer)][1]
        if change is not None and isinstance(layer, keras.Layer):
            new, self.same_gates[id(layer)] = change(layer)
            self.pairs[id(layer)] = layer, new
            return new
        if type(layer) in WRAPPERS and not self._changes_inside(layer):
            # Not its counterpart.
            new = type(layer).from_config(layer.get_config())
            self._inside(layer, new)
            self.pairs[id(layer)] = layer, new
            return new
        return super().layer(layer, made)

    def _recurrent(
        self, layer: keras.layers.RNN, made: keras.Layer | None
    ) -> keras.Layer:
        new = type(layer).from_config(layer.get_config()) if made is None else made
        if hasattr(layer, "use_cudnn"):
            new.use_cudnn = layer.use_cudnn  # Not in the config of Keras.
        return new

    def _changes_inside(self, layer: Any) -> bool:
        return any(id(each) in self.changes for _, each in walk(layer))


def _behind(front: keras.Layer, model: Any) -> keras.Model:
    """A model with a layer in front."""
    shape, dtype = model.inputs[0].shape, model.inputs[0].dtype
    inputs = keras.Input(batch_shape=shape, dtype=dtype)
    if type(model) is keras.Sequential:
        return keras.Sequential([inputs, front, *model.layers], name=model.name)
    return keras.Model(inputs, model(front(inputs)), name=f"{model.name}_treated")


def _optimizer(optimizer: Any, arguments: dict[str, Any]) -> Any:
    """A new optimizer like this one, with other arguments of the innermost."""
    config, cls = optimizer.get_config(), type(optimizer)
    inner = getattr(optimizer, "inner_optimizer", None)
    if inner is not None:
        made = _optimizer(inner, arguments)
        config["inner_optimizer"] = keras.saving.serialize_keras_object(made)
        return cls.from_config(config)
    return cls.from_config({**config, **arguments})
