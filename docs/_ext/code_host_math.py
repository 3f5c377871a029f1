r"""Formulas as code hosts write them, for Sphinx.

The pages are read on code hosts too, where dollars around backticks make a formula in
a line: here they become MyST's role `math`. All formulas become MathML, which browsers
draw without a script.
"""

from __future__ import annotations

import re

from docutils.nodes import SkipNode
from latex2mathml.converter import convert

_INLINE = re.compile(r"\$`([^`]+)`\$")
_ENVIRONMENT = re.compile(r"\\(begin|end)\{(\w+\*?)\}")


def mathml(formula: str, display: str = "inline") -> str:
    """A formula as MathML.

    Raises:
        ValueError: for an environment that would come out wrong.
    """
    # The converter calls it so.
    formula = formula.replace("{aligned}", "{split}")
    unknown = {name for _, name in _ENVIRONMENT.findall(formula)} - {"split", "cases"}
    if unknown:
        raise ValueError(f"docs/_ext/code_host_math.py does not know {unknown}.")
    return convert(formula, display=display)


def _as_role(app, docname, source):
    source[0] = _INLINE.sub(r"{math}`\1`", source[0])


def _inline(self, node):
    self.body.append(mathml(node.astext()))
    raise SkipNode


def _block(self, node):
    self.body.append('<div class="formula">')
    self.body.append(mathml(node.astext(), display="block"))
    self.body.append("</div>")
    raise SkipNode


def setup(app):
    """Registers both."""
    app.connect("source-read", _as_role)
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    app.config.html_math_renderer = "mathml"
    return {"parallel_read_safe": True, "parallel_write_safe": True}
