"""Event files, as TensorBoard reads them: records of what a training comes to, step by step."""

from __future__ import annotations

import itertools
import os
import struct
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad.callbacks._log_file import LogFile
from evengrad.saving._paths import errors_name

if TYPE_CHECKING:
    from collections.abc import Callable

    Array = np.ndarray[Any, Any]

# The folders of a log, as Keras names them.
RUNS = ("train", "validation")
BUCKETS = 30
# What is larger is left out of histograms: its square need not be a number.
LARGEST = 1e150
# TensorBoard's numbers for the format of files, and for text in tensors.
VERSION, TEXT = "brain.Event:2", 7

_made = itertools.count()


def event_tools() -> tuple[Any, Callable[[bytes], int]]:
    """Return the class of events, and the checksum of records, of whichever package is there.

    Raises
    ------
    ImportError
        Neither tensorboard nor tensorboardX is installed.
    """
    try:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import masked_crc32c
    except ImportError:
        try:
            from tensorboardX.proto.event_pb2 import Event
            from tensorboardX.record_writer import masked_crc32c
        except ImportError as error:
            raise ImportError(
                "callbacks.TensorBoard needs tensorboard or tensorboardX: "
                'pip install "evengrad[tensorboard]"'
            ) from error
    return Event, masked_crc32c


class EventFiles:
    """The files that one training writes into a folder of runs.

    They share an ending. A training that goes on from a checkpoint cuts its files to what they were
    then, and writes into new ones: programs that read the old ones meanwhile are not led astray.

    Raises
    ------
    OSError
        The folder cannot be made.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._training = os.urandom(4).hex()
        self._files: dict[str, LogFile] = {}
        # Bytes of the files that were there when the training was gone on with, by path in folder.
        self._earlier: dict[str, int] = {}
        with errors_name(folder):
            os.makedirs(folder, exist_ok=True)

    def write(self, run: str, values: list[dict[str, Any]], step: int) -> None:
        """Add values to a run; they are in its file when this returns."""
        if not values:
            return
        event, checksum = event_tools()
        records = [{"summary": {"value": values}, "step": step}]
        file = self._files.get(run)
        if file is None:
            file = self._files[run] = self._new_file(run)
            records.insert(0, {"file_version": VERSION})
        now = time.time()
        made = (event(wall_time=now, **record).SerializeToString() for record in records)
        file.write(b"".join(as_record(data, checksum) for data in made))

    def _new_file(self, run: str) -> LogFile:
        import socket

        folder = os.path.join(self.folder, run)
        with errors_name(folder):
            os.makedirs(folder, exist_ok=True)
        # In the order of their names, files are in that of time.
        place = f"{socket.gethostname()}.{os.getpid()}.{next(_made):06d}"
        name = f"events.out.tfevents.{int(time.time()):010d}.{place}.{self._training}"
        return LogFile(os.path.join(folder, name), "log_dir")

    def state_dict(self) -> dict[str, Any]:
        """Return how far each file is written."""
        written = {
            f"{run}/{os.path.basename(file.path)}": file.standing
            for run, file in self._files.items()
        }
        return {"training": self._training, "files": {**self._earlier, **written}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what was written after the checkpoint."""
        self._training, self._earlier = state["training"], dict(state["files"])
        self._files = {}
        for run in RUNS:
            folder = os.path.join(self.folder, run)
            for name in os.listdir(folder) if os.path.isdir(folder) else ():
                if "tfevents" in name and name.endswith(f".{self._training}"):
                    keep = self._earlier.get(f"{run}/{name}")
                    cut(os.path.join(folder, name), keep)


def cut(path: str, size: int | None) -> None:
    """Leave so many bytes of a file, or no file where that is None."""
    with errors_name(path):
        if size is None:
            os.remove(path)
        elif os.path.getsize(path) > size:
            os.truncate(path, size)


def as_record(data: bytes, checksum: Callable[[bytes], int]) -> bytes:
    """Return a record of a file: the length, the data, and checksums of both."""
    length = struct.pack("<Q", len(data))
    sums = (struct.pack("<I", checksum(part)) for part in (length, data))
    return b"".join((length, next(sums), data, next(sums)))


def scalar(tag: str, value: float) -> dict[str, Any]:
    """Return a number as part of a summary."""
    return {"tag": tag, "simple_value": value}


def text(tag: str, words: str) -> dict[str, Any]:
    """Return words, in Markdown, as part of a summary."""
    tensor = {"dtype": TEXT, "string_val": [words.encode()], "tensor_shape": {"dim": [{"size": 1}]}}
    return {"tag": tag, "metadata": {"plugin_data": {"plugin_name": "text"}}, "tensor": tensor}


def histogram(tag: str, values: Array) -> list[dict[str, Any]]:
    """Return the histogram of finite numbers as part of a summary; nothing where there are none."""
    numbers = np.asarray(values, np.float64).ravel()
    numbers = numbers[np.abs(numbers) < LARGEST]
    if not numbers.size:
        return []
    counts, edges = np.histogram(numbers, bins=BUCKETS)
    exact = {"min": numbers.min(), "max": numbers.max(), "sum": numbers.sum()}
    exact["sum_squares"] = np.square(numbers).sum()
    return counted(tag, counts, edges, exact)


def counted(
    tag: str, counts: Array, edges: Array, exact: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    """Return counts between edges as part of a summary; nothing where there is none to show."""
    filled = np.flatnonzero(counts)
    if not filled.size or not np.abs(edges).max() < LARGEST:
        return []
    middles = (edges[1:] + edges[:-1]) / 2
    told = {
        "min": edges[filled[0]],
        "max": edges[filled[-1] + 1],
        "num": counts.sum(),
        "sum": counts @ middles,
        "sum_squares": counts @ np.square(middles),
        **(exact or {}),
    }
    numbers = {name: float(value) for name, value in told.items()}
    series = {"bucket_limit": edges[1:].tolist(), "bucket": counts.tolist()}
    return [{"tag": tag, "histo": {**numbers, **series}}]
