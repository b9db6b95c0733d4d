"""Regularizers: penalties that are added to the loss.

They are the names that `kernel_regularizer=` takes as strings; ``"l2"`` is ``L2()``, 0.01 · Σw².
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad._common.names import look_up as _look_up
from evengrad._common.names import public_names as _public_names
from evengrad._common.names import shown_object as _shown_object
from evengrad._common.serialized import deserialized as _deserialized
from evengrad._common.serialized import is_serialized as _is_serialized
from evengrad._common.serialized import serialize as serialize
from evengrad.regularizers._orthogonal import OrthogonalRegularizer as OrthogonalRegularizer
from evengrad.regularizers._regularizer import L1 as L1
from evengrad.regularizers._regularizer import L1L2 as L1L2
from evengrad.regularizers._regularizer import L2 as L2
from evengrad.regularizers._regularizer import Regularizer as Regularizer
from evengrad.regularizers._sparsity import KLSparsity as KLSparsity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def get(regularizer: Any, argument: str = "regularizer") -> Callable[..., Any] | None:
    """Return the regularizer with that name; objects, functions and None are returned as they are.

    Parameters
    ----------
    regularizer
        A name, what `serialize` returned, a regularizer, a function of a variable, or None.
    argument
        What messages call it.

    Raises
    ------
    ValueError
        No regularizer has that name; the message lists them.
    TypeError
        Neither a string nor callable.

    Examples
    --------
    >>> eg.regularizers.get("l1")
    L1()
    """
    if isinstance(regularizer, str):
        return _look_up(regularizer, _public_names(globals(), Regularizer), argument)()
    if regularizer is None or (callable(regularizer) and not isinstance(regularizer, type)):
        given: Callable[..., Any] | None = regularizer
        return given
    if _is_serialized(regularizer):
        return deserialize(regularizer)
    raise TypeError(
        f"{argument}: expected a name, a regularizer or None, got {_shown_object(regularizer)}"
    )


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Regularizer:
    """Return the regularizer that `serialize` has described.

    Parameters
    ----------
    config
        What `serialize` returned: ``{"class_name": ..., "config": ...}``.
    custom_objects
        Your own classes and functions by name.

    Raises
    ------
    ValueError
        An unknown class, or arguments that it does not take.

    Examples
    --------
    >>> eg.regularizers.deserialize(eg.regularizers.serialize(eg.regularizers.L2(0.1)))
    L2(l2=0.1)
    """
    made: Regularizer = _deserialized(config, "regularizers", custom_objects)
    return made
