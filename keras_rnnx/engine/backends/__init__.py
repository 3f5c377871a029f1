"""The backend file that fits the Keras backend in use.

Each holds all that differs between backends, as functions:

- `scan(step, carry, xs, length, loose, reverse, unroll)` loops over time;
- `pullback(function, inputs)` evaluates a function and gives its vector-Jacobian
  product;
- `differentiable(forward, backward, spared, plain, again)` makes a function with a
  backward pass of its own; the last two are for second derivatives on torch;
- `product(matrix, beside, xla)` makes the product with a matrix for use in the loop;
- `compiled(function, xla)` prepares a function for being called often;
- `linear_way(steps, batch, units)` says how a linear recurrence is computed fastest,
  `linear_loop` is one where every operation is a call, and `associative_scan` a
  parallel one where the framework has it;
- where every operation is a call: `exporting()`, whether a graph is written down that
  is run elsewhere; `may_write()`, whether operations may write to tensors that are
  there; `gradients(function, inputs, cotangents)`, which can be differentiated;
  `tensor(value, dtype)`; and `plan_key()`, what a plan depends on beside its layer;
- `stepping(model, flat, specs)` compiles one step of a model;

and as the operations `argsort`, `split`, `where`, `concatenate`, `total` (the sum over
time and batch) and `outer` (the sum of outer products over time and batch), since those
of `keras.ops` compute float64 in float32 on JAX and torch, and `plus_bias`, for its
gradient.
"""

from __future__ import annotations

import functools
import importlib
from types import ModuleType

import keras

NAMES = ("tensorflow", "jax", "torch")


def current() -> ModuleType | None:
    """The module for the Keras backend in use, None where only Keras' loop runs."""
    name = keras.backend.backend()
    if name not in NAMES:
        return None
    return _module(name)


@functools.cache
def _module(name):
    return importlib.import_module(f"keras_rnnx.engine.backends.{name}")
