"""The doctor: a sick net and its cure
===================================

A deep net that does not learn, what the doctor says of it, and the net after the cure.

.. code-block:: sh

    python examples/14_doctor.py --output results

Seven logistic layers on scikit-learn's digits, as nets were made before 2010. `Model.diagnose`
trains a copy for a few steps and names the trouble: the gradient shrinks with every layer, the
logistic function is why, and batch normalization or another activation is the cure.
`Diagnosis.apply` carries out the first remedy on a copy. Both nets are trained under a
`GradientDoctor`, which watches the layers in every step that costs little; the table shows what it
measured, and ``doctor.html`` is the page with all of it. Needs scikit-learn:
``pip install scikit-learn``.
"""

from __future__ import annotations

import argparse
import textwrap
import time
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import evengrad as eg
from evengrad import layers, optimizers

DEPTH, UNITS = 7, 60


def digits() -> list[np.ndarray]:
    """Return images and labels to train on, and others to test: x, held-out x, y, held-out y."""
    images, labels = load_digits(return_X_y=True)
    x = (images / 16).astype("float32")
    return train_test_split(x, labels, test_size=0.25, stratify=labels, random_state=1)


def logistic_net() -> eg.Sequential:
    """Return a deep net of logistic layers, compiled."""
    hidden = [layers.Dense(UNITS, "sigmoid") for _ in range(DEPTH)]
    model = eg.Sequential([eg.Input((64,)), *hidden, layers.Dense(10, "softmax")], seed=3)
    model.compile(
        optimizers.SGD(0.1, momentum=0.9), "sparse_categorical_crossentropy", ["accuracy"]
    )
    return model


def train(
    model: eg.Sequential, data: list[np.ndarray], epochs: int
) -> tuple[eg.callbacks.History, eg.callbacks.GradientDoctor]:
    """Train a model under a doctor."""
    x, held_out, y, held_out_y = data
    doctor = eg.callbacks.GradientDoctor()
    history = model.fit(
        x, y, epochs=epochs, validation_data=(held_out, held_out_y), verbose=0, callbacks=[doctor]
    )
    return history, doctor


def row(name: str, history: eg.callbacks.History, doctor: eg.callbacks.GradientDoctor) -> str:
    """Return a line of the table: how fast layers learn, how well the net does, what is wrong."""
    first, last = np.median(history.health["speed"][:, [0, DEPTH - 1]], axis=0)
    alarms = [one.kind for one in doctor.findings if one.severity != "note" and not one.because]
    accuracy = history.history["val_accuracy"][-1]
    shown = ", ".join(alarms) or "nothing"
    return f"{name:<10}{first:>12.1e}{last:>12.1e}{accuracy:>12.1%}   {shown}"


def main() -> None:
    """Diagnose, cure, train both, and compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--output", type=Path, help="folder for the page")
    parser.add_argument("--quick", action="store_true", help="fewer epochs")
    arguments = parser.parse_args()
    epochs = 8 if arguments.quick else 30

    data = digits()
    started = time.perf_counter()
    sick = logistic_net()
    diagnosis = sick.diagnose(data[0], data[2], seed=0)
    print(diagnosis)
    finding = diagnosis.findings[0]
    print(f"\nApplied: {textwrap.fill(remedy_of(finding).text, 90)}\n")
    cured = diagnosis.apply()

    print("net          speed of first and last hidden layer   held out   the doctor")
    results = {
        name: train(model, data, epochs) for name, model in {"sick": sick, "cured": cured}.items()
    }
    for name, (history, doctor) in results.items():
        print(row(name, history, doctor))
    print(f"{epochs} epochs each; all in {time.perf_counter() - started:.1f} s")

    check(finding, {name: history for name, (history, _) in results.items()}, results["cured"][1])
    if arguments.output is not None:
        arguments.output.mkdir(parents=True, exist_ok=True)
        page = arguments.output / "doctor.html"
        results["sick"][0].report(page)
        print(f"wrote {page}")


def remedy_of(finding: eg.health.Finding) -> eg.health.Remedy:
    """Return the first remedy of a finding that `Diagnosis.apply` can carry out."""
    return next(remedy for remedy in finding.remedies if remedy.automatic)


def check(
    finding: eg.health.Finding,
    histories: dict[str, eg.callbacks.History],
    doctor: eg.callbacks.GradientDoctor,
) -> None:
    """End with an error where the trouble is not named, or the cure is none."""
    if (finding.kind, finding.cause) != ("vanishing_gradients", "activation"):
        raise SystemExit(f"expected vanishing gradients by the activation, got {finding}")
    accuracy = {name: one.history["val_accuracy"][-1] for name, one in histories.items()}
    if accuracy["sick"] > 0.5 or accuracy["cured"] < 0.9:
        raise SystemExit(f"expected a cure, got accuracies of {accuracy}")
    errors = [one for one in doctor.findings if one.severity == "error"]
    if errors:
        raise SystemExit(f"the cured net is ill: {errors[0]}")


if __name__ == "__main__":
    main()
