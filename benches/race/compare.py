"""Compare the present tree with an older commit on this machine: before and after, interleaved.

    make compare BASE=6f8ce47
    make compare BASE=main WHEEL=dist/evengrad.whl WORKLOADS="mnist tabular" ROUNDS=3 QUICK=1

Both wheels stand in environments of their own, and every measurement is a fresh process; base, now
and, where a target asks for it, scikit-learn take turns, so that a slow minute of the machine falls
on all of them alike. Figures are medians over the rounds that other processes did not disturb, as
in the race, whose racers do the measuring. Prints a table of ratios with their targets, and writes
it into ``race-output/`` beside all measurements. The exit status says whether the comparison was
run, and nothing about its outcome.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import machine
from entrants import FAMILIES, OURS, TASKS, UNITS, Entrant, entrants, headline
from processes import ATTEMPTS, HERE, Course
from results import Figure, best, figures, number, rotated, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from results import Measurement

ROOT = HERE.parents[1]
BASE, NOW, PEER = "base", "now", "sklearn"
COUNTS = "python-calls"

# Bounds of the redesign that base 6f8ce47 is compared for ("one straight way from `fit` to the
# native loop"); a comparison with another base shows the same ratios, and what they are to be then
# is for its reader to say.
#
# Time of compile and one epoch of a new model over the base's, whole and without the steps. Most of
# the latter is Python, paid once a `fit`, and the straight way has half of that. A deep net has the
# more of it, because each walk over the layers is paid a hundred times.
SMALL_TIME, DEEP_TIME = 0.5, 0.4
# Rate of that over scikit-learn's, which is what people reach for on a small table. The base had
# seven to eight times its rate; an epoch's steps alone would allow sixteen (tabular, training).
OVER_SKLEARN = 9.0
# Training itself is not to pay for it: the same rate, less the noise that medians of interleaved
# runs have.
SAME_SPEED = 0.97
# Calls of Python functions of the first and the second `fit`, and files that those of the first lie
# in: what one can read in a sitting. The base had 880 in 52 files, and 455.
MOST = {("first", "calls"): 300, ("first", "files"): 20, ("second", "calls"): 150}


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    what: str
    base: str
    now: str
    ratio: float | None
    target: str
    met: bool | None
    """None where there is no figure."""

    def cells(self) -> list[str]:
        """Return the line's cells."""
        quotient = "-" if self.ratio is None else f"{self.ratio:.3f}"
        verdict = {None: "-", True: "met", False: "missed"}[self.met]
        return [self.what, self.base, self.now, quotient, self.target, verdict]


def at_most(what: str, base: float | None, now: float | None, bound: float, unit: str) -> Row:
    """Return the line of a quantity that is to shrink."""
    quotient = None if base is None or now is None else now / base
    met = None if quotient is None else quotient <= bound
    return Row(what, shown(base, unit), shown(now, unit), quotient, f"<= {bound:g} × base", met)


def at_least(what: str, base: float | None, now: float | None, bound: float, unit: str) -> Row:
    """Return the line of a rate that is to last or to grow."""
    quotient = None if base is None or now is None else now / base
    met = None if quotient is None else quotient >= bound
    return Row(what, shown(base, unit), shown(now, unit), quotient, f">= {bound:g} × base", met)


def shown(value: float | None, unit: str) -> str:
    """Return a figure with its unit."""
    return "-" if value is None else f"{number(value)} {unit}".rstrip()


