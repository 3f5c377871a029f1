"""A compiled forward pass and training step on each backend, and how they are timed.

Every function made here does its work in full before it returns, on a GPU too.
"""

from __future__ import annotations

import importlib
import random
import statistics
import time
from collections.abc import Callable

import keras

from benchmarks import device

LEAST_ROUNDS = 5
# Milliseconds from which on a call does not feel the one before.
SLOW = 100
FAST_CALLS = 3
_now = time.perf_counter


def compiled(function: Callable, *arguments, xla: bool = False) -> Callable:
    """A call of `function(*arguments)`, compiled where the backend compiles.

    Args:
        function: from tensors to tensors, without gradients outside of it.
        *arguments: what it is called with every time.
        xla: whether TensorFlow compiles with XLA. JAX always does, torch never.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        tf = importlib.import_module("tensorflow")
        run = tf.function(function, autograph=False, jit_compile=xla or None)
        # On a CPU a tf.function returns when it is done.
        wait = tf.test.experimental.sync_devices if device.gpu() else lambda: None

        def call():
            run(*arguments)
            wait()

        return call
    if backend == "jax":
        jax = importlib.import_module("jax")
        run = jax.jit(function)
        return lambda: jax.block_until_ready(run(*arguments))
    torch = importlib.import_module("torch")

    @torch.no_grad()
    def without_gradients():
        return function(*arguments)

    return torch_call(without_gradients)


def after(first, value):
    """`value`, which cannot be used before `first` is computed."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        tf = importlib.import_module("tensorflow")
        with tf.control_dependencies([first]):
            return tf.identity(value)
    if backend == "jax":
        lax = importlib.import_module("jax").lax
        return lax.optimization_barrier((first, value))[1]
    return value


def torch_call(function: Callable) -> Callable:
    """A call of a torch function that waits for the GPU where there is one."""
    torch = importlib.import_module("torch")
    if not torch.cuda.is_available():
        return function

    def call():
        function()
        torch.cuda.synchronize()

    return call


def forward(layer: keras.layers.Layer, x) -> Callable:
    """A forward pass of a built layer."""
    if keras.backend.backend() == "jax":
        return compiled(
            lambda t, n, x: layer.stateless_call(t, n, x, training=False)[0],
            *_values(layer),
            x,
        )
    return compiled(lambda x: layer(x, training=False), x)


def training(layer: keras.layers.Layer, x) -> Callable:
    """The gradients of all weights of a built layer for a mean square loss.

    With the penalties that the layer adds, and its constraints on the weights.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        tf = importlib.import_module("tensorflow")
        weights = [v.value for v in layer.trainable_variables]

        def gradients(x):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(tf.square(layer(x, training=True)))
                loss = loss + sum(layer.losses)
            return tape.gradient(loss, weights), _constrained(layer)

        return compiled(gradients, x)
    if backend == "jax":
        jax = importlib.import_module("jax")

        def loss(t, n, x):
            y, _, losses = layer.stateless_call(
                t, n, x, training=True, return_losses=True
            )
            return (y**2).mean() + sum(losses)

        def step(t, n, x):
            pairs = zip(layer.trainable_variables, t)
            with keras.StatelessScope(state_mapping=list(pairs)):
                return jax.grad(loss)(t, n, x), _constrained(layer)

        return compiled(step, *_values(layer), x)

    def step():
        layer.zero_grad()
        loss = (layer(x, training=True) ** 2).mean()
        (loss + sum(layer.losses)).backward()
        with torch.no_grad():
            _constrained(layer)

    torch = importlib.import_module("torch")
    return torch_call(step)


def _constrained(layer):
    """The weights as their constraints would have them."""
    return [
        v.constraint(keras.ops.convert_to_tensor(v))
        for v in layer.trainable_variables
        if v.constraint is not None
    ]


def _values(layer):
    return (
        [v.value for v in layer.trainable_variables],
        [v.value for v in layer.non_trainable_variables],
    )


def in_turn(functions: dict[str, Callable], seconds: float) -> dict[str, list[float]]:
    """Milliseconds of each function, all called in turn for `seconds` after a warm-up.

    A noisy machine so hits all alike. Each round has an order of its own, and of a
    function that is fast the first call of a turn is not timed: caches still hold
    what the neighbour used, and threads of its library spin on for a while.

    Args:
        functions: by name.
        seconds: for all of them together; each is timed five times at least.
    """
    calls = {}
    for name, function in functions.items():
        function()
        calls[name] = 1 if milliseconds(function) > SLOW else FAST_CALLS
    times = {name: [] for name in functions}
    order = random.Random(0)
    end = time.perf_counter() + seconds
    rounds = 0
    while time.perf_counter() < end or rounds < LEAST_ROUNDS:
        for name in order.sample(list(functions), len(functions)):
            if calls[name] > 1:
                functions[name]()
            times[name] += [milliseconds(functions[name]) for _ in range(calls[name])]
        rounds += 1
    return times


def use_cpu_time() -> None:
    """From now on the time that the process has had on its core is measured.

    On a machine that others use too it says more than the time on the wall.

    Raises:
        ValueError: on a GPU and on several cores, which work side by side.
    """
    global _now
    if device.gpu() or device.cores() > 1:
        raise ValueError(
            f"--cpu-time is for one CPU core, received {device.gpu() or device.cores()}"
            f"{'' if device.gpu() else ' cores'}: run `taskset -c 0 "
            f"python -m benchmarks.run ...`, or leave it out."
        )
    _now = time.process_time


def milliseconds(function: Callable) -> float:
    """The time of one call."""
    start = _now()
    function()
    return 1e3 * (_now() - start)


def quartiles(times: list[float]) -> list[float]:
    """The lower quartile, the median and the upper quartile."""
    return statistics.quantiles(times, n=4, method="inclusive")


def row(
    name: str,
    size: tuple[int, ...],
    functions: dict[str, dict[str, Callable]],
    seconds: float,
) -> dict:
    """A row with medians and quartiles of functions by pass and peer."""
    made = {"layer": name, "size": list(size), "quartiles": {}}
    for which, calls in functions.items():
        times = in_turn(calls, seconds)
        found = {peer: quartiles(t) for peer, t in times.items()}
        ways = [peer for peer in found if peer.startswith("limit")]
        if ways:
            fastest = min((found.pop(way) for way in ways), key=lambda q: q[1])
            found["limit"] = fastest
        made["quartiles"][which] = found
        made[which] = {peer: q[1] for peer, q in found.items()}
    return made
