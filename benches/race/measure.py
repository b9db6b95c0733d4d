"""Shared by all racers: data, timing, the check on losses, the load of other processes.

A racer is a script for one library, run by that library's Python in a process of its own:

    python racer_torch.py TASK WORKLOAD SETTING THREADS SECONDS

It hands its trainers, answerers and fresh fits to `run`, which prints one line of JSON: the rate
and what is needed to judge it, or why the library does not take part.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import sys
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from workloads import BY_NAME, Workload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

# The time of a measurement is cut into so many windows, and their median is its rate: a hiccup of
# the machine falls into one of them.
WINDOWS = 5
# Epochs after which a new model must have a lower loss than in the first.
WATCHED_EPOCHS = 5
# New models that are trained for longer, and epochs that they get more than one: enough that these
# outweigh the noise of the first.
LONGER_FITS, MORE_EPOCHS = 5, 10


class Unsuitable(Exception):  # noqa: N818 - it is an answer, not an error
    """The library, or this setting of it, has not what the workload asks for."""


class Trainer(Protocol):
    """A model of some library with its data, ready to train."""

    def epochs(self, count: int) -> None:
        """Train for whole epochs and wait until they are done."""

    def watched_epoch(self) -> float:
        """Train for one epoch and return the mean of its batches' losses."""


class FreshFits(Protocol):
    """New models of some library, each trained from its first weights on."""

    def fit(self, epochs: int) -> list[float]:
        """Make a model, train it for some epochs, and return the loss of each."""


@dataclass
class Answerer:
    """A model of some library that is asked about one row at a time."""

    ask: Callable[[Any], Any]
    """Returns the model's answer to a row, complete."""
    rows: Sequence[Any]
    """Two different rows, as `ask` takes them."""
    as_array: Callable[[Any], np.ndarray] = np.asarray
    context: contextlib.AbstractContextManager[Any] = field(default_factory=contextlib.nullcontext)
    """What holds while rows are asked about."""


