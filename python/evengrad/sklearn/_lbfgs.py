"""L-BFGS: SciPy's, on the loss and the gradient of all rows, captured once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core
from evengrad.callbacks import History
from evengrad.models._network import view_of
from evengrad.training._data import prepare
from evengrad.training._step import Batch

if TYPE_CHECKING:
    from collections.abc import Callable

    from evengrad._common.arrays import Array
    from evengrad._core import Tensor
    from evengrad.models import Model
    from evengrad.sklearn._data import Rows


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
    from scipy.optimize import minimize as search
    from sklearn.utils.optimize import _check_optimize_result

    flat = FlatLoss(model, rows.dense(), rows.y, rows.weights)
    history = History()
    history.set_model(model)

    def note(_: Any) -> None:
        loss = reported(flat.figures)
        history.on_epoch_end(len(history.epoch), {"loss": loss})
        if estimator.verbose:
            print(f"Iteration {len(history.epoch)}, loss = {loss:.8f}")  # noqa: T201 - asked for

    options = {"maxfun": estimator.max_fun, "maxiter": estimator.max_iter, "gtol": estimator.tol}
    start = flat.vector()
    found = search(flat, start, method="L-BFGS-B", jac=True, options=options, callback=note)
    flat(found.x)
    loss = reported(flat.figures)
    flat.objective.reset()
    model.history = history
    return history, int(_check_optimize_result("lbfgs", found, estimator.max_iter)), loss
