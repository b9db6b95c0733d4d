"""Exercise 10: pre-training on pairs
==================================

Exercise 10: pre-training on an auxiliary task, whether two images show the same digit.

.. code-block:: sh

    python examples/10_pairs.py --output results

takes scikit-learn's digits. Two nets of five hidden layers (ELU, He's first values), one for each
image of a pair, come together in a hidden layer of 10 units and one logistic output; they learn
from 1100 images whether two are of the same class, in batches of which half are, by Nesterov's
momentum. Then one of them is frozen, and a softmax on top of it learns from 50, 100 or 200 other
images, beside the same net from scratch, which trains all of its layers on them. Without the hidden
layer of 10 units the pair task cannot be learned: the logit is then a sum of what both sides say,
and equality of classes is an exclusive or. It prints the tables beside the figures that the
exercise's solution found on MNIST, checks their shape, in the mean, and draws them (``pairs.png``).
Needs scikit-learn and matplotlib: ``pip install "evengrad[all]"``.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.datasets import load_digits

import evengrad as eg
from evengrad import callbacks, layers, optimizers, pretrain

HIDDEN, WIDTH = 5, 100
PAIRS, STEPS_PER_EPOCH = 200, 25
LABELS = (50, 100, 200)
PUBLISHED = """\
published, on MNIST: pairs 54.2 % at the beginning, 92.0 % in epoch 15, 97.7 % in the end; of 5000
labels frozen and softmax 96.5 %, from scratch 94.6 %; without the hidden layer it "generally fails
to start\""""


class Plan(NamedTuple):
    """How much is trained."""

    seeds: int
    steps: int
    # Without the hidden layer, as nothing happens.
    steps_without: int
    epochs: int
    labels: tuple[int, ...]


PLANS = {
    False: Plan(seeds=8, steps=1200, steps_without=400, epochs=150, labels=LABELS),
    True: Plan(seeds=1, steps=450, steps_without=50, epochs=100, labels=(50,)),
}


class Part(NamedTuple):
    """Images and labels."""

    x: np.ndarray
    y: np.ndarray


class Data(NamedTuple):
    """Four parts of the digits: for pairs, to classify, to stop by, and never looked at."""

    pairs: Part
    few: Part
    validation: Part
    test: Part


@dataclass
class Result:
    """What all seeds came to: a value for each."""

    curves: list[list[float]] = field(default_factory=list)
    without: list[list[float]] = field(default_factory=list)
    reused: dict[int, list[float]] = field(default_factory=dict)
    scratch: dict[int, list[float]] = field(default_factory=dict)
    seconds: float = 0.0


def digits(seed: int) -> Data:
    """Return the parts, drawn at random."""
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(labels))
    # Pixels run from 0 to 16.
    x, y = (images[order] / 16).astype(np.float32), labels[order]
    ends = np.cumsum([0, 1100, max(LABELS), 50])
    parts = [slice(start, stop) for start, stop in zip(ends, [*ends[1:], None], strict=True)]
    return Data(*(Part(x[part], y[part]) for part in parts))


def body(seed: int) -> eg.Sequential:
    """Return a net without a head."""
    chain = [
        layers.Dense(WIDTH, "elu", kernel_initializer="he_normal", name=f"hidden_{place}")
        for place in range(HIDDEN)
    ]
    return eg.Sequential([eg.Input((64,)), *chain], seed=seed)


def learn_pairs(
    data: Data, seed: int, steps: int, units: int | None
) -> tuple[eg.Sequential, list[float]]:
    """Train two nets on pairs; return one of them, and the accuracy on pairs of unseen images."""
    left, right = body(10 * seed + 1), body(10 * seed + 2)
    report = pretrain.pairs(
        left,
        right,
        *data.pairs,
        units=units,
        batch_size=PAIRS,
        epochs=steps // STEPS_PER_EPOCH,
        steps_per_epoch=STEPS_PER_EPOCH,
        validation_data=data.test,
        verbose=0,
        seed=seed,
    )
    return left, report.stages[0].history["val_accuracy"]


def classify(lower: eg.Sequential, data: Data, labels: int, epochs: int, seed: int) -> float:
    """Put a softmax on a net, train it on some labels, and return the accuracy on unseen images."""
    model = eg.Sequential([lower, layers.Dense(10, "softmax")], seed=seed)
    model.compile(
        optimizers.SGD(0.01, momentum=0.95, nesterov=True),
        "sparse_categorical_crossentropy",
        ["accuracy"],
    )
    model.fit(
        data.few.x[:labels],
        data.few.y[:labels],
        batch_size=50,
        epochs=epochs,
        validation_data=data.validation,
        verbose=0,
        callbacks=[callbacks.EarlyStopping(patience=30, restore_best_weights=True)],
    )
    accuracy: float = model.evaluate(*data.test)[1]
    return accuracy


def run(plan: Plan) -> Result:
    """Do all of it with each seed."""
    result = Result(
        reused={labels: [] for labels in plan.labels},
        scratch={labels: [] for labels in plan.labels},
    )
    started = time.perf_counter()
    for seed in range(plan.seeds):
        data = digits(seed)
        learned, accuracies = learn_pairs(data, seed, plan.steps, units=10)
        result.curves.append(accuracies)
        result.without.append(learn_pairs(data, seed, plan.steps_without, units=None)[1])
        learned.trainable = False
        for labels in plan.labels:
            settings = (data, labels, plan.epochs, seed)
            result.reused[labels].append(classify(learned.clone(), *settings))
            result.scratch[labels].append(classify(body(10 * seed + 3), *settings))
    result.seconds = time.perf_counter() - started
    return result


def tables(result: Result) -> str:
    """Return the means over the seeds."""
    curve = np.mean(result.curves, axis=0)
    places = [place for place in (0, 7, 15, 31) if place < len(curve) - 1] + [len(curve) - 1]
    lines = [
        "pairs, accuracy on unseen images after steps",
        "".join(f"{(place + 1) * STEPS_PER_EPOCH:9}" for place in places),
        "".join(f"{curve[place]:9.2%}" for place in places),
        f"without the hidden layer: {np.mean([one[-1] for one in result.without]):.2%}",
        "",
        f"{'labels':>9}{'frozen and softmax':>21}{'from scratch':>15}{'seeds that gain':>18}",
    ]
    for labels, reused in result.reused.items():
        scratch = result.scratch[labels]
        wins = sum(one > other for one, other in zip(reused, scratch, strict=True))
        lines.append(
            f"{labels:9}{np.mean(reused):21.2%}{np.mean(scratch):15.2%}{wins:12} of {len(reused)}"
        )
    return "\n".join(lines)


def check(result: Result) -> None:
    """End with an error where the figures have another shape than expected."""
    pairs = np.mean([curve[-1] for curve in result.curves])
    without = np.mean([curve[-1] for curve in result.without])
    if not pairs > 0.85:
        raise SystemExit(f"pairs were not learned, unexpectedly: {pairs:.2%}")
    if not abs(without - 0.5) < 0.06:
        raise SystemExit(f"without the hidden layer it is not ½, unexpectedly: {without:.2%}")
    gains = [np.mean(result.reused[n]) - np.mean(result.scratch[n]) for n in result.reused]
    if not gains[0] > 0.0:
        raise SystemExit(f"pre-training has not helped, unexpectedly: {gains}")


def write(folder: Path, result: Result) -> None:
    """Draw the accuracies."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6))
    for curves, color, name in (
        (result.curves, "tab:blue", "with a hidden layer of 10 behind both"),
        (result.without, "tab:orange", "without it"),
    ):
        steps = STEPS_PER_EPOCH * np.arange(1, len(curves[0]) + 1)
        for curve in curves:
            left.plot(steps, curve, color=color, alpha=0.25, linewidth=1)
        left.plot(steps, np.mean(curves, axis=0), color=color, label=name)
    left.set_xlabel("steps of 200 pairs")
    left.set_ylabel("accuracy on pairs of unseen images")
    left.set_ylim(0.4, 1.0)
    left.legend(loc="center right")
    left.grid(alpha=0.3)
    labels = list(result.reused)
    for found, color, name in (
        (result.reused, "tab:blue", "net of the pair task, frozen, and a softmax"),
        (result.scratch, "tab:gray", "the same net from scratch"),
    ):
        for place in range(len(found[labels[0]])):
            values = [found[count][place] for count in labels]
            right.plot(labels, values, color=color, alpha=0.25, linewidth=1)
        means = [np.mean(found[count]) for count in labels]
        right.plot(labels, means, color=color, marker="o", label=name)
    right.set_xscale("log")
    right.set_xticks(labels, [str(count) for count in labels], minor=False)
    right.set_xticks([], minor=True)
    right.set_xlabel("labelled images to train on")
    right.set_ylabel("accuracy on unseen images")
    right.legend(loc="lower right")
    right.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(folder / "pairs.png", dpi=120)
    print(f"wrote {folder / 'pairs.png'}")


def main() -> None:
    """Train, print the tables, check them, and draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--output", type=Path, help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="one seed, fewer steps")
    arguments = parser.parse_args()

    plan = PLANS[arguments.quick]
    result = run(plan)
    print(tables(result))
    print(f"Means of {plan.seeds} seeds, {result.seconds:.1f} s;\n{PUBLISHED}")
    check(result)
    if arguments.output is not None:
        arguments.output.mkdir(parents=True, exist_ok=True)
        write(arguments.output, result)


if __name__ == "__main__":
    main()
