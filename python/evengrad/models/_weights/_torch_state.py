"""A model's weights as PyTorch's state dict: names of modules, and what they hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad._common.config import name_of
from evengrad.layers import GRU, BatchNormalization, Dense, Embedding, LayerNormalization, PReLU
from evengrad.layers._containers import KEYED, ORDERED, places_of
from evengrad.layers._dense import Affine
from evengrad.layers._layer import Layer
from evengrad.layers._module import module_tree, state_of
from evengrad.layers._recurrent import Recurrent
from evengrad.models._network import chain_of
from evengrad.models._weights._forms import blocks, variables_of
from evengrad.models._weights._order import layers_with_variables
from evengrad.models._weights._torch_layout import GRU_GATES, OF_NORMALIZATION, OTHER_GRU

if TYPE_CHECKING:
    from collections.abc import Callable

    from evengrad._common.arrays import Array
    from evengrad.models._model import Model


def torch_state(model: Model) -> dict[str, Array]:
    """Return arrays by the names of a state dict; see `Model.save_weights`.

    Raises
    ------
    ValueError
        A layer that PyTorch has not, of a kind that it has: another one would compute otherwise.
    """
    names, listed = names_of(model), _places_in_lists(model)
    state: dict[str, Array] = {}
    for path, layer in layers_with_variables(model):
        name = names.get(id(layer), _dotted(path, listed))
        for role, array in weights_of(layer).items():
            state[f"{name}.{role}" if name else role] = np.asarray(array, order="C")
    return state


# ---- what a module holds


def weights_of(layer: Layer) -> dict[str, Array]:
    """Return the weights of a layer as PyTorch's module has them."""
    values = {name: tensor.detach().numpy() for name, tensor in variables_of(layer).items()}
    for kind, written in WRITTEN:
        if isinstance(layer, kind):
            return written(layer, values)
    return values


def _affine(layer: Any, values: dict[str, Array]) -> dict[str, Array]:
    del layer
    return {"weight": values.pop("kernel").T, **values}


def _embedding(layer: Any, values: dict[str, Array]) -> dict[str, Array]:
    del layer
    return {"weight": values["embeddings"]}


def _batch_normalization(layer: Any, values: dict[str, Array]) -> dict[str, Array]:
    if layer.scale or layer.center:
        # PyTorch has both or neither.
        ones = np.ones_like(values["moving_mean"])
        values = {"gamma": ones, "beta": np.zeros_like(ones), **values}
    named = {theirs: values[ours] for ours, theirs in OF_NORMALIZATION.items() if ours in values}
    return {**named, "num_batches_tracked": np.zeros((), np.int64)}


def _layer_normalization(layer: Any, values: dict[str, Array]) -> dict[str, Array]:
    if layer.center and not layer.scale:
        # There may be a factor alone, but no offset.
        values = {"gamma": np.ones_like(values["beta"]), **values}
    return {OF_NORMALIZATION[name]: value for name, value in values.items()}


def _slopes(layer: Any, values: dict[str, Array]) -> dict[str, Array]:
    alpha = values["alpha"]
    if alpha.size != alpha.shape[0] and alpha.size != 1:
        raise ValueError(
            f'{layer.path}: layout="torch": PyTorch\'s slopes are those of the first dimension '
            f"behind the rows, these are of shape {alpha.shape}; pass shared_axes for the others"
        )
    return {"weight": alpha.reshape(-1)}


def _recurrent(layer: Any, values: dict[str, Array]) -> dict[str, Array]:
    is_gru = isinstance(layer, GRU)
    if is_gru and not layer.reset_after:
        raise ValueError(f'{layer.path}: layout="torch": {OTHER_GRU}')

    def arranged(array: Array) -> Array:
        return blocks(array, GRU_GATES) if is_gru else array

    state = {
        "weight_ih_l0": arranged(values["kernel"].T),
        "weight_hh_l0": arranged(values["recurrent_kernel"].T),
    }
    if layer.use_bias:
        bias = values["bias"]
        of_input, recurrent = bias if is_gru else (bias, np.zeros_like(bias))
        state |= {"bias_ih_l0": arranged(of_input), "bias_hh_l0": arranged(recurrent)}
    return state


WRITTEN: tuple[tuple[type, Callable[[Any, dict[str, Array]], dict[str, Array]]], ...] = (
    (Affine, _affine),
    (Embedding, _embedding),
    (BatchNormalization, _batch_normalization),
    (LayerNormalization, _layer_normalization),
    (PReLU, _slopes),
    (Recurrent, _recurrent),
)

# ---- what modules are called


def names_of(model: Model) -> dict[int, str]:
    """Return the names of layers in a state dict by identity; others have their paths.

    In a chain they are the numbers that ``nn.Sequential`` gives, where a layer's normalization and
    activation are modules of their own; unless all its layers with variables were given names,
    which are those of attributes then.
    """
    chain = chain_of(model)
    if chain is None or _all_named(chain):
        return {}
    names: dict[int, str] = {}
    _number(chain, "", names)
    return names


def _places_in_lists(model: Model) -> dict[str, str]:
    """Return the names of layers in lists and dicts by paths: ``nn.ModuleList`` writes body.0."""
    found: dict[str, str] = {}
    for prefix, layer in module_tree(model).layers:
        for attribute, held in vars(layer).items():
            if not isinstance(held, (*ORDERED, *KEYED)):
                continue
            key = attribute.strip("_")
            for place, item in places_of(held):
                # Not what was given a name, or stands elsewhere first.
                if isinstance(item, Layer) and item.name == f"{key}_{place}":
                    found[f"{prefix}{item.name}/"] = f"{key}.{place}"
    return found


def _dotted(path: str, listed: dict[str, str]) -> str:
    parts = path.split("/")
    prefixes = ["/".join(parts[: i + 1]) + "/" for i in range(len(parts))]
    return ".".join(listed.get(prefix, part) for prefix, part in zip(prefixes, parts, strict=True))


def _all_named(chain: list[Layer]) -> bool:
    with_variables = [layer for layer in chain if module_tree(layer).weights]
    return all(state_of(layer).given_name is not None for layer in with_variables)


def _number(chain: list[Layer], above: str, names: dict[int, str]) -> None:
    place = 0
    for layer in chain:
        for module in _modules_of(layer):
            if module is not None:
                _name(module, f"{above}{place}", names)
            place += 1


def _name(layer: Layer, name: str, names: dict[int, str]) -> None:
    inside = chain_of(layer)
    if inside is not None:
        _number(inside, f"{name}.", names)
        return
    for prefix, part in module_tree(layer).layers:
        path = prefix.rstrip("/").replace("/", ".")
        # Norm and activation of a layer, which come after it, get numbers of their own.
        names[id(part)] = f"{name}.{path}" if path else name


def _modules_of(layer: Layer) -> list[Layer | None]:
    """Return the modules that do what a layer does; None for one without weights."""
    if not isinstance(layer, Dense):
        return [layer]
    found: list[Layer | None] = []
    activation = layer.activation
    if isinstance(activation, Layer) or name_of(activation) != "linear":
        found = [activation if isinstance(activation, Layer) else None]
    if layer.norm is not None:
        found.insert(0 if layer.norm_position == "before" else len(found), layer.norm)
    return [layer, *found]
