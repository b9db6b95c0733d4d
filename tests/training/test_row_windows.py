"""Rows on their way into tensors: what is kept, what is read where it lies, and what is copied."""

import tracemalloc

import numpy as np
import pytest

import evengrad as eg
from evengrad import layers
from evengrad._common import memory, row_readers
from evengrad._common.row_readers import ChosenRows, StoredRows
from evengrad.training import _data, _row_windows
from evengrad.training._data import Prepared, ResidentData
from evengrad.training._row_windows import gatherer

MIB = 2**20
VALUES = np.random.default_rng(2).normal(size=(600, 5, 4))
ROWS = np.random.default_rng(3).permutation(600)[:250]


def mapped(folder, values, name="x.npy"):
    np.save(folder / name, values)
    return np.asarray(np.load(folder / name, mmap_mode="r"))


def rows_in_tensors(x, batch_size=32):
    return ResidentData([x], ["float32"], batch_size).window


class DataSet:
    """A data set as h5py has it, which notes the slices that it is asked for."""

    def __init__(self, values, chunks=None):
        self.values, self.chunks = values, chunks
        self.shape, self.dtype = values.shape, values.dtype
        self.slices = []

    def __getitem__(self, key):
        self.slices.append(range(key.start, key.stop))
        return self.values[key]


class TestResidence:
    """How many rows are in tensors at a time."""

    def test_arrays_up_to_a_size_are_kept(self, monkeypatch):
        x = np.ones((1000, 8))
        assert rows_in_tensors(x) == 1000
        monkeypatch.setattr(_data, "RESIDENT_BYTES", x.nbytes // 2 - 1)
        monkeypatch.setattr(_data, "PIECE_BYTES", 100 * 32)
        assert rows_in_tensors(x) == 96
        assert rows_in_tensors(x, 120) == 120

    def test_columns_that_come_first_are_converted_where_memory_holds_them(self, monkeypatch):
        x = np.ones((1000, 8), order="F")
        monkeypatch.setattr(_data, "RESIDENT_BYTES", 0)
        monkeypatch.setattr(_data, "PIECE_BYTES", 0)
        monkeypatch.setattr(_row_windows, "available_bytes", lambda: 4 * 1000 * 32)
        assert rows_in_tensors(x) == 1000
        monkeypatch.setattr(_row_windows, "available_bytes", lambda: 4 * 1000 * 32 - 4)
        assert rows_in_tensors(x) == 32

    def test_processes_that_share_a_map_of_columns_share_memory(self, monkeypatch, tmp_path):
        x = mapped(tmp_path, np.ones((1000, 8), order="F"))
        monkeypatch.setattr(_data, "RESIDENT_BYTES", 0)
        monkeypatch.setattr(_data, "PIECE_BYTES", 0)
        monkeypatch.setattr(_row_windows.os, "cpu_count", lambda: 3)
        for available, expected in ((12 * 1000 * 32, 1000), (12 * 1000 * 32 - 12, 32)):
            monkeypatch.setattr(_row_windows, "available_bytes", lambda found=available: found)
            assert rows_in_tensors(x) == expected

    def test_maps_of_files_are_read_where_they_lie_unless_they_are_small(
        self, monkeypatch, tmp_path
    ):
        x = mapped(tmp_path, VALUES)
        assert rows_in_tensors(x) == 600
        monkeypatch.setattr(_row_windows, "MAPPED_BYTES", 1000)
        monkeypatch.setattr(_data, "PIECE_BYTES", 64 * 80)
        assert rows_in_tensors(x) == 64
        assert rows_in_tensors(x[::2]) == 64
        assert rows_in_tensors(ChosenRows(x, ROWS)) == 64
        # Without a file, they would be kept.
        assert rows_in_tensors(ChosenRows(VALUES, ROWS)) == 250

    def test_pieces_of_files_are_larger(self, monkeypatch):
        monkeypatch.setattr(_data, "RESIDENT_BYTES", 0)
        monkeypatch.setattr(_data, "PIECE_BYTES", 80)
        assert rows_in_tensors(VALUES, 1) == 1
        assert rows_in_tensors(StoredRows(DataSet(VALUES)), 1) == 128
        assert rows_in_tensors(ChosenRows(StoredRows(DataSet(VALUES)), ROWS), 1) == 128
        monkeypatch.setattr(_row_windows, "available_bytes", lambda: 0)
        assert rows_in_tensors(np.asfortranarray(VALUES), 1) == 16

    def test_what_memory_there_is(self, monkeypatch, tmp_path):
        machine, limit = tmp_path / "meminfo", tmp_path / "memory.max"
        machine.write_text("MemTotal: 900 kB\nMemAvailable:     500 kB\n")
        monkeypatch.setattr(memory, "MACHINE", machine)
        monkeypatch.setattr(memory, "GROUPS", (limit,))
        assert memory.available_bytes() == 500 * 1024
        for text, expected in (("max\n", 500 * 1024), ("4096\n", 4096), (f"{2**63}\n", 500 * 1024)):
            limit.write_text(text)
            assert memory.available_bytes() == expected


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "view",
    [
        lambda x, _: x,
        lambda x, _: np.asfortranarray(x),
        lambda x, _: x[::-1],
        lambda x, _: np.concatenate([x, x], axis=2)[:, :, 1:5],
        lambda x, folder: mapped(folder, x),
        lambda x, folder: mapped(folder, np.asfortranarray(x)),
        lambda x, _: ChosenRows(x[::-1], np.arange(600)[::-1]),
        lambda x, _: ChosenRows(ChosenRows(x, np.arange(600)), np.arange(600)),
        lambda x, _: StoredRows(DataSet(x, (70, 5, 4))),
    ],
)
@pytest.mark.parametrize("available", [None, 0])
def test_rows_come_from_their_places(view, dtype, available, tmp_path, monkeypatch):
    if available is not None:
        monkeypatch.setattr(_row_windows, "available_bytes", lambda: available)
    array = view(VALUES, tmp_path)
    to = np.empty((len(ROWS), 5, 4), dtype)
    gatherer(array)(ROWS, to)
    np.testing.assert_array_equal(to, np.asarray(array)[ROWS].astype(dtype))
    data = ResidentData([array], [dtype], 32)
    np.testing.assert_array_equal(data.tensors[0].numpy(), np.asarray(array).astype(dtype))


