"""Measure what the chosen constants of the planner do: each halved and doubled, beside what it is.

    make constants
    make constants CONSTANTS="BLOCK_BYTES LARGE_CHAIN" WORKLOADS="mnist mnist-bn" ROUNDS=5

A constant of `rust/core/src/plan/cost_model.rs` whose comment says "chosen" was not measured when
it was written. Here each has an extension module of its own, compiled from the sources of HEAD with
that constant changed (in one folder, incrementally and without link-time optimization: the planner
is not what runs hot), and all of them train in turn, as in `make compare`. Prints the ratios of
medians to the unchanged module, and writes them into ``race-output/``, after each round.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import machine
from entrants import OURS, TASKS, headline
from processes import Course
from results import best, figures, rotated, table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from results import Measurement

ROOT = Path(__file__).resolve().parents[2]
FILE = Path("rust/core/src/plan/cost_model.rs")
UNCHANGED = "unchanged"
# Twice and half: a constant whose double changes nothing decides nothing.
CHANGES = {"halved": "1 / 2", "doubled": "2 / 1"}
# Ratios whose distance from one is twice their parts': half and double of these have no meaning.
EXCESSES = ("UNEVEN", "HOPELESS")
CONSTANT = re.compile(
    r"^pub\(super\) const (?P<name>\w+): (?P<type>[^=]+) = (?P<value>[^;]+);$", re.MULTILINE
)


def chosen(text: str) -> list[str]:
    """Return the names of the constants whose comment says that they were chosen.

    >>> one = "pub(super) const A: usize = 1;"
    >>> other = "pub(super) const B: f64 = 2.0;"
    >>> chosen(chr(10).join(["/// Bytes: chosen.", one, "/// Measured.", other]))
    ['A']
    """
    names, comment, after_constant = [], "", False
    for line in text.splitlines():
        if line.startswith("///"):
            comment = line if after_constant else f"{comment} {line}"
            after_constant = False
        elif found := CONSTANT.match(line):
            after_constant = True
            if re.search(r"\b[Cc]hosen\b", comment):
                names.append(found["name"])
        elif not line.strip():
            comment, after_constant = "", False
    return names


def scaled(name: str, kind: str, value: str, change: str) -> str:
    """Return the source of a value that was changed by a fraction, such as "1 / 2".

    >>> scaled("A", "f64", "50.0", "2 / 1")
    '(50.0 * 2.0 / 1.0)'
    >>> scaled("UNEVEN", "f64", "1.02", "1 / 2")
    '1.0 + ((1.02 - 1.0) * 1.0 / 2.0)'
    >>> scaled("A", "Range<usize>", "4 << 20..64 << 20", "1 / 2")
    '((4 << 20) * 1 / 2)..((64 << 20) * 1 / 2)'
    """
    if name in EXCESSES:
        return f"1.0 + {scaled('', kind, f'({value} - 1.0)', change)}"
    if kind == "f64":
        above, below = change.split(" / ")
        return f"({value} * {above}.0 / {below}.0)"
    if kind == "Duration":
        return f"Duration::from_nanos({value}.as_nanos() as u64 * {change})"
    bounds = value.split("..")
    if len(bounds) > 1:
        return "..".join(scaled("", "usize", bound, change) for bound in bounds)
    return f"(({value}) * {change})"


def changed(text: str, name: str, change: str) -> str:
    """Return the file's text with one constant changed."""

    def replaced(found: re.Match[str]) -> str:
        if found["name"] != name:
            return found[0]
        value = scaled(name, found["type"], found["value"], change)
        return found[0].replace(f"= {found['value']};", f"= {value};")

    return CONSTANT.sub(replaced, text)


