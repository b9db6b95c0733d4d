"""How all plots of the package look: the colours of Okabe and Ito, quiet axes and grids."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

# Colours that people with any colour vision can tell apart.
OKABE_ITO = {
    "blue": "#0072b2",
    "vermillion": "#d55e00",
    "bluish green": "#009e73",
    "reddish purple": "#cc79a7",
    "orange": "#e69f00",
    "sky blue": "#56b4e9",
    "yellow": "#f0e442",
    "black": "#000000",
}
# Of lines on white, where yellow is hard to see.
LINES = [color for name, color in OKABE_ITO.items() if name != "yellow"]


def pyplot(who: str) -> Any:
    """Return what draws, or raise an error that says how to install it."""
    try:
        from matplotlib import pyplot as plt
    except ImportError as error:
        raise ImportError(f'{who} needs matplotlib: pip install "evengrad[plot]"') from error
    return plt


@contextlib.contextmanager
def plot_style(ax: Any = None) -> Iterator[None]:
    """Draw in the package's style, but on axes that users give in theirs."""
    if ax is not None:
        yield
        return
    import matplotlib as mpl
    from cycler import cycler

    settings: Any = {
        # All but yellow, which is hard to see on white.
        "axes.prop_cycle": cycler("color", LINES),
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.edgecolor": "#8a939d",
        "axes.labelcolor": "#1a1f26",
        "axes.spines.right": False,
        "axes.spines.top": False,
        "grid.color": "#e8ebef",
        "legend.frameon": False,
        "lines.linewidth": 1.8,
        "xtick.color": "#56606b",
        "ytick.color": "#56606b",
        "figure.constrained_layout.use": True,
    }
    with mpl.rc_context(settings):
        yield
