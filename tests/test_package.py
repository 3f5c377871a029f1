"""What holds for the package as a whole: imports, names, docstrings, what ships."""

import ast
import importlib
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import keras
import pytest
from settings import setup_cfg

import keras_rnnx

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "keras_rnnx"
SOURCES = sorted(PACKAGE.rglob("*.py"))
BACKENDS = {"tensorflow", "jax", "torch"}
OPTIONAL = {"keras_tuner", "tensorflow_datasets", "matplotlib", "sklearn", "optuna"}
PRIVATE_KERAS = ".".join(("keras", "src"))


def relative(path):
    """Names a test by its source file."""
    return str(path.relative_to(ROOT))


def module_name(path):
    """`keras_rnnx/cells/__init__.py` is `keras_rnnx.cells`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def other_backend(path):
    """Whether the file is the engine of a backend that is not the one in use."""
    folder = PACKAGE / "engine" / "backends"
    if folder not in path.parents:
        return False
    name = path.relative_to(folder).parts[0].removesuffix(".py")
    return name in BACKENDS - {keras.config.backend()}


def test_the_version_is_said_once():
    source = (PACKAGE / "_version.py").read_text()
    assert f'__version__ = "{keras_rnnx.__version__}"' in source
    assert setup_cfg()["metadata"]["version"] == "attr: keras_rnnx._version.__version__"


def test_the_changelog_knows_the_version():
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert f"## [{keras_rnnx.__version__}]" in changelog


def test_ruff_is_the_same_everywhere():
    pinned, _ = setup_cfg()["options.extras_require"]["lint"].split()
    config = (ROOT / ".pre-commit-config.yaml").read_text()
    assert set(re.findall(r"ruff==[\d.]+", config)) == {pinned}


def test_import_brings_no_other_package():
    """Neither a backend that Keras does not use, nor anything of an extra."""
    program = (
        "import sys, keras\n"
        "before = {name.partition('.')[0] for name in sys.modules}\n"
        "import keras_rnnx\n"
        "after = {name.partition('.')[0] for name in sys.modules}\n"
        "print(*(after - before))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    brought = set(run.stdout.split())
    assert "keras_rnnx" in brought
    assert not brought & (BACKENDS | OPTIONAL)


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_public_names_exist(path):
    if "__all__" not in path.read_text() or other_backend(path):
        return
    module = importlib.import_module(module_name(path))
    missing = [name for name in module.__all__ if not hasattr(module, name)]
    assert not missing
    assert len(set(module.__all__)) == len(module.__all__)


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_public_definitions_have_docstrings(path):
    module = ast.parse(path.read_text())
    definitions = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    bare = [
        node.name
        for node in module.body
        if isinstance(node, definitions)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
    ]
    assert ast.get_docstring(module), "the module has no docstring"
    assert not bare


@pytest.mark.any_backend
def test_no_source_names_private_keras():
    python = [
        path for path in ROOT.rglob("*.py") if not relative(path).startswith(".venv")
    ]
    assert not [relative(path) for path in python if PRIVATE_KERAS in path.read_text()]


def imported_modules(path):
    """The absolute names of the modules that a source file imports, at any level."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, *filter(None, [node.module])))
            yield from (f"{module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize(
    ("above", "below"),
    [("layers", "engine"), ("layers", "cells"), ("engine", "cells")],
)
def test_imports_point_one_way(above, below):
    """Layers use engines, engines use cells, never the other way round."""
    upward = [
        f"{relative(path)} imports {module}"
        for path in SOURCES
        if PACKAGE / below in path.parents
        for module in imported_modules(path)
        if f"{module}.".startswith(f"keras_rnnx.{above}.")
    ]
    assert not upward


@pytest.fixture(scope="module")
def distributions(tmp_path_factory):
    """The sdist and the wheel, built from a copy so that the tree stays clean."""
    tree = tmp_path_factory.mktemp("tree")
    for name in ("keras_rnnx", "tests"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, tree / name, ignore=ignore)
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, tree)
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", tree],
        capture_output=True,
        check=True,
    )
    (sdist,) = (tree / "dist").glob("*.tar.gz")
    (wheel,) = (tree / "dist").glob("*.whl")
    return sdist, wheel


@pytest.mark.any_backend
def test_distributions_hold_the_package_alone(distributions):
    sdist, wheel = distributions
    with zipfile.ZipFile(wheel) as archive:
        shipped = archive.namelist()
    with tarfile.open(sdist) as archive:
        unpacked = [member.name.partition("/")[2] for member in archive.getmembers()]
    package = {relative(path) for path in SOURCES}
    for names in (shipped, unpacked):
        assert package <= set(names)
        assert not [name for name in names if re.match(r"(tests|data|demo)/", name)]
    code = [name for name in shipped if ".dist-info/" not in name]
    assert {name.partition("/")[0] for name in code} == {"keras_rnnx"}
    # What is not source is small and has a reason: digests of downloads, the page of a
    # report, and what tells type checkers about classes that are made at run time.
    assert {Path(name).suffix for name in code} <= {
        *(".py", ".pyi", ".tsv", ".typed", ".html", ".css")
    }
    data = {"py.typed", "datasets/builders/checksums.tsv"}
    data |= {"cells/__init__.pyi", "layers/__init__.pyi"}
    data |= {f"_pages/page.{kind}" for kind in ("html", "css")}
    data |= {f"{part}/page.css" for part in ("diagnosis", "tuner/reporting")}
    assert {f"keras_rnnx/{name}" for name in data} <= set(shipped) & set(unpacked)


def test_wheel_has_the_version_the_command_and_the_licence(distributions):
    _, wheel = distributions
    version = keras_rnnx.__version__
    assert wheel.name == f"keras_rnnx-{version}-py3-none-any.whl"
    info = f"keras_rnnx-{version}.dist-info"
    with zipfile.ZipFile(wheel) as archive:
        entry_points = archive.read(f"{info}/entry_points.txt").decode()
        about = archive.read(f"{info}/METADATA").decode()
        assert f"{info}/licenses/LICENSE" in archive.namelist()
    assert "keras-rnnx = keras_rnnx.cli:main" in entry_points
    assert "License-Expression: Apache-2.0" in about
    assert "Author: The keras_rnnx authors" in about
    links = re.findall(r"\]\(([^)\s]+)\)", about)
    assert [link for link in links if "://" not in link] == []
    readme = (ROOT / "README.md").read_text().strip()
    assert readme.splitlines()[0] in about


def test_extras_install_what_their_packages_forget_to_declare():
    extras = setup_cfg()["options.extras_require"]
    assert {"tensorboard", "six"} <= set(extras["tuner"].split())
    assert "importlib_resources" in extras["datasets"].split()
