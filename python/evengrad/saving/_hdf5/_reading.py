"""HDF5 files as trees of groups and arrays.

See "HDF5 File Format Specification Version 3.0", https://support.hdfgroup.org/documentation/. Read
is what h5py writes where nobody asks for newer versions of the format, and what `h5repack` makes of
it: chunks, zlib. Every address and every size is compared with the bytes that are there, no
structure is read twice, and no array is made that the bytes cannot fill.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from evengrad.saving._hdf5._attributes import attributes_of
from evengrad.saving._hdf5._datasets import Dataset
from evengrad.saving._hdf5._groups import members_of
from evengrad.saving._hdf5._objects import Header
from evengrad.saving._hdf5._source import Source, root_address

if TYPE_CHECKING:
    from collections.abc import Iterator

# Deeper groups are no model's.
DEPTH_LIMIT = 128


@dataclass
class Group:
    """A group: its attributes, and groups and arrays by name."""

    place: str
    attributes: dict[str, Any] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    datasets: dict[str, ArrayInFile] = field(default_factory=dict)

    def at(self, path: str) -> Group | None:
        """Return the group at a path below this one, if it is there."""
        found: Group | None = self
        for name in path.split("/"):
            if found is None:
                return None
            found = found.groups.get(name)
        return found

    def walk(self) -> Iterator[tuple[str, Group]]:
        """Yield this group and those below, with their paths, each before those inside it."""
        left = [("", self)]
        while left:
            path, group = left.pop()
            yield path, group
            inside = [
                (f"{path}/{name}" if path else name, one) for name, one in group.groups.items()
            ]
            left += reversed(inside)


@dataclass
class ArrayInFile:
    """An array with its attributes."""

    dataset: Dataset
    attributes: dict[str, Any]


def read_hdf5(shown: str, data: bytes | bytearray | memoryview) -> Group:
    """Return the root group of the bytes of a file; arrays are read when they are asked for.

    `shown` is what messages call the file.
    """
    source = Source(shown, data)
    root = Group("/")
    left = [(root, root_address(source), 0)]
    seen: set[int] = set()
    while left:
        group, address, depth = left.pop()
        if address in seen or depth > DEPTH_LIMIT:
            source.damaged(group.place, "its groups lead back to themselves")
        seen.add(address)
        header = Header(source, address, group.place)
        group.attributes = attributes_of(header)
        for name, target in (members_of(header) or {}).items():
            place = f"{group.place.rstrip('/')}/{name}"
            inside = Header(source, target, place)
            if members_of(inside) is None:
                found = ArrayInFile(Dataset(inside), attributes_of(inside))
                group.datasets[name] = found
            else:
                group.groups[name] = Group(place)
                left.append((group.groups[name], target, depth + 1))
    return root
