"""scikit-learn's MLPClassifier in the race, where it can express the workload."""

from __future__ import annotations

import contextlib
import warnings

import measure
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits
from workloads import MOMENTUM, Workload

# ReLU stands in for ELU, which scikit-learn has not and which costs more: in its favour.
ACTIVATIONS = {"relu": "relu", "elu": "relu", "sigmoid": "logistic"}
# More epochs without progress than any measurement has: it must not stop by itself.
NEVER = 10**9


class Fit:
    """`MLPClassifier.fit`, going on where it stopped."""

    def __init__(self, workload: Workload, _: str, threads: int) -> None:
        if workload.batch_norm or workload.dropout or workload.activation not in ACTIVATIONS:
            raise measure.Unsuitable(
                "MLPClassifier has neither batch normalisation, dropout nor SELU"
            )
        self.x, self.y = measure.data(workload)
        self.threads = threads
        self.model = MLPClassifier(
            workload.hidden,
            activation=ACTIVATIONS[workload.activation],
            solver="adam" if workload.optimizer == "adam" else "sgd",
            alpha=0.0,
            batch_size=workload.batch,
            learning_rate_init=workload.learning_rate,
            momentum=MOMENTUM,
            nesterovs_momentum=False,
            shuffle=False,
            warm_start=True,
            tol=0.0,
            n_iter_no_change=NEVER,
            random_state=0,
        )

    def epochs(self, count: int) -> None:
        """Train."""
        self.model.max_iter = count
        with contextlib.ExitStack() as stack:
            stack.enter_context(threadpool_limits(self.threads))
            stack.enter_context(warnings.catch_warnings())
            # It says so whenever the epochs asked for are done.
            warnings.simplefilter("ignore", ConvergenceWarning)
            self.model.fit(self.x, self.y)

    def watched_epoch(self) -> float:
        """Train for an epoch and return its mean loss."""
        self.epochs(1)
        return self.model.loss_curve_[-1]


if __name__ == "__main__":
    measure.run(["scikit-learn", "numpy"], {"training": Fit}, {})
