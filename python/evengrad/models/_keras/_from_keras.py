"""Models of ours out of ``.keras`` files."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from evengrad._common.config import outside_scopes
from evengrad._common.names import printable
from evengrad.layers._call_context import restoring
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

    from evengrad._common.arrays import Array
    from evengrad.models._model import Model
    from evengrad.saving._hdf5._reading import Group
    from evengrad.saving._keras._parts import Part


@outside_scopes()
def from_keras(path: str | os.PathLike[str], *, compile: bool) -> Model:
    """Return the model of a ``.keras`` file; see `Model.from_keras`."""
    text = file_path(path)
    with errors_name(text):
        check_ordinary(text)
        with open(text, "rb") as file:
            archive = read_archive(printable(text), file)
    reader = Reader(archive.shown, archive.major)
    part = part_of(archive.shown, archive.config)
    if not part.is_model:
        raise FileFormatError(f"{archive.shown}: holds a {part.kind}, expected a model")
    root = read_hdf5(f"{archive.shown}: {WEIGHTS}", archive.weights)
    model = _restored(reader, part, root)
    if compile and archive.config.get("compile_config"):
        # Not needed by those who take a model to predict.
        from evengrad.models._keras._compiling import compile_as_described

        compile_as_described(model, part, archive.config["compile_config"], root, reader)
    if reader.notes:
        warnings.warn(
            f"{archive.shown}: not everything could be taken: {'; '.join(reader.notes)}",
            UserWarning,
            # Behind this, a decorator and the model's method.
            stacklevel=4,
        )
    return model


def _restored(reader: Reader, part: Part, root: Group) -> Model:
    values = arrays_of(reader.shown, part, root)
    saved = Restoration(values)
    drawing = Drawing(reader, max(ROW_LIMIT, sum(array.size for array in values.values())))
    try:
        with restoring(saved):
            model = drawing.model(part)
            saved.fill(model.named_weights(), untouched=True)
    except NotInFileError as error:
        raise FileFormatError(f"{reader.shown}: {error}") from error
    return model


def arrays_of(shown: str, part: Part, root: Group) -> dict[str, Array]:
    """Return the arrays of a model by the paths of our variables."""
    return {
        f"{path}/{name}": values_of(shown, array)
        for path, one, arrays in weights_of(shown, part, root)
        for name, array in zip(one.variables.names, arrays, strict=False)
    }
