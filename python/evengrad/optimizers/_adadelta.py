"""AdaDelta."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evengrad.optimizers._optimizer import Rule
from evengrad.optimizers._rules import takes_settings_of
from evengrad.optimizers._settings import Setting

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Unpack

    from evengrad.optimizers._shared import Shared


class Adadelta(Rule):
    """Steps in the parameter's own units: scaled by what past steps were, over past gradients.

    s ← ρ · s + (1 − ρ) · g², Δ = √(d + ε) / √(s + ε) · g, d ← ρ · d + (1 − ρ) · Δ²,
    θ ← θ − η · Δ. The conventions differ in their defaults alone.

    Parameters
    ----------
    learning_rate
        η, or a function of the number of steps made so far. Default 0.001; 1 under ``"torch"``, as
        in the paper.
    rho
        ρ in [0, 1). Default 0.95; 0.9 under ``"torch"``.
    epsilon
        ε above 0. Default 1e-7; 1e-6 under ``"torch"``, 1e-8 under ``"tf1"``.
    weight_decay
        λ, or a function of the number of steps made so far; None for no decay. Under ``"keras"``
        θ ← θ − η · λ · θ before the update; under ``"torch"`` g ← g + λ · θ.
    clipnorm, clipvalue, global_clipnorm
        At most one: bounds the norm of each gradient, each of its elements, the norm of all
        gradients together.
    convention
        ``"keras"``, ``"torch"`` or ``"tf1"``.
    groups, use_ema, ema_momentum, ema_overwrite_frequency, gradient_accumulation_steps
        As `Optimizer` says.

    Raises
    ------
    ValueError
        A value out of range; two ways of clipping.

    References
    ----------
    Zeiler, "ADADELTA: an adaptive learning rate method", 2012.

    Examples
    --------
    >>> w = eg.tensor(np.ones(1), requires_grad=True)
    >>> optimizer = eg.optimizers.Adadelta(100.0)
    >>> for g in (0.5, -0.25, 1.0):
    ...     optimizer.apply_gradients([(eg.tensor(np.array([g])), w)])
    ...     print(round(w.item(), 6))
    0.858579
    0.949866
    0.757941
    """

    rule = "adadelta"
    rho, epsilon = Setting(), Setting()

    @takes_settings_of("adadelta")
    def __init__(
        self,
        learning_rate: float | Callable[[int], float] | None = None,
        rho: float | Callable[[int], float] | None = None,
        epsilon: float | None = None,
        **shared: Unpack[Shared],
    ) -> None:
        super().__init__(shared, learning_rate=learning_rate, rho=rho, epsilon=epsilon)