class Comparison:
    """The measurements of both sides, and the figures and verdicts that follow from them."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.threads = len(machine.cores(None))
        environments = {BASE: arguments.base, NOW: arguments.now, PEER: ROOT}
        self.courses = {
            side: Course(folder, arguments.seconds, arguments.attempts)
            for side, folder in environments.items()
        }
        self.measurements: dict[str, list[Measurement]] = {side: [] for side in self.courses}
        self.counts: dict[str, list[dict[str, Any]]] = {BASE: [], NOW: []}

    def run(self) -> None:
        """Measure everything, base and now in turn."""
        if COUNTS in self.arguments.tasks:
            for side in (BASE, NOW):
                self.counts[side].append(self._count(side))
        for round_number in range(self.arguments.rounds):
            for task in ("fresh-fit", "training"):
                if task in self.arguments.tasks:
                    for workload in TASKS[task]:
                        if workload in self.arguments.workloads:
                            self._turns(task, workload, round_number)

    def close(self) -> None:
        """Remove what the processes left behind."""
        for course in self.courses.values():
            course.close()

    def _count(self, side: str) -> dict[str, Any]:
        command = [self.courses[side].python(OURS), HERE / "python_calls.py"]
        printed = subprocess.run(
            command, capture_output=True, check=True, text=True, cwd="/"
        ).stdout
        counts: dict[str, Any] = json.loads(printed)
        print(f"{COUNTS}: {side}: {counts}", flush=True)
        return counts

    def _turns(self, task: str, workload: str, round_number: int) -> None:
        turns = [(side, headline(task, self.threads)) for side in (BASE, NOW)]
        if task in FAMILIES[PEER].settings and task == "fresh-fit" and self._peer_installed():
            turns += [(PEER, entrant) for entrant in entrants(task, [PEER], self.threads)]
        for side, entrant in rotated(turns, round_number):
            if self._unsuitable(workload, entrant):
                continue
            outcome = self.courses[side].measure(task, workload, entrant, round_number)
            self.measurements[side].append(outcome)
            rate = outcome.objection if outcome.rate is None else number(outcome.rate)
            rounds = f"round {round_number + 1}/{self.arguments.rounds}"
            mark = "*" * outcome.disturbed
            print(f"{workload}, {task}, {rounds}: {side}: {rate} {UNITS[task]}{mark}", flush=True)

    def _peer_installed(self) -> bool:
        return (self.courses[PEER].python(PEER).parents[1] / "stamp").exists()

    def _unsuitable(self, workload: str, entrant: Entrant) -> bool:
        return any(
            known.unsuitable and (known.workload, known.entrant) == (workload, entrant)
            for known in self.measurements[PEER]
        )

    # ---- reports

    def figure(self, side: str, task: str, workload: str) -> Figure | None:
        """Return the median of a side's rounds; of several settings, the quickest counts."""
        known = figures(
            measurement
            for measurement in self.measurements[side]
            if (measurement.task, measurement.workload) == (task, workload)
        )
        quickest = best(known, [OURS, PEER])
        return None if quickest is None else known[quickest]

    def milliseconds(self, what: str, side: str, workload: str) -> float | None:
        """Return the median of a time that processes with new models tell beside their rate."""
        times = [
            measurement.raw[what] * 1e3
            for measurement in self.measurements[side]
            if measurement.workload == workload and what in (measurement.raw or {})
        ]
        return statistics.median(times) if times else None

    def rows(self) -> list[Row]:
        """Return the table's lines."""
        lines = self._rows_of_counts()
        for workload, bound in (("small", SMALL_TIME), ("small-100", DEEP_TIME)):
            lines += self._rows_of_fresh_fits(workload, bound)
        for workload in TASKS["training"]:
            base, now = (self.figure(side, "training", workload) for side in (BASE, NOW))
            if base is not None or now is not None:
                rates = [None if figure is None else figure.rate for figure in (base, now)]
                mark = marked(base, now)
                what = f"training, {workload}{mark}"
                lines.append(at_least(what, *rates, SAME_SPEED, UNITS["training"]))
        return lines

    def _rows_of_counts(self) -> list[Row]:
        lines = []
        for which in ("first", "second"):
            for what in ("calls", "files"):
                base, now = (
                    statistics.median(counts[which][what] for counts in self.counts[side])
                    if self.counts[side]
                    else None
                    for side in (BASE, NOW)
                )
                if base is None:
                    continue
                most = MOST.get((which, what))
                counted = [("-" if count is None else f"{count:g}") for count in (base, now)]
                ratio = None if now is None else now / base
                met = None if None in (most, now) else now <= most
                target = "-" if most is None else f"<= {most}"
                lines.append(Row(f"Python {what}, {which} fit", *counted, ratio, target, met))
        return lines

    def _rows_of_fresh_fits(self, workload: str, bound: float) -> list[Row]:
        base, now, peer = (self.figure(side, "fresh-fit", workload) for side in self.courses)
        if base is None or now is None:
            return []
        mark = marked(base, now)
        what = f"compile + fit of a new model, {workload}{mark}"
        lines = [at_most(what, 1e3 / base.rate, 1e3 / now.rate, bound, "ms")]
        steps = [self.milliseconds("epoch_seconds", side, workload) for side in (BASE, NOW)]
        if None not in steps:
            fixed = [1e3 / side.rate - own for side, own in zip((base, now), steps, strict=True)]
            lines.append(at_most(f"of it not in steps, {workload}{mark}", *fixed, bound, "ms"))
        firsts = [self.milliseconds("first_seconds", side, workload) for side in (BASE, NOW)]
        first = at_most(f"the first of a process, {workload}", *firsts, bound, "ms")
        # Imports and the start of threads count there, which no target names.
        lines.append(Row(first.what, first.base, first.now, first.ratio, "-", None))
        if peer is not None:
            quotient = now.rate / peer.rate
            lines.append(
                Row(
                    f"times as fast as MLPClassifier, {workload}{marked(now, peer)}",
                    f"{base.rate / peer.rate:.2f}",
                    f"{quotient:.2f}",
                    quotient / (base.rate / peer.rate),
                    f">= {OVER_SKLEARN:g}",
                    quotient >= OVER_SKLEARN,
                )
            )
        return lines

    def report(self) -> str:
        """Return the table, with what it depends on."""
        facts = machine.describe(machine.cores(None))
        cores = f"{self.threads} of {facts['cores_of_machine']} cores"
        counts = f"{self.arguments.rounds} rounds, {self.arguments.seconds:g} s each"
        heading = ["what", "base", "now", "now/base", "target", ""]
        return "\n".join(
            [
                f"{self.arguments.name} and the present tree, interleaved",
                f"{facts['processor']}, {cores}; {facts['system']}; Python {facts['python']}",
                f"medians of {counts}; * other processes were in the way of every round",
                "",
                table([heading, *(row.cells() for row in self.rows())]),
            ]
        )

    def write(self) -> None:
        """Print the table and write it with all measurements."""
        folder = self.arguments.output
        folder.mkdir(parents=True, exist_ok=True)
        text = self.report()
        print(f"\n{text}\n")
        (folder / "compare.txt").write_text(text + "\n", encoding="utf-8")
        record = {
            "base": self.arguments.name,
            "machine": machine.describe(machine.cores(None)),
            "seconds": self.arguments.seconds,
            "rounds": self.arguments.rounds,
            "counts": self.counts,
            "measurements": {
                side: [asdict(measurement) for measurement in measured]
                for side, measured in self.measurements.items()
            },
            "rows": [asdict(row) for row in self.rows()],
        }
        (folder / "compare.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
        print(f"wrote {folder / 'compare.txt'} and {folder / 'compare.json'}")


def marked(*sides: Figure | None) -> str:
    """Return the mark of a figure that other processes disturbed in every round."""
    return "*" if any(side is not None and side.disturbed for side in sides) else ""


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the command line's settings."""
    workloads = (*TASKS["fresh-fit"], *TASKS["training"])
    tasks = (COUNTS, "fresh-fit", "training")
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--base", type=Path, required=True, help="folder of base's environment")
    parser.add_argument("--now", type=Path, required=True, help="folder of the present tree's")
    parser.add_argument("--name", default=BASE, help="the base's commit, for the report")
    parser.add_argument("--workloads", nargs="+", choices=workloads, default=list(workloads))
    parser.add_argument("--tasks", nargs="+", choices=tasks, default=list(tasks))
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--attempts", type=int, default=ATTEMPTS, help="of each measurement, while others disturb"
    )
    parser.add_argument("--output", type=Path, default=ROOT / "race-output")
    parser.add_argument("--quick", action="store_true", help="see whether it runs: 1 round, 0.5 s")
    arguments = parser.parse_args(words)
    if arguments.quick:
        arguments.rounds, arguments.seconds, arguments.attempts = 1, 0.5, 1
    return arguments


def main() -> None:
    """Compare and report, also what there is after Ctrl-C."""
    comparison = Comparison(parse())
    try:
        comparison.run()
    except KeyboardInterrupt:
        print("\nended early; this is what there is:")
    finally:
        comparison.close()
    comparison.write()


if __name__ == "__main__":
    main()
