"""What is described in files as Keras' configurations have it, and back.

Both hold the same: a description of ours names a family and a class, Keras' a module and a class.
What Keras has written itself is read as its files are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad._common.config import outside_scopes
from evengrad._common.serialized import enter, is_serialized, registered
from evengrad._tensor.activations import offered
from evengrad.models._architecture import ArchitectureDecoder, ArchitectureEncoder
from evengrad.models._keras._drawing import Drawing
from evengrad.models._keras._objects import read as read_object_of_keras
from evengrad.models._keras._reading_layers import Reader
from evengrad.models._network import Network
from evengrad.saving._array_text import KINDS
from evengrad.saving._describe import DEPTH_LIMIT, depth_of
from evengrad.saving._errors import FileFormatError, NotGivenError
from evengrad.saving._keras._parts import part_of

if TYPE_CHECKING:
    from collections.abc import Mapping

# What messages call a configuration.
SHOWN = "the configuration"
# The module of a family, where it is not called as the family.
MODULES = {"schedules": "optimizers.schedules", "groups": "optimizers"}
FUNCTION = "function"
# What a description of ours says otherwise, or not at all.
OTHERWISE = ("module", "class_name", "config", "registered_name", "build_config")


def written(thing: Any) -> Any:
    """Return an object as Keras' configurations have it."""
    encoder = ArchitectureEncoder()
    with outside_scopes():
        described = (
            encoder.model(thing) if isinstance(thing, Network) else encoder.value(thing, SHOWN)
        )
    return _value_written(described)


def config_of(model: Network) -> dict[str, Any]:
    """Return what makes a chain or a graph: its layers, how they are connected, its settings."""
    config: dict[str, Any] = written(model)["config"]
    return config


def _value_written(value: Any) -> Any:
    """Return a described value as Keras has it."""
    if isinstance(value, list):
        return [_value_written(item) for item in value]
    if not isinstance(value, dict) or _is_kept(value):
        return value
    if value.keys() == {"dict"}:
        return {name: _value_written(item) for name, item in value["dict"]}
    if value.keys() == {FUNCTION}:
        return _function_written(value[FUNCTION])
    return _object_written(value)


def _is_kept(value: dict[str, Any]) -> bool:
    """Tell whether a description is the same in both: of an array, or of a layer met before."""
    return "same_as" in value or (len(value) == 1 and value.keys() <= KINDS)


def _function_written(name: str) -> Any:
    if name in offered():
        return name
    return {
        "module": "builtins",
        "class_name": FUNCTION,
        "config": name,
        "registered_name": name,
    }


def _object_written(described: dict[str, Any]) -> dict[str, Any]:
    """Return the description of an object, a layer or a model as Keras has it."""
    rest = dict(described)
    family, kind = rest.pop("family"), rest.pop("class")
    if "config" not in rest:
        config = {name: rest.pop(name) for name in [*rest] if name not in ("label", "trainable")}
        config["layers"] = [_value_written(layer) for layer in config["layers"]]
    else:
        config = {name: _value_written(item) for name, item in rest.pop("config").items()}
    return {
        "module": f"evengrad.{MODULES.get(family, family)}",
        "class_name": kind,
        "config": config,
        "registered_name": None,
        **rest,
    }


# ---- reading


@outside_scopes()
def read(config: Any, family: str, custom_objects: Mapping[str, Any]) -> Any:
    """Return the object of a family that a configuration describes; of any where that is ``""``."""
    if depth_of(config) > DEPTH_LIMIT:
        raise ValueError(f"{SHOWN}: it is nested too deeply")
    own = {**registered, **custom_objects} if registered else custom_objects
    if isinstance(config, str):
        config = {"class_name": config, "config": {}}
    if not is_serialized(config):
        raise ValueError(f"{SHOWN}: expected a dict with class_name and config, got {config!r:.60}")
    if str(config.get("module", "")).partition(".")[0] == "keras":
        return _of_keras(config, family, own)
    decoder = ArchitectureDecoder(SHOWN, own)
    try:
        described = _described(config, family, own)
        if "drawn_seed" in described:
            return decoder.model(described)
        return decoder.value(described)
    except NotGivenError:
        raise
    except FileFormatError as error:
        # It is no file.
        raise ValueError(str(error)) from error


def _of_keras(config: dict[str, Any], family: str, own: Mapping[str, Any]) -> Any:
    """Return what a configuration that Keras has written describes."""
    module = str(config["module"]).removeprefix("keras.").rpartition(".")[2]
    kind = family or {"models": "layers"}.get(module, module)
    if kind != "layers":
        return read_object_of_keras(config, kind, own)
    reader = Reader(SHOWN, own=own)
    try:
        return Drawing(reader).layer(part_of(SHOWN, config, own))
    except FileFormatError as error:
        raise ValueError(str(error)) from error


def _described(config: dict[str, Any], family: str, own: Mapping[str, Any]) -> dict[str, Any]:
    """Return the description of ours that a configuration stands for."""
    name = str(config["class_name"]).rpartition(">")[2]
    inside = config.get("config")
    if name == FUNCTION and isinstance(inside, str):
        return {FUNCTION: inside.rpartition(">")[2]}
    module = str(config.get("module", "")).rpartition(".")[2]
    known = ArchitectureDecoder.families
    kind = module if module in known else _family_of(name, family, own)
    if module == "optimizers" and name == "ParameterGroup":
        kind = "groups"
    if kind in ("layers", "models") and name in known["models"].names:
        kind = "models"
    rest = {key: item for key, item in config.items() if key not in OTHERWISE}
    if kind == "models" and isinstance(inside, dict) and isinstance(inside.get("layers"), list):
        layers = [_value_described(layer, own) for layer in inside["layers"]]
        return {"family": kind, "class": name, **inside, "layers": layers, **rest}
    if not isinstance(inside, (dict, type(None))):
        raise TypeError(f"{SHOWN}: config: expected a dict, got {inside!r:.60}")
    arguments = {key: _value_described(item, own) for key, item in (inside or {}).items()}
    return {"family": kind, "class": name, "config": arguments, **rest}


def _family_of(name: str, family: str, own: Mapping[str, Any]) -> str:
    """Return the family that a class is of: the one that is asked for, if it may be."""
    known = ArchitectureDecoder.families
    if family and not (family == "layers" and name in known["models"].names):
        return family
    if name in own and isinstance(own[name], type):
        found = [one for one, kind in known.items() if issubclass(own[name], kind.base)]
    else:
        found = [one for one, kind in known.items() if name in kind.known()]
    if not found:
        raise NotGivenError(
            f"{SHOWN}: unknown class {name!r}; if it is your own, pass custom_objects, or decorate "
            "it with utils.register_keras_serializable()"
        )
    return found[-1]


def _value_described(value: Any, own: Mapping[str, Any]) -> Any:
    if isinstance(value, (list, tuple)):
        return [_value_described(item, own) for item in value]
    if is_serialized(value):
        return _described(value, "", own)
    if isinstance(value, dict) and not _is_kept(value):
        return {"dict": [[name, _value_described(item, own)] for name, item in value.items()]}
    return value


enter(written, read)
