"""Which remedies a finding gets, and in which order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evengrad.health._cures import (
    activate,
    adaptive,
    clip,
    faster,
    gated,
    initialize,
    leak,
    normalize,
    pretrain,
    scale,
    schedule,
    shortcut,
    slower,
    unclip,
)
from evengrad.health._cures_of_tasks import (
    add_units,
    all_selu,
    alpha_dropout,
    clean_data,
    decay,
    drop,
    enlarge,
    fit_head,
    fit_loss,
    lecun,
    more_data,
    plain_selu,
    scale_targets,
    stop_early,
    unpenalize,
)
from evengrad.health._rules._measured import LOGISTIC, hidden

if TYPE_CHECKING:
    from collections.abc import Callable

    from evengrad.health._examination import Examination
    from evengrad.health._finding import Finding, Remedy

    Cure = Callable[[Finding, Examination], Remedy]

# Logistic layers that Glorot's values serve; one more loses a factor of 24.
LOGISTIC_DEPTH = 2
# From these rates on a deep net without normalization is not safe: of SGD, with its momentum, and
# of optimizers whose steps are as large as the rate.
FAST_SGD, FAST_ADAPTIVE = 0.3, 0.01

# In the order of the field's advice: initial values, activation, normalization, clipping, rate,
# schedule, regularization, shortcuts, gates, pre-training; what cures stands first.
UNSTABLE = (initialize, normalize, activate, shortcut, pretrain)
BLOWN_UP = (initialize, normalize, clip, slower)
LOGISTIC_STACK = (activate, normalize, shortcut, pretrain)
TOO_DEEP = (normalize, shortcut, pretrain)
TOO_FAST = (slower, clip, normalize, schedule)
DEAD = (slower, leak, normalize)
# By kind and cause; by kind alone where the cause is another one.
CURES: dict[tuple[str, str], tuple[Cure, ...]] = {
    ("non_finite", "inputs"): (clean_data,),
    ("non_finite", "labels"): (clean_data,),
    ("non_finite", ""): (slower, clip, initialize),
    ("head_loss_mismatch", "activation"): (fit_head, fit_loss),
    ("head_loss_mismatch", "labels"): (add_units,),
    ("head_loss_mismatch", ""): (fit_loss,),
    ("unscaled_inputs", ""): (scale,),
    ("symmetric_units", ""): (initialize,),
    ("exploding_gradients", "architecture"): (gated, clip, slower),
    ("exploding_gradients", "depth"): (normalize, clip, slower),
    ("exploding_gradients", "learning_rate"): TOO_FAST,
    ("exploding_gradients", ""): BLOWN_UP,
    ("vanishing_gradients", "architecture"): (gated,),
    ("vanishing_gradients", "activation"): LOGISTIC_STACK,
    ("vanishing_gradients", "depth"): TOO_DEEP,
    ("vanishing_gradients", "learning_rate"): TOO_FAST,
    ("vanishing_gradients", ""): UNSTABLE,
    ("signal_explosion", "depth"): (normalize, clip, slower),
    ("signal_explosion", "learning_rate"): TOO_FAST,
    ("signal_explosion", ""): BLOWN_UP,
    ("signal_collapse", "activation"): LOGISTIC_STACK,
    ("signal_collapse", "depth"): TOO_DEEP,
    ("signal_collapse", "learning_rate"): TOO_FAST,
    ("signal_collapse", ""): UNSTABLE,
    ("saturated_activations", "learning_rate"): (slower, normalize, activate),
    ("saturated_activations", ""): (initialize, activate, normalize),
    ("dead_units", "initializer"): (initialize, leak, normalize),
    ("dead_units", ""): DEAD,
    ("selu_conditions", "initializer"): (lecun,),
    ("selu_conditions", "activation"): (all_selu,),
    ("selu_conditions", "architecture"): (plain_selu,),
    ("selu_conditions", "inputs"): (scale,),
    ("large_updates", "labels"): (scale_targets, *TOO_FAST),
    ("large_updates", ""): TOO_FAST,
    ("small_updates", "optimizer"): (unclip, faster),
    ("small_updates", "activation"): LOGISTIC_STACK,
    ("small_updates", ""): (faster, adaptive),
    ("diverging_loss", "labels"): (scale_targets, *TOO_FAST),
    ("diverging_loss", ""): TOO_FAST,
    ("plateau", ""): (schedule, adaptive, normalize),
    ("overfitting", ""): (drop, decay, stop_early, more_data),
    ("underfitting", "regularization"): (unpenalize,),
    ("underfitting", "learning_rate"): (faster, adaptive),
    ("underfitting", "data"): (more_data, enlarge),
    ("underfitting", ""): (enlarge, faster),
}
# Kinds that new initial values alone do not cure in a stack of logistic layers.
OF_STACKS = frozenset(
    {"saturated_activations", "vanishing_gradients", "signal_collapse", "symmetric_units"}
)


def remedies_for(finding: Finding, examination: Examination) -> tuple[Remedy, ...]:
    """Return what helps, most likely first."""
    cures = CURES.get((finding.kind, finding.cause)) or CURES.get((finding.kind, ""), ())
    if finding.kind == "selu_conditions" and finding.cause == "regularization":
        dropped = any(layer.dropout > 0 for layer in examination.layers)
        cures = (alpha_dropout,) if dropped else (unpenalize,)
    if finding.kind in OF_STACKS and cures[0] is initialize and _deep_logistic(examination):
        cures = LOGISTIC_STACK
    if cures is LOGISTIC_STACK and _fast(examination):
        # An activation that passes gradients on makes steps of this size too large.
        cures = (normalize, activate, slower, pretrain)
    return tuple(cure(finding, examination) for cure in cures)


def _deep_logistic(examination: Examination) -> bool:
    facts = [examination.layers[at] for at in hidden(examination)]
    return sum(layer.activation in LOGISTIC for layer in facts) > LOGISTIC_DEPTH


def _fast(examination: Examination) -> bool:
    training = examination.training
    if training.optimizer.lower() == "sgd":
        return training.learning_rate / max(1e-3, 1 - training.momentum) > FAST_SGD
    return training.learning_rate > FAST_ADAPTIVE
