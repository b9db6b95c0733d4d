"""Preparing data for training: users' arrays, checked, bound to losses, where steps read them."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from evengrad import _core
from evengrad._common.arrays import as_array, is_batches
from evengrad._common.checks import check_int, plural
from evengrad._common.row_readers import choose_rows
from evengrad.training._class_weights import classes_to_keep, with_class_weight
from evengrad.training._classes import split_rows
from evengrad.training._feature_names import check_names
from evengrad.training._inputs import (
    convert_inputs,
    label_for,
    refuse_not_finite,
    split_by_name,
)
from evengrad.training._objective import Objective, output_shapes_for, shapes_of
from evengrad.training._row_windows import choose_window, fill, gatherer
from evengrad.training._seen_targets import seen_targets
from evengrad.training._weights import each_from, each_once, sample_weights

if TYPE_CHECKING:
    from collections.abc import Callable

    from evengrad._core import Tensor
    from evengrad.training._compile_config import CompileConfig
    from evengrad.training._feature_names import Columns
    from evengrad.training._protocol import TrainableModel

Array = np.ndarray[Any, Any]
PAIR, TRIPLE = 2, 3
# Data up to this size is converted once and kept; larger data is read piece by piece, because a
# copy of it may not fit. More about it in `_row_windows`.
RESIDENT_BYTES = 256 * 2**20
# A sum of squares up to this shows that each number is finite, and in the dtype of a model too.
LARGEST_NORM = {"float32": float(np.finfo("float32").max) ** 2, "float64": np.finfo("float64").max}
AXES = "abcdefghijklmnopqrstuvwxyz"
FEW = 8192
# A piece: large enough that Python's part is small beside the steps over it, and so small that it
# is in the caches when these come.
PIECE_BYTES = 2**20


@dataclass
class Prepared:
    """Arrays that fit the model and its losses, and the objective that they are bound to."""

    objective: Objective
    # Arrays, or readers of rows, which offer what is asked of arrays here.
    xs: list[Array]
    ys: list[Array]
    # Each once, and for each output which of them are its own; None where all rows count alike.
    weights: list[Array]
    weight_places: list[int | None]
    # Of the columns of each input, where it has such.
    names: Columns | None = None
    # Which rows of the user's data these are, where they are not all.
    row_numbers: Array | None = None
    # Where the inputs are what frozen layers made: returns the model's outputs for them.
    resume: Callable[..., list[Any]] | None = None

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return int(self.xs[0].shape[0])

    def columns(self) -> tuple[list[Array], list[str]]:
        """Return inputs, targets and weights one after the other, and the dtypes of steps."""
        arrays = [*self.xs, *self.ys, *self.weights]
        dtypes = [self.objective.dtype] * len(arrays)
        dtypes[: len(self.xs)] = [self.objective.input_dtype] * len(self.xs)
        for place, y in enumerate(self.ys, len(self.xs)):
            if y.dtype.kind in "iu":
                dtypes[place] = "int64"
        return arrays, dtypes

    def taken(self, rows: Array | slice) -> Prepared:
        """Return these rows of it; inputs and targets are not copied."""
        chosen = functools.partial(choose_rows, rows=rows)
        xs, ys = (list(map(chosen, side)) for side in (self.xs, self.ys))
        weights = [weight[rows] for weight in self.weights]
        every = np.arange(self.rows) if self.row_numbers is None else self.row_numbers
        places = self.weight_places
        return Prepared(self.objective, xs, ys, weights, places, self.names, every[rows])

    def split(
        self, model: TrainableModel, share: float, shuffle: bool, stratify: bool | None
    ) -> tuple[Prepared, Prepared]:
        """Return the rows to train on, and those that are held out for validation."""
        labels = None
        if stratify is not False:
            labels = classes_to_keep(self.objective, self.ys, required=bool(stratify))
        train, held = split_rows(self.rows, share, model.seed(), shuffle, labels)
        return self.taken(train), self.taken(held)

    def with_class_weight(self, class_weight: Any) -> Prepared:
        """Return the same, in which rows have the weights of their classes, too."""
        given = each_from(self.weights, self.weight_places)
        targets = list(map(np.asarray, self.ys))
        weights = with_class_weight(self.objective, targets, given, class_weight)
        weighted = each_once(weights)
        rows = self.row_numbers
        return Prepared(self.objective, self.xs, self.ys, *weighted, self.names, rows)


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
    xs, names_of_columns = inputs_for(model, x, check_finite)
    ys, names = targets_of(model, y, xs[0].shape[0])
    weights: list[Array | None] = [None] * len(ys)
    distinct: tuple[list[Array], list[int | None]] = [], [None] * len(ys)
    seen = ys
    if sample_weight is not None:
        ends = model.output_names, output_shapes_for(model, xs)
        weights = sample_weights(sample_weight, *ends, xs[0].shape[0], model.dtypes.outputs)
        distinct = each_once(weights)
        seen = seen_targets(ys, weights)
    objective = compiled.bound
    if objective is None:
        objective = Objective(compiled, model, seen)
    ys = objective.check_targets(ys, names, xs, weights)
    # Once it is known that the targets, by which metrics are chosen, fit.
    compiled.bound = objective
    data = Prepared(objective, xs, ys, *distinct, names_of_columns)
    return data if class_weight is None else data.with_class_weight(class_weight)


def prepare_inputs(model: TrainableModel, x: Any, check_finite: bool = True) -> list[Array]:
    """Return users' inputs as arrays that fit the model, built for them."""
    return inputs_for(model, x, check_finite)[0]


