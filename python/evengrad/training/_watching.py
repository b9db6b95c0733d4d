"""Watched steps: what they measure of each layer, and who gets it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core
from evengrad._tensor.grad_mode import no_grad
from evengrad.callbacks._callback import BETWEEN_STEPS, overrides
from evengrad.health._examination import DataFacts, Observed, TrainingFacts
from evengrad.health._watch import Uses, Watch
from evengrad.layers._call_context import call_context
from evengrad.losses._crossentropy import CrossEntropy
from evengrad.optimizers._optimizer import rate_of
from evengrad.training._step import Batch, Snapshot, Step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evengrad._core import Tensor
    from evengrad.callbacks._callback import Callback
    from evengrad.layers._module import ModuleTree
    from evengrad.training._data import Prepared
    from evengrad.training._loop import BroughtSource
    from evengrad.training._objective import Objective
    from evengrad.training._protocol import TrainableModel
    from evengrad.training._step import ArraySource

    Array = np.ndarray[Any, Any]

# Rows and numbers of a layer that a histogram of its outputs is made of, and its bars.
ROWS_OF_HISTOGRAMS, MOST_OF_HISTOGRAMS, BARS = 256, 2**16, 32
# What callbacks hear of within a training.
WITHIN = tuple(name for name in BETWEEN_STEPS if name != "on_train_begin")
# Rows of the data that facts are taken from.
LOOKED_AT = 1024
# Beyond this ratio of mean square to variance, half of the digits of a difference would be lost.
FAR = 1e6
# Up to so many different whole numbers are classes.
MOST_CLASSES = 1000
# Seconds between two looks at what was measured.
BETWEEN_VISITS = 0.2
# Samples that are taken in at one look at most, evenly apart: of more, none would be kept for long.
MOST_AT_A_TIME = 512


class WatchedStep(Step):
    """A step that does what another kind does, with the same bits, and measures each layer."""

    def __init__(self, plain: Step, batch: Batch, watch: Watch, alike: Step | None = None) -> None:
        super().__init__(plain.objective, batch, True, plain.watch_loss, alike)
        self.eager = self.eager or plain.eager
        self.watch = watch

    def renew(self) -> None:
        """Forget what was captured, and the figures of what may train no more."""
        super().renew()
        self.watch.clear()

    def _body(self) -> None:
        watch, objective = self.watch, self.objective
        pairs = self.measure(objective, self.batch, self.tree, watch, self.watch_loss)
        if not pairs:
            return
        if not objective.has_warned_of_unreached:
            self.warn_of_unreached(pairs)
        watch.before_update()
        objective.config.optimizer.apply_gradients(pairs)
        watch.after_update()

    @staticmethod
    def measure(
        objective: Objective,
        batch: Batch,
        tree: ModuleTree,
        watch: Watch,
        watch_loss: bool = False,
    ) -> list[tuple[Tensor | None, Tensor]]:
        """Run a batch forward and back under a watch; return the gradients, for an update."""
        xs, ys, weights = batch.next()
        with watch.looking():
            loss = objective.loss_and_metrics(
                xs, ys, weights, tree, training=True, watch_loss=watch_loss
            )
        parameters = tree.trainable
        if not parameters:
            return []
        optimizer = objective.config.optimizer
        pairs = optimizer.compute_gradients(loss, [*parameters, *watch.deltas])
        own = pairs[: len(parameters)]
        watch.note_gradients(loss, own, pairs[len(parameters) :])
        return own


def run_over(data: Prepared) -> None:
    """Run the model over rows as it answers, for who looks at its layers; nothing changes."""
    objective, tree = data.objective, data.objective.model.tree
    xs, _, _ = Batch.whole(data).next()
    penalties, call_context.penalties = call_context.penalties, []
    with _core.Access(tree.tensors, writes=True):
        # Layers that are drawn with training=True make noise all the same.
        snapshot = Snapshot(objective, tree)
        try:
            with no_grad():
                objective.model.forward(xs, False, objective.without_activation)
        finally:
            call_context.penalties = penalties
            snapshot.restore()


def uses_in(data: Prepared) -> Uses:
    """Return how often a pass over a row of the data calls each layer."""
    uses = Uses()
    with uses.counting():
        run_over(data.taken(slice(0, 1)))
    return uses


def data_facts(data: Prepared) -> DataFacts:
    """Return what the first rows of the data tell."""
    rows = min(data.rows, LOOKED_AT)
    first = data.taken(slice(0, rows))
    x, y = np.asarray(first.xs[0]), np.asarray(first.ys[0])
    flat = x.reshape(len(x), -1) if x.dtype.kind == "f" else np.zeros((len(x), 0))
    mean, std, non_finite = moments_of(flat)
    kind, classes = kind_of_targets(y)
    numbers = y[np.isfinite(y)] if y.dtype.kind == "f" else y
    return DataFacts(
        rows=rows,
        mean=mean,
        std=std,
        non_finite_inputs=non_finite,
        non_finite_targets=int((~np.isfinite(y)).sum()) if y.dtype.kind == "f" else 0,
        targets=kind,
        target_mean=float(numbers.mean()) if numbers.size else 0.0,
        target_std=float(numbers.std()) if numbers.size else 0.0,
        target_low=float(numbers.min()) if numbers.size else np.nan,
        target_high=float(numbers.max()) if numbers.size else np.nan,
        classes=classes,
    )


def moments_of(x: Array) -> tuple[Array, Array, int]:
    """Return mean and standard deviation of each column's finite numbers, and how many are not."""
    finite = np.isfinite(x)
    if finite.all():
        mean = x.mean(axis=0, dtype=np.float64)
        square = np.einsum("ij,ij->j", x, x, dtype=np.float64) / max(1, len(x))
        # Where the mean is far off the spread, the difference of squares would not be exact.
        far = square > FAR * (square - mean**2)
        std = np.sqrt(np.maximum(square - mean**2, 0.0))
        std[far] = x[:, far].std(axis=0, dtype=np.float64)
        return mean, std, 0
    shown = np.where(finite, x, 0.0).astype(np.float64)
    count = np.maximum(finite.sum(axis=0), 1)
    mean = shown.sum(axis=0) / count
    apart = np.where(finite, shown - mean, 0.0)
    return mean, np.sqrt((apart**2).sum(axis=0) / count), int((~finite).sum())


