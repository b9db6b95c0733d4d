"""Race evengrad against other libraries on this machine.

    make race
    make race WORKLOADS="tabular mnist" PEERS="torch jax" SECONDS_EACH=2 ROUNDS=3

``docs/about/performance.md`` says how it is done and how to read the outcome. The exit status says
whether the race was run, and nothing about who won.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import machine
from entrants import FAMILIES, OURS, PEERS, TASKS, UNITS, entrants, headline
from processes import ATTEMPTS, Course
from report import Report
from results import Measurement, number, rotated, worth_repeating
from workloads import BY_NAME

if TYPE_CHECKING:
    from collections.abc import Sequence


ROOT = Path(__file__).resolve().parents[2]


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the command line's settings."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--workloads", nargs="+", choices=BY_NAME, default=list(BY_NAME))
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=PEERS)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--attempts", type=int, default=ATTEMPTS, help="of each measurement, while others disturb"
    )
    parser.add_argument("--threads", type=int, help="cores to race on; all by default")
    parser.add_argument("--ceilings", type=Path, help="the program made from benches/ceilings.rs")
    parser.add_argument("--output", type=Path, default=ROOT / "race-output")
    parser.add_argument(
        "--quick", action="store_true", help="see whether it runs: one workload, one peer, 1 s"
    )
    parser.add_argument(
        "--command", default="make race", help="what the user typed, for the record"
    )
    return parser.parse_args(words)


class Race:
    """A race with its course, its entrants and what has been measured so far."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.cores = machine.cores(arguments.threads)
        self.threads = len(self.cores)
        self.course = Course(ROOT, arguments.seconds, arguments.attempts)
        self.families = [name for name in (OURS, *arguments.peers) if self._installed(name)]
        if arguments.quick:
            # Ours and one peer.
            self.families = self.families[:2]
        self.measurements: list[Measurement] = []
        self.ceilings: dict[str, Any] = {}
        self.started = time.time()

    def _installed(self, family: str) -> bool:
        installed = (self.course.python(family).parents[1] / "stamp").exists()
        if not installed:
            print(f"{family}: left out, it is not installed here", flush=True)
        return installed

    def run(self) -> None:
        """Measure everything."""
        for workload in self.arguments.workloads:
            tasks = [
                task
                for task in self.arguments.tasks
                if workload in TASKS[task] and self._peers(task)
            ]
            if tasks:
                self._measure_ceilings(workload)
            for task in tasks:
                self._race(task, workload)

    def _peers(self, task: str) -> list[str]:
        """Return the peers that take part in a task."""
        return [name for name in self.families if name != OURS and task in FAMILIES[name].settings]

    def _measure_ceilings(self, workload: str) -> None:
        """Measure what the machine can do in these minutes: it changes, and ratios with it."""
        measured = machine.ceilings(self.arguments.ceilings)
        if measured is not None:
            self.ceilings[workload] = measured
            print(f"{workload}: {machine.show_ceilings(measured)}", flush=True)

    def _race(self, task: str, workload: str) -> None:
        field = entrants(task, self.families, self.threads)
        first_round: list[Measurement] = []
        for round_number in range(self.arguments.rounds):
            for entrant in rotated(field, round_number):
                if round_number == 0 and unsuitable(first_round, entrant.family):
                    continue
                measurement = self.course.measure(task, workload, entrant, round_number)
                self.measurements.append(measurement)
                self._tell(measurement)
                if round_number == 0:
                    first_round.append(measurement)
            if round_number == 0:
                field = worth_repeating(first_round, headline(task, self.threads))

    def _tell(self, measurement: Measurement) -> None:
        if measurement.rate is None:
            outcome = f"left out: {measurement.objection}"
        else:
            outcome = f"{number(measurement.rate)} {UNITS[measurement.task]}"
        if measurement.disturbed:
            outcome += f", others took {measurement.others:.0%} of a core in the best attempt"
        rounds = f"{measurement.round + 1}/{self.arguments.rounds}"
        place = f"{measurement.workload}, {measurement.task}, round {rounds}"
        print(f"{place}: {measurement.entrant}: {outcome}", flush=True)

    # ---- reports

    def record(self) -> dict[str, Any]:
        """Return all that was measured, and what it depends on."""
        versions: dict[str, str] = {}
        for measurement in self.measurements:
            versions.update((measurement.raw or {}).get("versions", {}))
        return {
            "command": self.arguments.command,
            "started": self.started,
            "machine": machine.describe(self.cores),
            "versions": versions,
            "seconds": self.arguments.seconds,
            "rounds": self.arguments.rounds,
            "ceilings": self.ceilings,
            "measurements": [asdict(measurement) for measurement in self.measurements],
        }

    def write(self) -> None:
        """Write tables, all measurements and the chart."""
        folder = self.arguments.output
        folder.mkdir(parents=True, exist_ok=True)
        record = self.record()
        report = Report(record)
        text = report.text()
        print(f"\n{text}\n")
        (folder / "tables.txt").write_text(text + "\n", encoding="utf-8")
        (folder / "results.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
        print(f"wrote {folder / 'tables.txt'} and {folder / 'results.json'}")
        path = folder / "race.png"
        try:
            drawn = report.draw(path)
        except ImportError as error:
            print(f"no chart: {error}")
        else:
            print(f"wrote {path}" if drawn else "no chart: nothing to compare")


def unsuitable(measured: Sequence[Measurement], family: str) -> bool:
    """Tell whether a library has said that it has not what the workload asks for."""
    return any(
        measurement.unsuitable for measurement in measured if measurement.entrant.family == family
    )


def main() -> None:
    """Run the race and report, also what there is after Ctrl-C."""
    arguments = parse()
    if arguments.quick:
        arguments.workloads = arguments.workloads[:1]
        arguments.rounds, arguments.seconds, arguments.attempts = 1, 1.0, 1
    race = Race(arguments)
    try:
        race.run()
    except KeyboardInterrupt:
        print("\nended early; this is what there is:", file=sys.stderr)
    finally:
        race.course.close()
    race.write()


if __name__ == "__main__":
    main()
