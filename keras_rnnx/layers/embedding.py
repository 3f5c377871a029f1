"""Word vectors with dropout of whole words, which can score words too."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_rnnx import _numbers
from keras_rnnx.cells._base import arguments


@keras.saving.register_keras_serializable("keras_rnnx")
class Embedding(keras.layers.Embedding):
    """`keras.layers.Embedding` with dropout of words, and with tied scores.

    In training the layer drops whole words (rows of the embedding matrix) for a batch,
    at all their positions, and divides the other rows by the share that is kept. Gal &
    Ghahramani 2016, arXiv:1512.05287; Merity, Keskar & Socher 2017, arXiv:1708.02182.

    Called with `reverse=True` it goes from vectors back to words, with the same matrix
    without dropout: the tied softmax of Press & Wolf 2017, arXiv:1608.05859, and of
    Inan, Khosravi & Socher 2017, arXiv:1611.01462.

    Args:
        input_dim: size of the vocabulary.
        output_dim: size of a vector.
        embedding_dropout: rate in [0, 1) at which words are dropped. Default 0.
        reverse_bias: whether `reverse=True` adds a bias for each word, which starts at
            zero. Default False.
        seed: integer seed of the dropout. Default None: random.
        **kwargs: arguments of `keras.layers.Embedding`: `mask_zero`,
            `embeddings_initializer` and others.

    Call arguments:
        inputs: integers of any shape; with `reverse`, vectors `(..., output_dim)`.
        reverse: whether to return scores of words. Default False.
        training: whether dropout is on. Default False.

    Returns:
        Vectors `(..., output_dim)`, or with `reverse` scores (logits)
        `(..., input_dim)`.

    Raises:
        ValueError: for a rate or a seed out of range; with `reverse`, for vectors of
            another width.

    Example:

    >>> embedding = keras_rnnx.layers.Embedding(10, 4, embedding_dropout=0.1)
    >>> vectors = embedding(np.array([[1, 2, 3]]))
    >>> embedding(vectors, reverse=True).shape
    (1, 3, 10)
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embedding_dropout: float = 0.0,
        reverse_bias: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ):
        self.embedding_dropout = arguments.rate("embedding_dropout", embedding_dropout)
        self.reverse_bias = bool(reverse_bias)
        self.seed = _numbers.seed("seed", seed)
        super().__init__(input_dim, output_dim, **kwargs)
        self.seed_generator = keras.random.SeedGenerator(seed)
        # A separate layer: Keras' class saves only its matrix.
        self._offset = None
        if self.reverse_bias:
            self._offset = _Offset(name="reverse_bias", dtype=self.dtype_policy)
        self._reversed = False

    def build(self, input_shape: tuple[int | None, ...] | None = None) -> None:
        if self.built:
            return
        super().build(input_shape)
        if self._offset is not None:
            self._offset.build((self.input_dim,))

    def call(self, inputs: Any, reverse: bool = False, training: bool = False) -> Any:
        # For `compute_mask`: Keras calls it next, without this argument.
        self._reversed = bool(reverse)
        if reverse:
            return self._scores(inputs)
        vectors = super().call(inputs)
        if not training or not self.embedding_dropout:
            return vectors
        ones = ops.ones((self.input_dim,), vectors.dtype)
        kept = keras.random.dropout(
            ones, self.embedding_dropout, seed=self.seed_generator
        )
        return vectors * ops.expand_dims(ops.take(kept, ops.cast(inputs, "int32")), -1)

    def _check_vectors(self, shape: tuple[int | None, ...]) -> None:
        if not shape or shape[-1] not in (None, self.output_dim):
            raise ValueError(
                f"{self.name}: with reverse=True inputs are vectors of the width "
                f"output_dim={self.output_dim}, received shape {tuple(shape)}."
            )

    def _scores(self, vectors: Any) -> Any:
        self._check_vectors(vectors.shape)
        vectors = ops.cast(vectors, self.compute_dtype)
        matrix = ops.cast(self.embeddings, self.compute_dtype)
        scores = ops.matmul(vectors, ops.transpose(matrix))
        return scores if self._offset is None else self._offset(scores)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return mask if self._reversed else super().compute_mask(inputs)

    def compute_output_spec(
        self, inputs: Any, reverse: bool = False, training: bool = False
    ) -> keras.KerasTensor:
        self._reversed = bool(reverse)
        if reverse:
            self._check_vectors(inputs.shape)
        shape = (
            (*inputs.shape[:-1], self.input_dim)
            if reverse
            else (*inputs.shape, self.output_dim)
        )
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        config = {
            "embedding_dropout": self.embedding_dropout,
            "reverse_bias": self.reverse_bias,
            "seed": self.seed,
        }
        return {**super().get_config(), **config}


class _Offset(keras.layers.Layer):
    """Adds a number to each feature."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        shape = (input_shape[-1],)
        self.bias = self.add_weight(shape=shape, name="bias", initializer="zeros")
        self.built = True

    def call(self, inputs: Any) -> Any:
        return inputs + self.bias
