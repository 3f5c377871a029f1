"""Initializers: configs, seeds, models that have one, and what is refused."""

import json

import keras
import numpy as np
import pytest
from initialized import FEATURES, UNITS, built
from tensors import numpy

import keras_rnnx
from keras_rnnx import cells, engine, initializers, layers

ALL = {
    "chrono": lambda seed: initializers.Chrono(30, seed=seed),
    "unit_range": lambda seed: initializers.UnitRange(30, seed=seed),
    "forget_bias": lambda seed: initializers.ForgetBias(2.0),
    "identity": lambda seed: initializers.IdentityRecurrent(0.5),
    "per_gate": lambda seed: initializers.PerGate(
        {"f": keras.initializers.Orthogonal(seed=1), "default": "ones"}
    ),
    "per_gate_all": lambda seed: initializers.PerGate(
        initializers.Antisymmetric(seed=seed)
    ),
    "spectral_radius": lambda seed: initializers.SpectralRadius(
        0.5, "random_normal", density=0.5, seed=seed
    ),
    "antisymmetric": lambda seed: initializers.Antisymmetric(2.0, 0.1, seed=seed),
    "positive_definite": lambda seed: initializers.NormalizedPositiveDefinite(seed),
    "leak_rates": lambda seed: initializers.LeakRates(2, 9, seed=seed),
    "base_rates": lambda seed: initializers.BaseRates([0.1, 0.3]),
}


@pytest.mark.parametrize("seed", [None, 3, "generator"])
@pytest.mark.parametrize("name", ALL)
def test_configs_are_complete(name, seed):
    given = keras.random.SeedGenerator(5) if seed == "generator" else seed
    made = ALL[name](given)
    written = json.loads(json.dumps(keras.initializers.serialize(made)))
    read = keras.initializers.get(written)
    assert type(read) is type(made)
    assert read.get_config() == made.get_config()


@pytest.mark.parametrize("name", ["chrono", "per_gate_all", "antisymmetric"])
def test_seeds_reproduce(name):
    weight = "bias" if name == "chrono" else "recurrent"

    def draw(seed):
        cell = built("lstm", **{f"{weight}_initializer": ALL[name](seed)})
        return numpy(cell.bias if weight == "bias" else cell.recurrent_kernel)

    np.testing.assert_array_equal(draw(3), draw(3))
    assert not np.allclose(draw(3), draw(4))
    assert not np.allclose(draw(None), draw(None))


def test_a_model_is_built_while_it_is_traced_and_saved(tmp_path):
    """Keras asks for initial values in the trace too, where there are no numbers."""
    per_gate = initializers.PerGate("orthogonal")
    model = keras.Sequential(
        [
            layers.LSTM(
                UNITS,
                return_sequences=True,
                kernel_initializer=per_gate,
                recurrent_initializer=initializers.SpectralRadius(density=0.5),
                bias_initializer=initializers.Chrono(20),
            ),
            layers.LeakyRNN(UNITS, leak=initializers.LeakRates(2, 20)),
        ]
    )
    model.compile("sgd", "mse")
    x = np.ones((4, 5, FEATURES), "float32")
    model.fit(x, np.ones((4, UNITS)), verbose=0)
    forget = numpy(model.layers[0].cell.bias)[UNITS : 2 * UNITS]
    assert np.all(forget > -0.1) and np.any(forget > 0.5)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(numpy(loaded(x)), numpy(model(x)), rtol=1e-6)
    copy = loaded.layers[0]
    assert isinstance(copy.bias_initializer, initializers.Chrono)
    assert copy.bias_initializer.max_steps == 20


def test_initial_weights_leave_the_engine_as_it_is():
    plain = layers.LSTM(UNITS)
    started = layers.LSTM(
        UNITS,
        kernel_initializer=initializers.PerGate("glorot_uniform"),
        recurrent_initializer=initializers.PerGate("orthogonal"),
        bias_initializer=initializers.Chrono(20),
    )
    assert engine.plan(plain) == engine.plan(started)
    drawn = layers.LeakyRNN(UNITS, leak=initializers.LeakRates(2, 20))
    assert engine.plan(layers.LeakyRNN(UNITS)) == engine.plan(drawn)


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: initializers.Chrono(2),
            "`max_steps` must be an integer of at least 3",
        ),
        (lambda: initializers.Chrono(9.5), "received 9.5"),
        (lambda: initializers.Chrono(9, seed="a"), "`seed` must be .*received 'a'"),
        (
            lambda: built("lstm", recurrent_initializer=initializers.Chrono(9)),
            "Chrono makes biases.*recurrent_kernel of LSTMCell.*PerGate",
        ),
        (
            lambda: built("lstm", kernel_initializer=initializers.ForgetBias()),
            "ForgetBias makes biases.*the kernel of LSTMCell",
        ),
        (
            lambda: keras.layers.LSTM(3, bias_initializer=initializers.Chrono(9)).build(
                (None, 5, 2)
            ),
            r"`bias_initializer` to a cell or layer of keras_rnnx.*\(3,\)",
        ),
        (
            lambda: built(
                "lstm", use_bias=False, bias_initializer=initializers.Chrono(9)
            ),
            r"bias_initializer=Chrono\(...\) together with use_bias=False",
        ),
        (lambda: initializers.ForgetBias("much"), "`value`.*'much'"),
        (
            lambda: built("lstm", kernel_initializer=initializers.IdentityRecurrent()),
            "IdentityRecurrent is for recurrent kernels.*the kernel of LSTMCell",
        ),
        (lambda: initializers.Antisymmetric()((3, 4)), r"Antisymmetric .*\(3, 4\)"),
        (lambda: initializers.Antisymmetric(gamma=-1), "`gamma`.*-1"),
        (lambda: initializers.SpectralRadius(0.0), "`radius` must be positive"),
        (lambda: initializers.SpectralRadius(density=1.5), "`density`.*1.5"),
        (lambda: initializers.PerGate(None), "needs an initializer.*None"),
        (
            lambda: built(
                "lstm", bias_initializer=initializers.PerGate({"forget": "ones"})
            ),
            "received the gate 'forget', but LSTMCell has the gates i, f, c, o",
        ),
        (
            lambda: built("lstm", bias_initializer=initializers.PerGate({"f": "ones"})),
            "nothing for the gates i, c, o.*'default'",
        ),
        (lambda: initializers.PerGate("ones")((3, 8)), r"cannot recognize.*\(3, 8\)"),
        (lambda: initializers.PerGate({"f": "ones"})((3, 9)), "gates by name"),
        (lambda: initializers.LeakRates(0.5, 9), "shortest=0.5"),
        (lambda: initializers.LeakRates(9, 2), "shortest=9, longest=2"),
        (
            lambda: cells.LeakyRNNCell(
                3, leak=initializers.LeakRates(1, 9), leak_trainable=True
            ),
            "leak_trainable=True.*shortest=1",
        ),
        (
            lambda: cells.LeakyRNNCell(3, leak=keras.initializers.RandomUniform()),
            "LeakRates, whose bounds are known; received RandomUniform",
        ),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_all_are_exported():
    assert set(initializers.__all__) == {
        type(make(None)).__name__ for make in ALL.values()
    }
    assert keras_rnnx.initializers is initializers
