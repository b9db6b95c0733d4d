"""Peak memory of training, beside parameters, gradients, optimizer state and activations.

    make race QUICK=1    # makes the environment and installs the wheel
    .venv-race-evengrad/bin/python benches/race/peak_memory.py huge

For each workload named (*huge* if none is): the peak of resident memory during two calls of `fit`
of one epoch each, over that of the process with the data in it (`fit`'s own copy of the data is
counted as data), and what must be there: parameters, gradients, the optimizer's state and the
activations of one batch.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

MEBI = 2**20


def resident(which: str) -> float:
    """Return a figure of this process's memory in MiB, as Linux counts it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(which)) / 1024


def measure_here(name: str) -> dict[str, float]:
    """Train in this process."""
    from racer_evengrad import Fit
    from workloads import BY_NAME

    workload = BY_NAME[name]
    fit = Fit(workload, "", 2)
    data = fit.x.nbytes / MEBI
    parameters = sum((inputs + 1) * units for inputs, units in workload.pairs) * 4 / MEBI
    before = resident("VmRSS") - parameters
    for _ in range(2):
        fit.epochs(1)
    slots = len(fit.model.optimizer.slots(fit.model.trainable_weights[0]))
    widths = (workload.inputs, *workload.hidden, workload.classes)
    activations = workload.batch * sum(widths) * 4 / MEBI
    return {
        "peak": resident("VmHWM") - before - data,
        "needed": parameters * (2 + slots) + activations,
    }


def main() -> None:
    """Measure and print a line for each workload."""
    print(f"{'MiB':12}{'peak':>8}{'needed':>8}{'more':>8}")
    for name in sys.argv[1:] or ["huge"]:
        # Each in a process of its own: the peak is that of a process.
        command = [sys.executable, __file__, "--here", name]
        printed = subprocess.run(command, capture_output=True, check=True, text=True).stdout
        peak, needed = (json.loads(printed)[key] for key in ("peak", "needed"))
        print(f"{name:12}{peak:8,.0f}{needed:8,.0f}{peak - needed:8,.0f}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--here"]:
        print(json.dumps(measure_here(sys.argv[2])))
    else:
        main()
