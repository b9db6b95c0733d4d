"""What the estimators learn beside scikit-learn's perceptrons: scores on ten sets of data.

    make race QUICK=1    # makes the environment and installs the wheel
    .venv-test/bin/python benches/race/estimator_scores.py

Run it with a Python that has evengrad and scikit-learn. Ten sets that scikit-learn brings or makes,
standardized; for each of five seeds, which split the rows and begin the nets: scikit-learn's
perceptron, ours with the same arguments, ours with dropout, batch normalization or a schedule, of
the same sizes, for as many epochs at most, and a `GridSearchCV` that chooses among these four on
the rows to train on. Prints mean scores on the rows that are left out, accuracy or R²; then for
each of ours in how many sets its mean is above scikit-learn's, the mean difference, and p of two
paired tests over the sets, both two-sided: Wilcoxon's of signed ranks, and Student's.
"""

from __future__ import annotations

import argparse
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats
from sklearn import datasets
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

import evengrad as eg
from evengrad.sklearn import DenseClassifier, DenseRegressor

if TYPE_CHECKING:
    from collections.abc import Callable

SETS: dict[str, Callable[[], Any]] = {
    "iris": lambda: datasets.load_iris(return_X_y=True),
    "wine": lambda: datasets.load_wine(return_X_y=True),
    "breast cancer": lambda: datasets.load_breast_cancer(return_X_y=True),
    "digits": lambda: datasets.load_digits(return_X_y=True),
    "moons": lambda: datasets.make_moons(800, noise=0.3, random_state=0),
    "Gaussian quantiles": lambda: datasets.make_gaussian_quantiles(
        n_samples=800, n_features=5, n_classes=3, random_state=0
    ),
    "hypercube": lambda: datasets.make_classification(
        800, 20, n_informative=8, n_classes=3, flip_y=0.1, random_state=0
    ),
    "diabetes": lambda: datasets.load_diabetes(return_X_y=True),
    "Friedman 1": lambda: datasets.make_friedman1(800, noise=1.0, random_state=0),
    "Friedman 3": lambda: datasets.make_friedman3(800, noise=0.1, random_state=0),
}
SEEDS, EPOCHS, HIDDEN = 5, 200, (64, 32)
REGRESSIONS = ("diabetes", "Friedman 1", "Friedman 3")
CLASSIFIERS, REGRESSORS = (MLPClassifier, DenseClassifier), (MLPRegressor, DenseRegressor)
SKLEARN = "sklearn"


def schedule(rows: int) -> Any:
    """Return one cycle of rates over all steps of a training."""
    steps = EPOCHS * -(-rows // min(200, rows))
    return eg.optimizers.schedules.OneCycle(0.01, steps)


def choices(rows: int) -> dict[str, dict[str, Any]]:
    """Return what ours can be given that scikit-learn's cannot."""
    return {
        "dropout": {"dropout": 0.2},
        "batch norm": {"norm": "batch"},
        "schedule": {"schedule": schedule(rows)},
    }


def nets(name: str, rows: int, seed: int) -> dict[str, Any]:
    """Return the estimators: each with one choice, and one that chooses by cross-validation."""
    theirs, ours = REGRESSORS if name in REGRESSIONS else CLASSIFIERS
    given = {"hidden_layer_sizes": HIDDEN, "max_iter": EPOCHS, "random_state": seed}
    offered = choices(rows)
    grid = [{}, *({key: [value] for key, value in one.items()} for one in offered.values())]
    return {
        SKLEARN: theirs(**given),
        "the same": ours(**given),
        **{who: ours(**given, **one) for who, one in offered.items()},
        "chosen": GridSearchCV(ours(**given), grid, cv=3),
    }


def scores_of(name: str) -> dict[str, list[float]]:
    """Return the scores of all, by seed."""
    x, y = SETS[name]()
    if name in REGRESSIONS:
        # The nets' outputs begin near zero.
        y = (y - y.mean()) / y.std()
    x = x.astype(np.float32)
    found: dict[str, list[float]] = {}
    for seed in range(SEEDS):
        kept = None if name in REGRESSIONS else y
        parts = train_test_split(x, y, test_size=0.3, random_state=seed, stratify=kept)
        train, held, y_train, y_held = parts
        for who, net in nets(name, len(train), seed).items():
            fitted = make_pipeline(StandardScaler(), net).fit(train, y_train)
            found.setdefault(who, []).append(float(fitted.score(held, y_held)))
    return found


def compare(means: dict[str, np.ndarray]) -> None:
    """Print how each of ours stands to scikit-learn's."""
    print(f"\n{'':22}{'above':>9}{'mean':>10}{'Wilcoxon':>10}{'Student':>9}")
    for who, mean in means.items():
        if who == SKLEARN:
            continue
        more = mean - means[SKLEARN]
        ranks = stats.wilcoxon(more).pvalue
        student = stats.ttest_rel(mean, means[SKLEARN]).pvalue
        above = f"{np.sum(more > 0)} of {len(more)}"
        print(f"{who:22}{above:>9}{more.mean():+10.4f}{ranks:10.3f}{student:9.3f}")


def main() -> None:
    """Print the scores, then the comparison."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    warnings.simplefilter("ignore")
    rows: dict[str, list[float]] = {}
    for name in SETS:
        # The sets are small: BLAS gains nothing by threads, which wait for each other elsewhere.
        with threadpool_limits(1):
            found = scores_of(name)
        if not rows:
            print(f"{'':22}" + "".join(f"{who:>12}" for who in found))
        print(f"{name:22}" + "".join(f"{np.mean(one):12.4f}" for one in found.values()), flush=True)
        for who, one in found.items():
            rows.setdefault(who, []).append(float(np.mean(one)))
    compare({who: np.array(one) for who, one in rows.items()})


if __name__ == "__main__":
    main()
