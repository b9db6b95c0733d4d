"""The base of all optimizers: gradients, clipping, learning rates, state."""

from __future__ import annotations

import contextlib
import operator
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

import numpy as np

from evengrad import _core
from evengrad._common.config import Configured, spelled_out
from evengrad._common.pickling import END, Look, begin, seen
from evengrad._tensor.constrained import apply_constraints, constrained
from evengrad._tensor.masked import masked, masked_gradients
from evengrad.optimizers._clipping import Clipping
from evengrad.optimizers._groups import Members, ParameterGroup, excluded
from evengrad.optimizers._parameters import are_parameters, in_constructor, listed, unknown
from evengrad.optimizers._rules import check_setting, with_defaults
from evengrad.optimizers._settings import RATE, Fixed, Setting
from evengrad.optimizers._shared import (
    AROUND,
    SHARED,
    Around,
    check_shared,
    convention_of,
    core_settings,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from typing_extensions import Unpack

    from evengrad._core import Tensor


class Trained(Protocol):
    """A layer or a model: what has weights that are trained."""

    @property
    def trainable_weights(self) -> list[Tensor]:
        """Its variables that are trained."""


class Counts(NamedTuple):
    """How far an optimizer has come, beside the slots of its parameters."""

    # Updates, and the steps since the last one whose gradients are accumulated.
    iterations: int
    accumulated: int
    # The one number that a rule keeps from step to step, where it keeps one.
    memory: float


class Optimizer(Configured):
    """Moves parameters against their gradients; the rule runs in the core, in place.

    Order within a step: gradients, without those of weights that are pruned, their accumulation,
    clipping, decay of the weights, update, constraints, zeros where weights are pruned, averages of
    the weights. State of a parameter (momentum, averages) is made when the
    parameter is first updated. Results have the same bits in `minimize` and in a captured `fit`.

    Parameters
    ----------
    learning_rate
        η, or a function of the number of updates made so far.
    settings
        The rule's numbers, by name.
    clipnorm, clipvalue, global_clipnorm
        At most one: bounds the norm of each gradient, each of its elements, the norm of all
        gradients together.
    convention
        ``"keras"``, ``"torch"`` or ``"tf1"``.
    weight_decay
        λ, or a function of the number of updates made so far; None for no decay.
    groups
        A list of `ParameterGroup`, or of dicts of its arguments: parameters with other learning
        rates, or without decay.
    use_ema
        Whether moving averages of the parameters are kept: e ← m · e + (1 − m) · θ after each
        update, e ← θ after the first. `Model.fit` ends with the averages in place of the weights;
        during training see `averaged_weights` and `callbacks.SwapEMAWeights`.
    ema_momentum
        m in [0, 1]; 0.99 by default.
    ema_overwrite_frequency
        n: after every n-th update the parameters become their averages; None: never.
    gradient_accumulation_steps
        k: only every k-th step updates, with the mean of k gradients, which then is clipped; the
        memory is that of the small batches, and one sum for each parameter. `iterations`,
        schedules and averages count updates. For batches of one size it is the gradient of one
        batch k times as large, up to rounding; statistics of batch normalization are still those
        of the small ones. Steps that are left over at an epoch's end count for the next.

    Raises
    ------
    ValueError
        A value out of range, an unknown convention, two ways of clipping.

    Examples
    --------
    >>> optimizer = eg.optimizers.get("adam")
    >>> isinstance(optimizer, eg.optimizers.Optimizer), optimizer.iterations
    (True, 0)
    """

    # The rule's name in the core.
    rule: str
    # How weights decay under each convention; one without an entry has no `weight_decay`.
    decays: ClassVar[dict[str, str]] = {"keras": "decoupled", "torch": "coupled"}

    weight_decay = Setting()
    convention = Fixed()
    clipnorm, clipvalue, global_clipnorm = Fixed(), Fixed(), Fixed()
    use_ema, ema_momentum, ema_overwrite_frequency = Fixed(), Fixed(), Fixed()
    gradient_accumulation_steps = Fixed()
    groups: list[ParameterGroup] | None
    # What `step` and `zero_grad` were given.
    _last_given: Sequence[Tensor] = ()

    @spelled_out(Around, AROUND)
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
        **shared: Unpack[Around],
    ) -> None:
        around = check_shared(shared)
        ways = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
        # What stays as it is given; `Fixed` sees to that.
        vars(self).update(around, convention=convention, **ways)
        # The same, for every step to ask without a descriptor between.
        self._every = self.gradient_accumulation_steps or 1
        self._averages = bool(self.use_ema)
        decaying = weight_decay is not None or "weight_decay" in settings
        self._members = Members(self.groups, decaying)
        # Parameters that stand exchanged with their averages, by identity.
        self._swapped: dict[int, Tensor] = {}
        # What has state; with the tensor, so that its identity stays its own.
        self._parameters: dict[int, Tensor] = {}
        self._clipping = Clipping(clipvalue, clipnorm, global_clipnorm, convention)
        self._settings: dict[str, Any] = {
            name: value if (known := self._setting(name)) is None else known.given(value)
            for name, value in settings.items()
        }
        if weight_decay is not None:
            self._settings.update(self._check_decay(weight_decay))
        given = {**self._settings, "learning_rate": RATE.given(learning_rate)}
        self._schedules = {name: value for name, value in given.items() if callable(value)}
        first = {name: self._scheduled(name, 0) for name in self._schedules}
        self._core = _core.Optimizer(
            self.rule, {**given, **first, "convention": convention, **core_settings(around)}
        )

    def _setting(self, name: str) -> Setting | None:
        """Return the bounds of a number that may change; None for what the rule is chosen by."""
        found = RATE if name == "learning_rate" else getattr(type(self), name, None)
        return found if isinstance(found, Setting) else None

    def _number(self, name: str, value: Any, label: str) -> float:
        setting = self._setting(name)
        assert setting is not None  # noqa: S101 - callers ask for names of settings
        return setting.number(value, label)

    def _check_decay(self, weight_decay: Any) -> dict[str, Any]:
        """Return the settings that make weights decay."""
        if self.convention not in self.decays:
            raise ValueError(
                f'weight_decay: the convention "{self.convention}" has none for '
                f"{type(self).__name__}; use AdamW, or a regularizer"
            )
        checked = type(self).weight_decay.given(weight_decay)
        return {"weight_decay": checked, "decay": self.decays[self.convention]}

    # ---- settings

    @property
    def iterations(self) -> int:
        """The number of updates made so far."""
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

    @property
    def lr(self) -> float | Callable[[int], float]:
        """The learning rate under its short name, as scripts for Keras set it."""
        return self.learning_rate

    @lr.setter
    def lr(self, value: float | Callable[[int], float]) -> None:
        self.learning_rate = value

    def _set(self, name: str, value: float | Callable[[int], float]) -> None:
        """Change a setting for the steps to come."""
        if name != "learning_rate" and name not in self._settings:
            raise ValueError(
                f"{name}: {type(self).__name__} was made without; pass it when making the optimizer"
            )
        if callable(value):
            # A file's reader asks it for the first value.
            self._number(name, value(0), f"{name}(0)")
            number = self._number(name, value(self.iterations), f"{name}({self.iterations})")
            self._schedules[name] = value
        else:
            number = self._number(name, value, name)
            self._schedules.pop(name, None)
        self._core.queue(name, [])
        self._core.set(name, number)
        if name in self._settings:
            self._settings[name] = value if callable(value) else number

    def _scheduled(self, name: str, step: int) -> float:
        """Return a schedule's value for the step after `step` others."""
        return self._number(name, self._schedules[name](step), f"{name}({step})")

    def prepare(self, steps: int) -> None:
        """Compute the schedules' values for the next steps, which may run without Python.

        Raises
        ------
        RuntimeError
            The weights are exchanged with their averages.
        ValueError, TypeError
            A schedule returns what is no learning rate.

        Examples
        --------
        >>> optimizer = eg.optimizers.SGD(lambda step: 0.1 / (step + 1))
        >>> optimizer.prepare(100)
        """
        if self._swapped:
            raise RuntimeError(
                f"{type(self).__name__}: the weights are exchanged with their averages; call "
                "swap_ema_weights again before the next step"
            )
        if not self._schedules:
            return
        start = self.iterations
        updates = (self._core.accumulated + steps) // self._every
        for name in self._schedules:
            values = [self._scheduled(name, start + update) for update in range(updates)]
            self._core.queue(name, values)

    def exclude_from_weight_decay(
        self, var_list: Sequence[Tensor] | None = None, var_names: Sequence[str] | None = None
    ) -> None:
        """Keep variables from decaying: a `ParameterGroup` whose decay is multiplied by 0.

        Parameters
        ----------
        var_list
            Variables.
        var_names
            Patterns that are searched in the variables' paths.

        Raises
        ------
        ValueError
            Neither is given; steps have been made already.

        Examples
        --------
        >>> optimizer = eg.optimizers.AdamW(0.01)
        >>> optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
        """
        if self._parameters or self.iterations:
            raise ValueError("exclude_from_weight_decay: call it before the first step")
        self.groups = [*(self.groups or []), excluded(var_list, var_names)]
        self._members = Members(self.groups, self._members.decaying)

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
        TypeError
            A tensor in place of a list of them.

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

        Raises
        ------
        TypeError
            A tensor in place of a list of them.

        Examples
        --------
        >>> w = eg.tensor([2.0], requires_grad=True)
        >>> pairs = eg.optimizers.SGD().compute_gradients((w**2).sum(), [w])
        >>> pairs[0][0].tolist()
        [4.0]
        """
        given: Any = parameters
        if isinstance(given, _core.Tensor):
            raise TypeError("parameters: expected a list of tensors, got one tensor; pass [tensor]")
        wanted = list(parameters)
        return list(zip(_core.gradients(loss, wanted), wanted, strict=True))

    def apply_gradients(  # noqa: C901 - one call in each step of one's own, not several
        self, pairs: Iterable[tuple[Tensor | None, Tensor]]
    ) -> None:
        """Clip the gradients and move the parameters: one step.

        Parameters
        ----------
        pairs
            (gradient, parameter) pairs; those with None for a gradient are left out.

        Raises
        ------
        ValueError
            No pair has a gradient; a pair the wrong way round; a gradient's shape differs from its
            parameter's; the parameters differ between steps whose gradients are accumulated.

        Examples
        --------
        >>> w = eg.tensor([2.0], requires_grad=True)
        >>> eg.optimizers.SGD(0.5).apply_gradients([(eg.tensor([1.0]), w)])
        >>> w.tolist()
        [1.5]
        """
        parameters: list[Tensor] = []
        gradients: list[Tensor] = []
        for number, (g, p) in enumerate(pairs):
            if g is None:
                continue
            if g.is_leaf and g.requires_grad and not p.requires_grad:
                raise ValueError(
                    f"pairs: expected (gradient, parameter), got a parameter first in pair {number}"
                )
            gradients.append(g)
            parameters.append(p)
            self._parameters[id(p)] = p
        if not parameters:
            raise ValueError(
                f"{type(self).__name__}: no parameter has a gradient; the loss depends on none of "
                "them, or was computed under no_grad or detached"
            )
        if self._members.may_differ:
            self._members.enter(self._core, parameters)
        _core.schedule(self.prepare)
        self.prepare(1)
        gate = None
        if masked:
            gradients = masked_gradients(parameters, gradients)
        if self._every > 1:
            gradients = self._core.accumulate(parameters, gradients)
            gate = self._core.gate > 0.0
        if self._clipping.is_active:
            gradients = self._clipping(gradients)
        # Other threads see all parameters before the step, or after it.
        with _core.Access(parameters, writes=True):
            self._core.apply(parameters, gradients)
            if constrained or masked:
                apply_constraints(parameters, gate)
            if self._averages:
                self._core.average(parameters)

    def step(self, parameters: Iterable[Tensor] | Trained | None = None) -> None:
        """Make one step by the gradients in `.grad`, as PyTorch's optimizers do.

        Those without a gradient are left out. `minimize` does it without `.grad`.

        Parameters
        ----------
        parameters
            Leaf tensors that require a gradient, or a layer or model, whose `trainable_weights`
            are taken. None: those of the last call.

        Raises
        ------
        ValueError
            None is given, and none was; no parameter has a gradient.
        TypeError
            Something else than tensors.

        Examples
        --------
        >>> w = eg.tensor([2.0], requires_grad=True)
        >>> optimizer = eg.optimizers.SGD(0.25)
        >>> for _ in range(2):
        ...     optimizer.zero_grad([w])
        ...     (w**2).sum().backward()
        ...     optimizer.step()
        >>> w.tolist()
        [0.5]
        """
        chosen = self._given("step", parameters)
        if all(parameter.grad is None for parameter in chosen):
            raise ValueError(
                f"{type(self).__name__}.step: no parameter has a gradient; call loss.backward() "
                "before it, of a loss that depends on them"
            )
        self.apply_gradients([(parameter.grad, parameter) for parameter in chosen])

    def zero_grad(self, parameters: Iterable[Tensor] | Trained | None = None) -> None:
        """Forget the gradients in `.grad`, as PyTorch's optimizers do: they become None.

        Parameters
        ----------
        parameters
            As `step` takes them.

        Raises
        ------
        ValueError
            None is given, and none was.
        TypeError
            Something else than tensors.

        Examples
        --------
        >>> w = eg.tensor([2.0], requires_grad=True)
        >>> (w**2).sum().backward()
        >>> eg.optimizers.SGD().zero_grad([w])
        >>> w.grad is None
        True
        """
        for parameter in self._given("zero_grad", parameters):
            parameter.zero_grad()

    def _given(self, method: str, parameters: Any) -> Sequence[Tensor]:
        if parameters is not None:
            self._last_given = listed(parameters)
        if not self._last_given:
            raise unknown(self, method)
        return self._last_given

    @classmethod
    def _misused(cls, args: tuple[Any, ...]) -> TypeError | None:
        return in_constructor(cls.__name__) if args and are_parameters(args[0]) else None

    # ---- averages of the weights

    def _average(self, parameter: Tensor) -> Tensor:
        if not self.use_ema:
            raise ValueError(
                f"{type(self).__name__}: no averages of the weights are kept; make it with "
                "use_ema=True"
            )
        return self._core.slots(parameter)[-1]

    def swap_ema_weights(self, parameters: Sequence[Tensor]) -> None:
        """Exchange parameters and their averages; a second call puts them back, bit for bit.

        A step in between is refused.

        Parameters
        ----------
        parameters
            What has been trained, such as ``model.trainable_weights``.

        Raises
        ------
        ValueError
            The optimizer was made without ``use_ema=True``.

        Examples
        --------
        >>> w = eg.tensor([1.0], requires_grad=True)
        >>> optimizer = eg.optimizers.SGD(1.0, use_ema=True, ema_momentum=0.75)
        >>> for _ in range(2):
        ...     optimizer.apply_gradients([(eg.tensor([1.0]), w)])
        >>> optimizer.swap_ema_weights([w])
        >>> w.tolist()
        [-0.25]
        """
        pairs = [(parameter, self._average(parameter)) for parameter in parameters]
        with _core.Access(parameters, writes=True):
            for parameter, average in pairs:
                values = np.array(parameter.detach().numpy())
                parameter.copy_(average.numpy())
                average.copy_(values)
                if self._swapped.pop(id(parameter), None) is None:
                    self._swapped[id(parameter)] = parameter

    @contextlib.contextmanager
    def averaged_weights(self, parameters: Sequence[Tensor]) -> Iterator[None]:
        """Have parameters be their averages inside a ``with`` block, and put them back after it.

        Parameters
        ----------
        parameters
            What has been trained, such as ``model.trainable_weights``.

        Raises
        ------
        ValueError
            The optimizer was made without ``use_ema=True``.

        Examples
        --------
        >>> w = eg.tensor([1.0], requires_grad=True)
        >>> optimizer = eg.optimizers.SGD(1.0, use_ema=True, ema_momentum=0.75)
        >>> for _ in range(2):
        ...     optimizer.apply_gradients([(eg.tensor([1.0]), w)])
        >>> with optimizer.averaged_weights([w]):
        ...     print(w.tolist())
        [-0.25]
        >>> w.tolist()
        [-1.0]
        """
        chosen = list(parameters)
        self.swap_ema_weights(chosen)
        try:
            yield
        finally:
            self.swap_ema_weights(chosen)

    def finalize_variable_values(self, parameters: Sequence[Tensor]) -> None:
        """Make parameters their averages, for good; nothing without ``use_ema=True``.

        `Model.fit` does so after its last epoch.

        Examples
        --------
        >>> w = eg.tensor([1.0], requires_grad=True)
        >>> optimizer = eg.optimizers.SGD(1.0, use_ema=True, ema_momentum=0.75)
        >>> for _ in range(2):
        ...     optimizer.apply_gradients([(eg.tensor([1.0]), w)])
        >>> optimizer.finalize_variable_values([w])
        >>> w.tolist()
        [-0.25]
        """
        if not self._averages:
            return
        with _core.Access(parameters, writes=True):
            for parameter in parameters:
                average = self._average(parameter)
                if self._swapped.pop(id(parameter), None) is None:
                    parameter.copy_(average.numpy())
                else:
                    average.copy_(parameter.detach().numpy())

    # ---- state

    def slots(self, parameter: Tensor) -> dict[str, Tensor]:
        """Return the state kept for a parameter, by name; it is made where there is none yet.

        Examples
        --------
        >>> w = eg.tensor([2.0], requires_grad=True)
        >>> list(eg.optimizers.Adam().slots(w))
        ['mean', 'mean_square']
        """
        self._parameters[id(parameter)] = parameter
        return dict(zip(self._core.slot_names(), self._core.slots(parameter), strict=True))

    def __reduce__(self) -> tuple[Any, ...]:
        # Copies have parameters of their own: those that are pickled or copied along with this.
        state, look = seen(self), Look()
        if state is None:
            # In no model that is pickled: then its parameters and it are looked at here.
            with _core.Access(self._parameters.values()):
                look.add_tensors(self._parameters.values())
                see_optimizer(self, look)
            begin(look)
            state = {**look.value(self), END: look}
        return _remade, (type(self), self.get_config()), state

    def __setstate__(self, state: dict[str, Any]) -> None:
        for parameter, slots in state["slots"]:
            for slot, values in zip(self.slots(parameter).values(), slots, strict=True):
                slot.copy_(values)
        set_counts(self, state["counts"])
        self._swapped = {id(parameter): parameter for parameter in state["swapped"]}


class Rule(Optimizer):
    """An optimizer of a rule of the core; settings that are None get the convention's default."""

    def __init__(self, shared: Mapping[str, object], **settings: Any) -> None:
        convention = convention_of(shared)
        settings = with_defaults(self.rule, convention, **settings)
        for name, value in settings.items():
            if isinstance(getattr(type(self), name, None), Fixed):
                settings[name] = vars(self)[name] = self._fixed(name, value, convention)
        self._settle(settings, convention)
        around: dict[str, Any] = {**SHARED, **shared}
        super().__init__(settings.pop("learning_rate"), settings, **around)

    def _fixed(self, name: str, value: Any, convention: str) -> Any:
        """Return a setting that stays as it is, checked."""
        del convention
        return check_setting(self.rule, name, value)

    def _settle(self, settings: dict[str, Any], convention: str) -> None:
        """Raise an error for settings that do not go together."""


