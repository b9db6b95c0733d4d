"""L-BFGS: SciPy's, on the loss and the gradient of all rows, captured once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core
from evengrad.callbacks import BackupAndRestore, GradualUnfreezing, History
from evengrad.callbacks._callback import CallbackList, check_callbacks, overrides
from evengrad.callbacks._learning_rate import RateChanger
from evengrad.models._network import view_of
from evengrad.training._data import prepare
from evengrad.training._step import Batch

if TYPE_CHECKING:
    from collections.abc import Callable

    from evengrad._common.arrays import Array
    from evengrad._core import Tensor
    from evengrad.models import Model
    from evengrad.sklearn._data import Rows

# Callbacks of what a search has not: steps with a rate, optimizers whose state a file keeps, layers
# that begin to train later.
OF_STEPS = (BackupAndRestore, GradualUnfreezing, RateChanger)


def check_callbacks_of_iterations(callbacks: Any) -> None:
    """Raise a ValueError for a callback that hears of more than the iterations of a search."""
    for one in check_callbacks(callbacks):
        if (
            isinstance(one, OF_STEPS)
            or one.wants_batches("train")
            or one.watch_every is not None
            or any(overrides(one, hook) for hook in ("_after_steps", "_on_non_finite"))
        ):
            raise ValueError(
                f"callbacks: {type(one).__name__} acts on the steps of an optimizer, and "
                'solver="lbfgs" makes none; expected callbacks that hear of epochs, which here are '
                'iterations, or choose "adam" or "sgd"'
            )


class FlatLoss:
    """The loss of all rows and its gradient, as functions of one vector of all variables."""

    def __init__(self, model: Model, x: Any, y: Array, sample_weight: Array | None) -> None:
        view = view_of(model)
        data = prepare(view, x, y, sample_weight, check_finite=False)
        self.objective, self.tree = data.objective, view.tree
        self.batch = Batch.whole(data).next()
        self.variables: list[Tensor] = list(view.tree.trainable)
        sizes = [variable.size for variable in self.variables]
        self.ends = np.cumsum(sizes)
        with _core.Recording() as step:
            self.results = self._run()
        # Loss and metrics of the last call.
        self.figures: dict[str, Any] = {}
        # None where a layer reads values, so that each call runs in Python.
        self.replay = None if step.plan is None else step.replay

    def _run(self) -> tuple[Tensor, list[Tensor | None]]:
        xs, ys, weights = self.batch
        loss = self.objective.loss_and_metrics(xs, ys, weights, self.tree, training=True)
        return loss.detach(), _core.gradients(loss, self.variables)

    def vector(self) -> Array:
        """Return the variables as one vector of float64."""
        parts = [variable.detach().numpy().reshape(-1) for variable in self.variables]
        return np.concatenate(parts).astype(np.float64)

    def put(self, vector: Array) -> None:
        """Set the variables."""
        pieces = np.split(vector, self.ends[:-1])
        for variable, piece in zip(self.variables, pieces, strict=True):
            variable.copy_(piece.reshape(variable.shape).astype(variable.dtype))

    def __call__(self, vector: Array) -> tuple[float, Array]:
        """Return the loss and its gradient where the variables are this vector."""
        self.put(vector)
        self.objective.reset()
        if self.replay is None:
            self.results = self._run()
        else:
            self.replay()
        loss, gradients = self.results
        self.figures = self.objective.logs()
        made = np.zeros(len(vector))
        for end, variable, gradient in zip(self.ends, self.variables, gradients, strict=True):
            if gradient is not None:
                made[end - variable.size : end] = gradient.numpy().reshape(-1)
        return float(loss.item()), made


def minimize(
    estimator: Any, model: Model, rows: Rows, reported: Callable[[dict[str, Any]], float]
) -> tuple[History, int, float]:
    """Train a compiled model; return its history, and iterations and loss at the end."""
    from sklearn.utils.optimize import _check_optimize_result

    flat = FlatLoss(model, rows.dense(), rows.y, rows.weights)
    course = Course(estimator, model, flat, reported, len(rows))
    found = course.search()
    made = len(course.history.epoch)
    if found is not None:
        flat.put(found.x)
        made = int(_check_optimize_result("lbfgs", found, estimator.max_iter))
    course.callbacks.tell("on_train_end", course.figures)
    # A callback may have put back the best weights.
    flat(flat.vector())
    loss = reported(flat.figures)
    flat.objective.reset()
    return course.history, made, loss


class EndedByCallbackError(Exception):
    """A callback has set ``model.stop_training``."""


class Course:
    """What is heard of a search: each iteration is an epoch to callbacks."""

    def __init__(
        self,
        estimator: Any,
        model: Model,
        flat: FlatLoss,
        reported: Callable[[dict[str, Any]], float],
        rows: int,
    ) -> None:
        self.estimator, self.model, self.flat, self.reported = estimator, model, flat, reported
        self.history = model.history = History()
        self.callbacks = CallbackList([self.history, *check_callbacks(estimator.callbacks)], model)
        self.callbacks.set_params(
            {
                "epochs": estimator.max_iter,
                "initial_epoch": 0,
                "steps": 1,
                "batch_size": rows,
                "rows": rows,
                "shuffle": False,
                "verbose": 0,
                "validation_freq": 1,
            }
        )
        # Those of the last iteration, and whether another has begun.
        self.figures: dict[str, Any] = {}
        self._has_begun = False

    def search(self) -> Any:
        """Return what SciPy has found; None where a callback ended it, and the weights stand."""
        from scipy.optimize import minimize

        given = self.estimator
        options = {"maxfun": given.max_fun, "maxiter": given.max_iter, "gtol": given.tol}
        self.model.stop_training = False
        try:
            self.callbacks.tell("on_train_begin", {})
            return minimize(
                self._loss,
                self.flat.vector(),
                method="L-BFGS-B",
                jac=True,
                options=options,
                callback=self._note,
            )
        except EndedByCallbackError:
            return None
        except BaseException:
            self.callbacks.release(self.figures)
            raise

    def _loss(self, vector: Array) -> tuple[float, Array]:
        """Return loss and gradient; the first call after an iteration begins the next."""
        if not self._has_begun:
            self._has_begun = True
            self.callbacks.tell("on_epoch_begin", len(self.history.epoch), {})
        return self.flat(vector)

    def _note(self, vector: Array) -> None:
        """Hear of an iteration, which came to these weights."""
        self.flat(vector)
        self._has_begun = False
        epoch, loss = len(self.history.epoch), self.reported(self.flat.figures)
        self.figures = {"loss": loss}
        if self.estimator.verbose:
            print(f"Iteration {epoch + 1}, loss = {loss:.8f}")  # noqa: T201 - asked for
        self.callbacks.tell("on_epoch_end", epoch, dict(self.figures))
        if self.model.stop_training:
            raise EndedByCallbackError