def inputs_for(
    model: TrainableModel, x: Any, check_finite: bool
) -> tuple[list[Array], Columns | None]:
    """Return users' inputs as arrays that fit the model, built for them, and their columns' names.

    These are None where no input has any.
    """
    xs, names = inputs_of(model, x)
    if names is not None:
        check_names(model, names)
    if check_finite:
        for place in range(len(xs)):
            check_finite_in(xs, place, model.dtypes.inputs, names)
    # Built, or checked, symbolically: no step is run.
    model.build_for(shapes_of(xs))
    model.check_values(xs if len(xs) > 1 else xs[0])
    return xs, names


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
        raise ValueError(f"expected (x, y) or (x, y, sample_weight), got {type(item).__name__}")
    return item[0], item[1], item[2] if len(item) == TRIPLE else None


# ---- users' data as arrays


def inputs_of(model: TrainableModel, x: Any) -> tuple[list[Array], Columns | None]:
    """Return a model's inputs as arrays of as many rows, and names of their columns, if any has."""
    if x is None:
        raise ValueError("x: expected data, got None")
    names = model.input_names
    single = names is None or len(names) == 1
    if single and type(x) is np.ndarray and x.dtype.kind in "fiub" and x.ndim > 1 and len(x):
        # What most data is: nothing to check or to convert.
        return [x], None
    return convert_inputs(model, x)


def is_finite(array: Array, dtype: str) -> bool:
    """Tell whether all numbers are finite, also in a model's dtype; False may be a false alarm.

    One pass at the speed of memory, without a copy: a sum of squares is no less than any of them.
    """
    if array.dtype.kind != "f":
        return True
    if array.size <= FEW:
        # Less to do for the interpreter; of more numbers it might make a copy, or call threads.
        return float(np.vdot(array, array)) <= LARGEST_NORM[dtype]
    axes = AXES[: array.ndim]
    return float(np.einsum(f"{axes},{axes}->", array, array)) <= LARGEST_NORM[dtype]


def all_finite(values: Array) -> bool:
    """Tell whether no number is NaN or infinite; a quick look first, which may be a false alarm."""
    return is_finite(values, values.dtype.name) or bool(np.isfinite(values).all())


def check_finite_in(xs: list[Any], place: int, dtype: str, names: Columns | None) -> None:
    """Raise a ValueError for an input that is not finite; for one yet to be read, as it is read."""
    array = xs[place]
    in_memory = isinstance(array, np.ndarray)
    if in_memory and is_finite(array, dtype):
        return
    what, columns = label_for(place, len(xs)), None if names is None else names[place]
    if in_memory:
        refuse_not_finite(array, what, dtype, columns)
        return

    def look(piece: Any, rows: Array) -> None:
        if not isinstance(piece, np.ndarray) or not is_finite(piece, dtype):
            refuse_not_finite(piece, what, dtype, columns, rows)

    array.check_with(look, dtype)


