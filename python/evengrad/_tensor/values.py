"""What Python's own functions ask of tensors: formats, rounding, places, membership."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad._common.foreign_words import TENSOR_NAMES
from evengrad._tensor.arithmetic import round as _round
from evengrad._tensor.reductions import any as _any

if TYPE_CHECKING:
    from evengrad._core import Tensor


def formatted(x: Tensor, form: str) -> str:
    """Return the value of one element as a format says; without a format, as `str` does."""
    if not form:
        return str(x)
    if x.size != 1:
        raise TypeError(
            f"format {form!r}: expected a tensor with one element, got shape {x.shape}; reduce it "
            "first, for example with .mean()"
        )
    return format(x.item(), form)


def rounded(x: Tensor, ndigits: int | None = None) -> Any:
    """Return the value of one element rounded, as Python rounds; of several, a tensor."""
    if x.size != 1:
        return _round(x, ndigits or 0)
    value = x.item()
    return round(value) if ndigits is None else round(value, ndigits)


def as_index(x: Tensor) -> int:
    """Return an integer without dimensions as one of Python's."""
    if x.dtype != "int64" or x.ndim:
        raise TypeError(
            "only integer tensors without dimensions can be taken for an index, got "
            f"{x.dtype} of shape {x.shape}"
        )
    return int(x.item())


def contains(x: Tensor, value: Any) -> bool:
    """Tell whether any element equals a value, which may be a row, as NumPy's arrays do."""
    equal = x == value
    return equal if isinstance(equal, bool) else bool(_any(equal))


def missing(x: Tensor, name: str) -> Any:
    """Raise an error for an attribute that tensors have not, with what stands for it here."""
    message = f"'evengrad.Tensor' object has no attribute {name!r}"
    # Python and other libraries ask for these, often.
    meant = None if name.startswith("__") else TENSOR_NAMES.get(name)
    if meant is None and name.endswith("_") and not name.startswith("_"):
        short = name[:-1]
        if hasattr(type(x), short):
            meant = (
                f"tensors are not changed so: write x = x.{short}(...), or x.copy_(x.{short}(...))"
            )
    raise AttributeError(message if meant is None else f"{message}; {meant}", name=name, obj=x)


def float_(self: Tensor) -> Tensor:
    """Return the elements as ``float32``: PyTorch's short form of `astype`.

    Examples
    --------
    >>> eg.tensor([1, 2]).float().tolist()
    [1.0, 2.0]
    """
    return self.astype("float32")


def double(self: Tensor) -> Tensor:
    """Return the elements as ``float64``: PyTorch's short form of `astype`.

    Examples
    --------
    >>> eg.tensor([1, 2]).double().dtype
    'float64'
    """
    return self.astype("float64")


def long(self: Tensor) -> Tensor:
    """Return the elements as ``int64``, rounded towards zero: PyTorch's short form of `astype`.

    Examples
    --------
    >>> eg.tensor([1.5, -2.5]).long().tolist()
    [1, -2]
    """
    return self.astype("int64")


def bool_(self: Tensor) -> Tensor:
    """Return where elements are anything but zero: PyTorch's short form of `astype`.

    Examples
    --------
    >>> eg.tensor([0.0, 2.5]).bool().tolist()
    [False, True]
    """
    return self.astype("bool")