def counts_of(optimizer: Optimizer) -> Counts:
    """Return how far an optimizer has come."""
    core = optimizer._core  # noqa: SLF001 - no public name, as users derive from it
    return Counts(int(core.iterations), int(core.accumulated), float(core.memory))


def see_optimizer(optimizer: Optimizer, look: Look) -> None:
    """Have a look see the state of an optimizer."""
    # Of this class, whose attributes have no public names, as users derive from it.
    core, parameters = optimizer._core, list(optimizer._parameters.values())  # noqa: SLF001
    state = {
        "counts": counts_of(optimizer),
        "slots": [(p, [np.array(slot.numpy()) for slot in core.slots(p)]) for p in parameters],
        "swapped": list(optimizer._swapped.values()),  # noqa: SLF001
    }
    look.add(optimizer, state)


def set_counts(optimizer: Optimizer, counts: Counts) -> None:
    """Have an optimizer go on from there; the slots of its parameters are apart."""
    core = optimizer._core  # noqa: SLF001 - as above
    core.iterations, core.accumulated, core.memory = counts


def numbers_of(optimizer: Optimizer) -> dict[str, float]:
    """Return the learning rate and the other settings that are numbers, as they stand now."""
    names = ["learning_rate", *optimizer._settings]  # noqa: SLF001 - as above
    found = {name: getattr(optimizer, name, None) for name in names}
    return {name: value for name, value in found.items() if type(value) is float}


