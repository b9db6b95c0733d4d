"""A copy of a model, on which pre-training works: what a stage came to is written back at its end.

The model is changed by `Work.write` alone, which is short and is done or not done. So its settings
of `compile`, its random streams and the layers that are not trained stay as they are, and a stage
that is broken off leaves no trace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core
from evengrad._common.config import remade
from evengrad._tensor.random import SEED_LIMIT, check_seed
from evengrad.layers._layer import Layer
from evengrad.layers._module import access_to
from evengrad.layers._placement import seed_of
from evengrad.layers._symbolic import mapped
from evengrad.models._network import make_chain, start_anew
from evengrad.models._revive import compiled_optimizer
from evengrad.optimizers._optimizer import has_slots

if TYPE_CHECKING:
    from collections.abc import Iterable

    from evengrad._core import Tensor
    from evengrad.models._model import Model
    from evengrad.optimizers import Optimizer

    Array = np.ndarray[Any, Any]


def seed_for(model: Model, seed: int | None, path: str) -> int:
    """Return the seed of a training that is none of the model's own, from its seed or another."""
    known = seed_of(model) if seed is None else check_seed(seed, "seed")
    return int(_core.derive_stream(known, f"pretrain/{path}")) % SEED_LIMIT


def copied(model: Model, seed: int) -> Model:
    """Return a copy of a built model, not compiled, whose random streams follow from a seed."""
    twin = model.clone()
    start_anew(twin, seed)
    if model.weights:
        twin.set_weights(model.get_weights())
    return twin


def anew(value: Any) -> Any:
    """Return what describes itself made anew: a layer, a loss; other things as they are."""
    if isinstance(value, Layer):
        return type(value)(**mapped(value.get_config(), anew))
    return remade(value)


def values_of(tensor: Tensor) -> Array:
    """Return a copy of a tensor's values."""
    return np.array(tensor.detach().numpy())


def outputs_of(layers: list[Layer], rows: Any) -> Any:
    """Return what layers one after the other put out for rows, without training."""
    if not layers:
        return rows
    chain = make_chain(layers, dtype=layers[0].dtype, seed=0)
    return chain.predict(rows, check_finite=False)


def write(model: Model, pairs: Iterable[tuple[Layer, Layer]]) -> None:
    """Give layers of a model the values of others, and its optimizer fresh slots for them."""
    optimizer = compiled_optimizer(model)
    with access_to(model, writes=True):
        for layer, trained in pairs:
            if trained.weights:
                layer.set_weights(trained.get_weights())
                if optimizer is not None:
                    begin_anew(optimizer, layer.weights)


def begin_anew(optimizer: Optimizer, tensors: list[Tensor]) -> None:
    """Give an optimizer the state for variables that it has at its beginning."""
    fresh = remade(optimizer)
    for tensor in tensors:
        if has_slots(optimizer, tensor):
            first = fresh.slots(tensor)
            for name, slot in optimizer.slots(tensor).items():
                slot.copy_(first[name].numpy())
