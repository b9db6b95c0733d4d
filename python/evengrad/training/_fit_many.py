"""`fit_many`: several models trained at once, each on one thread."""

from __future__ import annotations

import contextlib
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evengrad import _core
from evengrad._common.checks import check_int
from evengrad.callbacks._callback import check_callbacks
from evengrad.layers._module import state_of
from evengrad.training._data import refuse_batches
from evengrad.training._fit import NO_PROGRESS, Training, check
from evengrad.training._options import Options
from evengrad.training._progress import BAR, INTERVAL, LINES, SILENT, show_logs, style
from evengrad.training._side_by_side import TrainingLane, run_lanes
from evengrad.training._step import right_to_train

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evengrad.callbacks import Callback, History
    from evengrad.training._protocol import TrainableModel

HALVING = "halving"
VALIDATION_LOSS = "val_loss"


@dataclass(eq=False)
class ManyOptions:
    """The arguments of `fit_many` after the models, by the names that they have there."""

    x: Any
    y: Any
    batch_size: Any
    epochs: Any
    validation_data: Any
    sample_weight: Any
    callbacks: Any
    stop: Any
    n_threads: Any
    verbose: Any


@contextlib.contextmanager
def named(place: int) -> Iterator[None]:
    """Have errors say which of the models they are about."""
    try:
        yield
    except (TypeError, ValueError, RuntimeError) as error:
        raise type(error)(f"models[{place}]: {error}") from error


# ---- one for all, or one each


