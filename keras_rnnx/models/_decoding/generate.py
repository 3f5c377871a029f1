"""Text from a language model, token by token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_rnnx import _numbers
from keras_rnnx.models._one_step.stepper import Stepper


def generate(
    model: keras.Model | Stepper,
    prompt: Any,
    steps: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
) -> np.ndarray:
    """Continues texts: draws token after token as a language model predicts it.

    States are carried, so that each token is one step of the model, compiled on
    TensorFlow and JAX. Prompts may differ in length: each text goes on where its prompt
    ends. Every text has random numbers of its own, by its place in the batch, so that
    it does not depend on the other texts.

    Args:
        model: a model from tokens `(batch, steps)` to logits of the next, as
            `keras_rnnx.models.language_model`, or a `keras_rnnx.models.stepper` of one,
            which is compiled once for many calls.
        prompt: tokens `(length,)`, `(batch, length)`, or a list of arrays of any
            lengths of one token or more.
        steps: number of tokens to write.
        temperature: logits are divided by it: below 1 likely tokens become more likely.
            0 takes the most likely. Default 1.
        top_k: None, or the number of most likely tokens to draw from. Default None.
        top_p: None, or a probability: tokens are drawn from the fewest that have it
            together (nucleus sampling: Holtzman et al. 2020, arXiv:1904.09751), after
            `temperature` and `top_k`. Default None.
        seed: integer seed of the draws. Default None: random.

    Returns:
        Tokens, int32, `(batch, steps)`, or `(steps,)` for one prompt, without the
        prompt. Token 0 is not among them where the model masks it as padding.

    Raises:
        ValueError: for an argument out of range, an empty prompt, or a model that
            cannot run step by step.

    Example:

    >>> model = keras_rnnx.models.language_model(20, units=8)
    >>> keras_rnnx.models.generate(model, [[1, 2, 3], [4]], steps=5, seed=0).shape
    (2, 5)
    """
    steps = _numbers.integer("steps", steps, 1)
    temperature = _numbers.number("temperature", temperature)
    if temperature < 0:
        raise ValueError(f"`temperature` must not be negative, received {temperature}.")
    top_k = None if top_k is None else _numbers.integer("top_k", top_k, 1)
    if top_p is not None and not 0 < _numbers.number("top_p", top_p) <= 1:
        raise ValueError(f"`top_p` must be in (0, 1], received {top_p!r}.")
    seed = _numbers.seed("seed", seed)
    prompts, alone = _prompts(prompt)
    stream = model if isinstance(model, Stepper) else Stepper(model, len(prompts))
    if stream.batch_size != len(prompts):
        raise ValueError(
            f"The stepper goes on with {stream.batch_size} sequences, received "
            f"{len(prompts)} prompts. Make it with batch_size={len(prompts)}."
        )
    # A model that masks token 0 takes it for padding.
    layers = stream.source.layers
    padding = any(getattr(layer, "mask_zero", False) for layer in layers)
    entropy = np.random.SeedSequence(seed).entropy
    draws = [np.random.default_rng([entropy, row]) for row in range(len(prompts))]
    lengths = np.array([len(row) for row in prompts])
    written = np.zeros((len(prompts), lengths.max() + steps), "int32")
    for row, tokens in zip(written, prompts):
        row[: len(tokens)] = tokens
    states = stream.init()
    for t in range(written.shape[1] - 1):
        logits, states = stream.step(written[:, t], states)
        writing = (t + 1 >= lengths) & (t + 1 < lengths + steps)
        if not writing.any():
            continue
        logits = keras.ops.convert_to_numpy(logits).astype("float64")
        if padding:
            logits[:, 0] = -np.inf
        for row in np.flatnonzero(writing):
            written[row, t + 1] = _token(
                logits[row], temperature, top_k, top_p, draws[row]
            )
    texts = np.stack([row[n : n + steps] for row, n in zip(written, lengths)])
    return texts[0] if alone else texts


def _token(
    logits: np.ndarray,
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    draw: np.random.Generator,
) -> int:
    if not temperature:
        return int(np.argmax(logits))
    p = probabilities(logits, temperature, top_k, top_p)
    return int(np.searchsorted(np.cumsum(p), draw.random() * p.sum(), side="right"))


def probabilities(
    logits: np.ndarray, temperature: float, top_k: int | None, top_p: float | None
) -> np.ndarray:
    """The probabilities with which one token is drawn.

    Args:
        logits: of all tokens, `(vocabulary,)`.
        temperature, top_k, top_p: as for `generate`, with a positive temperature.
    """
    order = np.argsort(-logits, kind="stable")
    ranked = np.exp((logits[order] - logits[order[0]]) / temperature)
    if top_k is not None:
        ranked[top_k:] = 0
    ranked /= ranked.sum()
    if top_p is not None:
        # Drops a token if the likelier ones have the probability `top_p` already.
        ranked[np.cumsum(ranked) - ranked >= top_p] = 0
        ranked /= ranked.sum()
    p = np.empty_like(ranked)
    p[order] = ranked
    return p


def _prompts(prompt: Any) -> tuple[list[np.ndarray], bool]:
    alone = (
        np.ndim(prompt[0]) == 0
        if isinstance(prompt, Sequence) and prompt
        else (np.ndim(prompt) == 1)
    )
    rows = [np.asarray(row) for row in ([prompt] if alone else prompt)]
    for n, row in enumerate(rows):
        if row.ndim != 1 or not len(row) or row.dtype.kind not in "iu":
            raise ValueError(
                f"A prompt is one token or more, integers (length,); row {n} of "
                f"`prompt` has shape {row.shape} and dtype {row.dtype}."
            )
    if not rows:
        raise ValueError("`prompt` holds no prompt.")
    return rows, alone
