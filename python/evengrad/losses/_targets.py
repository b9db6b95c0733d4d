"""Checks of targets and predictions by their values, on the host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from evengrad._common.arrays import Array, Shape

# Probabilities may leave [0, 1] by this much, which sums of rounded numbers do.
SLACK = 1e-6


class TargetValueError(ValueError):
    """Targets are none that the loss knows: which rows they are in."""

    def __init__(self, message: str, bad: Array | None = None) -> None:
        super().__init__(message)
        self.rows = () if bad is None else bad_rows(bad)


class NotFiniteError(TargetValueError):
    """Targets are not finite."""


class UnknownClassError(TargetValueError):
    """Class numbers are out of range."""


def refuse_nan(y: Array, what: str) -> None:
    """Raise a ValueError that names the first row with a value that is not finite."""
    if y.dtype.kind != "f":
        return
    bad = ~np.isfinite(y)
    if bad.any():
        row = first_row(bad)
        raise NotFiniteError(
            f"{what}: expected finite numbers, got {show_row(y, row)} in row {row} and "
            f"{int(bad.sum())} such values in all; drop or fill those rows",
            bad,
        )


def in_dtype(y: Array, dtype: str, what: str) -> Array:
    """Return targets in a dtype; a ValueError names the first row with a number beyond it."""
    with np.errstate(over="ignore"):
        converted: Array = y.astype(dtype, copy=False)
    if y.dtype.kind == "f" and y.itemsize > converted.itemsize:
        largest = np.finfo(dtype).max
        refuse(
            ~np.isfinite(converted),
            y,
            f"{what}: expected numbers of at most {largest:.4g} in size, as {dtype} holds them",
            'scale them, or make the model with dtype="float64"',
        )
    return converted


def without_masked(y: Array, seen: Array) -> Array:
    """Return targets with one that is seen in the place of each that is not, rows in place."""
    if seen.all() or not seen.any() or seen.ndim > y.ndim or seen.shape != y.shape[: seen.ndim]:
        return y
    filled = np.array(y)
    filled[~seen] = y[seen][0]
    return filled


def bad_rows(bad: Array) -> tuple[int, ...]:
    """Return the numbers of all rows with a value that is bad."""
    rows = np.atleast_1d(bad)
    return tuple(np.flatnonzero(rows.reshape(len(rows), -1).any(axis=1)).tolist())


def first_row(bad: Array) -> int:
    """Return the number of the first row with a value that is bad; a single number is row 0."""
    at = np.argwhere(bad)[0]
    return int(at[0]) if len(at) else 0


def show_row(y: Array, row: int) -> str:
    """Return a row of targets, for messages."""
    return repr(y[row].tolist() if y.ndim else y.item())


def refuse(bad: Array, y: Array, expected: str, fix: str) -> None:
    """Raise a ValueError with the first row that has a value that is bad, if there is one."""
    if bad.any():
        row = first_row(bad)
        raise ValueError(f"{expected}, got {show_row(y, row)} in row {row}; {fix}")


def refuse_several_vectors(shape: Shape, output_shape: Shape) -> None:
    """Raise a ValueError where rows have outputs of several vectors each, and one target.

    It says what to do about the inputs: the targets are as they should be.
    """
    if len(output_shape) < 3:
        return
    ones = all(size == 1 for size in shape[1:])
    if ones or tuple(shape[1:]) == tuple(output_shape[2:]):
        raise ValueError(
            f"x: each row holds {output_shape[1]} vectors, and the model makes an output of each "
            "of them, for layers such as Dense take vectors: begin the model with layers.Flatten() "
            "where a row is one example, as an image is, or have its recurrent layer return the "
            f"last step. It puts out {tuple(output_shape)}, and there is one target for each row"
        )


def fit_columns(y: Array, output_shape: Shape, what: str) -> Array:
    """Return targets in the shape of the output; a single column may be left out or written."""
    rows = y.shape[0]
    wanted = (rows, *[size for size in output_shape[1:] if size is not None])
    if y.shape == wanted or last_column_as(y, wanted).shape == wanted:
        return y.reshape(wanted)
    single = int(np.prod(wanted[1:], dtype=np.int64)) == 1
    if single and y.shape in ((rows,), (rows, 1)):
        return y.reshape(wanted)
    refuse_several_vectors(y.shape, output_shape)
    raise ValueError(
        f"{what}: expected shape {wanted}, as the model puts out, got {y.shape}; "
        + (
            "pass labels as numbers to a sparse loss, or one-hot rows from "
            "evengrad.utils.to_categorical"
            if y.ndim == 1
            else "give the last layer as many units as there are columns in the targets"
        )
    )


def last_column_as(y: Any, output_shape: Shape) -> Any:
    """Return targets, array or tensor, with a last dimension of 1 where the output has one.

    It may be left out or written. Between (rows,) and (rows, 1) a function would compare all rows
    with all others. Targets that differ in another way, as labels of classes do, stay as they are.
    """
    given, wanted = tuple(y.shape), tuple(output_shape)
    longer, shorter = (given, wanted) if len(given) > len(wanted) else (wanted, given)
    if len(longer) != len(shorter) + 1 or not shorter or longer[-1] != 1:
        return y
    # The first dimension is that of the rows, of which a model's shape does not tell how many.
    pairs = zip(longer[1:-1], shorter[1:], strict=True)
    if any(None not in (one, other) and one != other for one, other in pairs):
        return y
    return y.reshape(*given, 1) if longer is wanted else y.reshape(*given[:-1])


def check_targets_within_unit(y: Array, what: str) -> None:
    """Raise a ValueError that names the first row with a target that is no probability."""
    bad = (y < 0) | (y > 1)
    if not bad.any():
        return
    if bool(((y == -1) | (y == 1)).all()):
        fix = 'map −1 and 1 to 0 and 1 with (y + 1) / 2, or use loss="hinge"'
    elif bool((y == np.floor(y)).all() and (y >= 0).all()):
        fix = (
            'for more classes than two use loss="sparse_categorical_crossentropy" and give the '
            'last layer a unit for each; for counts and amounts use "poisson" or "mse"'
        )
    else:
        fix = "map the classes to 0 and 1, or choose a loss of regressions such as "
        fix += '"mean_squared_error"'
    refuse(bad, y, f"{what}: expected targets in [0, 1]", fix)


def one_hot_labels(y: Array) -> Array | None:
    """Return the class numbers of rows that are one-hot; None if not all are."""
    hot = ((y == 0) | (y == 1)).all() and (y.sum(axis=-1) == 1).all()
    return y.argmax(axis=-1) if hot else None


def yes_or_no_labels(y: Array, *alternatives: tuple[int, int]) -> Array | None:
    """Return the class numbers of a single column that holds two alone; None of other targets."""
    if y.ndim == 0 or y.shape[-1] != 1:
        return None
    for no, yes in alternatives:
        if ((y == no) | (y == yes)).all():
            return y[..., 0].astype(np.int64)
    return None


def check_probabilities(p: Array, name: str, fix: str, high: float = 1.0) -> None:
    """Raise a ValueError that names the first row with a prediction that is no probability.

    NaN passes: it shows in the result.
    """
    expected = f"{name}: expected predictions that are probabilities"
    refuse((p < -SLACK) | (p > high + SLACK), p, expected, fix)
