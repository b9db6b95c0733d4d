"""Adam."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from evengrad._common.config import by_convention
from evengrad.optimizers._optimizer import Rule
from evengrad.optimizers._rules import takes_settings_of
from evengrad.optimizers._settings import Fixed, Setting
from evengrad.optimizers._shared import WithConvention, convention_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Unpack

    from evengrad.optimizers._shared import Shared


class Adam(Rule):
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
    beta_1, beta_2, epsilon = Setting(), Setting(), Setting()
    amsgrad = Fixed()

    @takes_settings_of("adam")
    def __init__(
        self,
        learning_rate: float | Callable[[int], float] | None = None,
        beta_1: float | Callable[[int], float] | None = None,
        beta_2: float | Callable[[int], float] | None = None,
        epsilon: float | None = None,
        amsgrad: bool = False,
        **shared: Unpack[Shared],
    ) -> None:
        super().__init__(
            shared,
            learning_rate=learning_rate,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            amsgrad=amsgrad,
        )

    def _settle(self, settings: dict[str, Any], convention: str) -> None:
        if settings["amsgrad"] and convention == "tf1":
            raise ValueError('amsgrad: the convention "tf1" has none; choose "keras" or "torch"')


class AdamW(Adam):
    """Adam with weights that decay apart from the gradient: θ ← θ − η · λ · θ, then as `Adam`.

    Under ``"tf1"`` the decay is not scaled by the learning rate: θ ← θ − λ · θ.

    Parameters
    ----------
    learning_rate
        η, or a function of the number of steps made so far. Default 0.001.
    weight_decay
        λ, or a function of the number of steps made so far; not None. Default 0.004; 0.01 under
        ``"torch"``; required under ``"tf1"``.
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
    groups, use_ema, ema_momentum, ema_overwrite_frequency, gradient_accumulation_steps
        As `Optimizer` says.

    Raises
    ------
    ValueError
        A value out of range; two ways of clipping.

    References
    ----------
    Loshchilov & Hutter, "Decoupled weight decay regularization", 2019.

    Examples
    --------
    >>> w = eg.tensor(np.ones(1), requires_grad=True)
    >>> optimizer = eg.optimizers.AdamW(0.1)
    >>> for g in (0.5, -0.25, 1.0):
    ...     optimizer.apply_gradients([(eg.tensor(np.array([g])), w)])
    ...     print(round(w.item(), 6))
    0.899601
    0.872607
    0.806447
    """

    decays: ClassVar[dict[str, str]] = {
        "keras": "decoupled",
        "torch": "decoupled",
        "tf1": "unscaled",
    }

    @takes_settings_of("adam", WithConvention)
    def __init__(
        self,
        learning_rate: float | Callable[[int], float] | None = None,
        weight_decay: float | Callable[[int], float] | None = None,
        beta_1: float | Callable[[int], float] | None = None,
        beta_2: float | Callable[[int], float] | None = None,
        epsilon: float | None = None,
        amsgrad: bool = False,
        **shared: Unpack[WithConvention],
    ) -> None:
        convention = convention_of(shared)
        if self._bound().arguments.get("weight_decay", convention) is None:
            raise ValueError(
                "weight_decay: expected a number or a schedule, got None; leave it out for the "
                "convention's default, pass 0.0 or use Adam for no decay"
            )
        decay = by_convention(weight_decay, convention, keras=0.004, torch=0.01, tf1=None)
        if decay is None:
            raise ValueError('weight_decay: the convention "tf1" has no default; pass a number')
        super().__init__(
            learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay=decay, **shared
        )
