"""Hides messages of KerasTuner and TensorFlow that users cannot act on."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hides messages that KerasTuner causes and users cannot act on."""
    ignored = [
        (r"(currentThread|getName)\(\) is deprecated", DeprecationWarning),
        # A checkpoint holds weights; its optimizer is not needed any more.
        ("Skipping variable loading for optimizer", UserWarning),
    ]
    logger = logging.getLogger("tensorflow")
    # Each trial has its own model, so each is traced.
    logger.addFilter(_not_retracing)
    try:
        with warnings.catch_warnings():
            for message, category in ignored:
                warnings.filterwarnings("ignore", message, category)
            yield
    finally:
        logger.removeFilter(_not_retracing)


def _not_retracing(record: logging.LogRecord) -> bool:
    return "triggered tf.function retracing" not in record.getMessage()
