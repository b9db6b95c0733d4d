"""Findings and remedies: what is wrong with a training, where, why, and what to do."""

from __future__ import annotations

from dataclasses import dataclass, field
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
        rows of the user's data these are. Else None.

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
        return (
            f"{said}: {VALUES[self.kind]} is {self.value:.3g}, the threshold {self.threshold:.3g}"
        )
