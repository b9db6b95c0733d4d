"""`fit` by several ranks: each makes its part of every step, and all decide alike."""

from __future__ import annotations

import math
import signal
import time
import zlib
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from evengrad import _core
from evengrad.callbacks import TerminateOnNaN
from evengrad.callbacks._callback import CallbackList, check_callbacks, overrides
from evengrad.distributed import Communicator, DistributedError
from evengrad.optimizers._optimizer import counts_of, numbers_of, set_numbers
from evengrad.training import _fingerprint
from evengrad.training._checkpointing import Checkpointing, CheckpointOptions
from evengrad.training._fit import TURN, Training, fit
from evengrad.training._rank_figures import check_mergeable, check_shareable, merge_over_ranks
from evengrad.training._sharded_step import ShardedSource
from evengrad.training._signals import GracefulStop
from evengrad.training._step import DEFAULT_BATCH, ArraySource

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from evengrad.callbacks import Callback, History
    from evengrad.training._checkpoint_folder import Checkpoint, Position
    from evengrad.training._data import Array, Prepared
    from evengrad.training._objective import Objective
    from evengrad.training._options import Options
    from evengrad.training._protocol import PublicModel, TrainableModel

T = TypeVar("T")

# After these, what callbacks of rank 0 have decided holds for all ranks.
DECIDING = ("on_train_begin", "on_epoch_begin", "on_epoch_end", "on_train_end")


def fit_on_ranks(model: TrainableModel, x: Any, y: Any, options: Options) -> History:
    """Train a model on several ranks; see `Model.fit`."""
    comm = options.comm
    assert comm is not None  # noqa: S101 - what the caller has looked at
    callbacks = check_callbacks(options.callbacks)
    refuse(callbacks, options, comm)
    if comm.rank:
        options.callbacks = [one for one in callbacks if one.all_ranks]
        options.verbose = 0
    # What is built, and every random number, follows from the seed.
    seed, draws = comm.broadcast((model.seed(), model.shuffle().draws))
    if model.given_seed() is None and model.seed() != seed:
        model.set_seed(seed)
        model.shuffle().draws = draws
    return fit(model, x, y, options, RankTraining, partial(RankCheckpointing, comm))


def refuse(callbacks: list[Callback], options: Options, comm: Communicator) -> None:
    """Raise an error for what several ranks cannot do."""
    for one in callbacks:
        if overrides(one, "_on_non_finite") and not isinstance(one, TerminateOnNaN):
            raise ValueError(
                f"callbacks: {type(one).__name__} follows the steps of one process, and there are "
                f"{comm.size} ranks; leave it out, and call model.diagnose before, on one of them"
            )
    if options.cache_frozen:
        raise ValueError(
            "cache_frozen: expected False with several ranks; compute the outputs of the frozen "
            "layers before, and train the rest on them"
        )
    size = options.batch_size or DEFAULT_BATCH
    if size < comm.size:
        raise ValueError(
            f"batch_size: expected at least a row for each of {comm.size} ranks, got {size}; the "
            "batch is shared by all ranks"
        )


def together(comm: Communicator, work: Callable[[], T]) -> T:
    """Have rank 0 do something, and every rank get its result, or an error that tells of it."""
    result: Any = None
    error: Exception | None = None
    if comm.rank == 0:
        try:
            result = work()
        except Exception as raised:  # noqa: BLE001 - is raised again, on all ranks
            error = raised
    told = comm.broadcast(None if error is None else f"{type(error).__name__}: {error}")
    if told is not None:
        raise DistributedError(f"rank 0 has failed, and all end: {told}") from error
    shared: T = comm.broadcast(result)
    return shared


def digest_of(model: TrainableModel) -> list[int]:
    """Return a checksum of each variable."""
    tensors = [weight.tensor.detach().numpy() for _, weight in model.tree.weights]
    return [
        zlib.crc32(np.ascontiguousarray(one).reshape(-1).view(np.uint8).data) for one in tensors
    ]


class RankCallbacks(CallbackList):
    """The callbacks of one rank, whose decisions are rank 0's."""

    def __init__(
        self,
        callbacks: list[Callback],
        model: PublicModel,
        decide: Callable[[], None],
    ) -> None:
        super().__init__(callbacks, model)
        self.decide = decide
        # Steps are not examined: a loss that is no number is looked for between them.
        self.watches_loss = False

    def tell(self, hook: str, *args: Any) -> None:
        """Call one method of each."""
        super().tell(hook, *args)
        if hook in DECIDING:
            self.decide()


class AgreedStop(GracefulStop):
    """A signal that one rank gets takes effect when all have heard of it."""

    def __init__(self) -> None:
        super().__init__(lambda: None)
        self.pending: signal.Signals | None = None

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.pending is None:
            super()._receive(number, frame)
            self.pending, self.received = self.received, None
        else:
            self.received = self.pending
            super()._receive(number, frame)


