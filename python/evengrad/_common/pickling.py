"""Pickling and deep copies of native objects, so that whatever holds them pickles and copies.

Importing this module registers it all. A pickle serves other processes and copies of the same
release; to keep a model, `Model.save` writes a file without code in it.

A model is taken apart piece by piece, while another thread may train it. So the first object of a
pickle that knows what belongs together takes a `Look` at it, and the pieces tell what was seen.
"""

from __future__ import annotations

import contextlib
import copyreg
import pickle
import threading
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core
from evengrad._core import Generator, Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

# The last item of a state that begins a look: where a pickle comes to it, the look is over.
END = "_look"


class Look:
    """What objects were at one moment, for the pickle or copy of them that is made in a thread."""

    def __init__(self) -> None:
        # With the objects, so that their identities stay their own.
        self._seen: dict[int, tuple[Any, Any]] = {}
        # What was told of before this.
        self.before: Callable[[], Look | None] = _nothing

    def add(self, thing: Any, value: Any) -> None:
        """Keep what an object was."""
        self._seen[id(thing)] = thing, value

    def add_tensors(self, tensors: Iterable[Tensor]) -> None:
        """Keep the values of tensors."""
        for tensor in tensors:
            self.add(tensor, np.array(tensor.detach().numpy()))

    def add_streams(self, streams: Iterable[Generator]) -> None:
        """Keep the positions of random streams."""
        for stream in streams:
            self.add(stream, stream.draws)

    def value(self, thing: Any) -> Any:
        """Return what an object was; None of one that was not looked at."""
        return self._seen.get(id(thing), (None, None))[1]

    def __reduce__(self) -> tuple[Any, ...]:
        if looking() is self:
            _current.look = self.before
        return _nothing, ()


def _nothing() -> None:
    return None


class _Current(threading.local):
    look: Callable[[], Look | None] = staticmethod(_nothing)


_current = _Current()


def looking() -> Look | None:
    """Return the look that this thread's pickle or copy tells of, if there is one."""
    return _current.look()


def seen(thing: Any) -> Any:
    """Return what an object was at the look in progress; None where there is none."""
    look = looking()
    return None if look is None else look.value(thing)


def begin(look: Look) -> None:
    """Have a pickle tell of a look, until it comes to the look itself, or until it fails.

    Only the state that the pickle is made of holds the look: it is gone with that, too.
    """
    look.before, _current.look = _current.look, weakref.ref(look)


@contextlib.contextmanager
def telling(look: Look) -> Iterator[None]:
    """Have copies made inside tell of a look."""
    before = _current.look
    _current.look = lambda: look
    try:
        yield
    finally:
        _current.look = before


def _reduce_tensor(tensor: Tensor) -> tuple[Any, ...]:
    """Take a tensor apart into values, whether it asks for a gradient, and the gradient."""
    if not tensor.is_leaf:
        raise pickle.PicklingError(
            f"a tensor of shape {tensor.shape} made by {tensor.grad_fn!r} cannot be pickled or "
            "copied: its graph stays in this process; use tensor.detach()"
        )
    values = seen(tensor)
    if values is None:
        values = np.array(tensor.detach().numpy())
    return _tensor, (values, tensor.requires_grad, tensor.grad)


def _tensor(values: np.ndarray[Any, Any], requires_grad: bool, grad: Tensor | None) -> Tensor:
    tensor = _core.tensor(values, dtype=values.dtype, requires_grad=requires_grad)
    if grad is not None:
        tensor.grad = grad
    return tensor


def _reduce_generator(stream: Generator) -> tuple[Any, ...]:
    """Take a stream of random numbers apart into its seed, its number and its position."""
    draws = seen(stream)
    return _generator, (stream.seed, stream.stream, stream.draws if draws is None else draws)


def _generator(seed: int, stream: int, draws: int) -> Generator:
    made = Generator(seed, stream)
    made.draws = draws
    return made


copyreg.pickle(Tensor, _reduce_tensor)
copyreg.pickle(Generator, _reduce_generator)
