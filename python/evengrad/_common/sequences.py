"""Sequences of several lengths as one array, and windows of a long one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad._common.checks import check_int
from evengrad._common.names import choose

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evengrad._common.arrays import Array


def pad_sequences(
    sequences: Any,
    maxlen: int | None = None,
    dtype: Any = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: Any = 0.0,
) -> Array:
    """Make one array of sequences of several lengths, shorter ones padded and longer ones cut.

    Parameters
    ----------
    sequences
        A list of sequences, each a list of numbers, or an array (steps, ...) whose other sizes all
        share.
    maxlen
        The number of steps; that of the longest sequence by default.
    dtype
        The array's dtype. The default is for numbers of categories: say ``"float32"`` for others.
    padding
        ``"pre"`` or ``"post"``: whether padding comes before or after a sequence.
    truncating
        ``"pre"`` or ``"post"``: whether longer sequences lose their first or their last steps.
    value
        What padding is made of.

    Returns
    -------
    numpy.ndarray
        Shape (len(sequences), maxlen, ...).

    Raises
    ------
    ValueError
        An unknown name, no sequences, one of other sizes than the first, a `maxlen` below 1.
    TypeError
        Something else than a list of sequences.

    Examples
    --------
    >>> eg.utils.pad_sequences([[1], [2, 3], [4, 5, 6]]).tolist()
    [[0, 0, 1], [0, 2, 3], [4, 5, 6]]
    >>> eg.utils.pad_sequences([[1], [2, 3], [4, 5, 6]], maxlen=2, padding="post").tolist()
    [[1, 0], [2, 3], [5, 6]]
    """
    ends = ("pre", "post")
    padding = choose(padding, ends, "padding")
    truncating = choose(truncating, ends, "truncating")
    if not hasattr(sequences, "__len__") or isinstance(sequences, (str, bytes)):
        raise TypeError(
            f"sequences: expected a list of sequences, got {type(sequences).__name__}; make a list "
            "of it"
        )
    for number, one in enumerate(sequences):
        if not hasattr(one, "__len__"):
            raise TypeError(
                f"sequences[{number}]: expected a sequence, got {type(one).__name__}; put single "
                "sequences into a list"
            )
    if not len(sequences):
        raise ValueError("sequences: expected at least one, got none")
    longest = max(len(one) for one in sequences)
    steps = longest if maxlen is None else check_int(maxlen, "maxlen", at_least=1)
    sizes: tuple[int, ...] | None = None
    parts = []
    for number, one in enumerate(sequences):
        kept = one[-steps:] if truncating == "pre" else one[:steps]
        part = np.asarray(kept if len(one) else [], dtype=dtype)
        if len(one):
            sizes = part.shape[1:] if sizes is None else sizes
            if part.shape[1:] != sizes:
                raise ValueError(
                    f"sequences[{number}]: expected steps of shape {sizes} as in the others, got "
                    f"{part.shape[1:]}; make all of one width"
                )
        parts.append(part)
    array = np.full((len(parts), steps, *(sizes or ())), value, dtype=dtype)
    for row, part in zip(array, parts, strict=True):
        if len(part):
            begin = steps - len(part) if padding == "pre" else 0
            row[begin : begin + len(part)] = part
    return array


class TimeseriesDataset:
    """Batches of windows of a series, gathered as they are asked for; see `timeseries_dataset`."""

    def __init__(
        self,
        data: Any,
        targets: Any,
        starts: Array,
        steps: Array,
        batch_size: int | None,
        seed: int | None,
    ) -> None:
        self._data, self._targets = data, targets
        self._starts, self._steps = starts, steps
        self._batch_size = batch_size
        # Of the orders, each of which follows from it and its number; None for the series' order.
        self._seed = seed
        self._order, self._given, self._from = 0, 0, 0

    def __len__(self) -> int:
        """Return the number of batches; of windows, where there are no batches."""
        return math.ceil(len(self._starts) / (self._batch_size or 1))

    def __iter__(self) -> Iterator[Any]:
        """Yield batches of windows, with their targets where there are some."""
        starts = self._starts
        if self._seed is not None:
            starts = np.random.default_rng([self._seed, self._order]).permutation(starts)
        size, self._given, self._from = self._batch_size, self._from, 0
        for at in range(self._given * (size or 1), len(starts), size or 1):
            chosen = starts[at : at + size] if size else starts[at]
            windows = self._data[np.add.outer(chosen, self._steps)]
            self._given += 1
            yield windows if self._targets is None else (windows, self._targets[chosen])
        self._order, self._given = self._order + 1, 0

    def state_dict(self) -> dict[str, Any]:
        """Return the place in the orders, for checkpoints.

        Examples
        --------
        >>> windows = eg.utils.timeseries_dataset(np.arange(9.0), None, 3, batch_size=2)
        >>> batches = iter(windows)
        >>> next(batches).shape, windows.state_dict()
        ((2, 3), {'seed': None, 'order': 0, 'given': 1})
        """
        return {"seed": self._seed, "order": self._order, "given": self._given}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to a place in the orders: the next iterator goes on there.

        Parameters
        ----------
        state
            What `state_dict` returned.

        Examples
        --------
        >>> windows = eg.utils.timeseries_dataset(np.arange(9.0), None, 3, batch_size=2)
        >>> windows.load_state_dict({"seed": None, "order": 0, "given": 3})
        >>> [batch.tolist() for batch in windows]
        [[[6.0, 7.0, 8.0]]]
        """
        self._seed, self._order = state["seed"], state["order"]
        self._given = self._from = state["given"]


