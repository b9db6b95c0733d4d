"""What an LSTM costs on sequences of several lengths, beside the same batch without a mask.

    make race QUICK=1    # makes the environment and installs the wheel
    .venv-race-evengrad/bin/python benches/race/masked_lstm.py

Trains LSTM 128 and a dense layer behind it, on 32 inputs, 50 steps and batches of 64 rows whose
lengths are even over 5 to 50, padded on the right (Adam, squared error): with a mask, with a mask
under which all steps count, and without one. All take turns, and each counts by the median of its
turns, by the time that the processor was at it. ``--threads 2`` goes by the clock. Prints steps per
second and their ratios.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np

import evengrad as eg
from evengrad import layers

UNITS, INPUTS, STEPS, BATCH, BATCHES = 128, 32, 50, 64, 16
SHORTEST, TURNS, EPOCHS = 5, 15, 2


class Case:
    """A way of training the net, and the seconds of its turns."""

    def __init__(self, kind: str, masked: bool, padded: bool) -> None:
        rng = np.random.default_rng(0)
        self.x = rng.normal(size=(BATCH * BATCHES, STEPS, INPUTS)).astype("float32")
        self.y = rng.normal(size=(len(self.x), 1)).astype("float32")
        if padded:
            lengths = rng.integers(SHORTEST, STEPS + 1, len(self.x))
            self.x[np.arange(STEPS) >= lengths[:, None]] = 0.0
        chain: list[layers.Layer] = [layers.Masking()] if masked else []
        recurrent = {"lstm": layers.LSTM, "gru": layers.GRU}[kind](UNITS)
        self.model = eg.Sequential(
            [eg.Input((STEPS, INPUTS)), *chain, recurrent, layers.Dense(1)], seed=0
        )
        self.model.compile(eg.optimizers.Adam(1e-3), "mse")
        self.seconds: list[float] = []

    def train(self, clock: object) -> None:
        """Train for some epochs, and note the time."""
        assert callable(clock)  # noqa: S101 - of this file
        start = clock()
        self.model.fit(self.x, self.y, batch_size=BATCH, epochs=EPOCHS, verbose=0)
        self.seconds.append(clock() - start)

    def rate(self) -> float:
        """Return steps per second."""
        return BATCHES * EPOCHS / statistics.median(self.seconds[1:])


def main() -> None:
    """Print steps per second of each case, and what they come to beside each other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=("lstm", "gru"), default="lstm")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--turns", type=int, default=TURNS)
    given = parser.parse_args()
    eg.set_num_threads(given.threads)
    clock = time.process_time if given.threads == 1 else time.perf_counter
    cases = {
        "without a mask": Case(given.kind, masked=False, padded=True),
        "all steps count": Case(given.kind, masked=True, padded=False),
        "lengths 5 to 50": Case(given.kind, masked=True, padded=True),
    }
    for _ in range(given.turns + 1):
        for case in cases.values():
            case.train(clock)
    plain = cases["without a mask"].rate()
    for name, case in cases.items():
        print(f"{name:16} {case.rate():8.1f} steps/s  {case.rate() / plain:5.2f}")


if __name__ == "__main__":
    main()
