"""Models of the same architecture as another, with new first values."""

from __future__ import annotations

from evengrad._common.config import suggests_keywords
from evengrad._tensor.random import check_seed
from evengrad.models._model import Model
from evengrad.models._network import start_anew


@suggests_keywords
def clone_model(model: Model, seed: int | None = None) -> Model:
    """Return a model of the same architecture with new first values; it is not compiled.

    All variables start anew, by their initializers: what a `Normalization` adapted itself to, and
    the moving statistics of a `BatchNormalization`, are gone too. What is frozen stays frozen, what
    is pruned stays pruned, and a layer that several places share is shared again.

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
    if not isinstance(model, Model):
        raise TypeError(f"model: expected a model, got {model!r}")
    given = model.seed if seed is None else check_seed(seed, "seed")
    twin = model.clone()
    start_anew(twin, given)
    return twin
