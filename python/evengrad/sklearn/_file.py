"""Estimators as files: their net, with what they know beside it as names, numbers and arrays.

The file is that of the net (see `saving`), so that `evengrad.load_model` reads the net from it. Its
metadata have a description of the estimator, and arrays stand beside the variables. Nothing in it
is code: classes are found by name among those that are listed here, and in `custom_objects`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from evengrad.callbacks import History
from evengrad.models._architecture import ArchitectureEncoder
from evengrad.models._model_file import ESTIMATOR
from evengrad.models._model_file import KEY as MODEL
from evengrad.models._plain_state import DESCRIPTION
from evengrad.saving import _safetensors
from evengrad.saving._paths import path_to_write
from evengrad.sklearn._encoding import TableEncoder
from evengrad.sklearn._labels import Labels
from evengrad.sklearn._stopping import Progress
from evengrad.sklearn._tasks import Classification, Regression
from evengrad.training._pack import pack

if TYPE_CHECKING:
    import os

    from evengrad._common.arrays import Array
    from evengrad.sklearn._autoencoder import AutoencoderTransformer
    from evengrad.sklearn._base import DenseEstimator

    Saved: TypeAlias = DenseEstimator | AutoencoderTransformer

# The name under which the header has what describes the estimator, and its version.
KEY = "evengrad_estimator"
VERSION = 1
# What is kept beside the model, by the names of the classes.
KEPT = {
    one.__name__: one
    for one in (Labels, Progress, Classification, Regression, History, TableEncoder)
}
# What is kept of a history: the rest belongs to the training.
OF_HISTORY = ("history", "epoch", "seconds", "steps")
# What an object, an array of text and a described argument are told by in the description.
OBJECT, TEXT, DESCRIBED = "evengrad_object", "evengrad_text", "evengrad_described"
# The attribute that the file's model is.
NET = "model_"


def save(estimator: Saved, path: str | os.PathLike[str]) -> None:
    """Write a fitted estimator to a file; see `DenseEstimator.save`."""
    file = path_to_write(path, "save")
    arguments = estimator.get_params(deep=False)
    fitted = {
        name: value
        for name, value in estimator.__getstate__().items()
        if name not in (*arguments, NET)
    }
    writer = Writer()
    description = {
        "version": VERSION,
        "class": type(estimator).__name__,
        "arguments": {name: writer.argument(one, name) for name, one in arguments.items()},
        "fitted": {name: writer.plain(one, name) for name, one in fitted.items()},
    }
    described = pack(description, "", writer.arrays)
    model = estimator.model_.__getstate__()
    arrays = {f"{ESTIMATOR}{name}": array for name, array in writer.arrays.items()}
    text = json.dumps(described, separators=(",", ":"), allow_nan=False)
    metadata = {MODEL: model[DESCRIPTION], KEY: text}
    _safetensors.write(file, {**model["tensors"], **arrays}, metadata)


class Writer:
    """Makes what `pack` takes of an estimator's arguments and of what it knows."""

    def __init__(self) -> None:
        self.arrays: dict[str, Array] = {}
        self._encoder = ArchitectureEncoder()

    def argument(self, value: Any, name: str) -> Any:
        """Return an argument of the constructor; an object of this package by its own arguments."""
        if isinstance(value, TableEncoder):
            return self.plain(value, name)
        try:
            pack(value, name, {})
        except TypeError:
            try:
                return {DESCRIBED: self._encoder.value(value, name)}
            except ValueError as error:
                raise ValueError(
                    f"{error}; for a file without it call set_params({name}=...) first"
                ) from error
        return value

    def plain(self, value: Any, name: str) -> Any:
        """Return what an attribute holds, objects as their classes' names and what these hold."""
        if isinstance(value, History):
            kept = {key: getattr(value, key) for key in OF_HISTORY}
            return {OBJECT: "History", "holds": self.plain(kept, name)}
        if KEPT.get(type(value).__name__) is type(value):
            return {OBJECT: type(value).__name__, "holds": self.plain(vars(value), name)}
        if isinstance(value, np.ndarray) and value.dtype.kind in "OU":
            return {TEXT: value.tolist(), "dtype": value.dtype.str}
        if isinstance(value, (list, tuple)):
            return type(value)(self.plain(one, name) for one in value)
        if isinstance(value, dict):
            return {key: self.plain(one, name) for key, one in value.items()}
        return value
