"""What was measured of a training, layer by layer: all that findings follow from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]

# Measures of a layer in a step, with what each is. Where a layer has no such thing it is NaN.
MEASURES = {
    "speed": "norm of the mean over the rows of dC/dz, over the root of the units",
    "bias_gradient": "norm of the gradient of the bias",
    "kernel_gradient": "Frobenius norm of the gradient of the kernel",
    "first_step_gradient": "norm of dC/dz in the first step of a recurrent layer, over all rows",
    "last_step_gradient": "norm of dC/dz in its last step, over all rows",
    "update_ratio": "norm of the update of the kernel over the norm of the kernel",
    "preactivation_mean": "mean of z over rows and units",
    "preactivation_std": "standard deviation of z over rows and units",
    "activation_mean": "mean of the output over rows and units",
    "activation_std": "standard deviation of the output over rows and units",
    "activation_rms": "root of the mean square of the output",
    "saturated": "share of (unit, row) where |f'(z)| < 0.19 max |f'|",
    "inactive": "share of (unit, row) where f'(z) = 0, of functions with a half that is flat",
    "dead": "share of units that are inactive in every row",
    "non_finite": "share of numbers of the output that are NaN or infinite",
    "row_spread": "standard deviation of the output over rows, over its root mean square",
    "unit_spread": "standard deviation of the output over units, over its root mean square",
}


@dataclass(frozen=True)
class LayerFacts:
    """What is known of a layer before it runs."""

    # As `Model.get_layer` takes it.
    path: str
    # The name of its class.
    kind: str
    # The name of its final activation, "linear" where there is none; None for a user's function.
    activation: str | None = "linear"
    # The class of the kernel's initializer; None without a kernel.
    initializer: str | None = None
    # The activation of a layer that takes the output, where the layer has none of its own.
    followed_by: str | None = None
    fan_in: int = 0
    units: int = 0
    # The longest way from the inputs, counted in layers with kernels; the first has 1.
    depth: int = 1
    trainable: bool = True
    has_kernel: bool = True
    recurrent: bool = False
    # Whether a normalization is part of the layer, or takes its output.
    normalized: bool = False
    # Whether the gradient has a way around the layer.
    shortcut: bool = False
    # Whether it puts out what the loss gets; and which of the outputs, where the structure tells.
    head: bool = False
    outputs: tuple[int, ...] = ()
    # The rate of a dropout that the layer's input or output passes; of `AlphaDropout`, nothing.
    dropout: float = 0.0
    # Whether an L1, L2 or other penalty is put on its variables or outputs.
    penalized: bool = False
    # Whether its kernel is held by a max-norm.
    constrained: bool = False
    # Whether what it gets of the model's inputs was standardized or rescaled by another layer.
    input_scaled: bool = False

    @property
    def function(self) -> str | None:
        """The activation that the layer's sums pass, its own or that of a layer behind it."""
        return (
            self.followed_by
            if self.activation == "linear" and self.followed_by
            else self.activation
        )


@dataclass
class DataFacts:
    """What is known of the rows that were looked at."""

    rows: int
    # Of each feature; empty where inputs are no floating-point numbers.
    mean: Array
    std: Array
    non_finite_inputs: int = 0
    non_finite_targets: int = 0
    # Which of all rows have them.
    non_finite_rows: tuple[int, ...] = ()
    # Rows with class numbers that are none.
    unknown_classes: tuple[int, ...] = ()
    # "classes", "binary" or "numbers".
    targets: str = "numbers"
    target_mean: float = 0.0
    target_std: float = 1.0
    # The least and the largest of them; NaN where they are not known.
    target_low: float = np.nan
    target_high: float = np.nan
    classes: int = 0


@dataclass(frozen=True)
class OutputFacts:
    """One of several outputs of a model: its loss, and its targets."""

    # Empty where there is none.
    loss: str
    from_logits: bool | None
    # Of the targets; None where they are not known.
    data: DataFacts | None


@dataclass
class TrainingFacts:
    """How the model was compiled."""

    optimizer: str
    learning_rate: float
    loss: str
    batch_size: int
    momentum: float = 0.0
    clips: bool = False
    from_logits: bool | None = None
    # What `fit` refuses of the head and its loss; None where they fit.
    refusal: str | None = None
    # The outputs of a model with several.
    outputs: tuple[OutputFacts, ...] = ()


def no_samples() -> Array:
    """Return figures of no step."""
    return np.zeros(0)


@dataclass
class Lives:
    """In how many of an epoch's watched steps each unit was alive."""

    epoch: int
    # Rows that these steps went over.
    rows: int
    # Of each layer with units that may die.
    counts: list[Array | None]


@dataclass
class Observed:
    """What steps have shown since the last time."""

    layers: tuple[LayerFacts, ...]
    training: TrainingFacts
    data: DataFacts | None
    # The measures, of each sample and layer; and of each sample its step, epoch, loss, learning
    # rate, norm of the gradient, and what clipping left of it.
    figures: dict[str, Array]
    # Of the epochs that have ended.
    lived: list[Lives]
    # Of every step, watched or not: step, loss and learning rate; and of the gradient its norm and
    # what clipping left of it, where the optimizer computes them in every step.
    course: dict[str, Array]
    # The number of the first of those steps.
    begins: int
    # The epoch that has ended last.
    epoch: int
    # The figures of all epochs so far.
    curves: dict[str, list[float]]
    # Whether nothing comes after it; then also counts of the outputs of each layer, and edges.
    is_last: bool = False
    histograms: tuple[Array, Array] | None = None


@dataclass
class Examination:
    """All measurements of a training or of a few steps of one."""

    layers: tuple[LayerFacts, ...]
    training: TrainingFacts
    data: DataFacts | None = None
    # The watched steps, counted as the optimizer counts them, from 0; and their epochs.
    steps: Array = field(default_factory=no_samples)
    epochs: Array = field(default_factory=no_samples)
    # By name: (samples, layers).
    measures: dict[str, Array] = field(default_factory=dict)
    # Of each sample; the share of the clipped gradient that is left stands in `clipped`.
    loss: Array = field(default_factory=no_samples)
    learning_rate: Array = field(default_factory=no_samples)
    gradient_norm: Array = field(default_factory=no_samples)
    clipped: Array = field(default_factory=no_samples)
    # By name: (layers,), over all rows looked at: before the steps and after them.
    before: dict[str, Array] | None = None
    after: dict[str, Array] | None = None
    # The figures of epochs, as `History.history` has them.
    curves: dict[str, list[float]] = field(default_factory=dict)

    def last(self, measure: str) -> Array:
        """Return a measure of each layer as it was last: over all rows, or in the last step."""
        for known in (self.after, self.before):
            if known is not None and measure in known:
                return known[measure]
        return self._sample(measure, -1)

    def first(self, measure: str) -> Array:
        """Return a measure of each layer as it was first."""
        if self.before is not None and measure in self.before:
            return self.before[measure]
        return self._sample(measure, 0)

    def _sample(self, measure: str, at: int) -> Array:
        series = self.measures.get(measure)
        if series is None or not len(series):
            return np.full(len(self.layers), np.nan)
        sample: Array = series[at]
        return sample
