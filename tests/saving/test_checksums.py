"""Checksums: no bit of a file changes unnoticed; files of earlier versions, without any, load."""

import hashlib
import json
import threading
import zlib

import numpy as np
import pytest
from checkpoint_checks import bits, net, run
from saving_checks import header_of, put_together, without_checksums

import evengrad as eg
from evengrad import layers
from evengrad.saving import _safetensors


def model(units=2):
    made = eg.Sequential(
        [eg.Input((3,)), layers.Dense(units, name="é"), layers.Dense(1, dtype="float64")], seed=1
    )
    made.compile("adam", "mse")
    made.fit(np.ones((8, 3)), np.ones((8, 1)), verbose=0)
    return made


def flipped(content, bit):
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return changed


@pytest.mark.parametrize("kind", ["model", "weights", "checkpoint"])
def test_every_turned_bit_is_found(kind, tmp_path):
    path = tmp_path / "net"
    if kind == "model":
        model().save(path)
    elif kind == "weights":
        model().save_weights(path)
    else:
        run(net(), 1, checkpoint=tmp_path, keep=1)
        (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    _safetensors.read(path)
    # From the whole of the file, without repetition.
    for bit in np.random.default_rng(0).permutation(8 * len(content))[:1200]:
        path.write_bytes(flipped(content, int(bit)))
        with pytest.raises(eg.FileFormatError):
            _safetensors.read(path)


def test_turned_bits_are_errors_of_all_that_reads(tmp_path):
    whole, weights = tmp_path / "net", tmp_path / "weights"
    first = model()
    first.save(whole)
    first.save_weights(weights)
    before = first.get_weights()
    rng = np.random.default_rng(1)
    for path, load in ((whole, eg.load_model), (weights, first.load_weights)):
        content = path.read_bytes()
        for bit in rng.integers(0, 8 * len(content), 200):
            path.write_bytes(flipped(content, int(bit)))
            with pytest.raises(eg.FileFormatError, match=f"{path.name}: "):
                load(path)
    assert all(map(np.array_equal, before, first.get_weights()))


def test_damage_of_a_tensor_is_named(tmp_path):
    made = model()
    made.save_weights(tmp_path / "net")
    content = (tmp_path / "net").read_bytes()
    (tmp_path / "net").write_bytes(flipped(content, 8 * len(content) - 1))
    with pytest.raises(eg.FileFormatError, match="tensor 'é/kernel' is damaged: its checksum"):
        made.load_weights(tmp_path / "net")


def test_checksums_of_large_tensors_come_from_the_background(tmp_path, monkeypatch):
    path = tmp_path / "net"
    values = np.random.default_rng(0).normal(size=(1000, 3000)).astype("float32")
    _safetensors.write(path, {"a": values, "b": values[:1]}, {})
    content = path.read_bytes()
    header, data = header_of(content)
    pieces = [values.tobytes()[: 4 * 2**20], values.tobytes()[4 * 2**20 : 8 * 2**20]]
    digits = "".join(f"{zlib.crc32(piece):08x}" for piece in pieces)
    assert header["__metadata__"]["evengrad_checksum:a"].startswith(digits)
    assert len(header["__metadata__"]["evengrad_checksum:a"]) == 3 * 8
    for bit in np.random.default_rng(1).integers(
        8 * (len(content) - len(data)), 8 * len(content), 9
    ):
        path.write_bytes(flipped(content, int(bit)))
        with pytest.raises(eg.FileFormatError, match="checksum differs"):
            _safetensors.read(path)

    def refuse(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    _safetensors.write(path, {"a": values, "b": values[:1]}, {})
    assert path.read_bytes() == content
    np.testing.assert_array_equal(_safetensors.read(path)[0]["a"], values)


def test_other_readers_find_checksums_in_the_metadata(tmp_path):
    safetensors = pytest.importorskip("safetensors")
    made = model()
    made.save(tmp_path / "net")
    with safetensors.safe_open(tmp_path / "net", "numpy") as file:
        metadata = file.metadata()
        for name in file.keys():  # noqa: SIM118 - it is no mapping
            checksum = f"{zlib.crc32(np.ascontiguousarray(file.get_tensor(name))):08x}"
            assert metadata[f"evengrad_checksum:{name}"] == checksum


def test_files_without_checksums_load(tmp_path):
    made = model()
    made.save(tmp_path / "net")
    header, data = header_of((tmp_path / "net").read_bytes())
    (tmp_path / "net").write_bytes(put_together(without_checksums(header), data))
    again = eg.load_model(tmp_path / "net")
    assert all(map(np.array_equal, made.get_weights(), again.get_weights()))


@pytest.mark.parametrize("key", ["evengrad_checksum", "evengrad_format"])
def test_a_file_that_lost_one_of_the_two_marks_is_damaged(key, tmp_path):
    made = model()
    made.save_weights(tmp_path / "net")
    header, data = header_of((tmp_path / "net").read_bytes())
    del header["__metadata__"][key]
    (tmp_path / "net").write_bytes(put_together(header, data))
    with pytest.raises(eg.FileFormatError, match="the header is damaged: its checksum differs"):
        made.load_weights(tmp_path / "net")


def test_a_newer_format_is_named(tmp_path):
    made = model()
    made.save_weights(tmp_path / "net")
    header, data = header_of((tmp_path / "net").read_bytes())
    header["__metadata__"]["evengrad_format"] = "3"
    (tmp_path / "net").write_bytes(put_together(header, data))
    with pytest.raises(eg.FileFormatError, match="version 3 of the format is newer than 2"):
        made.load_weights(tmp_path / "net")


@pytest.mark.parametrize("whole", [True, False])
def test_checkpoints_of_version_1_have_a_digest_of_their_own(whole, tmp_path):
    expected = net()
    expected = bits(expected, run(expected, 3))
    run(net(), 2, checkpoint=tmp_path, keep=1)
    (path,) = tmp_path.iterdir()
    tensors, metadata = _safetensors.read(path)
    text = json.dumps({**json.loads(metadata["evengrad_checkpoint"]), "version": 1})
    digest = hashlib.blake2b(text.encode(), digest_size=16)
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].tobytes())
    header, data = header_of(path.read_bytes())
    without_checksums(header)
    header["__metadata__"] = {"evengrad_checkpoint": text, "checksum": digest.hexdigest()}
    path.write_bytes(put_together(header, data if whole else flipped(data, 77)))
    again = net()
    if whole:
        assert bits(again, run(again, 3, checkpoint=tmp_path, resume=True)) == expected
    else:
        with pytest.raises(eg.FileFormatError, match="the checkpoint is damaged"):
            run(again, 3, checkpoint=tmp_path, resume=True)
