"""The loop of an epoch, for `fit`, `evaluate` and `predict`: it acts where a session returns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Protocol

from evengrad._core import Epochs, Session, Steps

if TYPE_CHECKING:
    from collections.abc import Callable

    from evengrad import _core
    from evengrad.callbacks._callback import CallbackList
    from evengrad.training._objective import Objective

    Until = _core.Steps | _core.Seconds | _core.Epochs

WHOLE_EPOCH = Epochs(1)
ONE_STEP = Steps(1)


class Source(Protocol):
    """Where steps come from: arrays, an iterable of batches, or blocks to predict."""

    @property
    def steps(self) -> int | None:
        """Steps of an epoch; None where only its end tells."""

    @property
    def session(self) -> _core.Session:
        """What drives the steps."""

    @property
    def objective(self) -> Objective | None:
        """What the steps track; None where there is nothing, or nothing yet."""

    def has_next(self) -> bool:
        """Tell whether the epoch has another batch."""

    def run(self, until: Until) -> bool:
        """Run steps; return whether an epoch has ended."""


class BroughtSource(ABC):
    """A source over batches that Python brings one by one; the next may be looked for.

    So many make an epoch as the limit says, or without one, as there are.
    """

    objective: Objective | None = None

    def __init__(self, limit: int | None) -> None:
        self.limit = self.steps = limit
        self.session = Session([(self._step, None)], limit, [])
        # A batch that was looked for and has not been used yet.
        self._ahead: Any = None

    @abstractmethod
    def _next(self) -> Any:
        """Return the next batch; None where there is none."""

    @abstractmethod
    def _step(self) -> bool:
        """Make a step over the next batch; return whether there was one."""

    def _fetch(self) -> bool:
        """Have the next batch at hand; return whether there is one."""
        if self._ahead is None:
            self._ahead = self._next()
        return self._ahead is not None

    def _take(self) -> Any:
        """Return the batch at hand, which is used now."""
        taken, self._ahead = self._ahead, None
        return taken

    def has_next(self) -> bool:
        """Tell whether the epoch has another batch; it is fetched then."""
        return (self.limit is None or self.session.step < self.limit) and self._fetch()

    def run(self, until: Until) -> bool:
        """Run steps; return whether an epoch has ended."""
        return self.session.run(until)


def figures_of(source: Source) -> dict[str, Any]:
    """Return the figures of the epoch in progress, or of the one that has ended last."""
    return {} if source.objective is None else source.objective.logs()


def run_epoch(
    source: Source,
    callbacks: CallbackList,
    kind: str,
    until: Callable[[], Until] | None = None,
    after_steps: Callable[[bool], bool] | None = None,
) -> bool:
    """Run an epoch, or the rest of one; return whether it has come to its end.

    Where no callback wants to hear of each batch of that kind (``"train"``, ``"test"`` or
    ``"predict"``), `until` says when the session is to return. `after_steps` is told whether the
    epoch has ended; where it returns True, the loop leaves the epoch.
    """
    singly = callbacks.wants_batches(kind)
    ended = False
    while not ended and not source.session.stopped:
        batch = source.session.step
        if not singly:
            ended = source.run(WHOLE_EPOCH if until is None else until())
        elif source.has_next():
            callbacks.tell(f"on_{kind}_batch_begin", batch, {})
            ended = source.run(ONE_STEP)
            callbacks.tell(f"on_{kind}_batch_end", batch, figures_of(source))
        else:
            ended = source.run(ONE_STEP)
        if after_steps is not None and after_steps(ended):
            break
    return ended
