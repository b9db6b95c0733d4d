"""The base of changes of layers: what a model that is made again asks a change for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad._common.config import accepted_names
from evengrad.layers._module import module_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeAlias

    from evengrad.layers._layer import Layer
    from evengrad.models._anatomy import Anatomy

    Named: TypeAlias = Callable[[Layer], Layer]


class ByHandError(ValueError):
    """A change that no argument of a constructor makes, so that only a person can."""


def takes(layer: Layer, argument: str) -> bool:
    """Tell whether a layer is made with an argument."""
    names = accepted_names(type(layer))
    return names is not None and argument in names and argument in layer.get_config()


def without(layer: Layer, argument: str) -> str | None:
    """Return why a layer cannot have an argument changed, if it is made without it."""
    return None if takes(layer, argument) else f"is made without {argument!r}"


class LayerChange:
    """A change of layers; this one changes none.

    Of the layers that are named, those that cannot be changed so are passed over, as long as one
    can; frozen ones too, where values start anew, for what they have learned is to stay.

    Parameters
    ----------
    anatomy
        The model as it is.
    chosen
        The layers that the change is about; empty for all that it may concern.
    value
        What it says beside that.

    Raises
    ------
    ByHandError
        None of the layers that are named can be changed so.
    """

    # Whether the weights have nothing to do with it.
    keeps_weights = False
    # Whether a layer of another class takes over the name, and so the path.
    keeps_names = True
    # Whether layers come in between others.
    rearranges = False
    # What to say where nothing in the model is of its kind.
    missing = "the model has no layer that it could change"

    def __init__(self, anatomy: Anatomy, chosen: list[Layer], value: Any) -> None:
        self.anatomy, self.value = anatomy, value
        # Whether the whole model is meant.
        self.whole = not chosen
        # How many layers were changed.
        self.count = 0
        self.targets: dict[int, Layer] = {}
        refusals = []
        for layer in chosen or self.concerned():
            why = self.refusal(layer)
            if why is None and not (self.keeps_weights or layer.trainable):
                why = "is frozen"
            if why is None:
                self.targets[id(layer)] = layer
            else:
                refusals.append(f"{layer.path}: {type(layer).__name__} {why}")
        if chosen and not self.targets:
            raise ByHandError(refusals[0])

    def concerned(self) -> Iterable[Layer]:
        """Return the layers that it is about where none are named."""
        return []

    def refusal(self, layer: Layer) -> str | None:
        """Return why a layer cannot be changed so, as the end of a sentence about it."""
        del layer
        return None

    def changes(self, layer: Layer) -> bool:
        """Tell whether this layer is to change, whatever is inside it."""
        return id(layer) in self.targets

    def touches(self, layer: Layer) -> bool:
        """Tell whether this layer or one inside it is to change."""
        return any(self.changes(one) for _, one in module_tree(layer).layers)

    def arguments(self, layer: Layer) -> dict[str, Any]:
        """Return the arguments of a layer that are others now."""
        if not self.changes(layer):
            return {}
        self.count += 1
        return self.changed(layer)

    def changed(self, layer: Layer) -> dict[str, Any]:
        """Return the arguments of a layer to be changed that are others now."""
        del layer
        return {}

    def replaced(self, layer: Layer) -> Layer | None:
        """Return a layer of another class in the place of one, or None."""
        del layer
        return None

    def along(self, layers: list[Layer], made: list[Layer], named: Named) -> list[Layer]:
        """Return what comes of a chain of old layers, and the new ones in their places.

        `named` gives a layer that is new in the model a name.
        """
        del layers, named
        return made

    def front(self, place: int) -> Layer | None:
        """Return a layer to stand between an input of the model and all that reads it."""
        del place
        return None
