"""Recording a step and replaying it: what `compile` and `fit` have in common."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Protocol

from evengrad import _core

if TYPE_CHECKING:
    from collections.abc import Iterator


class Scheduled(Protocol):
    """What must hear of the coming steps before they are replayed: an optimizer's schedules."""

    def prepare(self, steps: int) -> None:
        """Queue the values of the next steps."""


class Recording:
    """A captured step."""

    def __init__(self) -> None:
        # None where the step has no operations.
        self.plan: _core.Plan | None = None
        self.scheduled: list[Scheduled] = []

    def replay(self, steps: int = 1) -> None:
        """Run the step that often, without Python."""
        for participant in self.scheduled:
            participant.prepare(steps)
        if self.plan is not None:
            self.plan.replay(steps)


class _Open(threading.local):
    """The recording that is open on this thread."""

    recording: Recording | None = None


_open = _Open()


@contextlib.contextmanager
def recording() -> Iterator[Recording]:
    """Capture what runs inside; an exception aborts the capture and passes through."""
    current = Recording()
    _core.begin_capture()
    _open.recording = current
    try:
        yield current
    except BaseException:
        _core.abort_capture()
        raise
    finally:
        _open.recording = None
    # A step without operations, such as one that returns its argument, has no plan.
    with contextlib.suppress(_core.EmptyCaptureError):
        current.plan = _core.end_capture()


def take_part(participant: Scheduled) -> bool:
    """Have `participant` called before each replay of the step being captured, if one is.

    Returns whether it has just been entered: then the step now running must be prepared for too.
    """
    current = _open.recording
    if current is None:
        return False
    for known in current.scheduled:
        if known is participant:
            return True
    current.scheduled.append(participant)
    return True
