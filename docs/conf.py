"""Sphinx: the documentation site, built by `make docs`."""

from __future__ import annotations

import pathlib
import sys

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))
sys.path.insert(0, str(HERE.parent))

from keras_rnnx import __version__  # noqa: E402

project = "keras_rnnx"
author = "The keras_rnnx authors"
copyright = author
version = release = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    # Ours, in docs/_ext.
    "code_host_math",
    "markdown_docstrings",
]
root_doc = "index"
# Drafts: notebooks that have not run within three minutes yet.
exclude_patterns = ["_build", "_ext", "_templates"]
templates_path = ["_templates"]
# Names in docstrings stand in single backticks: they are links where they can be.
default_role = "py:obj"
# Attributes of several classes have one name, such as `steps`: no link is made then.
suppress_warnings = ["ref.python"]

# --- Markdown ---
myst_enable_extensions = ["dollarmath", "amsmath", "fieldlist"]
myst_heading_anchors = 3
myst_fence_as_directive = ["math"]

# --- tutorials: they run once, and again where their text has changed ---
nb_execution_mode = "cache"
nb_execution_cache_path = str(HERE / "_build" / "notebooks")
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_merge_streams = True

# --- API ---
autosummary_generate = True
autosummary_ignore_module_all = False
autosummary_imported_members = True
autodoc_typehints = "none"  # The signature of a layer has fifty of them.
autodoc_inherit_docstrings = False
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
napoleon_custom_sections = [("Call arguments", "params_style")]

# --- HTML ---
html_theme = "furo"
html_title = "keras_rnnx"
html_static_path = ["_static", "images"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
linkcheck_ignore = [r"https://arxiv\.org/.*"]


def _with_pages(app, docname, source):
    """Adds the pages of the cells to their index, which code hosts read without."""
    if docname == "cells/README":
        source[0] += "\n```{toctree}\n:hidden:\n:glob:\n\n*\n```\n"


def setup(app):
    """Connects it."""
    app.connect("source-read", _with_pages)
