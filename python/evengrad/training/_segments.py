"""Steps that are captured in segments, between which the host does something, such as a sum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad import _core
from evengrad._tensor.function import Function

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self

    from evengrad._core import Tensor


class Segments:
    """A step as captured plans, and what the host does after each.

    It is a ``with`` block around a step, and cut within it; `replay` makes the step again.
    """

    # Where a `Step` looks for the plan of a whole step: there is none.
    plan = None

    def __init__(self) -> None:
        self.parts: list[Callable[[], object]] = []
        self._open: _core.Recording | None = None

    def __enter__(self) -> Self:
        self._begin()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        ended, self._open = self._open, None
        # None where it was the host's part that has failed.
        if ended is not None:
            ended.__exit__(kind, error, trace)
            if ended.plan is not None or ended.scheduled:
                self.parts.append(ended.replay)

    def _begin(self) -> None:
        self._open = _core.Recording()
        self._open.__enter__()

    def cut(self, action: Callable[[], object]) -> None:
        """Do something on the host, now and at this place of each replay."""
        self.__exit__(None, None, None)
        action()
        self.parts.append(action)
        self._begin()

    @property
    def is_open(self) -> bool:
        """Whether the step is being captured."""
        return self._open is not None

    def replay(self) -> None:
        """Make the step."""
        for part in self.parts:
            part()


class SumOverRanks(Function):
    """The sum of a tensor over all ranks; gradients are summed in the same way."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, add_up: Callable[[Tensor], None]) -> Tensor:
        """Return the sum."""
        ctx.add_up = add_up
        total = x.detach() * 1.0
        add_up(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Return the sum of all ranks' gradients: each has its part of the loss."""
        total = gradients[0].detach() * 1.0
        ctx.add_up(total)
        return total, None
