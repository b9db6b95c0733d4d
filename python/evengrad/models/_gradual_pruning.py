"""Pruning a little at a time, while a model trains."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from evengrad._common.checks import check_float, check_int
from evengrad.callbacks import Callback
from evengrad.optimizers._optimizer import counts_of

if TYPE_CHECKING:
    from evengrad.callbacks._callback import Logs


@dataclass(frozen=True)
class PruningSchedule:
    """When, and how far, `Model.prune` prunes while the model trains.

    After t₀, t₀ + Δt, t₀ + 2Δt, … updates, and after t₁, the sparsity rises to

    s(t) = s₁ + (s₀ − s₁) · (1 − (t − t₀) / (t₁ − t₀))^p,

    fast at first, while there is much to choose from, and slower towards the end.

    Parameters
    ----------
    end_step
        t₁: after so many updates the sparsity is that given to `Model.prune`, s₁. They are counted
        from the first `fit` with the schedule on, over all that follow.
    begin_step
        t₀, below t₁.
    frequency
        Δt in updates, 1 or more: as many as the model needs to recover a little.
    initial_sparsity
        s₀ in [0, 1).
    power
        p above 0.

    Raises
    ------
    ValueError
        A value out of range.
    TypeError
        A value of another kind.

    References
    ----------
    Zhu and Gupta, "To prune, or not to prune: exploring the efficacy of pruning for model
    compression", 2017.

    Examples
    --------
    >>> schedule = eg.models.PruningSchedule(end_step=100, frequency=25)
    >>> [round(schedule(step, 0.8), 3) for step in (0, 25, 50, 75, 100, 200)]
    [0.0, 0.463, 0.7, 0.788, 0.8, 0.8]
    """

    end_step: int
    begin_step: int = 0
    frequency: int = 100
    initial_sparsity: float = 0.0
    power: float = 3.0

    def __post_init__(self) -> None:
        """Check all values."""
        first = check_int(self.begin_step, "begin_step", at_least=0)
        check_int(self.end_step, "end_step", at_least=first + 1)
        check_int(self.frequency, "frequency", at_least=1)
        share, name = self.initial_sparsity, "initial_sparsity"
        check_float(share, name, low=0.0, high=1.0, open_high=True)
        check_float(self.power, "power", low=0.0, open_low=True)

    def __call__(self, step: int, sparsity: float) -> float:
        """Return the sparsity after so many updates, where it ends at `sparsity`."""
        if step < self.begin_step:
            return 0.0
        done = min(1.0, (step - self.begin_step) / (self.end_step - self.begin_step))
        return float(sparsity + (self.initial_sparsity - sparsity) * (1.0 - done) ** self.power)

    def next_step(self, step: int) -> int | None:
        """Return after which number of updates above `step` to prune next; None after the last.

        Examples
        --------
        >>> schedule = eg.models.PruningSchedule(end_step=50, begin_step=10, frequency=25)
        >>> [schedule.next_step(step) for step in (-1, 10, 35, 50)]
        [10, 35, 50, None]
        """
        if step < self.begin_step:
            return self.begin_step
        if step >= self.end_step:
            return None
        done = (step - self.begin_step) // self.frequency
        return min(self.end_step, self.begin_step + (done + 1) * self.frequency)


class GradualPruning(Callback):
    """Prunes the model that it is on, by a schedule; `fit` has it take part by itself."""

    all_ranks = True
    # Also of what was pickled before there were such.
    pattern: list[str] | None = None

    def __init__(
        self,
        sparsity: float,
        scope: str,
        schedule: PruningSchedule,
        pattern: list[str] | None = None,
    ) -> None:
        self.sparsity, self.scope, self.schedule = sparsity, scope, schedule
        # The paths of the layers that are pruned; None for all.
        self.pattern = pattern
        # The latest number of updates after which was pruned.
        self.pruned_at = -1
        # Updates so far, by the time that the optimizer had made so many.
        self._made = self._begun_at = 0

    def described(self) -> dict[str, Any]:
        """Return what a file of the model keeps."""
        return {
            "sparsity": self.sparsity,
            "scope": self.scope,
            "pattern": self.pattern,
            "schedule": asdict(self.schedule),
            "state": self.state_dict(),
        }

    @classmethod
    def of(cls, described: dict[str, Any]) -> GradualPruning:
        """Return what `described` has described."""
        schedule = PruningSchedule(**described["schedule"])
        # Files of earlier releases prune all layers.
        given = described.get("pattern")
        pattern = None if given is None else list(map(str, given))
        made = cls(float(described["sparsity"]), str(described["scope"]), schedule, pattern)
        made._made = int(described["state"]["made"])
        made.pruned_at = int(described["state"]["pruned_at"])
        return made

    def __getstate__(self) -> dict[str, Any]:
        # Without the model, which it is part of, and which may be another one next time.
        state = {**vars(self), "_made": self.made}
        state.pop("model", None)
        return state

    @property
    def made(self) -> int:
        """How many updates have been made with it on."""
        if "model" not in vars(self):
            return self._made
        return self._made + counts_of(self.model.optimizer).iterations - self._begun_at

    def on_train_begin(self, logs: Logs = None) -> None:
        """Take the count from here; what is due before the first update is pruned now."""
        del logs
        self._begun_at = counts_of(self.model.optimizer).iterations
        self._after_steps()

    def on_train_end(self, logs: Logs = None) -> None:
        """Keep the count, for another optimizer may go on."""
        del logs
        self._made = self.made
        vars(self).pop("model", None)

    def _steps_left(self) -> int:
        due = self.schedule.next_step(self.pruned_at)
        if due is None:
            return sys.maxsize
        optimizer = self.model.optimizer
        every = optimizer.gradient_accumulation_steps or 1
        return max(1, (due - self.made) * every - counts_of(optimizer).accumulated)

    def _after_steps(self) -> None:
        made = self.made
        due = self.schedule.next_step(self.pruned_at)
        if due is None or made < due:
            return
        self.pruned_at = made
        self.model.prune(self.schedule(made, self.sparsity), self.scope, pattern=self.pattern)

    def state_dict(self) -> dict[str, Any]:
        """Return the count and the place in the schedule."""
        return {"made": self.made, "pruned_at": self.pruned_at}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self._made, self.pruned_at = state["made"], state["pruned_at"]
        self._begun_at = counts_of(self.model.optimizer).iterations
