"""The state of optimizers as Keras' files have it: which array is which."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from evengrad._core import Tensor
    from evengrad.optimizers import Optimizer

# Our names of what Keras keeps for each variable: arrays of one group alternate, variable by
# variable; then comes the next group.
GROUPS: dict[str, list[tuple[str, ...]]] = {
    "Adadelta": [("mean_square", "mean_square_step")],
    "Adagrad": [("sum_of_squares",)],
    "Adam": [("mean", "mean_square"), ("largest_mean_square",)],
    "AdamW": [("mean", "mean_square"), ("largest_mean_square",)],
    "Adamax": [("mean", "largest")],
    "Lion": [("mean",)],
    "Nadam": [("mean", "mean_square")],
    "RMSprop": [("mean_square",), ("momentum",), ("mean",)],
    "SGD": [("momentum",)],
}
AVERAGE = ("average",)
# The rule that keeps one number more.
WITH_MEMORY = "Nadam"
PLACE = "optimizer"


class Slot(NamedTuple):
    """The state of one variable that an array holds."""

    tensor: Tensor
    name: str


def groups_of(optimizer: Optimizer) -> list[tuple[str, ...]]:
    """Return the groups of state that an optimizer with its settings keeps, in Keras' order."""
    given: Any = optimizer
    wanted = {
        "largest_mean_square": getattr(given, "amsgrad", False),
        "momentum": getattr(given, "momentum", 0.0) not in (0, 0.0),
    }
    if type(optimizer).__name__ == "RMSprop":
        wanted["mean"] = given.centered
    groups = GROUPS[type(optimizer).__name__]
    kept = [group for group in groups if all(wanted.get(name, True) for name in group)]
    return [AVERAGE, *kept] if optimizer.use_ema else kept


def slots_of(optimizer: Optimizer, trained: list[Tensor]) -> list[Slot]:
    """Return what the arrays behind the first ones are, for variables in Keras' order."""
    return [
        Slot(tensor, name) for group in groups_of(optimizer) for tensor in trained for name in group
    ]


def first_arrays(optimizer: Optimizer) -> int:
    """Return how many arrays come first: the number of steps, and the rate if it is a number."""
    return 1 if callable(optimizer.get_config()["learning_rate"]) else 2
