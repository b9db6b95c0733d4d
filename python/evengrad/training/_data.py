"""Preparing data for training: users' arrays, checked against a model and bound to its losses."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad._common.arrays import as_array, is_batches
from evengrad._common.checks import plural
from evengrad._common.names import did_you_mean
from evengrad._tensor.random import generator

if TYPE_CHECKING:
    from evengrad.training._objective import CompileConfig, Objective
    from evengrad.training._protocol import TrainableModel

logger = logging.getLogger("evengrad")

Array = np.ndarray[Any, Any]
PAIR, TRIPLE = 2, 3
# Rows, steps, and what there is at each step.
SEQUENCE_NDIM = 3


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

    Whatever trains or evaluates begins here. `config` stands in for that of `compile`.

    Raises
    ------
    ValueError, TypeError
        Data that does not fit; nothing has run.
    """
    compiled = model.config() if config is None else config
    xs = inputs_of(model, x)
    build_for(model, xs)
    ys, names = targets_of(model, y, xs[0].shape[0])
    objective = compiled.bind(model, ys)
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


# ---- users' data as arrays


def split_by_name(value: Any, names: list[str], what: str) -> list[Any]:
    """Return one item for each input or output, from a list, a dict by name, or a single value."""
    if isinstance(value, dict):
        unknown = [name for name in value if name not in names]
        if unknown:
            raise ValueError(f"{what}: no {unknown[0]!r}; {did_you_mean(str(unknown[0]), names)}")
        missing = [name for name in names if name not in value]
        if missing:
            raise ValueError(f"{what}: {', '.join(map(repr, missing))} missing")
        return [value[name] for name in names]
    if len(names) == 1:
        if isinstance(value, (list, tuple)) and len(value) == 1 and hasattr(value[0], "__array__"):
            return [value[0]]
        return [value]
    if not isinstance(value, (list, tuple)) or len(value) != len(names):
        got = f"{len(value)}" if isinstance(value, (list, tuple)) else type(value).__name__
        raise ValueError(f"{what}: expected a list of {len(names)} arrays, got {got}")
    return list(value)


def inputs_of(model: TrainableModel, x: Any) -> list[Array]:
    """Return a model's inputs as arrays of as many rows."""
    if x is None:
        raise ValueError("x: expected data, got None")
    names = model.input_names
    single = names is None or len(names) == 1
    if single and type(x) is np.ndarray and x.dtype.kind in "fiub" and x.ndim > 1 and len(x):
        # What most data is: nothing to check or to convert.
        return [x]
    if names is None:
        # A subclass takes what it is given: a list of arrays for several inputs.
        several = isinstance(x, (list, tuple)) and all(hasattr(item, "__array__") for item in x)
        names = [f"input_{i + 1}" for i in range(len(x))] if several and len(x) > 1 else ["input"]
    items = split_by_name(x, names, "x")
    labels = ["x"] if len(items) == 1 else [f"x[{i}]" for i in range(len(items))]
    arrays = [as_array(item, label) for item, label in zip(items, labels, strict=True)]
    if arrays[0].shape[0] == 0:
        raise ValueError("x: expected at least one row, got none")
    for label, array in zip(labels, arrays, strict=True):
        if array.ndim == 1:
            raise ValueError(
                f"{label}: expected shape (rows, features), got {array.shape}; for one feature "
                "pass x[:, None], for one row x[None, :]"
            )
        if array.shape[0] != arrays[0].shape[0]:
            raise ValueError(
                f"{label}: expected {plural(arrays[0].shape[0], 'row')} as in {labels[0]}, got "
                f"{array.shape[0]}"
            )
    return arrays


def shapes_of(arrays: list[Array]) -> Any:
    """Return the input shape, rows as None; a list where there are several inputs."""
    if len(arrays) == 1:
        return (None, *arrays[0].shape[1:])
    return [(None, *array.shape[1:]) for array in arrays]


def build_for(model: TrainableModel, arrays: list[Array]) -> None:
    """Build the model for this data, or check that the data fits: symbolically, without a step."""
    shape = shapes_of(arrays)
    model.build_for(shape)
    model.check_values(arrays if len(arrays) > 1 else arrays[0])


def output_shapes_for(model: TrainableModel, arrays: list[Array]) -> list[Any]:
    """Return the shapes of the outputs, with those sizes that this data says and Input leaves open.

    The model is built.
    """
    shapes = model.output_shapes
    for shape in shapes:
        if None in shape[1:]:
            break
    else:
        return shapes
    found = model.compute_output_shape(shapes_of(arrays))
    return found if isinstance(found, list) else [found]


def targets_of(model: TrainableModel, y: Any, rows: int) -> tuple[list[Array], list[str]]:
    """Return a model's targets as arrays of as many rows, and what messages call them."""
    if y is None:
        raise ValueError("y: expected targets, got None")
    plain = type(y) is np.ndarray and y.dtype.kind in "fiub" and y.ndim and len(y) == rows
    if plain and len(model.output_shapes) == 1:
        return [y], ["y"]
    items = split_by_name(y, model.output_names, "y")
    labels = ["y"] if len(items) == 1 else [f"y[{name!r}]" for name in model.output_names]
    arrays = [as_array(item, label) for item, label in zip(items, labels, strict=True)]
    for label, array in zip(labels, arrays, strict=True):
        if array.shape[0] != rows:
            raise ValueError(
                f"{label}: expected {plural(rows, 'row')} as in x, got {array.shape[0]}; each row "
                "of x has one target"
            )
    return arrays, labels


