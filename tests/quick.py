"""Compilers that take little time: most tests run what they compile once."""

import importlib.metadata
import os

# One emitter of code for each fusion takes half of a compilation. Without it XLA takes
# the one that it had before.
_EMITTERS = "xla_cpu_use_fusion_emitters"


def environment():
    """What backends read from the environment, where it does not say it already."""
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    wanted = {
        # There is a process for each core: torch's threads would spin and wait.
        "OMP_NUM_THREADS": "1",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
    }
    if backend == "tensorflow":
        wanted["XLA_FLAGS"] = "--xla_backend_optimization_level=0"
    elif backend == "jax" and _known():
        wanted["XLA_FLAGS"] = f"--{_EMITTERS}=false"
    return {name: os.environ.get(name, value) for name, value in wanted.items()}


def _known():
    """Whether jaxlib has the flag: XLA ends the process over an unknown one."""
    try:
        version = importlib.metadata.version("jaxlib")
    except importlib.metadata.PackageNotFoundError:
        return False
    # 0.12 has it no more; in 0.11 nobody has looked.
    return tuple(map(int, version.split(".")[:2])) < (0, 11)
