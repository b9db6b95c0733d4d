"""Large arrays are read by threads, a piece each: whole, damaged, and cut off meanwhile."""

import os

import numpy as np
import pytest

import evengrad as eg
from evengrad import layers
from evengrad.saving import _pieces
from evengrad.saving._weight_readers import open_weights

SIDE = 1300
FILES = ["net.safetensors", "net.npz", "compressed.npz"]


@pytest.fixture(scope="module")
def model():
    made = eg.Sequential([eg.Input((SIDE,)), layers.Dense(SIDE), layers.Dense(3)], seed=1)
    # Few bits, so that little time goes into compressing them.
    made.set_weights([w.round(1) for w in made.get_weights()])
    return made


@pytest.fixture(scope="module")
def contents(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    model.save_weights(folder / "net.safetensors")
    model.save_weights(folder / "net.npz")
    arrays = {name: w.detach().numpy() for name, w in model.named_weights()}
    np.savez_compressed(folder / "compressed.npz", **arrays)
    return {name: (folder / name).read_bytes() for name in FILES}


@pytest.fixture(params=FILES)
def path(request, contents, tmp_path):
    path = tmp_path / request.param
    path.write_bytes(contents[request.param])
    return path


def empty():
    zeros = "zeros"
    stack = [layers.Dense(n, kernel_initializer=zeros) for n in (SIDE, 3)]
    return eg.Sequential([eg.Input((SIDE,)), *stack], seed=2)


@pytest.mark.parametrize("at_places", [True, False])
def test_all_pieces_arrive(path, model, monkeypatch, at_places):
    monkeypatch.setattr(_pieces, "READS_AT_PLACES", at_places and _pieces.READS_AT_PLACES)
    other = empty()
    other.load_weights(path)
    for found, wanted in zip(other.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_a_changed_byte_in_a_late_piece_is_noticed(path):
    data = bytearray(path.read_bytes())
    data[int(len(data) * 0.7)] ^= 1
    path.write_bytes(data)
    other = empty()
    with pytest.raises(eg.FileFormatError, match="is damaged: "):
        other.load_weights(path)
    assert not any(w.any() for w in other.get_weights())


@pytest.mark.skipif(os.name != "posix", reason="open files cannot be cut off")
def test_a_file_that_is_cut_off_meanwhile_is_an_error(path):
    def read_on():
        with open_weights(path) as file:
            os.truncate(path, os.path.getsize(path) // 2)
            for array in file.arrays():
                array.read()
            file.confirm()

    with pytest.raises(eg.FileFormatError, match=r"cut off|shorter than|is damaged"):
        read_on()