def weights_of(
    model: TrainableModel,
    sample_weight: Any,
    class_weight: Any,
    xs: list[Array],
    targets: list[Array],
) -> Array | None:
    """Return a weight for each row, or each step of it, from the rows' and the classes' weights.

    None without any.
    """
    if sample_weight is None and class_weight is None:
        return None
    rows, outputs = targets[0].shape[0], output_shapes_for(model, xs)
    weights: Array | None = None
    if sample_weight is not None:
        weights = as_array(sample_weight, "sample_weight")
        if weights.shape == (rows, 1):
            weights = weights.reshape(rows)
        # Where every output is a sequence, each step may have a weight.
        steps = {shape[1] if len(shape) >= SEQUENCE_NDIM else None for shape in outputs}
        by_step = {(rows, size) for size in steps if size is not None and len(steps) == 1}
        if weights.shape != (rows,) and weights.shape not in by_step:
            also = "".join(f", or per step, shape {shape}" for shape in by_step)
            raise ValueError(
                f"sample_weight: expected one weight per row, shape ({rows},){also}, got "
                f"{weights.shape}"
            )
        check_weights(weights, "sample_weight")
    if class_weight is not None:
        by_class = class_weights(class_weight, targets)
        if weights is not None:
            by_class = weights * by_class.reshape(rows, *[1] * (weights.ndim - 1))
        weights = by_class
    return None if weights is None else weights.astype(model.dtype)


def class_weights(class_weight: Any, targets: list[Array]) -> Array:
    """Return the weight of each row's class."""
    if not isinstance(class_weight, dict):
        raise TypeError(
            f"class_weight: expected a dict from class number to weight, got {class_weight!r}"
        )
    if len(targets) != 1:
        raise ValueError("class_weight: expected a model with one output; use sample_weight")
    labels = labels_of(targets[0])
    if labels is None:
        raise ValueError(
            f"class_weight: expected targets that are classes, got shape {targets[0].shape} of "
            f"{targets[0].dtype}; use sample_weight"
        )
    present = np.unique(labels)
    weights = np.ones(labels.shape)
    for name, weight in class_weight.items():
        if name not in present:
            raise ValueError(
                f"class_weight: no rows of class {name!r}; the targets have "
                f"{', '.join(str(label) for label in present[:20])}"
            )
        weights[labels == name] = weight
    check_weights(weights, "class_weight")
    return weights


def check_weights(weights: Array, what: str) -> None:
    """Raise a ValueError for weights that are negative or not finite."""
    if not np.isfinite(weights).all() or bool((weights < 0).any()):
        raise ValueError(f"{what}: expected finite weights of 0 or more")


def labels_of(targets: Array) -> Array | None:
    """Return class numbers if targets are classes: integers, zeros and ones, or one-hot rows."""
    if targets.ndim == 2 and targets.shape[1] == 1:
        targets = targets[:, 0]
    if targets.ndim == 1:
        whole = targets.dtype.kind in "iub" or bool(np.isin(targets, (0, 1)).all())
        return targets.astype(np.int64) if whole else None
    if targets.ndim == 2:
        one_hot = np.isin(targets, (0, 1)).all() and (targets.sum(axis=1) == 1).all()
        return targets.argmax(axis=1) if one_hot else None
    return None


# ---- rows that are set aside for validation


def split_rows(
    targets: list[Array], share: float, seed: int, shuffle: bool, stratify: bool | None
) -> tuple[Array, Array]:
    """Return the rows to train on and the rows to validate on, each in ascending order.

    Raises
    ------
    ValueError
        One of the two would be empty, or `stratify` is asked for and targets are no classes.
    """
    rows = int(targets[0].shape[0])
    count = round(rows * share)
    if not 0 < count < rows:
        raise ValueError(
            f"validation_split: {share:g} of {rows} rows leaves {rows - count} for training and "
            f"{count} for validation; both need at least one"
        )
    labels = labels_of(targets[0]) if len(targets) == 1 else None
    if stratify and labels is None:
        raise ValueError(
            "validation_stratify: expected targets that are classes; leave it out for others"
        )
    if not shuffle:
        chosen = np.arange(rows - count, rows)
        if labels is not None:
            warn_of_missing(labels[chosen], labels)
    else:
        order = np.asarray(generator(seed, "validation_split").permutation(rows))
        chosen = order[:count]
        if labels is not None and stratify is not False:
            chosen = stratified(order, labels, count)
    keep = np.zeros(rows, bool)
    keep[chosen] = True
    return np.flatnonzero(~keep), np.flatnonzero(keep)


def stratified(order: Array, labels: Array, count: int) -> Array:
    """Return `count` rows of a random order in which classes keep their shares.

    Each class gives the whole part of its share; what is left over goes to the largest remainders.
    """
    classes, sizes = np.unique(labels, return_counts=True)
    shares = sizes * (count / len(labels))
    parts = np.floor(shares).astype(np.int64)
    left = count - int(parts.sum())
    parts[np.argsort(parts - shares, kind="stable")[:left]] += 1
    shuffled = labels[order]
    picked = [order[shuffled == label][:part] for label, part in zip(classes, parts, strict=True)]
    return np.concatenate(picked)


def warn_of_missing(validation: Array, labels: Array) -> None:
    """Say so once where the last rows lack a class: the data is sorted."""
    missing = np.setdiff1d(np.unique(labels), np.unique(validation))
    if missing.size:
        logger.warning(
            "validation_split: the last rows have no class %s; the data is sorted, leave "
            "validation_shuffle on",
            ", ".join(str(label) for label in missing[:10]),
        )


def rows_of(arrays: list[Any], rows: Array) -> list[Array]:
    """Return these rows of each array."""
    return [np.asarray(array[rows]) for array in arrays]
