"""Long memory: LSTM and gradient clipping
=======================================

Learn to remember over many steps: LSTM against SimpleRNN, with and without gradient clipping.

.. code-block:: sh

    python examples/06_long_memory.py --output results

trains five networks on the adding problem (Hochreiter and Schmidhuber, 1997): a row is 50 random
numbers, two of them marked, one in each half; the target is the sum of the marked ones. A network
that remembers nothing can only say 1, with a squared error of 1/6. Without clipping the first steep
place throws both networks away; with it the LSTM learns, and the SimpleRNN, whose gradient does not
reach the early steps, still does not, nor at a smaller rate, which it bears better. It prints a
table, checks all of that, which came out so with each of six seeds, and with ``--output`` and
matplotlib draws the learning curves and how far back the gradients reach (``long_memory.png``).
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

import evengrad as eg
from evengrad import callbacks, layers, optimizers

STEPS = 50
UNITS = 24
# A rate at which the LSTM learns within a few epochs, if no gradient is longer than CLIP.
RATE = 0.8
CLIP = 0.5
# At this one a clipped SimpleRNN stays near what it had.
SMALLER_RATE = 0.05
# The variance of the sum of two numbers that are even on [0, 1]: what saying 1 costs.
WITHOUT_MEMORY = 1 / 6
# A network that has learned to remember is better than this.
REMEMBERS = WITHOUT_MEMORY / 5


class Run(NamedTuple):
    """What came of one network."""

    layer: str
    clipped: bool
    rate: float
    errors: list[float]
    reach: np.ndarray
    seconds: float

    @property
    def error(self) -> float:
        """The last error on unseen rows; infinite where the network is lost."""
        return self.errors[-1] if np.isfinite(self.errors[-1]) else np.inf


def adding_problem(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return sequences of numbers with marks beside them, (rows, steps, 2), and the sums."""
    rng = np.random.default_rng(seed)
    numbers, marks = rng.uniform(size=(rows, STEPS)), np.zeros((rows, STEPS))
    row = np.arange(rows)
    marks[row, rng.integers(0, STEPS // 2, rows)] = 1
    marks[row, rng.integers(STEPS // 2, STEPS, rows)] = 1
    return np.stack([numbers, marks], axis=-1), (numbers * marks).sum(axis=1)


def network(layer: str, rate: float, clip: float | None) -> eg.Sequential:
    """Return a network, ready to train."""
    model = eg.Sequential(
        [eg.Input((STEPS, 2)), getattr(layers, layer)(UNITS), layers.Dense(1)], seed=1
    )
    model.compile(optimizers.SGD(rate, momentum=0.9, global_clipnorm=clip), "mse")
    return model


def reach_of_gradient(model: eg.Sequential, x: np.ndarray) -> np.ndarray:
    """Return how much the answer changes with each step: the gradient's length, mean over rows."""
    inputs = eg.tensor(x.astype("float32"), requires_grad=True)
    # Rows do not depend on each other: the gradient of the sum has that of each row.
    (gradient,) = eg.autograd.grad(model(inputs).sum(), [inputs])
    return np.linalg.norm(gradient.numpy(), axis=2).mean(axis=0)


def train(layer: str, *, clipped: bool, rate: float, epochs: int, rows: int) -> Run:
    """Train one network and return what came of it."""
    x, y = adding_problem(rows, seed=0)
    unseen, sums = adding_problem(1024, seed=1)
    model = network(layer, rate, CLIP if clipped else None)

    def stop_if_lost(_: int, logs: dict[str, float]) -> None:
        model.stop_training = not np.isfinite(logs["val_loss"])

    started = time.perf_counter()
    history = model.fit(
        x,
        y,
        batch_size=64,
        epochs=epochs,
        validation_data=(unseen, sums),
        callbacks=[callbacks.LambdaCallback(on_epoch_end=stop_if_lost)],
        verbose=0,
    )
    seconds = time.perf_counter() - started
    reach = reach_of_gradient(model, unseen)
    return Run(layer, clipped, rate, history.history["val_loss"], reach, seconds)


def table(runs: list[Run]) -> str:
    """Return the results as a table."""
    heads = ("clipped", "rate", "error", "memory", "seconds")
    lines = [f"{'layer':10}" + "".join(f"{head:>9}" for head in heads)]
    for run in runs:
        memory = "yes" if run.error < REMEMBERS else "no"
        clipped = "yes" if run.clipped else "no"
        error = f"{run.error:.4f}" if run.error < 100 else "lost"
        lines.append(
            f"{run.layer:10}{clipped:>9}{run.rate:>9}{error:>9}{memory:>9}{run.seconds:9.1f}"
        )
    return "\n".join(lines)


def check(runs: list[Run]) -> None:
    """End with an error where clipping did not matter, or memory."""
    for run in runs:
        expected = run.layer == "LSTM" and run.clipped
        if (run.error < REMEMBERS) is not expected:
            raise SystemExit(
                f"expected the clipped LSTM alone below {REMEMBERS:.3f}, got {run.error:.4f} from "
                f"{run.layer}, {'clipped' if run.clipped else 'not clipped'}, rate {run.rate}"
            )
        if not run.clipped and run.error < 2 * WITHOUT_MEMORY:
            raise SystemExit(
                f"expected {run.layer} without clipping far above {WITHOUT_MEMORY:.3f}, which "
                f"saying 1 costs, got {run.error:.4f}"
            )


def draw(runs: list[Run], path: Path) -> None:
    """Draw the learning curves, and how far back the gradients of the clipped networks reach."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4))
    colors = {"SimpleRNN": "tab:orange", "LSTM": "tab:blue"}
    for run in runs:
        at_smaller_rate = run.rate != RATE
        style = ":" if at_smaller_rate else "-" if run.clipped else "--"
        label = f"{run.layer}, {'clipped' if run.clipped else 'not clipped'}"
        if at_smaller_rate:
            label += f", rate {run.rate}"
        if not np.isfinite(run.errors[-1]):
            label += " (ends in NaN)"
        epochs = np.arange(1, len(run.errors) + 1)
        left.plot(epochs, run.errors, style, color=colors[run.layer], label=label)
        if run.clipped:
            steps = np.arange(1, STEPS + 1)
            label = f"{run.layer}, rate {run.rate}"
            right.plot(steps, run.reach, style, color=colors[run.layer], label=label)
    left.axhline(WITHOUT_MEMORY, color="gray", linewidth=0.8)
    left.text(1, WITHOUT_MEMORY / 1.2, "without memory", color="gray", fontsize=8, va="top")
    left.set(xlabel="epoch", ylabel="error on unseen rows", yscale="log")
    # Room for the legend above the curves.
    left.set_ylim(top=5e4)
    left.legend(fontsize=8, loc="upper right")
    right.set(xlabel="step", ylabel="gradient of the answer, trained", yscale="log")
    right.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main() -> None:
    """Train, print the table, draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--output", type=Path, help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="fewer epochs")
    arguments = parser.parse_args()

    epochs = 20 if arguments.quick else 40
    settings = [
        ("SimpleRNN", False, RATE),
        ("SimpleRNN", True, RATE),
        ("SimpleRNN", True, SMALLER_RATE),
        ("LSTM", False, RATE),
        ("LSTM", True, RATE),
    ]
    runs = [
        train(layer, clipped=clipped, rate=rate, epochs=epochs, rows=4096)
        for layer, clipped, rate in settings
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
    check(runs)


if __name__ == "__main__":
    main()
