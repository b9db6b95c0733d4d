"""AdaMax."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evengrad.optimizers._optimizer import Rule
from evengrad.optimizers._rules import takes_settings_of
from evengrad.optimizers._settings import Setting

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Unpack

    from evengrad.optimizers._shared import Shared


class Adamax(Rule):
    """Adam with the largest gradient in place of the root mean square.

    m ← β₁ · m + (1 − β₁) · g, u ← max(β₂ · u, abs(g)),
    θ ← θ − η / (1 − β₁ᵗ) · m / (u + ε). Under ``"torch"`` ε stands inside the maximum instead,
    u ← max(β₂ · u, abs(g) + ε).

    Parameters
    ----------
    learning_rate
        η, or a function of the number of steps made so far. Default 0.001; 0.002 under ``"torch"``.
    beta_1, beta_2
        β₁ and β₂ in [0, 1), or functions of the number of steps made so far. Default 0.9 and 0.999.
    epsilon
        ε above 0. Default 1e-7; 1e-8 under ``"torch"`` and ``"tf1"``.
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
    Kingma & Ba, "Adam: a method for stochastic optimization", section 7.1, 2015.

    Examples
    --------
    >>> w = eg.tensor(np.ones(1), requires_grad=True)
    >>> optimizer = eg.optimizers.Adamax(0.1)
    >>> for g in (0.5, -0.25, 1.0):
    ...     optimizer.apply_gradients([(eg.tensor(np.array([g])), w)])
    ...     print(round(w.item(), 6))
    0.9
    0.878926
    0.835384
    """

    rule = "adamax"
    beta_1, beta_2, epsilon = Setting(), Setting(), Setting()

    @takes_settings_of("adamax")
    def __init__(
        self,
        learning_rate: float | Callable[[int], float] | None = None,
        beta_1: float | Callable[[int], float] | None = None,
        beta_2: float | Callable[[int], float] | None = None,
        epsilon: float | None = None,
        **shared: Unpack[Shared],
    ) -> None:
        super().__init__(
            shared, learning_rate=learning_rate, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon
        )
