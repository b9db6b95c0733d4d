"""Gradient descent, with momentum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad.optimizers._optimizer import Rule
from evengrad.optimizers._rules import takes_settings_of
from evengrad.optimizers._settings import Fixed, Momentum

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Unpack

    from evengrad.optimizers._shared import Shared


class SGD(Rule):
    """Gradient descent: θ ← θ − η · g, on whatever batch is fed.

    With momentum β: m ← β · m − η · g, θ ← θ + m. With Nesterov's: θ ← θ + β · m − η · g after the
    same m. The conventions ``"torch"`` and ``"tf1"`` keep η out of the buffer, a ← β · a + g,
    θ ← θ − η · a (Nesterov: θ − η · (g + β · a)): the same while η is constant. Under ``"torch"``
    the buffer may be dampened, a ← β · a + (1 − d) · g, but a ← g in the optimizer's first step.

    Parameters
    ----------
    learning_rate
        η, or a function of the number of steps made so far. Default 0.01; 0.001 under ``"torch"``;
        required under ``"tf1"``.
    momentum
        β in [0, 1), or a function of the number of steps made so far that begins above 0.
        Made with 0 there is no buffer, and it stays 0; else it may be changed, but not to 0.
    nesterov
        Whether the gradient is taken where the momentum leads.
    dampening
        d in [0, 1]; with a momentum that is not Nesterov's, under ``"torch"`` alone. Default 0.
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
        A value out of range; two ways of clipping; ``nesterov`` without momentum under ``"torch"``;
        ``dampening`` elsewhere, without momentum, or with Nesterov's.

    References
    ----------
    Polyak, "Some methods of speeding up the convergence of iteration methods", 1964; Nesterov, "A
    method for solving the convex programming problem with convergence rate O(1/k²)", 1983.

    Examples
    --------
    >>> w = eg.tensor([1.0], requires_grad=True)
    >>> optimizer = eg.optimizers.SGD(0.1, momentum=0.9)
    >>> for g in (0.5, -0.25, 1.0):
    ...     optimizer.apply_gradients([(eg.tensor([g]), w)])
    ...     print(round(w.item(), 4))
    0.95
    0.93
    0.812
    >>> optimizer
    SGD(learning_rate=0.1, momentum=0.9)
    """

    rule = "sgd"
    momentum = Momentum()
    nesterov, dampening = Fixed(), Fixed()

    @takes_settings_of("sgd")
    def __init__(
        self,
        learning_rate: float | Callable[[int], float] | None = None,
        momentum: float | Callable[[int], float] | None = None,
        nesterov: bool = False,
        *,
        dampening: float | None = None,
        **shared: Unpack[Shared],
    ) -> None:
        super().__init__(
            shared,
            learning_rate=learning_rate,
            momentum=momentum,
            nesterov=nesterov,
            dampening=dampening,
        )

    def _settle(self, settings: dict[str, Any], convention: str) -> None:
        nesterov, dampening = settings["nesterov"], settings["dampening"]
        plain = settings["momentum"] == 0.0
        if nesterov and convention == "torch" and plain:
            raise ValueError('nesterov: the convention "torch" expects a momentum above 0, got 0')
        if dampening and convention != "torch":
            raise ValueError('dampening: for the convention "torch"; the others have none')
        if dampening and (nesterov or plain):
            raise ValueError("dampening: expected a momentum above 0 with it, not Nesterov's")
