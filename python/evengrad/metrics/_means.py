"""Means and sums of values, which loops of one's own gather."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad import _core
from evengrad._tensor.grad_mode import no_grad
from evengrad.losses._loss import as_floats, hide_masked
from evengrad.metrics._metric import Metric

if TYPE_CHECKING:
    from evengrad._core import Tensor


class ValuesMetric(Metric):
    """What `Mean` and `Sum` share: they take values, not targets and predictions."""

    takes_values = True

    def _weighted(self, values: Any, sample_weight: Any) -> tuple[Tensor, Tensor | None]:
        """Return values and weights of one shape: those that share a weight are joined."""
        given = as_floats(values).detach()
        if sample_weight is None:
            return given, None
        weights = as_floats(sample_weight).detach().astype(given.dtype)
        wanted = tuple(given.shape)
        if weights.ndim > 1 == weights.shape[-1] and tuple(weights.shape) != wanted:
            weights = weights.squeeze(-1)
        shape = tuple(weights.shape)
        if shape != wanted[: weights.ndim]:
            raise ValueError(
                f"{self.name}: sample_weight: expected a weight for each value, shape {wanted}, or "
                f"for each row, {wanted[:1]}, or one for all, got {shape}"
            )
        if weights.ndim == 0:
            weights = weights.expand(*wanted)
        shared = tuple(range(weights.ndim, given.ndim))
        joined = self._joined(given, shared) if shared else given
        return hide_masked(joined, weights), weights

    def _joined(self, values: Tensor, shared: tuple[int, ...]) -> Tensor:
        raise NotImplementedError

    def __call__(self, values: Any, sample_weight: Any = None) -> Any:  # type: ignore[override]  # takes values, as Keras' does
        """Take in values and return the figure over all so far."""
        self.update_state(values, sample_weight)
        return self.result()


class Mean(ValuesMetric):
    """The weighted mean of values: Σ w · value / Σ w, over all that were taken in.

    Parameters
    ----------
    name
        The name in reports.

    Raises
    ------
    ValueError
        From a call: weights that do not fit the values.

    Notes
    -----
    For loops of one's own: it takes ``(values, sample_weight=None)``, not targets and predictions,
    so that `compile` refuses it. Values of any shape; those that share a weight count as their
    mean, and values of weight 0 go nowhere. Within a captured step it gathers without Python.

    Examples
    --------
    >>> mean = eg.metrics.Mean()
    >>> mean.update_state([1.0, 3.0])
    >>> mean.update_state(8.0)
    >>> mean.result()
    4.0
    >>> eg.metrics.Mean()([1.0, 5.0], sample_weight=[3.0, 1.0])
    2.0
    """

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name)
        self.total, self.count = self.add_state(), self.add_state()
        self._one = _core.ones((), dtype="float64")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:  # type: ignore[override]  # takes values, as Keras' does
        """Take in values.

        Parameters
        ----------
        values
            Numbers, of any shape.
        sample_weight
            A weight for each value or row, one for all, or None.
        """
        with no_grad():
            given, weights = self._weighted(values, sample_weight)
            if weights is None:
                _core.accumulate(self.total, given.sum())
                _core.accumulate(self.count, self._one, scale=float(given.size))
            else:
                _core.accumulate(self.total, (given * weights).sum())
                _core.accumulate(self.count, weights.sum())

    def result(self) -> float:
        """Return the mean; 0 before the first value."""
        count = self.count.item()
        return float(self.total.item()) / count if count else 0.0

    def _joined(self, values: Tensor, shared: tuple[int, ...]) -> Tensor:
        return values.mean(dim=shared)


class Sum(ValuesMetric):
    """The weighted sum of values: Σ w · value, over all that were taken in.

    Parameters
    ----------
    name
        The name in reports.

    Raises
    ------
    ValueError
        From a call: weights that do not fit the values.

    Notes
    -----
    As `Mean`: it takes ``(values, sample_weight=None)``.

    Examples
    --------
    >>> total = eg.metrics.Sum()
    >>> total.update_state([1.0, 3.0])
    >>> total([2.0], sample_weight=[0.5])
    5.0
    """

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name)
        self.total = self.add_state()

    def update_state(self, values: Any, sample_weight: Any = None) -> None:  # type: ignore[override]  # takes values, as Keras' does
        """Take in values; see `Mean.update_state`.

        Parameters
        ----------
        values
            Numbers, of any shape.
        sample_weight
            A weight for each value or row, one for all, or None.
        """
        with no_grad():
            given, weights = self._weighted(values, sample_weight)
            part = given if weights is None else given * weights
            _core.accumulate(self.total, part.sum())

    def result(self) -> float:
        """Return the sum."""
        return float(self.total.item())

    def _joined(self, values: Tensor, shared: tuple[int, ...]) -> Tensor:
        return values.sum(dim=shared)
