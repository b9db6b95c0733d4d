"""How quickly a restricted Boltzmann machine learns, beside scikit-learn's.

    python benches/race/rbm_speed.py

Run it with a Python that has evengrad and scikit-learn. Trains machines on the 1797 digits, with
64 visible units, by persistent contrastive divergence, as `BernoulliRBM` does: there with its
defaults, 256 hidden units and batches of 10, and with other sizes, in double precision, which it
takes what is given in for, and in single; here in single, as all nets are by default. CD-1, which
begins its chains at the data, is beside it. All take turns, and each counts by the median of its
turns. Prints milliseconds an epoch, with all that a call costs divided among its epochs, and how
many times as long scikit-learn takes.
"""

from __future__ import annotations

import os
import statistics
import time

import numpy as np
from sklearn.datasets import load_digits
from sklearn.neural_network import BernoulliRBM

import evengrad as eg
from evengrad import layers

SIZES = ((256, 10), (100, 10), (256, 100), (100, 100))
RATE, TURNS = 0.05, 7
# Epochs of a turn: of theirs fewer, which take longer.
OURS, THEIRS = 20, 3
COLUMNS = ("sklearn, float64", "sklearn, float32", "persistent", "CD-1")


def sklearn_epoch(x: np.ndarray, units: int, batch: int) -> float:
    """Return the milliseconds of an epoch of scikit-learn's machine."""
    machine = BernoulliRBM(
        units, learning_rate=RATE, batch_size=batch, n_iter=THEIRS, random_state=0
    )
    start = time.perf_counter()
    machine.fit(x)
    return (time.perf_counter() - start) / THEIRS * 1e3


def epoch(x: np.ndarray, units: int, batch: int, *, persistent: bool) -> float:
    """Return the milliseconds of an epoch of the machine here."""
    first = eg.initializers.RandomNormal(stddev=0.01)
    hidden = layers.Dense(units, "sigmoid", kernel_initializer=first)
    model = eg.Sequential([eg.Input((64,)), hidden, layers.Dense(10, "softmax")], seed=0)
    start = time.perf_counter()
    eg.pretrain.rbm(
        model,
        x,
        persistent=persistent,
        learning_rate=RATE,
        batch_size=batch,
        epochs=OURS,
        verbose=0,
    )
    return (time.perf_counter() - start) / OURS * 1e3


def main() -> None:
    """Print the table."""
    double = load_digits().data / 16
    single = double.astype(np.float32)
    print(f"{len(double)} digits, {os.cpu_count()} processors, medians of {TURNS} turns")
    print(f"{'hidden':>6}{'batch':>7}" + "".join(f"{name:>18}" for name in COLUMNS) + "   times")
    for units, batch in SIZES:
        cases = [
            lambda u=units, b=batch: sklearn_epoch(double, u, b),
            lambda u=units, b=batch: sklearn_epoch(single, u, b),
            lambda u=units, b=batch: epoch(single, u, b, persistent=True),
            lambda u=units, b=batch: epoch(single, u, b, persistent=False),
        ]
        turns = [[case() for case in cases] for _ in range(TURNS + 1)]
        # The first turn warms up.
        medians = [statistics.median(column) for column in zip(*turns[1:], strict=True)]
        times = f"{medians[0] / medians[2]:8.1f}, {medians[1] / medians[2]:.1f}"
        print(f"{units:6}{batch:7}" + "".join(f"{one:15.1f} ms" for one in medians) + times)


if __name__ == "__main__":
    main()
