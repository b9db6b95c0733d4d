"""Models of ours out of ``.keras`` files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad._common.advice import advise
from evengrad._common.config import outside_scopes
from evengrad._common.names import printable
from evengrad.layers._call_context import restoring
from evengrad.layers._module import module_tree, state_of
from evengrad.layers._restoring import NotInFileError, Restoration
from evengrad.models._architecture import ROW_LIMIT
from evengrad.models._keras._drawing import Drawing
from evengrad.models._keras._reading_layers import Reader
from evengrad.saving._errors import FileFormatError
from evengrad.saving._hdf5._reading import read_hdf5
from evengrad.saving._keras._archive import WEIGHTS, read_archive
from evengrad.saving._keras._arrays import values_of
from evengrad.saving._keras._open import weights_of
from evengrad.saving._keras._parts import part_of
from evengrad.saving._paths import check_ordinary, errors_name, file_path

if TYPE_CHECKING:
    import os
    from collections.abc import Container, Mapping

    from evengrad._common.arrays import Array
    from evengrad.models._model import Model
    from evengrad.saving._hdf5._reading import Group
    from evengrad.saving._keras._parts import Part


@outside_scopes()
def from_keras(
    path: str | os.PathLike[str], custom_objects: Mapping[str, Any], *, compile: bool
) -> Model:
    """Return the model of a ``.keras`` file; see `Model.from_keras`."""
    text = file_path(path)
    with errors_name(text):
        check_ordinary(text)
        with open(text, "rb") as file:
            archive = read_archive(printable(text), file)
    reader = Reader(archive.shown, archive.major, own=custom_objects)
    part = part_of(archive.shown, archive.config, custom_objects)
    if not part.is_model:
        raise FileFormatError(f"{archive.shown}: holds a {part.kind}, expected a model")
    root = read_hdf5(f"{archive.shown}: {WEIGHTS}", archive.weights)
    model = _restored(reader, part, root)
    if compile and archive.config.get("compile_config"):
        # Not needed by those who take a model to predict.
        from evengrad.models._keras._compiling import compile_as_described

        compile_as_described(model, part, archive.config["compile_config"], root, reader)
    if reader.notes:
        advise(f"{archive.shown}: not everything could be taken: {'; '.join(reader.notes)}")
    return model


def _restored(reader: Reader, part: Part, root: Group) -> Model:
    values = arrays_of(reader.shown, part, root, reader.own)
    saved = Restoration(values)
    drawing = Drawing(reader, max(ROW_LIMIT, sum(array.size for array in values.values())))
    try:
        with restoring(saved):
            model = drawing.model(part)
            _name_own(reader, part, model, values)
            saved.fill(model.named_weights(), untouched=not reader.own)
    except NotInFileError as error:
        raise FileFormatError(f"{reader.shown}: {error}") from error
    return model


def _name_own(reader: Reader, part: Part, model: Model, values: dict[str, Array]) -> None:
    """Give the arrays of layers of the caller's the names of their variables, by Keras' order."""
    own = {path for path, one in part.walk() if one.kind in reader.own}
    for prefix, layer in module_tree(model).layers if own else []:
        path = prefix.rstrip("/")
        if path not in own:
            continue
        weights = sorted(state_of(layer).weights, key=lambda weight: not weight.trainable)
        found = [values.pop(name) for name in [*values] if name.rpartition("//")[0] == path]
        if len(weights) != len(found):
            names = ", ".join(weight.name for weight in weights)
            raise reader.refused(
                path,
                f"custom_objects: {type(layer).__name__} has {len(weights)} variables ({names}), "
                f"the file has {len(found)}",
            )
        pairs = zip(weights, found, strict=True)
        values.update({f"{path}/{weight.name}": array for weight, array in pairs})


def arrays_of(shown: str, part: Part, root: Group, own: Container[str] = ()) -> dict[str, Array]:
    """Return the arrays of a model by the paths of our variables.

    Those of layers of the caller's `own`, whose variables nobody knows yet, are numbered.
    """
    found: dict[str, Array] = {}
    for path, one, arrays in weights_of(shown, part, root):
        names = one.variables.names
        if one.kind in own:
            # No path of a variable has two slashes.
            names = tuple(f"/{number}" for number in range(len(arrays)))
        pairs = zip(names, arrays, strict=False)
        found |= {f"{path}/{name}": values_of(shown, array) for name, array in pairs}
    return found
