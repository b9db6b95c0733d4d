"""Loading model files: architecture, variables, random streams, and how training stands."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad._common.config import outside_scopes
from evengrad.layers._call_context import restoring
from evengrad.layers._layer import build_for, make_states
from evengrad.layers._masks import set_masks
from evengrad.layers._module import module_tree, set_trainable
from evengrad.layers._restoring import NotInFileError, Restoration
from evengrad.models._architecture import ROW_LIMIT, ArchitectureDecoder, restore_trainable
from evengrad.models._gradual_pruning import GradualPruning
from evengrad.models._model_file import (
    BESIDE,
    KEY,
    MASK,
    SLOT,
    VERSION,
    Array,
    refuse_checkpoint,
    shuffler_of,
    trained,
)
from evengrad.optimizers._optimizer import Counts, counts_of, set_counts
from evengrad.optimizers._rates import restore_rates
from evengrad.saving import _safetensors
from evengrad.saving._describe import DEPTH_LIMIT, depth_of
from evengrad.saving._errors import FileFormatError
from evengrad.saving._paths import file_path
from evengrad.training._compile_config import OF_OBJECTIVE
from evengrad.training._pack import unpack_streams

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from evengrad.models._model import Model

# What counts are kept in.
COUNT_LIMIT = 2**64


def load_model(
    path: str | os.PathLike[str],
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
) -> Model:
    """Read a model from a file of `Model.save`.

    A file holds names and numbers, never code: classes are found among this package's and in
    `custom_objects`. It takes no more memory than its size. Its checksums are compared, so that no
    damage makes another model; files of earlier versions have none.

    Parameters
    ----------
    path
        The file.
    custom_objects
        Your own layers, losses, metrics and functions by name.
    compile
        Whether loss, metrics and optimizer are restored too, with the optimizer's state, so that
        training goes on as if it had not been interrupted.

    Returns
    -------
    Model
        The model as it was saved.

    Raises
    ------
    FileFormatError
        The file is damaged, of a newer version, or no model.
    ValueError
        The file names a class or function that neither this package nor `custom_objects` has.
    OSError
        The file cannot be read, or the path is no file but a folder, a pipe, a socket or a device.

    Examples
    --------
    >>> model = eg.Sequential([eg.Input((4,)), eg.layers.Dense(2)])
    >>> model.save("net.safetensors")
    >>> eg.load_model("net.safetensors").output_shape
    (None, 2)
    """
    shown = file_path(path)
    tensors, metadata = _safetensors.read(path)
    refuse_checkpoint(shown, metadata)
    if KEY not in metadata:
        raise FileFormatError(
            f"{shown}: holds tensors but no model; make the model and use load_weights"
        )
    return model_of(shown, tensors, metadata[KEY], custom_objects or {}, compile=compile)


@outside_scopes()
def model_of(
    shown: str,
    tensors: dict[str, Array],
    text: str,
    custom_objects: Mapping[str, Any],
    *,
    compile: bool,
) -> Model:
    """Return the model of arrays and a description; `shown` is what messages call the two."""
    decoder = ArchitectureDecoder(shown, custom_objects)
    description = _parse(shown, text, decoder)
    with decoder.names_damage():
        model = _rebuild(description, tensors, decoder)
        if compile and "compile" in description:
            _recompile(model, decoder.member(description, "compile", dict), tensors, decoder)
    return model


def _parse(shown: str, text: str, decoder: ArchitectureDecoder) -> dict[str, Any]:
    try:
        description: dict[str, Any] = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise decoder.damaged(str(error)) from error
    if depth_of(description) > DEPTH_LIMIT:
        raise decoder.damaged("it is nested too deeply")
    version = decoder.member(description, "version", int)
    if version > VERSION:
        raise FileFormatError(
            f"{shown}: version {version} of the format is newer than {VERSION}, which this release "
            "of evengrad reads; update evengrad"
        )
    return description


def _rebuild(
    description: dict[str, Any], tensors: dict[str, Array], decoder: ArchitectureDecoder
) -> Model:
    weights = {name: array for name, array in tensors.items() if not name.startswith(BESIDE)}
    decoder.row_limit = max(ROW_LIMIT, sum(array.size for array in weights.values()))
    saved = Restoration(weights)
    try:
        with restoring(saved):
            model = decoder.model(decoder.member(description, "model", dict))
            if not model.built:
                build_for(model, _shape_of(description.get("input_shape"), decoder))
            _make_states(model, weights)
            saved.fill(model.named_weights(), untouched=not decoder.custom)
    except NotInFileError as error:
        raise FileFormatError(f"{decoder.shown}: {error}") from error
    left = set(weights) - {path for path, _ in model.named_weights()}
    if left:
        raise FileFormatError(f"{decoder.shown}: {min(left)!r} belongs to no layer")
    if "frozen" in description:
        _freeze(model, decoder.member(description, "frozen", list))
    else:
        # Files of releases that did not list what is frozen.
        restore_trainable(description["model"], model)
    _restore_streams(model, description, decoder)
    _restore_names(model, description, decoder)
    _restore_pruning(model, description, tensors, decoder)
    return model


def _freeze(model: Model, frozen: list[Any]) -> None:
    """Freeze these layers, each by itself, and no others."""
    for prefix, layer in module_tree(model).layers:
        set_trainable(layer, prefix not in frozen)


def _shape_of(described: Any, decoder: ArchitectureDecoder) -> Any:
    def one(sizes: Any) -> tuple[int | None, ...]:
        if not all(size is None or (type(size) is int and size > 0) for size in sizes):
            raise decoder.damaged("input_shape")
        decoder.check_row(sizes)
        return (None, *sizes)

    if not isinstance(described, list):
        raise decoder.damaged("input_shape")
    if described and isinstance(described[0], list):
        return [one(sizes) for sizes in described]
    return one(described)


def _make_states(model: Model, weights: dict[str, Array]) -> None:
    """Have stateful layers have variables for as many rows as in a file, where it has their states.

    They are made with the first batch otherwise.
    """
    for prefix, layer in module_tree(model).stateful:
        state = weights.get(f"{prefix}state_h")
        if state is not None and state.ndim == 2:
            make_states(layer, len(state))


def _restore_streams(
    model: Model, description: dict[str, Any], decoder: ArchitectureDecoder
) -> None:
    streams = decoder.member(description, "streams", dict)
    tree = module_tree(model)
    for path, _ in tree.generators:
        position = streams.get(path)
        whole = isinstance(position, list) and all(
            type(number) is int and 0 <= number < COUNT_LIMIT for number in position
        )
        if not whole or len(position) != 3:
            raise decoder.damaged(f"the random stream of {path}")
    unpack_streams(tree, streams)
    shuffles = decoder.member(description, "shuffles", int)
    if not 0 <= shuffles < COUNT_LIMIT:
        raise decoder.damaged("shuffles")
    shuffler_of(model).draws = shuffles


def _restore_names(model: Model, description: dict[str, Any], decoder: ArchitectureDecoder) -> None:
    """Restore the names of columns and the labels of classes, if the file has some."""

    def are_names(value: Any) -> bool:
        return isinstance(value, list) and all(isinstance(name, str) for name in value)

    names = description.get("feature_names")
    several = isinstance(names, list) and all(one is None or are_names(one) for one in names)
    if names is not None and not several and not are_names(names):
        raise decoder.damaged("feature_names")
    model.feature_names_in_ = names
    if "classes" in description:
        labels = decoder.member(description, "classes", list)
        if not all(isinstance(label, (str, int, float)) for label in labels):
            raise decoder.damaged("classes")
        model.classes_ = np.array(labels)


def _restore_pruning(
    model: Model,
    description: dict[str, Any],
    tensors: dict[str, Array],
    decoder: ArchitectureDecoder,
) -> None:
    """Restore the masks of what is pruned, and what is yet to be pruned."""
    named = dict(model.named_weights())
    masks = {}
    for name, bits in tensors.items():
        if not name.startswith(MASK):
            continue
        path = name[len(MASK) :]
        size = named[path].size if path in named else 0
        if bits.dtype != np.uint8 or bits.shape != (-(-size // 8),) or not size:
            raise FileFormatError(
                f"{decoder.shown}: {name}: expected the bits of {size} elements, the file has "
                f"{bits.dtype.name} of {bits.shape}"
            )
        kept = np.unpackbits(bits, count=size).astype(bool)
        masks[path] = kept.reshape(tuple(named[path].shape))
    set_masks(model, masks)
    if "pruning" in description:
        with decoder.names_damage("what is yet to be pruned"):
            described = decoder.member(description, "pruning", dict)
            model.gradual_pruning = GradualPruning.of(described)


def _recompile(
    model: Model, described: Any, tensors: dict[str, Array], decoder: ArchitectureDecoder
) -> None:
    settings = {name: decoder.value(described.get(name)) for name in OF_OBJECTIVE}
    for name, value in settings.items():
        decoder.check_place(value, ["losses"] if name == "loss" else ["losses", "metrics"], name)
    optimizer = decoder.object(decoder.member(described, "optimizer", dict))
    decoder.check_place(optimizer, ["optimizers"], "optimizer")
    with decoder.names_damage("the model cannot be compiled as described"):
        model.compile(optimizer, run_eagerly=bool(described.get("run_eagerly")), **settings)
        rates = decoder.member({"rates": {}, **described}, "rates", dict)
        if rates:
            restore_rates(optimizer, rates, model.named_weights())
    iterations = decoder.member(described, "iterations", int)
    # Files of releases that did not accumulate gradients have no such number.
    accumulated = described.get("accumulated", 0)
    if not 0 <= iterations < COUNT_LIMIT:
        raise decoder.damaged("iterations")
    most = optimizer.gradient_accumulation_steps or 1
    if type(accumulated) is not int or not 0 <= accumulated < most:
        raise decoder.damaged("accumulated")
    if iterations or accumulated:
        for path, tensor in trained(model):
            _restore_slots(model, path, tensor, tensors, decoder)
    # Files of releases whose rules kept no number have none.
    memory = described.get("memory", counts_of(optimizer).memory)
    if type(memory) not in (int, float) or not math.isfinite(memory):
        raise decoder.damaged("memory")
    set_counts(optimizer, Counts(iterations, accumulated, memory))


def _restore_slots(
    model: Model, path: str, tensor: Any, tensors: dict[str, Array], decoder: ArchitectureDecoder
) -> None:
    for name, slot in model.optimizer.slots(tensor).items():
        saved = tensors.get(f"{SLOT}{path}/{name}")
        if saved is None or saved.shape != tuple(slot.shape) or saved.dtype.kind != "f":
            found = "nothing" if saved is None else f"{saved.dtype.name} of {saved.shape}"
            raise FileFormatError(
                f"{decoder.shown}: {path}: expected optimizer state {name!r}, {slot.dtype} of "
                f"{tuple(slot.shape)}, the file has {found}"
            )
        slot.copy_(np.asarray(saved, dtype=slot.dtype, order="C"))
