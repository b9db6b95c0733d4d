"""Steps of training or evaluation, captured where possible, and epochs of them over arrays."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from evengrad import _core
from evengrad._common.advice import advise
from evengrad._common.config import settings_of
from evengrad._common.paths import path_of
from evengrad._tensor.grad_mode import no_grad
from evengrad.layers._layer import caution_of, make_states, needs_several_rows
from evengrad.training._data import Prepared, ResidentData
from evengrad.training._weights import each_from

if TYPE_CHECKING:
    from collections.abc import Callable

    from evengrad._core import Tensor
    from evengrad.layers._module import ModuleTree
    from evengrad.training._data import Array
    from evengrad.training._frozen_rows import FrozenRows
    from evengrad.training._loop import Observer, Requests, Source
    from evengrad.training._objective import Objective
    from evengrad.training._protocol import TrainableModel
    from evengrad.training._segments import Segments

    Until = _core.Steps | _core.Seconds | _core.Epochs
    # What a step hands over once it is captured: its plan, and what computes scheduled values.
    Captured = tuple[_core.Plan, list[Callable[[int], object]]]

T = TypeVar("T")

REQUIRES_GRAD = operator.attrgetter("requires_grad")
# Rows in a batch where the caller gives no batch_size.
DEFAULT_BATCH = 32


def drive(requests: Requests[T], run: Callable[[Source, Until], bool] | None = None) -> T:
    """Run what a loop asks for, by itself or as `run` does it; return what it returns."""
    resume: Callable[[Any], tuple[Source, Until]] = requests.send
    value: Any = None
    while True:
        try:
            source, until = resume(value)
        except StopIteration as end:
            result: T = end.value
            return result
        try:
            made = source.run(until) if run is None else run(source, until)
            resume, value = requests.send, made
        except BaseException as error:  # noqa: BLE001 - the loop's, which passes it on
            resume, value = requests.throw, error


def right_to_train(model: TrainableModel, *, alone: bool) -> _core.Access:
    """Return the right to train a model, until `leave` is called.

    Threads that train it on single batches share the right. Raises a RuntimeError where another
    thread has it.
    """
    right = _core.Access([model.public], writes=alone)
    if not right.try_enter():
        raise RuntimeError(
            f"{model.path}: another thread trains this model; let that come to its end, or train a "
            "copy of the model, model.clone()"
        )
    return right


def note(place: Tensor, loss: Tensor) -> None:
    """Leave a step's loss."""
    loss = loss.detach()
    place.copy_(loss if loss.dtype == place.dtype else loss.astype(place.dtype))


class Batch:
    """Where a step finds its batch: in fixed memory, whole or by the rows that a feed names."""

    def __init__(
        self, tensors: list[Tensor], data: Prepared, feed: _core.Feed | None = None
    ) -> None:
        self.tensors = tensors
        self.inputs, self.outputs = len(data.xs), len(data.ys)
        self.weight_places = data.weight_places
        self.resume = data.resume
        self.feed = feed

    @classmethod
    def whole(cls, data: Prepared) -> Batch:
        """Return all rows of the data as a batch."""
        tensors = map(_core.tensor, map(np.ascontiguousarray, *data.columns()))
        return cls(list(tensors), data)

    def next(self) -> tuple[list[Tensor], list[Tensor], list[Tensor | None]]:
        """Return inputs, targets, and the sample weights of each output."""
        taken = self.tensors
        if self.feed is not None:
            self.feed.next()
            rows = self.feed.indices
            taken = [_core.take(tensor, rows) for tensor in self.tensors]
        last = self.inputs + self.outputs
        weights: list[Tensor | None] = [None] * self.outputs
        if len(taken) > last:
            weights = each_from(taken[last:], self.weight_places)
        return taken[: self.inputs], taken[self.inputs : last], weights


