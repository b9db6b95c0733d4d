"""Adam."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evengrad._checks import check_float
from evengrad.optimizers._optimizer import (
    Optimizer,
    Setting,
    check_convention,
    check_decay,
)

if TYPE_CHECKING:
    from collections.abc import Callable


class Adam(Optimizer):
    """Adaptive moments: a step in the direction of m, scaled by √v.

    m ← β₁ · m + (1 − β₁) · g, v ← β₂ · v + (1 − β₂) · g². The conventions ``"keras"`` and ``"tf1"``
    add ε before the bias is corrected, θ ← θ − η · √(1 − β₂ᵗ) / (1 − β₁ᵗ) · m / (√v + ε);
    ``"torch"`` after, θ ← θ − η · m̂ / (√v̂ + ε).

    Parameters
    ----------
    learning_rate
        η, or a function of the number of steps made so far. Default 0.001.
    beta_1, beta_2
        β₁ and β₂ in [0, 1), or functions of the number of steps made so far.
    epsilon
        ε above 0. Default 1e-7; 1e-8 under ``"torch"`` and ``"tf1"``.
    amsgrad
        Whether the largest v so far takes the place of v; not under ``"tf1"``.
    clipnorm, clipvalue, global_clipnorm
        At most one: bounds the norm of each gradient, each of its elements, the norm of all
        gradients together.
    convention
        ``"keras"``, ``"torch"`` or ``"tf1"``.

    Raises
    ------
    ValueError
        A value out of range; two ways of clipping.

    References
    ----------
    Kingma & Ba, "Adam: a method for stochastic optimization", 2015; Reddi et al., "On the
    convergence of Adam and beyond", 2018.

    Examples
    --------
    >>> w = eg.tensor([1.0], requires_grad=True)
    >>> optimizer = eg.optimizers.Adam(0.1)
    >>> for g in (0.5, -0.25, 1.0):
    ...     optimizer.apply_gradients([(eg.tensor([g]), w)])
    ...     print(round(w.item(), 5))
    0.9
    0.87337
    0.80756
    """

    rule = "adam"
    beta_1 = Setting()
    beta_2 = Setting()
    epsilon = Setting()

    def __init__(
        self,
        learning_rate: float | Callable[[int], float] = 0.001,
        beta_1: float | Callable[[int], float] = 0.9,
        beta_2: float | Callable[[int], float] = 0.999,
        epsilon: float | None = None,
        amsgrad: bool = False,
        *,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        convention: str = "keras",
    ) -> None:
        chosen = check_convention(convention)
        first = check_decay(beta_1, "beta_1")
        second = check_decay(beta_2, "beta_2")
        default = 1e-7 if chosen == "keras" else 1e-8
        given = default if epsilon is None else epsilon
        small = check_float(given, "epsilon", low=0.0, open_low=True)
        self.amsgrad = bool(amsgrad)
        if amsgrad and chosen == "tf1":
            raise ValueError('amsgrad: the convention "tf1" has none; choose "keras" or "torch"')
        super().__init__(
            learning_rate,
            {
                "beta_1": first,
                "beta_2": second,
                "epsilon": small,
                "amsgrad": self.amsgrad,
            },
            clipnorm=clipnorm,
            clipvalue=clipvalue,
            global_clipnorm=global_clipnorm,
            convention=chosen,
        )
