"""From where on a measure is a finding."""

from __future__ import annotations

from dataclasses import dataclass, fields

from evengrad._common.checks import check_float


@dataclass(frozen=True)
class Thresholds:
    """From where on what was measured of a training is a finding.

    Each default lies between what healthy nets and sick nets measured: 3 to 50 layers of 30 to 500
    units on handwritten digits, whose figures are given below.

    Attributes
    ----------
    gradient_ratio
        `"vanishing_gradients"`: speed of the last hidden layer over that of the first;
        `"exploding_gradients"`: the reverse. Logistic nets have 4.9 with 2 hidden layers, which
        learn, and 24 with 3; 20 layers of He-initialized ReLU 3, of SELU and ELU 1/5.
    gradient_gain
        The least factor from layer to layer for either of them, so that a hundred healthy layers
        with 3 % each are no finding: logistic stacks have 4.2, SELU 1.04, ReLU with variance
        1 / n 1.3.
    normalized_gradient_ratio
        The same ratio of kernels' gradients where layers are normalized: batch normalization
        makes the mean of dC/dz 0, and gradients of 20 healthy layers differ 45-fold.
    recurrent_gradient
        `"exploding_gradients"`: gradient of a recurrent kernel over that of the head, times the
        root mean square of the layer's outputs before the training, which the head's gradient has
        as a factor. Trained LSTMs and RNNs have 0.1 to 5, an RNN whose recurrent kernel has norm 2
        over 1000; without the factor, GRUs behind embeddings of ±0.05 had up to 110.
    sequence_ratio
        `"vanishing_gradients"` in a recurrent layer: dC/dz in its last step over that in its first.
        A SimpleRNN of 24 units has 15 over 12 steps, 2,000 over 30, 3 million over 60. LSTMs have
        13, 400 and 100,000, GRUs more; gates open as they learn, so that it is a note of those.
    large_update
        `"large_updates"`: norm of an update over the norm of its kernel. Adam has 0.01 at a rate
        of 0.001, 0.07 at 0.01, 0.2 at 0.03, where 73 % of the units die, and 0.7 at 0.1.
    large_normalized_update
        The same where the layer is normalized: only the direction of its kernel matters.
    small_update
        `"small_updates"`: the largest ratio of all hidden layers; of heads, 10 times as much. At a
        thousandth of a good rate SGD and Adam have 1e-6 to 3e-5, SGD at 0.001 has 1.2e-4.
    saturated
        `"saturated_activations"`: share of (unit, row) in the flat part of the activation.
        10 logistic layers with weights of deviation 1 have 0.44 to 0.65, healthy nets up to 0.1.
    saturated_before
        The same before any training, which cannot have been learned: logistic layers of 30 units
        with weights of deviation 1 have 0.35, any with good initial values at most 0.1.
    dead
        `"dead_units"`: share of a layer's units that are 0 for all rows. 5 layers of ReLU have up
        to 0.14 at first, 0.29 after training with Adam at 0.01, 0.73 at 0.03.
    signal_ratio
        `"signal_collapse"`: root mean square of the first hidden layer's output over that of the
        last. 20 healthy layers have up to 4, 10 layers of ReLU with Glorot's values 35.
    row_spread
        `"signal_collapse"`: what is left of the differences between rows. Healthy nets keep 0.4;
        3 logistic layers 0.02, 6 layers 0.0002.
    signal_growth
        `"signal_explosion"`: root mean square of the last hidden layer's output over that of the
        first. Healthy nets have up to 3, 20 layers of ReLU with deviation 0.3 a million.
    unit_spread
        `"symmetric_units"`: equal units have 0, drawn ones over 0.05.
    input_scale
        `"unscaled_inputs"`: root mean square of the largest feature. Pixels up to 16 have 13 and
        train, up to 255 over 100.
    input_scale_floor
        The same of features that are too small; rows of 1 of 1000 categories have 0.03.
    diverging
        `"diverging_loss"`: loss at the end over the least or first before. Batches of 32 differ
        1.3-fold, learning nets fall.
    plateau
        `"plateau"`: how much of the loss is gained over the last third of at least 6 epochs.
        Learning nets gain 5 % and more, logistic stacks at chance under 0.5 %.
    overfitting
        `"overfitting"`: validation loss at the end over the least one, while training loss falls.
        Validation losses of nets that generalize wobble by a tenth.
    generalization_gap
        `"overfitting"`: validation loss over training loss at the end, where the validation loss is
        over half of `learned`. 60 digits are learned by heart in 50 epochs: 500.
    underfitting
        `"underfitting"`: training loss that is left of that of a guess, at the end of at least 10
        epochs.
    learned
        A net whose loss is below this share of that of a guess is well, whatever its gradients.

    Examples
    --------
    >>> eg.health.Thresholds(dead=0.3).dead
    0.3
    """

    gradient_ratio: float = 10.0
    gradient_gain: float = 1.15
    normalized_gradient_ratio: float = 1e4
    recurrent_gradient: float = 30.0
    sequence_ratio: float = 1e4
    large_update: float = 0.2
    large_normalized_update: float = 1.0
    small_update: float = 5e-5
    saturated: float = 0.5
    saturated_before: float = 0.3
    dead: float = 0.5
    signal_ratio: float = 20.0
    row_spread: float = 0.01
    signal_growth: float = 30.0
    unit_spread: float = 1e-6
    input_scale: float = 50.0
    input_scale_floor: float = 5e-3
    diverging: float = 2.0
    plateau: float = 0.005
    overfitting: float = 1.25
    generalization_gap: float = 50.0
    underfitting: float = 0.6
    learned: float = 0.3

    def __post_init__(self) -> None:
        for setting in fields(self):
            check_float(getattr(self, setting.name), setting.name, low=0, open_low=True)
