"""The base of all optimizers: gradients, clipping, learning rates, state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from evengrad import _core
from evengrad._capture import take_part
from evengrad._checks import check_float
from evengrad._config import Configured
from evengrad._constrained import apply_constraints
from evengrad._names import choose
from evengrad.optimizers._clipping import Clipping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from evengrad._core import Tensor

CONVENTIONS = ("keras", "torch", "tf1")


class Setting:
    """A number of the rule, or a schedule; may be changed between steps. It lives in the core."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, optimizer: Optimizer | None, owner: type) -> Any:
        if optimizer is None:
            return self
        return optimizer._get(self.name)

    def __set__(self, optimizer: Optimizer, value: float | Callable[[int], float]) -> None:
        optimizer._set(self.name, value)


class Optimizer(Configured):
    """Moves parameters against their gradients; the rule runs in the core, in place.

    Order within a step: gradients, clipping, decay of the weights, update, constraints. State of
    a parameter (momentum, averages) is made when the parameter is first updated.
    """

    # The rule's name in the core.
    rule: str
    # How weights decay under each convention; one without an entry has no `weight_decay`.
    decays: ClassVar[dict[str, str]] = {"keras": "decoupled", "torch": "coupled"}

    weight_decay = Setting()

    def __init__(
        self,
        learning_rate: float | Callable[[int], float],
        settings: Mapping[str, float | bool | str | Callable[[int], float]],
        *,
        clipnorm: float | None,
        clipvalue: float | None,
        global_clipnorm: float | None,
        convention: str,
        weight_decay: float | Callable[[int], float] | None = None,
    ) -> None:
        self.convention = convention
        self._clipping = Clipping(clipvalue, clipnorm, global_clipnorm, convention)
        self.clipvalue, self.clipnorm = clipvalue, clipnorm
        self.global_clipnorm = global_clipnorm
        self._settings: dict[str, Any] = dict(settings)
        if weight_decay is not None:
            self._settings.update(self._check_decay(weight_decay))
        given = {**self._settings, "learning_rate": learning_rate}
        self._schedules = {name: value for name, value in given.items() if callable(value)}
        first = {name: self._scheduled(name, 0) for name in self._schedules}
        numbers = {**given, **first}
        numbers["learning_rate"] = check_float(numbers["learning_rate"], "learning_rate", low=0.0)
        self._core = _core.Optimizer(self.rule, {**numbers, "convention": convention})

    def _check_decay(self, weight_decay: Any) -> dict[str, Any]:
        """Return the settings that make weights decay."""
        if self.convention not in self.decays:
            raise ValueError(
                f'weight_decay: the convention "{self.convention}" has none for '
                f"{type(self).__name__}; use AdamW, or a regularizer"
            )
        if not callable(weight_decay):
            weight_decay = check_float(weight_decay, "weight_decay", low=0.0)
        return {"weight_decay": weight_decay, "decay": self.decays[self.convention]}

    # ---- settings

    @property
    def iterations(self) -> int:
        """The number of steps made so far."""
        return int(self._core.iterations)

    @iterations.setter
    def iterations(self, steps: int) -> None:
        self._core.iterations = steps

    @property
    def learning_rate(self) -> float | Callable[[int], float]:
        """The learning rate, or the schedule: a function of the number of steps made so far."""
        return self._schedules.get("learning_rate") or float(self._core.get("learning_rate"))

    @learning_rate.setter
    def learning_rate(self, value: float | Callable[[int], float]) -> None:
        self._set("learning_rate", value)

    def _get(self, name: str) -> Any:
        """Return a setting: its number, or its schedule; None where there is no such thing."""
        return self._settings.get(name)

    def _set(self, name: str, value: float | Callable[[int], float]) -> None:
        """Change a setting for the steps to come."""
        if name != "learning_rate" and name not in self._settings:
            raise ValueError(
                f"{name}: {type(self).__name__} was made without; pass it when making the optimizer"
            )
        if callable(value):
            number = check_float(value(self.iterations), f"{name}({self.iterations})", low=0.0)
            self._schedules[name] = value
        else:
            number = check_float(value, name, low=0.0)
            self._schedules.pop(name, None)
        self._core.queue(name, [])
        self._core.set(name, number)
        if name in self._settings:
            self._settings[name] = value if callable(value) else number

    def _scheduled(self, name: str, step: int) -> float:
        """Return a schedule's value for the step after `step` others."""
        return check_float(self._schedules[name](step), f"{name}({step})", low=0.0)

    def prepare(self, steps: int) -> None:
        """Compute the schedules' values for the next steps, which may run without Python."""
        start = self.iterations
        for name in self._schedules:
            values = [self._scheduled(name, start + step) for step in range(steps)]
            self._core.queue(name, values)

    # ---- steps

    def minimize(self, loss: Tensor, parameters: Sequence[Tensor]) -> None:
        """Make one step: `compute_gradients`, then `apply_gradients`.

        Parameters
        ----------
        loss
            One element, made of the parameters.
        parameters
            Leaf tensors that require a gradient.

        Raises
        ------
        ValueError
            The loss depends on none of the parameters, or has several elements.

        Examples
        --------
        >>> w = eg.tensor([2.0], requires_grad=True)
        >>> eg.optimizers.SGD(0.25).minimize((w**2).sum(), [w])
        >>> w.tolist()
        [1.0]
        """
        self.apply_gradients(self.compute_gradients(loss, parameters))

    def compute_gradients(
        self, loss: Tensor, parameters: Sequence[Tensor]
    ) -> list[tuple[Tensor | None, Tensor]]:
        """Return (gradient, parameter) pairs, None for a gradient where the loss does not depend.

        Nothing is left in `.grad`.

        Parameters
        ----------
        loss
            One element, made of the parameters.
        parameters
            Leaf tensors that require a gradient.

        Examples
        --------
        >>> w = eg.tensor([2.0], requires_grad=True)
        >>> pairs = eg.optimizers.SGD().compute_gradients((w**2).sum(), [w])
        >>> pairs[0][0].tolist()
        [4.0]
        """
        wanted = list(parameters)
        return list(zip(_core.gradients(loss, wanted), wanted, strict=True))

    def apply_gradients(self, pairs: Iterable[tuple[Tensor | None, Tensor]]) -> None:
        """Clip the gradients and move the parameters: one step.

        Parameters
        ----------
        pairs
            (gradient, parameter) pairs; those with None for a gradient are left out.

        Raises
        ------
        ValueError
            No pair has a gradient; a gradient's shape differs from its parameter's.

        Examples
        --------
        >>> w = eg.tensor([2.0], requires_grad=True)
        >>> eg.optimizers.SGD(0.5).apply_gradients([(eg.tensor([1.0]), w)])
        >>> w.tolist()
        [1.5]
        """
        with_gradient = [(g, p) for g, p in pairs if g is not None]
        if not with_gradient:
            raise ValueError(
                f"{type(self).__name__}: no parameter has a gradient; the loss depends on none of "
                "them, or was computed under no_grad or detached"
            )
        gradients = self._clipping([g for g, _ in with_gradient])
        take_part(self)
        self.prepare(1)
        parameters = [p for _, p in with_gradient]
        self._core.apply(parameters, gradients)
        apply_constraints(parameters)

    # ---- state

    def slots(self, parameter: Tensor) -> dict[str, Tensor]:
        """Return the state kept for a parameter, by name; it is made where there is none yet.

        Examples
        --------
        >>> w = eg.tensor([2.0], requires_grad=True)
        >>> list(eg.optimizers.Adam().slots(w))
        ['mean', 'mean_square']
        """
        return dict(zip(self._core.slot_names(), self._core.slots(parameter), strict=True))


def by_convention(given: Any, convention: str, **defaults: Any) -> Any:
    """Return an argument, or where it was not given, the convention's default."""
    return defaults[convention] if given is None else given


def check_decay(value: Any, argument: str) -> Any:
    """Return a factor in [0, 1) by which averages decay, or a schedule of it."""
    if callable(value):
        return value
    return check_float(value, argument, low=0.0, high=1.0, open_high=True)


def check_momentum(value: Any) -> Any:
    """Return a momentum in [0, 1), or a schedule, which begins above 0 and so has a buffer."""
    chosen = check_decay(value, "momentum")
    if callable(chosen):
        check_float(chosen(0), "momentum(0)", low=0.0, high=1.0, open_low=True, open_high=True)
    return chosen


def check_convention(convention: Any) -> str:
    """Return a convention's name, or raise an error that lists them."""
    return choose(convention, CONVENTIONS, "convention")