class Snapshot:
    """State to restore: what is tracked, what a failed capture changes, or all that training does.

    With `tracked_alone`, loss and metrics are all of it. Variables that training changes are part
    of it where asked for: in a capture they are safe, as they are updated last.
    """

    def __init__(
        self,
        objective: Objective,
        tree: ModuleTree | None = None,
        *,
        tracked_alone: bool = False,
        variables: bool = False,
    ) -> None:
        self.values: list[tuple[Tensor, np.ndarray[Any, Any]]] = objective.held()
        self.draws: list[tuple[_core.Generator, int]] = []
        if tracked_alone:
            return
        tree = objective.model.tree if tree is None else tree
        for _, weight in tree.weights:
            if variables or not weight.trainable:
                tensor = weight.tensor.detach()
                self.values.append((tensor, np.array(tensor.numpy())))
        for _, stream in tree.generators:
            self.draws.append((stream, stream.draws))

    def restore(self) -> None:
        """Put everything back, bit for bit."""
        for tensor, values in self.values:
            tensor.copy_(values)
        for stream, draws in self.draws:
            stream.draws = draws


class Step:
    """A step over one kind of batch, as `_core.Session` takes it.

    The first call captures it. Where the capture fails because a layer, a loss or a metric reads
    values, everything is restored and the step runs in Python from then on.

    With `watch_loss`, steps count those whose loss is finite. `alike` is a step of the same over
    whole batches, where this one is over what an epoch leaves: it runs in Python if that one must,
    and is captured at its second call, as a single epoch needs no plan for it.
    """

    # What captures it.
    recorder: Callable[[], _core.Recording | Segments] = _core.Recording
    # Returns pairs of gradient and parameter, where it is not the optimizer that does.
    gradients: Callable[[Tensor, list[Tensor]], list[tuple[Tensor | None, Tensor]]] | None = None

    def __init__(
        self,
        objective: Objective,
        batch: Batch,
        training: bool,
        watch_loss: bool = False,
        alike: Step | None = None,
    ) -> None:
        self.objective = objective
        self.batch = batch
        self.training = training
        self.watch_loss = watch_loss
        self.eager = objective.config.run_eagerly
        self.alike = alike
        # Where every step leaves its loss, if somebody watches.
        self.noted_loss: Tensor | None = None
        # Makes the step in the place of this, where somebody looks at each of its tensors.
        self.maker: Callable[[list[Tensor], list[Tensor], list[Tensor | None]], None] | None = None
        self.has_run = False
        self.recording: _core.Recording | Segments | None = None
        # The module tree is another one when layers, variables or what trains of them change.
        self.tree = objective.model.tree
        if self.tree.stateful:
            self._make_states()
        self.hooks = _core.hook_changes()
        # What was captured has read, once it is.
        self.settings: list[Any] = []
        if training and alike is None:
            self._caution()

    def _make_states(self) -> None:
        """Have stateful layers have variables for the rows of the batch, before a capture."""
        feed = self.batch.feed
        rows = (self.batch.tensors[0] if feed is None else feed.indices).shape[0]
        for _, layer in self.tree.stateful:
            make_states(layer, int(rows))
        self.tree = self.objective.model.tree

    def is_current(self, now: list[Any] | None = None) -> bool:
        """Tell whether what was captured still is what the step does.

        It trains what is trainable, under the same hooks and with the same settings, which are
        these `now`.
        """
        if self.hooks != _core.hook_changes() or self.tree is not self.objective.model.tree:
            return False
        if self.recording is None:
            return True
        now = self.read() if now is None else now
        return len(now) == len(self.settings) and all(map(operator.is_, now, self.settings))

    def read(self) -> list[Any]:
        """Return the settings that a capture has in it, to be compared by identity."""
        read = settings_of([*self.objective.reads, *self.tree.reads])
        return [*read, *map(REQUIRES_GRAD, self.tree.trainable)]

    def renew(self) -> None:
        """Forget what was captured: the next call captures what holds now."""
        self.recording = None
        self.tree, self.hooks = self.objective.model.tree, _core.hook_changes()
        if self.training:
            self._caution()

    def __call__(self) -> Captured | None:
        """Make one step; return what was captured, if it was by now."""
        if self.recording is not None:
            self.recording.replay()
        else:
            # A replay is whole for other threads by itself, this is many native calls.
            with _core.Access(self.tree.tensors, writes=self.training):
                self._run()
        captured = self.recording
        if captured is None or captured.plan is None:
            return None
        return captured.plan, captured.scheduled

    def _run(self) -> None:
        """Make the step in Python, and capture it where that may be."""
        if self.alike is not None:
            self.eager = self.eager or self.alike.eager
            if not self.has_run:
                self.has_run = True
                self._body()
                return
        if self.eager or not self._capture():
            self._body()
        else:
            self.settings = self.read()

    def _body(self) -> None:
        objective = self.objective
        xs, ys, weights = self.batch.next()
        if self.maker is not None:
            self.maker(xs, ys, weights)
            return
        if not self.training:
            with no_grad():
                objective.loss_and_metrics(
                    xs, ys, weights, self.tree, training=False, resume=self.batch.resume
                )
            return
        watch, resume = self.watch_loss, self.batch.resume
        loss = objective.loss_and_metrics(
            xs, ys, weights, self.tree, training=True, watch_loss=watch, resume=resume
        )
        if self.noted_loss is not None:
            note(self.noted_loss, loss)
        parameters = self.tree.trainable
        if parameters:
            optimizer = objective.config.optimizer
            pairs = (self.gradients or optimizer.compute_gradients)(loss, parameters)
            if not objective.has_warned_of_unreached:
                self.warn_of_unreached(pairs)
            optimizer.apply_gradients(pairs)

    def _caution(self) -> None:
        """Warn, once for what was compiled, of what no training can be meant to have."""
        cautions = self.objective.cautions
        if not self.tree.trainable and "nothing" not in cautions:
            cautions.add("nothing")
            advise(
                "%s: training changes nothing, because %s",
                self.objective.model.path,
                "all variables are frozen; set trainable = True on a layer that is meant to train"
                if self.tree.tensors
                else "there are no variables; make layers in __init__ and keep them as attributes, "
                "and variables with add_weight in build",
            )
        for layer in self.tree.cautious:
            said = caution_of(layer)
            if said is not None and said not in cautions:
                cautions.add(said)
                advise("%s", said)

    def warn_of_unreached(self, pairs: list[tuple[Tensor | None, Tensor]]) -> None:
        """Warn, once for what was compiled, of weights that should train and cannot."""
        objective = self.objective
        weights = [weight for gradient, weight in pairs if gradient is None]
        if not weights:
            return
        objective.has_warned_of_unreached = True
        advise(
            "%s: no gradient reaches %s, so that training leaves them as they are. Either nothing "
            "that the loss sees is made of their layer's output, or an activation or a call leaves "
            "the tape on the way: compute with evengrad operations, not with NumPy or detach(). If "
            "it is meant, set trainable = False on the layer",
            objective.model.path,
            ", ".join(path_of(weight) or "a weight" for weight in weights),
        )

    def _capture(self) -> bool:
        """Run and record the first step; False where it must run in Python."""
        snapshot = Snapshot(self.objective, self.tree)
        feed = self.batch.feed
        left = 0 if feed is None else feed.remaining
        try:
            with self.recorder() as self.recording:
                self._body()
        except BaseException as error:
            self.recording = None
            snapshot.restore()
            if feed is not None and feed.remaining < left:
                feed.back()
            if not isinstance(error, _core.CaptureError):
                raise
            self.eager = True
            advise(
                "%s: each step runs in Python, not as a captured plan, because a layer, loss or "
                "metric reads values of a tensor (%s). Results are the same; training is slower",
                self.objective.model.path,
                error,
            )
            return False
        return True


