"""How many Python functions of evengrad `fit` calls, in how many files: the interpreter's overhead.

    make race QUICK=1    # makes the environment and installs the wheel
    .venv-race-evengrad/bin/python benches/race/python_calls.py

Trains 20-64-64-10 (ReLU, Adam, cross-entropy of the logits, accuracy; 960 rows, thirty batches, one
epoch without progress bar; layers that learn the number of inputs from the data) twice in a fresh
process. Counts the ``call`` events of `sys.setprofile` for frames whose code lies in the package,
and the distinct files of that code. So bodies of modules that are imported on the way count, each
time that a generator goes on does, and comprehensions do where the interpreter gives them frames of
their own.
Only `fit` is watched; making and compiling the model comes before. Prints one line of JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import evengrad as eg
from evengrad import layers

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

ROWS, INPUTS, UNITS, CLASSES = 960, 20, 64, 10
PACKAGE = str(Path(eg.__file__).parent)


def count(work: Callable[[], object]) -> dict[str, int]:
    """Return the calls of the package's frames while `work` runs, and the files they lie in."""
    calls = 0
    files: set[str] = set()

    def profile(frame: FrameType, event: str, _: object) -> None:
        nonlocal calls
        if event == "call" and frame.f_code.co_filename.startswith(PACKAGE):
            calls += 1
            files.add(frame.f_code.co_filename)

    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(None)
    return {"calls": calls, "files": len(files)}


def main() -> None:
    """Count the calls of the first and of the second `fit` of this process, and print them."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, INPUTS)).astype("float32")
    y = rng.integers(CLASSES, size=ROWS)
    model = eg.Sequential(
        [
            layers.Dense(UNITS, activation="relu"),
            layers.Dense(UNITS, activation="relu"),
            layers.Dense(CLASSES),
        ],
        seed=0,
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    outcome = {}
    for name in ("first", "second"):
        outcome[name] = count(lambda: model.fit(x, y, epochs=1, verbose=0))
    print(json.dumps(outcome))


if __name__ == "__main__":
    main()
