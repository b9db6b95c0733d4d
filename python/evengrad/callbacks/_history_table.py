"""A history as notebooks show it."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import numpy as np

from evengrad._common.checks import plural
from evengrad._common.names import printable
from evengrad._common.text_tables import html_table
from evengrad._common.units import show_seconds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from evengrad.callbacks._callback import History

HEADINGS = ("figure", "first", "last", "lowest", "highest")


def as_html(history: History, columns: Mapping[str, Sequence[float]]) -> str:
    """Return a table of the figures and a list of the findings; all text in it is escaped."""
    title = plural(len(history.epoch), "epoch")
    if history.seconds > 0:
        title += f", {show_seconds(history.seconds)}"
    rows = [_row(name, column, history.epoch) for name, column in columns.items()]
    findings = "".join(
        f"<li>{html.escape(printable(f'{finding.severity}: {finding}'))}</li>"
        for finding in history.findings
    )
    table = html_table([HEADINGS, *rows], f"History of {title}")
    return f"{table}<ul>{findings}</ul>" if findings else table


def _row(name: str, column: Sequence[float], epochs: Sequence[int]) -> tuple[str, ...]:
    """Return the cells of a figure: its ends, and in which epoch it was lowest and highest."""
    values = np.asarray(column, np.float64)
    known = np.flatnonzero(np.isfinite(values))
    if not known.size:
        return (printable(name), *["–"] * (len(HEADINGS) - 1))
    extremes = [known[np.argmin(values[known])], known[np.argmax(values[known])]]
    ends = [f"{values[place]:.4g}" for place in (known[0], known[-1])]
    return (
        printable(name),
        *ends,
        *(f"{values[place]:.4g} in epoch {epochs[place] + 1}" for place in extremes),
    )
