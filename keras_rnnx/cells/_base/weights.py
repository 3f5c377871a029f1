"""The weights of a cell."""

from __future__ import annotations

import keras
from keras import ops

from keras_rnnx.cells._base import equation_check
from keras_rnnx.cells._base.binding import bound


class Building:
    """The part of a `Cell` that makes its weights, and refuses what fits none."""

    def build(self, input_shape):
        self._check_recurrent()
        self.state_size = self.state_size_for(input_shape[-1])
        self._build_kernels(input_shape[-1])
        self.bias = self._build_bias()
        for name in self.vectors:
            self.build_vector(name)
        self.built = True
        called = equation_check.check(self)
        equation_check.check_lowering(self, input_shape[-1])
        if self.update_dropout and "drop" not in called:
            raise ValueError(
                f"update_dropout={self.update_dropout} drops what a gate writes anew "
                f"to the state, and {type(self).__name__} does not tell it from what "
                f"it keeps: its equation does not call `gate.drop`. zoneout or "
                f"recurrent_dropout fit any cell."
            )
        if self.normalization:
            self.normalization.build(called["norm"])

    def _check_recurrent(self):
        """Refuses what is about a recurrent matrix where there is none."""
        owner = type(self).__name__
        whole = tuple(k for k in self.gates if k not in self.projection)
        if self.normalization and not (self.projected == self.multiplied == whole):
            raise ValueError(
                f"{self.normalization.argument}=True normalizes both parts of every "
                f"gate, and {owner} has gates of one part. Normalize its inputs in a "
                f"layer before it."
            )
        if self.multiplied:
            return
        names = ["weight_dropout"]
        if not self.diagonal:
            names += ["recurrent_dropout", "recurrent_regularizer"]
            names += ["recurrent_constraint"]
            # One of Keras is there by default.
            if hasattr(self.recurrent_initializer, "bind"):
                names += ["recurrent_initializer"]
        for name in names:
            if getattr(self, name):
                has = "has one recurrent weight for each unit" * self.diagonal
                raise ValueError(
                    f"{name}={getattr(self, name)!r} is about a recurrent matrix, and "
                    f"{owner} {has or 'multiplies its state by none'}. Leave it out; "
                    f"zoneout fits every cell."
                )
        if self.gradient_flow:
            raise ValueError(
                f"GradientFlow is about a recurrent matrix, and {owner} has none."
            )

    def _build_kernels(self, features):
        self.kernel = self._weight(
            "kernel", (self.window * features, len(self.projected) * self.units)
        )
        width = len(self.gates_of("recurrent_kernel")) * self.units
        self.recurrent_kernel = None
        if width:
            shape = (width,) if self.diagonal else (self.output_size, width)
            self.recurrent_kernel = self._weight("recurrent_kernel", shape)
        self.projection_kernel = None
        if self.projection:
            shape = (self.units, len(self.projection) * self.output_size)
            self.projection_kernel = self._weight("projection_kernel", shape)

    def _weight(self, name, shape):
        prefix = name.removesuffix("_kernel")
        return self.add_weight(
            shape=shape,
            name=name,
            **{
                kind: bound(getattr(self, f"{prefix}_{kind}"), self, name)
                for kind in ("initializer", "regularizer", "constraint")
            },
        )

    def _build_bias(self):
        if not self.use_bias and hasattr(self.bias_initializer, "bind"):
            raise ValueError(
                f"{type(self).__name__} received bias_initializer="
                f"{type(self.bias_initializer).__name__}(...) together with "
                f"use_bias=False, so there is no bias to initialize. Pass one of them."
            )
        if not self.use_bias or not self.biased:
            return None
        width = len(self.biased) * self.units
        return self.add_weight(
            shape=(2, width) if self.recurrent_bias else (width,),
            name="bias",
            initializer=self._bias_initializer(),
            regularizer=bound(self.bias_regularizer, self, "bias"),
            constraint=bound(self.bias_constraint, self, "bias"),
        )

    def _bias_initializer(self):
        # One that knows the gates decides for all of them.
        made = bound(self.bias_initializer, self, "bias")
        if made is not self.bias_initializer:
            return made
        blocks = [self.gate_bias_initializer(gate) for gate in self.biased]
        if all(block is self.bias_initializer for block in blocks):
            return self.bias_initializer

        def initializer(shape, dtype=None):
            shape = (*shape[:-1], self.units)
            parts = [keras.initializers.get(b)(shape, dtype=dtype) for b in blocks]
            return ops.concatenate(parts, axis=-1)

        return initializer
