"""The installed package: where it comes from, what it ships, what importing it does."""

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import pytest

import evengrad

ROOT = Path(__file__).resolve().parents[2]


def in_fresh_process(program):
    """Run a program in a new interpreter and return what it prints."""
    command = [sys.executable, "-I", "-W", "error", "-c", program]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout


def test_the_installed_package_is_under_test():
    record = importlib.metadata.distribution("evengrad").read_text("direct_url.json")
    if record and json.loads(record).get("dir_info", {}).get("editable"):
        pytest.skip("an editable installation is the source tree, as its user wishes")
    assert not Path(evengrad.__file__).is_relative_to(ROOT / "python")


def test_version_is_the_distribution_s():
    assert evengrad.__version__ == importlib.metadata.version("evengrad")


def test_types_are_shipped():
    package = Path(evengrad.__file__).parent
    assert (package / "py.typed").exists()
    assert (package / "_core.pyi").exists()


def test_nets_are_shipped():
    nets = list((Path(evengrad.__file__).parent / "zoo" / "nets").iterdir())
    assert sorted(path.stem for path in nets) == [
        "breast_cancer",
        "digits",
        "digits_autoencoder",
        "digits_rows",
    ]
    assert sum(path.stat().st_size for path in nets) <= 400 * 1024


def test_numpy_is_the_only_required_dependency():
    requirements = importlib.metadata.requires("evengrad")
    assert [line for line in requirements if "extra ==" not in line] == ["numpy>=1.26"]


def test_import_is_silent_and_loads_no_optional_dependency():
    program = """
import sys
import evengrad
optional = {"tqdm", "matplotlib", "sklearn", "scipy", "pandas", "IPython"}
print(sorted(optional.intersection(sys.modules)))
"""
    assert in_fresh_process(program) == "[]\n"


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="counts threads in /proc")
def test_import_starts_no_thread():
    # NumPy's matrix library starts its threads when it is imported: ours are those that come after.
    program = """
import os
import numpy
before = len(os.listdir("/proc/self/task"))
import evengrad
print(len(os.listdir("/proc/self/task")) - before)
"""
    assert in_fresh_process(program) == "0\n"
