"""Training throughput under contention: another process keeps one core busy.

    make race QUICK=1    # makes the environment and installs the wheel
    .venv-race-evengrad/bin/python benches/race/foreign_load.py tabular mnist

For each workload named (six of them if none is): steps a second on all threads and on one, on a
quiet machine and beside a process that never stops on the last core; each the median of some runs,
taken in turn.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path

import machine

WORKLOADS = ("tabular", "five-by-100", "mnist", "mnist-bn", "deep-20", "selu-100")
SECONDS, ROUNDS = "1.2", 3
RACER = Path(__file__).parent / "racer_evengrad.py"
# Tied to a core, and busy until it is ended.
BUSY = "import os, sys\nos.sched_setaffinity(0, {int(sys.argv[1])})\nwhile True: pass"


def rate(workload: str, threads: int) -> float:
    """Return the steps a second of `fit`, in a process of its own."""
    command = [sys.executable, RACER, "training", workload, "fit", str(threads), SECONDS]
    printed = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    return float(json.loads(printed.splitlines()[-1])["rate"])


def main() -> None:
    """Measure and print a line for each workload."""
    cores = machine.cores(None)
    widths = (len(cores), 1)
    print(f"{'steps/s':12}" + "".join(f"{f'{n} threads':>12}{'busy core':>12}" for n in widths))
    for workload in sys.argv[1:] or WORKLOADS:
        quiet: dict[int, list[float]] = {width: [] for width in widths}
        busy: dict[int, list[float]] = {width: [] for width in widths}
        for _ in range(ROUNDS):
            for width in widths:
                quiet[width].append(rate(workload, width))
            other = subprocess.Popen([sys.executable, "-c", BUSY, str(max(cores))])
            try:
                for width in widths:
                    busy[width].append(rate(workload, width))
            finally:
                other.kill()
                other.wait()
        figures = [statistics.median(kind[width]) for width in widths for kind in (quiet, busy)]
        print(f"{workload:12}" + "".join(f"{figure:12,.1f}" for figure in figures), flush=True)


if __name__ == "__main__":
    main()
