"""Parameters that steps by `.grad` are made of: tensors, or a layer with what it trains."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from evengrad._core import Tensor

if TYPE_CHECKING:
    from evengrad.optimizers._optimizer import Optimizer


def are_parameters(given: Any) -> bool:
    """Tell whether something is meant as parameters, as in PyTorch's constructors."""
    several = isinstance(given, (list, tuple, Iterator))
    return several or isinstance(given, Tensor) or hasattr(given, "trainable_weights")


def listed(given: Any) -> list[Tensor]:
    """Return parameters as a list, or raise an error."""
    if isinstance(given, Tensor):
        raise TypeError("parameters: expected a list of tensors, got one tensor; pass [tensor]")
    found = list(getattr(given, "trainable_weights", given))
    for place, one in enumerate(found):
        if not isinstance(one, Tensor):
            raise TypeError(
                f"parameters: expected tensors, or a layer or model, got {type(one).__name__} at "
                f"position {place}"
            )
    return found


def unknown(optimizer: Optimizer, method: str) -> ValueError:
    """Return the error for a call without parameters where none have been given."""
    name = type(optimizer).__name__
    return ValueError(
        f"{name}.{method}: expected parameters the first time, such as "
        f"optimizer.{method}(model.trainable_weights); later calls without any take the same"
    )


def in_constructor(name: str) -> TypeError:
    """Return the error for parameters in the place of a learning rate."""
    return TypeError(
        f"{name}: expected a learning rate first, got parameters: here they are given to the step, "
        f'optimizer.step(parameters); write {name}(learning_rate, ..., convention="torch") for '
        "PyTorch's defaults"
    )
