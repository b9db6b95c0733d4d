"""Activation functions, under the names that `activation=` takes as strings.

Any function of a tensor serves as an activation too: ``layers.Dense(8, activation=my_function)``.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from evengrad import _core
from evengrad._activation_advice import Suggestion, suggest
from evengrad._elementwise import as_tensor as _as_tensor
from evengrad._elementwise import exp as exponential
from evengrad._names import look_up as _look_up
from evengrad._nonlinear import (
    celu,
    elu,
    gelu,
    hard_sigmoid,
    hard_silu,
    hard_tanh,
    leaky_relu,
    mish,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    softplus,
    softsign,
    tanh,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from evengrad._core import Tensor

__all__ = [
    "Suggestion",
    "celu",
    "elu",
    "exponential",
    "gelu",
    "get",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "leaky_relu",
    "linear",
    "log_softmax",
    "mish",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "softsign",
    "suggest",
    "swish",
    "tanh",
]

# What is no activation.
_OTHERS = frozenset({"Suggestion", "get", "suggest"})

swish = silu
hard_swish = hard_silu


def linear(x: Any) -> Tensor:
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
    return _as_tensor(x)


def softmax(x: Any, axis: int = -1) -> Tensor:
    """Turn the scores of a dimension, the last by default, into shares of one: e^x / Σ e^x.

    Parameters
    ----------
    x
        A tensor or an array, the scores.
    axis
        The dimension; a negative one counts from the end.

    Examples
    --------
    >>> eg.activations.softmax([[0.0, 0.0]]).tolist()
    [[0.5, 0.5]]
    """
    return _core.softmax(_as_tensor(x), axis)


def log_softmax(x: Any, axis: int = -1) -> Tensor:
    """Return the logarithm of the softmax of a dimension, the last by default: x − ln Σ e^x.

    Parameters
    ----------
    x
        A tensor or an array, the scores.
    axis
        The dimension; a negative one counts from the end.

    Examples
    --------
    >>> eg.activations.log_softmax([[1000.0, 0.0]]).tolist()
    [[0.0, -1000.0]]
    """
    return _core.log_softmax(_as_tensor(x), axis)


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
        found: Callable[..., Any] = _look_up(activation, _offered(), "activation")
        return found
    if isinstance(activation, type):
        raise TypeError(
            f"activation: expected a name, a function of a tensor or a layer, got the class "
            f"{activation.__name__}; make an object of it, {activation.__name__}()"
        )
    if callable(activation):
        function: Callable[..., Any] = activation
        return function
    raise TypeError(f"activation: expected a name or a function of a tensor, got {activation!r}")


@functools.cache
def _offered() -> dict[str, Any]:
    """Return the activations by name. Kept: layers ask at every call."""
    return {name: globals()[name] for name in __all__ if name not in _OTHERS}


@functools.cache
def _names() -> dict[int, str]:
    """Return the first name of each activation, by identity: a user's may not be hashable."""
    return {id(function): name for name, function in reversed(_offered().items())}


def _name_of(activation: Callable[..., Any]) -> str | None:
    """Return the name of one of these functions; None for a function of the user's."""
    return _names().get(id(activation))
