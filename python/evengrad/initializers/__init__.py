"""First values of variables, under the names that `kernel_initializer=` takes as strings.

``"he_normal"`` is ``HeNormal()``, and so on. A function of shape and dtype serves as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad._common.names import look_up as _look_up
from evengrad._common.names import public_names as _public_names
from evengrad._common.names import shown_object as _shown_object
from evengrad._common.serialized import deserialized as _deserialized
from evengrad._common.serialized import is_serialized as _is_serialized
from evengrad._common.serialized import serialize as serialize
from evengrad.initializers._constant import Constant as Constant
from evengrad.initializers._constant import Identity as Identity
from evengrad.initializers._initializer import Initializer as Initializer
from evengrad.initializers._initializer import Ones as Ones
from evengrad.initializers._initializer import Zeros as Zeros
from evengrad.initializers._orthogonal import Orthogonal as Orthogonal
from evengrad.initializers._pairing import for_activation as for_activation
from evengrad.initializers._random import RandomNormal as RandomNormal
from evengrad.initializers._random import RandomUniform as RandomUniform
from evengrad.initializers._random import TruncatedNormal as TruncatedNormal
from evengrad.initializers._variance_scaling import GlorotNormal as GlorotNormal
from evengrad.initializers._variance_scaling import GlorotUniform as GlorotUniform
from evengrad.initializers._variance_scaling import HeNormal as HeNormal
from evengrad.initializers._variance_scaling import HeUniform as HeUniform
from evengrad.initializers._variance_scaling import LecunNormal as LecunNormal
from evengrad.initializers._variance_scaling import LecunUniform as LecunUniform
from evengrad.initializers._variance_scaling import VarianceScaling as VarianceScaling

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def get(initializer: Any, argument: str = "initializer") -> Callable[..., Any]:
    """Return the initializer with that name; objects and functions are returned as they are.

    Parameters
    ----------
    initializer
        A name, what `serialize` returned, an `Initializer`, or a function of shape and dtype that
        returns an array or tensor.
        ``"normal"`` and ``"uniform"`` are short for ``"random_normal"`` and ``"random_uniform"``.
    argument
        The argument that an error names.

    Raises
    ------
    ValueError
        No initializer has that name; the message lists them.
    TypeError
        Neither a string nor callable.

    Examples
    --------
    >>> eg.initializers.get("he_normal")
    HeNormal()
    """
    if isinstance(initializer, str) and initializer == "auto":
        raise ValueError(
            f"{argument}: 'auto' pairs the kernel of a Dense layer with its activation and stands "
            "for nothing here; take a name such as 'glorot_uniform', or what "
            "initializers.for_activation(...) returns"
        )
    if isinstance(initializer, str):
        # Keras' short names.
        short = {"normal": RandomNormal, "uniform": RandomUniform}
        return _look_up(initializer, {**short, **_public_names(globals(), Initializer)}, argument)()
    if callable(initializer) and not isinstance(initializer, type):
        given: Callable[..., Any] = initializer
        return given
    if _is_serialized(initializer):
        return deserialize(initializer)
    raise TypeError(
        f"{argument}: expected a name or an initializer, got {_shown_object(initializer)}"
    )


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Initializer:
    """Return the initializer that `serialize` has described.

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
    >>> eg.initializers.deserialize(eg.initializers.serialize(eg.initializers.Constant(2.0)))
    Constant(value=2.0)
    """
    made: Initializer = _deserialized(config, "initializers", custom_objects)
    return made
