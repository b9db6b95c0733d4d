"""From measurements to figures: medians, the best of each library, ratios, tables."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from entrants import OURS, Entrant

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Item = TypeVar("Item")

# An entrant that is slower than this share of its library's best in the first round cannot become
# the best in the others, and is left out of them: no machine's moods reach so far.
HOPELESS = 0.5


@dataclass(frozen=True)
class Measurement:
    """What one process said."""

    task: str
    workload: str
    entrant: Entrant
    round: int
    rate: float | None
    """Steps or rows per second; None where there is none that counts, for `objection`."""
    objection: str = ""
    unsuitable: bool = False
    """The library has not what the workload asks for: to be left out, and no failure."""
    others: float | None = None
    """Share of a core that other processes took; None where that is unknown."""
    disturbed: bool = False
    raw: dict[str, Any] | None = None


@dataclass(frozen=True)
class Figure:
    """The median of an entrant's rounds: of the undisturbed ones, or of all where none is."""

    rate: float
    lowest: float
    highest: float
    rounds: int
    disturbed: bool
    """Whether other processes were in the way of every round."""


def objection(raw: Mapping[str, Any]) -> str:
    """Return why an outcome does not count; empty if it does.

    Speed is worth nothing without learning: a step that does nothing is fast, and so is one on NaN.
    """
    if "first_loss" in raw:
        first, last = raw["first_loss"], raw["last_loss"]
        if not (math.isfinite(first) and math.isfinite(last)):
            return f"the loss is not finite: {first:.4g}, then {last:.4g}"
        if last >= first:
            return f"the loss does not fall: {first:.4g}, then {last:.4g}"
    elif not raw["finite"]:
        return "the answers are not finite"
    elif not raw["different"]:
        return "different rows get the same answer"
    return ""


def rotated(items: Sequence[Item], by: int) -> list[Item]:
    """Return the items in the same circular order, starting further on."""
    start = by % len(items) if items else 0
    return [*items[start:], *items[:start]]


def figures(measurements: Iterable[Measurement]) -> dict[Entrant, Figure]:
    """Return the figure of every entrant that has one, of measurements of one task and workload."""
    counted = defaultdict(list)
    for measurement in measurements:
        if measurement.rate is not None:
            counted[measurement.entrant].append(measurement)
    return {entrant: _figure(rounds) for entrant, rounds in counted.items()}


def _figure(rounds: list[Measurement]) -> Figure:
    undisturbed = [measurement for measurement in rounds if not measurement.disturbed]
    counted = undisturbed or rounds
    rates = [measurement.rate for measurement in counted if measurement.rate is not None]
    return Figure(
        statistics.median(rates),
        min(rates),
        max(rates),
        len(rates),
        disturbed=not undisturbed,
    )


def best(all_figures: Mapping[Entrant, Figure], families: Iterable[str]) -> Entrant | None:
    """Return the quickest entrant of some libraries; None if there is none."""
    wanted = set(families)
    candidates = [entrant for entrant in all_figures if entrant.family in wanted]
    return max(candidates, key=lambda entrant: all_figures[entrant].rate, default=None)


def worth_repeating(first_round: Sequence[Measurement], kept: Entrant) -> list[Entrant]:
    """Return the entrants for the other rounds.

    Left out are those that failed and those that cannot become the best of their library; `kept`
    stays if it has a rate, and so does whoever was disturbed.
    """
    known = figures(first_round)
    chosen = []
    for measurement in first_round:
        entrant = measurement.entrant
        if measurement.rate is None:
            continue
        quickest = max(
            figure.rate for other, figure in known.items() if other.family == entrant.family
        )
        hopeless = measurement.rate < HOPELESS * quickest
        if entrant == kept or measurement.disturbed or not hopeless:
            chosen.append(entrant)
    return chosen


def number(value: float) -> str:
    """Return a rate with three significant digits or more, thousands apart.

    >>> number(121620.7), number(96.04), number(0.7312)
    ('121 621', '96.0', '0.731')
    """
    if value >= 100:
        return f"{value:,.0f}".replace(",", " ")
    digits = max(0, 2 - math.floor(math.log10(value))) if value > 0 else 0
    return f"{value:.{digits}f}"


def ratio(ours: Figure, theirs: Figure) -> str:
    """Return how many times quicker ours is, marked where either was disturbed."""
    mark = "*" if ours.disturbed or theirs.disturbed else ""
    return f"{number(ours.rate / theirs.rate)}×{mark}"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows, the first of them the heading, as text in columns; numbers stand to the right.

    >>> print(table([["net", "rate"], ["wide", "9"], ["x", "12 000"]]))
    net     rate
    wide       9
    x     12 000
    """
    columns = [aligned(column) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(row).rstrip() for row in zip(*columns, strict=True))


def aligned(column: Sequence[str]) -> list[str]:
    """Return cells, the first of them the heading, at one width."""
    width = max(map(len, column))
    numbers = all(cell[0].isdigit() or cell == "-" for cell in column[1:])
    return [f"{cell:>{width}}" if numbers else f"{cell:<{width}}" for cell in column]


def summary(
    per_workload: Mapping[str, Mapping[Entrant, Figure]],
    ours: Entrant,
    peers: Sequence[str],
    shares: Mapping[str, float],
) -> list[list[str]]:
    """Return the rows of a task's table of ratios, the heading first.

    Parameters
    ----------
    per_workload
        The figures of each workload.
    ours
        The entrant that is compared with the best of each peer.
    peers
        Libraries, in the order of their columns.
    shares
        By workload, the share of the machine's peak that ours reached; may be empty.
    """
    heading = ["workload", "ours", "best peer", "its setting", "ratio"]
    rows = [heading + ["of peak"] * bool(shares) + [f"× {peer}" for peer in peers]]
    for workload, known in per_workload.items():
        mine = known.get(ours)
        winner = best(known, peers)
        row = [workload, "-" if mine is None else number(mine.rate)]
        if winner is None:
            row += ["-", "-"]
        else:
            row += [number(known[winner].rate), str(winner)]
        row.append("-" if mine is None or winner is None else ratio(mine, known[winner]))
        if shares:
            row.append(f"{shares[workload]:.0%}" if workload in shares else "-")
        for peer in peers:
            theirs = best(known, [peer])
            row.append("-" if mine is None or theirs is None else ratio(mine, known[theirs]))
        rows.append(row)
    return rows


def details(per_workload: Mapping[str, Mapping[Entrant, Figure]]) -> list[list[str]]:
    """Return the rows of a task's table of all figures, the heading first."""
    rows = [["workload", "entrant", "median", "lowest", "highest", "rounds"]]
    for workload, known in per_workload.items():
        ordered = sorted(known, key=lambda entrant: (entrant.family != OURS, entrant))
        for entrant in ordered:
            figure = known[entrant]
            rows.append(
                [
                    workload,
                    str(entrant) + "*" * figure.disturbed,
                    *map(number, (figure.rate, figure.lowest, figure.highest)),
                    str(figure.rounds),
                ]
            )
    return rows
