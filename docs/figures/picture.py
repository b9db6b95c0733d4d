"""What all pictures of the guide share: their list, their style and their sizes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib import pyplot as plt
from matplotlib import rc_context

from evengrad._common.plot_style import LINES, OKABE_ITO, plot_style

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from matplotlib.figure import Figure

__all__ = ["LINES", "OKABE_ITO", "PICTURES", "digits", "panels", "picture"]

# By name of the file, what draws it.
PICTURES: dict[str, Callable[[], Figure]] = {}
# In inches. Text of nine points in a picture this wide is read on a telephone too, where 400 pixels
# are all there is.
WIDTH = 4.8
FONTS = {"font.size": 9.0, "axes.titlesize": 9.5, "legend.fontsize": 8.0}


def picture(draw: Callable[[], Figure]) -> Callable[[], Figure]:
    """Enter a function that draws a picture of its page."""
    page = Path(draw.__code__.co_filename).stem

    def drawn() -> Figure:
        with plot_style(), rc_context(FONTS):
            figure = draw()
        plt.close(figure)
        return figure

    PICTURES[f"{page}-{draw.__name__}".replace("_", "-")] = drawn
    return draw


def panels(rows: int = 1, columns: int = 1, height: float = 2.5, **given: Any) -> Any:
    """Return a figure as wide as all others, and its axes: one, or an array of them."""
    return plt.subplots(rows, columns, figsize=(WIDTH, height), layout="constrained", **given)


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Return scikit-learn's digits, pixels from 0 to 1, and their labels."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return (images / 16).astype("float32"), labels
