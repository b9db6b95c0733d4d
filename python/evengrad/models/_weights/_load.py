"""Loading weights: a file is paired with the model, read, and only then put into it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from evengrad._common.config import name_of
from evengrad._common.names import choose, did_you_mean, listed
from evengrad._common.patterns import select
from evengrad._tensor.masked import apply_masks
from evengrad.layers._module import access_to, module_tree
from evengrad.layers._variables import KERNEL_DIMENSIONS
from evengrad.models._model_file import BESIDE, named_variables, refuse_checkpoint
from evengrad.models._onnx._weights import is_onnx, weights_of_onnx
from evengrad.models._weights._attempts import best_pairing
from evengrad.models._weights._forms import AS_IS, RESHAPED, TRANSPOSED, same
from evengrad.models._weights._mapping import check_mapping
from evengrad.models._weights._report import LoadReport
from evengrad.models._weights._sklearn import is_estimator, weights_of_estimator
from evengrad.models._weights._values import check_range, fill
from evengrad.saving._errors import FileFormatError
from evengrad.saving._weight_readers import open_weights

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from evengrad.models._model import Model
    from evengrad.models._weights._mapping import Names
    from evengrad.models._weights._pairing import Made, Neutral, Pairing
    from evengrad.saving._weight_file import FileArray, WeightFile

LAYOUT_CHOICES = ("auto", "keras", "torch")


def load_weights(
    model: Model,
    path: str | os.PathLike[str] | Any,
    pattern: Any,
    mapping: Names | None,
    *,
    strict: bool,
    layout: str,
) -> LoadReport:
    """Read variables; see `Model.load_weights`."""
    choose(layout, LAYOUT_CHOICES, "layout")
    check_mapping(mapping)
    if is_estimator(path):
        given = weights_of_estimator(path)
        return take(model, given, pattern, mapping, strict=strict, layout=layout)
    if is_onnx(path):
        named_variables(model, "load_weights")
        found = weights_of_onnx(path, model, mapping)
        return take(model, found, pattern, mapping, strict=strict, layout="keras")
    with open_weights(path) as file:
        refuse_checkpoint(file.shown, file.metadata)
        return take(model, _without_slots(file), pattern, mapping, strict=strict, layout=layout)


def take(
    model: Model,
    file: WeightFile,
    pattern: Any = None,
    mapping: Names | None = None,
    *,
    strict: bool = True,
    layout: str = "auto",
) -> LoadReport:
    """Put the arrays of a file into a model; nothing is changed where an error is raised."""
    variables = named_variables(model, "load_weights")
    chosen = set(variables if pattern is None else select(pattern, variables))
    pairing = best_pairing(model, file, mapping, layout, chosen, whole=pattern is None and strict)
    pairing.left += _not_neutral(file, pairing.neutral)
    made = {path: one for path, one in pairing.made.items() if path in chosen}
    if strict:
        _check_whole(file, pairing, chosen, pattern, variables)
    for path, one in made.items():
        _check_kinds(file, path, one)
    values = {path: [array.read() for array in one.arrays] for path, one in made.items()}
    file.confirm()
    for path in made:
        check_range(file.shown, path, variables[path], values[path])
    with access_to(model, writes=True):
        for path, one in made.items():
            fill(variables[path], one, values.pop(path))
        apply_masks(variables[path] for path in made)
    if not pairing.missing:
        for state in module_tree(model).states:
            state.provisional = False
    if layout == "auto" and file.layout is None:
        pairing.notes += _ambiguous_kernels(made)
    pairing.notes += _other_functions(model, file)
    return _report(pairing, made, chosen)


def _other_functions(model: Model, file: WeightFile) -> list[str]:
    """Return a note on layers whose function Keras 2 computes otherwise by the same name."""
    version = str(file.metadata.get("keras_version", ""))
    if not version.startswith(("1.", "2.")):
        return []
    functions = ("activation", "recurrent_activation")
    names = [
        layer.name
        for _, layer in module_tree(model).layers
        if any(name_of(getattr(layer, one, None)) == "hard_sigmoid" for one in functions)
    ]
    if not names:
        return []
    said = f"hard_sigmoid of Keras {version} has the slope 0.2, here it is 1/6"
    return [f"{said}: {', '.join(names)}"]


def _without_slots(file: WeightFile) -> WeightFile:
    """Return a file without the optimizer's state, which ours have beside the weights."""
    layers = [layer for layer in file.layers if not layer.name.startswith(BESIDE)]
    return dataclasses.replace(file, layers=layers)


def _check_whole(
    file: WeightFile,
    pairing: Pairing,
    chosen: set[str],
    pattern: Any,
    variables: Iterable[str],
) -> None:
    """Raise an error where a file does not fit: it says the first thing, and how many more."""
    faults = []
    names = [array.name for array in file.arrays()]
    mismatched = {path: why for path, why in pairing.mismatched.items() if path in chosen}
    if pattern is None:
        faults += [
            f"{array.name!r} is no variable of the model; {did_you_mean(array.name, variables)}"
            for array in pairing.left
        ]
    faults += [
        f"no values for {path!r}; {did_you_mean(path, names)}"
        for path in pairing.missing
        if path in chosen and path not in mismatched
    ]
    faults += [f"{path}: {why}" for path, why in mismatched.items()]
    if not faults:
        return
    more = f" ({len(faults) - 1} more)" if len(faults) > 1 else ""
    several = ""
    if pairing.ambiguous:
        several = "; no name fits, and by order and shape there are several ways: pass mapping"
    raise FileFormatError(f"{file.shown}: {faults[0]}{more}{several}; strict=False loads what fits")


def _ambiguous_kernels(made: dict[str, Made]) -> list[str]:
    """Return what there is to say where neither names nor shapes tell (in, out) from (out, in)."""
    shapes = {path: one.part.shapes[0] for path, one in made.items() if one.part.how == AS_IS}
    kernels = {path: shape for path, shape in shapes.items() if len(shape) == KERNEL_DIMENSIONS}
    if not kernels or any(shape[0] != shape[1] for shape in kernels.values()):
        return []
    names = listed("square kernel", list(kernels))
    return [f'{names}: taken as (in, out); pass layout="torch" for (out, in)']


def _not_neutral(file: WeightFile, found: list[Neutral]) -> list[FileArray]:
    """Return the arrays for which a layer has no variable and which would change something."""
    values = [(one, one.array.read()) for one in found]
    if values:
        file.confirm()
    return [
        one.array
        for one, read in values
        if not bool(((one.array.decode or same)(read) == one.value).all())
    ]


def _check_kinds(file: WeightFile, path: str, made: Made) -> None:
    for array in made.arrays:
        if array.dtype.kind != "f":
            raise FileFormatError(
                f"{file.shown}: {path}: expected floating-point numbers, the file has {array.dtype}"
            )


def _report(pairing: Pairing, made: dict[str, Made], chosen: set[str]) -> LoadReport:
    def read_as(how: str) -> list[str]:
        return [path for path, one in made.items() if one.part.how == how]

    return LoadReport(
        matched={array.name: path for path, one in made.items() for array in one.arrays},
        transposed=read_as(TRANSPOSED),
        reshaped=read_as(RESHAPED),
        missing=[path for path in pairing.missing if path in chosen],
        unexpected=[array.name for array in pairing.left + pairing.misfits],
        mismatched={path: why for path, why in pairing.mismatched.items() if path in chosen},
        by_order=list(made) if pairing.by_order else [],
        notes=pairing.notes,
    )
