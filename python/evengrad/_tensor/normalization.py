"""Normalization by the row, as a function."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from evengrad import _core
from evengrad._common.checks import check_float, check_shape
from evengrad._tensor.conversion import as_tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evengrad._core import Tensor
    from evengrad._tensor.conversion import TensorLike


def layer_norm(
    input: TensorLike,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalize the last dimensions: weight · (input − mean) / √(variance + eps) + bias.

    Mean and (biased) variance are those of the dimensions of `normalized_shape`. Rows do not depend
    on each other.

    Parameters
    ----------
    input
        Shape (..., *normalized_shape).
    normalized_shape
        The sizes of the last dimensions, which are normalized together; one number for one.
    weight, bias
        Shape `normalized_shape`; 1 and 0 where None.
    eps
        Added to the variance; 0 or more.

    Returns
    -------
    Tensor
        As `input` in shape and dtype.

    Raises
    ------
    ValueError
        The shapes do not fit together, a negative `eps`.

    References
    ----------
    Ba, Kiros and Hinton, "Layer normalization", 2016.

    Examples
    --------
    >>> eg.functional.layer_norm([[0.0, 2.0], [10.0, -30.0]], 2, eps=0.0).tolist()
    [[-1.0, 1.0], [1.0, -1.0]]
    """
    x = as_tensor(input)
    sizes = check_shape(normalized_shape, "normalized_shape")
    epsilon = check_float(eps, "eps", low=0.0, open_high=True)
    if not sizes or tuple(x.shape[-len(sizes) :]) != sizes:
        raise ValueError(
            f"input: expected shape (..., {', '.join(map(str, sizes))}) as normalized_shape says, "
            f"got {x.shape}"
        )
    for name, factor in (("weight", weight), ("bias", bias)):
        if factor is not None and tuple(factor.shape) != sizes:
            raise ValueError(f"{name}: expected shape {sizes}, got {tuple(factor.shape)}")
    return _core.layer_norm(x, prod(sizes), weight, bias, epsilon)
