"""What training would cost, as a method of models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from evengrad._checks import plural
from evengrad._config import suggests_keywords
from evengrad.models._summary import show_bytes

if TYPE_CHECKING:
    from evengrad.models._model import Model


@dataclass(frozen=True)
class TrainingPlan:
    """What `Model.plan` returns; prints as a table.

    Attributes
    ----------
    name
        The model's name.
    rows, batch_size, steps_per_epoch
        The data, and how an epoch cuts it.
    multiply_adds
        Multiplications with addition of one step: forward, backward and update. Two operations of
        another kind count as one.
    threads
        Threads that a step was quickest on; 1 for a small net, whatever there is.
    seconds_per_step, seconds_per_epoch
        Measured now, on this machine, validation and callbacks not counted.
    parameter_bytes
        All variables.
    optimizer_bytes
        What the optimizer keeps for them.
    data_bytes
        Rows and targets that are held at a time.
    working_bytes
        All else a step holds: activations, gradients, scratch. 0 where steps run in Python.
    phases
        Stretches of a step between which threads wait for each other; 0 where steps run in Python.
    explanation
        The phases as text: for each chain its units and the operations that a block passes.
    """

    name: str
    rows: int
    batch_size: int
    steps_per_epoch: int
    multiply_adds: int
    threads: int
    seconds_per_step: float
    parameter_bytes: int
    optimizer_bytes: int
    data_bytes: int
    working_bytes: int
    phases: int
    explanation: str

    @property
    def seconds_per_epoch(self) -> float:
        """Seconds of an epoch."""
        return self.seconds_per_step * self.steps_per_epoch

    @property
    def memory(self) -> int:
        """Bytes in all."""
        held = self.parameter_bytes + self.optimizer_bytes
        return held + self.data_bytes + self.working_bytes

    def __str__(self) -> str:
        rate = 2 * self.multiply_adds / self.seconds_per_step / 1e9
        parts = (
            f"parameters {show_bytes(self.parameter_bytes)}, "
            f"optimizer {show_bytes(self.optimizer_bytes)}, data {show_bytes(self.data_bytes)}, "
            f"work {show_bytes(self.working_bytes)}"
        )
        steps = plural(self.steps_per_epoch, "step")
        run = (
            f"{plural(self.phases, 'phase')} on {plural(self.threads, 'thread')}"
            if self.phases
            else "in Python, operation by operation"
        )
        return "\n".join(
            [
                f"{self.name}: {plural(self.rows, 'row')} in batches of {self.batch_size}",
                f"step    {show_seconds(self.seconds_per_step)}, {run}",
                f"work    {self.multiply_adds:,} multiply-adds a step, {rate:.1f} GFLOP/s",
                f"memory  {show_bytes(self.memory)}: {parts}",
                f"epoch   {show_seconds(self.seconds_per_epoch)}, {steps}",
            ]
        )

    __repr__ = __str__


def show_seconds(seconds: float) -> str:
    """Return a time in the unit that suits it."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} µs"


class PlansTraining:
    """What `Model` inherits to foretell what training costs."""

    @suggests_keywords
    def plan(
        self, x: Any, batch_size: int | None = None, *, y: Any = None, sample_weight: Any = None
    ) -> TrainingPlan:
        """Tell what an epoch of training would take: memory, multiply-adds, threads, time.

        A step is captured as `fit` captures it, and measured for some tenths of a second. Nothing
        changes: variables, statistics, random streams and the optimizer are the same bits
        afterwards. A model that was not built is built. Averages of weights (``use_ema``) and
        accumulation of gradients are left out.

        Parameters
        ----------
        x
            Rows, as for `fit`, arrays alone.
        batch_size
            Rows in a step; 32 by default.
        y
            Targets; zeros of the outputs' shape stand in where they are not given (class 0 for
            losses of class numbers). Needed for losses that refuse those.
        sample_weight
            A weight for each row, if training will have them.

        Returns
        -------
        TrainingPlan
            The figures; it prints as a table.

        Raises
        ------
        ValueError, TypeError
            Data that does not fit.
        RuntimeError
            The model has not been compiled.

        Examples
        --------
        >>> model = eg.Sequential([eg.Input((8,)), eg.layers.Dense(16, "relu"), eg.layers.Dense(1)])
        >>> model.compile("adam", "mse")
        >>> plan = model.plan(np.zeros((640, 8)), batch_size=64)
        >>> plan.steps_per_epoch, plan.parameter_bytes, plan.optimizer_bytes
        (10, 644, 1288)
        """
        from evengrad._training._planning import plan

        return plan(cast("Model", self), x, y, sample_weight, batch_size)
