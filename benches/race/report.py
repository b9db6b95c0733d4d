"""The outcome of a race, from its record: figures by task and workload, tables, chart.

A record is what `race.py` writes as ``results.json``: machine, versions, settings, ceilings, and
every measurement. Everything shown follows from it, so that old races can be shown anew.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import machine
from entrants import OURS, TASKS, UNITS, Entrant, headline
from results import Measurement, details, figures, summary, table
from workloads import BY_NAME

if TYPE_CHECKING:
    from pathlib import Path

    from results import Figure


class Report:
    """A race that is over."""

    def __init__(self, record: dict[str, Any]) -> None:
        self.record = record
        self.threads = len(record["machine"]["cores"])
        self.measurements = [
            Measurement(**{**given, "entrant": Entrant(**given["entrant"])})
            for given in record["measurements"]
        ]

    @classmethod
    def read(cls, path: Path) -> Report:
        """Return the race that a file records."""
        return cls(json.loads(path.read_text(encoding="utf-8")))

    @property
    def tasks(self) -> list[str]:
        """The tasks that were raced, in the order of all tasks."""
        raced = {measurement.task for measurement in self.measurements}
        return [task for task in TASKS if task in raced]

    def figures(self, task: str) -> dict[str, dict[Entrant, Figure]]:
        """Return the figures of a task, by workload."""
        return {
            workload: figures(measured)
            for workload in BY_NAME
            if (
                measured := [
                    measurement
                    for measurement in self.measurements
                    if (measurement.task, measurement.workload) == (task, workload)
                ]
            )
        }

    def peers(self, task: str) -> list[str]:
        """Return the peers that took part in a task, in the order in which they came."""
        families = [known.entrant.family for known in self.measurements if known.task == task]
        return [name for name in dict.fromkeys(families) if name != OURS]

    def shares(self, task: str) -> dict[str, float]:
        """Return ours as a share of the machine's multiply-adds, by workload, where it is known."""
        if task != "training":
            return {}
        ours, ceilings = headline(task, self.threads), self.record["ceilings"]
        return {
            workload: known[ours].rate
            * BY_NAME[workload].step_flops
            / (ceilings[workload]["fma_gflops"]["all"] * 1e9)
            for workload, known in self.figures(task).items()
            if ours in known and workload in ceilings
        }

    def conditions(self) -> list[str]:
        """Return what the figures depend on, in lines."""
        facts, versions = self.record["machine"], self.record["versions"]
        cores = f"{self.threads} of {facts['cores_of_machine']} cores"
        counts = f"{self.record['rounds']} rounds, {self.record['seconds']:g} s each"
        return [
            f"{facts['processor']}, {cores}; {facts['system']}; Python {facts['python']}",
            ", ".join(f"{name} {text}" for name, text in versions.items()),
            f"medians of {counts}; * other processes were in the way",
        ]

    def ceilings(self) -> list[str]:
        """Return the machine's ceilings beside each workload, in lines."""
        return [
            f"ceilings at {workload}: {machine.show_ceilings(measured)}"
            for workload, measured in self.record["ceilings"].items()
        ]

    def text(self) -> str:
        """Return the tables, with what they depend on."""
        lines = [*self.conditions(), *self.ceilings()]
        for task in self.tasks:
            known = self.figures(task)
            ours = headline(task, self.threads)
            rows = summary(known, ours, self.peers(task), self.shares(task))
            lines += ["", f"{task}, {UNITS[task]}; ours is {ours}", table(rows)]
            lines += ["", f"{task}, every entrant", table(details(known))]
        left_out = {
            f"{measurement.workload}, {measurement.task}: {measurement.entrant}: "
            f"{measurement.objection}"
            for measurement in self.measurements
            if measurement.objection
        }
        if left_out:
            lines += ["", "left out", *sorted(left_out)]
        return "\n".join(lines)

    def draw(self, path: Path) -> bool:
        """Write the chart; return False where there is nothing to compare."""
        # matplotlib need not be there for tables.
        from chart import draw, ratios

        versions = self.record["versions"]
        names = ("evengrad", "torch", "jax", "keras", "scikit-learn", "onnxruntime")
        named = ", ".join(f"{name} {versions[name]}" for name in names if name in versions)
        subtitle = (
            f"{self.record['machine']['processor']}, {self.threads} threads; {named}; "
            "peers at their best settings"
        )
        panels = {
            task: ratios(self.figures(task), headline(task, self.threads)) for task in self.tasks
        }
        return draw(path, panels, subtitle)
