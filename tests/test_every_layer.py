"""Every layer of the catalogue in files, wrappers, stacks and searches.

What Keras and the package do around a cell does not depend on the backend: the tests
run on one.
"""

import copy

import every
import keras
import keras_tuner
import numpy as np
import pytest
from every import FEATURES, MASK, NAMES, STEPS, VARIANTS, close, data, made

import keras_rnnx
from keras_rnnx import cells, layers, testing
from keras_rnnx.cells.ranges import Choice
from keras_rnnx.cells.registry import lookup
from keras_rnnx.tuner import HyperRNN

POLICIES = ("mixed_bfloat16", "mixed_float16", "float64")
# Not the defaults, so that a config that leaves one out is noticed.
OPTIONS = {
    "use_bias": True,
    "kernel_initializer": "he_normal",
    "kernel_regularizer": "l2",
    "dropout": 0.2,
    "zoneout": 0.1,
    "seed": 3,
    "return_state": True,
    "go_backwards": True,
    "zero_output_for_mask": True,
    "initial_state_noise": 0.1,
    "name": "some",
}


def test_every_cell_has_a_layer():
    for name in NAMES:
        layer = every.layer_class(name)
        assert layer.__name__ == lookup(name).__name__.removesuffix("Cell")
    named = {getattr(layers, name) for name in layers.__all__}
    of_cells = {layer.cell_class for layer in named if hasattr(layer, "cell_class")}
    assert of_cells == {lookup(name) for name in NAMES}


@pytest.mark.parametrize("variant", VARIANTS)
def test_files_in_hdf5(variant, tmp_path):
    """Keras' format of old days, which has configs as JSON and weights by name."""
    layer = made(variant, zoneout=0.1)
    config = layer.get_config()
    assert copy.deepcopy(config) == config
    model = keras.Sequential([keras.Input((None, FEATURES)), layer])
    model.save(tmp_path / "model.h5")
    loaded = keras.models.load_model(tmp_path / "model.h5")
    assert type(loaded.layers[0]) is type(layer)
    close(loaded(data()), model(data()), 1e-6)


@pytest.mark.parametrize("variant", VARIANTS)
def test_files(variant, tmp_path):
    """A file of a model has all of a layer: outputs, states, config and weights."""
    options = dict(OPTIONS)
    if not lookup(VARIANTS[variant][0])(8).gates_of("bias"):
        del options["use_bias"]
    layer = made(variant, **options)
    inputs = keras.Input((None, FEATURES))
    masked = keras.layers.Masking()(inputs)
    model = keras.Model(inputs, list(layer(masked)))
    x = data() * MASK[..., None]
    expected = model(x)
    path = tmp_path / "model.keras"
    model.save(path)
    loaded = keras.models.load_model(path)
    for a, b in zip(loaded(x), expected, strict=True):
        close(a, b, 1e-6)
    again = loaded.get_layer("some")
    assert type(again) is type(layer)
    assert again.get_config() == layer.get_config()
    for name, value in {**options, **VARIANTS[variant][1]}.items():
        if name.endswith(("initializer", "regularizer")) or callable(value):
            continue
        kept = again.get_config()[name]
        assert keras.tree.flatten(kept) == keras.tree.flatten(value), name
    weights = tmp_path / "model.weights.h5"
    model.save_weights(weights)
    every.randomize(again, 7)
    assert any(np.any(a != b) for a, b in zip(again.get_weights(), layer.get_weights()))
    loaded.load_weights(weights)
    for a, b in zip(again.weights, layer.weights, strict=True):
        assert a.path == b.path
        np.testing.assert_array_equal(every.float64(a), every.float64(b))


@pytest.mark.filterwarnings("ignore:A stack of 2 layers of LRUCell")
@pytest.mark.parametrize("name", NAMES)
def test_policies_are_kept(name):
    """In configs, in copies made by `convert`, and where the global policy is set."""
    for policy in POLICIES:
        layer = made(name, dtype=policy)
        again = type(layer).from_config(layer.get_config())
        assert again.dtype_policy == layer.dtype_policy == keras.DTypePolicy(policy)
        assert again.cell.dtype_policy == layer.cell.dtype_policy == layer.dtype_policy
        theirs = keras.layers.RNN(cells.get(name, 4, dtype=policy), dtype=policy)
        model = keras.Sequential([keras.Input((STEPS, FEATURES)), theirs])
        (converted,) = keras_rnnx.convert(model).layers
        assert type(converted) is layers.RNN
        assert converted.dtype_policy == theirs.dtype_policy
        assert converted.cell.dtype_policy == theirs.cell.dtype_policy
        stack = layers.Stack(name, 4, depth=2, dtype=policy)
        stack = layers.Stack.from_config(stack.get_config())
        assert all(
            inner.cell.compute_dtype == layer.compute_dtype for inner in stack.layers
        )
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        layer = made(name)
    finally:
        keras.config.set_dtype_policy(before)
    assert layer.dtype_policy.name == layer.cell.dtype_policy.name == "mixed_bfloat16"


