"""Going back to a healthy state of a training, with a lower rate from there on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad.callbacks._training_state import TrainingState
from evengrad.layers._masks import masks_of, set_masks
from evengrad.layers._module import module_tree
from evengrad.optimizers._optimizer import rate_of
from evengrad.optimizers.schedules import Scaled

if TYPE_CHECKING:
    import numpy as np

    from evengrad.training._protocol import PublicModel

    Array = np.ndarray[Any, Any]

# Of the rate, what is left after going back: two rescues are a tenth.
FACTOR = 0.3


class Rescue:
    """The latest healthy state of a training; copies of this have none."""

    def __init__(self) -> None:
        self.step: int | None = None
        self._state: TrainingState | None = None
        self._masks: dict[str, Array] = {}

    def __reduce__(self) -> tuple[type[Rescue], tuple[()]]:
        # The state is that of one model's tensors.
        return Rescue, ()

    def keep(self, model: PublicModel) -> None:
        """Take the state as it is."""
        self.step = int(model.optimizer.iterations)
        self._state = TrainingState(module_tree(model), model.optimizer)
        self._masks = masks_of(model)

    def restore(self, model: PublicModel) -> float | None:
        """Put the state back and lower the rate; return the new rate, None without a state.

        Variables, slots, the count of updates, by which a schedule goes that is lowered as a whole,
        and the layers' random streams are what they were, bit by bit. The rate that is lowered is
        the present one, and the data goes on.
        """
        if self._state is None:
            return None
        set_masks(model, self._masks)
        self._state.restore(settings=False)
        optimizer = model.optimizer
        rate = optimizer.learning_rate
        if isinstance(rate, Scaled):
            optimizer.learning_rate = Scaled(rate.schedule, FACTOR * rate.factor)
        else:
            optimizer.learning_rate = Scaled(rate, FACTOR) if callable(rate) else FACTOR * rate
        return rate_of(optimizer, int(optimizer.iterations))
