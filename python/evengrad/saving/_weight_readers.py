"""Opening a file of weights: which format it has, by its first bytes and its name."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from evengrad._common.names import printable
from evengrad.saving import _npz, _safetensors_weights, _torch_file
from evengrad.saving._keras import _open as _keras
from evengrad.saving._paths import check_ordinary, errors_name, file_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from evengrad.saving._weight_file import WeightFile

FIRST_BYTES = 8


class Reader(NamedTuple):
    """What reads a format.

    Attributes
    ----------
    is_its
        Says whether a file is of the format: it gets the first bytes, the suffix in lower case, and
        the file.
    open
        Returns what the file holds, from its path for messages and the open file, which stays open
        until all is read. A package of its own that it needs is imported inside.
    """

    is_its: Callable[[bytes, str, BinaryIO], bool]
    open: Callable[[str, BinaryIO], WeightFile]


# The first that knows a file reads it; what none knows is taken for a safetensors file.
READERS = (
    Reader(_torch_file.is_torch, _torch_file.open_weights),
    Reader(_npz.is_npz, _npz.open_weights),
    Reader(_keras.is_keras, _keras.open_keras),
    Reader(_keras.is_hdf5, _keras.open_hdf5),
)


@contextlib.contextmanager
def open_weights(path: str | os.PathLike[str]) -> Iterator[WeightFile]:
    """Within the block, the arrays of a file can be read.

    Raises
    ------
    FileFormatError
        The file is damaged, or of a format that nobody reads here.
    OSError
        It cannot be read.
    """
    text = file_path(path)
    with errors_name(text):
        check_ordinary(text)
        with open(text, "rb") as file:
            first = file.read(FIRST_BYTES)
            suffix = os.path.splitext(text)[1].lower()
            known = [reader.open for reader in READERS if reader.is_its(first, suffix, file)]
            file.seek(0)
            reader = known[0] if known else _safetensors_weights.open_weights
            found = reader(printable(text), file)
            try:
                yield found
            finally:
                found.close()
