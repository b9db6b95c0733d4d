"""Constraints: what a variable is brought back to after every update.

They are the names that `kernel_constraint=` takes as strings; ``"max_norm"`` is ``MaxNorm()``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad._common.names import look_up as _look_up
from evengrad._common.names import public_names as _public_names
from evengrad._common.names import shown_object as _shown_object
from evengrad._common.serialized import deserialized as _deserialized
from evengrad._common.serialized import is_serialized as _is_serialized
from evengrad._common.serialized import serialize as serialize
from evengrad.constraints._constraint import Constraint as Constraint
from evengrad.constraints._constraint import NonNeg as NonNeg
from evengrad.constraints._norms import MaxNorm as MaxNorm
from evengrad.constraints._norms import MinMaxNorm as MinMaxNorm
from evengrad.constraints._norms import UnitNorm as UnitNorm

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def get(constraint: Any, argument: str = "constraint") -> Callable[..., Any] | None:
    """Return the constraint with that name; objects, functions and None are returned as they are.

    Parameters
    ----------
    constraint
        A name, what `serialize` returned, a constraint, a function of a variable, or None.
    argument
        What messages call it.

    Raises
    ------
    ValueError
        No constraint has that name; the message lists them.
    TypeError
        Neither a string nor callable.

    Examples
    --------
    >>> eg.constraints.get("max_norm")
    MaxNorm()
    """
    if isinstance(constraint, str):
        return _look_up(constraint, _public_names(globals(), Constraint), argument)()
    if constraint is None or (callable(constraint) and not isinstance(constraint, type)):
        given: Callable[..., Any] | None = constraint
        return given
    if _is_serialized(constraint):
        return deserialize(constraint)
    raise TypeError(
        f"{argument}: expected a name, a constraint or None, got {_shown_object(constraint)}"
    )


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Constraint:
    """Return the constraint that `serialize` has described.

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
    >>> eg.constraints.deserialize(eg.constraints.serialize(eg.constraints.MaxNorm(3.0)))
    MaxNorm(max_value=3.0)
    """
    made: Constraint = _deserialized(config, "constraints", custom_objects)
    return made
