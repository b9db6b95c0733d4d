"""RMSProp."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evengrad.optimizers._optimizer import Rule
from evengrad.optimizers._rules import takes_settings_of
from evengrad.optimizers._settings import Fixed, Momentum, Setting

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Unpack

    from evengrad.optimizers._shared import Shared


class RMSprop(Rule):
    """Steps scaled by a running root mean square of the gradients.

    s ← ρ · s + (1 − ρ) · g²; centred, s − a² takes its place, with a the same average of g. Under
    ``"keras"`` and ``"tf1"`` u = g / √(s + ε), under ``"torch"`` u = g / (√s + ε); then
    θ ← θ − η · u. With momentum μ: b ← μ · b + η · u, θ ← θ − b; under ``"torch"`` b ← μ · b + u,
    θ ← θ − η · b.

    Parameters
    ----------
    learning_rate
        η, or a function of the number of steps made so far. Default 0.001; 0.01 under ``"torch"``.
    rho
        ρ in [0, 1). Default 0.9; 0.99 under ``"torch"``.
    momentum
        μ in [0, 1), or a function of the number of steps made so far that begins above 0.
        Made with 0 there is no buffer, and it stays 0; else it may be changed, but not to 0.
    epsilon
        ε above 0. Default 1e-7; 1e-8 under ``"torch"``, 1e-10 under ``"tf1"``, where s starts at 1.
    centered
        Whether the variance is used, not the mean square.
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
    Tieleman & Hinton, "Lecture 6.5: rmsprop", Neural networks for machine learning, 2012; Graves,
    "Generating sequences with recurrent neural networks", 2013.

    Examples
    --------
    >>> w = eg.tensor(np.ones(1), requires_grad=True)
    >>> optimizer = eg.optimizers.RMSprop(0.1)
    >>> for g in (0.5, -0.25, 1.0):
    ...     optimizer.apply_gradients([(eg.tensor(np.array([g])), w)])
    ...     print(round(w.item(), 6))
    0.683773
    0.831215
    0.549357
    """

    rule = "rmsprop"
    rho = Setting()
    momentum = Momentum()
    epsilon = Setting()
    centered = Fixed()

    @takes_settings_of("rmsprop")
    def __init__(
        self,
        learning_rate: float | Callable[[int], float] | None = None,
        rho: float | Callable[[int], float] | None = None,
        momentum: float | Callable[[int], float] | None = None,
        epsilon: float | None = None,
        centered: bool = False,
        **shared: Unpack[Shared],
    ) -> None:
        super().__init__(
            shared,
            learning_rate=learning_rate,
            rho=rho,
            momentum=momentum,
            epsilon=epsilon,
            centered=centered,
        )
