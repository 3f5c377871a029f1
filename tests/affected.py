"""Which test files a change concerns, nearest first; for `make check`.

A test file is as near to a module as there are imports between the names it uses and
that module. Whatever else it reads (a page, an example), it names.
"""

import ast
import functools
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).parents[1]
# A change of these concerns every test, though none imports them.
OF_ALL = {f"tests/{name}.py" for name in ("conftest", "quick", "seeds", "selection")}
OF_ALL |= {"pyproject.toml", "setup.cfg", "Makefile"}
FAR = 100
CATALOGUE = ROOT / "keras_rnnx" / "cells" / "__init__.py"


def changed_files(reference):
    """Files that differ from where this branch left `reference`, new ones too."""
    base = _git("merge-base", "HEAD", reference)[0]
    new = _git("ls-files", "--others", "--exclude-standard")
    return sorted({*_git("diff", "--name-only", base), *new})


def _git(*arguments):
    run = subprocess.run(
        ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return run.stdout.splitlines()


def distances(changed):
    """How far each test file is from the changed files; those they do not concern
    are left out."""
    found = {}
    for path in sorted((ROOT / "tests").glob("test_*.py")):
        near = [_distance(path, file) for file in changed]
        near = [n for n in near if n is not None]
        if near:
            found[path.name] = min(near)
    return found


def _distance(test, changed):
    path = ROOT / changed
    if path == test:
        return 0
    if changed in OF_ALL:
        return FAR
    if path.suffix != ".py" or not path.exists():
        return 1 if path.name in test.read_text() else None
    return _reached(test).get(path)


@functools.cache
def _reached(test):
    """The files that a file's imports lead to, with the number of imports between."""
    found, level = {test: 0}, [test]
    while level:
        following = {f for path in level for f in _uses(path)} - set(found)
        found |= dict.fromkeys(following, found[level[0]] + 1)
        level = sorted(following)
    return found


@functools.cache
def _uses(path):
    """The files that define what a file imports, or names as `package.name`."""
    tree = ast.parse(path.read_text())
    bound, used = _imports(tree), set()
    for node in ast.walk(tree):
        dotted = _dotted(node)
        first, *rest = dotted.split(".") if dotted else [""]
        if first in bound:
            used.add(_file(".".join([bound[first], *rest])))
    # What a function imports for itself, too.
    used |= {_file(name) for name in bound.values()}
    if path == CATALOGUE:
        # It imports all files of its folder by their names.
        used |= {file for file in path.parent.glob("*.py") if file.name[0] != "_"}
    return used - {None, path}


def _imports(tree):
    """The names a file imports, with the dotted names of what they stand for."""
    bound = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                name = alias.asname or alias.name.partition(".")[0]
                bound[name] = alias.name if alias.asname else name
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                bound[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return bound


def _dotted(node):
    """`a.b.c` of such an expression, else None."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (before := _dotted(node.value)):
        return f"{before}.{node.attr}"
    return None


@functools.cache
def _file(dotted):
    """The file that defines a dotted name of this repository, None for others.

    A package's names are followed to the modules that it imports them from.
    """
    parts = dotted.split(".")
    for count in range(len(parts), 0, -1):
        stem = pathlib.Path(*parts[:count])
        for path in (stem.with_suffix(".py"), stem / "__init__.py"):
            for folder in (ROOT, ROOT / "tests"):
                file = folder / path
                if file.is_file():
                    return _definition(file, parts[count : count + 1])
    return None


def _definition(file, name):
    if file.name != "__init__.py" or not name:
        return file
    bound = _imports(ast.parse(file.read_text()))
    origin = bound.get(name[0])
    return (origin and _file(origin)) or file
