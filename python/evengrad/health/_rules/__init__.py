"""Rules: a function each from what was measured to what is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evengrad.health._rules._gradients import exploding_sequences, unstable_gradients
from evengrad.health._rules._head import head_loss_mismatch
from evengrad.health._rules._inputs import non_finite, unscaled_inputs
from evengrad.health._rules._losses import diverging_loss, overfitting, plateau, underfitting
from evengrad.health._rules._selu import selu_conditions
from evengrad.health._rules._sequences import vanishing_sequences
from evengrad.health._rules._signals import signal_collapse, signal_explosion, symmetric_units
from evengrad.health._rules._units import dead_units, saturated_activations
from evengrad.health._rules._updates import large_updates, small_updates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from evengrad.health._examination import Examination
    from evengrad.health._finding import Finding
    from evengrad.health._thresholds import Thresholds

    Rule = Callable[[Examination, Thresholds], Iterator[Finding]]

RULES: tuple[Rule, ...] = (
    non_finite,
    head_loss_mismatch,
    unscaled_inputs,
    symmetric_units,
    exploding_sequences,
    vanishing_sequences,
    unstable_gradients,
    signal_explosion,
    signal_collapse,
    saturated_activations,
    dead_units,
    selu_conditions,
    large_updates,
    small_updates,
    diverging_loss,
    plateau,
    overfitting,
    underfitting,
)
