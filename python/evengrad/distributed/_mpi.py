"""MPI through mpi4py, the only file that names it: collectives with a deadline, and failures told.

A blocking call of MPI waits for ever where a rank is gone, and spins. Here every collective is
started without blocking and asked for; between two questions the process sleeps once it has waited
for a while, hears of errors that other ranks have raised, and looks at the deadline.
"""

from __future__ import annotations

import atexit
import pickle
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from mpi4py import MPI

from evengrad.distributed._communicator import Communicator, DistributedError

if TYPE_CHECKING:
    from types import TracebackType

    from evengrad._common.arrays import Array

# Questions without sleep, which an answer within a host takes fewer of, and the sleep after them:
# together they keep the time of large messages, at a quarter of the processor time of spinning.
QUESTIONS, SLEEP = 200, 1e-4
# Seconds between two looks for errors of other ranks, and that a failed rank leaves others to say
# what they know before all are ended.
LOOK, GRACE = 0.05, 1.0
# What goes through MPI at a time: its counts are of 32 bits.
LARGEST = 2**30
TAG = 77
MOST_OF_A_STORY = 2000


class MPICommunicator(Communicator):
    """The ranks that a launcher has started."""

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self._world = MPI.COMM_WORLD.Dup()
        # Errors go their own way, so that no message is taken for one.
        self._errors = MPI.COMM_WORLD.Dup()
        self.rank, self.size = self._world.rank, self._world.size
        self._is_broken = False
        self._told: list[Any] = []
        self._before_hook = sys.excepthook
        sys.excepthook = self._excepthook
        atexit.register(self._at_exit)

    @property
    def host(self) -> str:
        """The name of the host that this rank runs on."""
        return str(MPI.Get_processor_name())

    # ---- collectives

    def all_reduce(self, values: Array, operation: str = "sum") -> None:
        """Combine the arrays of all ranks element by element, in place."""
        super().all_reduce(values, operation)
        how = MPI.SUM if operation == "sum" else MPI.MAX
        flat = values.reshape(-1)
        step = LARGEST // max(1, flat.itemsize)
        for at in range(0, flat.size, step):
            part = flat[at : at + step]
            self._wait(self._world.Iallreduce(MPI.IN_PLACE, part, how), "all_reduce")

    def broadcast(self, value: Any) -> Any:
        """Return rank 0's value on every rank."""
        packed = self._from_rank(0, pickle.dumps(value) if self.rank == 0 else b"")
        # Pickles of our own ranks, which run the same program.
        return value if self.rank == 0 else pickle.loads(packed.data)  # noqa: S301

    def _from_rank(self, rank: int, packed: bytes) -> Array:
        """Return the bytes that one rank gives, on every rank."""
        size = np.array([len(packed)], np.int64)
        self._wait(self._world.Ibcast(size, rank), "broadcast")
        data = np.empty(int(size[0]), np.uint8)
        data[: len(packed)] = np.frombuffer(packed, np.uint8)
        for at in range(0, len(data), LARGEST):
            self._wait(self._world.Ibcast(data[at : at + LARGEST], rank), "broadcast")
        return data

    def gather(self, value: Any) -> list[Any]:
        """Return the values of all ranks, in their order, on every rank."""
        packed = np.frombuffer(pickle.dumps(value), np.uint8)
        sizes = np.zeros(self.size, np.int64)
        sizes[self.rank] = len(packed)
        self._wait(self._world.Iallreduce(MPI.IN_PLACE, sizes, MPI.SUM), "gather")
        most = int(sizes.max())
        if most * self.size > LARGEST:
            return self._gather_by_turns(value)
        data = np.zeros((self.size, most), np.uint8)
        data[self.rank, : len(packed)] = packed
        self._wait(self._world.Iallgather(MPI.IN_PLACE, data), "gather")
        # As above.
        return [pickle.loads(row[:size].data) for row, size in zip(data, sizes, strict=True)]  # noqa: S301

    def _gather_by_turns(self, value: Any) -> list[Any]:
        """Gather what is too large for one message: each rank's in its turn."""
        found = []
        for rank in range(self.size):
            packed = pickle.dumps(value) if rank == self.rank else b""
            # As above.
            found.append(pickle.loads(self._from_rank(rank, packed).data))  # noqa: S301
        return found

    def abort(self, code: int = 1) -> None:
        """End all ranks at once."""
        sys.stdout.flush()
        sys.stderr.flush()
        MPI.COMM_WORLD.Abort(code)

    # ---- waiting

    def _wait(self, request: Any, what: str) -> None:
        """Wait until a collective is done, for as long as the deadline allows."""
        for _ in range(QUESTIONS):
            if request.Test():
                return
        began = looked = time.monotonic()
        while not request.Test():
            time.sleep(SLEEP)
            now = time.monotonic()
            if now - looked > LOOK:
                looked = now
                self._hear()
            if now - began > self.timeout:
                self._is_broken = True
                raise DistributedError(
                    f"rank {self.rank} of {self.size}: no answer to {what} within {self.timeout:g} "
                    "seconds; a rank hangs, is gone, or makes other calls than this one. Where "
                    "ranks may take longer between two steps, pass init(timeout=...)"
                )

    def _hear(self) -> None:
        """Raise an error where another rank has said that it failed."""
        status = MPI.Status()
        if not self._errors.Iprobe(MPI.ANY_SOURCE, TAG, status):
            return
        data = bytearray(status.Get_count(MPI.BYTE))
        source = status.Get_source()
        self._errors.Recv(data, source, TAG)
        self._is_broken = True
        raise DistributedError(
            f"rank {self.rank} of {self.size}: rank {source} has failed, and training cannot go on "
            f"without it: {data.decode(errors='replace')}"
        )

    # ---- the end

    def _tell(self, story: str) -> None:
        """Tell all other ranks that this one has failed."""
        data = story[:MOST_OF_A_STORY].encode()
        self._told += [
            self._errors.Isend(data, other, TAG) for other in range(self.size) if other != self.rank
        ]

    def _excepthook(
        self, kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        """Show an error that nobody has caught, tell the others, and end all ranks."""
        self._before_hook(kind, error, trace)
        sys.stderr.flush()
        if not self._is_broken:
            self._tell(f"{kind.__name__}: {error}")
        # Meanwhile the others say what they know, each where it stands.
        end = time.monotonic() + GRACE
        while time.monotonic() < end:
            MPI.Request.Testall(self._told)
            time.sleep(LOOK)
        self.abort(1)

    def _at_exit(self) -> None:
        """End all ranks where this one has lost the others, whose end MPI would wait for."""
        if self._is_broken:
            self.abort(1)
