"""Nadam."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evengrad.optimizers._optimizer import Rule
from evengrad.optimizers._rules import takes_settings_of
from evengrad.optimizers._settings import Fixed, Setting

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Unpack

    from evengrad.optimizers._shared import Shared


class Nadam(Rule):
    """Adam with Nesterov's look-ahead, and a momentum that warms up.

    m and v as in `Adam`; μ_t = β₁ · (1 − ½ · 0.96^(t · ψ)), P_t = μ_1 · … · μ_t. Then
    m̄ = μ_{t+1} · m / (1 − P_{t+1}) + (1 − μ_t) · g / (1 − P_t), θ ← θ − η · m̄ / (√v̂ + ε). Under
    ``"tf1"`` there is no warm-up: m̄ = β₁ · m + (1 − β₁) · g takes the place of m in `Adam`.

    Parameters
    ----------
    learning_rate
        η, or a function of the number of steps made so far. Default 0.001; 0.002 under ``"torch"``.
    beta_1, beta_2
        β₁ and β₂ in [0, 1), or functions of the number of steps made so far. Default 0.9 and 0.999.
    epsilon
        ε above 0. Default 1e-7; 1e-8 under ``"torch"`` and ``"tf1"``.
    momentum_decay
        ψ, 0 or more. Default 1; 0.004 under ``"torch"``; not under ``"tf1"``.
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
    Dozat, "Incorporating Nesterov momentum into Adam", 2016.

    Examples
    --------
    >>> w = eg.tensor(np.ones(1), requires_grad=True)
    >>> optimizer = eg.optimizers.Nadam(0.1)
    >>> for g in (0.5, -0.25, 1.0):
    ...     optimizer.apply_gradients([(eg.tensor(np.array([g])), w)])
    ...     print(round(w.item(), 6))
    0.893721
    0.932981
    0.838193
    """

    rule = "nadam"
    beta_1, beta_2, epsilon = Setting(), Setting(), Setting()
    momentum_decay = Fixed()

    @takes_settings_of("nadam")
    def __init__(
        self,
        learning_rate: float | Callable[[int], float] | None = None,
        beta_1: float | Callable[[int], float] | None = None,
        beta_2: float | Callable[[int], float] | None = None,
        epsilon: float | None = None,
        momentum_decay: float | None = None,
        **shared: Unpack[Shared],
    ) -> None:
        settings = {"momentum_decay": momentum_decay}
        if shared.get("convention") == "tf1":
            self.momentum_decay = settings.pop("momentum_decay")
            if momentum_decay is not None:
                raise ValueError('momentum_decay: the convention "tf1" has none')
        super().__init__(
            shared,
            learning_rate=learning_rate,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            **settings,
        )
