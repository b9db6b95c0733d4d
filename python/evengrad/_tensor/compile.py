"""`evengrad.compile`: record a step of operations once, replay it afterwards."""

from __future__ import annotations

import contextlib
import functools
import inspect
import operator
import os
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

import numpy as np

from evengrad import _core
from evengrad._common.advice import advise
from evengrad._common.config import Configured, settings_of
from evengrad._core import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

P = ParamSpec("P")
R = TypeVar("R")

# A step that is captured over and over costs more than it brings: something that changes with each
# call is passed as a plain number.
MANY_SIGNATURES = 32


def is_array(value: Any) -> bool:
    """Tell whether an argument's values may differ from call to call under one capture."""
    return isinstance(value, (Tensor, np.ndarray, np.generic)) or (
        hasattr(value, "__array__") and not isinstance(value, type)
    )


class _Arguments:
    """The arguments of a call, taken apart into arrays and the rest."""

    def __init__(self, args: Any, kwargs: dict[str, Any]) -> None:
        self.arrays: list[Tensor | np.ndarray[Any, Any]] = []
        self.key: list[Hashable] = []
        self.tree = (self._take(args), self._take(kwargs))

    def _take(self, value: Any) -> Any:
        if isinstance(value, (tuple, list)):
            self.key.append((type(value), len(value)))
            return [type(value), [self._take(item) for item in value]]
        if isinstance(value, dict):
            self.key.append((dict, *value))
            return [dict, {name: self._take(item) for name, item in value.items()}]
        if is_array(value):
            array = value if isinstance(value, Tensor) else np.asanyarray(value)
            if isinstance(array, Tensor) and array.requires_grad:
                # A parameter: it is the same tensor at each call, and takes its gradient itself.
                self.key.append(("parameter", id(array)))
                return [None, array]
            self.arrays.append(array)
            self.key.append((tuple(array.shape), str(array.dtype)))
            return len(self.arrays) - 1
        try:
            hash(value)
        except TypeError:
            raise TypeError(
                f"compile: an argument of type {type(value).__name__} is neither an array nor "
                "hashable, so that a change of it would go unseen; pass an array, a number, a "
                "string, or a list, tuple or dict of them"
            ) from None
        self.key.append((type(value), value))
        return [None, value]

    def rebuild(self, tensors: list[Tensor]) -> tuple[Any, Any]:
        """Return args and kwargs with `tensors` in place of the arrays."""

        def build(node: Any) -> Any:
            if isinstance(node, int):
                return tensors[node]
            kind, content = node
            if kind is dict:
                return {name: build(item) for name, item in content.items()}
            if kind is None:
                return content
            items = [build(item) for item in content]
            return kind(*items) if hasattr(kind, "_fields") else kind(items)

        args, kwargs = self.tree
        return build(args), build(kwargs)


