"""Findings and remedies: what is wrong with a training, where, why, and what to do."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from evengrad._common.names import printable

KINDS = (
    "non_finite",
    "head_loss_mismatch",
    "unscaled_inputs",
    "symmetric_units",
    "exploding_gradients",
    "vanishing_gradients",
    "signal_explosion",
    "signal_collapse",
    "saturated_activations",
    "dead_units",
    "selu_conditions",
    "large_updates",
    "small_updates",
    "diverging_loss",
    "plateau",
    "overfitting",
    "underfitting",
)
CAUSES = (
    "initializer",
    "activation",
    "depth",
    "architecture",
    "learning_rate",
    "inputs",
    "labels",
    "loss",
    "optimizer",
    "regularization",
    "data",
)
SEVERITIES = ("error", "warning", "note")
# What the value of each kind of finding is.
VALUES = {
    "non_finite": "NaN or infinite numbers",
    "head_loss_mismatch": "the head does not fit the loss or the targets",
    "unscaled_inputs": "root mean square of the largest feature",
    "symmetric_units": "difference between the layer's units",
    "exploding_gradients": "gradient over that of layers above",
    "vanishing_gradients": "gradient of the last hidden layer over that of the first",
    "signal_explosion": "output of the last hidden layer over that of the first",
    "signal_collapse": "what is left of the signal",
    "saturated_activations": "share in the flat part of the activation",
    "dead_units": "share of the units that are 0 in every row",
    "selu_conditions": "layers or share of features that violate one",
    "large_updates": "update over weights",
    "small_updates": "largest update over weights",
    "diverging_loss": "loss over its least before",
    "plateau": "part of the loss that was gained of late",
    "overfitting": "validation loss over its least before, or over the training loss",
    "underfitting": "training loss over that of a guess",
}


# What stands before the layer in a finding of numbers that are not finite.
TENSORS = {
    "input": "the inputs",
    "activation": "the output",
    "loss": "the loss",
    "gradient": "the gradient",
    "slot": "the optimizer's state",
    "weight": "the weights",
}


def rows_as_text(rows: tuple[int, ...], most: int = 5) -> str:
    """Return numbers of rows as text, the first few of many."""
    named = ", ".join(map(str, rows[:most]))
    more = f" and {len(rows) - most} more" if len(rows) > most else ""
    return f"{'row' if len(rows) == 1 else 'rows'} {named}{more}"


@dataclass(frozen=True)
class Treatment:
    """A change of a model, as data: what `Diagnosis.apply` carries out on a copy."""

    change: str
    layers: tuple[str, ...] = ()
    value: Any = None


@dataclass(frozen=True)
class Remedy:
    """What helps against a finding.

    Attributes
    ----------
    text
        What to do, in a sentence or two.
    code
        The lines that do it.
    treatment
        The same as data, which `Diagnosis.apply` carries out; None where only a person can do it.

    Examples
    --------
    >>> eg.health.Remedy("Scale the inputs.", "x = (x - x.mean(axis=0)) / x.std(axis=0)").automatic
    False
    """

    text: str
    code: str = ""
    treatment: Treatment | None = field(default=None, repr=False)

    @property
    def automatic(self) -> bool:
        """Whether `Diagnosis.apply` can do it."""
        return self.treatment is not None


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a training.

    Attributes
    ----------
    kind
        What it is, such as ``"vanishing_gradients"``; all are in ``evengrad.health.KINDS``.
    layer
        The path of the layer, as `Model.get_layer` takes it; None for the whole model.
    value, threshold
        What was measured, and from where on it is wrong.
    step
        Where it began, counted from 0 as `Optimizer.iterations`; None before any step.
    severity
        ``"error"``, ``"warning"`` or ``"note"``; a note is no alarm.
    cause
        Where it comes from, such as ``"initializer"``; all are in ``evengrad.health.CAUSES``.
    because
        The finding that this one follows from; None for a root. Findings that differ in this alone
        are equal.
    remedies
        What helps, most likely first.
    tensor, batch_rows, rows
        Of non-finite numbers: where they first were (``"input"``, ``"activation"``, ``"loss"``,
        ``"gradient"``, ``"slot"`` or ``"weight"``), which rows of the batch have them, and which
        rows of the user's data these are; of labels that are no class, these rows too. Else None.

    Examples
    --------
    >>> finding = eg.health.Finding(
    ...     "dead_units", "dense", 0.8, 0.5, step=120, severity="warning", cause="learning_rate"
    ... )
    >>> finding.kind, finding.layer, finding.because
    ('dead_units', 'dense', None)
    >>> print(finding)
    dead units in dense from step 120 (learning rate): share of the units that are 0 in every row is
    0.8, the threshold 0.5
    """

    kind: str
    layer: str | None
    value: float
    threshold: float
    step: int | None
    severity: str
    cause: str
    because: Finding | None = field(default=None, compare=False)
    remedies: tuple[Remedy, ...] = ()
    tensor: str | None = None
    batch_rows: tuple[int, ...] | None = None
    rows: tuple[int, ...] | None = None

    @property
    def place(self) -> str:
        """Where non-finite numbers were first, in words: the tensor, the layer and the rows."""
        place = TENSORS.get(self.tensor or "", "the tensors")
        if self.layer is not None:
            place += f" of layer {printable(self.layer)!r}"
        if self.batch_rows:
            place += f", {rows_as_text(self.batch_rows)} of the batch"
        if self.rows:
            place += f", {rows_as_text(self.rows)} of the data"
        return place

    def __str__(self) -> str:
        where = "" if self.layer is None else f" in {printable(self.layer)}"
        since = "" if self.step is None else f" from step {self.step}"
        said = f"{self.kind.replace('_', ' ')}{where}{since} ({self.cause.replace('_', ' ')})"
        if self.tensor is not None:
            return f"{said}: {VALUES[self.kind]} in {self.place}"
        rows = f", in {rows_as_text(self.rows)} of the data" if self.rows else ""
        return (
            f"{said}: {VALUES[self.kind]} is {self.value:.3g}, the threshold {self.threshold:.3g}"
            f"{rows}"
        )


