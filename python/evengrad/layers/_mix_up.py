"""Rows that are mixed with other rows, and the loss with theirs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from evengrad import _core
from evengrad._common.checks import check_float
from evengrad.layers._call_context import call_context
from evengrad.layers._dropout import Noise
from evengrad.layers._mixture import Mixture
from evengrad.layers._shared import Shared, takes_shared

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from evengrad._core import Tensor


class MixUp(Noise):
    """Mix each row with another one of its batch while training: λ·x + (1 − λ)·x'.

    In `fit` the loss is mixed in the same way: λ·loss(y) + (1 − λ)·loss(y'). For cross-entropies
    and squares, that has the gradient of the mixed targets λ·y + (1 − λ)·y', and class numbers need
    not be made one-hot. In inference rows pass unchanged, and losses of evaluations are plain.

    λ is drawn for each batch from Beta(`alpha`, `alpha`), and the larger of both shares goes to the
    row itself. The other row is a random distance further on in the batch. Metrics of the training
    compare with y, the targets of the larger share; those of a training with much mixing are lower
    than of the data as it is.

    Parameters
    ----------
    alpha
        How much is mixed: rows stay nearly what they are for 0.1, λ is uniform for 1. Above 0.
    name, dtype, trainable
        As for every `Layer`.

    Raises
    ------
    ValueError
        `alpha` is not above 0. From `fit`: several such layers in one model, as targets are mixed
        once.

    Notes
    -----
    Input (rows, ...), of any shape, or a list of them, which are mixed alike; the output has the
    same. It need not be the first layer: behind others it mixes what these put out. Rows with a
    sample weight bring it into their part of the loss.

    References
    ----------
    Zhang et al., "mixup: beyond empirical risk minimization", 2017. Verma et al., "Manifold mixup:
    better representations by interpolating hidden states", 2018.

    Examples
    --------
    >>> layer = eg.layers.MixUp(1.0)
    >>> y = layer([[0.0], [1.0]], training=True).numpy()
    >>> bool(0.0 <= y[0] <= 0.5 <= y[1] <= 1.0)
    True
    """

    # It stands for other data, not for other networks.
    monte_carlo = False
    _stream = "mixture"

    # The rows of a mixture have masks of their own.
    supports_masking = False

    @takes_shared
    def __init__(self, alpha: float = 0.2, **shared: Unpack[Shared]) -> None:
        super().__init__(**shared)
        self.alpha = check_float(alpha, "alpha", low=0.0, high=1e6, open_low=True)

    def call(self, x: Any, training: bool = False) -> Any:
        """Return mixed rows in training, else x."""
        if not training:
            return x
        several = isinstance(x, (list, tuple))
        inputs: list[Tensor] = list(x) if several else [x]
        rows = inputs[0].shape[0]
        mixture = Mixture(self._partners(rows), self._share())
        self._tell(mixture)
        mixed = [mixture.of(one) for one in inputs]
        return mixed if several else mixed[0]

    def _tell(self, mixture: Mixture) -> None:
        """Let the losses of a step know what rows are made of."""
        told = call_context.mixtures
        if told:
            raise ValueError(
                f"{self.path}: expected one use of MixUp in a model, as targets are mixed once; "
                "call one such layer on the list of the inputs that are to be mixed alike"
            )
        if told is not None:
            told.append(mixture)

    def _partners(self, rows: int) -> Tensor:
        """Draw the row that each is mixed with: numbers below zero count from the end."""
        drawn = self.generator(self._stream).uniform((1,), 1.0, max(2, rows), "float64")
        distance = drawn.astype("int64").astype("float64")
        return (_core.arange(0, rows, dtype="float64") + (distance - rows)).astype("int64")

    def _share(self) -> Tensor:
        """Draw the share of rows themselves, the larger one of Beta(alpha, alpha).

        ½ (1 + 1 / √(1 + 1 / ((u^(−1/α) − 1) cos² 2πv))), with u and v uniform: Devroye, "Random
        variate generation in one line of code", 1996.
        """
        numbers = self.generator(self._stream).uniform((2,), dtype="float64")
        angle = (numbers[1] * math.tau).cos()
        odds = (numbers[0] ** (-1.0 / self.alpha) - 1.0) * angle * angle
        share: Tensor = 0.5 + 0.5 / (1.0 + 1.0 / odds).sqrt()
        return share
