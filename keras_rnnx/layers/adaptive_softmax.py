"""A softmax over a large vocabulary, in clusters by frequency."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_rnnx._numbers import integer


@keras.saving.register_keras_serializable("keras_rnnx")
class AdaptiveSoftmax(keras.layers.Layer):
    """Log-probabilities of words in clusters; clusters of rare words are smaller.

    Words are ordered by frequency: 0 is the most frequent. The head scores the most
    frequent words and each cluster of rarer ones. A cluster scores its words from a
    projection of the inputs; the rarer its words, the narrower the projection. Grave et
    al. 2017, arXiv:1609.04309.

    Log-probabilities work as logits, since their softmax gives the probabilities. So
    `SparseCategoricalCrossentropy(from_logits=True)` and the metrics with
    `from_logits=True` accept them. The layer scores all words at each step. It saves
    weights and products, but does not skip clusters without a target in the batch.

    Args:
        classes: number of words.
        cutoffs: the words at which clusters begin, increasing. Default: after a tenth
            and after two fifths of the words.
        factor: the first projection is `factor` times narrower than the inputs, and
            each further one `factor` times narrower than the one before. Default 4.
        **kwargs: arguments of `keras.layers.Layer`; `dtype` is "float32" by default.

    Call arguments:
        inputs: `(..., features)`.

    Returns:
        Log-probabilities `(..., classes)`.

    Raises:
        ValueError: for cutoffs that do not increase or are out of range.

    Example:

    >>> layer = keras_rnnx.layers.AdaptiveSoftmax(1000, cutoffs=[50, 300])
    >>> y = layer(np.ones((2, 5, 32), "float32"))
    >>> y.shape, layer.count_params()  # 33000 without clusters
    ((2, 5, 1000), 5436)
    """

    def __init__(
        self,
        classes: int,
        cutoffs: Sequence[int] | None = None,
        factor: int = 4,
        **kwargs: Any,
    ):
        super().__init__(**{"dtype": "float32", **kwargs})
        self.classes = integer("classes", classes, 2)
        self.factor = integer("factor", factor, 1)
        if cutoffs is None:
            cutoffs = sorted({max(1, classes // 10), max(1, 2 * classes // 5)})
        self.cutoffs = [integer("cutoffs", cutoff, 1) for cutoff in cutoffs]
        bounds = [*self.cutoffs, self.classes]
        if not self.cutoffs or any(a >= b for a, b in zip(bounds, bounds[1:])):
            raise ValueError(
                f"`cutoffs` must be words at which clusters begin, which increase and "
                f"are less than classes={self.classes}; received {cutoffs!r}."
            )
        self.supports_masking = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        features = input_shape[-1]
        clusters = len(self.cutoffs)
        self.head = self.add_weight(
            shape=(features, self.cutoffs[0] + clusters), name="head"
        )
        self.bias = self.add_weight(
            shape=(self.cutoffs[0] + clusters,), initializer="zeros", name="bias"
        )
        self.projections, self.clusters = [], []
        for k, (first, end) in enumerate(
            zip(self.cutoffs, [*self.cutoffs[1:], self.classes])
        ):
            width = max(1, features // self.factor ** (k + 1))
            self.projections.append(
                self.add_weight(shape=(features, width), name=f"projection_{k}")
            )
            self.clusters.append(
                self.add_weight(shape=(width, end - first), name=f"cluster_{k}")
            )
        self.built = True

    def call(self, inputs: Any) -> Any:
        head = ops.log_softmax(ops.matmul(inputs, self.head) + self.bias)
        first = self.cutoffs[0]
        parts = [head[..., :first]]
        for k, (projection, cluster) in enumerate(zip(self.projections, self.clusters)):
            inner = ops.matmul(ops.matmul(inputs, projection), cluster)
            of_cluster = head[..., first + k : first + k + 1]
            parts.append(of_cluster + ops.log_softmax(inner))
        return ops.concatenate(parts, axis=-1)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """`(..., classes)`."""
        return (*input_shape[:-1], self.classes)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the layer."""
        return {
            **super().get_config(),
            "classes": self.classes,
            "cutoffs": list(self.cutoffs),
            "factor": self.factor,
        }
