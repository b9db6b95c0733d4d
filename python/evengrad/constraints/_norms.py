"""Constraints on the norms of the weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evengrad import _core
from evengrad._checks import check_float
from evengrad._names import choose
from evengrad.constraints._constraint import Constraint

if TYPE_CHECKING:
    from evengrad._core import Tensor

# What Keras adds to every norm that it divides by.
KERAS_EPSILON = 1e-7


class _Norm(Constraint):
    """A constraint on norms along an axis."""

    axis: int | tuple[int, ...]
    convention: str

    def _set(self, axis: int | tuple[int, ...], convention: str) -> None:
        self.axis = axis if isinstance(axis, int) else tuple(axis)
        self.convention = choose(convention, ("exact", "keras", "tf1"), "convention")

    def _norms(self, w: Tensor) -> Tensor:
        return w.square().sum(dim=self.axis, keepdim=True).sqrt()

    def _scaled(self, w: Tensor, norms: Tensor, wanted: Tensor) -> Tensor:
        """Return w with these norms replaced; a vector of zeros has no direction and stays."""
        if self.convention == "keras":
            return w * (wanted / (norms + KERAS_EPSILON))
        return w * (wanted / _core.where(norms > 0.0, norms, 1.0))


class MaxNorm(_Norm):
    """Bound the norm of each neuron's incoming weights: w ← w · r / ‖w‖ where ‖w‖ > r.

    Weights inside the ball are left as they are, to the bit. Under ``"keras"`` all are multiplied
    by min(‖w‖, r) / (1e-7 + ‖w‖), which shrinks them a little.

    Parameters
    ----------
    max_value
        r.
    axis
        What the norm is taken along. Kernels are (in, out): 0, the default, is over what comes into
        each neuron; 1 would be over what goes out of each input.
    convention
        ``"exact"``, ``"keras"`` or ``"tf1"``, which is exact too.

    Raises
    ------
    ValueError
        A value out of range.

    References
    ----------
    Srivastava, Hinton, Krizhevsky, Sutskever & Salakhutdinov, "Dropout", 2014.

    Examples
    --------
    >>> w = eg.tensor([[3.0, 4.0], [0.3, 0.4]])
    >>> eg.constraints.MaxNorm(1.0)(w).numpy().round(4).tolist()
    [[0.9950000047683716, 0.9950000047683716], [0.09950000047683716, 0.09950000047683716]]
    """

    def __init__(
        self,
        max_value: float = 2.0,
        axis: int | tuple[int, ...] = 0,
        convention: str = "exact",
    ) -> None:
        self.max_value = check_float(max_value, "max_value", low=0.0)
        self._set(axis, convention)

    def __call__(self, w: Tensor) -> Tensor:
        """Return w, shortened where it is too long."""
        norms = self._norms(w)
        return self._scaled(w, norms, _core.minimum(norms, self.max_value))


class MinMaxNorm(_Norm):
    """Bring the norm of each neuron's incoming weights between two bounds, by a share of the way.

    w ← w · n / ‖w‖ with n = ‖w‖ + rate · (clip(‖w‖, min, max) − ‖w‖). Weights within the bounds are
    left as they are; under ``"keras"`` 1e-7 is added to the norm that is divided by.

    Parameters
    ----------
    min_value, max_value
        The bounds.
    rate
        The share of the way; 1, all of it, by default.
    axis
        What the norm is taken along; 0 is over what comes into each neuron.
    convention
        ``"exact"`` or ``"keras"``.

    Raises
    ------
    ValueError
        A value out of range.

    Examples
    --------
    >>> w = eg.tensor([[3.0, 0.25], [4.0, 0.0]])
    >>> eg.constraints.MinMaxNorm(0.5, 2.5)(w).tolist()
    [[1.5, 0.5], [2.0, 0.0]]
    """

    def __init__(
        self,
        min_value: float = 0.0,
        max_value: float = 1.0,
        rate: float = 1.0,
        axis: int | tuple[int, ...] = 0,
        convention: str = "exact",
    ) -> None:
        self.min_value = check_float(min_value, "min_value", low=0.0)
        self.max_value = check_float(max_value, "max_value", low=self.min_value)
        self.rate = check_float(rate, "rate", low=0.0, high=1.0)
        self._set(axis, convention)

    def __call__(self, w: Tensor) -> Tensor:
        """Return w with its norms brought towards the bounds."""
        norms = self._norms(w)
        bounded = norms.clamp(self.min_value, self.max_value)
        if self.rate == 1.0:
            return self._scaled(w, norms, bounded)
        return self._scaled(w, norms, norms + (bounded - norms) * self.rate)


class UnitNorm(_Norm):
    """Give each neuron's incoming weights the norm 1: w ← w / ‖w‖.

    Under ``"keras"`` 1e-7 is added to the norm. A vector of zeros stays.

    Parameters
    ----------
    axis
        What the norm is taken along; 0 is over what comes into each neuron.
    convention
        ``"exact"`` or ``"keras"``.

    Examples
    --------
    >>> eg.constraints.UnitNorm()(eg.tensor([[3.0, 0.0], [4.0, 0.0]])).numpy().round(2).tolist()
    [[0.6000000238418579, 0.0], [0.800000011920929, 0.0]]
    """

    def __init__(self, axis: int | tuple[int, ...] = 0, convention: str = "exact") -> None:
        self._set(axis, convention)

    def __call__(self, w: Tensor) -> Tensor:
        """Return w / ‖w‖."""
        norms = self._norms(w)
        return self._scaled(w, norms, _core.where(norms > 0.0, norms * 0.0 + 1.0, norms))
