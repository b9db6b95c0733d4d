"""Users' data as arrays: any container that converts, checked before anything runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad._common.arrays import as_array
from evengrad._common.checks import plural
from evengrad._common.names import did_you_mean

if TYPE_CHECKING:
    from evengrad.training._protocol import TrainableModel

Array = np.ndarray[Any, Any]
# Rows, steps, and what there is at each step.
SEQUENCE_NDIM = 3


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
