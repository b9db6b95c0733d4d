"""How many files a new thing takes: one of each is added to a copy, and CONTRIBUTING.md counts."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from additions import ADDITIONS, IN_PYTHON, files_of, make

import evengrad
from evengrad import _core

ROOT = Path(__file__).resolve().parents[2]


def imported(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


stubs = imported(ROOT / "tools" / "generate_stubs.py")
GENERATED = {ROOT / stubs.STUB, *(ROOT / path for path in stubs.MODULES)}


def test_what_follows_from_the_table_is_up_to_date():
    for path, text in stubs.generated(stubs.table(_core)).items():
        written = path.read_text(encoding="utf-8")
        assert written == text, (
            f"{path.relative_to(ROOT)} is from before a change: run `make stubs`"
        )


def test_a_row_of_the_table_reaches_these_files_and_no_other():
    row = stubs.Row("zeroth", "activation", ("alpha: float = 1.0",))
    without = stubs.generated(stubs.table(_core))
    with_row = stubs.generated([*stubs.table(_core), row])
    assert set(with_row) == GENERATED
    changed = {path for path, text in with_row.items() if text != without[path]}
    assert changed == {ROOT / stubs.STUB, ROOT / "python/evengrad/_tensor/nonlinear.py"}
    stub = with_row[ROOT / stubs.STUB]
    # Tensors have a method `float`, so that the type has another name among them.
    assert "    def zeroth(self, alpha: _Float = 1.0) -> Tensor: ...\n" in stub
    assert "\ndef zeroth(x: _TensorLike, alpha: float = 1.0) -> Tensor: ...\n" in stub


@pytest.mark.parametrize("addition", ADDITIONS)
def test_contributing_states_the_number_of_files(addition):
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    stated = re.findall(rf"^\| {addition} \| (\d+) \| (.*) \|$", text, re.MULTILINE)
    assert len(stated) == 1
    assert int(stated[0][0]) == len(files_of(addition))
    # No file is written by hand that is generated; a structured operation has a stub of its own.
    by_hand = {ROOT / path for path in files_of(addition)}
    assert by_hand & GENERATED <= {ROOT / stubs.STUB}


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the installed package and the tests, with all additions that need nothing built."""
    root = tmp_path_factory.mktemp("sources")
    without = shutil.ignore_patterns("__pycache__")
    package = root / "python" / "evengrad"
    shutil.copytree(Path(evengrad.__file__).parent, package, ignore=without)
    shutil.copytree(ROOT / "tests", root / "tests", ignore=without)
    shutil.copy(ROOT / "pyproject.toml", root)
    make(root, IN_PYTHON)
    return root


@pytest.fixture(scope="module")
def report(copy):
    """What the quick tests say of the additions, and of a layer without an example."""
    path = copy / "python/evengrad/layers/_added.py"
    text = path.read_text(encoding="utf-8")
    bare = text.replace("    >>> eg.layers", "    eg.layers").replace(
        "class Added", "class AddedBare"
    )
    path.with_name("_added_bare.py").write_text(bare, encoding="utf-8")
    with path.with_name("__init__.py").open("a", encoding="utf-8") as file:
        file.write("from evengrad.layers._added_bare import AddedBare as AddedBare\n")
    quick = ".Added and not modes and not gradients"
    options = ["-q", "-rA", "-p", "no:cacheprovider", "--show-capture=no"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, "tests/api/test_api.py", "-k", quick],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy / "python")},
        capture_output=True,
        check=False,
        text=True,
    ).stdout


@pytest.mark.parametrize("kind", ["layers", "initializers", "losses", "metrics", "callbacks"])
def test_the_tests_find_a_new_class(report, kind):
    passed = set(re.findall(rf"PASSED \S+::(\w+)\[{kind}\.Added\]", report))
    assert passed >= {"test_documentation", "test_types", "test_round_trip"}, report


def test_a_new_class_without_an_example_fails(report):
    assert re.findall(r"FAILED \S+::(\w+)\[", report) == ["test_documentation"]
    assert "AddedBare" in report
    assert "its docstring has no example" in report
