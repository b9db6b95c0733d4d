"""How weighted sums and normalizations are read."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import layers
from evengrad.models._onnx._reader import reads
from evengrad.models._onnx._values import Operation, Scaled, Sums, View, scaled, view_of

if TYPE_CHECKING:
    from evengrad._common.arrays import Array
    from evengrad.models._onnx._reader import Reader


@reads("MatMul")
def read_product(reader: Reader, operation: Operation) -> Sums:
    """Read x · kernel."""
    base, kernel = reader.view(operation, 0), reader.constant(operation, 1)
    return _sums(reader, operation, base, kernel, None)


@reads("Gemm")
def read_sums(reader: Reader, operation: Operation) -> Any:
    """Read alpha · x · kernel + beta · bias; a bias that the graph computes is added."""
    alpha = float(reader.attribute(operation, "alpha", 1.0))
    beta = float(reader.attribute(operation, "beta", 1.0))
    if reader.attribute(operation, "transA", 0):
        raise reader.refused(operation, "attribute transA=1, which takes rows as columns")
    base, given = reader.view(operation, 0), reader.constant(operation, 1)
    if given.ndim != 2:
        raise reader.refused(operation, f"weights of shape {given.shape}")
    turned = bool(reader.attribute(operation, "transB", 0))
    kernel = given
    if turned or alpha != 1.0:
        kernel = reader.derived(
            given, f"kernel {alpha} {turned}", lambda: (given.T if turned else given) * alpha
        )
    if not reader.has(operation, 2):
        return _sums(reader, operation, base, kernel, None)
    if not reader.is_constant(operation, 2):
        made = reader.drawn(operation, _sums(reader, operation, base, kernel, None))
        other = reader.view(operation, 2)
        factor = np.float64(beta)
        added = other if beta == 1.0 else reader.drawn(operation, scaled(other, None).times(factor))
        if (added.axes, added.shape) != (made.axes, made.shape):
            raise reader.refused(operation, f"a sum of {made.shape} and {added.shape}")
        return reader.along(made, reader.draw(operation, layers.Add(), made.symbol, added.symbol))
    return _sums(reader, operation, base, kernel, _bias(reader, operation, kernel, beta))


def _bias(reader: Reader, operation: Operation, kernel: Array, beta: float) -> Array:
    given = reader.constant(operation, 2)
    units = kernel.shape[1]
    if given.shape[:-1] not in ((), (1,)) or given.shape[-1:] not in ((), (1,), (units,)):
        raise reader.refused(operation, f"a bias of shape {given.shape} for {units} outputs")
    if given.shape == (units,) and beta == 1.0:
        return given
    return reader.derived(
        given, f"bias {beta} {units}", lambda: np.broadcast_to(given.reshape(-1) * beta, (units,))
    )


def _sums(
    reader: Reader, operation: Operation, base: View, kernel: Array, bias: Array | None
) -> Sums:
    if kernel.ndim != 2 or kernel.dtype.kind != "f":
        raise reader.refused(operation, f"weights {kernel.dtype} of shape {kernel.shape}")
    if base.axes[-1] != base.symbol.ndim - 1 or len(base.axes) < 2:
        raise reader.refused(operation, "expected features in the last dimension")
    return Sums(base, kernel, bias, operation.name)


@reads("BatchNormalization")
def read_batch_norm(reader: Reader, operation: Operation) -> Any:
    """Read a normalization by moving statistics, of the second dimension."""
    if reader.attribute(operation, "training_mode", 0):
        raise reader.refused(
            operation,
            "attribute training_mode=1: the file was exported while training; export after "
            "model.eval()",
        )
    if not reader.attribute(operation, "spatial", 1):
        raise reader.refused(operation, "attribute spatial=0")
    view = reader.view(operation, 0)
    vectors = [reader.constant(operation, place) for place in range(1, 5)]
    epsilon = float(reader.attribute(operation, "epsilon", 1e-5))
    if len(view.axes) < 2 or any(one.shape != (view.shape[1],) for one in vectors):
        shapes = ", ".join(str(one.shape) for one in vectors)
        raise reader.refused(operation, f"vectors of shape {shapes} beside {view.shape}")
    if view.axes[1] == view.symbol.ndim - 1:
        momentum = min(1.0, max(0.0, float(reader.attribute(operation, "momentum", 0.9))))
        layer = reader.make(
            operation,
            layers.BatchNormalization,
            vectors,
            operation.name,
            epsilon=epsilon,
            momentum=momentum,
        )
        return reader.along(view, reader.draw(operation, layer, view.symbol))
    tail = (1,) * (len(view.axes) - 2)
    gamma, beta, mean, variance = (
        reader.aligned(operation, one.astype(np.float64).reshape(-1, *tail), view)
        for one in vectors
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = gamma / np.sqrt(variance + epsilon)
    return Scaled(view, mean, factor, beta, operation.name)


@reads("LayerNormalization")
def read_layer_norm(reader: Reader, operation: Operation) -> Any:
    """Read a normalization by rows, over the last dimensions together."""
    if any(reader.uses[name] for name in operation.outputs[1:] if name):
        raise reader.refused(operation, "its mean or deviation is used")
    if reader.attribute(operation, "stash_type", 1) not in (1, 11):
        raise reader.refused(operation, "attribute stash_type")
    view = reader.view(operation, 0)
    axis = int(reader.attribute(operation, "axis", -1)) % len(view.axes)
    epsilon = float(reader.attribute(operation, "epsilon", 1e-5))
    arrays = [reader.constant(operation, 1)]
    if reader.has(operation, 2):
        arrays.append(reader.constant(operation, 2))
    settings = {"epsilon": epsilon, "center": len(arrays) > 1}
    if axis == len(view.axes) - 1 and view.axes[-1] == view.symbol.ndim - 1:
        vectors = [_wide(reader, operation, one, view.shape[-1:]) for one in arrays]
        layer = reader.make(
            operation, layers.LayerNormalization, vectors, operation.name, **settings
        )
        return reader.along(view, reader.draw(operation, layer, view.symbol))
    symbol = reader.straight(operation, view)
    last = symbol.shape[axis:]
    if axis == 0 or None in last:
        raise reader.refused(operation, f"attribute axis={axis} for {symbol.shape}")
    # The dimensions that are normalized together, as one.
    vectors = [_wide(reader, operation, one, last).reshape(-1) for one in arrays]
    width = math.prod(size for size in last if size is not None)
    flat = reader.reshaped(operation, symbol, [*symbol.shape[1:axis], width])
    layer = reader.make(operation, layers.LayerNormalization, vectors, operation.name, **settings)
    made = reader.draw(operation, layer, flat)
    return view_of(reader.reshaped(operation, made, list(symbol.shape[1:])))


def _wide(reader: Reader, operation: Operation, given: Array, shape: tuple[Any, ...]) -> Array:
    """Return factors or offsets for each place, of which the file may have fewer."""
    if given.shape == shape:
        return given
    try:
        full = np.broadcast_to(given, shape)
    except ValueError as error:
        raise reader.refused(operation, f"weights of shape {given.shape} beside {shape}") from error
    reader.spend(operation, full.nbytes)
    return full
