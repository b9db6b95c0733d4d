"""What a learning-rate range test found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad._common.checks import plural
from evengrad._common.plot_style import OKABE_ITO, plot_style, pyplot
from evengrad._common.text_tables import html_facts

if TYPE_CHECKING:
    from collections.abc import Sequence

Array = np.ndarray[Any, Any]


class RangeTest:
    """The losses of a learning-rate range test, and the rate that they suggest.

    `Model.find_learning_rate` makes it.

    Attributes
    ----------
    learning_rates
        η of each step that was made, growing by a constant factor.
    losses
        The loss of each step's batch, before its update.
    smoothed_losses
        Their running averages: mₜ ← β · mₜ₋₁ + (1 − β) · Lₜ, divided by 1 − βᵗ.
    stopped_early
        Whether the loss shot up before the largest rate was reached.
    tests
        With ``seeds=``, the test of each seed, of which this is the mean; else empty.

    Examples
    --------
    >>> found = eg.models.RangeTest([0.01, 0.1, 1.0], [2.0, 1.0, 9.0], [2.0, 1.5, 4.0], False)
    >>> found.turning_point, found.suggestion
    (0.1, 0.01)
    """

    def __init__(
        self,
        learning_rates: Sequence[float],
        losses: Sequence[float],
        smoothed_losses: Sequence[float],
        stopped_early: bool,
    ) -> None:
        self.learning_rates: Array = np.array(learning_rates, np.float64)
        self.losses: Array = np.array(losses, np.float64)
        self.smoothed_losses: Array = np.array(smoothed_losses, np.float64)
        self.stopped_early = stopped_early
        self.tests: list[RangeTest] = []

    @property
    def turning_point(self) -> float:
        """The rate at which the smoothed loss is least: from there on it rises."""
        return float(self.learning_rates[np.argmin(self.smoothed_losses)])

    @property
    def steepest(self) -> float:
        """The rate at which the smoothed loss falls fastest, by log η, before it turns."""
        turn = int(np.argmin(self.smoothed_losses))
        if turn == 0:
            return float(self.learning_rates[0])
        slopes = np.diff(self.smoothed_losses[: turn + 1])
        return float(self.learning_rates[np.argmin(slopes)])

    @property
    def suggestion(self) -> float:
        """A tenth of the turning point; it follows from the model's seed and the data alone."""
        return self.turning_point / 10

    def plot(self, ax: Any = None) -> Any:
        """Draw the losses over the rates with matplotlib, and mark the suggestion.

        Parameters
        ----------
        ax
            Axes to draw on; new ones by default.

        Returns
        -------
        Axes

        Raises
        ------
        ImportError
            matplotlib is not installed.

        Examples
        --------
        >>> model = eg.Sequential([eg.layers.Dense(1)], seed=1)
        >>> model.compile("sgd", loss="mse")
        >>> rng = np.random.default_rng(0)
        >>> found = model.find_learning_rate(rng.normal(size=(64, 3)), rng.normal(size=64))
        >>> found.plot().get_xscale()
        'log'
        """
        plt = pyplot("RangeTest.plot")
        with plot_style(ax):
            axes = plt.subplots(figsize=(5, 3.5))[1] if ax is None else ax
            self._draw(axes)
        return axes

    def _draw(self, axes: Any) -> None:
        rates, blue, sky = self.learning_rates, OKABE_ITO["blue"], OKABE_ITO["sky blue"]
        axes.plot(rates, self.losses, color=sky, alpha=0.6, label="loss of the batch")
        axes.plot(rates, self.smoothed_losses, color=blue, label="smoothed")
        label, red = f"suggestion {self.suggestion:.2g}", OKABE_ITO["vermillion"]
        axes.axvline(self.suggestion, color=red, linestyle="--", label=label)
        axes.set_xscale("log")
        low, high = float(self.smoothed_losses.min()), float(self.smoothed_losses[0])
        if high > low:
            # The last losses are many times the first: what matters lies between least and first.
            axes.set_ylim(low - 0.3 * (high - low), high + 0.6 * (high - low))
        axes.set_xlabel("learning rate")
        axes.set_ylabel("loss")
        axes.legend()

    def _repr_html_(self) -> str:
        first, last = self.learning_rates[0], self.learning_rates[-1]
        least = self.smoothed_losses.min()
        ended = "the loss shot up" if self.stopped_early else "the largest rate was reached"
        facts = {
            "suggestion": f"{self.suggestion:.3g}",
            "turning point": f"{self.turning_point:.3g}, where the smoothed loss is least",
            "steepest": f"{self.steepest:.3g}, where it falls fastest",
            "learning rates": f"{first:.3g} to {last:.3g}: {ended}",
            "loss": f"{self.losses[0]:.4g} at first, {least:.4g} at least, smoothed",
        }
        return html_facts(facts, f"Range test of {plural(len(self.losses), 'step')}")

    def __repr__(self) -> str:
        first, last = self.learning_rates[0], self.learning_rates[-1]
        return (
            f"<RangeTest of {len(self.losses)} steps, learning rates {first:.3g} to {last:.3g}: "
            f"suggestion {self.suggestion:.3g}>"
        )