def copy_out(value: Any) -> Any:
    """Return a step's result with fresh tensors in place of the fixed ones."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, (tuple, list)):
        items = [copy_out(item) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    if isinstance(value, dict):
        return {name: copy_out(item) for name, item in value.items()}
    return value


def leaves_in_reach(function: Callable[..., Any]) -> Iterator[tuple[str, Tensor]]:
    """Yield the leaf tensors that a function sees by name, with those names."""
    try:
        seen = inspect.getclosurevars(inspect.unwrap(function))
    except (TypeError, ValueError):
        return
    for name, value in {**seen.globals, **seen.nonlocals}.items():
        items = value if isinstance(value, (tuple, list)) else [value]
        # Layers and models bring their variables.
        items = [leaf for item in items for leaf in getattr(item, "trainable_weights", [item])]
        for item in items:
            if isinstance(item, Tensor) and item.requires_grad and item.is_leaf:
                yield name, item


def settings_in_reach(function: Callable[..., Any]) -> list[Any]:
    """Return the layers, losses and the like that a function sees by name."""
    try:
        seen = inspect.getclosurevars(inspect.unwrap(function))
    except (TypeError, ValueError):
        return []
    found: list[Any] = []
    stack = [*seen.globals.values(), *seen.nonlocals.values()]
    if inspect.ismethod(function):
        names = function.__code__.co_names
        stack += [value for name, value in vars(function.__self__).items() if name in names]
    while stack:
        value = stack.pop()
        if isinstance(value, (tuple, list)):
            stack += value
        elif isinstance(value, Configured):
            found.append(value)
    return found


@contextlib.contextmanager
def no_gradients_left(function: Callable[..., Any]) -> Iterator[None]:
    """Raise an error if a step leaves gradients on leaves; those that were there stay."""
    before = [(name, leaf, leaf.grad) for name, leaf in leaves_in_reach(function)]
    for _, leaf, _ in before:
        leaf.grad = None
    try:
        yield
        left = [name for name, leaf, _ in before if leaf.grad is not None]
    finally:
        for _, leaf, grad in before:
            leaf.grad = grad
    if left:
        raise RuntimeError(
            f"compile: the step leaves a gradient in {left[0]}.grad, where a replay could not add "
            "to it as backward() does; use optimizer.minimize(loss, parameters), or "
            "evengrad.autograd.grad(loss, parameters) and return the gradients"
        )


class _Captured:
    """One signature: its fixed arguments, its plan, its result."""

    def __init__(self, function: Callable[..., Any], arguments: _Arguments) -> None:
        self.lock = threading.RLock()
        # Parameters are known by their identity, which must not pass to another tensor.
        self.kept = arguments.tree
        self.fixed = [_core.tensor(np.array(value, subok=True)) for value in arguments.arrays]
        args, kwargs = arguments.rebuild(self.fixed)
        self.recording: _core.Recording
        try:
            with no_gradients_left(function), _core.Recording() as self.recording:
                self.result = function(*args, **kwargs)
        except _core.CaptureError as error:
            if hasattr(error, "add_note"):
                error.add_note(
                    f"compile: {function.__qualname__} looks at the values of a tensor (item(), "
                    "numpy(), float(), bool(), an if, print). Return the tensor and look at it "
                    "outside, use evengrad.where for choices, or leave compile away."
                )
            raise

    def __call__(self, arguments: _Arguments) -> Any:
        # One thread after the other: they share the memory of arguments and results.
        with self.lock:
            for tensor, value in zip(self.fixed, arguments.arrays, strict=True):
                tensor.copy_(value)
            self.recording.replay()
            return copy_out(self.result)


class Compiled(Generic[P, R]):
    """A function that is recorded once for each signature of its arguments, and then replayed.

    Made by `evengrad.compile`. ``f.signatures`` is the number of signatures seen, ``f.plans()``
    tells launches, multiply-adds and memory of each.
    """

    def __init__(self, function: Callable[P, R]) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self._captured: dict[Hashable, _Captured] = {}
        self._hooks = _core.hook_changes()
        # What captures have read the settings of, and these.
        self._reads: list[Any] = []
        self._settings: list[Any] = []
        _compiled.add(self)

    @property
    def signatures(self) -> int:
        """How many signatures have been captured."""
        return len(self._captured)

    def plans(self) -> list[dict[str, Any]]:
        """Describe the captured plans: launches, phases, flops, bytes and memory of each."""
        plans = [captured.recording.plan for captured in self._captured.values()]
        return [dict(plan.describe()) for plan in plans if plan is not None]

    def clear(self) -> None:
        """Forget all captures and free their memory; the next call records anew."""
        self._captured.clear()

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Replay the step for these arguments; the first call with a signature records it."""
        if _core.is_capturing():
            # Inside another captured step the operations belong to that one.
            return self.function(*args, **kwargs)
        if self._captured and not self._is_current():
            self.clear()
        arguments = _Arguments(args, kwargs)
        key = tuple(arguments.key)
        captured = self._captured.get(key)
        if captured is None:
            # One thread records, others that come meanwhile wait and replay.
            with _core.Access([self], writes=True):
                captured = self._captured.get(key)
                if captured is None:
                    return self._record(key, arguments)
        replayed: R = captured(arguments)
        return replayed

    def _record(self, key: Hashable, arguments: _Arguments) -> R:
        """Run the function, and keep what it does for the next calls."""
        captured = _Captured(self.function, arguments)
        result: R = copy_out(captured.result)
        self._hooks = _core.hook_changes()
        self._reads = settings_in_reach(self.function)
        self._settings = settings_of(self._reads)
        # Last: from now on other threads replay it.
        self._captured[key] = captured
        if len(self._captured) == MANY_SIGNATURES:
            advise(
                "compile: %s has been captured for %d different signatures; pass what changes with "
                "each call as an array, np.asarray(value), and keep shapes constant",
                getattr(self.function, "__qualname__", "the function"),
                MANY_SIGNATURES,
            )
        return result

    def _is_current(self) -> bool:
        """Tell whether hooks and settings are those of the captures."""
        now = settings_of(self._reads)
        same = len(now) == len(self._settings) and all(map(operator.is_, now, self._settings))
        return same and self._hooks == _core.hook_changes()

    def __reduce__(self) -> str | tuple[Any, ...]:
        # Captures stay in this process. A decorated function is found by its name, as others are.
        name: str = getattr(self.function, "__qualname__", "")
        found: Any = sys.modules.get(getattr(self.function, "__module__", ""))
        for part in name.split("."):
            found = getattr(found, part, None)
        return name if found is self else (Compiled, (self.function,))

    def __repr__(self) -> str:
        name = getattr(self.function, "__qualname__", repr(self.function))
        return f"<compiled {name}, {self.signatures} captured>"


