"""One fit: from data and arguments to a trained model and what is known of its training."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from evengrad.callbacks import History
from evengrad.callbacks._training_state import TrainingState
from evengrad.layers._module import module_tree
from evengrad.sklearn._build import dense_layers, first_values, hidden_sizes, make_model
from evengrad.sklearn._data import Rows, checked, held_out, weights_of
from evengrad.sklearn._meta import ModelMeta
from evengrad.sklearn._solvers import is_stochastic, optimizer_of
from evengrad.sklearn._stopping import Progress, StoppingRule
from evengrad.sklearn._tasks import Classification
from evengrad.training._data import all_finite

if TYPE_CHECKING:
    from evengrad.models import Model
    from evengrad.sklearn._tasks import Regression

    Task = Classification | Regression

SMALL_BATCH = 200
# Random seeds are drawn below this, as from a NumPy generator of 32 bits.
SEEDS = 2**31 - 1
# From a warning here to the line of the user that called `fit`.
TO_USER = 7


def check_arguments(estimator: Any) -> None:
    """Raise a ValueError for arguments that do not go together."""
    hidden_sizes(estimator.hidden_layer_sizes)
    if is_stochastic(estimator.solver):
        return
    from evengrad.sklearn._lbfgs import check_callbacks_of_iterations

    given = estimator.dropout
    if any(given if isinstance(given, (list, tuple)) else [given]):
        raise ValueError(
            'dropout: expected 0 with solver="lbfgs", whose line search needs the same loss at the '
            'same weights; choose "adam" or "sgd"'
        )
    if estimator.schedule is not None:
        raise ValueError(
            'schedule: expected None with solver="lbfgs", whose line search finds the length of '
            'each step; choose "adam" or "sgd"'
        )
    check_callbacks_of_iterations(estimator.callbacks)


class Training:
    """One fit of an estimator, or one epoch of `partial_fit`.

    Parameters
    ----------
    estimator
        A copy of the user's, which takes what comes of the training.
    task
        What is learnt.
    progress
        What was before, where the training goes on; None for a new one.
    incremental
        Whether it is one epoch, by the optimizer as it stands.
    """

    def __init__(
        self, estimator: Any, task: Task, progress: Progress | None, *, incremental: bool
    ) -> None:
        check_arguments(estimator)
        self.estimator, self.task, self.incremental = estimator, task, incremental
        self.is_first = progress is None
        self.progress = Progress() if progress is None else progress.copied()
        self.is_stochastic = is_stochastic(estimator.solver)

    def rows(self, x: Any, y: Any, sample_weight: Any, classes: Any) -> Rows:
        """Return the data as the net takes it, or raise scikit-learn's errors."""
        task, estimator = self.task, self.estimator
        if self.is_first and self.incremental and classes is None and not task.is_numeric:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        x, y = checked(estimator, x, y, reset=self.is_first, numeric=task.is_numeric)
        if self.is_first:
            task.learn(y, classes)
        else:
            task.go_on(y, classes, incremental=self.incremental or not estimator.warm_start)
        return Rows(x, task.encode(y), weights_of(estimator, x, y, sample_weight))

    def run(self, rows: Rows) -> None:
        """Make the model or go on with the one there is, train it, and keep what comes of it."""
        if self.is_first or not self.incremental:
            self._run(rows)
            return
        # In place; after an error it is as it was.
        model = self.estimator.model_
        before = TrainingState(module_tree(model), model.optimizer)
        try:
            self._run(rows)
        except BaseException:
            before.restore()
            raise

    def _run(self, rows: Rows) -> None:
        estimator, task = self.estimator, self.task
        random = check_random_state(estimator.random_state)
        dtype = self._dtype(rows)
        encoder = estimator.encoder_
        width = estimator.n_features_in_ if encoder is None else encoder.n_inputs_
        meta = ModelMeta(width, task.n_outputs, task.name, task.n_classes, dtype)
        values = first_values(estimator, random, width, task.n_outputs) if self.is_first else None
        train, held = rows, None
        if estimator.early_stopping and self.is_stochastic:
            train, held = held_out(estimator, rows, random, task.name)
        seed = int(random.randint(SEEDS))
        if self.is_first:
            estimator.model_ = make_model(estimator, meta, task.out_activation, seed)
            if values is not None:
                estimator.coefs_, estimator.intercepts_ = zip(*values, strict=True)
        elif not self.incremental:
            # On a copy, so that the user's estimator stays what it was if this comes to nothing.
            estimator.model_ = estimator.model_.clone()
        estimator._check_model()  # noqa: SLF001 - of this package
        self._compile()
        if self.is_stochastic:
            self._fit_stochastic(train, held, random)
        else:
            self._fit_lbfgs(rows)
        if not all(map(all_finite, estimator.model_.get_weights())):
            raise ValueError(
                "Solver produced non-finite parameter weights. The input data may contain large "
                "values and need to be preprocessed."
            )
        if encoder is not None:
            self._fill_untrained(train)
        estimator.t_ = self.progress.seen
        estimator.n_outputs_, estimator.out_activation_ = task.n_outputs, task.out_activation
        self._label(estimator.model_)
        estimator.n_layers_ = len(dense_layers(estimator.model_)) + 1

    def _fill_untrained(self, train: Rows) -> None:
        """Give embeddings of categories that the training had no row of what the others have."""
        from evengrad.sklearn._untrained_rows import counted, fill_untrained

        encoder, progress = self.estimator.encoder_, self.progress
        progress.category_counts = counted(encoder, train, progress.category_counts)
        fill_untrained(self.estimator.model_, encoder, progress.category_counts)

    def _label(self, model: Model) -> None:
        """Have the model know its labels and columns, which are saved with it."""
        if isinstance(self.task, Classification):
            model.classes_ = self.task.labels.classes
        names = getattr(self.estimator, "feature_names_in_", None)
        if names is not None and self.estimator.encoder_ is None:
            model.feature_names_in_ = list(names)

    def _dtype(self, rows: Rows) -> str:
        """Return what the model computes in: as its data does."""
        if not self.is_first:
            return str(self.estimator.model_.dtype)
        encoder = self.estimator.encoder_
        return str(rows.x.dtype if encoder is None else encoder.dtype)

    def _compile(self) -> None:
        """Give the model its loss and its optimizer; `partial_fit` goes on with those it has."""
        estimator = self.estimator
        if self.incremental and not self.is_first:
            return
        optimizer: Any = optimizer_of(estimator) if self.is_stochastic else "sgd"
        loss, factor, metrics = self.task.loss()
        estimator.model_.compile(optimizer, loss, loss_weights=[factor], weighted_metrics=metrics)

    # ---- solvers

    def _fit_stochastic(self, train: Rows, held: Rows | None, random: Any) -> None:
        estimator, task = self.estimator, self.task
        model: Model = estimator.model_
        rule = StoppingRule(estimator, self.progress, len(train), task.reported)
        if held is not None:
            rule.score = lambda: task.score(model, held)
        try:
            if self.incremental and not estimator.callbacks:
                one_epoch(estimator, train, rule, random)
            else:
                self._fit_model(train, held, rule)
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=TO_USER)
        if rule.best_weights is not None:
            model.set_weights(rule.best_weights)
        estimator.n_iter_ = rule.epochs
        if not rule.has_stopped and not self.incremental and rule.epochs == estimator.max_iter:
            warnings.warn(
                f"Stochastic Optimizer: Maximum iterations ({estimator.max_iter}) reached and the "
                "optimization hasn't converged yet.",
                ConvergenceWarning,
                stacklevel=TO_USER,
            )
        self._note_curves(model.history)

    def _fit_model(self, train: Rows, held: Rows | None, rule: StoppingRule) -> None:
        estimator = self.estimator
        users = estimator.callbacks or []
        estimator.model_.fit(
            train.x,
            train.y,
            batch_size=batch_size_of(estimator, len(train)),
            epochs=1 if self.incremental else int(estimator.max_iter),
            verbose=0,
            callbacks=[rule, *(users if isinstance(users, (list, tuple)) else [users])],
            shuffle=bool(estimator.shuffle),
            sample_weight=train.weights,
            validation_data=None if held is None else held.triple(),
            check_finite=False,
        )

    def _note_curves(self, history: History) -> None:
        """Set the attributes about the course of the training."""
        estimator, progress = self.estimator, self.progress
        stops_early = estimator.early_stopping
        estimator.history_, estimator.loss_curve_ = history, progress.losses
        estimator.loss_ = progress.losses[-1] if progress.losses else math.nan
        best = math.inf if progress.best is None else progress.best
        estimator.best_loss_ = None if stops_early else best
        known = [score for score in progress.scores if not math.isnan(score)]
        best_score = max(known, default=-math.inf)
        estimator.best_validation_score_ = best_score if stops_early else None
        estimator.validation_scores_ = progress.scores if stops_early else None
        estimator.validation_loss_curve_ = progress.validation_losses if stops_early else None

    def _fit_lbfgs(self, rows: Rows) -> None:
        from evengrad.sklearn._lbfgs import minimize

        estimator = self.estimator
        result = minimize(estimator, estimator.model_, rows, self.task.reported)
        estimator.history_, estimator.n_iter_, estimator.loss_ = result


def one_epoch(estimator: Any, rows: Rows, rule: StoppingRule, random: Any) -> None:
    """Train for one epoch, by steps that stay captured between calls of `partial_fit`."""
    model: Model = estimator.model_
    order = np.arange(len(rows))
    if estimator.shuffle:
        random.shuffle(order)
    size, sums = batch_size_of(estimator, len(rows)), Counter[str]()
    for start in range(0, len(rows), size):
        batch = rows.taken(order[start : start + size])
        figures = model.train_on_batch(
            batch.dense(), batch.y, batch.weights, return_dict=True, check_finite=False
        )
        for name, value in figures.items():
            sums[name] += value * len(batch)
    figures = {name: total / len(rows) for name, total in sums.items()}
    model.history = History()
    for callback in (model.history, rule):
        callback.set_model(model)
        callback.on_epoch_end(0, figures)


def batch_size_of(estimator: Any, count: int) -> int:
    """Return the rows in a step, of so many in all."""
    given = estimator.batch_size
    if isinstance(given, str):
        return min(SMALL_BATCH, count)
    if given > count:
        warnings.warn(
            "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped",
            stacklevel=TO_USER + 1,
        )
    return int(min(max(given, 1), count))
