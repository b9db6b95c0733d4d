"""The report of `Model.plan`: memory, work and time of training."""

from __future__ import annotations

from dataclasses import dataclass

from evengrad._common.checks import plural
from evengrad._common.names import printable
from evengrad._common.text_tables import html_facts
from evengrad._common.units import show_bytes, show_seconds


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
        Parts of a step between which threads wait at a barrier; 0 where steps run in Python.
    explanation
        The phases as text: for each chain its work items and the operations that a block passes.
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

    def _facts(self) -> dict[str, str]:
        """Return what is told of the plan, by names."""
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
        return {
            "step": f"{show_seconds(self.seconds_per_step)}, {run}",
            "work": f"{self.multiply_adds:,} multiply-adds a step, {rate:.1f} GFLOP/s",
            "memory": f"{show_bytes(self.memory)}: {parts}",
            "epoch": f"{show_seconds(self.seconds_per_epoch)}, {steps}",
        }

    def _title(self) -> str:
        return f"{self.name}: {plural(self.rows, 'row')} in batches of {self.batch_size}"

    def __str__(self) -> str:
        lines = [f"{name:<8}{fact}" for name, fact in self._facts().items()]
        return "\n".join([self._title(), *lines])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_facts(self._facts(), printable(self._title()))