class RankCheckpointing(Checkpointing):
    """Checkpoints that rank 0 writes and all ranks read."""

    def __init__(
        self, comm: Communicator, options: CheckpointOptions, model: TrainableModel
    ) -> None:
        self.comm = comm
        super().__init__(options, model)
        self.remove_at_end = self.remove_at_end and comm.rank == 0

    def _open(self, resume: bool | str) -> Checkpoint | None:
        mine: list[Checkpoint | None] = []

        def opened() -> Position | None:
            found = super(RankCheckpointing, self)._open(resume)
            mine.append(found)
            return None if found is None else found.position

        position = together(self.comm, opened)
        if mine or position is None:
            found = mine[0] if mine else None
            trouble = None
        else:
            found, trouble = self._read(position)
        troubles = self.comm.gather(trouble)
        for rank, said in enumerate(troubles):
            if said is not None:
                raise DistributedError(
                    f"checkpoint: rank {rank} cannot read what rank 0 has found: {said}; the "
                    "folder must be one that all ranks see"
                )
        return found

    def _read(self, position: Position) -> tuple[Checkpoint | None, str | None]:
        try:
            return self.folder.read(position), None
        except (OSError, ValueError) as error:
            return None, str(error)

    def count(self, steps: int, epochs: int = 0) -> bool:
        """Count what was done; tell whether a checkpoint is due, by the clock of rank 0."""
        due = super().count(steps, epochs)
        return bool(self.comm.broadcast(due)) if self.every.seconds else due

    def _write(
        self, position: Position, description: dict[str, Any], arrays: dict[str, Array]
    ) -> None:
        write = super()._write
        together(self.comm, lambda: write(position, description, arrays))


