"""The weights in Keras' files: ``.weights.h5``, ``.keras``, and ``.h5`` as of Keras 2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

from evengrad.saving._errors import FileFormatError
from evengrad.saving._hdf5._reading import read_hdf5
from evengrad.saving._hdf5._source import SIGNATURE
from evengrad.saving._keras._archive import WEIGHTS, is_archive, read_archive
from evengrad.saving._keras._arrays import dtype_of, values_of
from evengrad.saving._keras._groups import LAYERS, VARIABLES, arrays_in, groups_of, layers_in
from evengrad.saving._keras._legacy import is_legacy, legacy_layers
from evengrad.saving._keras._parts import part_of
from evengrad.saving._keras._variables import VARIABLES as VARIABLES_OF
from evengrad.saving._weight_file import FileArray, FileLayer, WeightFile
from evengrad.saving._zip import MAGIC

if TYPE_CHECKING:
    from evengrad.saving._hdf5._reading import ArrayInFile, Group
    from evengrad.saving._keras._parts import Part

# What the metadata of a file say of itself.
FORMAT, VERSION = "format", "keras_version"
KERAS = "keras"


def is_hdf5(first: bytes, suffix: str, file: BinaryIO) -> bool:
    """Tell whether a file is an HDF5 file."""
    del suffix, file
    return first == SIGNATURE


def is_keras(first: bytes, suffix: str, file: BinaryIO) -> bool:
    """Tell whether a file is a ``.keras`` file."""
    return first.startswith(MAGIC) and (suffix == ".keras" or is_archive(file))


def open_hdf5(shown: str, file: BinaryIO) -> WeightFile:
    """Return the weights of an HDF5 file of Keras'."""
    root = read_hdf5(shown, file.read())
    if is_legacy(root):
        return legacy_layers(shown, root)
    if LAYERS not in root.groups:
        raise FileFormatError(
            f"{shown}: an HDF5 file that is none of Keras': it has no group {LAYERS!r}"
        )
    found = [*layers_in(root)]
    named = all(name is not None for _, name, _ in found)
    layers = [
        FileLayer(name if named and name else f"{path}/{VARIABLES}", _numbered(shown, arrays), True)
        for path, name, arrays in found
    ]
    return WeightFile(shown, layers, KERAS, ordered=False, named=named, metadata={FORMAT: KERAS})


def open_keras(shown: str, file: BinaryIO) -> WeightFile:
    """Return the weights of a ``.keras`` file, whose configuration says what each array is."""
    archive = read_archive(shown, file)
    part = part_of(shown, archive.config)
    root = read_hdf5(f"{shown}: {WEIGHTS}", archive.weights)
    layers = [
        _layer(shown, path, one, arrays) for path, one, arrays in weights_of(shown, part, root)
    ]
    metadata = {FORMAT: KERAS, VERSION: archive.version}
    return WeightFile(shown, layers, KERAS, metadata=metadata)


def _layer(shown: str, path: str, part: Part, arrays: list[ArrayInFile]) -> FileLayer:
    names, place, _ = part.variables
    if not names:
        # Of a class that is not known here.
        return FileLayer(path, _numbered(shown, arrays), by_place=True)
    group = f"{part.group}/{place}/{VARIABLES}" if place else f"{part.group}/{VARIABLES}"
    return FileLayer(
        path,
        {
            name: file_array(shown, f"{group}/{number}", array)
            for number, (name, array) in enumerate(zip(names, arrays, strict=False))
        },
    )


def weights_of(shown: str, model: Part, root: Group) -> list[tuple[str, Part, list[ArrayInFile]]]:
    """Return the layers of a model that have weights by paths, with their arrays in order."""
    groups = groups_of(model, root)
    found = []
    for path, part in model.walk():
        names, place, _ = part.variables
        group = groups.get(id(part))
        arrays = [] if group is None else arrays_in(group, place)
        if names or part.kind in VARIABLES_OF:
            _check_count(shown, path, part, len(arrays))
        if arrays:
            found.append((path, part, arrays))
    return found


def _check_count(shown: str, path: str, part: Part, count: int) -> None:
    """Raise an error where the file has another number of arrays for a layer than Keras writes."""
    names, _, unused = part.variables
    if len(names) <= count <= len(names) + unused:
        return
    expected = f"{len(names)} arrays of a {part.kind} ({', '.join(names)})"
    raise FileFormatError(f"{shown}: layer {path!r}: expected {expected}, the file has {count}")


def file_array(shown: str, name: str, array: ArrayInFile) -> FileArray:
    """Return an array as files of weights have it."""
    dtype: Any = dtype_of(shown, array)
    return FileArray(name, array.dataset.shape, dtype, lambda: values_of(shown, array))


def _numbered(shown: str, arrays: list[ArrayInFile]) -> dict[str, FileArray]:
    return {
        str(place): file_array(shown, array.dataset.place.lstrip("/"), array)
        for place, array in enumerate(arrays)
    }
