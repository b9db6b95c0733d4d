"""Measure what `import evengrad` costs over NumPy, and how large its wheel is.

    python tools/measure_import.py [WHEEL...]

Run it with a Python that has evengrad installed. Every time is the median over fresh processes,
which take turns, so that a slow moment of the machine falls on all of them alike.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from pathlib import Path

ROUNDS = 15
# What the project aims at; figures beyond it deserve a look, and fail nothing.
AIM_MILLISECONDS = 60
AIM_MEGABYTES = 4

# The clock runs inside of the process: the interpreter's own start is not counted.
PROGRAM = """
from time import perf_counter
start = perf_counter()
import {module}
print(perf_counter() - start)
"""


def import_milliseconds(module: str) -> float:
    """Import a module in a fresh process and return how long it took."""
    # Isolated, so that the current directory cannot offer another `evengrad`.
    command = [sys.executable, "-I", "-c", PROGRAM.format(module=module)]
    answer = subprocess.run(command, capture_output=True, check=True, text=True)
    return float(answer.stdout) * 1e3


def main() -> None:
    """Print the table."""
    times: dict[str, list[float]] = {"numpy": [], "evengrad": []}
    for round_number in range(ROUNDS + 1):
        for module, samples in times.items():
            milliseconds = import_milliseconds(module)
            # The first round fills the disk cache and writes bytecode.
            if round_number > 0:
                samples.append(milliseconds)
    medians = {module: statistics.median(samples) for module, samples in times.items()}
    over = medians["evengrad"] - medians["numpy"]
    rows = [
        ("import numpy", f"{medians['numpy']:.1f} ms", ""),
        ("import evengrad, NumPy included", f"{medians['evengrad']:.1f} ms", ""),
        ("evengrad over NumPy", f"{over:.1f} ms", f"<= {AIM_MILLISECONDS} ms"),
    ]
    for wheel in map(Path, sys.argv[1:]):
        megabytes = wheel.stat().st_size / 1e6
        rows.append((wheel.name, f"{megabytes:.2f} MB", f"<= {AIM_MEGABYTES} MB"))
    width = max(len(name) for name, _, _ in rows)
    print(f"{'':{width}}  {f'median of {ROUNDS}':>12}  {'aim':>8}")
    for name, value, aim in rows:
        print(f"{name:{width}}  {value:>12}  {aim:>8}")


if __name__ == "__main__":
    main()
