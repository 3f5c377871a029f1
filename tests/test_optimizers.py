"""Optimizers: averages of weights, held to NumPy."""

import warnings

import keras
import numpy as np
import pytest
from tensors import all_close

import keras_rnnx  # noqa: F401
from keras_rnnx.callbacks import SwapAverages
from keras_rnnx.optimizers import NTASGD

BACKEND = keras.backend.backend()
RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 3)).astype("float32")
Y = RNG.normal(size=(12, 2)).astype("float32")


def means(weights):
    """The mean of each weight over what it was at several times."""
    return [np.mean(values, axis=0) for values in zip(*weights)]


def model(optimizer, **kwargs):
    keras.utils.set_random_seed(1)
    made = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    made.compile(optimizer, "mse", **kwargs)
    return made


class Script(keras.callbacks.Callback):
    """Puts losses of our choice into the logs, and notes weights."""

    def __init__(self, losses):
        super().__init__()
        self.losses = losses
        self.weights, self.tested, self.at_end = [], [], []

    def on_epoch_begin(self, epoch, logs=None):
        self.start = len(self.weights)

    def on_train_batch_end(self, batch, logs=None):
        self.weights.append(self.model.get_weights())

    def on_test_batch_end(self, batch, logs=None):
        self.tested.append(self.model.get_weights())

    def on_epoch_end(self, epoch, logs=None):
        if self.losses:
            logs["val_loss"] = self.losses[epoch]
        self.at_end.append(self.model.get_weights())


def train(made, losses, *callbacks, swap=None, **kwargs):
    script = Script(losses)
    swap = swap or SwapAverages()
    made.fit(
        X,
        Y,
        batch_size=4,
        shuffle=False,
        verbose=0,
        validation_data=(X[:4], Y[:4]),
        callbacks=[script, swap, *callbacks],
        **{"epochs": len(losses), **kwargs},
    )
    return script


def triggered(losses, nonmonotone):
    """The first check, as the algorithm in the paper says it, or None."""
    logs = []
    for check, loss in enumerate(losses):
        if len(logs) > nonmonotone and loss > min(logs[:-nonmonotone]):
            return check
        logs.append(loss)
    return None


@pytest.mark.parametrize("nonmonotone", [1, 2, 5])
def test_the_trigger_is_that_of_the_paper(nonmonotone):
    random = np.random.default_rng(2)
    for _ in range(20):
        losses = np.float32(1 / np.arange(1, 21) + 0.1 * random.normal(size=20))
        optimizer = NTASGD(keras.optimizers.SGD(0.1), nonmonotone)
        optimizer.build([keras.Variable(np.zeros(2))])
        found = [optimizer.check(float(loss)) for loss in losses]
        expected = triggered(losses.tolist(), nonmonotone)
        assert (found.index(True) if any(found) else None) == expected
    optimizer = NTASGD(keras.optimizers.SGD(0.1), 1)
    optimizer.build([keras.Variable(np.zeros(2))])
    assert [optimizer.check(v) for v in (1.0, 2.0, float("nan"))] == [0, 0, 1]


# Triggered at the check after the third epoch, with nonmonotone=1: 3 > min([2]).
LOSSES = [2.0, 2.5, 3.0, 1.0, 1.0]


def test_averages_are_the_means_of_the_weights_since_the_trigger():
    made, plain = (
        model(NTASGD(keras.optimizers.SGD(0.2), 1)),
        model(keras.optimizers.SGD(0.2)),
    )
    script = train(made, LOSSES)
    reference = Script([])
    plain.fit(
        X, Y, batch_size=4, shuffle=False, verbose=0, epochs=5, callbacks=[reference]
    )
    # Training goes on as without averages.
    for found, expected in zip(script.weights, reference.weights, strict=True):
        all_close(found, expected)
    # w_T is the weight at the trigger, after 3 epochs of 3 batches.
    mean = means(script.weights[8:])
    all_close(made.get_weights(), mean)
    assert not np.allclose(mean[0], script.weights[-1][0], atol=1e-3)
    # What is validated: weights before the trigger, averages since.
    all_close(script.tested[2], script.weights[8])
    all_close(script.tested[3], means(script.weights[8:12]))
    all_close(script.tested[4], mean)
    all_close(script.at_end[4], script.weights[14])
    assert int(made.optimizer.averaged) == 7
    assert int(made.optimizer.iterations) == 15


@pytest.mark.parametrize("name", ["Adam", "RMSprop", "Adagrad"])
def test_any_optimizer_can_be_inside(name):
    make = getattr(keras.optimizers, name)
    made, plain = model(NTASGD(make(0.1), 1)), model(make(0.1))
    script = train(made, LOSSES)
    plain.fit(X, Y, batch_size=4, shuffle=False, verbose=0, epochs=5)
    all_close(script.weights[-1], plain.get_weights())
    all_close(made.get_weights(), means(script.weights[8:]))


