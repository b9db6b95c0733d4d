"""Many small nets at once: `fit_many` beside one net on one thread, and beside scikit-learn.

    make race QUICK=1    # makes the environment and installs the wheel
    .venv-test/bin/python benches/race/many.py

Run it with a Python that has evengrad; scikit-learn takes part where it is installed. Sixteen nets
of the race's workload *tabular* (30-64-32-2, ReLU, Adam, batches of 32) are trained by `fit_many`,
one of them by `fit` on one thread, and scikit-learn's `MLPClassifier` of the same shape in as many
processes as there are threads. They take turns, and each counts by the median of its turns. Prints
the steps of all models in a second of wall time, and the ratios beside their bounds; and once more
by the seconds of the processors, as if all of them had worked for nobody else.
"""

from __future__ import annotations

import argparse
import importlib.util
import multiprocessing
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

import evengrad as eg
from evengrad import layers

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS, INPUTS, HIDDEN, CLASSES, BATCH = 4096, 30, (64, 32), 2, 32
STEPS = ROWS // BATCH
# Epochs of ours, and of scikit-learn, which takes many times as long for one.
EPOCHS, THEIR_EPOCHS = 60, 6
THEIRS = "scikit-learn, processes"


def data() -> tuple[np.ndarray, np.ndarray]:
    """Return rows and classes."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, INPUTS)).astype("float32")
    return x, (x[:, :5].sum(axis=1) > 0).astype("int64")


def net(seed: int) -> eg.Sequential:
    """Return a compiled net."""
    hidden = [layers.Dense(units, "relu") for units in HIDDEN]
    model = eg.Sequential([eg.Input((INPUTS,)), *hidden, layers.Dense(CLASSES)], seed=seed)
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def train_with_sklearn(seed: int) -> None:
    """Train scikit-learn's net of the same shape."""
    from sklearn.neural_network import MLPClassifier
    from threadpoolctl import threadpool_limits

    warnings.simplefilter("ignore")
    theirs = MLPClassifier(
        HIDDEN,
        batch_size=BATCH,
        alpha=0.0,
        max_iter=THEIR_EPOCHS,
        tol=0.0,
        n_iter_no_change=10 * THEIR_EPOCHS,
        random_state=seed,
    )
    with threadpool_limits(1):
        theirs.fit(*data())


def turn(work: Callable[[], object], steps: int) -> tuple[float, float]:
    """Return the steps that some work makes in a second, of walls and of this process' time."""
    start, begun = time.perf_counter(), time.process_time()
    work()
    return steps / (time.perf_counter() - start), steps / (time.process_time() - begun)


def contestants(nets: int, threads: int) -> dict[str, Callable[[], tuple[float, float]]]:
    """Return what takes turns, by its name."""
    x, y = data()

    def many() -> tuple[float, float]:
        models = [net(seed) for seed in range(nets)]
        settings = {"epochs": EPOCHS, "batch_size": BATCH, "n_threads": threads, "verbose": 0}
        return turn(lambda: eg.fit_many(models, x, y, **settings), nets * EPOCHS * STEPS)

    def one() -> tuple[float, float]:
        model, epochs, before = net(0), 4 * EPOCHS, eg.get_num_threads()
        eg.set_num_threads(1)
        try:
            settings = {"epochs": epochs, "batch_size": BATCH, "verbose": 0}
            return turn(lambda: model.fit(x, y, **settings), epochs * STEPS)
        finally:
            eg.set_num_threads(before)

    return {"fit_many": many, "fit, one thread": one}


def main() -> None:
    """Let all take turns, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nets", type=int, default=16)
    parser.add_argument("--threads", type=int, default=eg.get_num_threads())
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    nets, threads = given.nets, given.threads
    runs, pool = contestants(nets, threads), None
    if importlib.util.find_spec("sklearn") and importlib.util.find_spec("threadpoolctl"):
        pool = ProcessPoolExecutor(threads, multiprocessing.get_context("spawn"))

        def theirs() -> tuple[float, float]:
            steps = nets * THEIR_EPOCHS * STEPS
            return turn(lambda: list(pool.map(train_with_sklearn, range(nets))), steps)

        runs[THEIRS] = theirs
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for number in range(given.rounds + 1):
        for name, run in runs.items():
            rates = run()
            # The first turn starts threads and processes.
            if number:
                found[name].append(rates)
    if pool is not None:
        pool.shutdown()
    medians = {name: np.median(rates, axis=0) for name, rates in found.items()}
    print(f"{nets} nets {INPUTS}-{'-'.join(map(str, HIDDEN))}-{CLASSES}, {threads} threads")
    for name, (wall, _) in medians.items():
        print(f"{name:26}{wall:12,.0f} model-steps/s")
    wall, busy = medians["fit_many"] / medians["fit, one thread"] * [1, threads]
    print(f"times one net on one thread: {wall:.2f}; by processors {busy:.2f}; bound 1.9 on two")
    if pool is not None:
        over = medians["fit_many"][0] / medians[THEIRS][0]
        print(f"times scikit-learn in {threads} processes: {over:.1f}; bound 14")


if __name__ == "__main__":
    main()
