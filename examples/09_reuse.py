"""Exercise 9: what a net is worth for other digits
================================================

Exercise 9 of the chapter: what a net for the digits 0 to 4 is worth for 5 to 9.

.. code-block:: sh

    python examples/09_reuse.py --output results

trains a net of five hidden layers of 100 ELU units on scikit-learn's digits 0 to 4, then reuses it
for the digits 5 to 9 with 1, 3, 5, 10 and 30 labels per class: all five hidden layers frozen, four,
two; four, of which the top two and then all are unfrozen; and the lowest alone, first frozen, then
all layers at a third of the rate. Beside every stage stands a net of as many layers that begins
from scratch. It prints a table of the accuracies on unseen images, means over seeds, with how often
a stage beats its net from scratch, and what the exercise's solution found on MNIST; checks what
holds here; and draws the table (``reuse.png``). Needs scikit-learn and matplotlib:
``pip install "evengrad[all]"``.

Transfer does not always work. The fewer layers stay frozen the better, and each unfreezing helps,
on both tables. But these images are small and easy, so that a net from scratch is hard to beat:
even with one label per class the best stage, the lowest layer alone, comes near it and no further.
On MNIST, too, most of the stages lose to the net from scratch, and only the last one wins.

What frozen layers make of the images is computed once (``fit(cache_frozen=True)``): the training is
the same to the bit.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import evengrad as eg
from evengrad import callbacks, layers, optimizers

HIDDEN, WIDTH, CLASSES = 5, 100, 5
RATE, BATCH, PATIENCE, MOST_EPOCHS = 0.001, 20, 20, 300
# Of the new task, for each class: to choose labels from, and to stop by.
POOL, HELD = 100, 30
LABELS = (1, 3, 5, 10, 30)
SCRATCH = "from scratch"

Arrays = tuple[np.ndarray, np.ndarray]


class Stage(NamedTuple):
    """What becomes of the reused layers: how many there are, and which train after the head."""

    layers: int
    # New hidden layers above them.
    fresh: int
    # Unfrozen one after the other, and by which share of the rate.
    unfrozen: tuple[str | list[str], ...]
    share: float
    # The solution's accuracy on MNIST, with 100 labels per class.
    published: float | None


STAGES = {
    "5 layers, frozen": Stage(5, 0, (), 1.0, 0.6402),
    "4 layers, frozen": Stage(4, 0, (), 1.0, 0.6910),
    "  the top two unfrozen": Stage(4, 0, (["hidden3", "hidden4"],), 1.0, 0.7809),
    "  then all": Stage(4, 0, (["hidden3", "hidden4"], "hidden*"), 1.0, 0.9134),
    "2 layers, frozen": Stage(2, 3, (), 1.0, None),
    "1 layer, then all": Stage(1, 4, ("hidden*",), 1 / 3, None),
}


# What rises from one to the next: the first two have too much frozen to tell them apart.
RISING = ("5 layers, frozen", "4 layers, frozen", "2 layers, frozen", "1 layer, then all")
UNFREEZING = ("4 layers, frozen", "  the top two unfrozen", "  then all")


class Task(NamedTuple):
    """Images and labels of some digits."""

    train: Arrays
    validation: Arrays
    test: Arrays


def digits(low: int) -> Arrays:
    """Return the five digits from that one on, counted from 0, each pixel in [0, 1]."""
    images, labels = load_digits(return_X_y=True)
    chosen = (labels >= low) & (labels < low + CLASSES)
    return (images[chosen] / 16).astype("float32"), labels[chosen] - low


def first_rows(x: np.ndarray, y: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return which rows are the first so many of each class, and which are left."""
    first = np.concatenate([np.flatnonzero(y == one)[:count] for one in range(CLASSES)])
    return first, np.setdiff1d(np.arange(len(x)), first)


def new_task(seed: int) -> Task:
    """Return the digits 5 to 9, another choice of them for each seed."""
    x, y = digits(CLASSES)
    order = np.random.default_rng(seed).permutation(len(x))
    x, y = x[order], y[order]
    held, left = first_rows(x, y, HELD)
    x_left, y_left = x[left], y[left]
    pool, test = first_rows(x_left, y_left, POOL)
    return Task((x_left[pool], y_left[pool]), (x[held], y[held]), (x_left[test], y_left[test]))


def dense(number: int) -> layers.Dense:
    """Return a hidden layer."""
    return layers.Dense(WIDTH, "elu", "he_normal", name=f"hidden{number}")


def head() -> layers.Dense:
    """Return the layer that tells five classes apart."""
    return layers.Dense(CLASSES, "softmax", name="classes")


def network(hidden: int, seed: int) -> eg.Model:
    """Return a net with first values."""
    chain = [dense(number) for number in range(1, hidden + 1)]
    return eg.Sequential([eg.Input((64,)), *chain, head()], seed=seed)


def train(model: eg.Model, task: Task, rate: float, cache: bool | str = "auto") -> int:
    """Train what is not frozen until the validation loss gets no better; return the epochs."""
    model.compile(optimizers.Adam(rate), "sparse_categorical_crossentropy", ["accuracy"])
    stop = callbacks.EarlyStopping(patience=PATIENCE, restore_best_weights=True)
    history = model.fit(
        *task.train,
        batch_size=BATCH,
        epochs=MOST_EPOCHS,
        validation_data=task.validation,
        verbose=0,
        callbacks=[stop],
        cache_frozen=cache,
    )
    return len(history.epoch)


