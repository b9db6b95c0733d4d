"""Run the Python tests against one wheel on every CPython >= 3.10 of this machine.

    python tools/test_pythons.py WHEEL [ARGUMENTS OF pytest...]

Interpreters are looked for among pyenv's versions and, as ``python3.N``, on PATH; one is taken for
each distinct version. It gets a fresh virtual environment with the wheel and
``tests/requirements.txt``. All are tried, then the outcomes are listed; any failure makes the exit
status 1.

The wheel is for the stable ABI of CPython 3.10, which free-threaded builds do not have, so those
are left out and listed with that reason. So are interpreters that cannot make an environment
(some distributions ship ``venv`` apart).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
OLDEST = (3, 10)

# Run by each candidate, which may be a launcher for another interpreter, or for none.
DESCRIBE = """
import importlib.util, json, platform, sys, sysconfig
print(json.dumps({
    "executable": sys.executable,
    "implementation": platform.python_implementation(),
    "version": list(sys.version_info[:3]),
    "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    "makes_environments": all(map(importlib.util.find_spec, ["venv", "ensurepip"])),
}))
"""


class Interpreter(NamedTuple):
    """A Python found on this machine, and why it is not tested, if it is not."""

    executable: str
    version: tuple[int, ...]
    objection: str

    def __str__(self) -> str:
        return f"CPython {'.'.join(map(str, self.version))} ({self.executable})"


def candidates() -> list[Path]:
    """Return every path that looks like an interpreter."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = sorted(pyenv.glob("versions/*/bin/python"))
    for folder in os.get_exec_path():
        found += sorted(Path(folder).glob("python3.[0-9]*"))
    # Companions such as `python3.12-config` are named alike.
    return [path for path in found if re.fullmatch(r"python(3\.\d+t?)?", path.name)]


def describe(path: Path) -> Interpreter | None:
    """Ask a candidate what it is; None for what is no CPython new enough."""
    try:
        answer = subprocess.run(
            [path, "-I", "-c", DESCRIBE], capture_output=True, check=True, timeout=60
        )
        facts = json.loads(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    version = tuple(facts["version"])
    if facts["implementation"] != "CPython" or version < OLDEST:
        return None
    objection = ""
    if facts["free_threaded"]:
        objection = "free-threaded: it has no stable ABI and needs a wheel of its own"
    elif not facts["makes_environments"]:
        objection = "it cannot make an environment: venv or ensurepip is missing"
    return Interpreter(facts["executable"], version, objection)


def interpreters() -> list[Interpreter]:
    """Return one interpreter for each version, testable ones first where there are several."""
    chosen: dict[tuple[tuple[int, ...], bool], Interpreter] = {}
    described = filter(None, map(describe, candidates()))
    for interpreter in sorted(described, key=lambda each: each.objection != ""):
        key = (interpreter.version, interpreter.objection.startswith("free-threaded"))
        chosen.setdefault(key, interpreter)
    return sorted(chosen.values(), key=lambda each: each.version)


def test(interpreter: Interpreter, wheel: Path, arguments: list[str]) -> bool:
    """Install the wheel into a fresh environment and run the tests there."""
    with tempfile.TemporaryDirectory() as folder:
        # Two variables of the caller that would let in modules from elsewhere.
        environment = {
            name: value
            for name, value in os.environ.items()
            if name not in {"PYTHONPATH", "PYTHONHOME"}
        }
        environment["MPLBACKEND"] = "Agg"
        binaries = Path(folder, "bin")
        commands: list[list[str | Path]] = [
            [interpreter.executable, "-m", "venv", folder],
            [
                *(binaries / "pip", "install", "--quiet", "--disable-pip-version-check"),
                *("--only-binary", ":all:", "-r", ROOT / "tests" / "requirements.txt", wheel),
            ],
            [binaries / "pytest", "--quiet", *arguments],
        ]
        for command in commands:
            if subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode != 0:
                return False
    return True


def main() -> int:
    """Test the wheel that the first argument names; the rest goes to pytest."""
    if len(sys.argv) < 2:
        print(__doc__)
        return 2
    wheel = Path(sys.argv[1]).resolve(strict=True)
    found = interpreters()
    outcomes: list[str] = []
    for interpreter in found:
        if interpreter.objection:
            outcomes.append(f"left out  {interpreter}: {interpreter.objection}")
            continue
        print(f"\n=== {interpreter}", flush=True)
        passed = test(interpreter, wheel, sys.argv[2:])
        outcomes.append(f"{'passed' if passed else 'FAILED':8}  {interpreter}")
    print(f"\n=== {wheel.name}")
    print("\n".join(outcomes) or "no CPython >= 3.10 found")
    good = any(line.startswith("passed") for line in outcomes)
    return 0 if good and not any(line.startswith("FAILED") for line in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
