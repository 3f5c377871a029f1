"""One run of a layer. Its source is part of the program that a difference prints."""

import importlib

import keras
import numpy as np

from keras_rnnx import engine, testing


def built(make, shape, seed):
    """A layer with random weights near those that it starts with."""
    keras.utils.set_random_seed(seed)
    layer = make()
    layer.build(shape)
    rng = np.random.default_rng(seed)
    for weight in layer.trainable_variables:
        start = keras.ops.convert_to_numpy(weight)
        weight.assign(start + 0.4 * rng.normal(size=weight.shape))
    return layer


def single(layer):
    """The layers of one direction that a layer is made of."""
    if isinstance(layer, keras.layers.Bidirectional):
        return [layer.forward_layer, layer.backward_layer]
    return getattr(layer, "layers", [layer])


def given_states(layer, batch, rng):
    """Random first states of the kinds that the cells take."""
    found = []
    for rnn in single(layer):
        # Cells of Keras have none but free numbers.
        kinds = getattr(rnn.cell, "state_kinds", {})
        names = [*getattr(rnn.cell, "states", ()), *("other",) * len(rnn.state_size)]
        for name, size in zip(names, rnn.state_size):
            drawn = 0.5 * rng.normal(size=(batch, size))
            positive = {"positive": 1 + np.abs(drawn), "count": np.ones_like(drawn)}
            found.append(positive.get(kinds.get(name), drawn))
    return found


def opened(call, arrays, mask):
    """A call in a graph of TensorFlow that knows neither batch nor steps."""
    tf = importlib.import_module("tensorflow")
    specs = [
        tf.TensorSpec((None,) * (a.ndim - 1) + a.shape[-1:], a.dtype) for a in arrays
    ]

    def run(*tensors):
        unknown = tf.compat.v1.placeholder_with_default
        return call(
            *tensors, mask=None if mask is None else unknown(mask, (None, None))
        )

    return tf.function(run, input_signature=specs)


def results(
    make,
    way,
    shape,
    mask=None,
    fill=0.0,
    states=False,
    calls=1,
    training=False,
    seed=0,
    weights=None,
    open_shapes=False,
):
    """Results and gradients by name.

    `way` is what `engine.force` takes, () for the engine that is planned. `fill` stands
    in masked steps. `weights` replaces those that are drawn. With `open_shapes` the
    layer is in a graph that is made for any batch and number of steps.
    """
    layer = built(make, (None, None, shape[2]) if open_shapes else shape, seed)
    if weights is not None:
        layer.set_weights(weights)
    rng = np.random.default_rng(seed + 1)
    dtype = layer.variable_dtype
    # Numbers that are exact in half precision too.
    x = rng.normal(size=shape).astype("float16").astype(dtype)
    if mask is not None:
        mask = np.array(mask, bool).reshape(shape[:2])
        x = np.where(mask[..., None], x, np.array(fill, dtype))
    first = given_states(layer, shape[0], rng) if states else []
    first = [state.astype("float16").astype(dtype) for state in first]

    def call(x, *first, mask=mask):
        found = []
        for _ in range(calls):
            arguments = {"mask": mask, "training": training}
            if first:
                arguments["initial_state"] = list(first)
            if way:
                with engine.force(*way):
                    found += keras.tree.flatten(layer(x, **arguments))
            else:
                found += keras.tree.flatten(layer(x, **arguments))
        return found

    def each(shape):
        whole = all(isinstance(size, int) for size in shape)
        return [tuple(shape)] if whole else [s for part in shape for s in each(part)]

    shapes = each(layer.compute_output_shape(shape)) * calls
    wanted = [rng.normal(size=shape) for shape in shapes]
    variables = layer.trainable_variables
    if open_shapes:
        call = opened(call, [x, *first], mask)
    found, gradients = testing.gradients(call, [x, *first], variables, wanted)
    assert [tuple(value.shape) for value in found] == shapes, "compute_output_shape"
    names = [f"result {k}" for k in range(len(found))]
    names += ["gradient of the inputs"]
    names += [f"gradient of first state {k}" for k in range(len(first))]
    names += [f"gradient of weight {k}, {v.name}" for k, v in enumerate(variables)]
    return dict(zip(names, [*found, *gradients], strict=True))
