"""Numbers of steps drawn at random, for truncated backpropagation through time."""

from __future__ import annotations

import math

import numpy as np

from keras_rnnx._numbers import integer


class RandomSteps:
    """Random numbers of steps per batch: in each epoch batches begin elsewhere.

    A batch has about `steps` steps with probability `full`, and about half of them
    otherwise; normal noise is added. Merity, Keskar & Socher 2017,
    arXiv:1708.02182.

    The numbers are drawn once for a data set and come in a new order in each epoch, so
    that every epoch has as many batches, of the same shapes. JAX compiles a model once
    for each shape. Numbers are therefore rounded: with the defaults there
    are about ten. Batches are not padded: padded steps would count in means, in
    activity regularizers and in the time that training takes.

    Args:
        steps: the base number of steps. Default 70.
        full: the probability of `steps` instead of half of them. Default 0.95.
        deviation: standard deviation of the noise, in steps. Default 5.
        least: the smallest number of steps. Default 5.
        round_to: numbers are multiples of this; 1 draws as the paper does. Default 5.
        seed: seed of the numbers and of their order. Default 0.

    Raises:
        ValueError: for an argument out of range.

    Example:

    >>> steps = keras_rnnx.datasets.RandomSteps(70, seed=1)
    >>> lengths = steps.draw(1000)
    >>> sum(lengths), sorted(lengths) == sorted(steps.order(lengths, epoch=1))
    (1000, True)
    """

    def __init__(
        self,
        steps: int = 70,
        full: float = 0.95,
        deviation: float = 5.0,
        least: int = 5,
        round_to: int = 5,
        seed: int = 0,
    ):
        self.steps = integer("steps", steps, least=2)
        self.least = integer("least", least, least=1)
        self.round_to = integer("round_to", round_to, least=1)
        self.seed = integer("seed", seed, least=0)
        if not 0 <= full <= 1:
            raise ValueError(f"`full` is a probability, received {full!r}.")
        if not 0 <= deviation < math.inf:
            raise ValueError(
                f"`deviation` must be a number of at least 0, received {deviation!r}."
            )
        self.full = full
        self.deviation = deviation

    def draw(self, total: int) -> tuple[int, ...]:
        """Numbers of steps that add up to `total`; the last is what remains."""
        random = np.random.default_rng(self.seed)
        least = math.ceil(self.least / self.round_to) * self.round_to
        lengths: list[int] = []
        while (rest := total - sum(lengths)) > 0:
            base = self.steps if random.random() < self.full else self.steps / 2
            drawn = random.normal(base, self.deviation) / self.round_to
            lengths.append(min(rest, max(least, round(drawn) * self.round_to)))
        return tuple(lengths)

    def order(self, lengths: tuple[int, ...], epoch: int) -> tuple[int, ...]:
        """The numbers of steps in their order in an epoch."""
        random = np.random.default_rng((self.seed, epoch))
        shuffled = [lengths[i] for i in random.permutation(len(lengths))]
        # On TensorFlow, Keras takes the length as fixed if the first two are equal.
        other = next((i for i, n in enumerate(shuffled) if n != shuffled[0]), None)
        if other is not None:
            shuffled[1], shuffled[other] = shuffled[other], shuffled[1]
        return tuple(shuffled)

    def __repr__(self) -> str:
        names = ("steps", "full", "deviation", "least", "round_to", "seed")
        return f"RandomSteps({', '.join(f'{n}={getattr(self, n)}' for n in names)})"
