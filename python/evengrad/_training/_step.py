"""One step of training or evaluation: captured where that is possible, else run in Python."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from evengrad import _core
from evengrad._capture import Recording, Scheduled, reads_values, recording
from evengrad._paths import path_of
from evengrad.autograd import no_grad
from evengrad.layers._nested import attributes_set

if TYPE_CHECKING:
    from evengrad._core import Tensor
    from evengrad._training._compiled import Bound

logger = logging.getLogger("evengrad")


class Batch:
    """Where a step finds its batch: in fixed memory, whole or by the rows that a feed names."""

    def __init__(
        self, tensors: list[Tensor], inputs: int, outputs: int, batch_size: int | None
    ) -> None:
        self.tensors = tensors
        self.inputs, self.outputs = inputs, outputs
        self.feed = None if batch_size is None else _core.Feed(batch_size)

    def next(self) -> tuple[list[Tensor], list[Tensor], Tensor | None]:
        """Return inputs, targets and sample weights."""
        taken = self.tensors
        if self.feed is not None:
            self.feed.next()
            rows = self.feed.indices
            taken = [_core.take(tensor, rows) for tensor in self.tensors]
        last = self.inputs + self.outputs
        weight = taken[last] if len(taken) > last else None
        return taken[: self.inputs], taken[self.inputs : last], weight


class Kept:
    """State to put back: what a failed capture, or with `variables` all that training changes."""

    def __init__(self, bound: Bound, variables: bool = False) -> None:
        model = bound.model
        # Variables that training changes are safe in a capture: they are updated last.
        state = [
            weight.tensor.detach()
            for _, layer in model._named_layers()
            for weight in layer._state.weights
            if variables or not weight.trainable
        ]
        self.values = [*bound.kept(), *[(t, np.array(t.numpy())) for t in state]]
        self.draws = [
            (stream, stream.draws)
            for _, layer in model._named_layers()
            for stream in layer._state.generators.values()
        ]

    def put_back(self) -> None:
        """Restore it, bit for bit."""
        for tensor, values in self.values:
            tensor.copy_(values)
        for stream, draws in self.draws:
            stream.draws = draws


class Captured(NamedTuple):
    """What it takes to run a captured step over rows that a feed names."""

    plan: _core.Plan
    feed: _core.Feed
    scheduled: list[Scheduled]


class Step:
    """A step over one kind of batch.

    The first run captures it. Where the capture fails because a layer, a loss or a metric reads
    values, everything is put back and the step runs in Python from then on.
    """

    def __init__(self, bound: Bound, batch: Batch, training: bool) -> None:
        self.bound = bound
        self.batch = batch
        self.training = training
        self.eager = bound.compilation.run_eagerly
        self.recording: Recording | None = None
        self.trains = self._trains()
        self.as_of = attributes_set()
        self.hooks = _core.hook_changes()

    def _trains(self) -> list[Any]:
        """Return what a captured step depends on: variables that train, and layers that do."""
        model = self.bound.model
        weights = [id(tensor) for tensor in model.trainable_weights]
        # A layer may do something else where it is frozen, without a variable that trains.
        layers = [layer.trainable for _, layer in model._named_layers()]
        return [weights, layers]

    def is_current(self) -> bool:
        """Tell whether the captured step still trains what is trainable, under the same hooks."""
        if self.hooks != _core.hook_changes():
            return False
        now = attributes_set()
        if now != self.as_of:
            if self.trains != self._trains():
                return False
            self.as_of = now
        return True

    def captured(self) -> Captured | None:
        """Return what was captured; None where steps run in Python, or do nothing."""
        recording, feed = self.recording, self.batch.feed
        if self.eager or recording is None or recording.plan is None or feed is None:
            return None
        return Captured(recording.plan, feed, recording.scheduled)

    def body(self) -> None:
        """Do one step."""
        xs, ys, weight = self.batch.next()
        if not self.training:
            with no_grad():
                self.bound.loss_and_metrics(xs, ys, weight, False)
            return
        loss = self.bound.loss_and_metrics(xs, ys, weight, True)
        parameters = self.bound.model.trainable_weights
        if parameters:
            optimizer = self.bound.compilation.optimizer
            pairs = optimizer.compute_gradients(loss, parameters)
            self._tell_unreached([weight for gradient, weight in pairs if gradient is None])
            optimizer.apply_gradients(pairs)

    def _tell_unreached(self, weights: list[Tensor]) -> None:
        """Warn, once for what was compiled, of weights that should train and cannot."""
        bound = self.bound
        if not weights or bound.unreached_told:
            return
        bound.unreached_told = True
        logger.warning(
            "%s: no gradient reaches %s, so that training leaves them as they are. Either nothing "
            "that the loss sees is made of their layer's output, or an activation or a call leaves "
            "the tape on the way: compute with evengrad operations, not with NumPy or detach(). If "
            "it is meant, set trainable = False on the layer",
            bound.model.path,
            ", ".join(path_of(weight) or "a weight" for weight in weights),
        )

    def run(self, rows: np.ndarray[Any, Any] | None = None, steps: int = 1) -> None:
        """Do that many steps, over the batches of these rows."""
        self._load(rows)
        if not self.eager and self.recording is None:
            if self._capture():
                steps -= 1
            else:
                self._load(rows)
        if self.eager:
            for _ in range(steps):
                self.body()
        elif steps and self.recording is not None:
            self.recording.replay(steps)

    def _load(self, rows: np.ndarray[Any, Any] | None) -> None:
        if self.batch.feed is not None and rows is not None:
            self.batch.feed.load(rows)

    def _capture(self) -> bool:
        """Run and record the first step; False where it must run in Python."""
        kept = Kept(self.bound)
        try:
            with recording() as self.recording:
                self.body()
        except BaseException as error:
            self.recording = None
            kept.put_back()
            if not reads_values(error):
                raise
            self.eager = True
            logger.warning(
                "%s: each step runs in Python, not as a captured plan, because a layer, loss or "
                "metric reads values of a tensor (%s). Results are the same; training is slower",
                self.bound.model.path,
                error,
            )
            return False
        return True
