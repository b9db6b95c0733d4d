"""The loop of an epoch, for `fit`, `evaluate` and `predict`: it acts where a session returns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar
from weakref import WeakMethod

from evengrad._common.advice import advise
from evengrad._core import Epochs, Session, Steps
from evengrad.optimizers._optimizer import rate_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from evengrad import _core
    from evengrad.callbacks._callback import CallbackList
    from evengrad.training._data import Prepared
    from evengrad.training._objective import Objective
    from evengrad.training._protocol import TrainableModel

    Until = _core.Steps | _core.Seconds | _core.Epochs

T = TypeVar("T")
# A loop that asks whoever drives it to run a source until something, and hears whether an epoch has
# ended. So several loops can be driven side by side.
Requests: TypeAlias = "Generator[tuple[Source, Until], bool, T]"

# What a callback sets of the model to end a loop after the batch; `fit` looks for its own itself.
STOPS = {"test": "stop_evaluating", "predict": "stop_predicting"}
# Stands where there is no batch, as anything may come as one.
NO_BATCH = object()
# An iterator of unknown length is said to be long here, as it may have no end.
MANY_BATCHES = 10_000
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
    def observer(self) -> Observer | None:
        """Who hears when steps are run, if anybody does."""

    @property
    def objective(self) -> Objective | None:
        """What the steps track; None where there is nothing, or nothing yet."""

    def has_next(self) -> bool:
        """Tell whether the epoch has another batch."""

    def make_ready(self) -> None:
        """See to it that the session makes the steps that are to be made now."""

    def run(self, until: Until) -> bool:
        """Run steps; return whether an epoch has ended."""


class Observer(Protocol):
    """Who hears of the steps of a training, before they are made and after."""

    def begins(self) -> None:
        """Hear that steps are about to be run."""

    def ends(self, ended: bool) -> None:
        """Hear that steps have been run, and whether an epoch has ended."""

    def changes(self) -> None:
        """Hear that steps are others from now on: a setting of a layer, or what trains."""

    def takes(self, batch: Prepared) -> None:
        """Hear of the batch of an iterable that the next step is made over."""


def weakly(method: Callable[[], bool]) -> Callable[[], bool]:
    """Return a function that calls a method and does not keep its object.

    The garbage collector does not look into sessions: with a reference from there back to what
    holds the session, neither would ever be freed.
    """
    held = WeakMethod(method)

    def call() -> bool:
        found = held()
        return found is not None and found()

    return call


class BroughtSource(ABC):
    """A source over batches that Python brings one by one; the next may be looked for.

    So many make an epoch as the limit says, or without one, as there are.
    """

    objective: Objective | None = None
    # Who hears when steps are run, if anybody does.
    observer: Observer | None = None
    # What messages call the iterable, and the argument that limits it.
    name, limited_by = "x", "steps"

    def __init__(self, limit: int | None) -> None:
        self.limit = self.steps = limit
        self.session = Session([(weakly(self._step), None)], limit, [])
        # A batch that was looked for and has not been used yet.
        self._ahead: Any = NO_BATCH
        # What was said of the iterable.
        self._has_been_long = self._has_run_short = False

    @abstractmethod
    def _next(self) -> Any:
        """Return the next batch; `NO_BATCH` where there is none."""

    @abstractmethod
    def _step(self) -> bool:
        """Make a step over the next batch; return whether there was one."""

    def _fetch(self) -> bool:
        """Have the next batch at hand; return whether there is one."""
        if self._ahead is NO_BATCH:
            self._ahead = self._next()
            found = self._ahead is not NO_BATCH
            many = found and self.steps is None and self.session.step == MANY_BATCHES
            if many and not self._has_been_long:
                self._has_been_long = True
                advise(
                    "%s: %d batches so far, and it goes on; if it has no end, pass %s",
                    self.name,
                    MANY_BATCHES,
                    self.limited_by,
                )
        return self._ahead is not NO_BATCH

    def _take(self) -> Any:
        """Return the batch at hand, which is used now."""
        taken, self._ahead = self._ahead, NO_BATCH
        return taken

    def _warn_if_short(self) -> None:
        """Warn, once, that there are fewer batches than asked for."""
        if self.limit is None or self._has_run_short:
            return
        self._has_run_short = True
        advise(
            "%s: no batch is left after %d of the %d that %s asks for; pass a smaller number, or "
            "what can be iterated anew where it was an iterator",
            self.name,
            self.session.step,
            self.limit,
            self.limited_by,
        )

    def _place(self) -> str:
        """Return what messages call the batch at hand."""
        return f"{self.name}: batch {self.session.step}"

    def has_next(self) -> bool:
        """Tell whether the epoch has another batch; it is fetched then."""
        return (self.limit is None or self.session.step < self.limit) and self._fetch()

    def make_ready(self) -> None:
        """See to it that the session makes the steps that are to be made now."""
        if self.observer is not None:
            self.observer.begins()

    def run(self, until: Until) -> bool:
        """Run steps; return whether an epoch has ended."""
        self.make_ready()
        ended = self.session.run(until)
        if self.observer is not None:
            self.observer.ends(ended)
        return ended


def figures_of(source: Source) -> dict[str, Any]:
    """Return the figures of the epoch in progress, or of the one that has ended last."""
    return {} if source.objective is None else source.objective.logs()


def end_of(steps: int, size: int, rows: int, argument: str) -> int:
    """Return the row at which so many batches end; a warning says where the rows are fewer."""
    there = -(-rows // size)
    if steps > there:
        advise("%s: there are %d batches, fewer than %d", argument, there, steps)
    return steps * size


def warn_of_loss(model: TrainableModel, loss: float, epoch: int, later: int) -> None:
    """Warn of an epoch whose loss is no number; so many steps have been made since."""
    optimizer = model.config().optimizer
    updates = int(optimizer.iterations) - later // (optimizer.gradient_accumulation_steps or 1)
    advise(
        "%s: the loss is %g in epoch %d (counted from 0), at a learning rate of %g. Lower the "
        "rate, clip the gradients, or look for extreme values in the data; "
        "callbacks.TerminateOnNaN stops at the batch where it happens",
        model.path,
        loss,
        epoch,
        rate_of(optimizer, updates - 1),
    )


def epoch_requests(
    source: Source,
    callbacks: CallbackList,
    kind: str,
    until: Callable[[], Until] | None = None,
    after_steps: Callable[[bool], bool] | None = None,
) -> Requests[bool]:
    """Run an epoch, or the rest of one; return whether it has come to its end.

    Where no callback wants to hear of each batch of that kind (``"train"``, ``"test"`` or
    ``"predict"``), `until` says when the session is to return. `after_steps` is told whether the
    epoch has ended; where it returns True, the loop leaves the epoch, as it does where a callback
    stops an evaluation or a prediction.
    """
    singly, stop = callbacks.wants_batches(kind), STOPS.get(kind)
    together = callbacks.model.steps_per_execution
    ended = False
    while not ended and not source.session.stopped:
        batch = source.session.step
        if not singly:
            ended = yield source, WHOLE_EPOCH if until is None else until()
        elif source.has_next():
            callbacks.tell(f"on_{kind}_batch_begin", batch, {})
            ended = yield source, ONE_STEP if together == 1 else Steps(together)
            done = source.session.last_epoch_steps if ended else source.session.step
            last = max(batch, done - 1)
            callbacks.tell(f"on_{kind}_batch_end", last, figures_of(source))
        else:
            ended = yield source, ONE_STEP
        if after_steps is not None and after_steps(ended):
            break
        if singly and stop is not None and getattr(callbacks.model, stop):
            break
    return ended
