"""Which findings follow from which: root causes first, consequences after them."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from evengrad.health._finding import KINDS, SEVERITIES
from evengrad.health._remedies import remedies_for
from evengrad.health._rules import RULES
from evengrad.health._thresholds import Thresholds

if TYPE_CHECKING:
    from collections.abc import Iterable

    from evengrad.health._examination import Examination
    from evengrad.health._finding import Finding

# What can be a consequence of each kind, though nothing else be wrong.
CONSEQUENCES: dict[str, tuple[str, ...]] = {
    # Numbers that are none go everywhere, as do inputs that are a thousand times too large.
    "non_finite": tuple(kind for kind in KINDS if kind not in {"non_finite", "head_loss_mismatch"}),
    "unscaled_inputs": tuple(
        kind
        for kind in KINDS
        if kind not in {"unscaled_inputs", "head_loss_mismatch", "symmetric_units", "overfitting"}
    ),
    "head_loss_mismatch": (
        *("exploding_gradients", "dead_units", "large_updates", "small_updates", "non_finite"),
        *("saturated_activations", "diverging_loss", "plateau", "underfitting"),
        *("vanishing_gradients", "signal_collapse"),
    ),
    "symmetric_units": (
        *("exploding_gradients", "vanishing_gradients", "signal_explosion", "signal_collapse"),
        *("saturated_activations", "dead_units", "large_updates", "small_updates"),
        *("diverging_loss", "plateau", "underfitting", "non_finite"),
    ),
    "saturated_activations": (
        *("exploding_gradients", "vanishing_gradients", "signal_collapse", "small_updates"),
        *("diverging_loss", "plateau", "underfitting", "large_updates"),
    ),
    "signal_explosion": (
        *("exploding_gradients", "large_updates", "dead_units"),
        *("saturated_activations", "diverging_loss", "non_finite", "plateau", "underfitting"),
    ),
    "exploding_gradients": (
        *("large_updates", "dead_units", "saturated_activations"),
        *("diverging_loss", "non_finite", "plateau", "underfitting"),
    ),
    "dead_units": (
        *("vanishing_gradients", "signal_collapse", "small_updates", "plateau"),
        *("underfitting", "diverging_loss"),
    ),
    "signal_collapse": (
        *("vanishing_gradients", "small_updates", "plateau", "underfitting"),
        # Units of a net whose signal is gone are on for all rows, or for none.
        *("dead_units", "large_updates", "diverging_loss", "exploding_gradients"),
    ),
    "vanishing_gradients": (
        *("signal_collapse", "small_updates", "plateau", "underfitting"),
        *("dead_units", "diverging_loss"),
    ),
    "large_updates": (
        *("exploding_gradients", "vanishing_gradients", "signal_explosion", "signal_collapse"),
        *("saturated_activations", "dead_units", "diverging_loss", "non_finite"),
        *("plateau", "underfitting", "overfitting"),
    ),
    "diverging_loss": (
        *("non_finite", "dead_units", "saturated_activations", "plateau", "underfitting"),
        *("exploding_gradients", "vanishing_gradients", "signal_explosion", "signal_collapse"),
    ),
    "small_updates": ("plateau", "underfitting"),
    "selu_conditions": (
        *("exploding_gradients", "vanishing_gradients", "signal_explosion", "signal_collapse"),
        *("large_updates", "small_updates", "diverging_loss", "non_finite"),
        *("underfitting", "plateau", "overfitting"),
    ),
    "underfitting": ("plateau",),
}
# What comes from outside, what the net has before its first step, and what steps bring: in the
# order in which one may cause another.
FROM_OUTSIDE = ("head_loss_mismatch", "unscaled_inputs", "symmetric_units")
OF_THE_NET = (
    *("selu_conditions", "saturated_activations", "dead_units", "signal_explosion"),
    *("exploding_gradients", "signal_collapse", "vanishing_gradients"),
)
OF_TRAINING = (
    *("large_updates", "exploding_gradients", "signal_explosion", "diverging_loss"),
    *("saturated_activations", "dead_units", "vanishing_gradients", "signal_collapse"),
    *("small_updates", "non_finite", "underfitting", "plateau", "overfitting"),
)
# Heads have losses and targets of their own.
OF_EACH_LAYER = frozenset({"head_loss_mismatch"})
IN_THE_DATA = frozenset({"inputs", "labels"})


def judge(
    examination: Examination,
    thresholds: Thresholds | None = None,
    known: Iterable[Finding] = (),
) -> tuple[Finding, ...]:
    """Return what is wrong: root causes, then what follows from them, all with remedies.

    Parameters
    ----------
    examination
        What was measured.
    thresholds
        From where on it is wrong.
    known
        Findings of the caller's, which stand for all of their kinds.
    """
    thresholds = Thresholds() if thresholds is None else thresholds
    known = list(known)
    kinds = {finding.kind for finding in known}
    found = known + [
        finding
        for rule in RULES
        for finding in rule(examination, thresholds)
        if finding.kind not in kinds
    ]
    return _joined(_one_of_each(found), examination)


def _one_of_each(found: Iterable[Finding]) -> list[Finding]:
    """Return one finding of each kind, the most severe, in the order of kinds; of heads, each."""
    chosen: dict[tuple[str, str | None], Finding] = {}
    for finding in found:
        key = finding.kind, finding.layer if finding.kind in OF_EACH_LAYER else None
        other = chosen.get(key)
        if other is None or _severity(finding) < _severity(other):
            chosen[key] = finding
    return sorted(chosen.values(), key=lambda finding: KINDS.index(finding.kind))


def _severity(finding: Finding) -> int:
    return SEVERITIES.index(finding.severity)


def _joined(found: list[Finding], examination: Examination) -> tuple[Finding, ...]:
    """Return findings with what they follow from, causes and remedies: roots first."""
    made: dict[tuple[str, str | None], Finding] = {}

    def make(finding: Finding) -> Finding:
        key = finding.kind, finding.layer
        if key not in made:
            parent = _parent(finding, found)
            because = None if parent is None else make(parent)
            if finding.remedies:
                # The caller knows where it comes from, whatever came before it.
                made[key] = dataclasses.replace(finding, because=because)
                return made[key]
            cause = finding.cause if because is None else because.cause
            finding = dataclasses.replace(finding, because=because, cause=cause)
            remedies = because.remedies if because else remedies_for(finding, examination)
            made[key] = dataclasses.replace(finding, remedies=remedies)
        return made[key]

    joined = [make(finding) for finding in found]
    roots = [finding for finding in joined if finding.because is None]
    roots.sort(key=lambda finding: (finding.severity == "note", KINDS.index(finding.kind)))
    return (*roots, *(below for root in roots for below in _below(root, joined)))


def _below(parent: Finding, joined: list[Finding]) -> list[Finding]:
    """Return what follows from a finding, each before what follows from it."""
    found = []
    for finding in joined:
        if finding.because is parent:
            found += [finding, *_below(finding, joined)]
    return found


def _parent(finding: Finding, found: list[Finding]) -> Finding | None:
    """Return the finding nearest to the root that another one follows from; None of roots."""
    candidates = [
        other
        for other in found
        if finding.kind in CONSEQUENCES.get(other.kind, ())
        # Ranks keep consequences from going in circles.
        and _rank(other) < _rank(finding)
        and _may_follow(finding, other)
    ]
    return min(candidates, key=_rank, default=None)


def _rank(finding: Finding) -> tuple[int, int]:
    """Return how near to the root a finding is: the data first, then the net, then its training."""
    kind = finding.kind
    if kind == "non_finite" and finding.cause in IN_THE_DATA:
        return 0, 0
    if kind in FROM_OUTSIDE:
        return 1, FROM_OUTSIDE.index(kind)
    if finding.cause == "activation" and kind == "signal_collapse":
        # A bad activation loses the gradient and with it the rows; bad values lose the signal.
        return 2, len(OF_THE_NET)
    if finding.cause == "architecture" and kind == "exploding_gradients":
        # Over the steps of a sequence a gradient explodes whatever the units do.
        return 2, -1
    if kind in OF_THE_NET and finding.cause != "learning_rate":
        return 2, OF_THE_NET.index(kind)
    return 3, OF_TRAINING.index(kind)


def _may_follow(finding: Finding, other: Finding) -> bool:
    """Tell whether a finding may come from another one, by its severity and by its step."""
    if other.severity == "note" and finding.severity != "note":
        return False
    if finding.kind == "selu_conditions" and finding.cause != other.cause:
        return False
    if other.kind == "selu_conditions" and finding.kind not in OF_TRAINING[-3:]:
        # Values that are not LeCun's make signals grow, at once or later; dropout does not.
        return other.cause == "initializer" and finding.cause in {"initializer", "learning_rate"}
    if other.kind == "underfitting":
        # That is known at the end alone, however early it began.
        return True
    return other.step is None or finding.step is None or other.step <= finding.step
