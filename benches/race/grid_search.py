"""A grid search with two workers: our estimators beside scikit-learn's, and beside one worker.

    make race QUICK=1    # makes the environment and installs the wheel
    .venv-test/bin/python benches/race/grid_search.py

Run it with a Python that has evengrad and scikit-learn. `GridSearchCV` of 24 candidates (sizes,
penalties and learning rates), each on 5 folds of 500 rows of 20 features, for 200 epochs, with the
same arguments for both; nothing stops early. The three take turns, after one each to start the
workers, and each counts by the median of its turns. Prints seconds of wall time and of processors,
those of the workers too, which other guests of the machine disturb less, and the ratios beside
their bounds. psutil is to be there, as the extra `evengrad[sklearn]` brings it: without it joblib
collects garbage in each worker once a second, which takes a tenth of one.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import make_classification
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier

from evengrad.sklearn import DenseClassifier

GRID = {
    "hidden_layer_sizes": [(16,), (32,), (16, 8), (32, 16)],
    "alpha": [1e-4, 1e-2],
    "learning_rate_init": [3e-4, 1e-3, 3e-3],
}
FOLDS, EPOCHS = 5, 200


def processor_seconds() -> float:
    """Return the time that processors were at this process and its workers, so far."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        # A process may end meanwhile.
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if os.getpid() in (int(stat.parent.name), int(fields[1])):
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def search(kind: type[Any], workers: int, x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Return the seconds of a search, of walls and of processors, without a fit of the best."""
    fixed = kind(max_iter=EPOCHS, tol=0.0, n_iter_no_change=10 * EPOCHS, random_state=0)
    start, begun = time.perf_counter(), processor_seconds()
    GridSearchCV(fixed, GRID, cv=FOLDS, n_jobs=workers, refit=False).fit(x, y)
    return time.perf_counter() - start, processor_seconds() - begun


def main() -> None:
    """Let all take turns, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    # Of workers too, which find it in the environment.
    warnings.simplefilter("ignore")
    x, y = make_classification(500, 20, n_informative=10, n_classes=3, random_state=0)
    x = x.astype(np.float32)
    runs = {
        "evengrad, two workers": (DenseClassifier, 2),
        "evengrad, one worker": (DenseClassifier, 1),
        "sklearn, two workers": (MLPClassifier, 2),
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for number in range(given.rounds + 1):
        for name, (kind, workers) in runs.items():
            seconds = search(kind, workers, x, y)
            # The first turn starts the workers.
            if number:
                found[name].append(seconds)
    medians = {name: np.median(times, axis=0) for name, times in found.items()}
    print(f"{'':24}{'wall':>10}{'processors':>12}")
    for name, (wall, busy) in medians.items():
        print(f"{name:24}{wall:8.2f} s{busy:10.2f} s")
    ours, one, theirs = medians.values()
    for name, over, bound in (("sklearn", theirs / ours, 15), ("one worker", one / ours, 1.8)):
        # Processors that are free make two workers twice as fast as they are busy.
        wall, busy = over * [1, 2 if name == "one worker" else 1]
        print(f"times as fast as {name}: {wall:.2f}; by processors {busy:.2f}; bound {bound}")


if __name__ == "__main__":
    main()
