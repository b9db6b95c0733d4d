"""NumPy's functions on tensors: those with a counterpart here give tensors, on the tape.

``numpy.square(x)`` is ``x.square()``. What has none here is computed from values, where it leaves
nothing off the tape that belongs there, and else refused.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core
from evengrad._core import Tensor
from evengrad._tensor import (
    arithmetic,
    extremes,
    joining,
    logic,
    making,
    reductions,
    scans,
    shaping,
    spread,
)
from evengrad._tensor.conversion import as_float, as_tensor
from evengrad._tensor.einsum import einsum

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

# Elementwise functions whose names are the same in NumPy and in the core.
SAME = (
    *("exp", "expm1", "log", "log1p", "sqrt", "square", "reciprocal", "sign", "sin", "cos", "tanh"),
)


def _elementwise(name: str) -> Callable[[Any], Tensor]:
    return lambda x: getattr(as_float(x), name)()


def _sum_of_powers(x: Any, y: Any) -> Tensor:
    """Return ln(eˣ + eʸ), without overflow."""
    pair = [as_float(one) for one in (x, y)]
    shape = np.broadcast_shapes(*(one.shape for one in pair))
    return reductions.logsumexp([one.expand(shape) for one in pair], 0)


UFUNCS: dict[Any, Callable[..., Any]] = {
    **{getattr(np, name): _elementwise(name) for name in SAME},
    np.absolute: operator.abs,
    np.fabs: operator.abs,
    np.negative: operator.neg,
    np.positive: operator.pos,
    np.add: operator.add,
    np.subtract: operator.sub,
    np.multiply: operator.mul,
    np.divide: operator.truediv,
    np.floor_divide: operator.floordiv,
    np.remainder: operator.mod,
    np.power: operator.pow,
    np.float_power: operator.pow,
    np.matmul: operator.matmul,
    np.maximum: _core.maximum,
    np.minimum: _core.minimum,
    np.equal: operator.eq,
    np.not_equal: operator.ne,
    np.less: operator.lt,
    np.less_equal: operator.le,
    np.greater: operator.gt,
    np.greater_equal: operator.ge,
    np.bitwise_and: operator.and_,
    np.bitwise_or: operator.or_,
    np.bitwise_xor: operator.xor,
    np.invert: operator.invert,
    np.logical_and: logic.logical_and,
    np.logical_or: logic.logical_or,
    np.logical_xor: logic.logical_xor,
    np.logical_not: logic.logical_not,
    np.isnan: logic.isnan,
    np.isinf: logic.isinf,
    np.isfinite: logic.isfinite,
    np.floor: arithmetic.floor,
    np.ceil: arithmetic.ceil,
    np.rint: arithmetic.round,
    np.log2: arithmetic.log2,
    np.log10: arithmetic.log10,
    np.exp2: lambda x: as_float(2.0 ** as_float(x)),
    np.tan: lambda x: as_float(x).sin() / as_float(x).cos(),
    np.sinh: lambda x: 0.5 * (as_float(x).expm1() - (-as_float(x)).expm1()),
    np.cosh: lambda x: 0.5 * (as_float(x).exp() + (-as_float(x)).exp()),
    np.logaddexp: _sum_of_powers,
}
# Other names of functions, which are functions of their own before NumPy 2.
OTHER_NAMES = {"amax": np.max, "amin": np.min, "around": np.round}
# What `reduce` and `accumulate` of functions of two come to.
REDUCES: dict[Any, Callable[..., Any]] = {
    np.add: reductions.sum,
    np.multiply: reductions.prod,
    np.maximum: extremes.max,
    np.minimum: extremes.min,
    np.logical_and: reductions.all,
    np.logical_or: reductions.any,
}
ACCUMULATES: dict[Any, Callable[..., Any]] = {np.add: scans.cumsum, np.multiply: scans.cumprod}


def array_ufunc(x: Tensor, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
    """Compute one of NumPy's functions of elements; see `numpy.ufunc`."""
    del x
    name = f"numpy.{ufunc.__name__}" + ("" if method == "__call__" else f".{method}")
    out, dtype = kwargs.pop("out", None), kwargs.pop("dtype", None)
    if method == "__call__":
        function = UFUNCS.get(ufunc)
    else:
        function = {"reduce": REDUCES, "accumulate": ACCUMULATES}.get(method, {}).get(ufunc)
        kwargs.setdefault("axis", 0)
    if function is None or kwargs.keys() - {"axis", "keepdims"}:
        raise TypeError(_refused(name, ufunc, kwargs.keys() - {"axis", "keepdims"}))
    if method == "accumulate":
        kwargs = {"axis": kwargs["axis"]}
    found = function(*map(_operand, inputs), **kwargs)
    if dtype is not None:
        found = found.astype(dtype)
    return found if out is None else _into(name, out[0], found)


