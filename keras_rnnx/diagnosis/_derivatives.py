"""Derivatives of functions that call a model, and compiled calls, in any backend."""

from __future__ import annotations

import contextlib
import functools
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
# For XLA, of programs that run a few times: compiling takes longer than they do.
QUICKLY = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
}
Run = Callable[[list[Any], list[Cotangents]], Outcome]


class Pullback:
    """Outputs of a function, and the gradients of weighted sums of them.

    On JAX the function is compiled once for each shape, with few optimizations.

    Args:
        function: from a list of tensors to a list of tensors; it may read `variables`.
            Outputs behind those that have cotangents are returned and no more.
        variables: Keras variables that the function reads. JAX takes them for
            arguments, so that they are no constants of the program.
        fixed: number of inputs, the first ones, without gradients. Default 0.

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
        fixed: int = 0,
    ):
        self._fixed = fixed
        make = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}
        self._run = make[keras.backend.backend()](function, list(variables), fixed)

    def __call__(
        self, inputs: Sequence[Any], cotangents: Sequence[Cotangents]
    ) -> tuple[list[np.ndarray], list[list[np.ndarray]]]:
        """The outputs, and for each of `cotangents` the gradients for the inputs
        that are not fixed.

        Args:
            inputs: arrays or tensors of floating-point numbers.
            cotangents: several weights for the outputs.
        """
        tensors = [keras.ops.convert_to_tensor(value) for value in inputs]
        outputs, found = self._run(tensors, [list(weights) for weights in cotangents])
        gradients = [
            [_array(g, tensor) for g, tensor in zip(each, tensors[self._fixed :])]
            for each in found
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


def _tensorflow(function: Function, variables: list[keras.Variable], fixed: int) -> Run:
    tf = importlib.import_module("tensorflow")

    def run(inputs: list[Any], sets: list[Cotangents]) -> Outcome:
        several = len(sets) > 1
        # Operations on weights alone need no gradient, and are half of them.
        with tf.GradientTape(several, watch_accessed_variables=False) as tape:
            tape.watch(inputs[fixed:])
            outputs = list(function(inputs))
        found = [
            tape.gradient(
                outputs[: len(weights)],
                inputs[fixed:],
                output_gradients=_cast(weights, outputs),
            )
            for weights in sets
        ]
        return outputs, found

    return run


def _torch(function: Function, variables: list[keras.Variable], fixed: int) -> Run:
    torch = importlib.import_module("torch")

    def run(inputs: list[Any], sets: list[Cotangents]) -> Outcome:
        with torch.enable_grad():
            free = [tensor.detach().requires_grad_() for tensor in inputs[fixed:]]
            outputs = list(function([*inputs[:fixed], *free]))
        found: list[Any] = []
        for weights in sets:
            both = zip(outputs, _cast(weights, outputs))
            pairs = [(o, c) for o, c in both if o.requires_grad]
            if not pairs:
                found.append([None] * len(free))
                continue
            found.append(
                torch.autograd.grad(
                    [o for o, _ in pairs],
                    free,
                    [c for _, c in pairs],
                    retain_graph=True,
                    allow_unused=True,
                )
            )
        return [output.detach() for output in outputs], found

    return run


def _jax(function: Function, variables: list[keras.Variable], fixed: int) -> Run:
    jax = importlib.import_module("jax")

    @functools.partial(jax.jit, compiler_options=QUICKLY)
    def run(values: list[Any], inputs: list[Any], sets: list[Cotangents]) -> Outcome:
        def pure(free: list[Any]) -> tuple[list[Any], list[Any]]:
            with _scope(variables, values):
                outputs = list(function([*inputs[:fixed], *free]))
            return outputs[: len(sets[0])], outputs[len(sets[0]) :]

        outputs, pull, others = jax.vjp(pure, inputs[fixed:], has_aux=True)
        found = [pull(_cast(weights, outputs))[0] for weights in sets]
        return [*outputs, *others], found

    return lambda inputs, sets: run([v.value for v in variables], inputs, sets)


class Tape:
    """Notes operations that run eagerly, for gradients for tensors on the way.

    Not on JAX, which computes gradients of functions alone.
    """

    def __init__(self) -> None:
        self._torch: Any = None
        self._tape: Any = None
        self.marked: list[Any] = []
        if keras.backend.backend() == "torch":
            self._torch = importlib.import_module("torch")
        else:
            tf = importlib.import_module("tensorflow")
            self._tape = tf.GradientTape(True, watch_accessed_variables=False)

    @staticmethod
    def works() -> bool:
        """Whether the backend has one."""
        return keras.backend.backend() != "jax"

    def noting(self) -> contextlib.AbstractContextManager[Any]:
        """A block whose operations are noted; there may be several."""
        return self._tape or self._torch.enable_grad()

    def mark(self, tensor: Any) -> Any:
        """The tensor to go on with in place of this one, for which there is then a
        gradient: of what is done with it alone, not with the one before."""
        if self._tape is not None:
            tensor = importlib.import_module("tensorflow").identity(tensor)
            self._tape.watch(tensor)
        elif tensor.requires_grad:
            tensor = tensor.view_as(tensor)
        else:
            tensor = tensor.detach().requires_grad_()
        self.marked.append(tensor)
        return tensor

    def gradients(self, value: Any) -> list[Any]:
        """The gradients of a number for all marked tensors, as tensors."""
        if self._tape is not None:
            return self._tape.gradient(value, self.marked, unconnected_gradients="zero")
        torch = self._torch
        if not value.requires_grad:
            return [torch.zeros_like(tensor) for tensor in self.marked]
        found = torch.autograd.grad(
            value, self.marked, retain_graph=True, allow_unused=True
        )
        return [
            torch.zeros_like(tensor) if gradient is None else gradient
            for gradient, tensor in zip(found, self.marked)
        ]


def _scope(
    variables: Sequence[keras.Variable], values: Sequence[Any]
) -> contextlib.AbstractContextManager[Any]:
    return keras.StatelessScope(list(zip(variables, values)), collect_losses=True)


def compiled(
    function: Callable[..., Any],
    variables: Sequence[keras.Variable] = (),
    optimized: bool = False,
) -> Callable[..., Any]:
    """A function of arrays without derivatives, compiled where eager calls are slow.

    Args:
        function: from arrays to a tensor or a structure of tensors.
        variables: Keras variables that it reads.
        optimized: whether it is compiled as for training. Default False: that would
            take longer than it saves in a few calls.

    Returns:
        A function that returns NumPy arrays, once they are computed.
    """
    call = function
    if keras.backend.backend() == "jax":
        jax = importlib.import_module("jax")

        @functools.partial(jax.jit, compiler_options=None if optimized else QUICKLY)
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
