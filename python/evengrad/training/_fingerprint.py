"""Fingerprints of a training: what must be the same for a checkpoint to be gone on with."""

from __future__ import annotations

import functools
import hashlib
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad._common.config import Configured
from evengrad.training._compile_config import OF_OBJECTIVE
from evengrad.training._weights import each_from

if TYPE_CHECKING:
    from evengrad.training._compile_config import CompileConfig
    from evengrad.training._data import Array, Prepared
    from evengrad.training._protocol import TrainableModel

# Data up to this size is read as a whole; of larger data, so many rows from all over.
WHOLE_BYTES = 64 * 2**20
SAMPLED_ROWS = 1024
FROZEN_LAYERS = "frozen layers"
# Arguments of `fit` that must be the same.
LASTING = (
    "batch_size",
    "validation_batch_size",
    "shuffle",
    "class_weight",
    "steps_per_epoch",
    "initial_epoch",
)
# These too; they are noted where they are given.
LASTING_IF_GIVEN = {"drop_last": False, "validation_steps": None, "validation_freq": 1}
# Where an object lies differs from process to process.
ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
FROZEN = re.compile(r"(, )?trainable=False")


def shown(value: Any) -> str:
    """Return a value as text that is the same in every process."""
    if isinstance(value, functools.partial):
        return f"partial({shown(value.func)}, {shown(value.args)}, {shown(value.keywords)})"
    if callable(value) and not isinstance(value, (type, Configured)):
        if hasattr(value, "__qualname__"):
            return str(value.__qualname__)
        return f"{type(value).__name__}({shown(getattr(value, '__dict__', {}))})"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(shown, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {shown(item)}' for key, item in value.items())}}}"
    # Which layers are frozen stands apart.
    return FROZEN.sub("", ADDRESS.sub("", repr(value)))


def of_array(array: Array) -> str:
    """Return shape, dtype and a digest of the values."""
    rows = array
    if array.nbytes > WHOLE_BYTES:
        rows = array[np.unique(np.linspace(0, len(array) - 1, SAMPLED_ROWS).astype(np.int64))]
    digest = hashlib.blake2b(digest_size=8)
    digest.update(np.ascontiguousarray(rows).reshape(-1).view(np.uint8).data)
    return f"shape {array.shape} of {array.dtype}, values {digest.hexdigest()}"


def of_data(data: Prepared | None, name: str) -> dict[str, str]:
    """Return fingerprints of inputs, targets and weights; none for iterables of batches."""
    if data is None:
        return {}
    found = {}
    for what, arrays in (("x", data.xs), ("y", data.ys)):
        for number, array in enumerate(arrays):
            place = f"[{number}]" if len(arrays) > 1 else ""
            found[f"{name}{what}{place}"] = of_array(array)
    weights = each_from(data.weights, data.weight_places)
    shared = len(set(data.weight_places)) == 1
    for number, weight in enumerate(weights[:1] if shared else weights):
        place = "" if shared else f"[{number}]"
        found[f"{name}sample_weight{place}"] = "none" if weight is None else of_array(weight)
    return found


def of_model(model: TrainableModel) -> dict[str, str]:
    """Return the layers with their arguments, and the shapes of all variables."""
    tree = model.tree
    inside = [(prefix.rstrip("/"), layer) for prefix, layer in tree.layers if prefix]
    return {
        **{f"layer {path!r}": shown(layer) for path, layer in inside},
        **{
            f"variable {path!r}": f"shape {tuple(tensor.shape)} of {tensor.dtype}"
            for path, tensor in tree.named_weights
        },
        "order of the layers": shown([prefix for prefix, _ in tree.layers]),
        "graph": shown(model.edges()),
        FROZEN_LAYERS: shown(frozen_layers(model)),
        "seed": shown(model.given_seed()),
    }


def of_options(options: Any) -> dict[str, str]:
    """Return the arguments of `fit` that must be the same."""
    found = {name: shown(getattr(options, name)) for name in LASTING}
    for name, default in LASTING_IF_GIVEN.items():
        if getattr(options, name) != default:
            found[name] = shown(getattr(options, name))
    return found


def frozen_layers(model: TrainableModel) -> list[str]:
    """Return the paths of the layers that do not train."""
    tree = model.tree
    pairs = zip(tree.layers, tree.states, strict=True)
    return [prefix for (prefix, _), state in pairs if not state.trainable]


def of_config(config: CompileConfig) -> dict[str, str]:
    """Return the arguments of `compile`, those of the optimizer one by one."""
    arguments = config.optimizer.get_config()
    return {
        **{name: shown(getattr(config, name)) for name in OF_OBJECTIVE},
        "optimizer": type(config.optimizer).__name__,
        **{f"optimizer's {name}": shown(value) for name, value in arguments.items()},
    }


def differences(now: dict[str, str], then: dict[str, str]) -> list[str]:
    """Return what differs between this training and that of a checkpoint, a line for each."""
    names = [*now, *(name for name in then if name not in now)]
    return [
        f"{name}: now {now.get(name, 'absent')}, in the checkpoint {then.get(name, 'absent')}"
        for name in names
        if now.get(name) != then.get(name)
    ]
