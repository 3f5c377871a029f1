"""Derivatives of functions that call a model, and compiled calls, in any backend."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

# Weights of the outputs of a function in a sum, one array for each output.
Cotangents = Sequence[Any]
# From tensors to tensors.
Function = Callable[[list[Any]], list[Any]]
# The outputs, and the gradients for each set of cotangents.
Outcome = tuple[list[Any], list[list[Any]]]
Run = Callable[[list[Any], list[Cotangents]], Outcome]


class Pullback:
    """Outputs of a function, and the gradients of weighted sums of them.

    On JAX the function is compiled once for each shape.

    Args:
        function: from a list of tensors to a list of tensors; it may read `variables`.
            Outputs behind those that have cotangents are returned and no more.
        variables: Keras variables that the function reads. JAX takes them for
            arguments, so that they are no constants of the program.

    Example:

    >>> double = Pullback(lambda tensors: [2.0 * tensors[0]])
    >>> outputs, gradients = double([np.ones(2, "float32")], [[np.ones(2, "float32")]])
    >>> gradients[0][0].tolist()
    [2.0, 2.0]
    """

    def __init__(
        self,
        function: Function,
        variables: Sequence[keras.Variable] = (),
    ):
        self._function, self._variables = function, list(variables)
        backend = keras.backend.backend()
        self._run = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}[backend](
            function, self._variables
        )

    def __call__(
        self, inputs: Sequence[Any], cotangents: Sequence[Cotangents]
    ) -> tuple[list[np.ndarray], list[list[np.ndarray]]]:
        """The outputs, and for each of `cotangents` the gradients for the inputs.

        Args:
            inputs: arrays or tensors of floating-point numbers.
            cotangents: several weights for the outputs.
        """
        tensors = [keras.ops.convert_to_tensor(value) for value in inputs]
        outputs, found = self._run(tensors, [list(weights) for weights in cotangents])
        gradients = [
            [_array(g, tensor) for g, tensor in zip(each, tensors)] for each in found
        ]
        return [keras.ops.convert_to_numpy(o) for o in outputs], gradients


def _array(gradient: Any, like: Any) -> np.ndarray:
    if gradient is None:
        return np.zeros(tuple(like.shape), "float32")
    array = keras.ops.convert_to_numpy(gradient)
    # Half precision has too few digits for sums of squares.
    return array.astype("float32") if array.dtype.itemsize < 4 else array


def _cast(cotangents: Cotangents, outputs: Sequence[Any]) -> list[Any]:
    return [
        keras.ops.cast(keras.ops.convert_to_tensor(c), o.dtype)
        for c, o in zip(cotangents, outputs)
    ]


def _tensorflow(function: Function, variables: list[keras.Variable]) -> Run:
    tf = importlib.import_module("tensorflow")

    def run(inputs: list[Any], sets: list[Cotangents]) -> Outcome:
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(inputs)
            outputs = list(function(inputs))
        found = [
            tape.gradient(
                outputs[: len(weights)],
                inputs,
                output_gradients=_cast(weights, outputs),
            )
            for weights in sets
        ]
        return outputs, found

    return run


def _torch(function: Function, variables: list[keras.Variable]) -> Run:
    torch = importlib.import_module("torch")

    def run(inputs: list[Any], sets: list[Cotangents]) -> Outcome:
        with torch.enable_grad():
            inputs = [tensor.detach().requires_grad_() for tensor in inputs]
            outputs = list(function(inputs))
        found = []
        for weights in sets:
            pairs = zip(outputs, _cast(weights, outputs))
            pairs = [(o, c) for o, c in pairs if o.requires_grad]
            if not pairs:
                found.append([None] * len(inputs))
                continue
            found.append(
                torch.autograd.grad(
                    [o for o, _ in pairs],
                    inputs,
                    [c for _, c in pairs],
                    retain_graph=True,
                    allow_unused=True,
                )
            )
        return [output.detach() for output in outputs], found

    return run


def _jax(function: Function, variables: list[keras.Variable]) -> Run:
    jax = importlib.import_module("jax")

    @jax.jit
    def run(values: list[Any], inputs: list[Any], sets: list[Cotangents]) -> Outcome:
        def pure(inputs: list[Any]) -> tuple[list[Any], list[Any]]:
            with _scope(variables, values):
                outputs = list(function(inputs))
            return outputs[: len(sets[0])], outputs[len(sets[0]) :]

        outputs, pull, others = jax.vjp(pure, inputs, has_aux=True)
        found = [pull(_cast(weights, outputs))[0] for weights in sets]
        return [*outputs, *others], found

    return lambda inputs, sets: run([v.value for v in variables], inputs, sets)


def _scope(
    variables: Sequence[keras.Variable], values: Sequence[Any]
) -> contextlib.AbstractContextManager[Any]:
    return keras.StatelessScope(list(zip(variables, values)), collect_losses=True)


def compiled(
    function: Callable[..., Any], variables: Sequence[keras.Variable] = ()
) -> Callable[..., Any]:
    """A function of arrays without derivatives, compiled where eager calls are slow.

    Args:
        function: from arrays to a tensor or a structure of tensors.
        variables: Keras variables that it reads.

    Returns:
        A function that returns NumPy arrays, once they are computed.
    """
    call = function
    if keras.backend.backend() == "jax":
        jax = importlib.import_module("jax")

        @jax.jit
        def run(values: list[Any], *arrays: Any) -> Any:
            with _scope(variables, values):
                return function(*arrays)

        def call(*arrays: Any) -> Any:
            return run([v.value for v in variables], *arrays)

    def found(*arrays: Any) -> Any:
        with without_gradients():
            outputs = call(*arrays)
        return keras.tree.map_structure(keras.ops.convert_to_numpy, outputs)

    return found


def without_gradients() -> contextlib.AbstractContextManager[Any]:
    """A block in which no operation is kept for a gradient."""
    if keras.backend.backend() == "torch":
        return importlib.import_module("torch").no_grad()
    return contextlib.nullcontext()