def is_data(value: Any) -> bool:
    """Tell whether something is an array, or some: not a number, nor a row as a list."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return any(one is not None and is_data(one) for one in value)
    return bool(getattr(value, "shape", ())) or hasattr(value, "columns")


def is_one_each(value: Any, count: int, parts: int) -> bool:
    """Tell whether something is a list with data for each model, each of so many parts."""
    if not isinstance(value, list) or len(value) != count:
        return False
    given = [one for one in value if one is not None]
    if parts > 1:
        # A list of arrays is what a single model takes.
        given = [one for one in given if isinstance(one, (list, tuple, dict))]
        return len(given) == count and all(map(is_data, given))
    return bool(given) and all(map(is_data, given))


def each(value: Any, count: int, parts: int = 1) -> list[Any]:
    """Return what each model gets: one of a list, or the same."""
    return list(value) if is_one_each(value, count, parts) else [value] * count


def validation_each(value: Any, count: int) -> list[Any]:
    """Return the validation data of each model."""
    pairs = isinstance(value, list) and len(value) == count
    if pairs and all(one is None or isinstance(one, (tuple, list)) for one in value):
        return list(value)
    return [value] * count


def callbacks_each(callbacks: Any, count: int) -> list[list[Callback]]:
    """Return the callbacks of each model, or raise an error where one is there for two."""
    if callbacks is None:
        return [[] for _ in range(count)]
    if not isinstance(callbacks, (list, tuple)) or len(callbacks) != count:
        raise ValueError(
            f"callbacks: expected a list of callbacks for each of the {count} models, as in "
            "[[EarlyStopping()], [EarlyStopping()]]; a callback keeps to one training"
        )
    lists = []
    known: dict[int, int] = {}
    for place, given in enumerate(callbacks):
        with named(place):
            found = check_callbacks(given)
        for one in found:
            other = known.setdefault(id(one), place)
            if other != place:
                raise ValueError(
                    f"callbacks[{place}]: expected callbacks of its own, got the "
                    f"{type(one).__name__} of callbacks[{other}], which keeps to one training"
                )
        lists.append(found)
    return lists


# ---- what models may not have in common


def refuse_shared(models: list[TrainableModel]) -> None:
    """Raise a ValueError where a model is there twice, or two have a variable in common."""
    of_model: dict[int, int] = {}
    owners: dict[int, int] = {}
    for place, model in enumerate(models):
        other = of_model.setdefault(id(model.public), place)
        if other != place:
            raise ValueError(
                f"models[{place}]: expected another model, got models[{other}] again; model.clone()"
                " makes one like it"
            )
        tree = model.tree
        for layer in [layer for _, layer in tree.layers]:
            state = state_of(layer)
            holds = state.weights or state.generators or not state.built
            other = owners.setdefault(id(layer), place) if holds else place
            if other != place:
                raise ValueError(
                    f"models[{place}]: expected layers of its own, got {layer.path} of "
                    f"models[{other}]: both would train its variables at once; clone one of the "
                    "models, or train one after the other"
                )
        for weight in tree.tensors:
            other = owners.setdefault(id(weight), place)
            if other != place:
                raise ValueError(
                    f"models[{place}]: expected variables of its own, got one of models[{other}]: "
                    "both would train it at once; train one after the other"
                )


# ---- progress


class ManyProgress:
    """One bar over all trainings, or a line for each one that ends."""

    def __init__(self, shown: int) -> None:
        self.style = shown
        self._bar: Any = None
        self._shown, self._told = 0.0, set[int]()

    def __call__(self, lanes: list[TrainingLane]) -> None:
        """Show how far the trainings are."""
        if self.style == LINES:
            self._write(lanes)
        elif time.perf_counter() - self._shown >= INTERVAL:
            self._draw(lanes)

    def _write(self, lanes: list[TrainingLane]) -> None:
        for lane in lanes:
            if lane.has_ended and lane.place not in self._told:
                self._told.add(lane.place)
                logs = show_logs(lane.training.logs)
                print(  # noqa: T201 - asked for
                    f"model {lane.place + 1}/{len(lanes)}  epoch {lane.training.epoch}/{lane.last}"
                    f"  {logs}",
                    flush=True,
                )

    def _draw(self, lanes: list[TrainingLane]) -> None:
        if self._bar is None:
            from tqdm.auto import tqdm

            epochs = sum(lane.last - lane.first for lane in lanes)
            self._bar = tqdm(total=max(epochs, 1), desc=f"{len(lanes)} models", unit="epoch")
        self._bar.n = round(sum(lane.epochs_done for lane in lanes), 1)
        ended = sum(lane.has_ended for lane in lanes)
        self._bar.set_postfix_str(f"{ended} ended", refresh=False)
        self._bar.refresh()
        self._shown = time.perf_counter()

    def close(self, lanes: list[TrainingLane]) -> None:
        """Leave the terminal in order."""
        if self.style == LINES:
            self._write(lanes)
        elif self.style == BAR:
            self._draw(lanes)
            self._bar.close()


# ---- halving


def halve(lanes: list[TrainingLane]) -> None:
    """End the half of some trainings whose validation loss is larger."""

    def rank(lane: TrainingLane) -> tuple[bool, float]:
        loss = lane.training.history.history[VALIDATION_LOSS][-1]
        return not math.isfinite(loss), loss if math.isfinite(loss) else 0.0

    ranked = sorted(lanes, key=rank)
    for number, lane in enumerate(ranked[(len(ranked) + 1) // 2 :], (len(ranked) + 1) // 2 + 1):
        training = lane.training
        loss = training.history.history[VALIDATION_LOSS][-1]
        training.history.ended_by = (
            f"halving after {training.epoch} epochs: {VALIDATION_LOSS} {loss:.4g} was the "
            f"{number}. of {len(ranked)}"
        )
        training.model.public.stop_training = True


def rungs(epochs: int) -> frozenset[int]:
    """Return the numbers of epochs, 1, 2, 4, …, after which half of the trainings end."""
    return frozenset(2**power for power in range(max(epochs - 1, 0).bit_length()))


# ---- the whole


def options_of(models: list[TrainableModel], given: ManyOptions) -> list[Options]:
    """Return the arguments of `fit` of each model, checked."""
    count = len(models)
    callbacks = callbacks_each(given.callbacks, count)
    weights = each(given.sample_weight, count)
    validation = validation_each(given.validation_data, count)
    if given.stop not in (None, HALVING):
        raise ValueError(f"stop: expected None or {HALVING!r}, got {given.stop!r}")
    if given.stop == HALVING and any(one is None for one in validation):
        raise ValueError(f"stop={HALVING!r}: it goes by the validation loss; pass validation_data")
    known: Any = {}
    options = []
    for place in range(count):
        one = Options(
            batch_size=given.batch_size,
            epochs=given.epochs,
            verbose=SILENT,
            callbacks=callbacks[place],
            validation_split=0.0,
            validation_data=validation[place],
            shuffle=True,
            class_weight=None,
            sample_weight=weights[place],
            initial_epoch=0,
            steps_per_epoch=None,
            validation_steps=None,
            validation_batch_size=None,
            validation_freq=1,
            validation_shuffle=True,
            validation_stratify=None,
            checkpoint=None,
            checkpoint_every="epoch",
            keep=2,
            resume="auto",
            check_finite=True,
            drop_last=False,
            shared=known,
        )
        check(one)
        options.append(one)
    return options


def trainings_of(
    models: list[TrainableModel], xs: list[Any], ys: list[Any], options: list[Options]
) -> list[Training]:
    """Return the trainings, with everything checked; on an error models are as they were."""
    before = []
    trainings = []
    try:
        for place, model in enumerate(models):
            public = model.public
            before.append((public, public.feature_names_in_, vars(public).get("history")))
            users, one = list(options[place].callbacks), options[place]
            if public.gradual_pruning is not None:
                users.append(public.gradual_pruning)
            with named(place):
                refuse_batches(xs[place], "train the model by fit")
                made = Training(model, xs[place], ys[place], one, users, NO_PROGRESS, None)
            trainings.append(made)
    except BaseException:
        for public, names, history in before:
            public.feature_names_in_ = names
            if history is None:
                vars(public).pop("history", None)
            else:
                public.history = history
        raise
    return trainings


def fit_many(models: list[TrainableModel], given: ManyOptions) -> list[History]:
    """Train several models at once; see `evengrad.fit_many`."""
    if not models:
        raise ValueError("models: expected one model or more, got none")
    count = len(models)
    n_threads = given.n_threads
    threads = None if n_threads is None else check_int(n_threads, "n_threads", at_least=1)
    shown = SILENT if given.verbose == 0 else style(given.verbose)
    refuse_shared(models)
    options = options_of(models, given)
    configs = []
    for place, model in enumerate(models):
        with named(place):
            configs.append(model.config())
    inputs = max(len(model.input_names or [""]) for model in models)
    outputs = max(len(model.output_names or [""]) for model in models)
    xs, ys = each(given.x, count, inputs), each(given.y, count, outputs)
    with contextlib.ExitStack() as stack:
        for place, (model, config) in enumerate(zip(models, configs, strict=True)):
            with named(place):
                stack.callback(right_to_train(model, alone=True).leave)
            stack.enter_context(_core.Access([config], writes=True))
        trainings = trainings_of(models, xs, ys, options)
        # Layers that were not built have their variables now.
        refuse_shared(models)
        last = options[0].epochs
        lanes = [TrainingLane(training, place, 0, last) for place, training in enumerate(trainings)]
        if given.stop == HALVING:
            for training in trainings:
                training.pauses = rungs(last)
        progress = None if shown == SILENT else ManyProgress(shown)
        try:
            run_lanes(lanes, threads, progress, halve)
        finally:
            if progress is not None:
                progress.close(lanes)
    return [training.history for training in trainings]
