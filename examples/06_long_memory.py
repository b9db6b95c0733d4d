"""Learn to remember over many steps: LSTM against SimpleRNN, with and without gradient clipping.

    python examples/06_long_memory.py --output results

trains four networks on the adding problem (Hochreiter and Schmidhuber, 1997): a row is 50 random
numbers, two of them marked, one in each half; the target is the sum of the marked ones. A network
that remembers nothing can only say 1, with a squared error of 1/6. Without clipping the first steep
place throws both networks away; with it the LSTM learns, and the SimpleRNN, whose gradient does not
reach the early steps, still does not. It prints a table, checks that the clipped LSTM has learned,
and with ``--output`` and matplotlib draws the learning curves and how far back the gradients reach
(``long_memory.png``).
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

import evengrad as eg
from evengrad import layers, optimizers

STEPS = 50
UNITS = 24
# A rate at which the LSTM learns within a few epochs, if no gradient is longer than CLIP.
RATE = 0.8
CLIP = 0.5
# The variance of the sum of two numbers that are even on [0, 1]: what saying 1 costs.
WITHOUT_MEMORY = 1 / 6
# A network that has learned to remember is better than this; the clipped LSTM is promised to be.
REMEMBERS = WITHOUT_MEMORY / 5


class Run(NamedTuple):
    """What came of one network."""

    layer: str
    clipped: bool
    errors: list[float]
    reach: np.ndarray
    seconds: float


def adding_problem(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return sequences of numbers with marks beside them, (rows, steps, 2), and the sums."""
    rng = np.random.default_rng(seed)
    numbers, marks = rng.uniform(size=(rows, STEPS)), np.zeros((rows, STEPS))
    row = np.arange(rows)
    marks[row, rng.integers(0, STEPS // 2, rows)] = 1
    marks[row, rng.integers(STEPS // 2, STEPS, rows)] = 1
    return np.stack([numbers, marks], axis=-1), (numbers * marks).sum(axis=1)


def network(layer: str, clip: float | None) -> eg.Sequential:
    """Return a network, ready to train."""
    model = eg.Sequential(
        [eg.Input((STEPS, 2)), getattr(layers, layer)(UNITS), layers.Dense(1)], seed=1
    )
    model.compile(optimizers.SGD(RATE, momentum=0.9, global_clipnorm=clip), "mse")
    return model


def reach_of_gradient(model: eg.Sequential, x: np.ndarray) -> np.ndarray:
    """Return how much the answer changes with each step: the gradient's length, mean over rows."""
    inputs = eg.tensor(x.astype("float32"), requires_grad=True)
    # Rows do not depend on each other: the gradient of the sum has that of each row.
    (gradient,) = eg.autograd.grad(model(inputs).sum(), [inputs])
    return np.linalg.norm(gradient.numpy(), axis=2).mean(axis=0)


def train(layer: str, *, clipped: bool, epochs: int, rows: int) -> Run:
    """Train one network and return what came of it."""
    x, y = adding_problem(rows, seed=0)
    unseen, sums = adding_problem(1024, seed=1)
    model = network(layer, CLIP if clipped else None)
    started = time.perf_counter()
    history = model.fit(
        x, y, batch_size=64, epochs=epochs, validation_data=(unseen, sums), verbose=0
    )
    seconds = time.perf_counter() - started
    reach = reach_of_gradient(model, unseen)
    return Run(layer, clipped, history.history["val_loss"], reach, seconds)


def table(runs: list[Run]) -> str:
    """Return the results as a table."""
    lines = [f"{'layer':10} {'clipped':>8} {'error':>8} {'memory':>8} {'seconds':>8}"]
    for run in runs:
        error = run.errors[-1]
        memory = "yes" if error < REMEMBERS else "no"
        clipped = "yes" if run.clipped else "no"
        lines.append(f"{run.layer:10} {clipped:>8} {error:8.4f} {memory:>8} {run.seconds:8.1f}")
    return "\n".join(lines)


def draw(runs: list[Run], path: Path) -> None:
    """Draw the learning curves, and how far back the gradients of the clipped networks reach."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4))
    colors = {"SimpleRNN": "tab:orange", "LSTM": "tab:blue"}
    for run in runs:
        style = "-" if run.clipped else "--"
        label = f"{run.layer}, {'clipped' if run.clipped else 'not clipped'}"
        if not np.isfinite(run.errors[-1]):
            label += " (ends in NaN)"
        epochs = np.arange(1, len(run.errors) + 1)
        left.plot(epochs, run.errors, style, color=colors[run.layer], label=label)
        if run.clipped:
            steps = np.arange(1, STEPS + 1)
            right.plot(steps, run.reach, color=colors[run.layer], label=run.layer)
    left.axhline(WITHOUT_MEMORY, color="gray", linewidth=0.8)
    left.text(1, WITHOUT_MEMORY / 1.2, "without memory", color="gray", fontsize=8, va="top")
    left.set(xlabel="epoch", ylabel="error on unseen rows", yscale="log")
    # Room for the legend above the curves.
    left.set_ylim(top=500)
    left.legend(fontsize=8, loc="upper right")
    right.set(xlabel="step", ylabel="gradient of the answer, trained", yscale="log")
    right.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> None:
    """Train, print the table, draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", type=Path, help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="fewer epochs")
    arguments = parser.parse_args()

    epochs = 30 if arguments.quick else 40
    runs = [
        train(layer, clipped=clipped, epochs=epochs, rows=4096)
        for layer in ("SimpleRNN", "LSTM")
        for clipped in (False, True)
    ]
    print(f"{STEPS} steps, {UNITS} units, {epochs} epochs; saying 1 costs {WITHOUT_MEMORY:.4f}")
    print(table(runs))

    if arguments.output is not None:
        try:
            import matplotlib as mpl
        except ImportError:
            print("no picture: matplotlib is not installed")
        else:
            del mpl
            arguments.output.mkdir(parents=True, exist_ok=True)
            draw(runs, arguments.output / "long_memory.png")
            print(f"wrote {arguments.output / 'long_memory.png'}")
    best = runs[-1].errors[-1]
    if not best < REMEMBERS:
        raise SystemExit(f"expected the clipped LSTM below {REMEMBERS:.3f}, got {best:.4f}")


if __name__ == "__main__":
    main()