@pytest.mark.parametrize("name", NAMES)
def test_bidirectional(name):
    """Each direction has weights of its own, and padding is behind for both."""
    forward, backward = made(name, draw=1), made(name, draw=2, go_backwards=True)
    both = keras.layers.Bidirectional(
        type(forward).from_config(forward.get_config()), merge_mode=None
    )
    both.build((None, None, FEATURES))
    both.forward_layer.set_weights(forward.get_weights())
    both.backward_layer.set_weights(backward.get_weights())
    assert type(both.backward_layer) is type(forward)
    there, back = both(data(), mask=MASK)
    for k, steps in enumerate(every.LENGTHS):
        alone = data()[k : k + 1, :steps]
        close(there[k : k + 1, :steps], forward(alone), what="forward")
        reversed_ = forward.__class__.from_config(forward.get_config())
        reversed_.build((None, None, FEATURES))
        reversed_.set_weights(backward.get_weights())
        expected = every.float64(reversed_(alone[:, ::-1].copy()))[:, ::-1]
        close(back[k : k + 1, :steps], expected, what="backward")


@pytest.mark.filterwarnings("ignore:A stack of 2 layers of LRUCell")
@pytest.mark.parametrize("name", NAMES)
def test_stack(name):
    """Two layers with the weights of a stack, one after the other."""
    first = made(name, return_state=True)
    units = first.units
    second = made(name, features=first.cell.output_size, return_state=True)
    stack = layers.Stack(name, units, 2, return_sequences=True, return_state=True)
    stack.build((None, None, FEATURES))
    every.randomize(stack)
    weights = [every.float64(w) for w in stack.weights]
    count = len(first.weights)
    first.set_weights(weights[:count])
    second.set_weights(weights[count:])
    between, *states = first(data(), mask=MASK)
    expected = [*second(between, mask=MASK), *states]
    outputs, *found = stack(data(), mask=MASK)
    below, above = stack.states_by_layer(found)
    for a, b in zip([outputs, *above, *below], expected, strict=True):
        close(a, b)
    assert np.any(np.abs(every.float64(outputs) - every.float64(between)) > 1e-3)


@pytest.mark.parametrize("variant", VARIANTS)
def test_gates_far_out_give_numbers(variant):
    """Saturated, underflown: outputs and gradients are finite, in either direction."""
    layer = made(variant)
    for scale in (30.0, 1e3):
        x = [scale * data(seed=1)]
        shape = layer.compute_output_shape(x[0].shape)
        outputs, found = testing.gradients(
            lambda x: [layer(x, training=True)],
            x,
            layer.trainable_variables,
            [np.ones(shape, "float32")],
        )
        for value in (*outputs, *found):
            assert np.all(np.isfinite(every.float64(value))), scale


def another_value(parameter, values):
    """A value of a drawn hyperparameter that is not the default, and what it means."""
    if hasattr(parameter, "values"):
        found = next(v for v in parameter.values if v != parameter.default)
        return found, values.values[found] if isinstance(values, Choice) else found
    ends = parameter.min_value, parameter.max_value
    found = next(v for v in ends if v != parameter.default)
    return found, found


@pytest.mark.parametrize("name", NAMES)
def test_search(name):
    """The model of a choice has the layers of that choice."""
    other = "ugrnn" if name == "lstm" else "lstm"
    hypermodel = HyperRNN((STEPS, FEATURES), cells=[other, name])
    space = keras_tuner.HyperParameters()
    space.values["cell"] = name
    hypermodel.build(space)
    hp = keras_tuner.HyperParameters()
    hp.values = {"cell": name, "layers": 2, "units": 40}
    declared, chosen = lookup(name).search, {}
    for parameter in space.space:
        scope, _, option = parameter.name.partition("/")
        if scope == name and option in declared:
            value, chosen[option] = another_value(parameter, declared[option])
            hp.values[parameter.name] = value
    assert set(chosen) == set(declared)
    model = hypermodel.build(hp)
    found = model.get_layer("stack").layers
    assert [layer.cell.units for layer in found] == [40, 40]
    for layer in found:
        assert type(layer.cell) is lookup(name)
        for option, value in chosen.items():
            alone = lookup(name)(8, **{option: value}).get_config()[option]
            assert layer.cell.get_config()[option] == alone, option
            assert alone != lookup(name)(8).get_config()[option], option
    assert model(data()).shape == (every.ROWS, 1)
