"""Head surgery: models made of a copy of another one's layers, with others in their places.

The source is copied whole, as one step leaves it, and the copy's own layers are lined up, or drawn,
anew. `_remodel` makes the models again that a change is inside of; what it does not touch stays
the copy's, with values, streams, names and what the optimizer keeps.
"""

from __future__ import annotations

import contextlib
import copy
from typing import TYPE_CHECKING, Any

from evengrad._common.names import shown_object
from evengrad.layers._layer import Layer, build_for
from evengrad.layers._module import module_tree, set_trainable, state_of
from evengrad.layers._placement import children_of, stand_alone
from evengrad.models._features import find
from evengrad.models._layer_change import LayerChange
from evengrad.models._model_file import shuffler_of
from evengrad.models._network import Network, chain_of, check_built, graph_of
from evengrad.models._remodel import Remodel
from evengrad.models._surgery_report import SurgeryReport
from evengrad.models._surgery_training import check_in_place, compile_as

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evengrad.models._model import Model
    from evengrad.training._compile_config import CompileConfig


class Exchange(LayerChange):
    """Something about the place of one layer: the models around it are made again."""

    rearranges = True

    def __init__(self) -> None:
        self.targets: dict[int, Layer] = {}


class Surgery(Remodel):
    """One operation on a copy of a model."""

    def __init__(self, model: Model, call: str) -> None:
        check_built(model, call)
        if chain_of(model) is None and graph_of(model) is None:
            raise ValueError(
                f"{call}: {model.path}: expected a chain or a drawn graph, and the call of "
                f"{type(model).__name__} is code, which alone knows where its layers stand; change "
                "models that it holds one by one"
            )
        config: CompileConfig | None = model._config  # noqa: SLF001 - its class is public, this is not
        check_in_place(config, call)
        self.call = call
        self.twin: Model = model.clone()
        # In the order of the source's layers.
        self.inside: list[tuple[str, Layer]] = module_tree(self.twin).layers
        self.inserted: list[Layer] = []
        super().__init__(self.twin, Exchange())

    def layer(self, old: Layer) -> Layer:
        """Return the new layer for an old one, which is the copy's own where nothing changes."""
        if id(old) in self.made or self.change.touches(old):
            return super().layer(old)
        return old

    def chain(self, layers: list[Layer]) -> list[Layer]:
        """Return what stands in the place of layers one after the other."""
        return [one for old in layers for one in self.use(old)]

    def use(self, layer: Layer) -> list[Layer]:
        """Return what stands in the place of one use of a layer."""
        before = self.inserted if self.change.changes(layer) else []
        return [*before, self.layer(layer)]

    # ---- what is given

    def given(
        self, layers: tuple[Any, ...], beside: Layer | None = None, gone: Layer | None = None
    ) -> list[Layer]:
        """Return copies of layers that a user gives, for a place beside one, or at the end.

        None has the name of a neighbour, but for one that goes.
        """
        if not layers:
            raise ValueError(f"{self.call}: expected at least one layer, got none")
        memo: dict[int, Any] = {}
        chosen = self.inside[:1] if beside is None else self.inside
        levels = [[one for _, one in children_of(around)] for _, around in chosen]
        near = [ones for ones in levels if beside is None or any(one is beside for one in ones)]
        left = {one.name for ones in near for one in ones if one is not gone}
        made: list[Layer] = []
        for layer in layers:
            made.append(self._copied(layer, memo))
            name = state_of(made[-1]).given_name
            if name in left:
                raise ValueError(
                    f"{self.call}: there is a layer named {name!r} already; names are unique in a "
                    "model: give another one, or none"
                )
            left |= {name} - {None}
        for one in made:
            if state_of(one).given_name is None:
                self.named(one)
        return made

    def _copied(self, layer: Any, memo: dict[int, Any]) -> Layer:
        if not isinstance(layer, Layer):
            several = "; pass them one by one: *layers" if isinstance(layer, (list, tuple)) else ""
            raise TypeError(f"{self.call}: expected layers, got {shown_object(layer)}{several}")
        if id(layer) in memo:
            raise ValueError(
                f"{self.call}: the same layer {layer.name!r} is given twice, and has one place in "
                "a chain; pass two layers"
            )
        copied: Layer = copy.deepcopy(layer, memo)
        stand_alone(copied)
        return copied

    # ---- places

    def find(self, model: Model, wanted: Any, argument: str) -> Layer:
        """Return the copy's layer for one of the model: by name, path, position, or itself."""
        tree = module_tree(model).layers
        if isinstance(wanted, Layer):
            same = [place for place, (_, one) in enumerate(tree) if one is wanted and place]
            if not same:
                raise ValueError(
                    f"{self.call}: {argument}: expected a layer of {model.path!r}, got "
                    f"{wanted.path!r}, which is none of its layers"
                )
            place = same[0]
        else:
            paths = {prefix[:-1]: place for place, (prefix, _) in enumerate(tree) if place}
            inner = isinstance(wanted, str) and wanted in paths
            found = tree[paths[wanted]][1] if inner else find(model, wanted, argument)
            place = next(place for place, (_, one) in enumerate(tree) if one is found)
        self._check_around(place, argument)
        return self.inside[place][1]

    def _check_around(self, place: int, argument: str) -> None:
        """Raise an error where what is around a layer is no model of known structure."""
        prefix = self.inside[place][0]
        for around, layer in self.inside[1:]:
            if around == prefix or not prefix.startswith(around):
                continue
            if chain_of(layer) is None and graph_of(layer) is None:
                kind = "by code" if isinstance(layer, Network) else "by its constructor"
                raise ValueError(
                    f"{self.call}: {argument}: {prefix[:-1]!r} stands inside {around[:-1]!r}, "
                    f"whose layers are placed {kind}; replace the {type(layer).__name__} as a whole"
                )

    # ---- the new model

    @contextlib.contextmanager
    def naming_errors(self) -> Iterator[None]:
        """Put the call in front of errors of layers that do not fit."""
        try:
            yield
        except (TypeError, ValueError) as error:
            raise type(error)(f"{self.call}: {error}") from error

    def exchanged(self, target: Layer, new: Layer) -> Model:
        """Return the model with another layer, or the same one, where the target stands."""
        self.change.targets = {id(target): target}
        self.made[id(target)] = target, new
        with self.naming_errors():
            made: Any = self.layer(self.twin)
            return self.finished(made)

    def finished(self, new: Model) -> Model:
        """Return the new model, named, frozen and compiled as the source is, with a report."""
        twin, state = self.twin, state_of(new)
        state.name = twin.name
        state.changed()
        if not new.built:
            build_for(new, state_of(twin).input_shape)
        for old, one in [(twin, new), *self.made.values()]:
            if isinstance(old, Network) and old is not one and not self.change.changes(old):
                set_trainable(one, old.trainable)
        new.feature_names_in_, new.gradual_pruning = twin.feature_names_in_, twin.gradual_pruning
        shuffler_of(new).draws = shuffler_of(twin).draws
        carried = compile_as(new, twin._config)  # noqa: SLF001 - as above
        kept, added, dropped = self._compared(new)
        new.surgery_report = SurgeryReport(self.call, kept, added, dropped, **carried._asdict())
        return new

    def _compared(self, new: Model) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
        """Return the paths of layers that are kept, added and dropped."""
        now = {id(one): prefix[:-1] for prefix, one in _leaves(module_tree(new).layers)}
        before = {id(one): prefix[:-1] for prefix, one in _leaves(self.inside)}
        kept = tuple(path for one, path in now.items() if one in before)
        added = tuple(path for one, path in now.items() if one not in before)
        return kept, added, tuple(path for one, path in before.items() if one not in now)


def _leaves(inside: list[tuple[str, Layer]]) -> list[tuple[str, Layer]]:
    return [(prefix, one) for prefix, one in inside[1:] if not isinstance(one, Network)]
