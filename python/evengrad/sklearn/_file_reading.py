"""Reading estimators from the files that `_file` writes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad._common.config import outside_scopes
from evengrad._common.names import printable
from evengrad.callbacks import History
from evengrad.models._architecture import ArchitectureDecoder
from evengrad.models._loading import model_of
from evengrad.models._model_file import ESTIMATOR
from evengrad.models._model_file import KEY as MODEL
from evengrad.saving import _safetensors
from evengrad.saving._errors import FileFormatError, NotGivenError
from evengrad.saving._paths import file_path
from evengrad.sklearn._autoencoder import AutoencoderTransformer
from evengrad.sklearn._base import DenseEstimator
from evengrad.sklearn._classifier import DenseClassifier
from evengrad.sklearn._file import DESCRIBED, KEPT, KEY, OBJECT, TEXT, VERSION
from evengrad.sklearn._regressor import DenseRegressor
from evengrad.sklearn._transformer import DenseTransformer
from evengrad.training._pack import unpack

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from evengrad._common.arrays import Array
    from evengrad.sklearn._file import Saved

BASES = (DenseEstimator, AutoencoderTransformer)
ESTIMATORS = {
    one.__name__: one
    for one in (AutoencoderTransformer, DenseClassifier, DenseRegressor, DenseTransformer)
}


@outside_scopes()
def read(path: str | os.PathLike[str], custom_objects: Mapping[str, Any] | None) -> Saved:
    """Read a fitted estimator from a file; see `evengrad.sklearn.load`."""
    shown = file_path(path)
    tensors, metadata = _safetensors.read(path)
    if KEY not in metadata:
        other = "; it holds a model, which evengrad.load_model reads" if MODEL in metadata else ""
        raise FileFormatError(
            f"{shown}: expected an estimator, as its method save writes it{other}"
        )
    custom = custom_objects or {}
    reader = Reader(shown, custom, tensors)
    with reader.decoder.names_damage():
        estimator = reader.estimator(metadata[KEY])
    text = reader.decoder.member(metadata, MODEL, str)
    model = model_of(shown, reader.of_model, text, custom, compile=True)
    estimator.__setstate__({**vars(estimator), "model_": model})
    return estimator


class Reader:
    """Makes estimators of what `Writer` has made of them."""

    def __init__(self, shown: str, custom: Mapping[str, Any], tensors: dict[str, Array]) -> None:
        self.decoder = ArchitectureDecoder(shown, custom)
        self.arrays: dict[str, Array] = {}
        self.of_model: dict[str, Array] = {}
        for name, array in tensors.items():
            kind = self.arrays if name.startswith(ESTIMATOR) else self.of_model
            kind[name.removeprefix(ESTIMATOR)] = array

    def estimator(self, text: str) -> Saved:
        """Return an estimator without its model."""
        member = self.decoder.member
        described = json.loads(text)
        version = member(described, "version", int)
        if version > VERSION:
            raise FileFormatError(
                f"{self.decoder.shown}: version {version} of the format is newer than {VERSION}, "
                "which this release of evengrad reads; update evengrad"
            )
        kind = self._class(member(described, "class", str))
        arguments = unpack(member(described, "arguments", dict), self.arrays)
        fitted = unpack(member(described, "fitted", dict), self.arrays)
        made = kind(**{name: self._value(one) for name, one in arguments.items()})
        made.__dict__.update({name: self._value(one) for name, one in fitted.items()})
        return made

    def _class(self, name: str) -> type[Saved]:
        found = self.decoder.custom.get(name, ESTIMATORS.get(name))
        if not (isinstance(found, type) and issubclass(found, BASES)):
            raise NotGivenError(
                f"{self.decoder.shown}: unknown estimator {name!r}; if it is your own, pass "
                f"custom_objects={{{name!r}: {printable(name)}}}"
            )
        return found

    def _value(self, value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return type(value)(map(self._value, value))
        if not isinstance(value, dict):
            return value
        if DESCRIBED in value:
            return self.decoder.value(value[DESCRIBED])
        if TEXT in value:
            return np.array(value[TEXT], dtype=np.dtype(value["dtype"]))
        if OBJECT in value:
            kind = KEPT[value[OBJECT]]
            made = History() if kind is History else object.__new__(kind)
            made.__dict__.update(self._value(value["holds"]))
            return made
        return {name: self._value(one) for name, one in value.items()}
