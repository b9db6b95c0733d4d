"""Reading state dicts of PyTorch: views of storages, wrappers, bad files, and nothing that runs."""

import os
import pickle
import re
import struct

import numpy as np
import pytest
import torch_files
from torch_files import Global, Named, Ordered, pickled, tensor, write, write_state

import evengrad as eg
from evengrad import layers
from evengrad.saving._weight_readers import open_weights

STATE = {
    "0.weight": np.arange(6, dtype="float32").reshape(2, 3),
    "0.bias": np.array([7, 8], "float32"),
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.pt"


def net(seed=1, dtype="float32"):
    return eg.Sequential([eg.Input((3,), dtype=dtype), layers.Dense(2)], seed=seed)


def arrays_of(path):
    """Return what is read of a file, decoded."""
    with open_weights(path) as file:
        found = [(array, array.read()) for array in file.arrays()]
        file.confirm()
        return {array.name: (array.decode or np.asarray)(read).copy() for array, read in found}


def assert_loaded(model):
    kernel, bias = model.get_weights()
    np.testing.assert_array_equal(kernel, STATE["0.weight"].T)
    np.testing.assert_array_equal(bias, STATE["0.bias"])


@pytest.mark.parametrize("name", ["net.pt", "net.pth", "net.ckpt", "net"])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"epoch": 3, "state_dict": state, "optimizer": {"state": {}, "lr": 0.1}},
        lambda state: {"weights of mine": state, "ema": None},
        lambda state: {"other": {"x": state.table["0.bias"]}, "model": state},
    ],
)
def test_a_state_dict_is_found(tmp_path, name, wrap):
    model = net()
    model.load_weights(write_state(tmp_path / name, STATE, wrap))
    assert_loaded(model)


def test_the_order_of_bytes_is_the_file_s(path):
    model = net()
    model.load_weights(write_state(path, STATE, byteorder="big"))
    assert_loaded(model)


@pytest.mark.parametrize("dtype", ["float64", "float16", "int64", "uint8", "bool"])
def test_numbers_of_other_kinds(path, dtype):
    values = {"x": np.array([[0, 1, 1], [1, 0, 1]], dtype)}
    found = arrays_of(write_state(path, values))["x"]
    np.testing.assert_array_equal(found, values["x"])
    assert found.dtype == dtype


def test_bfloat16_is_exact(path):
    bits = np.array([0x3F80, 0xC0A0, 0x7F80, 0x0001], "uint16")
    content = {"x": tensor(0, bits, "bfloat16")}
    found = arrays_of(write(path, content, {0: bits}))["x"]
    np.testing.assert_array_equal(found, np.array([1.0, -5.0, np.inf, 9.183549615799121e-41]))


def test_tensors_share_a_storage(path):
    whole = np.arange(24, dtype="float32")
    content = {
        "rows": tensor(0, whole, shape=(2, 3), offset=6),
        "turned": tensor(0, whole, shape=(3, 2), strides=(1, 3)),
        "stepped": tensor(0, whole, shape=(4,), strides=(5,), offset=2),
        "spread": tensor(0, whole, shape=(2, 2), strides=(0, 1), offset=4),
        "one": tensor(0, whole, shape=(), strides=(), offset=23),
        "none": tensor(0, whole, shape=(0, 5), strides=(5, 1), offset=24),
    }
    found = arrays_of(write(path, content, {0: whole}))
    np.testing.assert_array_equal(found["rows"], whole[6:12].reshape(2, 3))
    np.testing.assert_array_equal(found["turned"], whole[:6].reshape(2, 3).T)
    np.testing.assert_array_equal(found["stepped"], whole[2::5][:4])
    np.testing.assert_array_equal(found["spread"], [[4, 5], [4, 5]])
    assert found["one"] == 23
    assert found["none"].shape == (0, 5)


def test_parameters_and_sizes_are_data(path):
    weight = np.ones((2, 3), "float32")
    parameter = Global("torch._utils", "_rebuild_parameter", (tensor(0, weight), True, Ordered({})))
    content = {"w": parameter, "size": Global("torch", "Size", ((2, 3),)), "big": 2**40, "k": [1.5]}
    np.testing.assert_array_equal(arrays_of(write(path, content, {0: weight}))["w"], weight)


# ---- what is refused


def check_refused(path, match, model=None):
    model = model or net()
    before = model.get_weights()
    with pytest.raises(eg.FileFormatError, match=match) as caught:
        model.load_weights(path)
    assert str(path) in str(caught.value)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


