"""Graceful stop on SIGTERM and Ctrl-C: training ends at a whole step, then they take effect."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from typing_extensions import Self

    from evengrad._core import Session

# What schedulers of clusters send before they end a job, and what Ctrl-C sends.
SIGNALS = (signal.SIGTERM, signal.SIGINT)


def stopping(sessions: list[Session]) -> Callable[[], None]:
    """Return what stops sessions at a whole step: whichever runs, and those that would follow."""

    def stop() -> None:
        for session in sessions:
            session.stop()

    return stop


class GracefulStop:
    """Within a ``with`` block, the first of the signals has `stop` called instead of its handler.

    `deliver` gives it to the handler that was there. A second one goes there at once. Signals that
    are ignored, or handled by code outside Python, are left alone, as are all in other threads than
    the main one, which alone may set handlers.
    """

    def __init__(self, stop: Callable[[], None]) -> None:
        self.stop = stop
        self.received: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                handler = signal.getsignal(number)
                if handler is not None and handler != signal.SIG_IGN:
                    self._before[number] = handler
                    signal.signal(number, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            self._pass_on(signal.Signals(number), frame)
            return
        self.received = signal.Signals(number)
        self.stop()

    def deliver(self) -> None:
        """Give the signal that came, if one did, to the handler that was there."""
        if self.received is not None:
            self._pass_on(self.received, None)

    def _pass_on(self, number: signal.Signals, frame: FrameType | None) -> None:
        handler = self._before[number]
        if callable(handler):
            handler(number, frame)
        else:
            # The system's own way, which ends the process as whoever sent the signal expects.
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
