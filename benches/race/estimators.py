"""The estimators beside scikit-learn's perceptrons: fitting, predicting, and the import.

    make race QUICK=1    # makes the environment and installs the wheel
    .venv-test/bin/python benches/race/estimators.py

Run it with a Python that has evengrad and scikit-learn. Both get the same arguments: sizes, batches
(200 rows, as is the default), epochs, single precision; nothing stops early, and nothing is held
out. Estimators are made anew for each fit, as in a search. All take turns, and each counts by the
median of its turns. With `--threads 1` each is kept to one thread, and the time counts that the
processor was at it, so that other guests of the machine disturb little. Prints milliseconds, how
many times as long scikit-learn takes, and the bound. The import is that of fresh interpreters, over
`sklearn.base` and `evengrad`.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor
from threadpoolctl import threadpool_limits

from evengrad.sklearn import DenseClassifier, DenseRegressor

if TYPE_CHECKING:
    from collections.abc import Callable

CLASSES = 3
# Rows, features, hidden layers, epochs, and how many times as fast a fit is to be.
FITS = {
    "500×20, (32, 16)": (500, 20, (32, 16), 200, 10.0),
    "10,000×50, (100,)": (10_000, 50, (100,), 20, 8.0),
    "20,000×784, (300, 100)": (20_000, 784, (300, 100), 2, 2.0),
}
# Rows to predict, and how many times as fast that is to be.
PREDICTIONS = {"one row": (1, 10.0), "100,000 rows": (100_000, 3.0)}
TASKS = {
    "classifier": (DenseClassifier, MLPClassifier),
    "regressor": (DenseRegressor, MLPRegressor),
}
# Seconds that a turn takes at least, by repetition, and the milliseconds that the import may take.
LEAST, IMPORT_BOUND = 0.02, 20.0
IMPORTS = """
import time, sklearn.base, evengrad
start = time.perf_counter()
import evengrad.sklearn
print(time.perf_counter() - start)
"""


@dataclass
class Pair:
    """The same work by both."""

    name: str
    bound: float
    ours: Callable[[], object]
    theirs: Callable[[], object]


def data(task: str, rows: int, features: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rows with something to learn in them."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, features)).astype(np.float32)
    score = x[:, : min(8, features)].sum(axis=1) + np.sin(2 * x[:, 0])
    if task == "regressor":
        return x, score.astype(np.float32)
    return x, np.digitize(score, [-1.5, 1.5])


def arguments(hidden: tuple[int, ...], epochs: int) -> dict[str, Any]:
    """Return what both are made with: just so many epochs."""
    no_stop = {"tol": 0.0, "n_iter_no_change": 10 * epochs}
    return {"hidden_layer_sizes": hidden, "max_iter": epochs, "random_state": 0, **no_stop}


def fits(task: str) -> list[Pair]:
    """Return fits of each size."""
    pairs = []
    for name, (rows, features, hidden, epochs, bound) in FITS.items():
        x, y = data(task, rows, features)
        given = arguments(hidden, epochs)
        ours, theirs = (
            lambda kind=kind, given=given, x=x, y=y: kind(**given).fit(x, y) for kind in TASKS[task]
        )
        pairs.append(Pair(f"fit {name}", bound, ours, theirs))
    return pairs


def predictions(task: str) -> list[Pair]:
    """Return predictions of fitted estimators."""
    _, features, hidden, _, _ = FITS["10,000×50, (100,)"]
    x, y = data(task, max(rows for rows, _ in PREDICTIONS.values()), features)
    fitted = [kind(**arguments(hidden, 2)).fit(x[:2000], y[:2000]) for kind in TASKS[task]]
    return [
        Pair(
            f"predict {name}",
            bound,
            *(lambda one=one, x=x[:rows]: one.predict(x) for one in fitted),
        )
        for name, (rows, bound) in PREDICTIONS.items()
    ]


def seconds(work: Callable[[], object], times: int, clock: Callable[[], float]) -> float:
    """Return how long a call takes, as the mean of some."""
    start = clock()
    for _ in range(times):
        work()
    return (clock() - start) / times


def measure(pair: Pair, rounds: int, clock: Callable[[], float]) -> list[list[float]]:
    """Let both take turns; return the seconds of each."""
    works = [pair.ours, pair.theirs]
    # The first call warms up, and says how often one fits into a turn.
    times = [max(1, int(LEAST / max(seconds(work, 1, time.perf_counter), 1e-7))) for work in works]
    found: list[list[float]] = [[], []]
    for _ in range(rounds):
        for one, work, count in zip(found, works, times, strict=True):
            one.append(seconds(work, count, clock))
    return found


def import_milliseconds(rounds: int) -> float:
    """Return how long the import takes in a fresh interpreter, its first time left out."""
    found = []
    for _ in range(rounds + 1):
        command = [sys.executable, "-c", IMPORTS]
        finished = subprocess.run(command, capture_output=True, check=True, text=True)
        found.append(float(finished.stdout) * 1e3)
    return statistics.median(found[1:])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, help="of each; by default as many as they take")
    parser.add_argument("--only", default="", help="the text that names of rows are to have")
    given = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    clock = time.process_time if given.threads == 1 else time.perf_counter
    print(f"{'':40}{'evengrad':>12}{'sklearn':>12}{'times':>8}{'bound':>7}")
    with threadpool_limits(given.threads):
        for task in TASKS:
            for pair in [*fits(task), *predictions(task)]:
                name = f"{task}, {pair.name}"
                if given.only in name:
                    found = measure(pair, given.rounds, clock)
                    ours, theirs = (1e3 * statistics.median(one) for one in found)
                    columns = f"{ours:9.3f} ms{theirs:9.3f} ms{theirs / ours:8.1f}{pair.bound:7.0f}"
                    print(f"{name:40}{columns}", flush=True)
    if given.only in "import":
        print(
            f"{'import':40}{import_milliseconds(given.rounds):9.3f} ms, bound {IMPORT_BOUND:.0f} ms"
        )


if __name__ == "__main__":
    main()