class Runs:
    """Makes a folder where it is unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.mark.parametrize("protocol", range(6))
def test_nothing_of_a_file_runs(path, tmp_path, protocol):
    folder = tmp_path / "made"
    data = pickle.dumps({"w": Runs(str(folder))}, protocol)
    write(path, None, {}, data=data)
    check_refused(path, "something else than tensors: |is damaged: ")
    path.write_bytes(data)
    check_refused(path, "is a pickle|no zip archive")
    assert not folder.exists()


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ({"w": Global("builtins", "eval", ("1",))}, "something else than tensors: builtins.eval"),
        ({"w": Global("torch._utils", "_rebuild_qtensor", ())}, r"torch\._utils\._rebuild_qtensor"),
        ({"w": Global("torch._utils", "_rebuild_tensor_v2", (1,))}, "is damaged: .* 1 arguments"),
        ({"w": 1.0}, "holds no tensors"),
        ([1, 2], "holds no state dict but list"),
        ({(1, 2): 3}, "a key of type tuple"),
        (Named("torch", "FloatStorage"), "holds no state dict but Named"),
    ],
)
def test_other_contents_are_refused(path, content, match):
    check_refused(write(path, content, {}), match)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"shape": (2**40, 2**40)}, r"leads beyond its storage of 24 bytes"),
        ({"shape": (2, 3), "offset": 1}, "leads beyond its storage"),
        ({"shape": (2, 3), "strides": (3, 2)}, "leads beyond its storage"),
        ({"shape": (2, -3)}, "a tensor's shape is none"),
        ({"shape": (2, 3), "strides": (1,)}, "a tensor's shape is none"),
        ({"shape": (1,) * 99}, "a tensor's shape is none"),
        ({"shape": (2, 3), "offset": 2**70}, "a tensor's shape is none"),
        ({"dtype": "ComplexFloatStorage"}, "a storage of torch.ComplexFloatStorage"),
        ({"dtype": "DoubleStorage"}, "something else than|leads beyond"),
    ],
)
def test_sizes_that_lie_are_refused(path, changes, match):
    weight = STATE["0.weight"]
    options = {"strides": (3, 1), **changes} if changes.get("shape") == (2, -3) else changes
    if changes.get("shape") == (1,) * 99:
        options = {**changes, "strides": (1,) * 99}
    if changes.get("shape") == (2**40, 2**40):
        options = {**changes, "strides": (2**40, 1)}
    check_refused(write(path, {"w": tensor(0, weight, **options)}, {0: weight}), match)


def test_a_storage_that_is_missing(path):
    check_refused(write(path, {"w": tensor(1, STATE["0.weight"])}, {}), "there is no storage '1'")


def test_a_tensor_that_is_spread_over_more_than_memory_holds_is_not_read(path):
    one = np.ones(1, "float32")
    content = {"0.weight": tensor(0, one, shape=(2**30, 2**30), strides=(0, 0))}
    check_refused(write(path, content, {0: one}), r"expected shape \(2, 3\)|is no variable")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\x02",
        b"\x80\x02}",
        b"\x80\x02.",
        b"\x80\x02u.",
        b"\x80\x02(}X\x01\x00\x00\x00au.",
        b"\x80\x02X\xff\xff\xff\xffabc.",
        b"\x80\x02\x8d" + struct.pack("<Q", 2**62) + b".",
        b"\x80\x02\x8a\xff" + b"\x01" * 255 + b".",
        b"\x80\x02h\x07.",
        b"\x80\x02ctorch",
        b"\x80\x02)R.",
        b"\x80\x02X\x01\x00\x00\x00\xff.",
        # An index that pickle's own machine reserves 32 GB for.
        b"\x80\x02}r\xff\xff\xff\x7f0.",
        b"\x80\x04\x95" + struct.pack("<Q", 2**62),
        b"\x80\x02" + b"(" * 10_000 + b"t" * 9_999 + b".",
    ],
)
def test_damaged_pickles_are_refused(path, data):
    check_refused(write(path, None, {}, data=data), "damaged|something else|no state dict")


def test_doubling_references_take_no_time(path):
    # Each tuple holds the one before it twice.
    parts = [b"\x80\x02", b")q\x00"]
    parts += [b"h\x00h\x00\x86q\x00"] * 5000
    check_refused(write(path, None, {}, data=b"".join([*parts, b"."])), "no state dict but tuple")


def test_every_cut_is_noticed(tmp_path):
    whole = write_state(tmp_path / "whole.pt", STATE).read_bytes()
    cut = tmp_path / "cut.pt"
    model = net()
    for end in range(0, len(whole), 31):
        cut.write_bytes(whole[:end])
        check_refused(
            cut, "no zip archive|is damaged|claims|no header|holds no|pickles in it", model
        )


def test_every_changed_byte_is_noticed_or_harmless(tmp_path):
    whole = write_state(tmp_path / "whole.pt", STATE).read_bytes()
    path = tmp_path / "changed.pt"
    loaded = 0
    for place in range(0, len(whole), 11):
        changed = bytearray(whole)
        changed[place] ^= 0x41
        path.write_bytes(changed)
        model = net()
        try:
            model.load_weights(path)
        except eg.FileFormatError:
            continue
        # Dates, versions and unused members.
        assert_loaded(model)
        loaded += 1
    assert loaded < len(whole) // 22


def test_checksums_of_zero_are_none(path):
    # torch.serialization.set_crc32_options(False) writes zeros.
    data = bytearray(write_state(path, STATE).read_bytes())
    for signature, place in ((b"PK\x03\x04", 14), (b"PK\x01\x02", 16)):
        for found in re.finditer(re.escape(signature), bytes(data)):
            data[found.start() + place : found.start() + place + 4] = bytes(4)
    path.write_bytes(data)
    model = net()
    model.load_weights(path)
    assert_loaded(model)


def test_old_formats_are_refused_with_words(path):
    magic = pickle.dumps(0x1950A86A20F9469CFC6C, 2)
    path.write_bytes(magic + pickle.dumps(1001, 2) + bytes(100))
    check_refused(path, r"before 1\.6.*torch\.save\(\.\.\.\) it again")
    write_state(path, STATE, constants_pkl="x")
    check_refused(path, "is a TorchScript archive")


def test_several_states_are_not_chosen_among(path):
    weight = STATE["0.weight"]
    content = {"a": {"w": tensor(0, weight)}, "b": {"w": tensor(0, weight)}}
    check_refused(write(path, content, {0: weight}), "several hold tensors: dicts 'a', 'b'")


def test_the_helper_writes_what_pickle_reads():
    assert pickle.loads(pickled({"a": [1, 2.5, None, True, "x", (2**40,)]})) == {  # noqa: S301
        "a": [1, 2.5, None, True, "x", (2**40,)]
    }
    assert torch_files.STORAGES["bfloat16"] == "BFloat16Storage"