def _refused(name: str, ufunc: Any, arguments: Iterable[str]) -> str:
    if ufunc in UFUNCS and arguments:
        return f"{name}: of tensors it takes no {' and no '.join(sorted(arguments))}"
    return (
        f"{name}: tensors have no counterpart of it; make it of the functions of evengrad, or take "
        f"{name}(x.detach().numpy()), which is not recorded"
    )


def _operand(given: Any) -> Any:
    """Return what operators of tensors take: numbers are weak, arrays are tensors."""
    if isinstance(given, np.generic):
        return given.item()
    return given if isinstance(given, (Tensor, bool, int, float)) else as_tensor(given)


def _into(name: str, out: Any, found: Tensor) -> Any:
    """Put a result where the caller wants it."""
    if found.requires_grad:
        raise RuntimeError(f"{name}: what is recorded is not put into out=; take the result")
    if isinstance(out, Tensor):
        return out.copy_(found)
    out[...] = found.numpy()
    return out


def _is_missing(value: Any) -> bool:
    return type(value).__name__ == "_NoValueType"


def _of_axis(function: Callable[..., Any], **own: Any) -> Callable[..., Any]:
    """Return a function with the arguments that NumPy's of its kind have beside it."""

    def with_axis(
        a: Any,
        axis: Any = None,
        dtype: Any = None,
        out: Any = None,
        keepdims: Any = False,
        **more: Any,
    ) -> Any:
        # NumPy hands on what stands for an argument that is not given.
        more = {name: value for name, value in more.items() if not _is_missing(value)}
        kept = {} if _is_missing(keepdims) else {"keepdims": bool(keepdims)}
        found = function(as_tensor(a), axis=axis, **kept, **{**own, **more})
        if dtype is not None:
            found = found.astype(dtype)
        return found if out is None else _into(f"numpy.{function.__name__}", out, found)

    return with_axis


