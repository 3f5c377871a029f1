"""CONTRIBUTING.md and the release checklist name what is there."""

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.any_backend

ROOT = Path(__file__).parents[1]
PAGES = ["CONTRIBUTING.md", "docs/releasing.md"]


def text(page):
    return (ROOT / page).read_text(encoding="utf-8")


def test_the_table_has_each_test_file_once():
    section = text("CONTRIBUTING.md").split("### Which file tests what")[1]
    rows = re.findall(r"^\|.*$", section.split("\n#")[0], re.M)
    named = re.findall(r"`(test_\w+\.py)`", "\n".join(rows))
    there = [path.name for path in (ROOT / "tests").glob("test_*.py")]
    assert sorted(named) == sorted(there)


@pytest.mark.parametrize("page", PAGES)
def test_files_that_are_named_are_there(page):
    folders = "keras_rnnx|tests|docs|benchmarks|examples"
    named = re.findall(rf"`((?:{folders})/[\w./-]*)`", text(page))
    assert named and [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files(page):
    links = re.findall(r"\]\(([^)\s#]+)[^)]*\)", text(page))
    files = [link for link in links if "://" not in link]
    assert files
    assert [
        link for link in files if not (ROOT / page).parent.joinpath(link).exists()
    ] == []


@pytest.mark.parametrize("page", PAGES)
def test_targets_that_are_named_are_in_the_makefile(page):
    rules = re.findall(r"^([\w.%-]+):(?!=)", text("Makefile"), re.M)
    patterns = [re.escape(rule).replace("%", r"[\w.]+") for rule in rules]
    named = set(re.findall(r"(?:^    |`)make ([\w.-]+)", text(page), re.M))
    assert named
    assert [name for name in named if not re.fullmatch("|".join(patterns), name)] == []