def timeseries_dataset(
    data: Any,
    targets: Any,
    sequence_length: int,
    sequence_stride: int = 1,
    sampling_rate: int = 1,
    batch_size: int | None = 128,
    shuffle: bool = False,
    seed: int | None = None,
    start_index: int | None = None,
    end_index: int | None = None,
) -> TimeseriesDataset:
    """Cut a series into windows, in batches that are gathered as they are asked for.

    Window i has the steps s, s + r, s + 2 · r, … of the series, with s = i · `sequence_stride` and
    r = `sampling_rate`; its target is ``targets[s]``. The series is not copied: a mapped file of
    any size will do.

    Parameters
    ----------
    data
        An array (steps, ...), time first.
    targets
        What belongs to the windows, by the step that each begins with: for the value after a window
        of n steps, ``data[n:]``. None for windows alone.
    sequence_length
        The number of steps of a window.
    sequence_stride
        So many steps lie between the beginnings of windows.
    sampling_rate
        So many steps lie between those of a window.
    batch_size
        Windows in a batch; the last one has what is left. None for single windows.
    shuffle
        Whether windows come in another random order in each epoch.
    seed
        What that order follows from.
    start_index, end_index
        The part of `data` that is used, from the one to before the other; targets are numbered from
        the first, as in Keras.

    Returns
    -------
    TimeseriesDataset
        An iterable for `fit`, `evaluate` and `predict`, with a length: batches (windows, targets),
        or windows alone.

    Raises
    ------
    ValueError
        A number out of range, or no window fits.
    TypeError
        A number that is no integer.

    Notes
    -----
    `timeseries_dataset_from_array`, Keras' name, is the same function.

    Examples
    --------
    >>> series = np.arange(10.0)
    >>> windows = eg.utils.timeseries_dataset(series, series[3:], sequence_length=3, batch_size=2)
    >>> x, y = next(iter(windows))
    >>> x.tolist(), y.tolist(), len(windows)
    ([[0.0, 1.0, 2.0], [1.0, 2.0, 3.0]], [3.0, 4.0], 4)
    """
    series = data if hasattr(data, "__getitem__") and hasattr(data, "shape") else np.asarray(data)
    wanted = None if targets is None else np.asarray(targets)
    length = check_int(sequence_length, "sequence_length", at_least=1)
    stride = check_int(sequence_stride, "sequence_stride", at_least=1)
    rate = check_int(sampling_rate, "sampling_rate", at_least=1)
    size = None if batch_size is None else check_int(batch_size, "batch_size", at_least=1)
    total = int(series.shape[0])
    first = 0 if start_index is None else check_int(start_index, "start_index", at_least=0)
    end = total if end_index is None else check_int(end_index, "end_index", at_least=1)
    if not first < end <= total:
        raise ValueError(
            f"start_index, end_index: expected a part of the {total} steps of data, got "
            f"[{first}, {end})"
        )
    count = end - first - (length - 1) * rate
    if wanted is not None:
        wanted = wanted[first:end]
        count = min(count, len(wanted))
    if count < 1:
        raise ValueError(
            f"sequence_length: expected windows that fit the {end - first} steps, got {length} "
            f"steps at a sampling_rate of {rate}"
            + ("" if wanted is None else f", for {len(wanted)} targets")
            + "; take a smaller one"
        )
    starts = np.arange(0, count, stride)
    steps = first + rate * np.arange(length)
    drawn = None
    if shuffle:
        drawn = int(np.random.default_rng().integers(2**63)) if seed is None else seed
        check_int(drawn, "seed", at_least=0)
    return TimeseriesDataset(series, wanted, starts, steps, size, drawn)
