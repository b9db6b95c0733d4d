"""Copies of models: with the same weights, or with new ones."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, cast

from evengrad._config import suggests_keywords
from evengrad._random import check_seed, next_seed

if TYPE_CHECKING:
    from typing_extensions import Self

    from evengrad.models._model import Model


class Clones:
    """What `Model` inherits to be copied."""

    def clone(self) -> Self:
        """Return a copy with equal weights that shares nothing with this model.

        Settings of `compile`, the optimizer's state and random streams are copied too: trained on
        the same data, both stay equal. So a copy can be taken apart, its upper layers replaced and
        the rest trained further, while this model stays what it is. The copy of a model inside
        another one stands by itself.

        Returns
        -------
        Model
            Of the same class.

        Examples
        --------
        >>> model = eg.Sequential([eg.Input((4,)), eg.layers.Dense(3, "relu"), eg.layers.Dense(2)])
        >>> twin = model.clone()
        >>> head = twin.pop()
        >>> twin.add(eg.layers.Dense(5))
        >>> model.output_shape, twin.output_shape
        ((None, 2), (None, 5))
        """
        twin = copy.deepcopy(self)
        model = cast("Model", twin)
        if model._state.adopted:
            model._state.adopted, model._state.path = False, None
            model._state.name = model._state.given_name
            model._move_children()
        return twin


@suggests_keywords
def clone_model(model: Model, seed: int | None = None) -> Model:
    """Return a model of the same architecture with new first values; it is not compiled.

    All variables start anew, by their initialisers: what a `Normalization` adapted itself to, and
    the moving statistics of a `BatchNormalization`, are gone too. What is frozen stays frozen, and
    a layer that several places share is shared again.

    Parameters
    ----------
    model
        The model; it is not changed.
    seed
        An integer that first values, dropout and shuffling follow from. By default the one that
        `model` was made with, so that it starts with the same values; or a new one, where it was
        made with none.

    Raises
    ------
    TypeError
        Something else than a model; a seed that is no integer.
    ValueError
        A seed out of range.

    Examples
    --------
    >>> model = eg.Sequential([eg.Input((4,)), eg.layers.Dense(2)])
    >>> members = [eg.models.clone_model(model, seed=n) for n in range(3)]
    >>> len({float(member.get_weights()[0][0, 0]) for member in members})
    3
    """
    # Models are made of this module's class.
    from evengrad.models._model import Model

    if not isinstance(model, Model):
        raise TypeError(f"model: expected a model, got {model!r}")
    given = model.seed if seed is None else check_seed(seed, "seed")
    twin = model.clone()
    twin._compilation = twin._shuffle = None
    vars(twin).pop("history", None)
    twin.seed = twin._state.given_seed = given
    twin._state.seed = next_seed() if given is None else given
    # As of layers that come into a model for the first time.
    for _, layer in list(twin._named_layers()):
        layer._state.provisional = True
        layer._state.sampled = 0
    twin._redraw()
    return twin
