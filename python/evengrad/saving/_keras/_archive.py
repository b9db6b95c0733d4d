"""The members of a ``.keras`` file, a zip archive, of which nothing is unpacked to the disk."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, BinaryIO

from evengrad.saving._describe import depth_of
from evengrad.saving._errors import FileFormatError
from evengrad.saving._zip import Archive as ZipArchive
from evengrad.saving._zip import names_in

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
# Names, shapes and numbers of a model of a hundred thousand layers fit.
TEXT_LIMIT = 2**28
# Keras stores without compression. Numbers packed by others shrink little; those of a state that is
# all zeros by more, of which a file has a share.
MOST_EXPANSION = 100
# Members of less are no threat.
HARMLESS = 2**20
# Deeper lists and tables could not be walked within Python's limit of recursion.
DEPTH_LIMIT = 400


@dataclass(frozen=True)
class Archive:
    """What a ``.keras`` file holds.

    Attributes
    ----------
    shown
        What messages call the file.
    config, version
        The configuration of the model, and the version of Keras that wrote it.
    weights
        The bytes of the HDF5 file inside.
    """

    shown: str
    config: dict[str, Any]
    version: str
    weights: memoryview

    @property
    def major(self) -> int:
        """The first number of the version of Keras; 3 where it is missing."""
        return major(self.version)


def major(version: str) -> int:
    """Return the first number of a version of Keras; 3 where it is missing."""
    first = version.partition(".")[0]
    return int(first) if first.isdecimal() and len(first) < 4 else 3


def read_archive(shown: str, file: BinaryIO) -> Archive:
    """Read a ``.keras`` file; sizes are compared with its length before anything is allocated."""
    archive = ZipArchive(shown, file)
    try:
        for name in (CONFIG, WEIGHTS):
            if name not in archive.members:
                raise FileFormatError(f"{shown}: the archive has no {name!r}: it is no .keras file")
        texts = {
            name: _content(archive, name) for name in (CONFIG, METADATA) if name in archive.members
        }
        weights = _content(archive, WEIGHTS)
        archive.confirm()
    finally:
        archive.close()
    tables = {name: table_of(f"{shown}: {name}", bytes(raw)) for name, raw in texts.items()}
    version = str(tables.get(METADATA, {}).get("keras_version", ""))
    return Archive(shown, tables[CONFIG], version, weights)


def is_archive(file: BinaryIO) -> bool:
    """Tell whether a zip archive is a ``.keras`` file."""
    return {CONFIG, WEIGHTS} <= set(names_in(file))


def _content(archive: ZipArchive, name: str) -> memoryview:
    """Return the bytes of a member, which may not be many more than the file has for it."""
    member = archive.members[name]
    most = max(HARMLESS, MOST_EXPANSION * member.stored)
    if member.size > (most if name == WEIGHTS else min(most, TEXT_LIMIT)):
        raise member.damaged(
            f"it claims {member.size} bytes out of {member.stored} that the file has for it"
        )
    content: Any = archive.content(member)
    return memoryview(content).toreadonly()


def table_of(shown: str, raw: bytes | str) -> dict[str, Any]:
    """Return the table that JSON text holds."""
    try:
        table = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"{shown}: {error}") from error
    if not isinstance(table, dict):
        raise FileFormatError(f"{shown}: expected a table, got {type(table).__name__}")
    if depth_of(table) > DEPTH_LIMIT:
        raise FileFormatError(f"{shown}: it is nested too deeply")
    return table