class Builds:
    """The extension modules, one for each change, and interpreters that import them."""

    def __init__(self, folder: Path, interpreter: Path) -> None:
        self.folder = folder
        self.interpreter = interpreter
        self.sources = folder / "sources"
        shutil.rmtree(self.sources, ignore_errors=True)
        self.sources.mkdir(parents=True)
        archive = subprocess.run(
            ["git", "archive", "HEAD"], cwd=ROOT, check=True, capture_output=True
        )
        subprocess.run(["tar", "-x"], cwd=self.sources, input=archive.stdout, check=True)
        of_rust = subprocess.run(
            ["git", "rev-parse", "HEAD:rust", "HEAD:Cargo.lock"],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        )
        self.sources_key = of_rust.stdout
        self.text = (self.sources / FILE).read_text(encoding="utf-8")

    def make(self, name: str, text: str) -> None:
        """Make a package whose module is compiled with this text of the file."""
        library = self._library(name, text)
        package = self.folder / name / "python" / "evengrad"
        shutil.rmtree(package, ignore_errors=True)
        shutil.copytree(self.sources / "python" / "evengrad", package)
        shutil.copy(library, package / "_core.abi3.so")
        python = self.folder / name / f".venv-race-{OURS}" / "bin" / "python"
        python.parent.mkdir(parents=True, exist_ok=True)
        python.write_text(
            f"#!/bin/sh\nPYTHONPATH='{package.parent}' exec '{self.interpreter}' \"$@\"\n",
            encoding="utf-8",
        )
        python.chmod(0o755)

    def _library(self, name: str, text: str) -> Path:
        """Compile, or find what was compiled from the same sources; return the module's path."""
        suffix = "dylib" if sys.platform == "darwin" else "so"
        made_from, library = self.folder / name / "made-from", self.folder / name / "library"
        key = self.sources_key + text
        if made_from.exists() and made_from.read_text(encoding="utf-8") == key:
            return library
        print(f"compiling: {name}", flush=True)
        (self.sources / FILE).write_text(text, encoding="utf-8")
        settings = {
            "CARGO_INCREMENTAL": "1",
            "CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "256",
            "CARGO_PROFILE_RELEASE_LTO": "off",
            "CARGO_TARGET_DIR": str(self.folder / "build"),
        }
        command = [
            *(self.sources / "tools" / "native.sh", "cargo", "build", "--quiet", "--release"),
            *("--locked", "--package", "evengrad-python"),
        ]
        outcome = subprocess.run(
            command,
            cwd=self.sources,
            check=False,
            capture_output=True,
            text=True,
            env={**os.environ, **settings},
        )
        if outcome.returncode != 0:
            raise SystemExit(f"{name} does not compile:\n{outcome.stderr}")
        library.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.folder / "build" / "release" / f"libevengrad_python.{suffix}", library)
        made_from.write_text(key, encoding="utf-8")
        return library


def measure(arguments: argparse.Namespace, names: list[str]) -> dict[str, list[Measurement]]:
    """Let every module train every workload, in turn, and return what was measured of each."""
    threads = len(machine.cores(None))
    entrant = headline("training", threads)
    courses = {
        name: Course(arguments.folder / name, arguments.seconds, attempts=1) for name in names
    }
    measured: dict[str, list[Measurement]] = {name: [] for name in names}
    try:
        for number in range(arguments.rounds):
            for workload in arguments.workloads:
                for name in rotated(names, number):
                    outcome = courses[name].measure("training", workload, entrant, number)
                    measured[name].append(outcome)
                print(f"round {number + 1}/{arguments.rounds}: {workload}", flush=True)
            write(report(measured, arguments.workloads), arguments.output)
    finally:
        for course in courses.values():
            course.close()
    return measured


def rate(measurements: Iterable[Measurement], workload: str) -> float | None:
    """Return the median of a module's rounds of a workload."""
    known = figures(one for one in measurements if one.workload == workload)
    quickest = best(known, [OURS])
    return None if quickest is None else known[quickest].rate


def report(measured: dict[str, list[Measurement]], workloads: list[str]) -> str:
    """Return the table of ratios to the unchanged module."""
    lines = [["constant", *workloads]]
    for name, measurements in measured.items():
        cells = [name]
        for workload in workloads:
            now, base = rate(measurements, workload), rate(measured[UNCHANGED], workload)
            cells.append("-" if now is None or base is None else f"{now / base:.3f}")
        lines.append(cells)
    return table(lines)


def write(text: str, output: Path) -> None:
    """Print the table, and write it into the folder."""
    print(f"\n{text}\n", flush=True)
    output.mkdir(parents=True, exist_ok=True)
    (output / "constants.txt").write_text(text + "\n", encoding="utf-8")


def parse() -> argparse.Namespace:
    """Return the command line's settings."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--constants", nargs="+", help="names; all chosen ones by default")
    parser.add_argument("--workloads", nargs="+", choices=TASKS["training"])
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3, help="0 to compile only")
    parser.add_argument("--folder", type=Path, default=ROOT / "target" / "constants")
    parser.add_argument("--output", type=Path, default=ROOT / "race-output")
    arguments = parser.parse_args()
    # The two widest take a second a step or so, of which the planner has no part.
    arguments.workloads = arguments.workloads or [
        name for name in TASKS["training"] if name not in ("wide", "huge")
    ]
    return arguments


def main() -> None:
    """Compile, measure and report."""
    arguments = parse()
    builds = Builds(arguments.folder.resolve(), Path(sys.executable))
    arguments.folder = builds.folder
    builds.make(UNCHANGED, builds.text)
    # Once more: how far apart two modules are that are the same.
    names = [UNCHANGED, f"{UNCHANGED}-again"]
    shutil.rmtree(builds.folder / names[1], ignore_errors=True)
    shutil.copytree(builds.folder / UNCHANGED, builds.folder / names[1])
    for constant in arguments.constants or chosen(builds.text):
        for word, change in CHANGES.items():
            name = f"{constant}-{word}"
            builds.make(name, changed(builds.text, constant, change))
            names.append(name)
    measure(arguments, names)


if __name__ == "__main__":
    main()
