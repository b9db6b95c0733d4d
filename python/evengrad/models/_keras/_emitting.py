"""The configuration and the groups of a model that is written for Keras."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad.models._keras._written import LAYERS, Ref
from evengrad.saving._hdf5._writing import NewGroup
from evengrad.saving._keras._names import numbered

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evengrad.models._keras._written import Call, Written, WrittenModel

FUNCTIONAL = "keras.src.models.functional"


def config_of(written: Written) -> dict[str, Any]:
    """Return what Keras reads a layer or a model from: the few keys that all its releases know."""
    module, registered = LAYERS, None
    config = {"name": written.name, **written.config}
    if written.model is not None:
        is_graph = written.kind == "Functional"
        module, registered = (FUNCTIONAL, "Functional") if is_graph else ("keras", None)
        config |= _of_model(written.model)
    return {
        "module": module,
        "class_name": written.kind,
        "config": config,
        "registered_name": registered,
    }


def _of_model(model: WrittenModel) -> dict[str, Any]:
    if model.kind == "Sequential":
        shape = model.layers[0].config["batch_shape"]
        return {"layers": [config_of(layer) for layer in model.layers], "build_input_shape": shape}
    calls: dict[int, list[Call]] = {}
    for call in model.calls:
        calls.setdefault(id(call.layer), []).append(call)
    described = []
    for layer in model.layers:
        nodes = [_node(call) for call in calls.get(id(layer), []) if call.args]
        described.append({**config_of(layer), "name": layer.name, "inbound_nodes": nodes})
    return {
        "layers": described,
        "input_layers": [_end(ref) for ref in model.inputs],
        "output_layers": [_end(ref) for ref in model.outputs],
    }


def _end(ref: Ref) -> list[Any]:
    return [ref.call.layer.name, ref.call.number, ref.place]


def _node(call: Call) -> dict[str, Any]:
    return {"args": _described(call.args), "kwargs": _described(call.kwargs)}


def _described(value: Any) -> Any:
    if isinstance(value, Ref):
        # Its shape is that of the tensor which is really there.
        config = {"shape": [None], "dtype": "float32", "keras_history": _end(value)}
        return {"class_name": "__keras_tensor__", "config": config}
    if isinstance(value, list):
        return [_described(item) for item in value]
    if isinstance(value, dict):
        return {name: _described(item) for name, item in value.items()}
    return value


def grouped(written: Written, path: str = "") -> Iterator[tuple[str, Written]]:
    """Yield the layers inside a model with the paths of where their variables stand."""
    if written.model is None:
        return
    counted = written.model.counted()
    for layer, name in zip(counted, numbered(one.kind for one in counted), strict=True):
        group = f"{path}/layers/{name}".lstrip("/")
        yield f"{group}/{layer.place}".rstrip("/"), layer
        yield from grouped(layer, group)


def groups_for(written: Written) -> NewGroup:
    """Return the group of a layer or a model, with those inside."""
    root = NewGroup()
    root.at("vars").attributes["name"] = written.name
    if written.variables:
        place = root.at(f"{written.place}/vars" if written.place else "vars")
        if written.place:
            place.attributes["name"] = f"{written.kind.lower()}_{written.place}"
        place.arrays.update({str(i): one.values for i, one in enumerate(written.variables)})
    if written.model is not None:
        root.at("layers")
        counted = written.model.counted()
        for layer, name in zip(counted, numbered(one.kind for one in counted), strict=True):
            root.at("layers").groups[name] = groups_for(layer)
    return root
