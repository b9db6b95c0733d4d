"""Lion."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evengrad.optimizers._optimizer import Rule
from evengrad.optimizers._rules import takes_settings_of
from evengrad.optimizers._settings import Setting
from evengrad.optimizers._shared import Clipped

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Unpack


class Lion(Rule):
    """Steps of one size, in the direction of a sign: θ ← θ − η · sign(β₁ · m + (1 − β₁) · g).

    Afterwards m ← β₂ · m + (1 − β₂) · g. It wants a smaller η than `Adam`, by about ten, and a
    larger `weight_decay` in turn.

    Parameters
    ----------
    learning_rate
        η, or a function of the number of steps made so far. Default 1e-4.
    beta_1, beta_2
        β₁ and β₂ in [0, 1), or functions of the number of steps made so far. Default 0.9 and 0.99.
    weight_decay
        λ, or a function of the number of steps made so far; None for no decay. θ ← θ − η · λ · θ
        before the update.
    clipnorm, clipvalue, global_clipnorm
        At most one: bounds the norm of each gradient, each of its elements, the norm of all
        gradients together.
    groups, use_ema, ema_momentum, ema_overwrite_frequency, gradient_accumulation_steps
        As `Optimizer` says.

    Raises
    ------
    ValueError
        A value out of range; two ways of clipping.

    References
    ----------
    Chen et al., "Symbolic discovery of optimization algorithms", 2023.

    Examples
    --------
    >>> w = eg.tensor(np.ones(1), requires_grad=True)
    >>> optimizer = eg.optimizers.Lion(0.25)
    >>> for g in (0.5, -0.25, 1.0):
    ...     optimizer.apply_gradients([(eg.tensor(np.array([g])), w)])
    ...     print(round(w.item(), 6))
    0.75
    1.0
    0.75
    """

    rule = "lion"
    beta_1, beta_2 = Setting(), Setting()

    @takes_settings_of("lion", Clipped)
    def __init__(
        self,
        learning_rate: float | Callable[[int], float] | None = None,
        beta_1: float | Callable[[int], float] | None = None,
        beta_2: float | Callable[[int], float] | None = None,
        *,
        weight_decay: float | Callable[[int], float] | None = None,
        **shared: Unpack[Clipped],
    ) -> None:
        if "convention" in shared:
            raise TypeError("got an unexpected keyword argument 'convention'")
        super().__init__(
            {"weight_decay": weight_decay, **shared},
            learning_rate=learning_rate,
            beta_1=beta_1,
            beta_2=beta_2,
        )
