"""`evaluate`, validation within `fit`, and steps on single batches."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from evengrad import _core
from evengrad._common.arrays import is_batches, is_list_of_batches
from evengrad.callbacks._callback import CallbackList, check_callbacks
from evengrad.training import _fingerprint
from evengrad.training._batches import BatchRunner, BatchSource
from evengrad.training._class_weights import refuse_balanced
from evengrad.training._data import count_or, prepare, shared_data, unpack_batch
from evengrad.training._feature_names import remember_names
from evengrad.training._loop import end_of, epoch_requests
from evengrad.training._progress import SILENT, show_logs, style
from evengrad.training._rank_figures import check_mergeable, merge_over_ranks, rows_of, shares
from evengrad.training._step import DEFAULT_BATCH, ArraySource, Snapshot, drive, right_to_train

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evengrad.distributed import Communicator
    from evengrad.training._data import Prepared
    from evengrad.training._frozen_rows import FrozenCache
    from evengrad.training._loop import Requests
    from evengrad.training._options import Options
    from evengrad.training._protocol import TrainableModel


class Evaluation:
    """Data to evaluate on, checked and converted once; of several ranks each has its rows."""

    def __init__(
        self,
        source: ArraySource | BatchSource,
        comm: Communicator | None = None,
        given: Prepared | None = None,
    ) -> None:
        self.source = source
        self.comm = comm
        # All rows, where the source has some of them.
        self.given = given

    def requests(self, callbacks: CallbackList) -> Requests[dict[str, Any] | None]:
        """Return the figures over all of the data; what steps of training tracked is lost.

        None where the session is stopped before: callbacks hear of no end then.
        """
        source = self.source
        callbacks.model.stop_evaluating = False
        callbacks.tell("on_test_begin", {})
        # Rows in arrays are judged by one net, whatever other threads do.
        model = source.objective.model if isinstance(source, ArraySource) else None
        with _core.Access([] if model is None else model.tree.tensors):
            if source.session.step:
                # A callback has stopped the last evaluation.
                source.session.seek(0)
            source.begin()
            ended = yield from epoch_requests(source, callbacks, "test")
        if source.session.stopped and not ended:
            return None
        assert source.objective is not None  # noqa: S101 - a first batch has bound it
        if self.comm is not None:
            merge_over_ranks(source.objective, self.comm)
        figures = source.objective.logs()
        callbacks.tell("on_test_end", figures)
        return figures

    def shown(self) -> str:
        """Return a fingerprint of the data."""
        if isinstance(self.source, BatchSource):
            return type(self.source.batches).__name__
        arrays, _ = (self.given or self.source.given).columns()
        return _fingerprint.shown([_fingerprint.of_array(a) for a in arrays])


def first_batches(data: Prepared, steps: int | None, size: int, argument: str) -> Prepared:
    """Return the rows of so many batches, the first; all of them where there is no limit."""
    if steps is None or (end := end_of(steps, size, data.rows, argument)) >= data.rows:
        return data
    return data.taken(slice(0, end))


def validation_for(
    model: TrainableModel,
    held: Prepared | None,
    options: Options,
    cache: FrozenCache | None = None,
) -> Evaluation:
    """Return what evaluates the rows that `fit` holds out, or else the data that it was given."""
    size = options.validation_batch_size or options.batch_size or DEFAULT_BATCH
    if held is not None:
        return _of_arrays(held, size, options, cache)
    data, steps = options.validation_data, options.validation_steps
    # Two inputs and two outputs look like two batches.
    one_input = not isinstance(model.input_shape, list)
    if is_batches(data) or (one_input and is_list_of_batches(data)):
        source = BatchSource(
            model,
            data,
            None,
            steps,
            training=False,
            check_finite=options.check_finite,
            name="validation_data",
            limited_by="validation_steps",
        )
        runs = options.validations()
        if source.once is not None and steps is None and runs > 1:
            raise ValueError(
                f"validation_data: an iterator can be passed over once, and validation runs {runs} "
                "times; pass validation_steps, the batches of each time, or an object that can be "
                "iterated anew"
            )
        return Evaluation(source)
    if not isinstance(data, (tuple, list)) or len(data) not in (2, 3):
        raise ValueError(
            "validation_data: expected (x, y), (x, y, sample_weight) or an iterable of batches"
        )
    try:
        prepared = prepare(model, *unpack_batch(data), check_finite=options.check_finite)
    except (TypeError, ValueError) as error:
        raise type(error)(f"validation_data: {error}") from error
    return _of_arrays(prepared, size, options, cache)


def _of_arrays(
    data: Prepared, size: int, options: Options, cache: FrozenCache | None
) -> Evaluation:
    """Return what evaluates as many batches of arrays as `fit` was asked for."""
    data = first_batches(data, options.validation_steps, size, "validation_steps")
    frozen = None if cache is None else cache.rows(data, "validation")
    if shares(options.comm, data.rows):
        return shared_evaluation(data, size, options.comm)
    held = None if options.shared is None else shared_data(data, size, options.shared)
    return Evaluation(ArraySource(data, size, training=False, resident=held, frozen=frozen))


def shared_evaluation(data: Prepared, size: int, comm: Communicator) -> Evaluation:
    """Return what evaluates a rank's rows of data, for figures of all of it."""
    check_mergeable(data.objective)
    own = data.taken(rows_of(data.rows, comm))
    return Evaluation(ArraySource(own, size, training=False), comm, data)