def _along(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function along one dimension, which NumPy's gives a dtype and a place, too."""

    def along(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
        found = function(a, axis=axis)
        if dtype is not None:
            found = found.astype(dtype)
        return found if out is None else _into(f"numpy.{function.__name__}", out, found)

    return along


def _ordered(function: Callable[..., Any]) -> Callable[..., Any]:
    def ordered(
        a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None
    ) -> Any:
        # The order of equal elements is kept in any case.
        del kind, order, stable
        return function(a, axis)

    return ordered


def _where(condition: Any, *choices: Any) -> Any:
    if not choices:
        raise TypeError(
            "numpy.where: expected three arguments with tensors; the places where a mask is true "
            "are numpy.nonzero(mask.numpy())"
        )
    return _core.where(condition, *map(_operand, choices))


def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Tensor:
    tensor = as_tensor(x)
    width = tensor.ndim if axis is None else np.size(axis)
    if width > 1 and ord not in (None, "fro"):
        raise TypeError(
            f"numpy.linalg.norm: of matrices tensors have ord='fro' alone, got {ord!r}; take "
            "evengrad.norm(x, p) for the norm of all elements"
        )
    return spread.norm(tensor, 2.0 if ord is None else ord, axis=axis, keepdims=keepdims)


def _stack(arrays: Any, axis: int = 0) -> Tensor:
    return _core.stack([as_tensor(one) for one in arrays], axis)


def _take(a: Any, indices: Any, axis: Any = None) -> Tensor:
    x, places = as_tensor(a), as_tensor(indices)
    if axis is None:
        return _core.take(x.reshape(-1), places)
    front = shaping.moveaxis(x, axis, 0)
    found = _core.take(front, places.reshape(-1))
    back = shaping.moveaxis(found, 0, axis)
    shape = [*x.shape]
    shape[axis % x.ndim : axis % x.ndim + 1] = places.shape
    return back.reshape(tuple(shape))


def _like(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda a, *values, dtype=None, **_: function(a, *values, dtype=dtype)


def _reshape(a: Any, *shape: Any, order: str = "C", **named: Any) -> Tensor:
    if order != "C":
        raise TypeError("numpy.reshape: tensors are in row-major order alone; leave order out")
    (sizes,) = shape or (named.get("shape", named.get("newshape")),)
    return shaping.reshape(a, sizes)


FUNCTIONS: dict[Any, Callable[..., Any]] = {
    np.sum: _of_axis(reductions.sum),
    np.mean: _of_axis(reductions.mean),
    np.prod: _of_axis(reductions.prod),
    np.any: _of_axis(reductions.any),
    np.all: _of_axis(reductions.all),
    # NumPy's own default.
    np.std: _of_axis(spread.std, ddof=0),
    np.var: _of_axis(spread.var, ddof=0),
    np.max: lambda a, axis=None, out=None, keepdims=False: _of_axis(extremes.amax)(
        a, axis, None, out, keepdims
    ),
    np.min: lambda a, axis=None, out=None, keepdims=False: _of_axis(extremes.amin)(
        a, axis, None, out, keepdims
    ),
    np.argmax: lambda a, axis=None, out=None, *, keepdims=False: _of_axis(extremes.argmax)(
        a, axis, None, out, keepdims
    ),
    np.argmin: lambda a, axis=None, out=None, *, keepdims=False: _of_axis(extremes.argmin)(
        a, axis, None, out, keepdims
    ),
    np.cumsum: _along(scans.cumsum),
    np.cumprod: _along(scans.cumprod),
    np.sort: _ordered(scans.sort),
    np.argsort: _ordered(scans.argsort),
    np.take_along_axis: scans.take_along_axis,
    np.take: _take,
    np.where: _where,
    np.clip: lambda a, a_min=None, a_max=None, **named: arithmetic.clip(a, a_min, a_max, **named),
    np.round: lambda a, decimals=0: arithmetic.round(a, decimals),
    np.dot: arithmetic.dot,
    np.outer: arithmetic.outer,
    np.einsum: lambda *args, **_: einsum(*args),
    np.linalg.norm: _norm,
    np.concatenate: lambda arrays, axis=0: joining.concatenate(arrays, axis),
    np.stack: _stack,
    np.split: joining.split,
    np.flip: lambda m, axis=None: joining.flip(m, axis),
    np.repeat: joining.repeat,
    np.tril: lambda m, k=0: joining.tril(m, k),
    np.triu: lambda m, k=0: joining.triu(m, k),
    np.reshape: _reshape,
    np.ravel: lambda a, order="C": _reshape(a, -1, order=order),
    np.transpose: shaping.transpose,
    np.squeeze: lambda a, axis=None: shaping.squeeze(a, axis),
    np.expand_dims: shaping.expand_dims,
    np.swapaxes: shaping.swapaxes,
    np.moveaxis: shaping.moveaxis,
    np.broadcast_to: lambda array, shape, **_: shaping.broadcast_to(array, shape),
    np.zeros_like: _like(making.zeros_like),
    np.ones_like: _like(making.ones_like),
    np.full_like: _like(making.full_like),
}


def array_function(
    x: Tensor, function: Any, types: Iterable[type], args: Any, kwargs: Mapping[str, Any]
) -> Any:
    """Compute one of NumPy's functions of arrays."""
    del x, types
    named = OTHER_NAMES.get(getattr(function, "__name__", ""), function)
    ours = FUNCTIONS.get(named)
    if ours is not None:
        return ours(*args, **kwargs)
    tracked: list[Tensor] = []
    found = function(*_values(args, tracked), **_values(dict(kwargs), tracked))
    if tracked and _core.is_recording() and _has_fractions(found):
        module = getattr(function, "__module__", None) or "numpy"
        raise TypeError(
            f"{module}.{function.__name__}: tensors have no counterpart of it, and one of them "
            "requires a gradient, which it would not reach; pass tensor.detach() if none is "
            "wanted, or take the functions of evengrad"
        )
    return found


def _values(given: Any, tracked: list[Tensor]) -> Any:
    """Return arguments with arrays in the place of tensors, which are noted where they matter."""
    if isinstance(given, Tensor):
        if given.requires_grad:
            tracked.append(given)
        return given.detach().numpy()
    if type(given) in (list, tuple):
        return type(given)(_values(one, tracked) for one in given)
    if type(given) is dict:
        return {name: _values(one, tracked) for name, one in given.items()}
    return given


def _has_fractions(found: Any) -> bool:
    if isinstance(found, (list, tuple)):
        return any(map(_has_fractions, found))
    return isinstance(found, (np.ndarray, np.generic)) and found.dtype.kind == "f"
