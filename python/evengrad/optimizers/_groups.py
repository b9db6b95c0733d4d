"""Groups of parameters with other learning rates, or without decay."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from evengrad._common.advice import advise
from evengrad._common.checks import check_float
from evengrad._common.config import Configured
from evengrad._common.paths import decays, path_of
from evengrad._core import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class ParameterGroup(Configured):
    """Parameters whose learning rate and weight decay are multiples of the optimizer's.

    A parameter in several groups takes the product of their multipliers. As multiples they hold
    for schedules, and for callbacks that change the learning rate, too. A group stays as it was
    made.

    Parameters
    ----------
    names
        A regular expression that is searched in the parameters' paths (``"bias"``,
        ``"^dense_1/"``; see `Model.named_weights`), a tensor, or a list of these.
    learning_rate_multiplier
        0 or more; 1 by default. PyTorch's ``{"params": …, "lr": 1e-4}`` beside ``lr=1e-3`` is 0.1.
    weight_decay_multiplier
        0 or more; 1 by default. 0 leaves the group's weights without decay.

    Raises
    ------
    ValueError
        A multiplier below 0; no name; a string that is no regular expression.
    TypeError
        A name that is neither a string nor a tensor.

    Examples
    --------
    The first layer learns slowly, and no bias decays:

    >>> model = eg.Sequential([eg.Input((4,)), eg.layers.Dense(8, "relu"), eg.layers.Dense(1)])
    >>> slow = eg.optimizers.ParameterGroup("^dense/", learning_rate_multiplier=0.1)
    >>> biases = eg.optimizers.ParameterGroup("bias", weight_decay_multiplier=0.0)
    >>> model.compile(eg.optimizers.AdamW(0.01, groups=[slow, biases]), loss="mse")

    In a training loop of your own, with tensors:

    >>> a, b = eg.tensor([1.0], requires_grad=True), eg.tensor([1.0], requires_grad=True)
    >>> half = eg.optimizers.ParameterGroup(b, learning_rate_multiplier=0.5)
    >>> eg.optimizers.SGD(0.5, groups=[half]).minimize((a + b).sum(), [a, b])
    >>> a.tolist(), b.tolist()
    ([0.5], [0.75])
    """

    # Whether it stands for a rate that was set later, and can be set anew.
    sets_rate: bool

    def __init__(
        self,
        names: str | Tensor | Sequence[str | Tensor],
        learning_rate_multiplier: float = 1.0,
        weight_decay_multiplier: float = 1.0,
    ) -> None:
        given = [names] if isinstance(names, (str, Tensor)) else list(names)
        if not given:
            raise ValueError("names: expected at least one pattern or tensor, got none")
        for name in given:
            if not isinstance(name, (str, Tensor)):
                raise TypeError(
                    f"names: expected patterns or tensors, got {name!r} ({type(name).__name__})"
                )
            if isinstance(name, str):
                _compiled(name)
        vars(self)["sets_rate"] = False
        self.names: Any = names if isinstance(names, str) else given
        self._given = given
        self.learning_rate_multiplier = check_float(
            learning_rate_multiplier, "learning_rate_multiplier", low=0.0
        )
        self.weight_decay_multiplier = check_float(
            weight_decay_multiplier, "weight_decay_multiplier", low=0.0
        )

    def __setattr__(self, name: str, value: Any) -> None:
        if name in vars(self) and name != "sets_rate":
            raise AttributeError(
                f"{name}: a ParameterGroup stays as it was made; make a new one, and an optimizer "
                "with it"
            )
        super().__setattr__(name, value)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments; variables of layers stand there by their paths."""
        config = super().get_config()
        if not isinstance(self.names, str):
            paths = [None if isinstance(name, str) else path_of(name) for name in self._given]
            config["names"] = [
                name if path is None else f"^{re.escape(path)}$"
                for name, path in zip(self._given, paths, strict=True)
            ]
        return config

    def holds(self, parameter: Tensor) -> bool:
        """Tell whether a parameter belongs to the group.

        Examples
        --------
        >>> layer = eg.layers.Dense(1, name="head")
        >>> layer.build((None, 2))
        >>> group = eg.optimizers.ParameterGroup("head/bias")
        >>> [group.holds(weight) for weight in layer.weights]
        [False, True]
        """
        path = path_of(parameter)
        return any(
            path is not None and _compiled(name).search(path) is not None
            if isinstance(name, str)
            else name is parameter
            for name in self._given
        )


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ValueError(f"names: {pattern!r} is no regular expression: {error}") from error


def check_groups(groups: Any) -> list[ParameterGroup] | None:
    """Return groups as a list of objects; None where there are none."""
    if groups is None:
        return None
    if isinstance(groups, (ParameterGroup, dict)):
        groups = [groups]
    found = []
    for group in groups:
        if not isinstance(group, (ParameterGroup, dict)):
            raise TypeError(
                f"groups: expected ParameterGroup or a dict of its arguments: {group!r}"
            )
        found.append(ParameterGroup(**group) if isinstance(group, dict) else group)
    return found or None


class Members:
    """Which parameters are registered in the core, with the multipliers of their groups."""

    def __init__(self, groups: list[ParameterGroup] | None, decaying: bool) -> None:
        self.groups = groups
        # Whether weights decay at all: it is asked of each only then.
        self.decaying = decaying
        # Whether any parameter may have multipliers of its own.
        self.may_differ = decaying or bool(groups)
        # With the tensor, so that its identity stays its own.
        self.known: dict[int, Tensor] = {}

    def enter(self, core: Any, parameters: Iterable[Tensor]) -> None:
        """Tell the core of the parameters that it has not heard of."""
        new = [parameter for parameter in parameters if id(parameter) not in self.known]
        first = not self.known
        used: set[int] = set()
        for parameter in new:
            rate, decay = self._multipliers(parameter, used)
            if (rate, decay) != (1.0, 1.0):
                core.scale(parameter, rate, decay)
            self.known[id(parameter)] = parameter
        for number, group in enumerate(self.groups or []):
            if first and number not in used and not group.sets_rate:
                paths = [path_of(parameter) for parameter in new]
                advise(
                    "groups: %r holds none of the parameters that are trained: %s",
                    group,
                    ", ".join(path for path in paths if path) or "they are no layer's",
                )

    def _multipliers(self, parameter: Tensor, used: set[int]) -> tuple[float, float]:
        """Return those of the rate and of the decay; note the numbers of the groups around."""
        rate, decay = 1.0, float(decays(parameter)) if self.decaying else 1.0
        for number, group in enumerate(self.groups or []):
            if group.holds(parameter):
                used.add(number)
                rate *= group.learning_rate_multiplier
                decay *= group.weight_decay_multiplier
        return rate, decay

    def regroup(self, core: Any, groups: list[ParameterGroup] | None) -> None:
        """Go by other groups, also for parameters that the core has heard of."""
        self.groups = groups
        self.may_differ = self.decaying or bool(groups)
        for parameter in self.known.values():
            core.scale(parameter, *self._multipliers(parameter, set()))


def excluded(
    variables: Sequence[Tensor] | None, names: Sequence[str] | str | None
) -> ParameterGroup:
    """Return the group of what does not decay."""
    patterns = [names] if isinstance(names, str) else list(names or [])
    return ParameterGroup([*(variables or []), *patterns], weight_decay_multiplier=0.0)
