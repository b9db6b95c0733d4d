"""Penalties by absolute value and by square."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evengrad._common.checks import check_float
from evengrad._common.config import Configured
from evengrad._common.names import choose

if TYPE_CHECKING:
    from evengrad._core import Tensor

# Four libraries, four penalties that are called ℓ2 with the same number.
HALVES = {"keras": 1.0, "torch": 0.5, "tf1": 0.5, "scikit-learn": 0.5}
# The convention under which penalties are divided by the rows of the batch.
BY_ROWS = "scikit-learn"


class Regularizer(Configured):
    """A penalty on a variable or on a layer's output.

    A subclass writes `__call__`, which returns one element.

    Examples
    --------
    >>> class Spread(eg.regularizers.Regularizer):
    ...     def __call__(self, w):
    ...         return 0.1 * w.var()
    >>> layer = eg.layers.Dense(1, kernel_regularizer=Spread())
    """

    _is_read = True

    @property
    def is_by_rows(self) -> bool:
        """Whether a step divides the penalty by the rows of its batch, or the sum of weights."""
        return False

    def __call__(self, w: Tensor) -> Tensor:
        """Return the penalty, one element."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__(self, w)")


class L1(Regularizer):
    """The sum of absolute values: c · Σ abs(w), whose slope at 0 is 0.

    Parameters
    ----------
    l1
        c; 0.01 by default.

    Raises
    ------
    TypeError, ValueError
        A factor that is no number, or below 0.

    References
    ----------
    Tibshirani, "Regression shrinkage and selection via the lasso", 1996.

    Examples
    --------
    >>> eg.regularizers.L1(0.5)(eg.tensor([3.0, -1.0])).item()
    2.0
    """

    def __init__(self, l1: float = 0.01) -> None:
        self.l1 = check_float(l1, "l1", low=0.0)

    def __call__(self, w: Tensor) -> Tensor:
        """Return c · Σ abs(w)."""
        return w.abs().sum() * self.l1


class L2(Regularizer):
    """The sum of squares: c · Σw² under ``"keras"``, ½ · c · Σw² under ``"torch"`` and ``"tf1"``.

    Under ``"scikit-learn"`` it is ½ · c · Σw² / m in a step over a batch of m rows, or of rows
    whose sample weights add up to m; without a batch, as in a call, m is 1.

    Parameters
    ----------
    l2
        c; 0.01 by default.
    convention
        ``"keras"``, ``"torch"``, ``"tf1"`` or ``"scikit-learn"``.

    Raises
    ------
    TypeError, ValueError
        A factor that is no number, or below 0.

    References
    ----------
    Krogh & Hertz, "A simple weight decay can improve generalization", 1992.

    Examples
    --------
    >>> w = eg.tensor([3.0, -1.0])
    >>> eg.regularizers.L2(0.5)(w).item(), eg.regularizers.L2(0.5, convention="torch")(w).item()
    (5.0, 2.5)
    """

    def __init__(self, l2: float = 0.01, convention: str = "keras") -> None:
        self.l2 = check_float(l2, "l2", low=0.0)
        self.convention = choose(convention, HALVES, "convention")

    @property
    def is_by_rows(self) -> bool:
        """Whether a step divides the penalty by the rows of its batch, or the sum of weights."""
        return self.convention == BY_ROWS

    def __call__(self, w: Tensor) -> Tensor:
        """Return c · Σw², or half of it."""
        return w.square().sum() * (self.l2 * HALVES[self.convention])


class L1L2(Regularizer):
    """Both: l1 · Σ abs(w) + l2 · Σw², the squares halved under all conventions but ``"keras"``.

    Under ``"scikit-learn"`` both are divided by the rows of the batch, as in `L2`.

    Parameters
    ----------
    l1, l2
        The factors; 0 by default.
    convention
        ``"keras"``, ``"torch"``, ``"tf1"`` or ``"scikit-learn"``.

    Raises
    ------
    TypeError, ValueError
        A factor that is no number, or below 0.

    References
    ----------
    Zou & Hastie, "Regularization and variable selection via the elastic net", 2005.

    Examples
    --------
    >>> eg.regularizers.L1L2(l1=0.5, l2=0.5)(eg.tensor([3.0, -1.0])).item()
    7.0
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0, convention: str = "keras") -> None:
        self.l1 = check_float(l1, "l1", low=0.0)
        self.l2 = check_float(l2, "l2", low=0.0)
        self.convention = choose(convention, HALVES, "convention")

    @property
    def is_by_rows(self) -> bool:
        """Whether a step divides the penalty by the rows of its batch, or the sum of weights."""
        return self.convention == BY_ROWS

    def __call__(self, w: Tensor) -> Tensor:
        """Return l1 · Σ abs(w) + l2 · Σw²."""
        return w.abs().sum() * self.l1 + w.square().sum() * (self.l2 * HALVES[self.convention])
