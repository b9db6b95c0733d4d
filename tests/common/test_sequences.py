"""Padding and windows, against the values that Keras documents and NumPy's sliding windows."""

import numpy as np
import pytest

import evengrad as eg
from evengrad import layers
from evengrad.utils import pad_sequences, timeseries_dataset

THREE = [[1], [2, 3], [4, 5, 6]]


def test_the_values_that_keras_documents():
    assert pad_sequences(THREE).tolist() == [[0, 0, 1], [0, 2, 3], [4, 5, 6]]
    assert pad_sequences(THREE, value=-1).tolist() == [[-1, -1, 1], [-1, 2, 3], [4, 5, 6]]
    assert pad_sequences(THREE, padding="post").tolist() == [[1, 0, 0], [2, 3, 0], [4, 5, 6]]
    assert pad_sequences(THREE, maxlen=2).tolist() == [[0, 1], [2, 3], [5, 6]]
    cut = pad_sequences(THREE, maxlen=2, truncating="post")
    assert cut.tolist() == [[0, 1], [2, 3], [4, 5]]
    assert cut.dtype == np.int32


def test_sequences_of_vectors_and_empty_ones():
    vectors = [np.ones((2, 3)), np.full((1, 3), 2.0), []]
    padded = pad_sequences(vectors, dtype="float32", padding="post", value=9.0)
    assert padded.shape == (3, 2, 3)
    assert padded.dtype == np.float32
    assert padded[1].tolist() == [[2.0] * 3, [9.0] * 3]
    assert padded[2].tolist() == [[9.0] * 3] * 2


def test_sequences_that_do_not_fit():
    with pytest.raises(ValueError, match="padding: unknown 'left'"):
        pad_sequences(THREE, padding="left")
    with pytest.raises(TypeError, match=r"sequences\[0\]: expected a sequence, got int"):
        pad_sequences([1, 2])
    with pytest.raises(TypeError, match="sequences: expected a list of sequences, got int"):
        pad_sequences(3)
    with pytest.raises(ValueError, match=r"sequences\[1\]: expected steps of shape \(3,\)"):
        pad_sequences([np.ones((2, 3)), np.ones((2, 4))])
    with pytest.raises(ValueError, match="expected at least one"):
        pad_sequences([])


def test_windows_as_keras_documents_them():
    windows = timeseries_dataset(np.arange(99), None, 10, sequence_stride=3, sampling_rate=2)
    found = np.concatenate(list(windows))
    assert found[0].tolist() == [0, 2, 4, 6, 8, 10, 12, 14, 16, 18]
    assert found[1].tolist() == [3, 5, 7, 9, 11, 13, 15, 17, 19, 21]
    assert found[-1].tolist() == [78, 80, 82, 84, 86, 88, 90, 92, 94, 96]
    data = np.arange(100.0)
    x, y = next(iter(timeseries_dataset(data[:-10], data[10:], sequence_length=10)))
    np.testing.assert_array_equal(x[0], data[:10])
    assert y[0] == data[10]
    assert eg.utils.timeseries_dataset_from_array is timeseries_dataset


def test_batches_parts_and_single_windows():
    series = np.random.default_rng(1).normal(size=(50, 2))
    expected = np.lib.stride_tricks.sliding_window_view(series[5:40], 4, axis=0).swapaxes(1, 2)
    windows = timeseries_dataset(series, None, 4, batch_size=10, start_index=5, end_index=40)
    batches = list(windows)
    assert len(batches) == len(windows) == 4
    np.testing.assert_array_equal(np.concatenate(batches), expected)
    alone = timeseries_dataset(series, series[:, 0], 4, batch_size=None)
    assert len(alone) == len(list(alone)) == 47
    x, y = next(iter(alone))
    assert x.shape == (4, 2)
    assert y == series[0, 0]


def test_the_series_is_not_copied(tmp_path):
    series = np.lib.format.open_memmap(tmp_path / "series.npy", "w+", "f4", (1000,))
    windows = timeseries_dataset(series, None, 3, batch_size=2)
    series[:3] = 7.0
    assert next(iter(windows))[0].tolist() == [7.0, 7.0, 7.0]


def test_orders_are_drawn_anew_and_kept():
    def order(windows):
        return np.concatenate(list(windows))[:, 0].tolist()

    def made(seed=5):
        return timeseries_dataset(np.arange(40), None, 2, batch_size=7, shuffle=True, seed=seed)

    windows = made()
    first, second = order(windows), order(windows)
    assert first != second
    assert sorted(first) == sorted(second) == list(range(39))
    again = made()
    assert [order(again), order(again)] == [first, second]
    halfway = made()
    order(halfway)
    batches = iter(halfway)
    begun = np.concatenate([next(batches), next(batches)])[:, 0].tolist()
    later = made(None)
    later.load_state_dict(halfway.state_dict())
    assert begun + order(later) == second


def test_windows_that_do_not_fit():
    series = np.arange(10)
    with pytest.raises(ValueError, match="expected windows that fit the 10 steps, got 6 steps at"):
        timeseries_dataset(series, None, 6, sampling_rate=2)
    with pytest.raises(ValueError, match="expected a part of the 10 steps"):
        timeseries_dataset(series, None, 2, start_index=4, end_index=4)
    with pytest.raises(ValueError, match="sequence_stride: expected"):
        timeseries_dataset(series, None, 2, sequence_stride=0)


def test_a_net_learns_from_windows():
    series = np.sin(np.arange(300) / 5).astype("float32")[:, None]
    windows = timeseries_dataset(series, series[8:], 8, batch_size=32, shuffle=True, seed=2)
    model = eg.Sequential([eg.Input((None, 1)), layers.GRU(8), layers.Dense(1)], seed=1)
    model.compile(eg.optimizers.Adam(0.02), "mse")
    losses = model.fit(windows, epochs=6, verbose=0).history["loss"]
    assert losses[-1] < 0.2 * losses[0]
    assert model.predict(timeseries_dataset(series, None, 8)).shape == (293, 1)
