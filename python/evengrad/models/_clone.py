"""Models made of models: with the same weights, with new ones, or for inference alone."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, cast

from evengrad._config import suggests_keywords
from evengrad._random import check_seed, next_seed

if TYPE_CHECKING:
    from typing_extensions import Self

    from evengrad.models._model import Model


class Clones:
    """What `Model` inherits to make other models of itself."""

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
            model._stand_alone()
        return twin

    def fold_batch_norm(self) -> Model:
        """Return a new model that gives the same outputs in inference without normalisation.

        With s = γ / √(v + ε), a normalisation of x · W + b is folded into W · diag(s) and
        (b − μ) ⊙ s + β; one that stands behind an activation is folded into the dense layer that
        follows, diag(s) · W and b + (β − μ ⊙ s) · W, or into all that follow, where a graph
        branches there. Dropout and noise between the two are passed over, since they do nothing in
        inference, and so is `Flatten` on the way to the dense layer that follows. `predict_mc` does
        see where noise stands, and is another one for the new model.

        Chains and graphs inside the model are folded too, and body and projection of a `Residual`;
        chains inside are laid open. One without such a dense layer stays, frozen: at the end of the
        model, before another activation, before a sum, a branching graph inside or a layer of
        another kind. Inside layers and models whose `call` is code, all stays as it is.

        Returns
        -------
        Model
            A `Sequential` for a chain, a graph for a graph, with copies of all variables; it is not
            compiled.

        Raises
        ------
        ValueError
            The model is not built, or a subclass with a `call` of its own.

        Examples
        --------
        >>> norm = eg.layers.BatchNormalization()
        >>> model = eg.Sequential([eg.Input((4,)), eg.layers.Dense(3, "relu", norm=norm)])
        >>> model.fold_batch_norm()
        Sequential([Input((4,)), Dense(3, activation='relu')])
        """
        # It makes models.
        from evengrad.models._fold import fold

        return fold(cast("Model", self))


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
