"""What ranks cost beside threads: one training by processes of one thread, and by threads of one.

    make race QUICK=1    # makes the environment and installs the wheel
    .venv-race-evengrad/bin/pip install mpi4py mpich
    .venv-race-evengrad/bin/python benches/race/ranks.py --workload wide --ranks 2

Trains a workload of the race by so many ranks of one thread each, on this machine, and by one
process of as many threads, in turns. Prints steps a second of each round, and the medians' ratio.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import Any

import numpy as np
from workloads import WORKLOADS

import evengrad as eg

# Epochs before those that are timed: the step is captured, and its plan is tuned.
BEFORE = 2
LAUNCHER = Path(sysconfig.get_path("scripts"), "mpiexec")


def net(workload: Any) -> eg.Sequential:
    """Return the compiled net of a workload."""
    hidden = [eg.layers.Dense(width, workload.activation) for width in workload.hidden]
    model = eg.Sequential([*hidden, eg.layers.Dense(workload.classes)], seed=0)
    model.compile(workload.optimizer, "sparse_categorical_crossentropy")
    return model


def train(name: str, seconds: float) -> None:
    """Train as one of the ranks; the first prints steps a second."""
    workload = next(one for one in WORKLOADS if one.name == name)
    comm = eg.distributed.init()
    rng = np.random.default_rng(0)
    x = rng.normal(size=(workload.rows, workload.inputs)).astype("float32")
    y = rng.integers(workload.classes, size=workload.rows)
    model = net(workload)
    given: dict[str, Any] = {"batch_size": workload.batch, "verbose": 0, "comm": comm}
    began = time.perf_counter()
    model.fit(x, y, epochs=BEFORE, **given)
    took = comm.broadcast(time.perf_counter() - began) / BEFORE
    epochs = max(1, round(seconds / took))
    began = time.perf_counter()
    model.fit(x, y, epochs=epochs, **given)
    took = time.perf_counter() - began
    if comm.rank == 0:
        print(json.dumps(epochs * workload.batches / took))


def measured(size: int, threads: int, name: str, seconds: float) -> float:
    """Return steps a second of so many ranks with so many threads each."""
    start = [] if size == 1 else [str(LAUNCHER), "-n", str(size)]
    itself = [sys.executable, __file__, "--workload", name, "--seconds", str(seconds), "--child"]
    environment = {**os.environ, "EVENGRAD_NUM_THREADS": str(threads)}
    done = subprocess.run(
        [*start, *itself], capture_output=True, text=True, check=True, env=environment
    )
    return float(json.loads(done.stdout))


def main() -> None:
    """Run the rounds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--workload", default="wide", choices=[one.name for one in WORKLOADS])
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        train(given.workload, given.seconds)
        return
    rates: dict[str, list[float]] = {"ranks": [], "threads": []}
    for number in range(given.rounds):
        for what, size, threads in (("ranks", given.ranks, 1), ("threads", 1, given.ranks)):
            rates[what].append(measured(size, threads, given.workload, given.seconds))
        row = ", ".join(f"{what} {found[-1]:.4g}" for what, found in rates.items())
        print(f"round {number + 1}: {row} steps/s", flush=True)
    ranks, threads = (statistics.median(rates[what]) for what in ("ranks", "threads"))
    print(f"{given.workload}: {given.ranks} ranks {ranks:.4g}, {given.ranks} threads {threads:.4g}")
    print(f"ranks over threads: {ranks / threads:.3f}")


if __name__ == "__main__":
    main()
