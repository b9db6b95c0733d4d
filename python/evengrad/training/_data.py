"""Preparing data for training: arrays checked against a model, bound to its losses, and split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evengrad._common.arrays import is_batches
from evengrad.training._arrays import build_for, inputs_of, targets_of, weights_of
from evengrad.training._split import rows_of, split_rows

if TYPE_CHECKING:
    from evengrad.training._arrays import Array
    from evengrad.training._objective import CompileConfig, Objective
    from evengrad.training._protocol import TrainableModel

PAIR, TRIPLE = 2, 3


@dataclass
class Prepared:
    """Arrays that fit the model and its losses, and the objective that they are bound to."""

    objective: Objective
    xs: list[Array]
    ys: list[Array]
    weight: Array | None

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return int(self.xs[0].shape[0])

    def taken(self, rows: Array) -> Prepared:
        """Return these rows of it."""
        weight = None if self.weight is None else self.weight[rows]
        return Prepared(self.objective, rows_of(self.xs, rows), rows_of(self.ys, rows), weight)

    def split(
        self, model: TrainableModel, share: float, shuffle: bool, stratify: bool | None
    ) -> tuple[Prepared, Prepared]:
        """Return the rows to train on, and those that are held out for validation."""
        train, held = split_rows(self.ys, share, model.seed(), shuffle, stratify)
        return self.taken(train), self.taken(held)


def prepare(
    model: TrainableModel,
    x: Any,
    y: Any,
    sample_weight: Any = None,
    class_weight: Any = None,
    config: CompileConfig | None = None,
) -> Prepared:
    """Return users' data as arrays that fit the model, built for them, and its losses.

    Whatever trains or evaluates begins here. `config` stands in for what `compile` was told.

    Raises
    ------
    ValueError, TypeError
        Data that does not fit; nothing has run.
    """
    told = model.config() if config is None else config
    xs = inputs_of(model, x)
    build_for(model, xs)
    ys, names = targets_of(model, y, xs[0].shape[0])
    objective = told.bind(model, ys)
    ys = objective.check_targets(ys, names, xs)
    return Prepared(objective, xs, ys, weights_of(model, sample_weight, class_weight, xs, ys))


def prepare_inputs(model: TrainableModel, x: Any) -> list[Array]:
    """Return users' inputs as arrays that fit the model, built for them."""
    xs = inputs_of(model, x)
    build_for(model, xs)
    return xs


def refuse_batches(value: Any, instead: str) -> None:
    """Raise a TypeError for an iterable of batches, where arrays alone will do."""
    if is_batches(value):
        raise TypeError(f"x: expected arrays, got an iterable of batches; {instead}")


def unpack_batch(item: Any) -> tuple[Any, Any, Any]:
    """Return x, y and sample weights of one item of an iterable of batches."""
    if not isinstance(item, (tuple, list)) or len(item) not in (PAIR, TRIPLE):
        raise ValueError(
            "x: expected an iterable of (x, y) or (x, y, sample_weight), it yielded "
            f"{type(item).__name__}"
        )
    return item[0], item[1], item[2] if len(item) == TRIPLE else None
