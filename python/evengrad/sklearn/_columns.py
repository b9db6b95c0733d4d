"""Whether the columns of a table are encoded before they come to a net.

The encoder is `_encoding.TableEncoder`: `transform` makes one array of floats, or a list of it and
one array of integers for each categorical column. `_encoding.wants_encoder(x, categorical)` tells
whether ``categorical="auto"`` asks for it, which numbers alone do not;
`_encoding.input_graph(encoder, dtype)` returns the symbolic inputs, and one tensor of all columns.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

ENCODING = "evengrad.sklearn._encoding"


def encoder_for(x: Any, categorical: Any) -> Any:
    """Return a new encoder for a table that needs one; None where numbers go straight through."""
    plain = type(x).__module__ == "numpy" or isinstance(x, (list, tuple)) or categorical is None
    if (plain and not isinstance(categorical, (list, tuple))) or not _is_there():
        return None
    encoding = importlib.import_module(ENCODING)
    if not encoding.wants_encoder(x, categorical):
        return None
    return encoding.TableEncoder(categorical=categorical)


def graph_of(encoder: Any, dtype: str) -> Any:
    """Return the inputs that an encoder's columns come in at, and one tensor of them all."""
    if encoder is None:
        return None
    return importlib.import_module(ENCODING).input_graph(encoder, dtype)


def _is_there() -> bool:
    return importlib.util.find_spec(ENCODING) is not None