def targets_of(model: TrainableModel, y: Any, rows: int) -> tuple[list[Array], list[str]]:
    """Return a model's targets as arrays of as many rows, and what messages call them."""
    if y is None:
        raise ValueError("y: expected targets, got None")
    plain = type(y) is np.ndarray and y.dtype.kind in "fiub" and y.ndim and len(y) == rows
    if plain and len(model.output_shapes) == 1:
        return [y], ["y"]
    items = split_by_name(model.flat_targets(y), model.output_names, "y")
    labels = ["y"] if len(items) == 1 else [f"y[{name!r}]" for name in model.output_names]
    arrays = [as_array(item, label) for item, label in zip(items, labels, strict=True)]
    for label, array in zip(labels, arrays, strict=True):
        if array.shape[0] != rows:
            raise ValueError(
                f"{label}: expected {plural(rows, 'row')} as in x, got {array.shape[0]}; each row "
                "of x has one target"
            )
    return arrays, labels


# ---- data in the memory of captured steps


# Arrays by their identity and the dtype that they were converted to, with the tensors.
SharedRows: TypeAlias = "dict[tuple[int, str], tuple[Any, Tensor]]"


class ResidentData:
    """Inputs, targets and weights as tensors, each converted to its dtype.

    All rows, or a window that is filled piece by piece, of one batch at least. They are copies,
    whatever becomes of the arrays.
    """

    # Other columns, whose rows are brought in with these.
    beside: ResidentData | None = None

    def __init__(
        self, arrays: list[Any], dtypes: list[str], batch_size: int, window: int | None = None
    ) -> None:
        self.arrays = arrays
        self.rows = int(arrays[0].shape[0])
        # Empty where all rows are resident.
        self.buffers: list[Array] = []
        # The rows in the tensors, where these are a window.
        self.held: Array | None = None
        self.tensors: list[Tensor]
        sizes, plain = [], True
        for array, dtype in zip(arrays, dtypes, strict=True):
            sizes.append(math.prod(array.shape[1:]) * np.dtype(dtype).itemsize)
            # Memory that an array owns is no file's.
            plain = plain and type(array) is np.ndarray and array.base is None
            plain = plain and array.flags.c_contiguous
        self.window = self.rows
        is_whole = window is None or window == self.rows
        if plain and is_whole and self.rows * sum(sizes) <= RESIDENT_BYTES:
            self.tensors = list(map(_core.tensor, map(np.ascontiguousarray, arrays, dtypes)))
            return
        limits = RESIDENT_BYTES, PIECE_BYTES
        self.window = window or choose_window(arrays, sizes, batch_size, *limits)
        self.tensors = [
            _core.zeros((self.window, *array.shape[1:]), dtype=dtype)
            for array, dtype in zip(arrays, dtypes, strict=True)
        ]
        if self.window == self.rows:
            for tensor, array in zip(self.tensors, arrays, strict=True):
                fill(tensor, array)
        else:
            self.buffers = [np.zeros(one.shape, one.dtype) for one in self.tensors]
            self.gatherers = list(map(gatherer, arrays))

    def load(self, rows: Array) -> None:
        """Bring rows, at most `window` of them, into the tensors, from their beginning on."""
        self.held = rows
        for gather, buffer, tensor in zip(self.gatherers, self.buffers, self.tensors, strict=True):
            gather(rows, buffer[: len(rows)])
            fill(tensor, buffer)
        if self.beside is not None:
            self.beside.load(rows)


def shared_data(data: Prepared, batch_size: int, known: SharedRows) -> ResidentData:
    """Return the rows of some data as tensors, those in place of new ones that are known already.

    An array that is the same object is converted once, and kept as long as what is known.
    """
    arrays, dtypes = data.columns()
    held = ResidentData(arrays, dtypes, min(batch_size, data.rows))
    if held.window == held.rows:
        for place, (array, dtype) in enumerate(zip(arrays, dtypes, strict=True)):
            _, tensor = known.setdefault((id(array), dtype), (array, held.tensors[place]))
            held.tensors[place] = tensor
    return held
