"""The layer that runs a cell over sequences."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
from keras import ops

from keras_rnnx._changes import CountsChanges
from keras_rnnx.cells import Cell
from keras_rnnx.cells._base.masks import stream_seed
from keras_rnnx.cells._base.tensors import DrawnMasks
from keras_rnnx.engine import masks
from keras_rnnx.engine.engines import TABLE
from keras_rnnx.engine.plan import KeptPlans, may_leave_xla
from keras_rnnx.engine.sequence import SequenceEngine
from keras_rnnx.layers import _eager_call, checks
from keras_rnnx.layers.initial_state import InitialState
from keras_rnnx.layers.regularized_outputs import RegularizedOutputs


@keras.saving.register_keras_serializable("keras_rnnx")
class RNN(CountsChanges, RegularizedOutputs, keras.layers.RNN):
    """Runs a recurrent cell over sequences, as `keras.layers.RNN` does, but faster.

    Cells of `keras_rnnx` run on the fastest engine that can compute them exactly. Any
    other Keras cell, or a list of cells, runs in Keras' own loop.

    Args:
        cell: a cell, or a list of cells to stack.
        return_sequences: whether to return the output of every step, or the last.
            Default False.
        return_state: whether to return the last states too. Default False.
        go_backwards: whether to read the sequence from its end. Default False.
        stateful: whether each batch starts from the last states of the one before.
            `keras_rnnx.callbacks.TruncatedBPTT` trains so. Default False.
        unroll: whether to write the loop out; the number of steps must be fixed.
            Default False.
        zero_output_for_mask: whether the output of a masked step is zero instead of
            the last output. Default False.
        use_cudnn: "auto": use cuDNN if it is available and can compute the cell; True:
            raise a ValueError with the reason if it cannot; False: never. Default
            "auto".
        checkpoint: None, True, or a number of steps. Training then keeps only the
            states after each segment of so many steps, and computes the segments again
            in the backward pass: less memory for about a third more time. True:
            segments of about the square root of the number of steps, which needs the
            least memory. Default None.
        initial_state_trainable: whether the initial states are learned. They are used
            if the call passes none. States that cannot start at any number (counts of
            steps, normalizers, a window of inputs) stay zero, with noise too. Default
            False: zeros.
        initial_state_initializer: of the learned states. Default "zeros".
        initial_state_noise: standard deviation of normal noise on the initial states
            in training, so that a network does not rely on one start. Default 0.
        activity_regularizer: a Keras regularizer, or a list of them. Regularizers of
            `keras_rnnx.regularizers` that read the outputs of all steps leave out
            masked steps and returned states. Default None.
        **kwargs: arguments of `keras.layers.Layer`.

    Call arguments:
        sequences: `(batch, time, features)`.
        initial_state: list of initial states, each `(batch, units)`. Default: zeros.
        mask: boolean `(batch, time)`, any pattern; False marks steps to skip.
        training: whether dropout is on. Default False.

    Raises:
        ValueError: for an unknown argument, a wrong rank, mask or state list; for
            `checkpoint` together with `unroll`, or if Keras' loop has to run; for
            learned or noisy initial states of a stateful layer; for an activity
            regularizer of all steps with `return_sequences=False`.

    Example:

    >>> layer = keras_rnnx.layers.RNN(keras_rnnx.cells.LSTMCell(8))
    >>> layer(np.ones((2, 5, 3), "float32")).shape
    (2, 8)
    """

    def __init__(
        self,
        cell: Any,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        zero_output_for_mask: bool = False,
        use_cudnn: bool | str = "auto",
        checkpoint: bool | int | None = None,
        initial_state_trainable: bool = False,
        initial_state_initializer: Any = "zeros",
        initial_state_noise: float = 0.0,
        activity_regularizer: Any = None,
        **kwargs: Any,
    ):
        checks.cell(cell)
        super().__init__(
            cell,
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            unroll=unroll,
            zero_output_for_mask=zero_output_for_mask,
            **kwargs,
        )
        # Keras 3.16 sets it to False, and would pass no mask on.
        self.supports_masking = True
        self.use_cudnn = checks.use_cudnn(use_cudnn)
        self.checkpoint = checks.checkpoint(checkpoint, unroll)
        self.activity_regularizer = activity_regularizer
        checks.activity_regularizer(self)
        self.steps_declared = False
        self._engines: dict[tuple, SequenceEngine] = {}
        self._plans = KeptPlans(self)
        self._initial_state = InitialState(
            self,
            initial_state_trainable,
            initial_state_initializer,
            initial_state_noise,
        )
        # `Bidirectional` gives both directions one config.
        stream = int(self.go_backwards)
        if initial_state_noise and not isinstance(self.cell, Cell):
            seeds = [inner.seed for inner in self._cells if inner.seed is not None]
            # Other numbers than those of the masks of the first cell.
            seed = stream_seed(seeds[0], 2 + stream) if seeds else None
            self.seed_generator = keras.random.SeedGenerator(seed)
        if stream:
            for inner in self._cells:
                inner.random_masks.reseed(stream)

    @property
    def _cells(self) -> list[Cell]:
        """The cell, or the cells of a list; only cells of keras_rnnx."""
        if isinstance(self.cell, Cell):
            return [self.cell]
        cells = getattr(self.cell, "cells", [])
        return [inner for inner in cells if isinstance(inner, Cell)]

    def build(
        self, sequences_shape: tuple[int | None, ...], initial_state_shape: Any = None
    ) -> None:
        # Other cells may take more than one sequence, or inputs of any shape.
        if isinstance(self.cell, Cell):
            checks.sequences_shape(self, sequences_shape)
        for inner in self._cells:
            inner.sequence_length = sequences_shape[1]
        # `Input((steps, features))` leaves the batch size open but may fix the number
        # of steps. A layer that is built by its first call sees both, which tells
        # nothing about later calls.
        batch, steps = sequences_shape[:2]
        self.steps_declared = batch is None and steps is not None
        super().build(sequences_shape, initial_state_shape)
        # The width of a window is known now.
        self.state_size = self._state_sizes(sequences_shape)
        self._initial_state.build()

    def _state_sizes(self, sequences_shape: tuple[int | None, ...]) -> list[Any]:
        """The `state_size` of the layer once it is built for sequences of a shape."""
        if all(cell.window == 1 for cell in self._cells):
            return self.state_size
        features, sizes = sequences_shape[-1], []
        for cell in getattr(self.cell, "cells", [self.cell]):
            ours = isinstance(cell, Cell)
            sizes.append(cell.state_size_for(features) if ours else cell.state_size)
            size = keras.tree.flatten(sizes[-1])[0]
            features = getattr(cell, "output_size", None) or size
        return sizes[0] if isinstance(self.cell, Cell) else sizes

    def compute_output_shape(
        self, sequences_shape: tuple[int | None, ...], initial_state_shape: Any = None
    ) -> tuple[Any, ...]:
        shapes = super().compute_output_shape(sequences_shape, initial_state_shape)
        if not self.return_state:
            return shapes
        batch = sequences_shape[0]
        sizes = self._state_sizes(sequences_shape)
        return shapes[0], *(
            [(batch, n) for n in size]
            if isinstance(size, (list, tuple))
            else (batch, size)
            for size in sizes
        )

    def get_initial_state(self, batch_size: Any) -> list[Any]:
        return self._initial_state.of(super().get_initial_state(batch_size))

    def first_states(self, batch_size: Any, training: Any = False) -> list[Any]:
        """The states that a call without `initial_state` starts from.

        Args:
            batch_size: number of sequences.
            training: whether to add noise. Default False.

        Returns:
            The kept states of a stateful layer; else zeros or the learned states, with
            noise in training.
        """
        if self.stateful:
            return keras.tree.flatten(self.states)
        states = self.get_initial_state(batch_size)
        noisy = training and self._initial_state.noise
        return self._initial_state.noisy(states) if noisy else states

    def call(
        self,
        sequences: Any,
        initial_state: Any = None,
        mask: Any = None,
        training: bool = False,
    ) -> Any:
        checks.call_arguments(self, sequences, initial_state, mask)
        if initial_state is None and training and self._initial_state.noise:
            initial_state = self.first_states(ops.shape(sequences)[0], training)
        self._tell_regularizer(mask)
        if isinstance(self.cell, Cell) and _eager_call.takes(self, sequences):
            return _eager_call.call(self, sequences, initial_state, mask, training)
        # Around Keras' whole call, which also steps a stack of cells once in advance.
        with self._masks_of_stack(sequences, training):
            return super().call(
                sequences, initial_state=initial_state, mask=mask, training=training
            )

    @contextlib.contextmanager
    def _masks_of_stack(self, sequences: Any, training: bool) -> Iterator[None]:
        """Gives their masks to the cells of a list, which Keras' loop runs."""
        cells = [] if isinstance(self.cell, Cell) else self._cells
        drawing = [cell for cell in cells if cell.random_masks.on(training)]
        for cell in drawing:
            if by_step := cell.random_masks.by_step:
                kinds = ", ".join(mask.label for mask in by_step)
                raise ValueError(
                    f"{type(cell).__name__} in layer {self.name!r} draws masks at "
                    f"every step ({kinds}), which a stack of cells cannot pass on. "
                    f"Stack layers instead: keras_rnnx.layers.Stack."
                )
        with contextlib.ExitStack() as stack:
            if drawing:
                batch, steps = ops.shape(keras.tree.flatten(sequences)[0])[:2]
                for cell in drawing:
                    drawn = cell.random_masks.draw(batch, steps)
                    stack.enter_context(cell.masks(batch, drawn))
            yield

    @property
    def variables(self) -> list[keras.Variable]:
        """All variables; on JAX with the states of a stateful layer.

        These states are not weights: weights files do not contain them.
        """
        variables = super().variables
        if self.stateful and keras.backend.backend() == "jax":
            # In a step of `fit` on JAX, Keras keeps assignments only to variables that
            # are listed here. Other backends assign states in place.
            variables = [*variables, *keras.tree.flatten(self.states or [])]
        return variables

    def reset_state(self) -> None:
        """Sets the states of a stateful layer to zero."""
        # Keras' method does not handle a list of cells, whose states are nested lists.
        for state in keras.tree.flatten(self.states or []):
            state.assign(ops.zeros(state.shape, state.dtype))

    @property
    def supports_jit(self) -> bool:
        """Whether Keras may compile a model with this layer by XLA."""
        return self._supports_jit and not may_leave_xla(self)

    @supports_jit.setter
    def supports_jit(self, value: bool) -> None:
        self._supports_jit = value

    def inner_loop(
        self, sequences: Any, initial_state: Any, mask: Any, training: bool = False
    ) -> tuple[Any, Any, Any]:
        if keras.tree.is_nested(mask):
            mask = mask[0]
        if mask is not None:
            sequences = masks.mask_inputs(sequences, mask)
        if self.stateful and _eager_call.keeps_states():
            # The next call overwrites them in place, before the backward pass.
            initial_state = keras.tree.map_structure(ops.copy, initial_state)
        engine = self._plans(training, sequences.shape[0]).engine
        in_segments = training and self.checkpoint is not None
        if engine == "step" or self.unroll or in_segments:
            checks.exported_steps(self, sequences, self.steps_declared)
        drawn = DrawnMasks()
        if draws := isinstance(self.cell, Cell) and self.cell.random_masks.on(training):
            drawn = self.cell.random_masks.draw(*ops.shape(sequences)[:2])
        if engine == "step":
            held = drawn if draws else None
            return self._step_loop(sequences, initial_state, mask, training, held)
        # `Bidirectional` sets attributes of its layers after they were made.
        options = self.go_backwards, self.unroll, self.checkpoint
        key = (engine, *options)
        if key not in self._engines:
            make: Any = TABLE[engine].make
            self._engines[key] = make(self.cell, *options)
        return self._engines[key](
            sequences,
            initial_state,
            mask,
            drawn,
            return_sequences=self.return_sequences,
            zero_output_for_mask=self.zero_output_for_mask,
            training=training,
        )

    def _step_loop(
        self,
        sequences: Any,
        initial_state: Any,
        mask: Any,
        training: bool,
        drawn: DrawnMasks | None,
    ) -> tuple[Any, Any, Any]:
        held = contextlib.nullcontext()
        if isinstance(self.cell, Cell):
            # The cell may compute in a higher precision than the layer.
            sequences = ops.cast(sequences, self.cell.compute_dtype)
        if drawn is not None:
            held = self.cell.masks(ops.shape(sequences)[0], drawn)
            sequences = self.cell.random_masks.joined(sequences, drawn)
        with held:
            last, outputs, states = super().inner_loop(
                sequences, initial_state, mask=mask, training=training
            )
        if mask is not None and keras.backend.backend() == "jax":
            # Before the first valid step, Keras outputs the initial state on JAX, and
            # zeros on other backends.
            mask = masks.column(mask)
            mask = ops.flip(mask, axis=1) if self.go_backwards else mask
            last = masks.mask_last(last, mask, self.zero_output_for_mask)
            outputs = masks.mask_outputs(outputs, mask, self.zero_output_for_mask)
        return last, outputs, states

    def get_config(self) -> dict[str, Any]:
        start = self._initial_state
        config = {
            "use_cudnn": self.use_cudnn,
            "checkpoint": self.checkpoint,
            "initial_state_trainable": start.trainable,
            "initial_state_initializer": keras.initializers.serialize(
                start.initializer
            ),
            "initial_state_noise": start.noise,
        }
        return {**super().get_config(), **config}
