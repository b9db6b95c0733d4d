"""The learning-rate range test: the loss at rates that grow from step to step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core
from evengrad._common.advice import advise
from evengrad._common.checks import check_float, check_int
from evengrad._tensor.random import check_seed, generator
from evengrad.optimizers._optimizer import counts_of, set_counts
from evengrad.training._data import count_or, inputs_of, prepare, prepare_inputs, refuse_batches
from evengrad.training._loop import ONE_STEP
from evengrad.training._range_curve import RangeTest
from evengrad.training._side_by_side import Lane, run_lanes
from evengrad.training._step import DEFAULT_BATCH, ArraySource, Snapshot, drive

if TYPE_CHECKING:
    from collections.abc import Callable

    from evengrad._core import Tensor
    from evengrad.optimizers import Optimizer
    from evengrad.training._compile_config import CompileConfig
    from evengrad.training._data import Prepared
    from evengrad.training._loop import Requests
    from evengrad.training._protocol import TrainableModel

# Fewer steps say little about six powers of ten, more say nothing new.
FEWEST_STEPS, MOST_STEPS = 40, 1000
# By default an average reaches over this share of the steps, an eighth of a power of ten.
SHARE = 1 / 50


@dataclass(eq=False)
class Options:
    """The arguments of `find_learning_rate` after x and y, by the names that they have there."""

    min_lr: float
    max_lr: float
    batch_size: int | None
    steps: int | None
    stop_factor: float
    smoothing: float | None
    sample_weight: Any
    class_weight: Any
    check_finite: bool


@dataclass(frozen=True)
class Settings:
    """The arguments that say how the test goes, checked, with what follows from the rows."""

    min_lr: float
    max_lr: float
    batch_size: int
    steps: int
    stop_factor: float
    smoothing: float

    @property
    def rates(self) -> list[float]:
        """The rate of each step."""
        factor = (self.max_lr / self.min_lr) ** (1 / self.steps)
        return [self.min_lr * factor**step for step in range(self.steps)]

    def rate(self, step: int) -> float:
        """Return the rate of a step, counted from 0."""
        factor = (self.max_lr / self.min_lr) ** (1 / self.steps)
        return float(self.min_lr * factor ** min(step, self.steps - 1))


def check(options: Options, rows: int) -> Settings:
    """Return the arguments with what follows from the rows; or raise an error for one of them."""
    low = check_float(options.min_lr, "min_lr", low=0.0, open_low=True, open_high=True)
    high = check_float(options.max_lr, "max_lr", low=low, open_low=True, open_high=True)
    factor = check_float(options.stop_factor, "stop_factor", low=1.0, open_low=True)
    batch_size = count_or(DEFAULT_BATCH, options.batch_size, "batch_size")
    steps = options.steps
    if steps is None:
        steps = min(max(-(-rows // batch_size), FEWEST_STEPS), MOST_STEPS)
    steps = check_int(steps, "steps", at_least=2)
    smoothing = options.smoothing
    if smoothing is None:
        smoothing = 1 - 1 / (1 + SHARE * steps)
    smoothing = check_float(smoothing, "smoothing", low=0.0, high=1.0, open_high=True)
    return Settings(low, high, batch_size, steps, factor, smoothing)


def copied(
    optimizer: Optimizer,
    parameters: list[Tensor],
    learning_rate: Callable[[int], float],
    *,
    anew: bool = False,
) -> Optimizer:
    """Return an optimizer in the same state that shares nothing, with another learning rate.

    The rate is a function of the number of steps that the copy has made. It updates in every step,
    and keeps no averages. With `anew` it has made no updates.
    """
    made = 0 if anew else optimizer.iterations
    # Rules go by the number of steps, so that the copy's count goes on from the original's.
    config = {
        **optimizer.get_config(),
        "learning_rate": lambda step: learning_rate(max(0, step - made)),
        "use_ema": False,
        "ema_overwrite_frequency": None,
        "gradient_accumulation_steps": None,
    }
    copy = type(optimizer)(**config)
    if not anew:
        set_counts(copy, counts_of(optimizer)._replace(accumulated=0))
    if made:
        for tensor in parameters:
            old = optimizer.slots(tensor)
            for name, slot in copy.slots(tensor).items():
                slot.copy_(old[name].numpy())
    return copy


def settings_for(model: TrainableModel, x: Any, options: Options) -> Settings:
    """Return the arguments, checked, for a model and its data."""
    refuse_batches(
        x, "the test may visit rows several times, so pass the rows of some batches as arrays"
    )
    return check(options, inputs_of(model, x)[0][0].shape[0])


def find_learning_rate(model: TrainableModel, x: Any, y: Any, options: Options) -> RangeTest:
    """Run the test; see `Model.find_learning_rate`."""
    config = model.config()
    settings = settings_for(model, x, options)
    # The optimizer's copy has slots of the variables, which building makes.
    prepare_inputs(model, x, options.check_finite)
    # Other threads see the model as it was before, and find it so again.
    with _core.Access(model.tree.tensors, writes=True):
        # Loss and optimizer of the test are its own; those of the model hear nothing of it.
        trial = config.fresh(
            optimizer=copied(config.optimizer, model.tree.trainable, settings.rate),
            metrics=None,
            weighted_metrics=None,
        )
        weights = options.sample_weight, options.class_weight
        data = prepare(model, x, y, *weights, trial, check_finite=False)
        snapshot = Snapshot(data.objective, variables=True)
        try:
            return warned(drive(_requests(model, data, settings)), settings)
        finally:
            snapshot.restore()


def checked_seeds(seeds: Any) -> list[int]:
    """Return seeds, one or more, or raise an error."""
    found = [check_seed(seed, "seeds") for seed in seeds]
    if not found:
        raise ValueError("seeds: expected one integer or more, got none")
    return found


def over_seeds(
    models: list[TrainableModel], config: CompileConfig, x: Any, y: Any, options: Options
) -> RangeTest:
    """Run the test of several models side by side; return the mean, with all of them in `tests`."""
    settings = settings_for(models[0], x, options)
    weights = options.sample_weight, options.class_weight
    lanes = []
    for place, model in enumerate(models):
        prepare_inputs(model, x, options.check_finite)
        trial = config.fresh(
            optimizer=copied(config.optimizer, [], settings.rate, anew=True),
            metrics=None,
            weighted_metrics=None,
        )
        data = prepare(model, x, y, *weights, trial, check_finite=False)
        lanes.append(Lane(_requests(model, data, settings), place))
    run_lanes(lanes)
    tests = [lane.result for lane in lanes]
    steps = min(len(test.losses) for test in tests)
    found = RangeTest(
        tests[0].learning_rates[:steps].tolist(),
        np.mean([test.losses[:steps] for test in tests], axis=0).tolist(),
        np.mean([test.smoothed_losses[:steps] for test in tests], axis=0).tolist(),
        any(test.stopped_early for test in tests),
    )
    found.tests = tests
    return warned(found, settings)


def _requests(model: TrainableModel, data: Prepared, settings: Settings) -> Requests[RangeTest]:
    """Take the loss of each batch, over and over the rows, as long as it does not shoot up."""
    if not model.tree.trainable:
        raise ValueError(f"{model.path}: no variable is trainable; the loss is the same for all η")
    orders = generator(model.seed(), "range_test")
    source = ArraySource(data, settings.batch_size, training=True, shuffle=orders)
    source.begin()
    rates = settings.rates
    beta, average, best = settings.smoothing, 0.0, math.inf
    raw: list[float] = []
    smoothed: list[float] = []
    stop = False
    while not stop and len(raw) < len(rates):
        yield source, ONE_STEP
        loss = source.objective.loss.result()
        source.objective.reset()
        if not math.isfinite(loss):
            stop = True
            break
        average = beta * average + (1 - beta) * loss
        raw.append(loss)
        smoothed.append(average / (1 - beta ** len(raw)))
        best = min(best, smoothed[-1])
        # A multiple of the best, also of one below 0.
        stop = smoothed[-1] > best + (settings.stop_factor - 1) * abs(best)
    if not raw:
        raise ValueError(
            "find_learning_rate: the loss of the first batch is not finite; look at the data and "
            "at the first values of the variables"
        )
    return RangeTest(rates[: len(raw)], raw, smoothed, stop)


def warned(found: RangeTest, settings: Settings) -> RangeTest:
    """Return what was found, with a warning where the range does not hold the turning point."""
    if found.turning_point == found.learning_rates[0]:
        advise(
            "find_learning_rate: the loss does not fall at any rate from %g on; lower min_lr",
            settings.min_lr,
        )
    elif not found.stopped_early and found.turning_point == settings.rates[-1]:
        advise("find_learning_rate: the loss still falls at %g; raise max_lr", settings.max_lr)
    return found