def source(seed: int) -> eg.Model:
    """Return a net that knows the digits 0 to 4."""
    x, y = digits(0)
    x, held_x, y, held_y = train_test_split(x, y, test_size=0.2, stratify=y, random_state=seed)
    model = network(HIDDEN, seed)
    train(model, Task((x, y), (held_x, held_y), (held_x, held_y)), RATE)
    return model


def reused(known: eg.Model, stage: Stage, task: Task) -> float:
    """Return the accuracy of a net that begins with layers of a known one."""
    fresh = [dense(number) for number in range(stage.layers + 1, stage.layers + stage.fresh + 1)]
    model = known.drop_top(1 + HIDDEN - stage.layers).with_head(*fresh, head())
    model.freeze(until=f"hidden{stage.layers}")
    train(model, task, RATE, cache=True)
    for pattern in stage.unfrozen:
        model.unfreeze(pattern)
        train(model, task, RATE * stage.share)
    return float(model.evaluate(*task.test, verbose=0)[1])


def from_scratch(hidden: int, task: Task, seed: int) -> float:
    """Return the accuracy of a net that knows nothing."""
    model = network(hidden, seed + 1000)
    train(model, task, RATE)
    return float(model.evaluate(*task.test, verbose=0)[1])


def few(task: Task, count: int) -> Task:
    """Return the task with so many labels per class."""
    rows, _ = first_rows(*task.train, count)
    return Task((task.train[0][rows], task.train[1][rows]), task.validation, task.test)


class Results(NamedTuple):
    """Accuracies by stage and labels per class, a value for each seed; and of nets from scratch."""

    stages: dict[tuple[str, int], list[float]]
    # By their hidden layers.
    scratch: dict[tuple[int, int], list[float]]


def depth(stage: Stage) -> int:
    """Return how many hidden layers a stage has."""
    return stage.layers + stage.fresh


def run(seeds: int, counts: tuple[int, ...], names: list[str] | None = None) -> Results:
    """Train all stages with several seeds."""
    chosen = {name: STAGES[name] for name in names or STAGES}
    found = Results({}, {})
    for seed in range(seeds):
        known, task = source(seed), new_task(seed)
        for count in counts:
            here = few(task, count)
            for hidden in {depth(stage) for stage in chosen.values()}:
                accuracy = from_scratch(hidden, here, seed)
                found.scratch.setdefault((hidden, count), []).append(accuracy)
            for name, stage in chosen.items():
                found.stages.setdefault((name, count), []).append(reused(known, stage, here))
    return found


def table(found: Results, counts: tuple[int, ...]) -> str:
    """Return means over the seeds, beside nets from scratch and the published figures."""
    lines = [
        f"{'':22}" + "".join(f"{f'{count} label(s)':^20}" for count in counts) + f"{'MNIST':>9}",
        f"{'':22}" + f"{'reused  scratch wins':>20}" * len(counts) + f"{'100':>9}",
    ]
    for name, stage in STAGES.items():
        cells = ""
        for count in counts:
            here, there = found.stages[name, count], found.scratch[depth(stage), count]
            wins = sum(a > b for a, b in zip(here, there, strict=True))
            score = f"{wins}/{len(here)}"
            cells += f"{np.mean(here):>6.3f}{np.mean(there):>9.3f}{score:>5}"
        known = "" if stage.published is None else f"{stage.published:.4f}"
        lines.append(f"{name:22}{cells}{known:>9}")
    return "\n".join(lines)


def check(found: Results, counts: tuple[int, ...]) -> None:
    """End with an error where fewer frozen layers, or an unfreezing, do not help."""
    means = {key: float(np.mean(values)) for key, values in found.stages.items()}
    for count in (count for count in (1, 10) if count in counts):
        *frozen, last = (means[name, count] for name in RISING)
        if not max(frozen[:2]) < frozen[2] < last:
            raise SystemExit(f"{count} labels: fewer frozen layers do not help, {frozen}, {last}")
        unfrozen = [means[name, count] for name in UNFREEZING if (name, count) in means]
        if sorted(unfrozen) != unfrozen:
            raise SystemExit(f"{count} labels: unfreezing does not help, {unfrozen}")


def write(folder: Path, found: Results, counts: tuple[int, ...]) -> None:
    """Draw the accuracies over the labels per class."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4.5))
    for name in STAGES:
        axes.plot(counts, [np.mean(found.stages[name, one]) for one in counts], "o-", label=name)
    plain = [np.mean(found.scratch[HIDDEN, one]) for one in counts]
    axes.plot(counts, plain, "k--", label=f"{SCRATCH}, {HIDDEN} layers")
    axes.set_xscale("log")
    axes.set_xticks(counts, [str(one) for one in counts])
    axes.minorticks_off()
    axes.set_xlabel("labels per class")
    axes.set_ylabel("accuracy on unseen images")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(folder / "reuse.png", dpi=120)
    print(f"wrote {folder / 'reuse.png'}")


def main() -> None:
    """Train, print the table, check it, and draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--output", type=Path, help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="fewer seeds and labels")
    arguments = parser.parse_args()
    seeds, counts = (2, (1, 10)) if arguments.quick else (8, LABELS)

    started = time.perf_counter()
    found = run(seeds, counts)
    seconds = time.perf_counter() - started
    print(table(found, counts))
    print(
        f"Means of {seeds} seeds of the accuracy on unseen images of 5 to 9; how often a stage is "
        f"better than its\nnet from scratch. {seconds:.1f} s. Published: MNIST, 100 labels per "
        "class; four layers from scratch 0.8482"
    )
    check(found, counts)
    if arguments.output is not None:
        arguments.output.mkdir(parents=True, exist_ok=True)
        write(arguments.output, found, counts)


if __name__ == "__main__":
    main()
