"""NumPy's archives: written for numpy.load, read from numpy.savez; bad files."""

import io
import re
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import evengrad as eg
from evengrad import layers
from evengrad.saving import _npz
from evengrad.saving._weight_readers import open_weights


def net(seed=1):
    return eg.Sequential([eg.Input((3,)), layers.Dense(2)], seed=seed)


def arrays_of(path):
    with open_weights(path) as file:
        found = {array.name: array.read() for array in file.arrays()}
        file.confirm()
        return found


def check_refused(path, match, model=None):
    model = model or net()
    before = model.get_weights()
    with pytest.raises(eg.FileFormatError, match=match) as caught:
        model.load_weights(path)
    assert str(path) in str(caught.value)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("dtype", ["<f4", ">f4", "f8", "f2", "i8", "?"])
def test_numpy_s_archives_are_read(tmp_path, save, dtype):
    draw = np.random.default_rng(0)
    given = {
        "a": draw.normal(size=(3, 4)).astype(dtype),
        "turned": np.asfortranarray(draw.normal(size=(3, 4)).astype(dtype)),
        "sliced": draw.normal(size=(6, 8)).astype(dtype)[::2, 1::3],
        "none": np.zeros((0, 3), dtype),
        "one": np.array(2.0).astype(dtype),
        "a/b c": np.ones(2, dtype),
    }
    path = tmp_path / "net.npz"
    save(path, **given)
    found = arrays_of(path)
    assert list(found) == list(given)
    for name, array in given.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def test_numpy_reads_what_is_written(tmp_path):
    model = net()
    model.save_weights(tmp_path / "net.npz")
    with np.load(tmp_path / "net.npz", allow_pickle=False) as found:
        assert found.files == ["dense/kernel", "dense/bias"]
        for name, tensor in model.named_weights():
            np.testing.assert_array_equal(found[name], tensor.detach().numpy())
    other = net(2)
    other.load_weights(tmp_path / "net.npz")
    np.testing.assert_array_equal(other.get_weights()[0], model.get_weights()[0])