class ArraySource:
    """Epochs of mini-batches over arrays, gathered natively; the last step takes what is left.

    `shuffle` draws the order of each epoch; without it, rows come as they lie.
    """

    is_used_up = False
    # Who hears when steps are run, if anybody does.
    observer: Observer | None = None
    # What names the rows of batches of a size, and makes the steps over them.
    feed_for: Callable[[int], _core.Feed] = _core.Feed
    step_for: Callable[..., Step] = Step

    def __init__(
        self,
        data: Prepared,
        batch_size: int,
        *,
        training: bool,
        shuffle: _core.Generator | None = None,
        watch_loss: bool = False,
        resident: ResidentData | None = None,
        frozen: FrozenRows | None = None,
    ) -> None:
        self.objective: Objective = data.objective
        self.given = data
        # What frozen layers make of these rows, where that is kept: the steps' inputs then.
        self.frozen = frozen
        if frozen is not None:
            data = frozen.prepared()
        self.prepared = data
        self.rows = data.rows
        self.batch_size = min(batch_size, self.rows)
        self.shuffle = shuffle
        self.data = resident or ResidentData(*data.columns(), self.batch_size)
        sizes = [self.batch_size]
        if self.rows % self.batch_size:
            sizes.append(self.rows % self.batch_size)
        self.kinds: list[Step] = []
        for size in sizes:
            # What one batch shows holds for the other.
            alike = self.kinds[0] if self.kinds else None
            batch = Batch(self.data.tensors, data, self.feed_for(size))
            given = data.objective, batch, training, watch_loss, alike
            self.kinds.append(self.step_for(*given))
        # Steps that do the same and measure each layer, where somebody watches, and the batches of
        # such where their inputs are not those of the others.
        self.watched: list[Step] = []
        self._as_given: list[Batch] = []
        # Steps of an epoch, and of an order, at most.
        self.limits: tuple[int | None, int | None] = (None, None)
        # Whether the training comes to the last batch of an order.
        self.ends = True
        self.session = _core.Session(
            [(kind, kind.batch.feed) for kind in self.kinds],
            self.rows,
            # Metrics that forget in a way of their own are reset by `begin`.
            self.objective.states if self.objective.lies_in_states else [],
            shuffle,
            self.data.window,
            self.data.load,
        )

    @property
    def steps(self) -> int:
        """Steps of the epoch in progress, or else of the next one."""
        return self.session.steps_per_epoch or 0

    def limit(self, steps: int | None, drop_last: bool, epochs: int) -> None:
        """Have so many steps make an epoch, which goes on where the last one ended in the order.

        With `drop_last`, orders are of whole batches alone. There are to be so many epochs.
        """
        whole = self.rows // self.batch_size
        there = whole if drop_last else whole + len(self.kinds) - 1
        if drop_last:
            self.kinds = self.kinds[:1]
        self.limits = (steps, whole if drop_last else None)
        self.session.limit(*self.limits)
        if steps is None:
            return
        self.ends = steps * epochs >= there
        if there % steps and steps * epochs > there:
            advise(
                "%s: steps_per_epoch: %d is no divisor of the %d batches of the rows: each pass "
                "over them ends with an epoch of %d",
                self.objective.model.path,
                steps,
                there,
                there % steps,
            )

    def steps_of(self, epochs: int, start: int) -> int:
        """Return how many steps so many epochs have, the first from that step of an order on."""
        order = -(-self.rows // self.batch_size) if self.limits[1] is None else self.limits[1]
        steps, total = self.limits[0] or order, 0
        for _ in range(epochs):
            # The last epoch of an order has what is left of it.
            taken = min(steps, order - start)
            total, start = total + taken, (start + taken) % order
        return total

    @property
    def is_limited(self) -> bool:
        """Whether epochs or orders have fewer steps than there are batches."""
        return self.limits != (None, None)

    def twin(self, data: Prepared, shuffle: _core.Generator | None) -> ArraySource:
        """Return a source of the same steps, whose session and objective are its own."""
        # A window is filled anew, with the rows that the other session asks for.
        is_other = self.data.window < self.rows or self.frozen is not None
        resident = None if is_other else self.data
        settings: dict[str, Any] = {"training": True, "watch_loss": True, "resident": resident}
        other = ArraySource(data, self.batch_size, shuffle=shuffle, **settings)
        if self.is_limited:
            other.kinds = other.kinds[: len(self.kinds)]
            other.limits = self.limits
            other.session.limit(*self.limits)
        return other

    def describe(self, arrays: dict[str, Array]) -> Any:
        """Return what a checkpoint keeps of the data, beside the place in the epoch."""
        del arrays
        return {"epoch_start": self.session.epoch_start} if self.is_limited else None

    def go_on(self, step: int, described: Any, arrays: dict[str, Array]) -> None:
        """Go to a step of an epoch, whose order the generator draws next."""
        del arrays
        if described:
            self.session.seek(step, described["epoch_start"])
        elif step:
            self.session.seek(step)

    def become(self, data: Prepared) -> None:
        """Go by other inputs for the same rows from the next step on."""
        if self.observer is not None:
            self.observer.changes()
        self._hold(data)
        for kind in [*self.kinds, *self.watched]:
            kind.renew()
        self.session.forget()

    def batches_as_given(self) -> list[Batch]:
        """Return for each kind of step a batch of the same rows whose inputs are those given."""
        if self.frozen is None:
            return [kind.batch for kind in self.kinds]
        self._as_given = [Batch([], self.given, kind.batch.feed) for kind in self.kinds]
        self._hold(self.prepared)
        return self._as_given

    def _hold(self, data: Prepared) -> None:
        """Have these rows in the steps' memory, and the given ones beside them if they are used."""
        self.prepared, columns = data, data.columns()
        # The session has a hold of it.
        held = self.data
        held.__init__(*columns, self.batch_size)  # type: ignore[misc]
        if self._as_given:
            given = self.given.columns()
            held.beside = ResidentData(*given, self.batch_size)
            window = min(held.window, held.beside.window)
            if held.beside.window > window:
                held.beside = ResidentData(*given, self.batch_size, window)
            elif held.window > window:
                held.__init__(*columns, self.batch_size, window)  # type: ignore[misc]
            for batch in self._as_given:
                batch.tensors = held.beside.tensors
        for kind in self.kinds:
            kind.batch.__init__(held.tensors, data, kind.batch.feed)  # type: ignore[misc]
        self.session.set_window(held.window)

    def begin(self) -> None:
        """Have the figures of an epoch begin anew."""
        if not self.objective.lies_in_states:
            self.objective.reset()

    def has_more(self) -> bool:
        """Tell whether another epoch has batches: rows always do."""
        return True

    def has_next(self) -> bool:
        """Tell whether the epoch has another batch."""
        return self.session.step < self.steps

    def rehearse(self, data: Prepared) -> None:
        """Have layers refuse a smaller last batch now, not once steps have been made."""
        left, first = self.rows % self.batch_size, self.kinds[0]
        # Code that runs at each step anyway would see a batch that is none.
        strange = first.tree.has_code_of_users and not first.eager
        if len(self.kinds) > 1 and self.ends and (left == 1 or strange):
            rehearse(data, left)

    def make_ready(self) -> None:
        """See to it that the session makes the steps that are to be made now."""
        observer = self.observer
        if observer is not None:
            observer.begins()
        if self.frozen is not None:
            self.frozen.follow(self)
        kinds, now = self.kinds, None
        if self.watched:
            # All of them read the same.
            kinds, now = [*kinds, *self.watched], kinds[0].read()
        for kind in kinds:
            if not kind.is_current(now):
                if observer is not None:
                    observer.changes()
                kind.renew()
                self.session.forget()

    def run(self, until: Until) -> bool:
        """Run steps; return whether an epoch has ended."""
        self.make_ready()
        ended = self.session.run(until)
        if self.observer is not None:
            self.observer.ends(ended)
        return ended


def rehearse(data: Prepared, rows: int) -> None:
    """Run layers that may refuse a batch of so few rows on one, and put everything back.

    Of the layers of this package some refuse a single row; one of users may refuse any number.
    """
    objective = data.objective
    tree = objective.model.tree
    refuses = rows == 1 and any(needs_several_rows(layer) for _, layer in tree.layers)
    if not refuses and (objective.config.run_eagerly or not tree.has_code_of_users):
        return
    xs, ys, weights = Batch.whole(data.taken(slice(0, rows))).next()
    with _core.Access(tree.tensors, writes=True):
        snapshot = Snapshot(objective, tree)
        try:
            with no_grad():
                objective.loss_and_metrics(xs, ys, weights, tree, training=True)
        finally:
            snapshot.restore()
