"""Functions of all rows of an epoch as metrics, such as scikit-learn's."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core
from evengrad._common.checks import check_int
from evengrad._common.names import choose
from evengrad._tensor.grad_mode import no_grad
from evengrad.losses._targets import refuse, refuse_nan
from evengrad.metrics._accuracy import HALF
from evengrad.metrics._classes import figure_of
from evengrad.metrics._metric import check_indicators
from evengrad.metrics._scores import EntriesMetric

if TYPE_CHECKING:
    from collections.abc import Callable

    from evengrad._common.arrays import Array, Shape
    from evengrad._core import Tensor

NEEDS = ("predictions", "labels", "probabilities")
MAX_ROWS = 2**17
# How scikit-learn names what is better larger, and what smaller.
ENDINGS = {"_score": "max", "_error": "min", "_loss": "min", "_deviance": "min"}


class EpochMetric(EntriesMetric):
    """A function of all rows of an epoch, of arrays: it is called where the figure is asked for.

    The rows are gathered within captured steps, in memory that is taken at once.

    Parameters
    ----------
    function
        A function ``f(y_true, y_pred)`` of NumPy arrays that returns a number or an array; where
        rows are weighted, ``f(y_true, y_pred, sample_weight=...)``.
    name
        The name in reports; by default the function's.
    direction
        ``"max"`` where a larger figure is better, ``"min"`` where a smaller one is; None where
        nobody is to know.
    needs
        What the function gets. ``"predictions"``: what the model puts out, and targets as they are,
        for regressions. ``"labels"``: class numbers, the largest output of a row or, of one output,
        whether it is above ½; rows of zeros and ones where the targets do not exclude each other.
        ``"probabilities"``: (rows, classes), or (rows,) of class 1 where there are two, also in a
        model whose loss takes logits.
    max_rows
        How many rows an epoch may have, steps of sequences counted singly.
    **arguments
        What the function takes beside.

    Raises
    ------
    TypeError
        No function.
    ValueError
        `direction` or `needs` unknown, `max_rows` below 1. From a call or `fit`: more rows than
        `max_rows`; targets other than class numbers or zeros and ones where classes are needed;
        what the function raises.

    Notes
    -----
    Memory: 24 bytes for each output and row of `max_rows`, 3 MB for one output by default; twice as
    much for ``"predictions"``. The function runs at the end of an epoch, and wherever else figures
    are asked for: for a progress bar, and after each batch for callbacks that hear of batches. Rows
    of weight 0 are left out, and weights of 1 are not passed on. Numbers are float64, class numbers
    int64. 0 before the first row; NaN where a prediction is NaN.

    Examples
    --------
    >>> def worst(y_true, y_pred):
    ...     return np.abs(y_true - y_pred).max()
    >>> metric = eg.metrics.EpochMetric(worst, direction="min")
    >>> metric([[1.0], [2.0]], [[1.5], [4.0]])
    2.0
    """

    def __init__(
        self,
        function: Callable[..., Any],
        name: str | None = None,
        direction: str | None = None,
        needs: str = "predictions",
        max_rows: int = MAX_ROWS,
        **arguments: Any,
    ) -> None:
        given: Any = function
        if not callable(given) or isinstance(given, type) or hasattr(given, "_score_func"):
            raise TypeError(
                f"function: expected a function of targets and predictions, got {given!r}"
            )
        super().__init__(getattr(function, "__name__", None) if name is None else name)
        self.function = function
        if direction is not None:
            choose(direction, ("min", "max"), "direction")
        self.direction = direction
        self.needs = choose(needs, NEEDS, "needs")
        self.max_rows = check_int(max_rows, "max_rows", at_least=4)
        self.needs_probabilities = self._of_classes
        self._named = arguments
        self._by_number = False

    @property
    def _of_classes(self) -> bool:
        return self.needs != "predictions"

    def make_state(self, outputs: int) -> None:
        """Make room for the rows: of regressions the targets have columns of their own."""
        self.make_entries(outputs if self._of_classes else 2 * outputs, self.max_rows)
        self.rows = self.add_state()
        self._one = _core.ones((), dtype="float64")

    def reset_state(self) -> None:
        """Forget all batches."""
        super().reset_state()
        if self._outputs is not None:
            self.rows.copy_(np.zeros(()))

    def _held(self) -> list[tuple[Tensor, Array]]:
        return [*super()._held(), (self.rows, np.array(self.rows.numpy()))]

    def _saved(self) -> list[Array]:
        return [*super()._saved(), np.array(self.rows.numpy())]

    def _check_values(self, y: Array, shape: Shape, what: str) -> None:
        rows = math.prod(y.shape[: len(shape) - 1])
        if rows > self.max_rows:
            raise ValueError(
                f"{self.name}: expected at most {self.max_rows} rows, got {rows}; pass "
                f"max_rows={rows}"
            )
        if not self._of_classes:
            refuse_nan(y, what)
            return
        check_indicators(y, shape, what)
        by_number = y.ndim < len(shape) or y.shape[-1] == 1
        if not (by_number and shape[-1] != 1):
            fix = 'for a regression pass needs="predictions"'
            refuse((y != 0) & (y != 1) & (y != -1), y, f"{what}: expected zeros and ones", fix)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add the rows of a batch."""
        with no_grad():
            targets, predictions, weights = self.flattened(y_true, y_pred, sample_weight)
            rows, outputs = predictions.shape
            given = targets
            if not self._of_classes:
                self._by_number = targets.ndim == 1 and outputs > 1
                wide = targets.unsqueeze(-1) if targets.ndim == 1 else targets
                wide = wide.astype("float64").expand(rows, outputs)
                predictions = _core.cat([wide, predictions.astype("float64")], 1)
                weights = None if weights is None else weights.astype("float64")
                # Nothing is a yes: what is kept are numbers and weights.
                given = _core.zeros((rows, 2 * outputs))
            _core.collect_scores(self.entries, self.summary, predictions, given, weights)
            if weights is None:
                _core.accumulate(self.rows, self._one, scale=float(rows))
            else:
                counted: Tensor = weights != 0.0
                _core.accumulate(self.rows, counted.astype("float64").sum())

    def result(self) -> Any:
        """Return what the function makes of all rows since the last reset."""
        rows = 0 if self._outputs is None else int(self.rows.item())
        if not rows:
            return 0.0
        summary = np.array(self.summary.numpy())
        if np.isnan(summary[:, 2]).any():
            return math.nan
        count = int(summary[0, 0])
        if count != rows:
            raise ValueError(
                f"{self.name}: expected at most {self.max_rows} rows in an epoch, got {rows}; pass "
                f"max_rows={rows}"
            )
        values, yes, no = np.array(self.entries[:, :count].numpy()).transpose(2, 1, 0)
        y, p = self._classes(values, yes > 0.0) if self._of_classes else self._numbers(values)
        weights = yes[:, 0] + no[:, 0]
        weighted = {} if (weights == 1.0).all() else {"sample_weight": weights}
        return figure_of(self._called(y, p, weighted))

    def _called(self, y: Array, p: Array, weighted: dict[str, Array]) -> Array:
        try:
            found = self.function(y, p, **weighted, **self._named)
        except ValueError as error:
            others = " or ".join(f'"{one}"' for one in NEEDS if one != self.needs)
            raise ValueError(
                f'{self.name}: {error}. It got what needs="{self.needs}" stands for; there is '
                f"{others}"
            ) from error
        figure = np.asarray(found)
        if figure.dtype.kind not in "fiub":
            raise TypeError(f"{self.name}: expected a number or an array, got {found!r}")
        return figure.astype("float64")

    def _numbers(self, values: Array) -> tuple[Array, Array]:
        """Return targets and predictions as they were given; single columns are (rows,)."""
        half = values.shape[1] // 2
        y, p = values[:, :half], values[:, half:]
        if half == 1:
            return y[:, 0], p[:, 0]
        return (y[:, 0].astype(np.int64) if self._by_number else y), p

    def _classes(self, values: Array, is_yes: Array) -> tuple[Array, Array]:
        """Return class numbers, or rows of labels, and labels or probabilities."""
        labels = self.needs == "labels"
        above = (values > HALF).astype(np.int64)
        if values.shape[1] == 1:
            return is_yes[:, 0].astype(np.int64), above[:, 0] if labels else values[:, 0]
        if not (is_yes.sum(axis=1) == 1).all():
            return is_yes.astype(np.int64), above if labels else values
        y = is_yes.argmax(axis=1)
        if labels:
            return y, values.argmax(axis=1)
        return y, values[:, 1] if values.shape[1] == 2 else values


