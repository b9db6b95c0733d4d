"""What metrics cost of a training step.

    make race QUICK=1    # makes the environment and installs the wheel
    .venv-race-evengrad/bin/python benches/race/metrics_cost.py

Trains 784-300-100-10 (ReLU, SGD, softmax; batches of 50, as the workload mnist) by `fit`, without a
metric, with one each, and with five together; and a net with one output. On one thread, by the
time that the processor was at it, so that other guests of the machine disturb little. All take
turns, and each counts by its quickest epoch. Prints microseconds a step, by how much of the step
without metrics each is slower, and that for a row of the batch. With ``--small`` the net is
16-16-10: its step is so short that microseconds stand out of what a full machine disturbs.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import evengrad as eg
from evengrad import layers, metrics

INPUTS, HIDDEN, BATCH, STEPS, TURNS = 784, (300, 100), 50, 240, 10
EPOCH = STEPS * BATCH
# Inputs and hidden layers of the small net.
SMALL = 16, (16,)


def together() -> list[object]:
    """Return the metrics whose cost is bounded: at most a tenth of the step."""
    return [
        "accuracy",
        metrics.AUC(average="macro"),
        metrics.Precision(average="macro"),
        metrics.Recall(average="macro"),
        metrics.F1Score("macro"),
    ]


CASES: dict[str, tuple[int, list[object]]] = {
    "none": (10, []),
    "accuracy": (10, ["accuracy"]),
    "AUC, macro": (10, [metrics.AUC(average="macro")]),
    "AUC, micro": (10, [metrics.AUC(average="micro")]),
    "precision, macro": (10, [metrics.Precision(average="macro")]),
    "precision, top 3": (10, [metrics.Precision(top_k=3)]),
    "F1, macro": (10, [metrics.F1Score("macro")]),
    "confusion matrix": (10, [metrics.ConfusionMatrix()]),
    "five together": (10, together()),
    "one output": (1, []),
    "one output, AUC": (1, ["auc"]),
    "one output, five": (1, ["accuracy", "auc", "precision", "recall", "f1_score"]),
}


class Case:
    """A network with metrics, and the times of its epochs."""

    def __init__(self, outputs: int, given: list[object], *, small: bool) -> None:
        rng = np.random.default_rng(0)
        inputs, widths = SMALL if small else (INPUTS, HIDDEN)
        self.x = rng.normal(size=(EPOCH, inputs)).astype("float32")
        self.y = rng.integers(max(2, outputs), size=EPOCH)
        end = layers.Dense(outputs, "softmax" if outputs > 1 else "sigmoid")
        hidden = [layers.Dense(units, "relu") for units in widths]
        loss = "sparse_categorical_crossentropy" if outputs > 1 else "binary_crossentropy"
        self.model = eg.Sequential([*hidden, end], seed=0)
        self.model.compile("sgd", loss, given)
        self.seconds: list[float] = []
        self.train()
        self.seconds.clear()

    def train(self) -> None:
        """Train for an epoch, and note its time."""
        start = time.process_time()
        self.model.fit(self.x, self.y, batch_size=BATCH, verbose=0)
        self.seconds.append(time.process_time() - start)

    @property
    def step(self) -> float:
        """Microseconds a step of the quickest epoch."""
        return min(self.seconds) / STEPS * 1e6


def main() -> None:
    """Train all in turns, and print what each costs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--small", action="store_true", help="a net whose step is short")
    parser.add_argument("--turns", type=int, default=TURNS, help=f"so many turns (default {TURNS})")
    arguments = parser.parse_args()
    eg.set_num_threads(1)
    cases = {name: Case(*given, small=arguments.small) for name, given in CASES.items()}
    for _ in range(arguments.turns):
        for case in cases.values():
            case.train()
    base = 0.0
    for name, case in cases.items():
        if not CASES[name][1]:
            base = case.step
        more = case.step - base
        print(
            f"{name:18} {case.step:8.1f} µs a step  {more:+8.1f} µs  {more / base:+7.1%}"
            f"  {more / BATCH:+7.3f} µs a row"
        )


if __name__ == "__main__":
    main()
