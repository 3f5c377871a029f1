"""One step of a cell, as Keras' loop and hand-written ones take it."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import keras
from keras import ops

from keras_rnnx.cells._base.masks import MASKS


class Stepping:
    """The part of a `Cell` that makes it a Keras RNN cell."""

    _masks = None
    _each_step = None
    normalization = None

    @property
    def compute_dtype(self) -> str:
        """The dtype of the computations: that of the policy, but never half precision
        with a normalization.

        To divide by deviations makes errors of rounding larger, at every step anew:
        over a few steps those of half precision would become parts of ten.
        """
        dtype = super().compute_dtype
        half = dtype in ("float16", "bfloat16")
        return "float32" if self.normalization and half else dtype

    def add_weight(self, *args, **kwargs):
        """Adds a weight that is not rounded where it is read.

        A cell of half precision rounds it for its computations. One with a `call` of
        its own reads it as other layers do.
        """
        own = type(self).call is not Stepping.call
        rounds = own and self.variable_dtype != self.compute_dtype
        kwargs.setdefault("autocast", rounds)
        return super().add_weight(*args, **kwargs)

    def computed(self, weight: Any) -> Any:
        """A weight in the precision of the computations."""
        if self.variable_dtype == self.compute_dtype:
            return weight
        return ops.cast(weight, self.compute_dtype)

    def __call__(self, inputs, states, *args, **kwargs):
        output, new = super().__call__(inputs, states, *args, **kwargs)
        if self.compute_dtype != super().compute_dtype:
            # Keras' stack of cells has states of its own dtype, and a loop may not
            # change it.
            pairs = zip(keras.tree.flatten(new), keras.tree.flatten(states))
            found = [
                ops.cast(value, keras.backend.standardize_dtype(given.dtype))
                for value, given in pairs
            ]
            new = keras.tree.pack_sequence_as(new, found)
        return output, new

    def call(self, inputs, states, training=False):
        if self.normalization and self.normalization.notes_moments:
            raise ValueError(
                f"{type(self).__name__} with {self.normalization.argument}=True has "
                f"moments for every step, and a single step does not know which it is. "
                f"Use it in keras_rnnx.layers.RNN."
            )
        if training and self.gradient_flow:
            raise ValueError(
                f"{type(self).__name__} has GradientFlow as recurrent_regularizer, "
                f"which needs the gradients of a whole sequence. Pass it to "
                f"keras_rnnx.layers.RNN, as its only cell."
            )
        nested = keras.tree.is_nested(states)
        states = list(states) if nested else [states]
        inputs, noise = self._current_masks(inputs, training)
        weights = {"kernel": ops.convert_to_tensor(self.kernel)}
        if self.multiplied:
            weights["recurrent_kernel"] = self.recurrent_matrix(
                ops.convert_to_tensor(self.recurrent_kernel)
            )
        if self.projection:
            weights["projection_kernel"] = ops.convert_to_tensor(self.projection_kernel)
        weights = {k: self.computed(w) for k, w in weights.items()}
        weights = {k: w * noise[k] if k in noise else w for k, w in weights.items()}
        inputs = inputs * noise["inputs"] if "inputs" in noise else inputs
        inputs = ops.cast(inputs, self.compute_dtype)
        history = []
        if self.window > 1:
            inputs = ops.concatenate([states.pop(), inputs], axis=-1)
            history = [inputs[:, inputs.shape[-1] // self.window :]]
        # The operator, since `ops.matmul` computes float64 in float32 on torch.
        x = self.blocks(inputs @ weights["kernel"], "kernel")
        blocks = {}
        for name in ("recurrent_kernel", "projection_kernel"):
            if name in weights:
                blocks |= self.blocks(weights[name], name)
        x, recurrent_bias = self._with_biases(x)

        def product(gate, vector):
            if "recurrent" in noise and gate not in self.projection:
                vector = vector * noise["recurrent"]
            out = vector @ blocks[gate]
            return out + recurrent_bias[gate] if gate in recurrent_bias else out

        u = {
            k: functools.partial(product, k)
            if k in self.late
            else product(k, states[0])
            for k in self.products
        }
        unsummed = self.unsummed
        summed = [k for k in self.gates if k not in unsummed]
        new = self.advance(
            states,
            {k: _sum(x.get(k), u.get(k)) for k in summed},
            {k: x[k] for k in unsummed if k in x},
            {k: u[k] for k in unsummed},
            {k: self.computed(v) for k, v in self.all_coefficients().items()},
            noise,
        )
        new = [*new, *history]
        return new[0], new if nested else new[0]

    def _with_biases(self, x):
        """The inputs' part of the gates with their biases, and those of the other."""
        bias = self.bias
        if bias is not None:
            bias = self.computed(ops.convert_to_tensor(bias))
        if self.normalization:
            tensors = {} if bias is None else {"bias": bias}
            tensors |= {
                k: self.computed(ops.convert_to_tensor(getattr(self, k)))
                for k in self.normalization.tensors
            }
            return self.normalization.inputs(x, tensors, {}), {}
        of_inputs, of_products = self.biases_by_gate(bias)
        x = {k: v + of_inputs[k] if k in of_inputs else v for k, v in x.items()}
        return x, of_products

    @contextlib.contextmanager
    def masks(
        self, batch_size: Any, drawn: dict[str, Any] | None = None
    ) -> Iterator[None]:
        """Holds one draw of the masks for all steps taken inside.

        Wrap a hand-written training loop over `cell(x_t, states, training=True)` in
        it; `keras_rnnx.layers.RNN` does. Masks that are drawn for every step are drawn
        at every call.

        Args:
            batch_size: number of sequences in the batch.
            drawn: masks to hold, as `cell.noise.draw` returns them; those of every step
                then come with the inputs (`cell.noise.beside`). Default: a new draw.
        """
        own = drawn is None
        drawn = self.noise.draw(batch_size, 1) if own else drawn
        self._masks = {k: v for k, v in drawn.items() if k not in self.noise.by_step}
        self._each_step = batch_size if own else None
        try:
            yield
        finally:
            self._masks = None

    def _current_masks(self, inputs, training):
        """The inputs of a step, and its masks by name."""
        if not self.noise.on(training):
            return inputs, {}
        if self._masks is None:
            rates = [name for name in MASKS if getattr(self, name)]
            rates += ["zoneout"] * any(self.zoneout_rates)
            given = ", ".join(f"{name}={getattr(self, name)}" for name in rates)
            raise ValueError(
                f"{type(self).__name__} with {given} was called for a training "
                f"step outside of a sequence, so there is no mask to keep from step to "
                f"step. Use keras_rnnx.layers.RNN (which takes all that "
                f"keras.layers.RNN takes), or step inside `with cell.masks(batch):`."
            )
        names = self.noise.by_step
        if self._each_step is None:
            inputs, drawn = self.noise.apart(inputs)
            return inputs, self._masks | drawn
        drawn = self.noise.draw(self._each_step, 1) if names else {}
        return inputs, self._masks | {name: drawn[name][:, 0] for name in names}


def _sum(x, u):
    return u if x is None else x if u is None else x + u
