"""Gradient clipping."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evengrad import _core
from evengrad._checks import check_float
from evengrad.autograd import no_grad

if TYPE_CHECKING:
    from evengrad._core import Tensor


class Clipping:
    """Bounds gradients before the update, in one way or in none.

    `value`: each element to [−c, c]. `norm`: each tensor to a norm of at most c, g · c / max(‖g‖,
    c). `global_norm`: all together to a norm of at most c, g · c / max(N, c); with the convention
    ``"torch"``, g · min(1, c / (N + 1e-6)).
    """

    def __init__(
        self,
        value: float | None,
        norm: float | None,
        global_norm: float | None,
        convention: str,
    ) -> None:
        given = {"clipvalue": value, "clipnorm": norm, "global_clipnorm": global_norm}
        chosen = {name: limit for name, limit in given.items() if limit is not None}
        if len(chosen) > 1:
            raise ValueError(f"{' and '.join(chosen)}: expected one way of clipping, got both")
        for name, limit in chosen.items():
            check_float(limit, name, low=0.0, open_low=True)
        self.value, self.norm, self.global_norm = value, norm, global_norm
        self.convention = convention

    def __call__(self, gradients: list[Tensor]) -> list[Tensor]:
        """Return the gradients, bounded."""
        with no_grad():
            if self.value is not None:
                return [g.clamp(-self.value, self.value) for g in gradients]
            if self.norm is not None:
                factors = [self._factor(_square(g).sqrt(), self.norm) for g in gradients]
                return [g * f.astype(g.dtype) for g, f in zip(gradients, factors, strict=True)]
            if self.global_norm is not None:
                squares = _core.stack([_square(g) for g in gradients])
                factor = self._factor(squares.sum().sqrt(), self.global_norm)
                return [g * factor.astype(g.dtype) for g in gradients]
        return gradients

    def _factor(self, norm: Tensor, limit: float) -> Tensor:
        if self.convention == "torch":
            return _core.minimum(limit / (norm + 1e-6), 1.0)
        return limit / _core.maximum(norm, limit)


def _square(gradient: Tensor) -> Tensor:
    """Return ‖g‖² in float64: the square of an exploding float32 gradient is no float32."""
    return gradient.astype("float64").square().sum()
