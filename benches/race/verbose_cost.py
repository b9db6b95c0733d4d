"""What the lines of `verbose=2` cost of a training.

    make race QUICK=1    # makes the environment and installs the wheel
    .venv-race-evengrad/bin/python benches/race/verbose_cost.py

Trains small nets on few rows, so that epochs are short, by `fit` with and without a line for each
epoch, which goes to a file. On one thread, by the time that the processor was at it; both take
turns, and each counts by its quickest fit. Prints microseconds an epoch, and by how much of it the
lines make it slower.
"""

from __future__ import annotations

import contextlib
import tempfile
import time

import numpy as np

import evengrad as eg
from evengrad import layers

INPUTS, UNITS, CLASSES, BATCH = 20, 32, 4, 32
SECONDS, TURNS = 0.3, 30
# Rows of the data, and what is tracked beside the loss.
CASES = [(rows, metrics) for rows in (64, 320, 1600) for metrics in (None, ["accuracy"])]


def net(metrics: list[str] | None) -> eg.Sequential:
    """Return a small classifier."""
    model = eg.Sequential([layers.Dense(UNITS, "relu"), layers.Dense(CLASSES)], seed=0)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=metrics)
    return model


def main() -> None:
    """Train with and without lines in turns, and print what they cost."""
    eg.set_num_threads(1)
    rng = np.random.default_rng(0)
    for rows, metrics in CASES:
        x = rng.normal(size=(rows, INPUTS)).astype("float32")
        y = rng.integers(CLASSES, size=rows)
        model = net(metrics)

        def fit(epochs: int, verbose: int) -> float:
            began = time.process_time()
            model.fit(x, y, batch_size=BATCH, epochs=epochs, verbose=verbose)  # noqa: B023 - called here alone
            return (time.process_time() - began) / epochs

        fit(100, 0)
        epochs = round(SECONDS / fit(1000, 0))
        taken: dict[int, list[float]] = {0: [], 2: []}
        with tempfile.TemporaryFile("w", encoding="utf-8") as file:
            for _ in range(TURNS):
                for verbose, seconds in taken.items():
                    with contextlib.redirect_stdout(file):
                        seconds.append(fit(epochs, verbose))
                    file.seek(0)
        silent, shown = (min(seconds) for seconds in taken.values())
        tracked = "loss" if metrics is None else "loss and accuracy"
        print(
            f"{rows:5} rows, {tracked:18} {silent * 1e6:8.1f} µs an epoch  "
            f"{shown / silent - 1.0:+6.1%} with lines",
            flush=True,
        )


if __name__ == "__main__":
    main()
