"""Gradient clipping."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core
from evengrad._common.checks import check_float
from evengrad._tensor.grad_mode import no_grad
from evengrad._tensor.norms import scaled_norm

if TYPE_CHECKING:
    from evengrad._core import Tensor

    Array = np.ndarray[Any, Any]


# Norms are counted in 2⁴⁰: many of the largest numbers have a norm that is none. A power of two
# rounds nothing.
UNIT = 2.0**-40


class Clipping:
    """Bounds gradients before the update, in one way or in none.

    `value`: each element to [−c, c]. `norm`: each tensor to a norm of at most c, g · c / max(‖g‖,
    c), whatever the convention. `global_norm`: all together to a norm of at most c, g · c /
    max(N, c); with the convention ``"torch"``, as `torch.nn.utils.clip_grad_norm_` has it,
    g · min(1, c / (N + 1e-6)).
    """

    def __init__(
        self, value: float | None, norm: float | None, global_norm: float | None, convention: str
    ) -> None:
        given = {"clipvalue": value, "clipnorm": norm, "global_clipnorm": global_norm}
        chosen = {name: limit for name, limit in given.items() if limit is not None}
        if len(chosen) > 1:
            raise ValueError(f"{' and '.join(chosen)}: expected one way of clipping, got both")
        for name, limit in chosen.items():
            check_float(limit, name, low=0.0, open_low=True)
        self.value, self.norm, self.global_norm = value, norm, global_norm
        self.convention = convention
        self.is_active = bool(chosen)
        # Where every step leaves the norm of all gradients together, if somebody watches.
        self.noted: Tensor | None = None

    def __call__(self, gradients: list[Tensor]) -> list[Tensor]:
        """Return the gradients, bounded."""
        with no_grad():
            if self.value is not None:
                return [g.clamp(-self.value, self.value) for g in gradients]
            if self.norm is not None:
                limit = self.norm * UNIT
                factors = [limit / _core.maximum(_norm(g, UNIT), limit) for g in gradients]
                return [g * f.astype(g.dtype) for g, f in zip(gradients, factors, strict=True)]
            if self.global_norm is not None:
                norms = _core.stack([_norm(g, UNIT) for g in gradients])
                norm = _norm(norms, 1.0)
                if self.noted is not None:
                    self.noted.copy_(norm / UNIT)
                factor = self._factor_of_all(norm, self.global_norm * UNIT)
                return [g * factor.astype(g.dtype) for g in gradients]
        return gradients

    def left_of(self, norms: Array) -> Array:
        """Return what is left of gradients that all together have these norms."""
        limit = self.global_norm
        if limit is None:
            raise ValueError("left_of: expected an optimizer with global_clipnorm")
        more = 1e-6 if self.convention == "torch" else 0.0
        with np.errstate(divide="ignore", invalid="ignore"):
            left: Array = np.minimum(1.0, limit / (norms + more))
        return left

    def _factor_of_all(self, norm: Tensor, limit: float) -> Tensor:
        if self.convention == "torch":
            return _core.minimum(limit / (norm + 1e-6 * UNIT), 1.0)
        return limit / _core.maximum(norm, limit)


def _norm(gradient: Tensor, unit: float) -> Tensor:
    """Return ‖g‖ · unit in float64: the square of an exploding float32 gradient is no float32."""
    if gradient.dtype != "float64":
        return gradient.astype("float64").square().sum().sqrt() * unit
    largest, _, of_shares = scaled_norm(gradient)
    return ((largest * unit) * of_shares).reshape(())
