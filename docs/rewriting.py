"""The command of a page of which parts are written by a program."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path


def main(
    about: str,
    path: Path,
    page: Callable[[str], str],
    source: str,
    argv: list[str] | None = None,
) -> int:
    """Rewrites a page, or says whether it is current.

    Args:
        about: what the command does, for its help.
        path: of the page.
        page: from the page as it stands to the page as it should be.
        source: what the page has to agree with, in words.
        argv: arguments of the command line. Default: those of the process.

    Returns:
        The exit status.
    """
    parser = argparse.ArgumentParser(description=about.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args(argv).check
    text = path.read_text()
    current = page(text)
    if current == text:
        return 0
    if check:
        command = f"python docs/{path.stem}.py"
        print(f"{path.name} is not as the {source}: run {command}")
        return 1
    path.write_text(current)
    return 0
