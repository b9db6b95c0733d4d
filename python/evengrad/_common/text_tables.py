"""Tables of reports, as text and as HTML."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence


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


def html_facts(facts: Mapping[str, str], caption: str | None = None) -> str:
    """Return a table of two columns, of which the first names what stands in the second."""
    body = "".join(
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>"
        for name, value in facts.items()
    )
    return f"<table>{_caption(caption)}<tbody>{body}</tbody></table>"


def _caption(caption: str | None) -> str:
    return "" if caption is None else f"<caption>{html.escape(caption)}</caption>"


def html_table(rows: Sequence[Sequence[str]], caption: str | None = None) -> str:
    """Return a table whose first row is the heading."""

    def row(cells: Sequence[str], kind: str) -> str:
        inside = "".join(f"<{kind}>{html.escape(cell)}</{kind}>" for cell in cells)
        return f"<tr>{inside}</tr>"

    body = "".join(row(cells, "td") for cells in rows[1:])
    head = f"<thead>{row(rows[0], 'th')}</thead>"
    return f"<table>{_caption(caption)}{head}<tbody>{body}</tbody></table>"
