"""Without the messages that nobody can do anything about."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the messages that KerasTuner causes and a user can do nothing about."""
    ignored = [
        (r"(currentThread|getName)\(\) is deprecated", DeprecationWarning),
        # A checkpoint holds weights, and its optimizer is not needed any more.
        ("Skipping variable loading for optimizer", UserWarning),
    ]
    logger = logging.getLogger("tensorflow")
    # Each trial has a model of its own, so each is traced.
    logger.addFilter(_not_retracing)
    try:
        with warnings.catch_warnings():
            for message, category in ignored:
                warnings.filterwarnings("ignore", message, category)
            yield
    finally:
        logger.removeFilter(_not_retracing)


def _not_retracing(record):
    return "triggered tf.function retracing" not in record.getMessage()
