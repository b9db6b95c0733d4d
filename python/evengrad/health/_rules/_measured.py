"""What rules ask of an examination: hidden layers, measures at the beginning and at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad._common.names import snake_case
from evengrad.health._examination import OutputFacts

if TYPE_CHECKING:
    from evengrad.health._examination import Examination, LayerFacts

    Array = np.ndarray[Any, Any]

# Samples that stand for the beginning: one batch alone may be odd.
FIRST = 5
# What follows updates of this part of a kernel is the beginning no more, but what they have done.
UPSETTING = 0.2

# Functions whose output is never negative and on average far from 0, with |f'| of at most 1/4.
LOGISTIC = frozenset({"sigmoid", "hard_sigmoid", "log_sigmoid", "softmax"})
# Functions for which half of the units of a layer pass nothing, or little.
RECTIFIERS = frozenset(
    {"relu", "relu6", "leaky_relu", "prelu", "rrelu", "elu", "celu", "gelu", "silu", "swish"}
    | {"mish", "softplus", "relu_squared", "threshold", "hard_silu", "hard_swish", "squareplus"}
)
# Functions that are flat on both sides; those that are flat on one, as ELU, are meant to be.
SQUASHING = frozenset({"sigmoid", "hard_sigmoid", "tanh", "hard_tanh", "softsign"})
# A loss below this part of that of a guess is one of a net that learns.
HEALED = 0.7
# The part of an update that is too large from which on updates may be what harms.
HURRIED = 0.25
# Initializers that give all weights one value.
CONSTANT = frozenset({"Zeros", "Ones", "Constant"})


def paired(layer: LayerFacts) -> bool:
    """Tell whether a layer begins with the values that belong to its activation."""
    name = layer.initializer or ""
    if name.startswith("Orthogonal"):
        return True
    if layer.function in RECTIFIERS:
        return name.startswith("He")
    if layer.function == "selu":
        return name.startswith("Lecun")
    return name.startswith(("Glorot", "Lecun", "He"))


def hidden(examination: Examination) -> list[int]:
    """Return the places of the layers with kernels whose output is no output of the model."""
    rows = enumerate(examination.layers)
    return [at for at, layer in rows if layer.has_kernel and not layer.head]


def heads(examination: Examination) -> list[int]:
    """Return the places of the layers that put out what the loss gets."""
    return [at for at, layer in enumerate(examination.layers) if layer.head]


def ends_of(head: LayerFacts, examination: Examination) -> list[OutputFacts]:
    """Return what is known of the outputs that a layer makes."""
    training = examination.training
    if training.outputs:
        return [training.outputs[at] for at in head.outputs if at < len(training.outputs)]
    if len(heads(examination)) > 1:
        return []
    return [OutputFacts(training.loss, training.from_logits, examination.data)]


def series(examination: Examination, measure: str) -> Array:
    """Return a measure as (samples, layers)."""
    known = examination.measures.get(measure)
    return np.zeros((0, len(examination.layers))) if known is None else np.asarray(known)


def middle(values: Array) -> Array:
    """Return the median over samples of what is known, NaN where nothing is."""
    if not len(values):
        return np.full(values.shape[1:], np.nan)
    # As `np.nanmedian`, which takes ten times as long. What is not known comes last.
    ordered = np.sort(values, axis=0)
    known = len(values) - np.isnan(ordered).sum(axis=0)
    both = [
        np.take_along_axis(ordered, at[None], axis=0)[0] for at in (known // 2, (known - 1) // 2)
    ]
    # Layers without the measure have none in all samples.
    found: Array = np.where(known > 0, np.mean(both, axis=0), np.nan)
    return found


def tail(count: int) -> slice:
    """Return the last quarter of some samples, at least three."""
    return slice(max(0, count - max(3, count // 4)), count)


def early(examination: Examination, measure: str) -> Array:
    """Return a measure of each layer at the beginning, over all rows where that is known."""
    before = examination.before
    if before is not None and np.isfinite(before.get(measure, np.nan)).any():
        return np.asarray(before[measure])
    return middle(series(examination, measure)[: samples_of_the_beginning(examination)])


def samples_of_the_beginning(examination: Examination) -> int:
    """Return how many samples stand for the beginning."""
    ratios = examination.measures.get("update_ratio")
    if ratios is None or not len(ratios):
        return FIRST
    upset = np.flatnonzero((np.nan_to_num(ratios[:FIRST]) > UPSETTING).any(axis=1))
    # A sample is measured before the update that it makes.
    return int(upset[0]) + 1 if len(upset) else FIRST


def late(examination: Examination, measure: str) -> Array:
    """Return a measure of each layer at the end, over all rows where that is known."""
    after = examination.after
    if after is not None and np.isfinite(after.get(measure, np.nan)).any():
        return np.asarray(after[measure])
    known = series(examination, measure)
    return middle(known[tail(len(known))])


def first_step(examination: Examination) -> int | None:
    """Return the first watched step."""
    return int(examination.steps[0]) if len(examination.steps) else None


def onset(examination: Examination, sick: Array) -> int | None:
    """Return the step of the first sample that is sick; the last one if only the end is."""
    if not len(examination.steps):
        return None
    at = np.flatnonzero(sick[: len(examination.steps)])
    return int(examination.steps[at[0] if len(at) else -1])


def loss_name(examination: Examination) -> str:
    """Return the name of the loss, whether the class or the function was given."""
    return snake_case(examination.training.loss)


def guess_loss(examination: Examination) -> float | None:
    """Return the loss of the best guess that ignores the inputs, where the loss tells it."""
    data, loss = examination.data, loss_name(examination)
    if data is None or not data.rows:
        return None
    if "crossentropy" in loss and data.targets != "numbers":
        return float(np.log(max(2, data.classes)))
    return float(data.target_std) ** 2 if loss == "mean_squared_error" else None


def large_targets(examination: Examination, limit: float) -> bool:
    """Tell whether the numbers to learn are so large that their squares' gradients are, too."""
    data = examination.data
    if data is None or data.targets != "numbers" or "squared" not in loss_name(examination):
        return False
    return bool(np.hypot(data.target_mean, data.target_std) > limit)


def healed(examination: Examination) -> bool:
    """Tell whether the loss has fallen so far that what was wrong at first did not matter."""
    return learned(examination, HEALED)


def learned(examination: Examination, share: float) -> bool:
    """Tell whether the loss is below a share of that of a guess."""
    guess, losses = guess_loss(examination), _losses(examination)
    if guess is None or not len(losses):
        return False
    return bool(np.median(losses[tail(len(losses))]) < share * guess)


def severity_of_late(examination: Examination, severity: str, large: float) -> str:
    """Return the severity of what only arose in training: a note where no update was large.

    Nets that learn come to saturated units and to layers of unlike speed by themselves.
    """
    ratios = series(examination, "update_ratio")
    # First updates may be large and do no harm.
    later = ratios[1:] if len(ratios) > 1 else ratios
    # Kernels that a penalty makes small are changed by large parts of themselves.
    kernels = [
        at
        for at, layer in enumerate(examination.layers)
        if not layer.normalized and not layer.penalized
    ]
    largest = np.nan_to_num(later[:, kernels], posinf=np.inf)
    hurried = bool((largest > large * HURRIED).any())
    lost = bool(len(examination.loss) and not np.isfinite(examination.loss).all())
    return severity if hurried or lost else "note"


def _losses(examination: Examination) -> Array:
    if len(examination.loss):
        return np.asarray(examination.loss, np.float64)
    return np.asarray(examination.curves.get("loss", []), np.float64)
