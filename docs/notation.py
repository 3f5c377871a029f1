r"""Equations of docstrings as TeX.

A docstring writes `h' = (1 - z) h + z tanh(W x + U (r h) + b)`. The notation: letters
and Greek names, indices behind an underscore (`W_h`, `x_(t-1)`), primes, functions
with brackets, `*` for elementwise products, `...`, absolute values in bars. What is
not known is an error: a page shows no guess.
"""

from __future__ import annotations

import re

GREEK = ("alpha", "beta", "gamma", "epsilon", "zeta", "eta", "theta", "lambda", "nu")
# What is written another way in TeX.
NAMES = {
    **{name: rf"\{name}" for name in GREEK},
    "epsilon": r"\varepsilon",
    "sigmoid": r"\sigma",
    "tanh": r"\tanh",
    "exp": r"\exp",
    "log": r"\log",
    "max": r"\max",
    "dt": r"\Delta t",
    # Pages at GitHub have no \operatorname.
    **{
        name: rf"\mathrm{{{name}}}"
        for name in ("relu", "leak", "depth", "window", "Re", "re", "im")
    },
    "leaky_relu": r"\mathrm{lrelu}",
}
SIGNS = {
    "*": r"\odot",
    "...": r"\ldots",
    "<=": r"\le",
    ">=": r"\ge",
    "<": "<",
    ">": ">",
    **{sign: sign for sign in "+-/=,|()[]"},
}
KINDS = {"(": "open", "[": "open", ")": "close", "]": "close", ",": "comma"}
KINDS["..."] = "factor"
# Of these TeX itself keeps what follows apart.
FUNCTION = {"log": "function", "exp": "function", "tanh": "function"}
# Where a space between two of them is a product.
ENDS = ("factor", "close", "mark")
BEGINS = ("factor", "open", "function")
_ROOT = re.compile(r"sqrt(?=\()")
_TOKEN = re.compile(
    r"(?P<space>\s+)|(?P<number>\d+(?:\.\d+)?)|(?P<name>leaky_relu|[A-Za-z]+\d*)"
    r"|(?P<index>_)|(?P<power>\^)|(?P<prime>')|(?P<sign>\.\.\.|<=|>=|[-+*/=,|()<>\[\]])"
)


def tex(equation: str) -> str:
    r"""An equation as TeX.

    Args:
        equation: in the notation of the docstrings.

    Returns:
        The same in TeX, without dollar signs.

    Raises:
        ValueError: for a name or a sign that is not known, or a bracket that does not
            close.

    Example:

    >>> tex("h' = sigmoid(a_z) h")
    "h' = \\sigma(a_z) \\, h"
    """
    _check_brackets(equation)
    found, at, before, apart = [], 0, "open", False
    while at < len(equation):
        text, kind, end = _next(equation, at)
        at = end
        if kind == "space":
            apart = True
            continue
        unary = kind == "sign" and before in ("open", "sign")
        if apart and before in ENDS and kind in BEGINS:
            found.append(r" \, ")
        elif (kind == "sign" and not unary) or before in ("sign", "comma"):
            found.append(" ")
        found.append(text)
        # A sign before a term is part of the term.
        before, apart = ("open" if unary else kind), False
    return "".join(found)


def _check_brackets(equation):
    for opening, closing in ("()", "[]"):
        depth = 0
        for sign in equation:
            depth += (sign == opening) - (sign == closing)
            if depth < 0:
                break
        if depth:
            raise ValueError(f"A bracket is alone in the equation {equation!r}.")
    if equation.count("|") % 2:
        raise ValueError(f"A bar is alone in the equation {equation!r}.")


def _next(equation, at):
    """What stands there: its TeX, its kind, and where the next begins."""
    root = _ROOT.match(equation, at)
    if root:
        end = _closing(equation, root.end())
        inner = tex(equation[root.end() + 1 : end])
        return rf"\sqrt{{{inner}}}", "factor", end + 1
    match = _TOKEN.match(equation, at)
    if match is None:
        raise ValueError(
            f"Unknown sign {equation[at]!r} in the equation {equation!r}: "
            f"docs/notation.py knows {' '.join(SIGNS)}."
        )
    kind, text, end = match.lastgroup, match.group(), match.end()
    if kind == "space":
        return text, kind, end
    if kind in ("index", "power"):
        inner, end = _argument(equation, end)
        return f"{'_' if kind == 'index' else '^'}{inner}", "mark", end
    if kind == "name":
        return _name(text, equation), FUNCTION.get(text, "factor"), end
    if kind == "sign":
        return SIGNS[text], _sign_kind(text, equation, at), end
    return text, "mark" if kind == "prime" else "factor", end


def _sign_kind(text, equation, at):
    if text == "|":
        # The first of two opens.
        return "open" if equation[:at].count("|") % 2 == 0 else "close"
    return KINDS.get(text, "sign")


def _name(name, equation):
    if name in NAMES:
        return NAMES[name]
    letter, number = name[0], name[1:]
    if not number:
        return letter
    if number.isdecimal():
        return f"{letter}_{{{number}}}"
    raise ValueError(
        f"Unknown name {name!r} in the equation {equation!r}: list it in NAMES of "
        f"docs/notation.py."
    )


def _argument(equation, at):
    """An index or a power: one letter, name or number, or what stands in brackets."""
    if equation[at : at + 1] == "(":
        end = _closing(equation, at)
        return f"{{{tex(equation[at + 1 : end])}}}", end + 1
    match = re.compile(r"\d+|[A-Za-z]+").match(equation, at)
    if match is None:
        raise ValueError(f"Nothing stands behind _ or ^ in the equation {equation!r}.")
    if equation[at - 1] == "^" and match[0] == "T":
        return r"{\top}", match.end()
    text = match[0]
    if len(text) == 1:
        return text, match.end()
    # A word as an index is no product of letters.
    word = text if text.isdecimal() else NAMES.get(text, rf"\mathrm{{{text}}}")
    return f"{{{word}}}", match.end()


def _closing(equation, at):
    """Where the bracket that opens there closes."""
    depth = 0
    for end in range(at, len(equation)):
        depth += {"(": 1, ")": -1}.get(equation[end], 0)
        if depth == 0:
            return end
    raise ValueError(f"A bracket is alone in the equation {equation!r}.")
