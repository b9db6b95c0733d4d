"""Writing model files: whole models, and weights alone, which are also read here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad.layers._masks import masks_of
from evengrad.layers._module import access_to, module_tree, state_of
from evengrad.models._architecture import ArchitectureEncoder
from evengrad.models._network import check_built
from evengrad.optimizers._optimizer import counts_of
from evengrad.optimizers._rates import rates_of
from evengrad.saving import _safetensors
from evengrad.saving._describe import DEPTH_LIMIT, depth_of
from evengrad.saving._errors import FileFormatError
from evengrad.saving._paths import file_path, path_to_write
from evengrad.training._checkpoint_folder import KEY as CHECKPOINT
from evengrad.training._compile_config import OF_OBJECTIVE
from evengrad.training._pack import pack_streams
from evengrad.training._replay_file import KEY as REPLAY

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from evengrad._core import Generator, Tensor
    from evengrad.models._model import Model
    from evengrad.saving._describe import Encoder
    from evengrad.training._compile_config import CompileConfig

Array = np.ndarray[Any, Any]

# The name under which the header holds the description, and its version. Files of every version
# that was released stay readable.
KEY = "evengrad"
VERSION = 1
# The suffix of Keras' files.
KERAS = ".keras"
# Slots of the optimizer stand under this, then the variable's path and the slot's name.
SLOT = "optimizer:"
# Masks of what is pruned, as bits, stand under this, then the variable's path.
MASK = "mask:"
# Arrays of an estimator of `evengrad.sklearn` that the model belongs to stand under this.
ESTIMATOR = "estimator:"
# What stands in a file beside the variables.
BESIDE = (SLOT, MASK, ESTIMATOR)


def named_variables(model: Model, what: str) -> dict[str, Tensor]:
    """Return all variables of a built model by their paths."""
    check_built(model, what)
    named: dict[str, Tensor] = {}
    for path, tensor in model.named_weights():
        if path in named:
            raise ValueError(
                f"{model.path}: two variables have the path {path!r}, of layers that got their "
                "names in other models; make one of the layers with another name"
            )
        named[path] = tensor
    return named


def weights_of(model: Model) -> dict[str, Array]:
    """Return the values of all variables of a built model by their paths."""
    named = named_variables(model, "saving")
    return {path: np.asarray(tensor.detach().numpy()) for path, tensor in named.items()}


def refuse_checkpoint(shown: str, metadata: Mapping[str, str]) -> None:
    """Raise an error for a file of `fit(checkpoint=)`, or of one step: it says what it is for."""
    if REPLAY in metadata:
        raise FileFormatError(
            f"{shown}: holds a step of a training, with the model before it; pass it to "
            "evengrad.replay, which makes the step"
        )
    if CHECKPOINT in metadata:
        raise FileFormatError(
            f"{shown}: is a checkpoint of a training, no model; pass its folder to "
            "fit(checkpoint=...), which goes on from it"
        )


def save_model(
    model: Model, path: str | os.PathLike[str], config: CompileConfig | None, shuffles: int
) -> None:
    """Write a whole model, how it is trained, and how often it has shuffled; see `Model.save`."""
    text = file_path(path)
    if text.lower().endswith(KERAS):
        # Who writes no files of Keras' needs none of it.
        from evengrad.models._keras._saving import save_keras

        with access_to(model):
            save_keras(model, text, config)
        return
    file = path_to_write(path, "model.save")
    with access_to(model):
        _safetensors.write(file, *contents_of(model, config, shuffles))


def contents_of(
    model: Model, config: CompileConfig | None, shuffles: int
) -> tuple[dict[str, Array], dict[str, str]]:
    """Return the tensors and the metadata of a file of the whole model."""
    tensors, text, _ = described(model, config, shuffles)
    return tensors, {KEY: text}


def described(
    model: Model, config: CompileConfig | None, shuffles: int
) -> tuple[dict[str, Array], str, dict[str, Any]]:
    """Return a model's arrays, its description, and what this names of others than this package."""
    tensors, encoder = weights_of(model), ArchitectureEncoder()
    tensors.update({f"{MASK}{path}": np.packbits(one) for path, one in masks_of(model).items()})
    description: dict[str, Any] = {
        "version": VERSION,
        "model": encoder.model(model),
        "input_shape": encoder.value(_without_rows(state_of(model).input_shape), "input_shape"),
        "streams": pack_streams(module_tree(model)),
        "frozen": [prefix for prefix, layer in module_tree(model).layers if not layer.trainable],
        "shuffles": shuffles,
    }
    if model.feature_names_in_ is not None:
        names: Any = model.feature_names_in_
        description["feature_names"] = names.tolist() if hasattr(names, "tolist") else names
    if model.classes_ is not None:
        description["classes"] = np.asarray(model.classes_).tolist()
    if model.gradual_pruning is not None:
        description["pruning"] = model.gradual_pruning.described()
    if config is not None:
        description["compile"] = _describe_config(config, encoder)
        rates = rates_of(config.optimizer, model.named_weights())
        if rates:
            description["compile"]["rates"] = rates
        tensors.update(_slots(model, config))
    if depth_of(description) > DEPTH_LIMIT:
        raise ValueError(
            f"{model.path}: layers are nested more deeply than a file can describe; put them side "
            "by side, in one chain or graph"
        )
    text = json.dumps(description, separators=(",", ":"), allow_nan=False)
    return tensors, text, encoder.foreign


def _without_rows(shape: Any) -> Any:
    if isinstance(shape, list):
        return [list(one[1:]) for one in shape]
    return list(shape[1:])


def _describe_config(config: CompileConfig, encoder: Encoder) -> dict[str, Any]:
    names = ("optimizer", *OF_OBJECTIVE)
    settings = {name: encoder.value(getattr(config, name), name) for name in names}
    counts = counts_of(config.optimizer)._asdict()
    return {**settings, "run_eagerly": config.run_eagerly, **counts}


def _slots(model: Model, config: CompileConfig) -> dict[str, Array]:
    counts = counts_of(config.optimizer)
    if counts.iterations + counts.accumulated == 0:
        return {}
    return {
        f"{SLOT}{path}/{name}": np.asarray(slot.numpy())
        for path, tensor in trained(model)
        for name, slot in config.optimizer.slots(tensor).items()
    }


def trained(model: Model) -> list[tuple[str, Tensor]]:
    """Return the variables that training changes, with their paths."""
    trainable = {id(tensor) for tensor in model.trainable_weights}
    return [(path, tensor) for path, tensor in model.named_weights() if id(tensor) in trainable]


def shuffler_of(model: Model) -> Generator:
    """Return the stream that shuffles the rows in training."""
    return model._shuffler()  # noqa: SLF001 - its class is public, this is not
