"""Models out of JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from evengrad._common.serialized import deserialized
from evengrad.models._network import Network

if TYPE_CHECKING:
    from collections.abc import Mapping

    from evengrad.models._model import Model


def model_from_json(json_string: str, custom_objects: Mapping[str, Any] | None = None) -> Model:
    """Return the model that `Model.to_json` has described, with first values, not compiled.

    JSON holds names and numbers: nothing of it is run. What Keras' ``to_json`` has written is taken
    as well, where all of its layers are here.

    Parameters
    ----------
    json_string
        The text.
    custom_objects
        Your own classes and functions by name.

    Raises
    ------
    ValueError
        No JSON, or none of a model; an unknown class.

    Examples
    --------
    >>> model = eg.Sequential([eg.Input((4,)), eg.layers.Dense(3, "relu")])
    >>> eg.models.model_from_json(model.to_json())
    Sequential([Input((4,)), Dense(3, activation='relu')])
    """
    try:
        config = json.loads(json_string)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"json_string: expected JSON: {error}") from error
    model: Any = deserialized(config, "layers", custom_objects)
    if not isinstance(model, Network):
        raise ValueError(  # noqa: TRY004 - the text is of the right type, what it says is not
            f"json_string: expected a model, got {type(model).__name__}"
        )
    made: Any = model
    found: Model = made
    return found