def test_equal_models_give_equal_bytes(tmp_path):
    for name in "ab":
        net().save_weights(tmp_path / f"{name}.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_names_that_numpy_would_change_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"NumPy takes the end '\.npy' off names"):
        _npz.write(str(tmp_path / "net.npz"), {"w.npy": np.ones(2)})
    assert not list(tmp_path.iterdir())


# ---- bad files


def header(shape="(3, 2)", dtype="'<f4'", rest=""):
    text = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}{rest}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def archive(path, members, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as made:
        for name, data in members.items():
            made.writestr(name, data)
    return path


BAD = {
    "nothing": b"",
    "another magic": b"\x93NUMPZ\x01\x00" + bytes(80),
    "version 9": b"\x93NUMPY\x09\x00" + bytes(80),
    "a cut header": header()[:20],
    "no header": b"\x93NUMPY\x01\x00" + struct.pack("<H", 60_000) + b"{",
    "code": header(shape="__import__('os').getpid()"),
    "a deep header": b"\x93NUMPY\x01\x00" + struct.pack("<H", 9000) + b"(" * 9000,
    "objects": header(dtype="'|O'") + bytes(24),
    "too few": header() + bytes(20),
    "too many": header() + bytes(28),
    "a huge shape": header(shape=f"({2**40}, {2**40})") + bytes(24),
    "a negative shape": header(shape="(-3, -2)") + bytes(24),
    "a shape of texts": header(shape="('3', 2)") + bytes(24),
    "an unknown dtype": header(dtype="'<q9'") + bytes(24),
}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("data", [pytest.param(data, id=name) for name, data in BAD.items()])
def test_bad_arrays_are_refused(tmp_path, data, method):
    path = archive(tmp_path / "net.npz", {"dense/kernel.npy": data}, method)
    check_refused(path, "'dense/kernel.npy' is damaged|'dense/kernel' holds Python objects")


def test_other_members_are_refused(tmp_path):
    check_refused(archive(tmp_path / "net.npz", {"a.txt": b"x"}), "'a.txt' is no array of NumPy's")
    check_refused(archive(tmp_path / "b.npz", {}), "no values for 'dense/kernel'")
    bzip = archive(tmp_path / "c.npz", {"a.npy": header() + bytes(24)}, zipfile.ZIP_BZIP2)
    check_refused(bzip, "is compressed by method 12")


def test_a_name_twice_is_refused(tmp_path):
    path = tmp_path / "net.npz"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("a.npy", header() + bytes(24))
        with pytest.warns(UserWarning, match="Duplicate"):
            made.writestr("a.npy", header() + bytes(24))
    check_refused(path, "'a.npy' occurs twice")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_every_cut_and_every_changed_byte_is_noticed(tmp_path, save):
    # One that is not even a float's last bit off.
    wanted = [np.arange(6, dtype="f4").reshape(3, 2), np.array([7.0, 8.0], "f4")]
    save(tmp_path / "whole.npz", **{"dense/kernel": wanted[0], "dense/bias": wanted[1]})
    whole = (tmp_path / "whole.npz").read_bytes()
    path = tmp_path / "bad.npz"
    model = net()
    for end in range(0, len(whole), 17):
        path.write_bytes(whole[:end])
        check_refused(path, "no zip archive|damaged|claims|no header", model)
    for place in range(0, len(whole), 7):
        changed = bytearray(whole)
        changed[place] ^= 0x11
        path.write_bytes(changed)
        model = net()
        try:
            model.load_weights(path)
        except eg.FileFormatError:
            continue
        for found, array in zip(model.get_weights(), wanted, strict=True):
            np.testing.assert_array_equal(found, array)


def test_sizes_that_lie_reserve_no_memory(tmp_path):
    # A member that claims 4 GB: in its header, in the archive's directory, and in both.
    claim = struct.pack("<I", 2**32 - 2)
    path = archive(tmp_path / "net.npz", {"dense/kernel.npy": header() + bytes(24)})
    data = path.read_bytes()
    for signature, place in ((b"PK\x01\x02", 20), (b"PK\x01\x02", 24)):
        at = data.index(signature) + place
        data = data[:at] + claim + data[at + 4 :]
    path.write_bytes(data)
    tracemalloc.start()
    try:
        check_refused(path, "claims 4294967294 bytes|no zip archive|is damaged")
        assert tracemalloc.get_traced_memory()[1] < 10 * 2**20
    finally:
        tracemalloc.stop()


def test_what_expands_beyond_the_model_is_not_read(tmp_path):
    # 16 MB of zeros in 16 KB.
    path = tmp_path / "net.npz"
    np.savez_compressed(path, **{"dense/kernel": np.zeros(2**22, "f4")})
    assert path.stat().st_size < 2**15
    tracemalloc.start()
    try:
        check_refused(path, r"expected shape \(3, 2\), the file has \(4194304,\)|no values for")
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    finally:
        tracemalloc.stop()


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 300))
def test_random_bytes_are_refused(tmp_path_factory, data, place):
    path = tmp_path_factory.mktemp("random") / "net.npz"
    buffer = io.BytesIO()
    np.savez(buffer, **{"dense/kernel": np.ones((3, 2), "f4")})
    whole = buffer.getvalue()
    path.write_bytes(whole[:place] + data + whole[place + len(data) :])
    with pytest.raises(eg.FileFormatError):
        # There is no bias, whatever else.
        net().load_weights(path)


def test_messages_name_file_and_place(tmp_path):
    path = archive(tmp_path / "net.npz", {"dense/kernel.npy": header() + bytes(20)})
    shown = re.escape(str(path))
    check_refused(path, rf"{shown}: 'dense/kernel.npy' is damaged: its shape \(3, 2\) of float32")


@pytest.mark.parametrize("order", ["C", "F"])
def test_bfloat16_is_read_from_its_bits(tmp_path, order):
    # Exact in bfloat16: NumPy writes such arrays of JAX's or ml_dtypes' as two bytes each, |V2.
    kernel = np.array([[1.5, -2.0, 0.0], [2.0**-20, -0.375, 3.0]], np.float32)
    bits = np.asarray((kernel.view(np.uint32) >> 16).astype(np.uint16), order=order)
    path = tmp_path / "net.npz"
    np.savez(path, kernel=bits.view("V2"), bias=np.zeros(3))
    model = eg.Sequential([eg.Input((2,)), eg.layers.Dense(3)])
    model.load_weights(path)
    np.testing.assert_array_equal(model.get_weights()[0], kernel)