def kind_of_targets(y: Array) -> tuple[str, int]:
    """Return what targets are, and of how many classes."""
    columns = y.shape[-1] if y.ndim > 1 else 1
    values = np.unique(y[np.isfinite(y)] if y.dtype.kind == "f" else y)
    if columns > 1 and set(values.tolist()) <= {0.0, 1.0}:
        return "classes", columns
    if columns == 1 and set(values.tolist()) <= {0.0, 1.0}:
        return "binary", 2
    if columns == 1 and y.dtype.kind in "iub" and len(values) <= MOST_CLASSES:
        return "classes", int(values.max()) + 1 if len(values) else 0
    return "numbers", 0


def training_facts(objective: Objective, batch_size: int) -> TrainingFacts:
    """Return how a model was compiled."""
    optimizer = objective.config.optimizer
    output = objective.outputs[0]
    loss = output.loss
    given = loss.from_logits if isinstance(loss, CrossEntropy) else None
    return TrainingFacts(
        optimizer=type(optimizer).__name__,
        learning_rate=rate_of(optimizer, int(optimizer.iterations)),
        loss=type(loss).__name__,
        batch_size=batch_size,
        momentum=float(getattr(optimizer, "momentum", 0.0) or 0.0),
        clips=clips(optimizer),
        from_logits=given,
    )


def clips(optimizer: Any) -> bool:
    """Tell whether an optimizer clips gradients."""
    names = ("clipnorm", "clipvalue", "global_clipnorm")
    return any(getattr(optimizer, name, None) is not None for name in names)