# All that there are: a forked child may find the lock of a capture held by a thread of its parent.
_compiled: weakref.WeakSet[Compiled[..., Any]] = weakref.WeakSet()


def _clear_all() -> None:
    for one in list(_compiled):
        one.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_clear_all)


@overload
def compile(function: Callable[P, R]) -> Compiled[P, R]: ...
@overload
def compile() -> Callable[[Callable[P, R]], Compiled[P, R]]: ...
def compile(function: Callable[P, R] | None = None) -> Any:
    """Record a step function once; replay it from then on, without Python or allocation.

    The first call with a signature — shapes and dtypes of arrays, values of everything else —
    runs the function and records its launches. Later calls copy their arrays into the recorded
    memory, replay, and return fresh tensors. Eager calls and replays give the same bits.

    What Python does besides calling operations happens at the recording alone: printing, appending
    to a list, drawing from `numpy.random`, looking up a number outside the function. Random
    operations of this library draw anew in each replay, optimizers advance, schedules too. Where an
    attribute of a layer, loss, metric, regularizer or constraint that the function names has
    changed, it is recorded anew.

    Parameters
    ----------
    function
        Takes arrays, tensors and hashable values, also in lists, tuples and dicts; returns
        tensors, also in lists, tuples and dicts.

    Returns
    -------
    Compiled
        Called as the function is.

    Raises
    ------
    RuntimeError
        From the first call: the function reads values of a tensor, or leaves gradients in `.grad`.
    TypeError
        From a call: an argument is neither an array nor hashable.

    Examples
    --------
    >>> w = eg.tensor([[1.0], [1.0]], requires_grad=True)
    >>> optimizer = eg.optimizers.SGD(0.1)
    >>> @eg.compile
    ... def step(x, y):
    ...     loss = eg.functional.mse_loss(x @ w, y)
    ...     optimizer.minimize(loss, [w])
    ...     return loss
    >>> x, y = np.array([[1.0, 2.0]], np.float32), np.array([[0.0]], np.float32)
    >>> [round(step(x, y).item(), 4) for _ in range(3)]
    [9.0, 0.0, 0.0]
    """
    return Compiled if function is None else Compiled(function)
