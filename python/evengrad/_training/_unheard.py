"""Epochs that run one after the other without Python, while nobody wants to hear of each.

The steps of an epoch over a small table take some hundred microseconds, and telling callbacks,
shuffling and reading the figures a tenth of that.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from evengrad import _core
from evengrad._training._runner import Stretches

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evengrad._training._compiled import Bound
    from evengrad._training._runner import ArrayRunner


class Unheard:
    """Epochs of which only the figures are kept.

    Parameters
    ----------
    runner
        Knows the steps and the rows.
    shuffle
        Draws the order of each epoch; None where rows come as they lie.
    """

    def __init__(self, runner: ArrayRunner, shuffle: _core.Generator | None) -> None:
        self.runner = runner
        self.bound: Bound = runner.bound
        self.shuffle = shuffle
        self._pace = Stretches(single=False, timed=True)

    def prepare(self, most: int) -> tuple[_core.Epochs, int] | None:
        """Return what runs epochs, and how many; None where steps need Python or a capture."""
        steps = self.runner.captured() if self.bound.lies_in_states() else None
        if steps is None:
            return None
        count = self._pace.next(most)
        # The steps share an optimizer: it hears of all of them at once.
        scheduled = {id(one): one for step in steps for one in step.scheduled}
        for participant in scheduled.values():
            participant.prepare(count * self.runner.steps_per_epoch)
        parts = [(step.plan, step.feed) for step in steps]
        states = self.bound.states()
        return _core.Epochs(parts, self.runner.rows, states, self.shuffle), count

    def run(self, epochs: _core.Epochs, count: int) -> None:
        """Run so many epochs."""
        started = time.perf_counter()
        epochs.run(count)
        self._pace.took(count, time.perf_counter() - started)

    def figures(self, epochs: _core.Epochs, first: int) -> Iterator[dict[str, Any]]:
        """Yield the figures of each epoch that has ended, from the first to be told on."""
        for values in epochs.finished()[first:]:
            self.bound.restore(values)
            yield self.bound.logs()