def schedules_of(optimizer: Optimizer) -> dict[str, Any]:
    """Return the settings that are schedules, by name."""
    return optimizer._schedules  # noqa: SLF001 - as above


# The schedules of an optimizer by the names of its settings; no function in Python, for `fit` asks.
schedules_in: Callable[[Optimizer], dict[str, Any]] = operator.attrgetter("_schedules")


def rate_of(optimizer: Optimizer, update: int) -> float:
    """Return the learning rate of an update, counted from 0; without a schedule that of now."""
    return _at(optimizer.learning_rate, update)


def momentum_of(optimizer: Optimizer, update: int) -> float:
    """Return the momentum of an update, as `rate_of` does; 0 of rules without one."""
    return _at(getattr(optimizer, "momentum", None) or 0.0, update)


def _at(value: float | Callable[[int], float], update: int) -> float:
    return float(value(max(0, update)) if callable(value) else value)


def core_of(optimizer: Optimizer) -> _core.Optimizer:
    """Return the rule that makes the updates."""
    return optimizer._core  # noqa: SLF001 - as above


def note_norms(optimizer: Optimizer, place: Tensor | None) -> None:
    """Have each step leave the norm of all gradients, where it is computed to clip them."""
    optimizer._clipping.noted = place  # noqa: SLF001 - as above


