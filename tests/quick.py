"""Compilers that take little time: most tests run what they compile once."""

import importlib.util
import mmap
import os
import pathlib

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
    elif backend == "jax" and _known(_EMITTERS):
        wanted["XLA_FLAGS"] = f"--{_EMITTERS}=false"
    return {name: os.environ.get(name, value) for name, value in wanted.items()}


def _known(flag):
    """Whether jaxlib has a flag: XLA ends the process over an unknown one."""
    spec = importlib.util.find_spec("jaxlib")
    places = map(pathlib.Path, spec.submodule_search_locations if spec else ())
    for library in (file for place in places for file in place.glob("libjax_common.*")):
        with (
            library.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text,
        ):
            return text.find(flag.encode()) >= 0
    return False