def evaluate(
    model: TrainableModel,
    x: Any,
    y: Any,
    batch_size: Any,
    verbose: Any,
    sample_weight: Any,
    steps: Any,
    callbacks: Any,
    check_finite: bool,
    comm: Communicator | None = None,
) -> dict[str, Any]:
    """Return loss and metrics; see `Model.evaluate`."""
    with tracking(model) as ours:
        size = count_or(DEFAULT_BATCH, batch_size, "batch_size")
        limit = count_or(None, steps, "steps")
        shown = SILENT if verbose == "auto" else style(verbose)
        listening = CallbackList(check_callbacks(callbacks), ours.public)
        if is_batches(x) or (y is None and is_list_of_batches(x)):
            batches = BatchSource(ours, x, None, limit, training=False, check_finite=check_finite)
            evaluation = Evaluation(batches)
        else:
            prepared = prepare(ours, x, y, sample_weight, check_finite=check_finite)
            prepared = first_batches(prepared, limit, size, "steps")
            if shares(comm, prepared.rows):
                evaluation = shared_evaluation(prepared, size, comm)
            else:
                evaluation = Evaluation(ArraySource(prepared, size, training=False))
        source = evaluation.source
        listening.set_params({"steps": source.steps, "verbose": shown})
        # A training in progress, whose callback asks, goes on with its own figures.
        objective = source.objective
        snapshot = None if objective is None else Snapshot(objective, tracked_alone=True)
        try:
            figures = drive(evaluation.requests(listening)) or {}
        finally:
            if snapshot is not None:
                snapshot.restore()
    if shown != SILENT:
        print(show_logs(figures), flush=True)  # noqa: T201 - asked for
    return figures


@contextlib.contextmanager
def tracking(model: TrainableModel) -> Iterator[TrainableModel]:
    """Return the model with an objective that no other thread tracks its figures in."""
    config = model.config()
    ours = _core.Access([config], writes=True)
    if not ours.try_enter():
        # Another thread trains or evaluates the model.
        yield model.with_config(config.apart())
        return
    try:
        yield model
    finally:
        ours.leave()


def on_batch(
    model: TrainableModel,
    x: Any,
    y: Any,
    sample_weight: Any,
    class_weight: Any,
    check_finite: bool,
    *,
    training: bool,
) -> dict[str, Any]:
    """Do one step on one batch; see `Model.train_on_batch`."""
    given = x, y, sample_weight, class_weight, check_finite, training
    if not training:
        with tracking(model) as ours:
            return _on_batch(ours, *given)
    config = model.config()
    right = right_to_train(model, alone=False)
    try:
        # One after the other, where several threads call this.
        with _core.Access([config], writes=True):
            return _on_batch(model, *given)
    finally:
        right.leave()


def _on_batch(
    model: TrainableModel,
    x: Any,
    y: Any,
    sample_weight: Any,
    class_weight: Any,
    check_finite: bool,
    training: bool,
) -> dict[str, Any]:
    refuse_balanced(class_weight)
    batch = prepare(model, x, y, sample_weight, class_weight, check_finite=check_finite)
    objective = batch.objective
    snapshot = Snapshot(objective, tracked_alone=True)
    try:
        objective.reset()
        runner = BatchRunner(training, steps=model.config().steps)
        runner.rehearse(batch)
        if training and batch.names is not None:
            remember_names(model, batch.names)
        runner.run(batch)
        return objective.logs()
    finally:
        snapshot.restore()


def as_list(logs: dict[str, Any]) -> Any:
    """Return figures as Keras does: the loss alone, or a list that begins with it."""
    values = list(logs.values())
    return values[0] if len(values) == 1 else values
