"""Programs outside of the package, in docs/ and examples/, as modules."""

import importlib.util


def load(path):
    """A file outside of the package, as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
