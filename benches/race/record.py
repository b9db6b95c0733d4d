"""Put the figures of a race into the documentation: the table, the dated runs, README and chart.

    make race RECORD=1
    .venv-race-evengrad/bin/python benches/race/record.py race-output/results.json

The rows of the tasks and workloads that were raced replace those in the table of
``docs/about/performance.md``; all others stay, with the date of their own run. The run is appended
to ``docs/about/performance-runs.md`` with its command, machine, versions and ceilings.
``docs/about/race.png`` is drawn anew from the table. A link in README.md whose title names a cell
of the table, as in
``[2.6×](docs/about/performance.md "training deep-20 ratio")``, gets that cell as its text.
"""

from __future__ import annotations

import argparse
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

from entrants import PEERS, TASKS, headline
from report import Report
from results import best, number, ratio

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]
# The table stands between these lines.
BEGIN, END = "<!-- table: `make race RECORD=1` writes it -->", "<!-- end of the table -->"
COLUMNS = [
    *("task", "workload", "ours", "lowest to highest", "best peer", "ratio", "of peak"),
    *(f"× {peer}" for peer in PEERS),
    "run",
]
NOTHING = "-"
# A figure in README.md: its text, and the task, workload and column that it comes from.
FIGURE = re.compile(
    r"\[(?P<text>[^]\[]*)\]\([\w/.-]+"
    r'\s+"(?P<task>\S+) (?P<workload>\S+) (?P<column>[^"]+)"\)'
)

Row = dict[str, str]
Table = dict[tuple[str, str], Row]


def rows_of(report: Report, run: str) -> Table:
    """Return a race's rows of the table, by task and workload."""
    rows: Table = {}
    for task in report.tasks:
        ours = headline(task, report.threads)
        shares = report.shares(task)
        for workload, known in report.figures(task).items():
            if ours not in known:
                continue
            mine = known[ours]
            row = dict.fromkeys(COLUMNS, NOTHING)
            row |= {"task": task, "workload": workload, "run": run}
            row["ours"] = number(mine.rate) + "*" * mine.disturbed
            row["lowest to highest"] = f"{number(mine.lowest)} to {number(mine.highest)}"
            if (winner := best(known, PEERS)) is not None:
                row["best peer"] = str(winner)
                row["ratio"] = ratio(mine, known[winner])
            if workload in shares:
                row["of peak"] = f"{shares[workload]:.0%}"
            for peer in PEERS:
                if (theirs := best(known, [peer])) is not None:
                    row[f"× {peer}"] = ratio(mine, known[theirs])
            rows[task, workload] = row
    return rows


def written(rows: Table) -> list[str]:
    """Return the lines of a table, in the order of tasks and workloads."""
    order = [(task, workload) for task, workloads in TASKS.items() for workload in workloads]
    lines = [COLUMNS, ["---"] * len(COLUMNS)]
    lines += [list(rows[key].values()) for key in order if key in rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]


def read(page: str) -> Table:
    """Return the table that stands in a page.

    >>> lines = [BEGIN, "| task | workload |", "|---|---|", "| training | mnist |", END]
    >>> read(chr(10).join(lines))
    {('training', 'mnist'): {'task': 'training', 'workload': 'mnist'}}
    """
    inside = page.partition(BEGIN)[2].partition(END)[0]
    lines = [line for line in inside.splitlines() if line.startswith("|")]
    heading, _, *body = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    rows = [dict(zip(heading, cells, strict=True)) for cells in body]
    return {(row["task"], row["workload"]): row for row in rows}


def with_table(page: str, rows: Table) -> str:
    """Return a page with another table in it."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return "\n".join([before + BEGIN, "", *written(rows), "", END + after])


def with_figures(page: str, rows: Table) -> str:
    """Return a page whose figures are those of the table.

    >>> row = {"ratio": "2.60×"}
    >>> with_figures('[2×](t.md "training deep-20 ratio")', {("training", "deep-20"): row})
    '[2.60×](t.md "training deep-20 ratio")'
    """

    def renewed(link: re.Match[str]) -> str:
        figure = rows[link["task"], link["workload"]][link["column"]]
        return link[0].replace(f"[{link['text']}]", f"[{figure}]", 1)

    return FIGURE.sub(renewed, page)


def section(report: Report, run: str, rows: Table) -> str:
    """Return what is said of a run among the dated ones."""
    return "\n".join(
        [
            f"## {run}",
            "",
            f"    {report.record['command']}",
            "",
            *(f"- {line}" for line in (*report.conditions(), *report.ceilings())),
            "",
            *written(rows),
            "",
        ]
    )


def draw(path: Path, report: Report, rows: Table) -> bool:
    """Draw the chart of training from the table, all runs together."""
    # matplotlib need not be there for the rest.
    from chart import COLOURS
    from chart import draw as draw_rows

    bars = {
        workload: {
            peer: (float(cell.strip("×*")), cell.replace("×", ""))
            for peer in COLOURS
            if (cell := row[f"× {peer}"]) != NOTHING
        }
        for workload in TASKS["training"]
        if (row := rows.get(("training", workload))) is not None
    }
    names = {row["run"] for row in rows.values() if row["task"] == "training"}
    subtitle = (
        f"{report.record['machine']['processor']}, {report.threads} threads; peers at their best "
        f"settings; docs/about/performance.md, {', '.join(sorted(names))}"
    )
    return draw_rows(path, {"training": bars}, subtitle)


def record(report: Report, root: Path) -> None:
    """Write the figures of a race into the documentation below a folder."""
    run = time.strftime("%Y-%m-%d %H:%M", time.gmtime(report.record["started"]))
    new = rows_of(report, run)
    rows: Table = {}

    def renew(name: str, change: Callable[[str], str]) -> None:
        path = root / name
        path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
        print(f"wrote {path}")

    def renew_table(page: str) -> str:
        rows.update(read(page) | new)
        return with_table(page, rows)

    renew("docs/about/performance.md", renew_table)
    renew("docs/about/performance-runs.md", lambda page: f"{page}\n{section(report, run, new)}")
    renew("README.md", lambda page: with_figures(page, rows))
    picture = root / "docs" / "about" / "race.png"
    if draw(picture, report, rows):
        print(f"wrote {picture}")


def main() -> None:
    """Record the race that the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("results", type=Path, help="results.json of a race")
    parser.add_argument("--root", type=Path, default=ROOT, help="folder with README.md and docs/")
    arguments = parser.parse_args()
    record(Report.read(arguments.results), arguments.root)


if __name__ == "__main__":
    main()
