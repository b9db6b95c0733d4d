"""Tables of reports, as text and as HTML."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Sequence


def aligned(rows: Sequence[Sequence[str]], left: Container[int] = (0,)) -> list[str]:
    """Return a line for each row: columns two spaces apart, ranged right but for those `left`."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def underlined(lines: Sequence[str]) -> list[str]:
    """Return lines with a rule below the first one, the heading."""
    rule = "-" * max(map(len, lines))
    return [lines[0], rule, *lines[1:]]


def html_table(rows: Sequence[Sequence[str]], caption: str | None = None) -> str:
    """Return a table whose first row is the heading."""

    def row(cells: Sequence[str], kind: str) -> str:
        inside = "".join(f"<{kind}>{html.escape(cell)}</{kind}>" for cell in cells)
        return f"<tr>{inside}</tr>"

    above = "" if caption is None else f"<caption>{html.escape(caption)}</caption>"
    body = "".join(row(cells, "td") for cells in rows[1:])
    return f"<table>{above}<thead>{row(rows[0], 'th')}</thead><tbody>{body}</tbody></table>"
