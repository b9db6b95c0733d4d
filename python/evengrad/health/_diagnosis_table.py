"""Tables of a diagnosis, as text and as HTML."""

from __future__ import annotations

import html
import math
import textwrap
from typing import TYPE_CHECKING

from evengrad._common.checks import plural
from evengrad._common.names import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evengrad.health._examination import Examination
    from evengrad.health._finding import Finding

    Measures = dict[str, dict[str, float]]

WIDTH = 100
# What a name may take of it; the middle of longer ones is left out.
NAME_WIDTH = 26
# Rows of a table; of deeper nets the ones in the middle are left out.
MOST_ROWS = 40
COLUMNS = {
    "speed": "speed",
    "kernel_gradient": "gradient",
    "update_ratio": "update",
    "preactivation_std": "z std",
    "activation_mean": "a mean",
    "activation_std": "a std",
    "saturated": "saturated",
    "dead": "dead",
}
SHARES = frozenset({"saturated", "dead"})


def as_text(examination: Examination, layers: Measures, findings: Sequence[Finding]) -> str:
    """Return a diagnosis as lines of at most 100 columns."""
    lines = [_title(examination, findings), "", *_table(layers)]
    for root in (finding for finding in findings if finding.because is None):
        lines += ["", *_finding(root, findings)]
    return "\n".join(lines)


def _title(examination: Examination, findings: Sequence[Finding]) -> str:
    steps = len(examination.steps)
    seen = f"{plural(len(examination.layers), 'layer')}, {plural(steps, 'watched step')}"
    roots = [finding for finding in findings if finding.because is None]
    alarms = [finding for finding in roots if finding.severity != "note"]
    if not roots:
        return f"Diagnosis of {seen}: healthy."
    notes = len(roots) - len(alarms)
    said = f"{plural(len(alarms), 'root cause')}" if alarms else "healthy"
    more = f", {plural(notes, 'note')}" if notes else ""
    follow = len(findings) - len(roots)
    after = f", {plural(follow, 'consequence')}" if follow else ""
    return f"Diagnosis of {seen}: {said}{after}{more}."


def _rows(layers: Measures) -> list[tuple[str, ...]]:
    return [
        (shortened(path, NAME_WIDTH), *(_cell(name, measures[name]) for name in COLUMNS))
        for path, measures in layers.items()
    ]


def _cell(name: str, value: float) -> str:
    if math.isnan(value):
        return ""
    return f"{value:.0%}" if name in SHARES else f"{value:.3g}"


def shortened(text: str, width: int) -> str:
    """Return text that is safe to print and takes at most some columns."""
    text = printable(text)
    if len(text) <= width:
        return text
    left = (width - 1) // 2
    return f"{text[:left]}…{text[left + 1 - width :]}"


def _table(layers: Measures) -> list[str]:
    rows = _rows(layers)
    if not rows:
        return []
    if len(rows) > MOST_ROWS:
        half, gap = MOST_ROWS // 2, ("…", *("" for _ in COLUMNS))
        rows = [*rows[:half], gap, *rows[-half:]]
    lines = [("layer", *COLUMNS.values()), *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    shown = [
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip()
        for line in lines
    ]
    return [shown[0], "-" * (sum(widths) + 2 * len(COLUMNS)), *shown[1:]]


def _finding(root: Finding, findings: Sequence[Finding]) -> list[str]:
    lines = _wrapped(f"{root.severity}: {root}", "")
    for number, remedy in enumerate(root.remedies, 1):
        by_hand = "" if remedy.automatic else " (by hand)"
        lines += _wrapped(f"{number}. {remedy.text}{by_hand}", "   ")
        lines += [line for code in remedy.code.splitlines() for line in _wrapped(code, " " * 10)]
    for finding in findings:
        if finding.because is not None and _root(finding) is root:
            lines += _wrapped(f"- follows: {finding}", "   ")
    return lines


def _root(finding: Finding) -> Finding:
    while finding.because is not None:
        finding = finding.because
    return finding


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=f"{indent}   ")


def as_html(examination: Examination, layers: Measures, findings: Sequence[Finding]) -> str:
    """Return a diagnosis as a table and lists; all text in it is escaped."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in ("layer", *COLUMNS.values()))
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
        for row in _rows(layers)
    )
    return (
        f"<p><strong>{html.escape(_title(examination, findings))}</strong></p>"
        f"{_html_findings(findings)}"
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def _html_findings(findings: Sequence[Finding]) -> str:
    items = []
    for root in (finding for finding in findings if finding.because is None):
        remedies = "".join(
            f"<li>{html.escape(remedy.text)}"
            + (f"<pre>{html.escape(remedy.code)}</pre>" if remedy.code else "")
            + "</li>"
            for remedy in root.remedies
        )
        below = "".join(
            f"<li>{html.escape(str(finding))}</li>"
            for finding in findings
            if finding.because is not None and _root(finding) is root
        )
        follows = f"<p>What follows from it:</p><ul>{below}</ul>" if below else ""
        said = f"{html.escape(root.severity)}: {html.escape(str(root))}"
        items.append(f"<li>{said}<ol>{remedies}</ol>{follows}</li>")
    return f"<ul>{''.join(items)}</ul>" if items else ""
