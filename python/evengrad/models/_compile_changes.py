"""Changes of what a model was compiled with: the loss, the optimizer and its settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad import optimizers
from evengrad._common.checks import check_float
from evengrad._common.config import accepted_names, remade
from evengrad.optimizers import ParameterGroup

if TYPE_CHECKING:
    from collections.abc import Callable

    from evengrad.optimizers import Optimizer

# What another optimizer takes over: what is around the rule.
AROUND = (
    *("groups", "use_ema", "ema_momentum", "ema_overwrite_frequency"),
    *("gradient_accumulation_steps", "clipnorm", "clipvalue", "global_clipnorm"),
)


def with_rate(optimizer: Optimizer, value: Any) -> Optimizer:
    """Return an optimizer whose learning rate is a multiple of that of another one."""
    factor = check_float(value, "treatment.value", low=0.0, open_low=True)
    config = _config_of(optimizer)
    rate = config["learning_rate"]
    if callable(rate):
        # It holds for whatever the schedule says, and for all parameters: "" is in every path.
        group = ParameterGroup("", learning_rate_multiplier=factor)
        config["groups"] = [*(config.get("groups") or []), group]
    else:
        # What is beyond these digits is rounding.
        config["learning_rate"] = float(f"{rate * factor:.12g}")
    return type(optimizer)(**config)


def with_clipping(optimizer: Optimizer, value: Any) -> Optimizer:
    """Return an optimizer that clips gradients by the norm of all together, and in no other way."""
    limit = check_float(value, "treatment.value", low=0.0, open_low=True)
    config = {**_config_of(optimizer), "clipnorm": None, "clipvalue": None}
    return type(optimizer)(**{**config, "global_clipnorm": limit})


def with_decay(optimizer: Optimizer, value: Any) -> Optimizer:
    """Return an optimizer that pulls weights towards zero, or does not with None."""
    return type(optimizer)(**{**_config_of(optimizer), "weight_decay": value})


def with_rule(optimizer: Optimizer, value: Any) -> Optimizer:
    """Return an optimizer of another rule, with what is around the rule as it is."""
    other = optimizers.get(value)
    names = accepted_names(type(other)) or []
    config = _config_of(optimizer)
    around = {name: config[name] for name in AROUND if name in names and name in config}
    return type(other)(**{**other.get_config(), **around})


def _config_of(optimizer: Optimizer) -> dict[str, Any]:
    config: dict[str, Any] = remade(optimizer.get_config())
    return config


OPTIMIZERS: dict[str, Callable[[Optimizer, Any], Optimizer]] = {
    "learning_rate": with_rate,
    "clip": with_clipping,
    "weight_decay": with_decay,
    "optimizer": with_rule,
}