def packed(findings: tuple[Finding, ...]) -> list[dict[str, Any]]:
    """Return findings as text and numbers; what one follows from by its place, or None."""
    found = []
    for one in findings:
        kept = {each.name: getattr(one, each.name) for each in fields(one)}
        kept["because"] = next(
            (place for place, other in enumerate(findings) if other is one.because), None
        )
        kept["remedies"] = [_packed_remedy(remedy) for remedy in one.remedies]
        found.append(kept)
    return found


def unpacked(kept: list[dict[str, Any]]) -> tuple[Finding, ...]:
    """Return what `packed` was given."""
    found: list[Finding] = []
    for one in kept:
        # A root comes before what follows from it.
        because = None if one["because"] is None else found[one["because"]]
        remedies = tuple(map(_unpacked_remedy, one["remedies"]))
        tuples = {name: _as_tuple(one[name]) for name in ("batch_rows", "rows")}
        found.append(Finding(**{**one, **tuples, "because": because, "remedies": remedies}))
    return tuple(found)


def _packed_remedy(remedy: Remedy) -> list[Any]:
    treatment = remedy.treatment
    change = None
    if treatment is not None:
        change = [treatment.change, list(treatment.layers), treatment.value]
    return [remedy.text, remedy.code, change]


def _unpacked_remedy(kept: list[Any]) -> Remedy:
    text, code, change = kept
    if change is None:
        return Remedy(text, code)
    return Remedy(text, code, Treatment(change[0], tuple(change[1]), change[2]))


def _as_tuple(value: Any) -> tuple[int, ...] | None:
    return None if value is None else tuple(value)
