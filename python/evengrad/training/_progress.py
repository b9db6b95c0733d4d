"""Showing progress: a bar on a terminal or in a notebook, lines in a log, or nothing."""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from typing import Any

SILENT, BAR, LINES = 0, 1, 2

FORMAT = "{desc} {percentage:3.0f}%|{bar:16}| {n_fmt}/{total_fmt} {elapsed}{postfix}"


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
    """The progress of a training, epoch by epoch."""

    def __init__(self, verbose: Any, epochs: int) -> None:
        self.style = SILENT if verbose == 0 else style(verbose)
        # Whether it shows nothing, or is updated a few times a second.
        self.is_silent = self.style == SILENT
        self.timed = self.style == BAR
        self.epochs = epochs
        self._bar: Any = None
        self._name = ""
        self._started = 0.0

    def begin(self, epoch: int, steps: int | None) -> None:
        """Begin an epoch."""
        self._started = time.perf_counter()
        self._name = f"epoch {epoch + 1}/{self.epochs}"
        if self.style == BAR:
            from tqdm.auto import tqdm

            # A short bar leaves room for the figures; without a known end there is no bar to draw.
            shape = None if steps is None else FORMAT
            self._bar = tqdm(total=steps, desc=self._name, unit="step", bar_format=shape)

    def update(self, done: int, logs: dict[str, Any]) -> None:
        """Show how far the epoch is."""
        if self._bar is not None:
            self._bar.set_postfix_str(show_logs(logs), refresh=False)
            self._bar.update(done - self._bar.n)

    def end(self, logs: dict[str, Any]) -> None:
        """End an epoch with its figures."""
        if self._bar is not None:
            self._bar.set_postfix_str(show_logs(logs))
            self.close()
        elif self.style == LINES:
            seconds = time.perf_counter() - self._started
            print(f"{self._name}  {seconds:.1f} s  {show_logs(logs)}", flush=True)  # noqa: T201 - logs

    def close(self) -> None:
        """Leave the terminal in order."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def show_logs(logs: dict[str, Any]) -> str:
    """Return figures in one line; arrays have no place there."""
    numbers = [(name, value) for name, value in logs.items() if isinstance(value, float)]
    return "  ".join(f"{name} {value:.4g}" for name, value in numbers)
