"""Activation functions: by name, their names, and those that are no elementwise operation.

`evengrad.activations` offers them to users.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from evengrad import _core
from evengrad._common.config import enter_names
from evengrad._common.names import look_up, shown_object
from evengrad._tensor import nonlinear
from evengrad._tensor.axes import check_axes, over_axes
from evengrad._tensor.conversion import as_tensor
from evengrad._tensor.elementwise import exp as exponential
from evengrad._tensor.nonlinear import *
from evengrad._tensor.nonlinear import hard_silu as hard_swish
from evengrad._tensor.nonlinear import silu as swish

if TYPE_CHECKING:
    from collections.abc import Callable

    from evengrad._core import Tensor
    from evengrad._tensor.conversion import TensorLike

__all__ = ["exponential", "get", "hard_swish", "linear", "log_softmax", "softmax", "swish"]
__all__ += nonlinear.__all__


def linear(x: TensorLike) -> Tensor:
    """Return the input as it is.

    Parameters
    ----------
    x
        A tensor or an array.

    Examples
    --------
    >>> eg.activations.linear([1.0, -2.0]).tolist()
    [1.0, -2.0]
    """
    return as_tensor(x)


def softmax(x: TensorLike, axis: Any = -1) -> Tensor:
    """Turn the scores of a dimension, the last by default, into shares of one: e^x / Σ e^x.

    Parameters
    ----------
    x
        A tensor or an array, the scores.
    axis
        The dimension; a negative one counts from the end. Several are taken together, as one.

    Raises
    ------
    ValueError
        There is no such dimension.

    Examples
    --------
    >>> eg.activations.softmax([[0.0, 0.0]]).tolist()
    [[0.5, 0.5]]
    """
    if isinstance(axis, (tuple, list)):
        return over_axes(as_tensor(x), check_axes(axis, rows=True), _core.softmax)
    return _core.softmax(as_tensor(x), axis)


def log_softmax(x: TensorLike, axis: Any = -1) -> Tensor:
    """Return the logarithm of the softmax of a dimension, the last by default: x − ln Σ e^x.

    Parameters
    ----------
    x
        A tensor or an array, the scores.
    axis
        The dimension; a negative one counts from the end. Several are taken together, as one.

    Raises
    ------
    ValueError
        There is no such dimension.

    Examples
    --------
    >>> eg.activations.log_softmax([[1000.0, 0.0]]).tolist()
    [[0.0, -1000.0]]
    """
    if isinstance(axis, (tuple, list)):
        return over_axes(as_tensor(x), check_axes(axis, rows=True), _core.log_softmax)
    return _core.log_softmax(as_tensor(x), axis)


def get(activation: Any) -> Callable[..., Any]:
    """Return the activation with that name; a function is returned as it is, None is `linear`.

    Parameters
    ----------
    activation
        A name, a function of a tensor, or None.

    Raises
    ------
    ValueError
        No activation has that name; the message lists them.
    TypeError
        Neither a string nor a function; a class.

    Examples
    --------
    >>> eg.activations.get("relu") is eg.relu
    True
    """
    if activation is None:
        return linear
    if isinstance(activation, str):
        found: Callable[..., Any] = look_up(activation, offered(), "activation")
        return found
    if isinstance(activation, type):
        raise TypeError(
            "activation: expected a name, a function of a tensor or a layer, got "
            + shown_object(activation)
        )
    if callable(activation):
        function: Callable[..., Any] = activation
        return function
    raise TypeError(f"activation: expected a name or a function of a tensor, got {activation!r}")


@functools.cache
def offered() -> dict[str, Any]:
    """Return the activations by name."""
    return {name: globals()[name] for name in __all__ if name != "get"}


enter_names(offered())
# What pickles of before `relu` had arguments find.
enter_names({"relu": _core.relu})
