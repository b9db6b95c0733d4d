"""Trainings of several threads of Python, whose steps one of them runs for all, side by side."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any

from evengrad import _core

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evengrad.training._loop import Source, Until

# Seconds after which who leads looks whether others have come.
LOOK = 0.02
# Seconds in which a thread that prepares its training, or scores, finds the engine free.
PAUSE = 1e-4


class Entry:
    """What one training waits for."""

    def __init__(self, session: _core.Session, until: Until) -> None:
        self.session = session
        # None once it has begun.
        self.until: Until | None = until
        self.found: Any = None
        self.is_done = False


class FitQueue:
    """Runs what trainings in several threads ask for, by one native call for all of them.

    The first that comes leads: it makes the steps of all that wait, until its own are done, and
    then another one does. So many are expected at once.
    """

    def __init__(self, threads: int | None, expected: int) -> None:
        self.threads, self.expected = threads, expected
        self.changed = threading.Condition()
        self.waiting: list[Entry] = []
        self.is_led = False

    def run(self, source: Source, until: Until) -> bool:
        """Run steps; return whether an epoch has ended."""
        source.make_ready()
        entry = Entry(source.session, until)
        with self.changed:
            self.waiting.append(entry)
            while not entry.is_done and self.is_led:
                self.changed.wait()
            leads = not entry.is_done
            self.is_led = self.is_led or leads
        if leads:
            self._lead(entry)
        if isinstance(entry.found, BaseException):
            raise entry.found
        ended = bool(entry.found)
        if source.observer is not None:
            source.observer.ends(ended)
        return ended

    def _lead(self, entry: Entry) -> None:
        try:
            while not entry.is_done:
                with self.changed:
                    going = list(self.waiting)
                self._run(going)
                if len(going) < self.expected:
                    time.sleep(PAUSE)
        finally:
            with self.changed:
                self.is_led = False
                # Where it is left by Ctrl-C; the others go on.
                if entry in self.waiting:
                    self.waiting.remove(entry)
                self.changed.notify_all()

    def _run(self, going: list[Entry]) -> None:
        """Make steps of these for a while."""
        requests = [(one.session, one.until) for one in going]
        for one in going:
            one.until = None
        found = _core.run_side_by_side(requests, self.threads, LOOK)
        with self.changed:
            for one, outcome in zip(going, found, strict=True):
                if outcome is not None:
                    one.found, one.is_done = outcome, True
                    self.waiting.remove(one)
            self.changed.notify_all()


# The queues in force; the last one takes what trainings ask for.
queues: list[FitQueue] = []


@contextlib.contextmanager
def fit_queue(threads: int | None, expected: int) -> Iterator[None]:
    """Have all trainings of this process go through one queue."""
    queue = FitQueue(threads, expected)
    queues.append(queue)
    try:
        yield
    finally:
        queues.remove(queue)
