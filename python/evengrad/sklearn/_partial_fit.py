"""Where estimators have a `partial_fit`, as scikit-learn's perceptrons have one."""

from __future__ import annotations

from types import MethodType
from typing import TYPE_CHECKING, Any

from evengrad.sklearn._solvers import is_stochastic

if TYPE_CHECKING:
    from collections.abc import Callable


class PartialFitError(AttributeError, ValueError):
    """There is no `partial_fit` with these arguments.

    An AttributeError, so that `hasattr` tells; and a ValueError, as scikit-learn's perceptrons
    raise one with ``early_stopping``.
    """


def check_partial_fit(estimator: Any) -> None:
    """Raise an error where an estimator's arguments leave no room for `partial_fit`."""
    if not is_stochastic(estimator.solver):
        raise PartialFitError(
            "partial_fit is only available for stochastic optimizers. lbfgs is not stochastic."
        )
    if estimator.early_stopping:
        raise PartialFitError("partial_fit does not support early_stopping=True")


class PartialFit:
    """A method that is there where `check_partial_fit` raises no error."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.__doc__ = function.__doc__

    def __get__(self, estimator: Any, owner: type) -> Callable[..., Any]:
        """Return the method of an estimator; of the class, the function."""
        del owner
        if estimator is None:
            return self.function
        check_partial_fit(estimator)
        return MethodType(self.function, estimator)
