"""Rows that are read when they are needed: the same rows as of the array, by few slices."""

import numpy as np
import pytest

from evengrad._common import row_readers
from evengrad._common.row_readers import ChosenRows, SparseRows, StoredRows, reader_for

VALUES = np.random.default_rng(0).normal(size=(500, 3)).astype("float32")
SHUFFLED = np.random.default_rng(1).permutation(500)


class DataSet:
    """A data set as h5py has it, which notes the slices that it is asked for."""

    def __init__(self, values, chunk=None):
        self.values = values
        self.shape, self.dtype = values.shape, values.dtype
        self.chunks = None if chunk is None else (chunk, *values.shape[1:])
        self.slices = []

    def __getitem__(self, key):
        assert type(key) is slice
        assert type(key.start) is type(key.stop) is int
        self.slices.append((key.start, key.stop))
        return self.values[key]


def sparse_reader():
    sparse = pytest.importorskip("scipy.sparse")
    return SparseRows(sparse.coo_array(VALUES))


READERS = {
    "stored": lambda: StoredRows(DataSet(VALUES)),
    "in chunks": lambda: StoredRows(DataSet(VALUES, 70)),
    "sparse": sparse_reader,
    "chosen": lambda: ChosenRows(VALUES[::-1], np.arange(500)[::-1]),
    "chosen of a file": lambda: ChosenRows(StoredRows(DataSet(VALUES)), np.arange(500)),
}


@pytest.mark.parametrize("make", READERS.values(), ids=READERS)
def test_rows_are_those_of_the_array(make):
    reader = make()
    assert (reader.shape, reader.ndim, len(reader)) == ((500, 3), 2, 500)
    assert reader.nbytes == VALUES.nbytes
    for key in (slice(3, 9), slice(490, 600), slice(5, 5), slice(9, 3), slice(0, 500, 7), SHUFFLED):
        np.testing.assert_array_equal(reader[key], VALUES[key])
    np.testing.assert_array_equal(reader[[7, 7, 2]], VALUES[[7, 7, 2]])
    whole = np.asarray(reader, "float64")
    assert whole.dtype == np.float64
    np.testing.assert_array_equal(whole, VALUES)


def test_rows_in_any_order_are_read_by_few_slices_in_order(monkeypatch):
    monkeypatch.setattr(row_readers, "GAP_BYTES", 10 * VALUES[0].nbytes)
    source = DataSet(VALUES)
    rows = np.array([400, 3, 7, 401, 2, 260])
    np.testing.assert_array_equal(StoredRows(source)[rows], VALUES[rows])
    assert source.slices == [(2, 8), (260, 261), (400, 402)]


def test_no_chunk_is_read_twice_and_no_slice_is_long(monkeypatch):
    monkeypatch.setattr(row_readers, "SPAN_BYTES", 110 * VALUES[0].nbytes)
    monkeypatch.setattr(row_readers, "GAP_BYTES", 0)
    source = DataSet(VALUES, 50)
    np.testing.assert_array_equal(StoredRows(source)[SHUFFLED], VALUES[SHUFFLED])
    assert source.slices == [(start, start + 100) for start in range(0, 500, 100)]
    source.slices.clear()
    reader = StoredRows(source)
    for step in (7, 30):
        parts = [reader[at : at + step] for at in range(0, 500, step)]
        np.testing.assert_array_equal(np.concatenate(parts), VALUES)
    assert max(stop - start for start, stop in source.slices) <= 100
    assert all(start % 50 == stop % 50 == 0 for start, stop in source.slices)


@pytest.mark.parametrize("module", ["h5py", "zarr"])
def test_data_sets_of_libraries(module, tmp_path):
    library = pytest.importorskip(module)
    if module == "zarr":
        source = library.array(VALUES, chunks=(64, 3))
    else:
        source = library.File(tmp_path / "data.h5", "w").create_dataset(
            "x", data=VALUES, chunks=(64, 3), compression="gzip"
        )
    reader = reader_for(source)
    assert type(reader) is StoredRows
    np.testing.assert_array_equal(reader[SHUFFLED], VALUES[SHUFFLED])
    np.testing.assert_array_equal(reader[100:300], VALUES[100:300])


def test_what_is_read_at_once():
    assert reader_for(VALUES) is None
    assert reader_for(VALUES.tolist()) is None
    assert reader_for(DataSet(VALUES[:, 0])) is None
