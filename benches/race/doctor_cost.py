"""What `GradientDoctor` costs of a training.

    make race QUICK=1    # makes the environment and installs the wheel
    .venv-race-evengrad/bin/python benches/race/doctor_cost.py [WORKLOAD ...]

Trains workloads of the race by `fit`: without a doctor, with `GradientDoctor()` as it comes, and
with each step watched. On one thread, by the time that the processor was at it, so that other
guests of the machine disturb little. All take turns, and each counts by its quickest fit, of some
seconds, as what a fit costs once (another plan, the last judgement) is much of a short one. Prints
microseconds a step, and by how much of it each is slower.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from racer_evengrad import network, optimizer
from workloads import BY_NAME

import evengrad as eg

WORKLOADS = ("five-by-100", "mnist", "deep-20", "tabular")
SECONDS, TURNS = 4.0, 3
CASES = {
    "without": list,
    "GradientDoctor()": lambda: [eg.callbacks.GradientDoctor()],
    "every=1": lambda: [eg.callbacks.GradientDoctor(every=1)],
}


class Case:
    """A workload trained with or without a doctor, and the times of its fits."""

    def __init__(self, name: str, case: str) -> None:
        self.workload = BY_NAME[name]
        self.case = case
        rng = np.random.default_rng(0)
        rows = self.workload.rows
        self.x = rng.normal(size=(rows, self.workload.inputs)).astype("float32")
        self.y = rng.integers(self.workload.classes, size=rows)
        self.model = network(self.workload)
        self.model.compile(optimizer(self.workload), "sparse_categorical_crossentropy")
        self.seconds: list[float] = []
        self.epochs = 1

    def fit(self) -> float:
        """Train for some epochs and return the seconds of an epoch."""
        start = time.process_time()
        self.model.fit(
            self.x,
            self.y,
            batch_size=self.workload.batch,
            epochs=self.epochs,
            verbose=0,
            callbacks=CASES[self.case](),
        )
        return (time.process_time() - start) / self.epochs

    @property
    def step(self) -> float:
        """Microseconds a step of the quickest fit."""
        return min(self.seconds) / self.workload.batches * 1e6


def main() -> None:
    """Train all in turns, and print what the doctor costs."""
    eg.set_num_threads(1)
    for name in sys.argv[1:] or WORKLOADS:
        cases = [Case(name, case) for case in CASES]
        cases[0].fit()
        epochs = max(1, round(SECONDS / cases[0].fit()))
        for case in cases:
            case.epochs = epochs
        for _ in range(TURNS):
            for case in cases:
                case.seconds.append(case.fit())
        for case in cases:
            more = case.step / cases[0].step - 1.0
            print(f"{name:12} {case.case:18} {case.step:9.1f} µs a step  {more:+7.1%}", flush=True)


if __name__ == "__main__":
    main()