class RankTraining(Training):
    """One call of `fit` on one of several ranks."""

    def __init__(self, model: TrainableModel, x: Any, y: Any, options: Options, *rest: Any) -> None:
        assert options.comm is not None  # noqa: S101 - as in `fit_on_ranks`
        self.comm = options.comm
        # Steps until all ranks look at each other again, and the time of the last look.
        self._chunk, self._looked = 1, time.monotonic()
        self._is_to_stop = False
        self._digest: list[int] = []
        self.callbacks_for = partial(RankCallbacks, decide=self._decide)
        super().__init__(model, x, y, options, *rest)
        if self.comm.rank:
            # Rank 0 says it.
            self._is_sound = False
        if self.checkpointing is not None:
            self.signals = AgreedStop()
        self._singly = self.comm.broadcast(self.callbacks.wants_batches("train"))
        self._terminates = self.comm.broadcast(
            any(isinstance(one, TerminateOnNaN) for one in self.users)
        )
        self._begin_alike()

    def _source(self, x: Any, data: Prepared | None) -> ArraySource:
        options = self.options
        if data is None:
            raise TypeError(
                "x: expected arrays with several ranks, which share their rows, got an iterable of "
                f"batches ({type(x).__name__})"
            )
        size = options.batch_size or DEFAULT_BATCH
        order = self.model.shuffle() if options.shuffle else None
        shared: dict[str, Any] = {
            "ranks": self.comm,
            "sync_batch_norm": options.sync_batch_norm,
        }
        rows = ShardedSource(data, size, shuffle=order, **shared)
        if options.steps_per_epoch is not None or options.drop_last:
            epochs = options.epochs - options.initial_epoch
            rows.limit(options.steps_per_epoch, options.drop_last, epochs)
        rows.rehearse(data)
        check_mergeable(rows.objective)
        check_shareable(rows.objective)
        return rows

    # ---- alike on all ranks

    def _begin_alike(self) -> None:
        """Have all ranks begin with rank 0's variables; raise an error where they differ else."""
        comm, model = self.comm, self.model
        source = self.source
        assert isinstance(source, ArraySource)  # noqa: S101 - what `_source` has made
        facts = {
            **_fingerprint.of_model(model),
            **_fingerprint.of_config(model.config()),
            **_fingerprint.of_options(self.options),
            **_fingerprint.of_data(source.given, ""),
            "epochs": str(self.options.epochs),
            "sync_batch_norm": str(self.options.sync_batch_norm),
            "validation": "none" if self.validation is None else self.validation.shown(),
            "updates of the optimizer": str(tuple(counts_of(model.config().optimizer))),
        }
        every = comm.gather(facts)
        for rank, other in enumerate(every):
            names = [*every[0], *(name for name in other if name not in every[0])]
            for name in names:
                ours, theirs = every[0].get(name, "absent"), other.get(name, "absent")
                if ours != theirs:
                    raise DistributedError(
                        f"fit: ranks train different things: {name}: {ours} on rank 0, {theirs} on "
                        f"rank {rank}; have all run the same script on the same data"
                    )
        self._share_weights()

    def _share_weights(self) -> None:
        """Have all ranks have rank 0's variables."""
        tensors = [weight.tensor.detach() for _, weight in self.model.tree.weights]
        first = self.comm.rank == 0
        values = self.comm.broadcast([np.array(t.numpy()) for t in tensors] if first else None)
        if not first:
            with _core.Access(self.model.tree.tensors, writes=True):
                for tensor, value in zip(tensors, values, strict=True):
                    tensor.copy_(value)
        self._digest = digest_of(self.model)

    def _check_alike(self) -> None:
        """Raise an error where ranks have come to different variables."""
        self._digest = digest_of(self.model)
        every = self.comm.gather(self._digest)
        for rank, digests in enumerate(every):
            paths = [path for path, _ in self.model.tree.weights]
            for path, ours, theirs in zip(paths, every[0], digests, strict=True):
                if ours != theirs:
                    raise DistributedError(
                        f"fit: {path} of rank {rank} differs from that of rank 0 after epoch "
                        f"{self.epoch}: something in the model or its callbacks goes by the rank, "
                        "or by random numbers that do not follow from the seed"
                    )

    def _decide(self) -> None:
        """Have what callbacks of rank 0 have decided hold for all ranks."""
        comm, public = self.comm, self.model.public
        optimizer = self.model.config().optimizer
        may_change = any(not one.is_passive for one in self.users)
        changed = comm.rank == 0 and may_change and digest_of(self.model) != self._digest
        decided = (public.stop_training, numbers_of(optimizer), changed)
        public.stop_training, numbers, changed = comm.broadcast(decided)
        if comm.rank:
            set_numbers(optimizer, numbers)
        if changed:
            self._share_weights()

    # ---- steps

    @property
    def _epochs_at_a_time(self) -> int:
        # All ranks look at each other within each epoch.
        return 0

    def _until(self) -> _core.Steps:
        """Return after how many steps all ranks look at each other."""
        return _core.Steps(self._chunk)

    def _after_steps(self, ended: bool) -> bool:
        """Give everybody a turn; return whether the epoch is to be left."""
        session, objective = self.source.session, self.source.objective
        assert objective is not None  # noqa: S101 - there are arrays
        done = session.last_epoch_steps if ended else session.step
        steps, self._noted = done - self._noted, done
        if self.turns is not None:
            self.turns.give()
        self._agree(steps, objective)
        leaves = self._is_to_stop or self.signals.received is not None
        due = self.checkpointing is not None and self.checkpointing.count(steps)
        if due and not ended and self.checkpointing and not self.checkpointing.every.epochs:
            self._save()
        if ended or self._is_to_stop:
            merge_over_ranks(objective, self.comm)
            self._check_alike()
        elif self.progress.timed and self.progress.is_due:
            # Of the rows of rank 0, until the epoch ends.
            self.progress.update(done, objective.logs())
        return leaves

    def _agree(self, steps: int, objective: Objective) -> None:
        """Have all ranks know what one of them knows, and when they look again."""
        public = self.model.public
        now = time.monotonic()
        spent, self._looked = now - self._looked, now
        wanted = float(public.steps_per_execution)
        if not self._singly:
            each = spent / max(1, steps)
            wanted = max(1.0, min(TURN / max(each, 1e-9), 4.0 * steps))
            if self.turns is not None:
                wanted = min(wanted, self.turns.steps_left())
            if self.checkpointing is not None:
                wanted = min(wanted, self.checkpointing.steps_left)
        pending = self.signals.pending if isinstance(self.signals, AgreedStop) else None
        is_first = self.comm.rank == 0
        stops = is_first and self.callbacks.wants_batches("train") and public.stop_training
        known = np.array(
            [
                wanted if is_first else 0.0,
                float(stops),
                float(pending or 0),
                float(not math.isfinite(objective.loss.result())),
            ]
        )
        self.comm.all_reduce(known, "max")
        self._chunk = max(1, int(known[0]))
        self._is_to_stop = bool(known[1])
        if known[2] and self.signals.received is None:
            self.signals.received = signal.Signals(int(known[2]))
        if known[3] and self._terminates:
            public.stop_training = self._is_to_stop = True

    @property
    def _stops_within(self) -> bool:
        return self._is_to_stop

    # ---- checkpoints

    def _go_on(self, checkpointing: Checkpointing) -> bool:
        resumed = super()._go_on(checkpointing)
        if resumed and self.comm.rank and self.source.objective is not None:
            # Rank 0 has the figures of all ranks so far.
            self.source.objective.reset()
        self._digest = digest_of(self.model)
        return resumed

    def _save(self) -> None:
        objective = self.source.objective
        if self.checkpointing is None or objective is None:
            return
        within = bool(self.source.session.step)
        kept = [np.array(state.numpy()) for state in objective.states] if within else []
        if within:
            merge_over_ranks(objective, self.comm)
        super()._save()
        for state, values in zip(objective.states, kept, strict=False):
            state.copy_(values)