def network():
    model = eg.Sequential([layers.Dense(1)], seed=1)
    model.compile("sgd", "mse")
    # What a process takes once is not of the data.
    model.fit(np.zeros((64, 512), np.float32), np.zeros(64), validation_split=0.5, verbose=0)
    return model


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("kind", ["mapped", "in memory", "columns first"])
def test_a_split_copies_no_rows(kind, shuffle, tmp_path, monkeypatch):
    monkeypatch.setattr(_row_windows, "MAPPED_BYTES", 0)
    x = np.ones((20_000, 512), np.float32)
    x = mapped(tmp_path, x) if kind == "mapped" else x
    x = np.asfortranarray(x) if kind == "columns first" else x
    model = network()
    tracemalloc.start()
    try:
        model.fit(x, np.zeros(20_000), validation_split=0.3, validation_shuffle=shuffle, verbose=0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < x.nbytes / 8


def test_parts_are_views_or_indices(tmp_path):
    x = mapped(tmp_path, VALUES)
    data = Prepared(None, [x], [np.arange(600)], [], [])
    first = data.taken(slice(0, 100)).xs[0]
    assert np.shares_memory(first, x)
    scattered = data.taken(np.array([3, 1, 2])).xs[0]
    assert scattered.base is x
    np.testing.assert_array_equal(scattered[:], VALUES[[3, 1, 2]])


def test_a_stored_data_set_that_is_kept_is_read_once_in_order():
    source = DataSet(VALUES.reshape(600, 20))
    model = eg.Sequential([layers.Dense(1)], seed=1)
    model.compile("sgd", "mse")
    model.fit(source, np.zeros(600), epochs=3, verbose=0)
    assert [row for rows in source.slices for row in rows] == list(range(600))


def test_a_stored_data_set_is_not_read_whole(monkeypatch):
    monkeypatch.setattr(_data, "RESIDENT_BYTES", 0)
    monkeypatch.setattr(_data, "PIECE_BYTES", 4 * 80)
    monkeypatch.setattr(row_readers, "SPAN_BYTES", 50 * 160)
    monkeypatch.setattr(row_readers, "GAP_BYTES", 0)
    source = DataSet(VALUES.reshape(600, 20))
    model = eg.Sequential([layers.Dense(1)], seed=1)
    model.compile("sgd", "mse")
    model.fit(source, np.zeros(600), batch_size=16, epochs=2, validation_split=0.1, verbose=0)
    assert max(map(len, source.slices)) <= 50
    # In each epoch every row once at most: what was read last may serve again.
    counts = np.bincount([row for rows in source.slices for row in rows])
    assert set(counts.tolist()) <= {1, 2}
    source.slices.clear()
    model.predict(source, batch_size=7)
    model.evaluate(source, np.zeros(600))
    assert max(map(len, source.slices)) <= 50
