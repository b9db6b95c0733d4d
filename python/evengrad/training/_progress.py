"""Showing progress: a bar on a terminal or in a notebook, lines in a log, or nothing."""

from __future__ import annotations

import functools
import importlib.util
import os
import sys
import time
from typing import Any

from evengrad._common.names import printable

SILENT, BAR, LINES = 0, 1, 2

FORMAT = "{desc} {percentage:3.0f}%%|%s| {elapsed}<{remaining}{postfix}"
# Seconds between two drawings of a bar: a drawing takes milliseconds in a notebook.
INTERVAL = 0.2


def style(verbose: Any) -> int:
    """Return how progress is shown, from the argument `verbose` and what is looking."""
    if isinstance(verbose, bool):
        verbose = int(verbose)
    if verbose not in ("auto", 0, 1, 2):
        raise ValueError(f"verbose: expected 0, 1, 2 or 'auto', got {verbose!r}")
    if verbose in (0, 2):
        return int(verbose)
    seen = "ipykernel" in sys.modules or on_terminal()
    return BAR if seen and importlib.util.find_spec("tqdm") else LINES


def on_terminal() -> bool:
    """Tell whether the error stream is a terminal with room for a bar."""
    try:
        return sys.stderr.isatty() and os.get_terminal_size(sys.stderr.fileno()).columns > 0
    except (AttributeError, OSError, ValueError):
        # No error stream at all, or one without a descriptor.
        return False


class Progress:
    """The progress of a training: one bar for all of it, or a line an epoch.

    However short the epochs, a bar is drawn, and lines are written out, a few times a second; so
    many epochs may be run at a time (`epochs_at_a_time`). Where it is not `alone`, each line stands
    before what callbacks print after it.
    """

    def __init__(self, verbose: Any, epochs: int, first: int = 0, *, alone: bool = True) -> None:
        self.style = SILENT if verbose == 0 else style(verbose)
        # Whether it shows nothing, or is updated a few times a second.
        self.is_silent = self.style == SILENT
        self.timed = self.style == BAR
        self.first, self.epochs, self.alone = first, epochs, alone
        # Epochs that nobody else hears of may be run at once: none until one was timed.
        self.epochs_at_a_time = sys.maxsize if self.is_silent else 0
        self._bar: Any = None
        self._epoch, self._steps = first, 0
        self._started = self._shown = 0.0
        self._lines: list[str] = []
        # What a bar will show next: epochs that have ended, their part of the next one, figures.
        self._pending: tuple[int, float, str, dict[str, Any]] | None = None

    def begin(self, epoch: int, steps: int | None) -> None:
        """Begin an epoch."""
        self._started = time.perf_counter()
        self._epoch, self._steps = epoch, steps or 0
        if self.timed and self._bar is None:
            self._bar = self._made_bar()

    def _made_bar(self) -> Any:
        from tqdm.auto import tqdm

        # On a terminal a short bar leaves room for the figures; notebooks have an element for it.
        bar = "{bar}" if "ipykernel" in sys.modules else "{bar:16}"
        total = max(self.epochs - self.first, 1)
        return tqdm(desc=self._name(self._epoch), total=total, bar_format=FORMAT % bar)

    def _name(self, epoch: int) -> str:
        return f"epoch {epoch + 1}/{self.epochs}"

    @property
    def is_due(self) -> bool:
        """Whether a bar is to be drawn again."""
        return self._bar is not None and time.perf_counter() - self._shown >= INTERVAL

    def update(self, done: int, logs: dict[str, Any]) -> None:
        """Show how far the epoch is, where that is due."""
        of = f"/{self._steps}" if self._steps else ""
        part = min(done / self._steps, 1.0) if self._steps else 0.0
        self._pending = (self._epoch, part, f" step {done}{of}", logs)
        self._draw()

    def note(self, rows: list[tuple[int, dict[str, Any]]]) -> None:
        """Show the figures of epochs that have ended, and were run at once since `begin`."""
        now = time.perf_counter()
        each = (now - self._started) / len(rows)
        # At most fourfold: the first was longer, and others may be.
        quick = int(INTERVAL / max(each, 1e-9))
        self.epochs_at_a_time = min(max(1, 4 * self.epochs_at_a_time), quick)
        if self.style == LINES:
            self._lines.append(self._shown_in_lines(rows, each))
            due = now - self._shown >= INTERVAL
            if due or not self.alone:
                self._write(flush=due)
        elif self.timed:
            epoch, logs = rows[-1]
            self._pending = (epoch, 1.0, "", logs)
            if self.is_due:
                self._draw()

    def _shown_in_lines(self, rows: list[tuple[int, dict[str, Any]]], each: float) -> str:
        """Return a line for each epoch, all made at once: there may be thousands of them."""
        names = figures_in(rows[0][1])
        line = f"epoch %d/{self.epochs}  {each:.1f} s  {_form(names)}"
        values = [value for at, logs in rows for value in (at + 1, *map(logs.__getitem__, names))]
        return "\n".join([line] * len(rows)) % tuple(values)

    def _write(self, *, flush: bool) -> None:
        """Write the lines that are waiting."""
        if self._lines:
            print("\n".join(self._lines), flush=flush)  # noqa: T201 - logs
            self._lines = []
        if flush:
            self._shown = time.perf_counter()

    def _draw(self) -> None:
        """Draw the bar as it is to be."""
        if self._bar is None or self._pending is None:
            return
        epoch, part, step, logs = self._pending
        self._pending = None
        self._bar.n = epoch - self.first + part
        self._bar.set_description_str(self._name(epoch) + step, refresh=False)
        self._bar.set_postfix_str(show_logs(logs), refresh=False)
        self._bar.refresh()
        self._shown = time.perf_counter()

    def close(self, *, finished: bool = False) -> None:
        """Leave the terminal in order; what has `finished` early is complete all the same."""
        if self.style == LINES:
            self._write(flush=True)
        if self._bar is not None:
            self._draw()
            if finished and self._bar.n:
                self._bar.total = self._bar.n
            self._bar.close()
            self._bar = None


def show_logs(logs: dict[str, Any]) -> str:
    """Return figures in one line; arrays have no place there."""
    names = figures_in(logs)
    return _form(names) % tuple(map(logs.__getitem__, names))


def figures_in(logs: dict[str, Any]) -> tuple[str, ...]:
    """Return the names of figures that are numbers."""
    return tuple(name for name, value in logs.items() if isinstance(value, float))


@functools.lru_cache
def _form(names: tuple[str, ...]) -> str:
    """Return the line with places for the figures of these names."""
    return "  ".join(f"{printable(name).replace('%', '%%')} %.4g" for name in names)
