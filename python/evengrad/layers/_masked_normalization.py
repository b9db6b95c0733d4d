"""Batch normalization over the steps that count."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evengrad import _core
from evengrad._tensor.grad_mode import no_grad

if TYPE_CHECKING:
    from evengrad._core import Tensor


def masked_batch_norm(
    x: Tensor,
    mask: Tensor,
    gamma: Tensor | None,
    beta: Tensor | None,
    moving: tuple[Tensor, Tensor],
    *,
    rate: float,
    unbiased: bool,
    epsilon: float,
) -> Tensor:
    """Return gamma · x̂ + beta, with mean and variance over the steps that a mask keeps.

    The moving mean and variance go the share `rate` of the way to them, where a step counts at all.
    """
    counts = mask.reshape(*mask.shape, *[1] * (x.ndim - mask.ndim))
    others = tuple(range(x.ndim - 1))
    # As many numbers of each feature as a step has, where it has several.
    shared = x.size // max(1, mask.size * x.shape[-1])
    found = counts.astype(x.dtype).sum() * float(shared)
    number = _core.where(found == 0.0, 1.0, found)
    mean = _core.where(counts, x, 0.0).sum(dim=others) / number
    centred = x - mean
    squares = _core.where(counts, centred * centred, 0.0).sum(dim=others)
    variance = squares / number
    output = centred / (variance + epsilon).sqrt()
    with no_grad():
        fewer = number - 1.0 if unbiased else number
        spread = squares / _core.where(fewer == 0.0, 1.0, fewer)
        for kept, now in zip(moving, (mean, spread), strict=True):
            moved = kept + (now.detach() - kept) * rate
            kept.copy_(_core.where(found == 0.0, kept, moved))
    if gamma is not None:
        output = output * gamma
    return output if beta is None else output + beta
