"""HDF5 as h5py writes and reads it, and bytes that no honest program wrote."""

import io
import random
import struct

import h5py
import numpy as np
import pytest

import evengrad as eg
from evengrad.saving._hdf5._reading import read_hdf5
from evengrad.saving._hdf5._writing import NewGroup, pieces_of, size_of

DTYPES = ("f2", "f4", "f8", ">f4", "i4", "i8", "u1", "?")


def bytes_of(fill, **settings):
    file = io.BytesIO()
    with h5py.File(file, "w", **settings) as root:
        fill(root)
    return file.getvalue()


def filled(root):
    """Fill a file with what Keras' files have, and what `h5repack` makes of them."""
    draws = np.random.default_rng(0)
    for place, dtype in enumerate(DTYPES):
        group = root.create_group(f"layers/dense_{place}/vars")
        group.attrs["name"] = f"the name é {place}"
        group.create_dataset("0", data=(draws.normal(size=(3, place)) * 3).astype(dtype))
        group.create_dataset("1", data=np.array(place, dtype))
    chunked = draws.normal(size=(37, 23))
    for name, settings in {
        "plain": {},
        "packed": {"compression": "gzip", "shuffle": True, "fletcher32": True},
    }.items():
        root.create_dataset(name, data=chunked, chunks=(8, 10), **settings)
    opaque = root.create_dataset("half", data=np.arange(6, dtype="<u2").view("V2").reshape(2, 3))
    opaque.attrs["dtype"] = "bfloat16"
    root.attrs["weight_names"] = [b"dense/kernel:0", b"dense/bias:0"]
    root.attrs["texts"] = ["one", "", "trois é"]
    root.attrs["number"] = 3.5
    root.create_group("empty").attrs["none"] = np.array([])


def leaves(group, path=""):
    for name, item in group.items():
        if isinstance(item, h5py.Group):
            yield from leaves(item, f"{path}{name}/")
        else:
            yield f"{path}{name}", item


def array_at(root, path):
    folder, _, name = path.rpartition("/")
    return (root.at(folder) if folder else root).datasets[name]


@pytest.mark.parametrize("settings", [{}, {"libver": "latest"}])
def test_what_h5py_writes_is_read(settings):
    def fill(root):
        if settings:
            root.create_dataset("a", data=np.arange(6.0).reshape(2, 3))
            root.create_group("g").attrs["name"] = "x"
        else:
            filled(root)

    data = bytes_of(fill, **settings)
    root = read_hdf5("file", data)
    with h5py.File(io.BytesIO(data)) as wanted:
        found = dict(leaves(wanted))
        assert len(found) == (1 if settings else 2 * len(DTYPES) + 3)
        for path, dataset in found.items():
            array = array_at(root, path).dataset
            values = array.read()
            assert array.shape == values.shape == dataset.shape
            if dataset.dtype != bool:
                assert array.dtype == values.dtype == dataset.dtype
            assert np.array_equal(values, dataset[()])
    if not settings:
        assert root.attributes["weight_names"] == ["dense/kernel:0", "dense/bias:0"]
        assert root.attributes["texts"] == ["one", "", "trois é"]
        assert root.attributes["number"] == 3.5
        assert root.datasets["half"].attributes == {"dtype": "bfloat16"}
        assert root.at("layers/dense_2/vars").attributes == {"name": "the name é 2"}
        assert root.at("empty").groups == root.at("empty").datasets == {}


@pytest.mark.parametrize("count", [0, 1, 8, 9, 300])
def test_h5py_reads_what_is_written(count):
    root = NewGroup()
    draws = np.random.default_rng(count)
    for place in range(count):
        group = root.at(f"layers/dense_{place}/vars")
        group.attributes["name"] = f"é {place}" * (1 + 900 * (place == 3))
        dtype = ("f4", "f8", "f2", "i4", "i8")[place % 5]
        group.arrays["0"] = (draws.normal(size=(place % 4, 3)) * 9).astype(dtype).T
        group.arrays["10"] = np.array(place, dtype)
    root.at("nothing")
    data = b"".join(pieces_of(root))
    assert len(data) == size_of(root)
    assert data == b"".join(pieces_of(root))
    with h5py.File(io.BytesIO(data)) as found:
        assert list(found["nothing"]) == []
        for name, group in root.groups.get("layers", NewGroup()).groups.items():
            wanted = group.groups["vars"]
            there = found[f"layers/{name}/vars"]
            assert there.attrs["name"] == wanted.attributes["name"]
            for key, array in wanted.arrays.items():
                assert there[key].dtype == array.dtype
                np.testing.assert_array_equal(there[key][()], array)
    assert len(read_hdf5("file", data).groups.get("layers", root).groups) == max(count, 1 - count)


def test_other_parts_of_the_format_are_refused_with_a_way_out():
    def many(root):
        for place in range(20):
            root.create_dataset(f"d{place}", data=np.ones(2))

    with pytest.raises(eg.FileFormatError, match="without libver"):
        read_hdf5("file", bytes_of(many, libver="latest"))

    def lzf(root):
        root.create_dataset("d", data=np.ones((8, 8)), compression="lzf")

    with pytest.raises(eg.FileFormatError, match="filter 32000"):
        read_hdf5("file", bytes_of(lzf)).datasets["d"].dataset.read()

    def link(root):
        root.create_dataset("d", data=np.ones(2))
        root["e"] = h5py.ExternalLink("/etc/passwd", "x")

    with pytest.raises(eg.FileFormatError, match="another name for something else"):
        read_hdf5("file", bytes_of(link))


def read_all(data):
    """Read everything, as far as it goes; return how many bytes arrays have in all."""
    left, size = [read_hdf5("file", data)], 0
    while left:
        group = left.pop()
        left += group.groups.values()
        size += sum(array.dataset.read().nbytes for array in group.datasets.values())
    return size


def test_changed_bytes_give_one_error_or_an_answer_in_bounded_memory():
    whole = bytes_of(filled)
    draws = random.Random(1)
    said = []
    for _ in range(400):
        data = bytearray(whole)
        # Most numbers in the file are addresses and sizes of eight bytes.
        for _ in range(draws.choice((1, 1, 3))):
            place = draws.randrange(len(data) // 8) * 8
            if draws.random() < 0.5:
                data[place + draws.randrange(8)] = draws.randrange(256)
            else:
                value = draws.choice((0, 2**64 - 1, 2**31, 2**40, len(data), draws.randrange(4096)))
                struct.pack_into("<Q", data, place, value)
        try:
            assert read_all(bytes(data)) < 40 * len(whole)
        except eg.FileFormatError as error:
            said.append(str(error))
    assert len(said) > 40
    assert all(message.startswith("file: ") for message in said)


def test_files_that_are_cut_off_say_so():
    whole = bytes_of(filled)
    for length in (0, 4, 8, 50, 96, 400, len(whole) // 2, len(whole) - 1):
        with pytest.raises(eg.FileFormatError, match=r"^file: "):
            read_all(whole[:length])


def test_the_bytes_of_other_files_are_no_hdf5():
    with pytest.raises(eg.FileFormatError, match="its first bytes: no HDF5 file"):
        read_hdf5("file", b"PK\x03\x04" + bytes(200))
