"""A mixture of the rows of a batch: of what layers put out, and of losses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from evengrad import _core

if TYPE_CHECKING:
    from collections.abc import Callable

    from evengrad._core import Tensor

    # A reduced loss of targets, whose rows may have weights.
    LossOf = Callable[[Tensor, Tensor | None], Tensor | None]


@dataclass
class Mixture:
    """The row that each row is mixed with, and the share that rows keep of their own."""

    partners: Tensor
    # One element.
    share: Tensor

    def of(self, x: Tensor) -> Tensor:
        """Return λ·x + (1 − λ)·x'."""
        other = _core.take(x, self.partners)
        return other + self.share.astype(x.dtype) * (x - other)

    def of_loss(self, loss_of: LossOf, y: Tensor, weight: Tensor | None) -> Tensor | None:
        """Return λ·loss(y) + (1 − λ)·loss(y'); rows may have weights, which go with them."""
        own = loss_of(y, weight)
        others = None if weight is None else _core.take(weight, self.partners)
        other = loss_of(_core.take(y, self.partners), others)
        if own is None or other is None:
            return None
        return other + self.share.astype(own.dtype) * (own - other)
