"""Going back to a healthy state of a training, with a lower rate from there on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad.layers._masks import masks_of, set_masks
from evengrad.optimizers._optimizer import rate_of
from evengrad.optimizers.schedules import Scaled

if TYPE_CHECKING:
    from evengrad._core import Tensor
    from evengrad.training._protocol import PublicModel

    Array = np.ndarray[Any, Any]

# Of the rate, what is left after going back: two rescues are a tenth.
FACTOR = 0.3


class Rescue:
    """The latest healthy state of a model and its optimizer's slots."""

    def __init__(self) -> None:
        self.step: int | None = None
        self._weights: list[Array] = []
        self._masks: dict[str, Array] = {}
        self._slots: list[tuple[Tensor, Array]] = []

    def keep(self, model: PublicModel) -> None:
        """Take the state as it is."""
        optimizer = model.optimizer
        self.step = int(optimizer.iterations)
        self._weights = model.get_weights()
        self._masks = masks_of(model)
        self._slots = [
            (slot, np.array(slot.numpy()))
            for parameter in model.trainable_weights
            for slot in optimizer.slots(parameter).values()
        ]

    def restore(self, model: PublicModel) -> float | None:
        """Put the state back and lower the rate; return the new rate, None without a state.

        The data goes on, and with it the optimizer's count of steps, by which a schedule goes that
        is lowered as a whole, and the random streams: no mask is drawn twice.
        """
        if self.step is None:
            return None
        set_masks(model, self._masks)
        model.set_weights(self._weights)
        for slot, values in self._slots:
            slot.copy_(values)
        optimizer = model.optimizer
        rate = optimizer.learning_rate
        if isinstance(rate, Scaled):
            optimizer.learning_rate = Scaled(rate.schedule, FACTOR * rate.factor)
        else:
            optimizer.learning_rate = Scaled(rate, FACTOR) if callable(rate) else FACTOR * rate
        return rate_of(optimizer, int(optimizer.iterations))
