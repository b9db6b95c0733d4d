"""The weights of ONNX files for models that are there: by what the graph does with them."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import layers
from evengrad.layers._module import module_tree, state_of
from evengrad.models._onnx._file import OnnxFile
from evengrad.models._onnx._from_onnx import Found, found_in
from evengrad.models._weights._attempts import best_pairing
from evengrad.saving._errors import FileFormatError
from evengrad.saving._paths import file_path
from evengrad.saving._weight_file import FileArray, FileLayer, WeightFile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from evengrad._common.arrays import Array
    from evengrad.layers._layer import Layer
    from evengrad.models._model import Model
    from evengrad.models._weights._mapping import Names

VARIANCE = "moving_variance"


def is_onnx(path: Any) -> bool:
    """Tell whether a path is that of an ONNX file, which has no first bytes of its own."""
    return (
        isinstance(path, (str, bytes, os.PathLike))
        and os.path.splitext(file_path(path))[1].lower() == ".onnx"
    )


def weights_of_onnx(path: Any, model: Model, mapping: Names | None) -> WeightFile:
    """Return the weights of a file's layers, in our forms, as they serve a model.

    Our own files tell the layers' names; of others the order and the shapes decide. Normalizations
    whose epsilon is another one there get variances with which they compute the same.
    """
    found = _readable(path)
    kinds = {prefix.rstrip("/"): type(layer) for prefix, layer in module_tree(model).layers}
    made = [
        _layer(found, layer, kinds)
        for _, layer in module_tree(found.model).layers
        if state_of(layer).weights
    ]
    file = WeightFile(found.shown, made, "keras", named=found.ours)
    return _with_epsilon(found, file, model, mapping)


def _readable(path: Any) -> Found:
    """Return what a file's outputs are made of, or the first of them that layers can compute.

    Classifiers of skl2onnx put out labels beside shares.
    """
    file = OnnxFile(path, "load_weights of .onnx")
    try:
        return found_in(file, None)
    except FileFormatError:
        for place in range(len(file.graph.output)):
            with contextlib.suppress(FileFormatError):
                return found_in(file, place)
        raise


def _layer(found: Found, layer: Layer, kinds: Mapping[str, type[Layer]]) -> FileLayer:
    """Return a layer of the file; `kinds` are the classes of the model's, by their paths."""
    name = found.paths.get(layer.name, layer.name)
    # A batch normalization without offset is written as any other that shifts and scales.
    as_batch_norm = (
        kinds[name] is layers.BatchNormalization
        if found.ours and name in kinds
        else layers.Normalization not in kinds.values()
    )
    arrays = {weight.name: np.asarray(weight.tensor.detach().numpy()) for weight in weights(layer)}
    if as_batch_norm and type(layer) is layers.Normalization and not layer.invert:
        arrays = {"moving_mean": arrays["mean"], VARIANCE: arrays["variance"]}
        arrays = {"gamma": np.ones_like(arrays["moving_mean"])} | {
            "beta": np.zeros_like(arrays["moving_mean"]),
            **arrays,
        }
    return FileLayer(name, {role: _array(f"{name}/{role}", x) for role, x in arrays.items()})


def weights(layer: Layer) -> list[Any]:
    """Return a layer's own variables."""
    own: list[Any] = state_of(layer).weights
    return own


def _array(name: str, values: Array) -> FileArray:
    return FileArray(name, values.shape, values.dtype, partial(np.asarray, values))


def _with_epsilon(
    found: Found, file: WeightFile, model: Model, mapping: Names | None
) -> WeightFile:
    """Return a file whose variances go with the epsilons of the model's normalizations."""
    variables = {path for path, _ in model.named_weights()}
    pairing = best_pairing(model, file, mapping, "keras", variables, whole=False)
    here = {
        f"{prefix}{VARIANCE}": layer.epsilon
        for prefix, layer in module_tree(model).layers
        if isinstance(layer, layers.BatchNormalization)
    }
    there = {
        f"{found.paths.get(layer.name, layer.name)}/{VARIANCE}": getattr(layer, "epsilon", 0.0)
        for _, layer in module_tree(found.model).layers
    }
    added = {
        array.name: there[array.name] - here[path]
        for path, one in pairing.made.items()
        if path in here
        for array in one.arrays
    }

    def changed(array: FileArray) -> FileArray:
        difference = added.get(array.name, 0.0)
        if not difference:
            return array
        values = array.read().astype(np.float64) + difference
        return _array(array.name, values.astype(array.dtype))

    made = [
        dataclasses.replace(
            layer, arrays={role: changed(array) for role, array in layer.arrays.items()}
        )
        for layer in file.layers
    ]
    return dataclasses.replace(file, layers=made)
