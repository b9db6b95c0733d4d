"""The rectified linear unit, with what Keras' takes besides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad import _core
from evengrad._common.checks import check_float
from evengrad._tensor.conversion import as_tensor

if TYPE_CHECKING:
    from evengrad._core import Tensor


def relu(
    x: Any, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0
) -> Tensor:
    """Apply the rectified linear unit (Nair & Hinton 2010), with leak, bound and threshold.

    Elementwise: max(0, x). With the other arguments it is max_value where x ≥ max_value, x where
    threshold ≤ x < max_value, and negative_slope · (x − threshold) below.

    Parameters
    ----------
    x
        A tensor, or what converts to one.
    negative_slope
        The slope below the threshold, 0 or more.
    max_value
        The upper bound, 0 or more; none if None.
    threshold
        Where the slope changes, 0 or more; the function jumps there unless it is 0.

    Returns
    -------
    Tensor
        As `x` in shape and dtype.

    Raises
    ------
    ValueError
        A negative argument.

    Examples
    --------
    >>> eg.relu([-1.0, 2.0]).tolist()
    [0.0, 2.0]
    >>> eg.relu([-2.0, 3.0, 9.0], negative_slope=0.5, max_value=6.0, threshold=1.0).tolist()
    [-1.5, 3.0, 6.0]
    """
    tensor = as_tensor(x)
    if max_value is None and negative_slope == threshold == 0.0:
        return tensor.relu()
    slope = check_float(negative_slope, "negative_slope", low=0.0, open_high=True)
    limit = None if max_value is None else check_float(max_value, "max_value", low=0.0)
    return rectified(tensor, slope, limit, check_float(threshold, "threshold", low=0.0))


def rectified(x: Tensor, slope: float, limit: float | None, threshold: float) -> Tensor:
    """Return the function for arguments that were checked."""
    if threshold:
        below = 0.0 if slope == 0.0 else (x - threshold) * slope
        output = _core.where(x < threshold, below, x)
    elif slope:
        output = x.leaky_relu(slope)
    else:
        output = x.relu()
    return output if limit is None else output.clamp(-float("inf"), limit)
