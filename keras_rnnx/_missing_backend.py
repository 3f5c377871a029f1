"""The message if Keras has no backend to run on."""

from __future__ import annotations

import importlib.util
import os
import pathlib
import sys

# The modules that Keras imports, with their common names.
BACKENDS = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "torch"}


def explanation(error: ImportError) -> str | None:
    """One sentence about what to install or to set.

    Args:
        error: the error of `import keras`.

    Returns:
        The sentence; None if something else than a backend is missing.
    """
    missing = (error.name or "").partition(".")[0]
    if missing not in BACKENDS or importlib.util.find_spec(missing):
        return None
    there = [name for name in BACKENDS if importlib.util.find_spec(name)]
    if not there:
        extras = [f'pip install "keras-rnnx[{name}]"' for name in BACKENDS]
        return (
            f"Keras needs a backend, but none is installed: "
            f"{', '.join(extras[:-1])} or {extras[-1]}."
        )
    asked = os.environ.get("KERAS_BACKEND")
    by = f"KERAS_BACKEND={asked}" if asked else "the default backend of Keras"
    return (
        f"Keras would run on {BACKENDS[missing]} ({by}), which is not installed: set "
        f"the environment variable KERAS_BACKEND={there[0]} before Keras is imported, "
        f'or pip install "keras-rnnx[{missing}]".'
    )


def is_command() -> bool:
    """Whether this process is the command `keras-rnnx`, or `python -m keras_rnnx`."""
    script = pathlib.Path(sys.argv[0]).stem if sys.argv else ""
    module = "-m" in sys.orig_argv and sys.orig_argv[sys.orig_argv.index("-m") + 1 :]
    return script == "keras-rnnx" or (module or [""])[0] == "keras_rnnx"