def from_sklearn(
    function: Callable[..., Any],
    name: str | None = None,
    direction: str | None = None,
    needs: str = "predictions",
    max_rows: int = MAX_ROWS,
    **arguments: Any,
) -> EpochMetric:
    """Return a function of `sklearn.metrics` as a metric over all rows of an epoch.

    Any function of targets and predictions, arrays, serves; `EpochMetric` says more.

    Parameters
    ----------
    function
        Such as ``sklearn.metrics.f1_score``; no scorer.
    name
        The name in reports; by default the function's.
    direction
        ``"max"`` or ``"min"``. None: of scikit-learn's own functions as their names say, by its
        convention: ``_score`` is better larger, ``_error``, ``_loss`` and ``_deviance`` smaller.
    needs
        ``"predictions"`` for regressions, ``"labels"`` for functions of class numbers,
        ``"probabilities"`` for those of probabilities.
    max_rows
        How many rows an epoch may have.
    **arguments
        What the function takes beside, such as ``average="macro"``.

    Raises
    ------
    TypeError
        No function.
    ValueError
        As from `EpochMetric`.

    Examples
    --------
    >>> from sklearn.metrics import balanced_accuracy_score
    >>> metric = eg.metrics.from_sklearn(balanced_accuracy_score, needs="labels")
    >>> metric([0, 0, 1, 2], np.eye(3)[[0, 1, 1, 2]]), metric.direction
    (0.8333333333333334, 'max')
    """
    metric = EpochMetric(function, name, direction, needs, max_rows, **arguments)
    named = str(getattr(function, "__name__", ""))
    if direction is None and str(getattr(function, "__module__", "")).startswith("sklearn."):
        ending = next((one for one in ENDINGS if named.endswith(one)), "")
        metric.direction = ENDINGS.get(ending)
    return metric