def data(workload: Workload) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and labels of one epoch.

    The labels follow from the rows by a linear rule, so that there is something to learn and a
    loss that does not fall tells of a defect. But each row comes twice, the second time with a
    label that is drawn at random as often as not: no net can fit both, however long it trains.
    Otherwise the quick ones would reach a loss of zero, gradients would fade into numbers below the
    smallest normal one, and the race would measure how slowly a processor computes with those.
    """
    generator = np.random.default_rng(0)
    rows = workload.rows // 2
    x = generator.standard_normal((rows, workload.inputs), dtype=np.float32)
    rule = generator.standard_normal((workload.inputs, workload.classes), dtype=np.float32)
    labels = (x @ rule).argmax(axis=1)
    random_labels = generator.integers(0, workload.classes, rows)
    noisy = np.where(generator.random(rows) < 0.5, random_labels, labels)
    return np.concatenate([x, x]), np.concatenate([labels, noisy])


@dataclass
class Share:
    """The processor time that other processes took, as a share of one core: 1.0 is all of one.

    None before it is known, and where the system does not tell.
    """

    value: float | None = None


@contextlib.contextmanager
def other_processes() -> Iterator[Share]:
    """Watch what others take while a `with` block runs, of the cores that this process may use.

    What a hypervisor takes from these cores counts too. Helpers of this process count as its own
    once they have ended.
    """
    share = Share()
    before = processor_times()
    yield share
    after = processor_times()
    if before is not None and after is not None:
        wall, busy, own = (b - a for a, b in zip(before, after, strict=True))
        # The kernel counts in ticks, so the difference can fall a little below zero.
        share.value = max(0.0, (busy - own) / wall)


def processor_times() -> tuple[float, float, float] | None:
    """Return the time, the cores' busy time and this process' own; None without ``/proc/stat``."""
    try:
        lines = Path("/proc/stat").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    cores = {f"cpu{core}" for core in os.sched_getaffinity(0)}
    ticks = 0
    for name, *counts in (line.split() for line in lines):
        if name in cores:
            user, nice, system, _, _, interrupts, soft_interrupts, stolen = map(int, counts[:8])
            ticks += user + nice + system + interrupts + soft_interrupts + stolen
    own = sum(os.times()[:4])
    return time.perf_counter(), ticks / os.sysconf("SC_CLK_TCK"), own


def rates(work: Callable[[int], object], seconds: float) -> list[float]:
    """Return how many pieces of work are done in a second, in each of some windows.

    ``work(n)`` does n pieces. It has been called before: what happens once lies behind it.
    """

    def took(count: int) -> float:
        start = time.perf_counter()
        work(count)
        return time.perf_counter() - start

    # A few more rounds of warm-up, until one is long enough to foretell how long the others take.
    count = 1
    while (elapsed := took(count)) < seconds / (4 * WINDOWS):
        count *= 2
    each = elapsed / count
    count = max(1, round(seconds / WINDOWS / each))
    windows = min(WINDOWS, max(1, round(seconds / (count * each))))
    return [count / took(count) for _ in range(windows)]


def measure_training(trainer: Trainer, workload: Workload, seconds: float) -> dict[str, Any]:
    """Return steps per second, and the losses of the first and the last epoch."""
    first = trainer.watched_epoch()
    with other_processes() as others:
        epochs = rates(trainer.epochs, seconds)
    return {
        "rate": statistics.median(epochs) * workload.batches,
        "windows": [rate * workload.batches for rate in epochs],
        "first_loss": float(first),
        "last_loss": float(trainer.watched_epoch()),
        "others": others.value,
    }


def measure_fresh_fits(fresh: FreshFits, seconds: float) -> dict[str, Any]:
    """Return new models trained per second, one epoch each, the seconds of the first one, and more.

    The first one of a process imports what is needed, and starts the threads. What each epoch after
    the first adds, ``epoch_seconds``, is time of the steps alone.
    """
    start = time.perf_counter()
    fresh.fit(1)
    first = time.perf_counter() - start
    # One epoch has no fall of the loss to show.
    losses = fresh.fit(WATCHED_EPOCHS)

    def work(count: int) -> None:
        for _ in repeat(None, count):
            fresh.fit(1)

    with other_processes() as others:
        fits = rates(work, seconds)
        longer = []
        for _ in range(LONGER_FITS):
            start = time.perf_counter()
            fresh.fit(1 + MORE_EPOCHS)
            longer.append(time.perf_counter() - start)
    return {
        "epoch_seconds": (statistics.median(longer) - 1 / statistics.median(fits)) / MORE_EPOCHS,
        "rate": statistics.median(fits),
        "windows": fits,
        "first_seconds": first,
        "first_loss": float(losses[0]),
        "last_loss": float(losses[-1]),
        "others": others.value,
    }


def measure_answers(answerer: Answerer, seconds: float) -> dict[str, Any]:
    """Return answers per second, and whether answers are numbers that depend on the row."""
    ask, row = answerer.ask, answerer.rows[0]

    def work(count: int) -> None:
        for _ in repeat(None, count):
            ask(row)

    with answerer.context:
        one, other = (np.array(answerer.as_array(ask(given))) for given in answerer.rows)
        work(10)
        with other_processes() as others:
            answers = rates(work, seconds)
    return {
        "rate": statistics.median(answers),
        "windows": answers,
        "finite": bool(np.isfinite([one, other]).all()),
        "different": bool((one != other).any()),
        "others": others.value,
    }


def run(
    libraries: Sequence[str],
    trainers: dict[str, Callable[[Workload, str, int], Trainer]],
    answerers: dict[str, Callable[[Workload, str, int], Answerer]],
    fresh_fits: dict[str, Callable[[Workload, str, int], FreshFits]] | None = None,
) -> None:
    """Do what the command line says and print the outcome; see the module's text.

    Parameters
    ----------
    libraries
        The packages whose versions are of interest.
    trainers, answerers, fresh_fits
        By the name of a task, a function of workload, setting and threads.
    """
    task, name, setting, threads, seconds = sys.argv[1:]
    workload = BY_NAME[name]
    given = (workload, setting, int(threads))
    try:
        if task in trainers:
            outcome = measure_training(trainers[task](*given), workload, float(seconds))
        elif fresh_fits and task in fresh_fits:
            outcome = measure_fresh_fits(fresh_fits[task](*given), float(seconds))
        else:
            outcome = measure_answers(answerers[task](*given), float(seconds))
    except Unsuitable as reason:
        outcome = {"unsuitable": str(reason)}
    outcome["versions"] = {library: version(library) for library in libraries}
    print(json.dumps(outcome))
