"""A model's state as text and arrays, for tools that walk objects, such as skops.

Pickles and copies take the whole object instead, with all that it refers to.
"""

from __future__ import annotations

import contextlib
import copy
import threading
from typing import TYPE_CHECKING, Any

from evengrad.layers._module import access_to
from evengrad.models._loading import model_of
from evengrad.models._model_file import described

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evengrad.models._model import Model
    from evengrad.training._compile_config import CompileConfig

# What the state has for a model as it would be saved.
DESCRIPTION = "evengrad_model"


class _Asked(threading.local):
    """Whether this thread takes a whole model apart."""

    whole = False


_asked = _Asked()


@contextlib.contextmanager
def whole_state() -> Iterator[None]:
    """Within the block, ``__getstate__`` of a model returns all that it keeps."""
    before, _asked.whole = _asked.whole, True
    try:
        yield
    finally:
        _asked.whole = before


def is_whole() -> bool:
    """Tell whether a model is asked for all that it keeps."""
    return _asked.whole


def plain_state(model: Model, config: CompileConfig | None, shuffles: int) -> dict[str, Any]:
    """Return what a file of the model would hold, and the classes and functions that it names."""
    with access_to(model):
        tensors, text, foreign = described(model, config, shuffles)
    return {DESCRIPTION: text, "tensors": tensors, "custom_objects": foreign}


def take_over(model: Model, state: dict[str, Any]) -> dict[str, Any]:
    """Return all that a model of that plain state keeps."""
    custom = {type(model).__name__: type(model), **state["custom_objects"]}
    made = model_of("the model's state", state["tensors"], state[DESCRIPTION], custom, compile=True)
    with whole_state():
        # What refers to the model that was made refers to this one then.
        return copy.deepcopy(made.__getstate__(), {id(made): model})
