"""Which arrays of a file belong to which variables of a model: by name, else by order and shape."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from evengrad.models._weights import _keras_layout, _torch_layout
from evengrad.models._weights._alignment import aligned, only_ways
from evengrad.models._weights._numbers import are_numbered, numbers_in
from evengrad.models._weights._order import layers_with_variables

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from evengrad.layers._layer import Layer
    from evengrad.models._weights._alignment import Pairs
    from evengrad.models._weights._forms import Form, Part
    from evengrad.saving._weight_file import FileArray, FileLayer, WeightFile

LAYOUTS = {"keras": _keras_layout.form_of, "torch": _torch_layout.form_of}


class Target(NamedTuple):
    """A layer of the model with variables, and the form of these in a layout."""

    path: str
    form: Form

    def variable(self, name: str) -> str:
        """Return the path of one of its variables."""
        return f"{self.path}/{name}" if self.path else name


def targets_of(model: Layer, layout: str) -> list[Target]:
    """Return the layers of a model that have variables, in its order."""
    return [Target(path, LAYOUTS[layout](layer)) for path, layer in layers_with_variables(model)]


class Made(NamedTuple):
    """What a variable is made of."""

    part: Part
    arrays: list[FileArray]


class Neutral(NamedTuple):
    """An array for which a layer has no variable, and the value with which it does nothing."""

    path: str
    array: FileArray
    value: float


@dataclass
class Pairing:
    """What was found for each variable, by paths, and what was not."""

    made: dict[str, Made] = field(default_factory=dict)
    mismatched: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    left: list[FileArray] = field(default_factory=list)
    neutral: list[Neutral] = field(default_factory=list)
    # Arrays of the right name that do not fit.
    misfits: list[FileArray] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    by_order: bool = False
    # Whether several ways of pairing by order were found.
    ambiguous: bool = False

    @property
    def complete(self) -> bool:
        """Whether every variable has its values, and every array its variable."""
        return not self.missing and not self.left

    def add(self, target: Target, roles: Mapping[str, FileArray]) -> None:
        """Take the arrays of a layer, by their roles."""
        rest = dict(roles)
        if rest and target.form.note:
            self.notes.append(f"{target.path}: {target.form.note}")
        for name, ways in target.form.parts.items():
            path = target.variable(name)
            there = [way for way in ways if all(role in rest for role in way.roles)]
            fitting = [way for way in there if _shapes(way, rest) == way.shapes]
            if target.form.refusal and there:
                self.mismatched[path] = target.form.refusal
                self.misfits += [rest.pop(role) for role in there[0].roles]
            elif fitting:
                self.made[path] = Made(fitting[0], [rest.pop(role) for role in fitting[0].roles])
                continue
            elif there:
                self.mismatched[path] = _unequal(there[0], rest)
                self.misfits += [rest.pop(role) for role in there[0].roles]
            self.missing.append(path)
        for role, array in rest.items():
            if role in target.form.neutral:
                self.neutral.append(Neutral(target.path, array, target.form.neutral[role]))
            elif role not in target.form.ignored:
                self.left.append(array)


def _shapes(part: Part, roles: Mapping[str, FileArray]) -> tuple[tuple[int, ...], ...]:
    return tuple(roles[role].shape for role in part.roles)


def _unequal(part: Part, roles: Mapping[str, FileArray]) -> str:
    shapes = zip(part.roles, part.shapes, strict=True)
    role, shape = next((role, shape) for role, shape in shapes if roles[role].shape != shape)
    return f"expected shape {shape}, the file has {roles[role].shape}"


def roles_in(layer: FileLayer, form: Form) -> dict[str, FileArray]:
    """Return the arrays of a layer by roles of a form, also where they are only numbered.

    Where there is another number of them, nobody knows which is which.
    """
    names = [*form.roles(), *sorted(form.ignored)]
    if not layer.by_place or not len(form.roles()) <= len(layer.arrays) <= len(names):
        return dict(layer.arrays)
    return dict(zip(names, layer.arrays.values(), strict=False))


def by_name(layers: Sequence[FileLayer], targets: Sequence[Target]) -> Pairing | None:
    """Pair the layers of a file with those of the same names; None where no name fits."""
    found = Pairing()
    named: dict[str, FileLayer] = {}
    for layer in layers:
        if layer.name in named:
            found.left += layer.arrays.values()
        else:
            named[layer.name] = layer
    flat = _flat_names(named, targets)
    for target in targets:
        own = named.pop(flat.get(target.path, target.path), None)
        found.add(target, {} if own is None else roles_in(own, target.form))
    for layer in named.values():
        found.left += layer.arrays.values()
    return found if found.made or found.mismatched else None


def _flat_names(named: Iterable[str], targets: Sequence[Target]) -> dict[str, str]:
    """Return names in a file by paths that differ in joints alone: body/0 of a list is body_0."""
    paths = {target.path for target in targets}
    others: dict[str, list[str]] = {}
    for name in named:
        if name not in paths:
            others.setdefault(name.replace("/", "_"), []).append(name)
    found: dict[str, list[str]] = {}
    for path in paths.difference(named):
        found.setdefault(path.replace("/", "_"), []).append(path)
    return {
        path[0]: others[flat][0]
        for flat, path in found.items()
        if len(path) == 1 and len(others.get(flat, ())) == 1
    }


def by_order(file: WeightFile, targets: Sequence[Target]) -> Pairing:
    """Pair by order and shape: layer by layer, or array by array where no layer fits."""
    layers = [layer for layer in file.layers if _has_weights(layer, targets)]
    numbered = file.named and are_numbered(layer.name for layer in layers)
    ordered = file.ordered or numbered
    if numbered:
        layers.sort(key=lambda layer: numbers_in(layer.name))
    fits = _Fits(layers, targets)
    pairs = _pairs(len(layers), len(targets), fits, ordered=ordered)
    if pairs:
        return _paired_layers(file, targets, layers, pairs)
    arrays = [array for layer in layers for array in layer.arrays.values()]
    slots = [
        (place, role, shape)
        for place, target in enumerate(targets)
        for role, shape in zip(target.form.roles(), target.form.shapes(), strict=True)
    ]
    of_arrays = None
    # Single arrays say little: each must fit, on one side at least.
    if not any(target.form.refusal for target in targets):
        of_arrays = _pairs(
            len(arrays),
            len(slots),
            lambda i, j: arrays[i].shape == slots[j][2],
            ordered=file.ordered,
        )
    whole = of_arrays is not None and len(of_arrays) in {len(arrays), len(slots)}
    if of_arrays and whole:
        return _paired_arrays(targets, arrays, slots, of_arrays)
    nothing = _paired_layers(file, targets, layers, [])
    nothing.ambiguous = pairs is None or of_arrays is None
    return nothing


def _pairs(rows: int, columns: int, fits: object, *, ordered: bool) -> Pairs | None:
    way = aligned if ordered else only_ways
    return way(rows, columns, fits)  # type: ignore[arg-type]  # a function of two numbers


class _Fits:
    """Whether a layer of the file fits one of the model whole, remembered by their looks."""

    def __init__(self, layers: Sequence[FileLayer], targets: Sequence[Target]) -> None:
        self._layers, self._targets = layers, targets
        self._looks = [
            (layer.by_place, *((role, array.shape) for role, array in layer.arrays.items()))
            for layer in layers
        ]
        self._forms = [
            (*zip(target.form.roles(), target.form.shapes(), strict=True),) for target in targets
        ]
        self._known: dict[object, bool] = {}

    def __call__(self, i: int, j: int) -> bool:
        key = self._looks[i], self._forms[j], self._targets[j].form.refusal
        if key not in self._known:
            trial = Pairing()
            form = self._targets[j].form
            trial.add(self._targets[j], roles_in(self._layers[i], form))
            self._known[key] = trial.complete
        return self._known[key]


def _has_weights(layer: FileLayer, targets: Iterable[Target]) -> bool:
    ignored = {role for target in targets for role in target.form.ignored}
    return not set(layer.arrays) <= ignored


def _paired_layers(
    file: WeightFile, targets: Sequence[Target], layers: Sequence[FileLayer], pairs: Pairs
) -> Pairing:
    found = Pairing(by_order=True)
    of_target = {j: layers[i] for i, j in pairs}
    for j, target in enumerate(targets):
        layer = of_target.get(j)
        found.add(target, {} if layer is None else roles_in(layer, target.form))
    used = {id(layer) for layer in of_target.values()}
    for layer in file.layers:
        if id(layer) not in used:
            found.left += layer.arrays.values()
    return found


def _paired_arrays(
    targets: Sequence[Target],
    arrays: Sequence[FileArray],
    slots: Sequence[tuple[int, str, tuple[int, ...]]],
    pairs: Pairs,
) -> Pairing:
    found = Pairing(by_order=True)
    roles: list[dict[str, FileArray]] = [{} for _ in targets]
    for i, j in pairs:
        place, role, _ = slots[j]
        roles[place][role] = arrays[i]
    for target, of_target in zip(targets, roles, strict=True):
        found.add(target, of_target)
    used = {i for i, _ in pairs}
    found.left += [array for i, array in enumerate(arrays) if i not in used]
    return found