class Watching:
    """The watch over one training: which steps are watched, and what they have measured."""

    def __init__(
        self, model: TrainableModel, doctors: Sequence[Callback], first_epoch: int
    ) -> None:
        self.model = model
        self.doctors = doctors
        asked = [one.watch_every for one in doctors if isinstance(one.watch_every, int)]
        self.every = min(asked, default=None)
        self.first_epoch = first_epoch
        self._visited = time.perf_counter()
        # Where epochs are short, several lie between two visits: doubled until they take so long.
        self.epochs_at_a_time = 1
        self.watch: Watch | None = None
        self.data: DataFacts | None = None
        # Rows that activations are looked at over in the end.
        self.sample: Prepared | None = None
        self.training: TrainingFacts | None = None
        # The optimizer's count of updates before the first step.
        self.first_update = 0
        # What drives the steps, and keeps the records of watched ones.
        self.session: _core.Session | None = None
        # Steps of an epoch, where all have as many.
        self.of_epoch: int | None = None

    def begin(self, data: Prepared, batch_size: int | None = None) -> Watch:
        """Return the watch for data like this, made at its first call."""
        if self.watch is None:
            objective = data.objective
            self.watch = Watch(self.model.layer_facts(), uses_in(data), self.model.tree.trainable)
            self.first_update = int(objective.config.optimizer.iterations)
            self.data = data_facts(data)
            self.sample = data.taken(slice(0, min(data.rows, ROWS_OF_HISTOGRAMS)))
            self.training = training_facts(objective, batch_size or data.rows)
        return self.watch

    def over_rows(self, source: ArraySource, data: Prepared) -> None:
        """Have a source over rows watch its steps."""
        watch = self.begin(data, source.batch_size)
        # All layers are looked at, those too whose outputs are kept.
        for kind, batch in zip(source.kinds, source.batches_as_given(), strict=True):
            alike = source.watched[0] if source.watched else None
            source.watched.append(WatchedStep(kind, batch, watch, alike))
        self.session = source.session
        self.session.watch(source.watched, watch.record, self.every)
        if not source.is_limited:
            self.of_epoch = source.session.steps_per_epoch

    def over_batches(self, source: BroughtSource, first: Prepared) -> None:
        """Have a source over batches that Python brings watch its steps; the first is known."""
        self.session = source.session
        self.session.watch([], self.begin(first).record, self.every)

    @property
    def is_due(self) -> bool:
        """Whether the coming step, over a batch that Python brings, is watched."""
        return self.session is not None and self.session.is_watched

    # ---- what was measured

    def is_quiet(self, users: Sequence[Callback]) -> bool:
        """Tell whether callbacks but watch, and need not hear at each epoch's end."""
        return self.every is None and all(
            one.watch_every is not None
            and not one.acts
            and not any(overrides(one, hook) for hook in WITHIN)
            for one in users
        )

    def visit(self, epoch: int, curves: dict[str, list[float]], *, now: bool = False) -> None:
        """Have the doctors see what was measured up to the end of an epoch.

        Where epochs are short, not after each of them, unless steps are asked for by their numbers
        or a doctor acts on what it finds.
        """
        began = time.perf_counter()
        waits = self.every is None and not any(doctor.acts for doctor in self.doctors)
        if waits and not now and began - self._visited < BETWEEN_VISITS:
            self.epochs_at_a_time *= 2
            return
        observed = self.observed(epoch, curves)
        if observed is not None:
            if now:
                observed.is_last, observed.histograms = True, self._histograms()
            for doctor in self.doctors:
                doctor._on_watched(observed)  # noqa: SLF001 - told as of all that happens
        self._visited = time.perf_counter()

    def _histograms(self) -> tuple[Array, Array] | None:
        """Return counts of the outputs of each layer, and the edges between them."""
        if self.watch is None or self.sample is None:
            return None
        with self.watch.collecting() as outputs:
            run_over(self.sample)
        counts = np.zeros((len(outputs), BARS))
        edges = np.full((len(outputs), BARS + 1), np.nan)
        for at, output in enumerate(outputs):
            finite = output[np.isfinite(output)][:MOST_OF_HISTOGRAMS]
            if finite.size:
                counts[at], edges[at] = np.histogram(finite, bins=BARS)
        return counts, edges

    def observed(self, epoch: int, curves: dict[str, list[float]]) -> Observed | None:
        """Return what was measured since the last time; None where nothing was."""
        watch = self.watch
        if watch is None or self.session is None or self.training is None:
            return None
        steps, values = self.session.samples()
        rows = len(steps) * self.training.batch_size
        if not len(steps):
            values = np.zeros((0, watch.record.shape[0]))
        apart = max(1, -(-len(steps) // MOST_AT_A_TIME))
        steps, values = steps[::apart], values[::apart]
        optimizer = self.model.config().optimizer
        updates = self.first_update + steps // (optimizer.gradient_accumulation_steps or 1)
        norms = watch.gradient_norms(values)
        figures = {
            "step": updates,
            "epoch": self._epochs_of(steps, epoch),
            "loss": watch.losses(values),
            "learning_rate": np.array([rate_of(optimizer, int(n)) for n in updates]),
            "gradient_norm": norms,
            "clipped": clipped_share(optimizer, norms),
            **watch.decode(values),
        }
        return Observed(
            layers=tuple(one.facts for one in watch.watched),
            training=self.training,
            data=self.data,
            figures=figures,
            lived=watch.take_lived(),
            rows=rows,
            epoch=epoch,
            curves=curves,
        )

    def _epochs_of(self, steps: Array, epoch: int) -> Array:
        if not self.of_epoch:
            return np.full(len(steps), epoch)
        found: Array = np.minimum(self.first_epoch + steps // self.of_epoch, epoch)
        return found


def clipped_share(optimizer: Any, norms: Array) -> Array:
    """Return what clipping by the global norm has left of each gradient; NaN if unknown."""
    limit = getattr(optimizer, "global_clipnorm", None)
    if limit is not None:
        with np.errstate(divide="ignore", invalid="ignore"):
            left: Array = np.minimum(1.0, limit / norms)
        return left
    return np.full(len(norms), np.nan if clips(optimizer) else 1.0)
