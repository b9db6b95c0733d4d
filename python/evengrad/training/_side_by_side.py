"""Loops of several trainings side by side: what they ask for is run by one native call."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from evengrad import _core
from evengrad.training._fit import NO_STEP, TURN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from evengrad.training._fit import Training
    from evengrad.training._loop import Requests, Source, Until

logger = logging.getLogger("evengrad")

T = TypeVar("T")


class Lane(Generic[T]):
    """One of several loops, and what it has asked for."""

    # What it returns, once it has ended.
    result: T

    def __init__(self, requests: Requests[T], place: int) -> None:
        self.requests, self.place = requests, place
        self.source: Source | None = None
        # What it asks for; None once that has begun.
        self.until: Until | None = None
        self.has_begun = self.has_ended = False

    @property
    def waits(self) -> bool:
        """Whether it has come to an epoch before which others are waited for."""
        return self.until is NO_STEP

    def begin(self) -> None:
        """Go to the first steps."""
        self.has_begun = True
        self._resume(self.requests.send, None)

    def answer(self, found: Any) -> None:
        """Go on from steps that were made: whether an epoch has ended, or what they raised."""
        if isinstance(found, BaseException):
            self._resume(self.requests.throw, found)
            return
        observer = None if self.source is None else self.source.observer
        if observer is not None:
            observer.ends(found)
        self._resume(self.requests.send, found)

    def _resume(self, resume: Callable[[Any], tuple[Source, Until]], value: Any) -> None:
        try:
            self.source, self.until = resume(value)
        except StopIteration as end:
            self.has_ended, self.result = True, end.value
            return
        if not self.waits:
            self.source.make_ready()

    def break_off(self, error: BaseException) -> None:
        """Leave the loop where it is, because of an error or Ctrl-C."""
        if self.has_ended:
            return
        self.has_ended = True
        try:
            # What its epochs came to is noted, and it gives back what it holds.
            self.requests.throw(error)
        except BaseException as raised:
            if raised is not error:
                logger.exception("models[%d]: failed after another exception", self.place)


class TrainingLane(Lane[None]):
    """One of several trainings."""

    def __init__(self, training: Training, place: int, first: int, last: int) -> None:
        super().__init__(training.requests(first, last), place)
        self.training = training
        self.first, self.last = first, last

    def break_off(self, error: BaseException) -> None:
        """Leave the training where it is, and have its callbacks give back what they hold."""
        if self.has_ended:
            return
        super().break_off(error)
        if self.has_begun:
            self.training.leave()

    @property
    def epochs_done(self) -> float:
        """Epochs that have been made, with the part of the one in progress."""
        training, session = self.training, self.training.source.session
        done = float(training.epoch - self.first)
        if self.has_ended:
            return done
        if self.source is training.source and self.until is None:
            done += len(session.ended()) + session.step / max(1, training.source.steps or 1)
        return min(done, float(self.last - self.first))


AnyLane = TypeVar("AnyLane", bound=Lane[Any])


def run_lanes(
    lanes: list[AnyLane],
    threads: int | None = None,
    progress: Callable[[list[AnyLane]], None] | None = None,
    at_pause: Callable[[list[AnyLane]], None] | None = None,
) -> None:
    """Run loops, such as trainings, to their end, at most so many at once.

    `progress` is told a few times a second how far they are; `at_pause` once all that go on wait.
    An error of one ends all of them where they are, and is raised again.
    """
    try:
        for lane in lanes:
            with blamed(lane):
                lane.begin()
        while going := [lane for lane in lanes if not lane.has_ended]:
            asking = [lane for lane in going if not lane.waits]
            if asking:
                run_steps(asking, threads, None if progress is None else TURN)
            else:
                if at_pause is not None:
                    at_pause(going)
                for lane in going:
                    with blamed(lane):
                        lane.answer(False)
            if progress is not None:
                progress(lanes)
    except BaseException as error:
        for lane in lanes:
            lane.break_off(error)
        raise


def run_steps(lanes: Sequence[Lane[Any]], threads: int | None, seconds: float | None) -> None:
    """Run what trainings ask for until one of them has it, or so long."""
    sessions = [(lane.source.session, lane.until) for lane in lanes if lane.source is not None]
    found = _core.run_side_by_side(sessions, threads, seconds)
    for lane, outcome in zip(lanes, found, strict=True):
        lane.until = None if outcome is None else lane.until
        if outcome is not None:
            with blamed(lane):
                lane.answer(outcome)


@contextlib.contextmanager
def blamed(lane: Lane[Any]) -> Iterator[None]:
    """Have the log say whose error it is that ends all trainings."""
    try:
        yield
    except Exception as error:
        logger.error(  # noqa: TRY400 - it is raised
            "models[%d]: its %s ends the training of all models", lane.place, type(error).__name__
        )
        raise
