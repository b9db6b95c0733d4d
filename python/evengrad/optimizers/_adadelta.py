"""AdaDelta."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evengrad._config import by_convention
from evengrad.optimizers._optimizer import Optimizer, check_convention
from evengrad.optimizers._settings import Setting
from evengrad.optimizers._shared import takes_shared

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Unpack

    from evengrad.optimizers._shared import Shared


class Adadelta(Optimizer):
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
    rho = Setting(below=1.0)
    epsilon = Setting(positive=True)

    @takes_shared
    def __init__(
        self,
        learning_rate: float | Callable[[int], float] | None = None,
        rho: float | Callable[[int], float] | None = None,
        epsilon: float | None = None,
        *,
        weight_decay: float | Callable[[int], float] | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        convention: str = "keras",
        **shared: Unpack[Shared],
    ) -> None:
        chosen = check_convention(convention)
        rate = by_convention(learning_rate, chosen, keras=0.001, torch=1.0, tf1=0.001)
        decay = by_convention(rho, chosen, keras=0.95, torch=0.9, tf1=0.95)
        small = by_convention(epsilon, chosen, keras=1e-7, torch=1e-6, tf1=1e-8)
        super().__init__(
            rate,
            {
                "rho": decay,
                "epsilon": small,
            },
            weight_decay=weight_decay,
            clipnorm=clipnorm,
            clipvalue=clipvalue,
            global_clipnorm=global_clipnorm,
            convention=chosen,
            **shared,
        )
