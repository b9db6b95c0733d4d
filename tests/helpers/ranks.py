"""Several ranks of one host: a script that each runs, under MPI's launcher."""

import json
import os
import pathlib
import subprocess
import sys
import sysconfig

import pytest

LAUNCHER = pathlib.Path(sysconfig.get_path("scripts"), "mpiexec")
# Of a whole script; each has a deadline of its own that is far below.
LIMIT = 120

# What scripts begin with: data and nets that are the same for any number of ranks.
BEGINNING = """
import json, os, pathlib, sys
import numpy as np
import evengrad as eg
from evengrad import layers as L
comm = eg.distributed.init(timeout=float(os.environ.get("DEADLINE", "30")))
folder = pathlib.Path(sys.argv[1])

def tell(**values):
    (folder / f"rank{comm.rank}.json").write_text(json.dumps(values))

def keep(name, arrays):
    if comm.rank == 0:
        np.savez(folder / f"{name}.npz", *arrays)

rng = np.random.default_rng(0)
x = rng.normal(size=(103, 7))
y = (x[:, :1] * 2 - x[:, 1:2] > 0).astype(float)

eg.set_default_dtype(os.environ.get("DTYPE", "float64"))

def net(*hidden, optimizer=None, metrics=("accuracy", "auc"), seed=1):
    hidden = hidden or (L.Dense(16, "tanh"),)
    made = eg.Sequential([*hidden, L.Dense(1, "sigmoid")], seed=seed)
    made.compile(optimizer or eg.optimizers.SGD(0.1, momentum=0.9), "binary_crossentropy",
                 metrics=list(metrics))
    return made
"""

needs_mpi = pytest.mark.skipif(
    not LAUNCHER.exists(), reason="no mpiexec beside this Python: pip install mpi4py mpich"
)


class Run:
    """What a script of several ranks has left."""

    def __init__(self, process, folder):
        self.process, self.folder = process, folder

    @property
    def output(self):
        return self.process.stdout + self.process.stderr

    def told(self, rank=0):
        return json.loads((self.folder / f"rank{rank}.json").read_text())


def environment(**variables):
    # One core for each rank: more would take turns on a small machine.
    return {**os.environ, "EVENGRAD_NUM_THREADS": "1", **variables}


def command(size, script, folder):
    start = [] if size == 1 else [str(LAUNCHER), "-n", str(size)]
    return [*start, sys.executable, str(script), str(folder)]


def write(folder, body):
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / "script.py"
    script.write_text(BEGINNING + body)
    return script


def run_ranks(size, folder, body, *, check=True, **variables):
    """Run a script on so many ranks and return what it has left."""
    script = write(folder, body)
    process = subprocess.run(
        command(size, script, folder),
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
        env=environment(**variables),
    )
    run = Run(process, folder)
    assert not check or process.returncode == 0, run.output
    return run
