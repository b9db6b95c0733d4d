"""Performance cliffs: whether one unit or one row more makes a training step much slower.

    make race QUICK=1    # makes the environment and installs the wheel
    .venv-race-evengrad/bin/python benches/race/cliffs.py

Trains 100-w-w-10 with ReLU and Adam, by `fit`, for widths w at 128 rows a batch, and for batches at
a width of 100, around sizes at which something changes within (vectors, tiles, blocks, the choice
of a kernel). All sizes take turns, and each counts by its quickest epoch, which other guests of the
machine have not disturbed. Prints the nanoseconds per thousand multiply-adds, and how each compares
with the size before it.
"""

from __future__ import annotations

import time

import numpy as np

import evengrad as eg
from evengrad import layers, optimizers

INPUTS, CLASSES, WIDTH, BATCH = 100, 10, 100, 128
WIDTHS = (15, 16, 17, 31, 32, 33, 45, 46, 63, 64, 65, 95, 96, 97, 127, 128, 129, 255, 256, 257)
BATCHES = (1, 2, 3, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257, 511, 512, 513)
STEPS, TURNS = 64, 12
# Neighbours whose time per multiply-add differs by more than this are a cliff.
CLIFF = 1.3


class Size:
    """A network and a batch size."""

    def __init__(self, width: int, batch: int) -> None:
        rng = np.random.default_rng(0)
        self.batch = batch
        self.x = rng.normal(size=(STEPS * batch, INPUTS)).astype("float32")
        self.y = rng.integers(CLASSES, size=STEPS * batch)
        self.model = eg.Sequential(
            [layers.Dense(width, "relu"), layers.Dense(width, "relu"), layers.Dense(CLASSES)],
            seed=0,
        )
        loss = "sparse_categorical_crossentropy"
        self.model.compile(optimizers.Adam(1e-4), loss)
        products = INPUTS * width + width * width + width * CLASSES
        self.multiply_adds = (3 * products - INPUTS * width) * batch
        self.quickest = float("inf")

    def turn(self) -> None:
        """Train for some epochs and take the time of each."""
        times: list[float] = []
        watch = eg.callbacks.LambdaCallback(
            on_epoch_end=lambda *_: times.append(time.perf_counter())
        )
        self.model.fit(
            self.x, self.y, batch_size=self.batch, epochs=6, verbose=0, callbacks=[watch]
        )
        # The first epoch is that of the capture.
        self.quickest = min(self.quickest, float(np.diff(times).min()) / STEPS)

    def cost(self) -> float:
        """Return the nanoseconds per thousand multiply-adds."""
        return self.quickest * 1e12 / self.multiply_adds


def compare(what: str, sizes: dict[int, Size]) -> None:
    """Measure sizes in turn, and print how each compares with the one before it."""
    for _ in range(TURNS):
        for size in sizes.values():
            size.turn()
    print(f"{what:8}{'ns':>8}{'ratio':>8}")
    before = None
    for number, size in sizes.items():
        # Neighbours are one unit apart; what lies between groups of them is no cliff.
        near = before is not None and number == before + 1
        ratio = size.cost() / sizes[before].cost() if near and before is not None else None
        text = "" if ratio is None else f"{ratio:8.2f}" + ("  cliff" if ratio > CLIFF else "")
        print(f"{number:<8}{size.cost():8.2f}{text}", flush=True)
        before = number


def main() -> None:
    """Measure widths, then batches."""
    compare("width", {width: Size(width, BATCH) for width in WIDTHS})
    compare("batch", {batch: Size(WIDTH, batch) for batch in BATCHES})


if __name__ == "__main__":
    main()
