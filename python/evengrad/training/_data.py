"""Preparing data for training: users' arrays, checked, bound to losses, where steps read them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core
from evengrad._common.arrays import as_array, is_batches
from evengrad._common.checks import check_int, plural
from evengrad._common.names import did_you_mean
from evengrad.training._classes import check_weights, class_weights, split_rows
from evengrad.training._objective import Objective, output_shapes_for, shapes_of

if TYPE_CHECKING:
    from evengrad._core import Tensor
    from evengrad.training._compile_config import CompileConfig
    from evengrad.training._protocol import TrainableModel

Array = np.ndarray[Any, Any]
PAIR, TRIPLE = 2, 3
# Rows, steps, and what there is at each step.
SEQUENCE_NDIM = 3
# Data up to this size is converted once and kept; larger data is read piece by piece, because a
# copy of it may not fit.
RESIDENT_BYTES = 256 * 2**20
# A sum of squares up to this shows that each number is finite, and in the dtype of a model too.
LARGEST_NORM = {"float32": float(np.finfo("float32").max) ** 2, "float64": np.finfo("float64").max}
AXES = "abcdefghijklmnopqrstuvwxyz"
# A piece: large enough that Python's part is small beside the steps over it.
PIECE_BYTES = 16 * 2**20


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

    def columns(self) -> tuple[list[Array], list[str]]:
        """Return inputs, targets and weights one after the other, and the dtypes of steps."""
        arrays = [*self.xs, *self.ys, *([] if self.weight is None else [self.weight])]
        dtypes = [self.objective.dtype] * len(arrays)
        for place, y in enumerate(self.ys, len(self.xs)):
            if y.dtype.kind in "iu":
                dtypes[place] = "int64"
        return arrays, dtypes

    def taken(self, rows: Array) -> Prepared:
        """Return these rows of it."""
        xs, ys = ([np.asarray(array[rows]) for array in side] for side in (self.xs, self.ys))
        return Prepared(self.objective, xs, ys, None if self.weight is None else self.weight[rows])

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
    check_finite: bool = True,
) -> Prepared:
    """Return users' data as arrays that fit the model, built for them, and its losses.

    Whatever trains or evaluates begins here: nothing has run when data does not fit. `config`
    stands in for that of `compile`.
    """
    compiled = model.config() if config is None else config
    xs = prepare_inputs(model, x, check_finite)
    ys, names = targets_of(model, y, xs[0].shape[0])
    objective = compiled.bound
    if objective is None:
        objective = compiled.bound = Objective(compiled, model, ys)
    ys = objective.check_targets(ys, names, xs)
    return Prepared(objective, xs, ys, weights_of(model, sample_weight, class_weight, xs, ys))


def prepare_inputs(model: TrainableModel, x: Any, check_finite: bool = True) -> list[Array]:
    """Return users' inputs as arrays that fit the model, built for them."""
    xs = inputs_of(model, x)
    if check_finite:
        for place, array in enumerate(xs):
            if not is_finite(array, model.dtype):
                what = "x" if len(xs) == 1 else f"x[{place}]"
                refuse_not_finite(array, what, model.dtype)
    # Built, or checked, symbolically: no step is run.
    model.build_for(shapes_of(xs))
    model.check_values(xs if len(xs) > 1 else xs[0])
    return xs


def count_or(default: Any, value: Any, argument: str) -> Any:
    """Return a number of rows or batches, 1 or more; the default where none is given."""
    return default if value is None else check_int(value, argument, at_least=1)


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


def is_finite(array: Array, dtype: str) -> bool:
    """Tell whether all numbers are finite, also in a model's dtype; False may be a false alarm.

    One pass at the speed of memory, without a copy: a sum of squares is no less than any of them.
    """
    if array.dtype.kind != "f":
        return True
    axes = AXES[: array.ndim]
    return float(np.einsum(f"{axes},{axes}->", array, array)) <= LARGEST_NORM[dtype]


def refuse_not_finite(array: Array, what: str, dtype: str, names: Any = None) -> None:
    """Raise a ValueError that names rows and columns with numbers that are not finite."""
    # Rarely run, and so imported here: large numbers alone may have made the sum infinite.
    from evengrad._common.finite import report

    message = report(array, what, dtype, names)
    if message is not None:
        raise ValueError(message)


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
    """Return a weight for each row, or each step of it, if rows or classes have weights."""
    if sample_weight is None and class_weight is None:
        return None
    rows, outputs = targets[0].shape[0], output_shapes_for(model, xs)
    weights = np.ones(rows)
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
        weights = weights * by_class.reshape(rows, *[1] * (weights.ndim - 1))
    return weights.astype(model.dtype)


# ---- data in the memory of captured steps


class ResidentData:
    """Inputs, targets and weights as tensors, each converted to its dtype.

    All rows, or a window that is filled piece by piece, of one batch at least.
    """

    def __init__(self, arrays: list[Array], dtypes: list[str], batch_size: int) -> None:
        self.arrays = arrays
        self.rows = int(arrays[0].shape[0])
        # Empty where all rows are resident.
        self.buffers: list[Array] = []
        self.tensors: list[Tensor]
        row_bytes, mapped = 0, False
        for array, dtype in zip(arrays, dtypes, strict=True):
            row_bytes += math.prod(array.shape[1:]) * np.dtype(dtype).itemsize
            # Memory that an array owns is no file's.
            mapped = mapped or (array.base is not None and is_mapped(array))
        batches = max(1, PIECE_BYTES // max(1, row_bytes * batch_size))
        resident = self.rows * row_bytes <= RESIDENT_BYTES and not mapped
        self.window = self.rows if resident else min(self.rows, batches * batch_size)
        if self.window == self.rows:
            # Copies in the memory of tensors, whatever becomes of the arrays.
            contiguous = map(np.ascontiguousarray, arrays, dtypes)
            self.tensors = list(map(_core.tensor, contiguous))
            return
        self.tensors = []
        for array, dtype in zip(arrays, dtypes, strict=True):
            shape = (self.window, *array.shape[1:])
            self.buffers.append(np.zeros(shape, dtype))
            self.tensors.append(_core.zeros(shape, dtype=dtype))

    def load(self, rows: np.ndarray[Any, Any]) -> None:
        """Bring rows, at most `window` of them, into the tensors, from their beginning on."""
        for array, buffer, tensor in zip(self.arrays, self.buffers, self.tensors, strict=True):
            buffer[: len(rows)] = array[rows]
            tensor.copy_(buffer)


def is_mapped(array: Any) -> bool:
    """Tell whether an array's memory is a file's."""
    while array is not None:
        if isinstance(array, np.memmap):
            return True
        array = getattr(array, "base", None)
    return False
