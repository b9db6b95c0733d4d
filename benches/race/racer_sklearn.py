"""scikit-learn's MLPClassifier in the race, where it can express the workload."""

from __future__ import annotations

import contextlib
import warnings
from typing import TYPE_CHECKING, Any

import measure
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits
from workloads import MOMENTUM, Workload

if TYPE_CHECKING:
    import numpy as np

# ReLU stands in for ELU, which scikit-learn has not and which costs more: in its favour.
ACTIVATIONS = {"relu": "relu", "elu": "relu", "sigmoid": "logistic"}
# More epochs without progress than any measurement has: it must not stop by itself.
NEVER = 10**9


def classifier(workload: Workload, **settings: Any) -> MLPClassifier:
    """Return the network, with its optimizer."""
    if workload.batch_norm or workload.dropout or workload.activation not in ACTIVATIONS:
        raise measure.Unsuitable("MLPClassifier has neither batch normalization, dropout nor SELU")
    return MLPClassifier(
        workload.hidden,
        activation=ACTIVATIONS[workload.activation],
        solver="adam" if workload.optimizer == "adam" else "sgd",
        alpha=0.0,
        batch_size=workload.batch,
        learning_rate_init=workload.learning_rate,
        momentum=MOMENTUM,
        nesterovs_momentum=False,
        random_state=0,
        **settings,
    )


def train(model: MLPClassifier, x: np.ndarray, y: np.ndarray, threads: int) -> None:
    """Train for `max_iter` epochs."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(threadpool_limits(threads))
        stack.enter_context(warnings.catch_warnings())
        # It says so whenever the epochs asked for are done.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x, y)


class Fit:
    """`MLPClassifier.fit`, going on where it stopped."""

    def __init__(self, workload: Workload, _: str, threads: int) -> None:
        self.x, self.y = measure.data(workload)
        self.threads = threads
        self.model = classifier(
            workload, shuffle=False, warm_start=True, tol=0.0, n_iter_no_change=NEVER
        )

    def epochs(self, count: int) -> None:
        """Train."""
        self.model.max_iter = count
        train(self.model, self.x, self.y, self.threads)

    def watched_epoch(self) -> float:
        """Train for an epoch and return its mean loss."""
        self.epochs(1)
        return self.model.loss_curve_[-1]


class FreshFits:
    """A new `MLPClassifier` for each `fit`; it shuffles, as it does by default and as ours does."""

    def __init__(self, workload: Workload, _: str, threads: int) -> None:
        self.workload, self.threads = workload, threads
        self.x, self.y = measure.data(workload)

    def fit(self, epochs: int) -> list[float]:
        """Train a new model and return its losses."""
        model = classifier(self.workload, max_iter=epochs)
        train(model, self.x, self.y, self.threads)
        return model.loss_curve_


if __name__ == "__main__":
    measure.run(["scikit-learn", "numpy"], {"training": Fit}, {}, {"fresh-fit": FreshFits})