def left_by_clipping(optimizer: Optimizer, norms: Any) -> Any:
    """Return what clipping by the norm of all gradients leaves of some with these norms."""
    return optimizer._clipping.left_of(norms)  # noqa: SLF001 - as above


def has_slots(optimizer: Optimizer, parameter: Tensor) -> bool:
    """Tell whether the optimizer keeps a state for a parameter by now."""
    return id(parameter) in optimizer._parameters  # noqa: SLF001 - as above


def set_numbers(optimizer: Optimizer, numbers: dict[str, float]) -> None:
    """Set what `numbers_of` returned."""
    now = numbers_of(optimizer)
    for name, value in numbers.items():
        if now.get(name) != value:
            setattr(optimizer, name, value)


def regroup(optimizer: Optimizer, groups: list[ParameterGroup]) -> None:
    """Have an optimizer go by other groups from now on; steps must be captured anew."""
    optimizer.groups = groups or None
    optimizer._members.regroup(optimizer._core, optimizer.groups)  # noqa: SLF001 - as above


def averages_in_place(optimizer: Optimizer) -> bool:
    """Tell whether parameters stand exchanged with their averages."""
    return bool(optimizer._swapped)  # noqa: SLF001 - as above


def _remade(kind: type[Optimizer], config: dict[str, Any]) -> Optimizer:
    return kind(**config)
