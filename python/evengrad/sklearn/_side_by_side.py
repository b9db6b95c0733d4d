"""Searches and cross-validation in one process, with fits side by side."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from joblib import parallel_config

from evengrad._common.checks import check_int
from evengrad.training._fit_queue import fit_queue

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def side_by_side(n_fits: int = 16, n_threads: int | None = None) -> Iterator[None]:
    """Have scikit-learn's searches and cross-validation fit several estimators at once.

    Inside the ``with`` block, what scikit-learn does with ``n_jobs=None`` is done for `n_fits` fits
    at a time: `GridSearchCV`, `RandomizedSearchCV`, `cross_validate`, `learning_curve` and others,
    with their ``cv``, ``scoring`` and ``cv_results_``. Estimators of this module, and other
    trainings by `Model.fit`, make their steps in one native call, each on one thread, as in
    `evengrad.fit_many`. Nothing is forked, pickled or copied, and nothing has to start.

    Give estimators a ``random_state``: then results are those without it, to the bit.

    Parameters
    ----------
    n_fits
        How many fits at once, each in a thread of Python.
    n_threads
        How many of them make steps at the same time; by default as many as
        `evengrad.get_num_threads` says.

    Raises
    ------
    ValueError, TypeError
        A number that is no integer, or below 1.

    Examples
    --------
    >>> from sklearn.model_selection import GridSearchCV
    >>> from evengrad.sklearn import DenseRegressor, side_by_side
    >>> x = np.random.default_rng(0).normal(size=(60, 3))
    >>> net = DenseRegressor(hidden_layer_sizes=(8,), tol=10.0, n_iter_no_change=2, random_state=0)
    >>> search = GridSearchCV(net, {"alpha": [1e-4, 1e-2]}, cv=3)
    >>> with side_by_side():
    ...     search.fit(x, x.sum(axis=1)).cv_results_["params"]
    [{'alpha': 0.0001}, {'alpha': 0.01}]
    """
    fits = check_int(n_fits, "n_fits", at_least=1)
    threads = None if n_threads is None else check_int(n_threads, "n_threads", at_least=1)
    with parallel_config("threading", n_jobs=fits), fit_queue(threads, fits):
        yield
