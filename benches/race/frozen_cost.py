"""What a training costs where layers are frozen, and where their outputs are kept besides.

    make race QUICK=1    # makes the environment and installs the wheel
    .venv-race-evengrad/bin/python benches/race/frozen_cost.py

Trains the net of exercise 9, 64-100-100-100-100-100-5 (ELU, Adam 0.01, batches of 20), on as many
rows as there: 100 images of each of five classes, 30 of each for validation. All of it; with the
five hidden layers frozen; and with their outputs kept, ``fit(cache_frozen=True)``, computed in the
first epoch. On one thread, by the time that the processor was at it, so that other
guests of the machine disturb little. All take turns, each from the same weights, and each counts by
its quickest turn. Prints microseconds an epoch, with validation after each and without, and how
many times cheaper each is than the one before.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

import evengrad as eg
from evengrad import layers

INPUTS, HIDDEN, WIDTH, CLASSES = 64, 5, 100, 5
ROWS, VALIDATION, BATCH = 500, 150, 20
EPOCHS, TURNS = 200, 12


class Case:
    """A way of training the net, and the times of its turns."""

    def __init__(self, frozen: bool, validates: bool, **given: Any) -> None:
        rng = np.random.default_rng(0)
        self.x = rng.normal(size=(ROWS, INPUTS)).astype("float32")
        self.y = rng.integers(CLASSES, size=ROWS)
        held = self.x[:VALIDATION], self.y[:VALIDATION]
        self.given = {**given, **({"validation_data": held} if validates else {})}
        hidden = [
            layers.Dense(WIDTH, "elu", "he_normal", name=f"hidden{number}")
            for number in range(1, HIDDEN + 1)
        ]
        self.model = eg.Sequential(
            [eg.Input((INPUTS,)), *hidden, layers.Dense(CLASSES, "softmax")], seed=0
        )
        self.model.compile(
            eg.optimizers.Adam(0.01), "sparse_categorical_crossentropy", ["accuracy"]
        )
        if frozen:
            self.model.freeze("hidden*")
        self.weights = self.model.get_weights()
        self.seconds: list[float] = []
        self.train()
        self.seconds.clear()

    def train(self) -> None:
        """Train for some epochs, and note the time."""
        self.model.set_weights(self.weights)
        start = time.process_time()
        self.model.fit(self.x, self.y, batch_size=BATCH, epochs=EPOCHS, verbose=0, **self.given)
        self.seconds.append(time.process_time() - start)

    @property
    def epoch(self) -> float:
        """Microseconds an epoch of the quickest turn."""
        return min(self.seconds) / EPOCHS * 1e6


def main() -> None:
    """Train all in turns, and print what each costs."""
    eg.set_num_threads(1)
    for validates in (False, True):
        cases = {
            "all layers": Case(False, validates),
            "hidden layers frozen": Case(True, validates),
            "and their outputs kept": Case(True, validates, cache_frozen=True),
        }
        for _ in range(TURNS):
            for case in cases.values():
                case.train()
        print("with validation" if validates else "without validation")
        before = None
        for name, case in cases.items():
            ratio = "" if before is None else f"  x {before / case.epoch:.2f}"
            print(f"  {name:24} {case.epoch:9.1f} us an epoch{ratio}")
            before = case.epoch


if __name__ == "__main__":
    main()
