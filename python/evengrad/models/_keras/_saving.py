"""Models and weights of ours into Keras' files."""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING

from evengrad._common.advice import advise
from evengrad.models._keras._emitting import config_of, groups_for
from evengrad.models._keras._writing_models import ModelWriter
from evengrad.models._network import check_built
from evengrad.saving._atomic import write_atomically
from evengrad.saving._hdf5._writing import pieces_of, size_of
from evengrad.saving._keras._archive import CONFIG, METADATA, WEIGHTS

if TYPE_CHECKING:
    from typing import BinaryIO

    from evengrad.models._keras._written import Written
    from evengrad.models._model import Model
    from evengrad.saving._hdf5._writing import NewGroup
    from evengrad.training._compile_config import CompileConfig

# The release whose files these are: each that came later reads them, too.
KERAS_VERSION = "3.0.5"
# A date for all files: equal models give equal bytes.
DATE, ZIP_DATE = "1980-01-01@00:00:00", (1980, 1, 1, 0, 0, 0)


def save_keras_weights(model: Model, path: str) -> None:
    """Write the variables of a model to a ``.weights.h5`` file; see `Model.save_weights`."""
    writer, written = written_of(model, "model.save_weights")
    del writer
    root = groups_for(written)

    def fill(file: BinaryIO) -> None:
        file.writelines(pieces_of(root))

    write_atomically(path, fill)


def save_keras(model: Model, path: str, config: CompileConfig | None) -> None:
    """Write a model to a ``.keras`` file; see `Model.save`."""
    models, written = written_of(model, "model.save")
    root = groups_for(written)
    described = config_of(written)
    notes = models.writer.notes
    if config is not None:
        # Not needed by those who have not compiled.
        from evengrad.models._keras._writing_compiled import add_compiled

        add_compiled(described, root, model, written, config, notes)
    text = json.dumps(described, allow_nan=False)
    if notes:
        advise(f"{path}: Keras has no counterpart of everything: {'; '.join(notes)}")
    metadata = json.dumps({"keras_version": KERAS_VERSION, "date_saved": DATE})
    write_atomically(path, lambda file: _fill(file, text, metadata, root))


def written_of(model: Model, what: str) -> tuple[ModelWriter, Written]:
    """Return what Keras reads of a built model, and what made it."""
    check_built(model, what)
    models = ModelWriter()
    return models, models.model(model)


def _fill(file: BinaryIO, config: str, metadata: str, root: NewGroup) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(_entry(METADATA), metadata)
        archive.writestr(_entry(CONFIG), config)
        entry = _entry(WEIGHTS)
        entry.file_size = size_of(root)
        with archive.open(entry, "w") as member:
            for piece in pieces_of(root):
                member.write(piece)


def _entry(name: str) -> zipfile.ZipInfo:
    return zipfile.ZipInfo(name, ZIP_DATE)
