"""Replaces the recurrent layers of Keras in a model by those of keras_rnnx."""

from __future__ import annotations

import warnings

import keras

from keras_rnnx._sublayers import walk
from keras_rnnx.conversion import report as reporting
from keras_rnnx.conversion import state
from keras_rnnx.conversion.copying import Copier
from keras_rnnx.conversion.counterparts import CELLS


def convert(
    model: keras.Layer, report: bool = False
) -> keras.Layer | tuple[keras.Layer, reporting.Conversion]:
    """Makes the same model with keras_rnnx layers in place of Keras' recurrent layers.

    It replaces `keras.layers.LSTM`, `GRU`, `SimpleRNN` and `RNN`, over Keras' cells,
    stacks of them or any other cell, wherever they are: in Sequential, functional and
    subclassed models, and in models, wrappers and layers inside of them.
    `keras.layers.Bidirectional` becomes `keras_rnnx.layers.Bidirectional`, which passes
    its mask on with every version of Keras. Shared layers stay shared. The old model
    does not change, and trains independently.

    The new model has the same weights, outputs, masks, initial states, states of
    stateful layers, names, dtype policies, trainable flags, initializers, regularizers,
    constraints, seeds and `use_cudnn` (True raises with the reason, when the new layer
    is called, if keras_rnnx cannot use cuDNN). A compiled model is compiled in the same
    way, with the resolved `jit_compile`, but without XLA if a new layer may run on
    cuDNN on TensorFlow. The state of its optimizer starts again.

    What differs:

    - With `recurrent_dropout`, Keras' LSTM and GRU draw a mask for each gate,
      keras_rnnx one for all gates. Training sees other masks; inference is equal.
    - If a mask hides the first steps, their outputs are zero. On JAX, Keras outputs the
      initial state there; on other backends, zero too.
    - Keras 3.16 drops masks after its recurrent layers. The new layers pass them on.
    - As with `keras.models.clone_model`, a functional or Sequential model whose class
      has its own constructor becomes a plain one. If the class has methods too, its
      layers are not replaced. Attributes set on such models are not copied.
    - Other layers and models are copied by `from_config(get_config())`. A model class
      with constructor arguments needs a `get_config`. A class that makes its layers
      itself makes those of Keras again when it is loaded from a file.
    - Both models share layers without weights that cannot be copied (`Lambda`).

    It does not replace subclasses of Keras' layers, `ConvLSTM`, layers with a dropout
    rate of 1, layers that their owner makes in `build`, and cells that run outside of a
    layer.

    Args:
        model: a Keras model or layer.
        report: whether to return a report too, instead of a warning about layers that
            are not replaced. Default False.

    Returns:
        The new model, or `(model, report)`.

    Raises:
        TypeError: if `model` is not a Keras model or layer.
        ValueError: if a part of the model cannot be copied, with the part and why.

    Example:

    >>> model = keras.Sequential([keras.Input((5, 3)), keras.layers.LSTM(4)])
    >>> converted = keras_rnnx.convert(model)
    >>> type(converted.layers[0])
    <class 'keras_rnnx.layers.named.LSTM'>
    """
    if not isinstance(model, keras.Layer):
        raise TypeError(
            f"keras_rnnx.convert takes a Keras model or layer, received {model!r} of "
            f"type {type(model).__name__}."
        )
    classes = state.custom_objects(layer for _, layer in walk(model))
    with keras.saving.custom_object_scope(classes):
        copier = Copier()
        stepped = (*CELLS, keras.layers.StackedRNNCells)
        new = (copier.cell if type(model) in stepped else copier.layer)(model)
        state.build(copier.pairs)
        state.copy(copier.pairs)
        uncompiled = state.compile_copies(copier.pairs)
    rows = reporting.rows(model, copier, uncompiled)
    if report:
        return new, rows
    left = [f"- {r.layer!r} ({r.type}): {r.reason}" for r in rows if not r.converted]
    if left:
        warnings.warn(
            "\n".join(["keras_rnnx.convert left alone:", *left]), stacklevel=2
        )
    return new
