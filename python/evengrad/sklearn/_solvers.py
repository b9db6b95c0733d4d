"""Optimizers from an estimator's arguments."""

from __future__ import annotations

import math
from typing import Any

from evengrad import optimizers
from evengrad._common.config import outside_scopes, remade
from evengrad._common.names import look_up, public_names
from evengrad.optimizers import Adam, Optimizer

# The momentum of our rule is below 1: with this one each product is that of 1, to its last place.
LARGEST_MOMENTUM = math.nextafter(1.0, 0.0)


def is_stochastic(solver: Any) -> bool:
    """Tell whether a solver goes through the rows batch by batch."""
    return not (isinstance(solver, str) and solver == "lbfgs")


@outside_scopes()
def optimizer_of(estimator: Any) -> Optimizer:
    """Return a new optimizer for the solver, by the name that scikit-learn or we have for it."""
    solver, rate = estimator.solver, estimator.schedule
    if isinstance(solver, Optimizer):
        if rate is not None or estimator.clipnorm is not None:
            raise ValueError(
                "schedule, clipnorm: expected with the name of a solver; an optimizer has them "
                "among its own arguments"
            )
        made: Optimizer = remade(solver)
        return made
    shared: dict[str, Any] = {
        "learning_rate": float(estimator.learning_rate_init) if rate is None else remade(rate),
        "clipnorm": estimator.clipnorm,
    }
    if solver == "sgd":
        momentum = min(float(estimator.momentum), LARGEST_MOMENTUM)
        nesterov = bool(estimator.nesterovs_momentum and momentum > 0)
        return optimizers.SGD(momentum=momentum, nesterov=nesterov, **shared)
    if solver == "adam":
        first, second = float(estimator.beta_1), float(estimator.beta_2)
        return Adam(beta_1=first, beta_2=second, epsilon=float(estimator.epsilon), **shared)
    named = {**public_names(vars(optimizers), Optimizer), "lbfgs": None}
    kind: Any = look_up(solver, named, "solver")
    found: Optimizer = kind(**shared)
    return found
