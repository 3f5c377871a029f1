"""Makes the long description of the README. All else is in setup.cfg."""

import configparser
import pathlib
import re

import setuptools

ROOT = pathlib.Path(__file__).parent


def long_description(readme: str, source: str | None) -> str:
    """The README as an index shows it: no link is relative to the repository.

    Args:
        readme: its text.
        source: where the repository is on the web; None leaves the text of links
            without the links, and leaves images out.
    """

    def absolute(link):
        image, text, target = link.groups()
        if "://" in target or target.startswith("#"):
            return link.group()
        if not source:
            return "" if image else text
        # A page about a file shows no image; the file itself does.
        return f"{image}[{text}]({source}/{'raw' if image else 'blob'}/main/{target})"

    return re.sub(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)", absolute, readme)


def source() -> str | None:
    """`Source` of `project_urls` in setup.cfg, if it is there."""
    config = configparser.ConfigParser(interpolation=None)
    config.read(ROOT / "setup.cfg")
    urls = config["metadata"].get("project_urls", "").strip().splitlines()
    pairs = dict(map(str.strip, line.split("=", 1)) for line in urls)
    return pairs.get("Source")


if __name__ == "__main__":
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    setuptools.setup(long_description=long_description(readme, source()))