def test_training_goes_on_from_the_weights_not_from_the_averages(tmp_path):
    whole, parts = (model(NTASGD(keras.optimizers.SGD(0.2, 0.9), 1)) for _ in range(2))
    expected = train(whole, LOSSES)
    first = train(parts, LOSSES, epochs=4)
    all_close(parts.get_weights(), means(first.weights[8:]))
    parts.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(loaded.optimizer, NTASGD) and loaded.optimizer.nonmonotone == 1
    assert isinstance(loaded.optimizer.inner_optimizer, keras.optimizers.SGD)
    held = parts.get_weights()
    for made in (parts, loaded):
        all_close(made.get_weights(), held)
        rest = train(made, LOSSES, initial_epoch=4, epochs=5)
        for found, wanted in zip(rest.weights, expected.weights[12:], strict=True):
            all_close(found, wanted)
        all_close(made.get_weights(), whole.get_weights())


def test_gradients_accumulated_over_steps_are_averaged_per_update():
    inner = keras.optimizers.SGD(0.2, gradient_accumulation_steps=2)
    made = model(NTASGD(inner, 1))
    script = train(made, [2.0, 2.5, 3.0, 1.0, 1.0, 1.0])
    # Updates are made in every second step; w_T is that after step 9, of update 4.
    updates = [script.weights[8], *script.weights[9::2]]
    all_close(made.get_weights(), means(updates))


def test_settings_reach_the_inner_optimizer():
    made = model(NTASGD(keras.optimizers.SGD(0.5, clipvalue=1e-6), 3))
    made.optimizer.learning_rate = 0.25
    assert float(made.optimizer.inner_optimizer.learning_rate) == 0.25
    before = made.get_weights()
    made.train_on_batch(X, Y)
    all_close(made.get_weights(), before)
    config = made.optimizer.get_config()
    again = NTASGD.from_config(config)
    assert again.get_config() == config
    assert isinstance(NTASGD("sgd").inner_optimizer, keras.optimizers.SGD)


def test_loss_scaling_goes_around():
    outer = keras.optimizers.LossScaleOptimizer(
        NTASGD(keras.optimizers.SGD(0.2), 1), initial_scale=8.0
    )
    made = model(outer)
    script = train(made, LOSSES)
    all_close(made.get_weights(), means(script.weights[8:]))
    with pytest.raises(ValueError, match="must wrap NTASGD"):
        NTASGD(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.2)))


def test_the_averages_can_stay_for_what_saves_models():
    made = model(NTASGD(keras.optimizers.SGD(0.2), 1))
    noted = []
    note = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: noted.append(made.get_weights())
    )
    script = train(made, LOSSES, note, swap=SwapAverages(swap_on_epoch=True))
    all_close(noted[3], means(script.weights[8:12]))
    all_close(noted[4], made.get_weights())
    all_close(made.get_weights(), means(script.weights[8:]))


def test_more_can_be_better():
    script = [1.0, 2.0, 1.9, 1.8, 3.0]
    made = model(NTASGD(keras.optimizers.SGD(0.2), 1))
    train(made, script, swap=SwapAverages(mode="max"))
    # -1.8 > min(-1, -2): the fourth check; 1.9 is no worse than the first.
    assert int(made.optimizer.averaged) == 4


def test_a_forgotten_callback_is_noticed():
    made = model(NTASGD(keras.optimizers.SGD(0.2)))
    with pytest.warns(UserWarning, match="SwapAverages"):
        made.fit(X, Y, verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        train(model(NTASGD(keras.optimizers.SGD(0.2))), LOSSES)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"nonmonotone": 0}, "`nonmonotone` .* received 0"),
        ({"clipnorm": 1.0}, "clipnorm"),
        ({"inner_optimizer": keras.optimizers.SGD(use_ema=True)}, "use_ema"),
        ({"inner_optimizer": 3}, "optimizer"),
    ],
)
def test_what_cannot_be_averaged_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        NTASGD(**{"inner_optimizer": "sgd", **arguments})


def test_what_cannot_be_monitored_is_refused():
    with pytest.raises(ValueError, match="`mode` .* 'less'"):
        SwapAverages(mode="less")
    with pytest.raises(ValueError, match="keras_rnnx.optimizers.NTASGD, received"):
        train(model("sgd"), LOSSES)
    made = model(NTASGD(keras.optimizers.SGD(0.2)))
    with pytest.raises(ValueError, match="'val_accuracy' is not .* logged val_loss"):
        train(made, LOSSES, swap=SwapAverages("val_accuracy"))


@pytest.mark.skipif(BACKEND != "tensorflow", reason="XLA is an option there.")
def test_averages_are_compiled_by_xla_too():
    made = model(NTASGD(keras.optimizers.SGD(0.2), 1), jit_compile=True)
    script = train(made, LOSSES)
    all_close(made.get_weights(), means(script.weights[8:]))


def test_it_goes_around_an_optimizer():
    with pytest.raises(ValueError, match="wraps another optimizer.*None"):
        NTASGD(None)


@pytest.mark.parametrize("loss", [0.7, 0.1, 1 / 3])
def test_the_same_loss_again_is_not_worse(loss):
    """Losses are kept in float32, and come in float64."""
    optimizer = NTASGD(keras.optimizers.SGD(0.1), nonmonotone=1)
    optimizer.build([keras.Variable(np.ones(2, "float32"))])
    assert not any(optimizer.check(loss) for _ in range(6))
    assert optimizer.check(loss * 1.001)
