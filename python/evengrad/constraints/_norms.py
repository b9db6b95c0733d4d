"""Constraints on the norms of the weights."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

from evengrad import _core
from evengrad._common.checks import check_float
from evengrad._common.names import choose
from evengrad._tensor.norms import scaled_norm
from evengrad.constraints._constraint import Constraint

if TYPE_CHECKING:
    from evengrad._core import Tensor

CONVENTIONS = ("exact", "keras", "torch", "tf1")
# What Keras adds to every norm that it divides by, and `torch.renorm` to those it divides by.
EPSILON = 1e-7


class _Norm(Constraint):
    """A constraint on norms along an axis."""

    axis: int | tuple[int, ...]
    convention: str

    def _set(self, axis: int | tuple[int, ...], convention: str) -> None:
        self.axis = check_axis(axis)
        self.convention = choose(convention, CONVENTIONS, "convention")

    def _check(self, shape: tuple[int, ...], variable: str) -> None:
        count = len(shape)
        for axis in self.axis if isinstance(self.axis, tuple) else (self.axis,):
            if not -count <= axis < count:
                raise ValueError(
                    f"{variable}: axis: {self!r} takes norms along dimension {axis}, which shape "
                    f"{shape} lacks; pass another axis, 0 for a bias"
                )

    def _split(self, w: Tensor, epsilon: float) -> tuple[Tensor, Tensor, Tensor]:
        """Return u, n with ‖w‖ = u · n, and w / (‖w‖ + ε); zeros have no direction and stay.

        No square is taken of the weights themselves: their own may overflow, or vanish.
        """
        self._check(tuple(w.shape), type(self).__name__)
        unit, shares, norm = scaled_norm(w, self.axis)
        divisor = norm if epsilon == 0.0 else norm + epsilon / unit
        return unit, norm, shares / _core.where(norm == 0.0, 1.0, divisor)


def check_axis(axis: Any) -> int | tuple[int, ...]:
    """Return a dimension or several, or raise an error."""
    given = list(axis) if isinstance(axis, (tuple, list)) else [axis]
    for one in given:
        if isinstance(one, bool) or not hasattr(one, "__index__"):
            raise TypeError(f"axis: expected an integer or a tuple of integers, got {axis!r}")
    whole = tuple(operator.index(one) for one in given)
    if not whole:
        raise ValueError("axis: expected at least one dimension, got none")
    return whole if isinstance(axis, (tuple, list)) else whole[0]


class MaxNorm(_Norm):
    """Bound the norm of each neuron's incoming weights: w ← w · r / ‖w‖ where ‖w‖ > r.

    Weights inside the ball are left as they are, to the bit. Under ``"keras"`` all are multiplied
    by min(‖w‖, r) / (1e-7 + ‖w‖), which shrinks them a little. Under ``"torch"`` only those outside
    are shortened, by r / (1e-7 + ‖w‖): `torch.renorm`.

    Parameters
    ----------
    max_value
        r.
    axis
        What the norm is taken along. Kernels are (in, out): 0, the default, is over what comes into
        each neuron; 1 would be over what goes out of each input.
    convention
        ``"exact"``, ``"keras"``, ``"torch"``, or ``"tf1"``, which is exact too.

    Raises
    ------
    ValueError
        A value out of range; a variable without that dimension.
    TypeError
        An `axis` that is no integer and no tuple of integers.

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
        self, max_value: float = 2.0, axis: int | tuple[int, ...] = 0, convention: str = "exact"
    ) -> None:
        self.max_value = check_float(max_value, "max_value", low=0.0)
        self._set(axis, convention)

    def __call__(self, w: Tensor) -> Tensor:
        """Return w, shortened where it is too long."""
        epsilon = EPSILON if self.convention in ("keras", "torch") else 0.0
        unit, norm, directions = self._split(w, epsilon)
        norms = unit * norm
        if self.convention == "keras":
            return directions * _core.minimum(norms, self.max_value)
        return _core.where(norms <= self.max_value, w, directions * self.max_value)


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
        ``"exact"`` or ``"keras"``; ``"torch"`` and ``"tf1"``, whose libraries have no such thing,
        are exact.

    Raises
    ------
    ValueError
        A value out of range; a variable without that dimension.
    TypeError
        An `axis` that is no integer and no tuple of integers.

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
        keras = self.convention == "keras"
        unit, norm, directions = self._split(w, EPSILON if keras else 0.0)
        norms = unit * norm
        bounded = norms.clamp(self.min_value, self.max_value)
        moved = directions * bounded
        if self.rate != 1.0:
            # Keras starts from w · ‖w‖ / (‖w‖ + ε), in an order in which nothing overflows.
            start = (directions * norm) * unit if keras else w
            moved = start + (moved - start) * self.rate
        return moved if keras else _core.where(bounded == norms, w, moved)


class UnitNorm(_Norm):
    """Give each neuron's incoming weights the norm 1: w ← w / ‖w‖.

    Under ``"keras"`` 1e-7 is added to the norm. A vector of zeros stays.

    Parameters
    ----------
    axis
        What the norm is taken along; 0 is over what comes into each neuron.
    convention
        ``"exact"`` or ``"keras"``; ``"torch"`` and ``"tf1"``, whose libraries have no such thing,
        are exact.

    Raises
    ------
    ValueError
        An unknown convention; a variable without that dimension.
    TypeError
        An `axis` that is no integer and no tuple of integers.

    Examples
    --------
    >>> eg.constraints.UnitNorm()(eg.tensor([[3.0, 0.0], [4.0, 0.0]])).numpy().round(2).tolist()
    [[0.6000000238418579, 0.0], [0.800000011920929, 0.0]]
    """

    def __init__(self, axis: int | tuple[int, ...] = 0, convention: str = "exact") -> None:
        self._set(axis, convention)

    def __call__(self, w: Tensor) -> Tensor:
        """Return w / ‖w‖."""
        return self._split(w, EPSILON if self.convention == "keras" else 0.0)[2]
