"""AdaGrad."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad._common.checks import check_float
from evengrad.optimizers._optimizer import Rule
from evengrad.optimizers._rules import takes_settings_of
from evengrad.optimizers._settings import Absent, Fixed, Setting

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Unpack

    from evengrad.optimizers._shared import Shared


class Adagrad(Rule):
    """Adaptive gradients: steps shrink where gradients have been large.

    s ← s + g². Under ``"keras"`` θ ← θ − η · g / √(s + ε); under ``"torch"`` ε stands outside the
    root and η falls, θ ← θ − η / (1 + (t − 1) · d) · g / (√s + ε); under ``"tf1"`` there is no ε.

    Parameters
    ----------
    learning_rate
        η, or a function of the number of steps made so far. Default 0.001; 0.01 under ``"torch"``.
    initial_accumulator_value
        Where s starts, 0 or more. Default 0.1; 0 under ``"torch"``.
    epsilon
        ε above 0. Default 1e-7; 1e-10 under ``"torch"``.
    lr_decay
        d, 0 or more; under ``"torch"`` alone.
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
    Duchi, Hazan & Singer, "Adaptive subgradient methods for online learning and stochastic
    optimization", 2011.

    Examples
    --------
    >>> w = eg.tensor(np.ones(1), requires_grad=True)
    >>> optimizer = eg.optimizers.Adagrad(0.1)
    >>> for g in (0.5, -0.25, 1.0):
    ...     optimizer.apply_gradients([(eg.tensor(np.array([g])), w)])
    ...     print(round(w.item(), 6))
    0.915485
    0.95441
    0.870269
    """

    rule = "adagrad"
    epsilon = Setting()
    initial_accumulator_value, lr_decay = Fixed(), Fixed()

    @takes_settings_of("adagrad")
    def __init__(
        self,
        learning_rate: float | Callable[[int], float] | None = None,
        initial_accumulator_value: float | None = None,
        epsilon: float | None = None,
        lr_decay: float | None = None,
        **shared: Unpack[Shared],
    ) -> None:
        super().__init__(
            shared,
            learning_rate=learning_rate,
            initial_accumulator_value=initial_accumulator_value,
            epsilon=epsilon,
            lr_decay=lr_decay,
        )

    def _fixed(self, name: str, value: Any, convention: str) -> Any:
        if name == "initial_accumulator_value":
            return check_float(value, name, low=0.0, open_low=convention == "tf1")
        return super()._fixed(name, value, convention)

    def _settle(self, settings: dict[str, Any], convention: str) -> None:
        if settings["lr_decay"] and convention != "torch":
            raise ValueError('lr_decay: for the convention "torch"; use a schedule elsewhere')

    def _setting(self, name: str) -> Setting | None:
        if name == "epsilon" and self.convention == "tf1":
            return Absent(name, 'the convention "tf1" has none; choose "keras" or "torch"')
        return super()._setting(name)
