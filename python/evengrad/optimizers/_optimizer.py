"""The base of all optimizers: gradients, clipping, learning rates, state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad import _core
from evengrad._capture import take_part
from evengrad._checks import check_float
from evengrad._config import Configured
from evengrad._names import choose
from evengrad.optimizers._clipping import Clipping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from evengrad._core import Tensor

CONVENTIONS = ("keras", "torch", "tf1")


class Setting:
    """A number of the rule, which may be changed between steps; it lives in the core."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, optimizer: Optimizer | None, owner: type) -> Any:
        if optimizer is None:
            return self
        return optimizer._settings[self.name]  # noqa: SLF001 - a part of the class

    def __set__(self, optimizer: Optimizer, value: float) -> None:
        number = check_float(value, self.name, low=0.0)
        optimizer._core.set(self.name, number)  # noqa: SLF001 - a part of the class
        optimizer._settings[self.name] = number  # noqa: SLF001 - a part of the class


class Optimizer(Configured):
    """Moves parameters against their gradients; the rule runs in the core, in place.

    Order within a step: gradients, clipping, update. State of a parameter (momentum, averages) is
    made when the parameter is first updated.
    """

    # The rule's name in the core.
    rule: str

    def __init__(
        self,
        learning_rate: float | Callable[[int], float],
        settings: Mapping[str, float | bool | str],
        *,
        clipnorm: float | None,
        clipvalue: float | None,
        global_clipnorm: float | None,
        convention: str,
    ) -> None:
        self.convention = convention
        self._clipping = Clipping(clipvalue, clipnorm, global_clipnorm, convention)
        self.clipvalue, self.clipnorm = clipvalue, clipnorm
        self.global_clipnorm = global_clipnorm
        self._settings = dict(settings)
        self._schedule = learning_rate if callable(learning_rate) else None
        first = self._scheduled(0) if self._schedule else learning_rate
        self._core = _core.Optimizer(
            self.rule,
            {
                **settings,
                "learning_rate": check_float(first, "learning_rate", low=0.0),
                "convention": convention,
            },
        )

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
        return self._schedule or float(self._core.get("learning_rate"))

    @learning_rate.setter
    def learning_rate(self, value: float | Callable[[int], float]) -> None:
        self._schedule = value if callable(value) else None
        now = self._scheduled(self.iterations) if callable(value) else value
        self._core.queue("learning_rate", [])
        self._core.set("learning_rate", check_float(now, "learning_rate", low=0.0))

    def _scheduled(self, step: int) -> float:
        """Return the schedule's value for the step after `step` others."""
        if self._schedule is None:
            raise RuntimeError("the learning rate is a number, not a schedule")
        return check_float(self._schedule(step), f"learning_rate({step})", low=0.0)

    def prepare(self, steps: int) -> None:
        """Compute the schedule's values for the next steps, which may run without Python."""
        if self._schedule is not None:
            start = self.iterations
            values = [self._scheduled(start + step) for step in range(steps)]
            self._core.queue("learning_rate", values)

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
        self._core.apply([p for _, p in with_gradient], gradients)

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


def check_convention(convention: Any) -> str:
    """Return a convention's name, or raise an error that lists them."""
    return choose(convention, CONVENTIONS, "convention")
