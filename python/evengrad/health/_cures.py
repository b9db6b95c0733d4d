"""What helps nets: initial values, activations, normalization, clipping, rates, and more."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from evengrad import optimizers
from evengrad.health._finding import Remedy, Treatment
from evengrad.health._rules._measured import FIRST, hidden, series

if TYPE_CHECKING:
    from evengrad.health._examination import Examination
    from evengrad.health._finding import Finding

# Updates that learn: this part of the kernel in one step.
GOOD_UPDATE = 3e-3


def _hidden_paths(examination: Examination) -> tuple[str, ...]:
    return tuple(examination.layers[at].path for at in hidden(examination))


def _units(examination: Examination) -> int:
    places = hidden(examination)
    return examination.layers[places[0]].units if places else 100


def optimizer_class(examination: Examination) -> str:
    """Return the name of the class of the optimizer, as code has it."""
    known = {name.lower(): name for name in vars(optimizers) if name[0] != "_"}
    name = examination.training.optimizer
    return known.get(name.lower(), name)


def initialize(finding: Finding, examination: Examination) -> Remedy:
    """Begin with the values that belong to the activation."""
    del finding
    return Remedy(
        "Initialize each layer for its activation, so that signals and gradients keep their "
        "scale: He for ReLU and its variants, LeCun for SELU, Glorot for tanh, logistic and no "
        "activation; biases 0.",
        f'eg.layers.Dense({_units(examination)}, activation=..., kernel_initializer="auto")',
        Treatment("initializer", _hidden_paths(examination), "auto"),
    )


def activate(finding: Finding, examination: Examination) -> Remedy:
    """Take an activation that does not saturate."""
    del finding
    return Remedy(
        "Use an activation that does not saturate, with its initializer: ELU and He's values, or "
        "leaky ReLU where time matters. The logistic function's slope is at most 1/4, so gradients "
        "shrink with every layer, whatever the initial values.",
        f'eg.layers.Dense({_units(examination)}, activation="elu", kernel_initializer="he_normal")',
        Treatment("activation", _hidden_paths(examination), "elu"),
    )


def leak(finding: Finding, examination: Examination) -> Remedy:
    """Take an activation that has no flat half."""
    del finding
    return Remedy(
        "Use leaky ReLU or ELU instead of ReLU: their units cannot die, for they have a slope "
        "below 0. model.revive(x) gives dead units new values.",
        f"eg.layers.Dense({_units(examination)}, "
        'activation="leaky_relu", kernel_initializer="he_normal")',
        Treatment("activation", _hidden_paths(examination), "leaky_relu"),
    )


def normalize(finding: Finding, examination: Examination) -> Remedy:
    """Put batch normalizations before the activations."""
    del finding
    return Remedy(
        "Put batch normalization before each activation: it keeps signals in range during the "
        "whole training, makes initial values matter less, and allows larger rates.",
        f'eg.layers.Dense({_units(examination)}, activation="elu", '
        "norm=eg.layers.BatchNormalization(), use_bias=False)",
        Treatment("normalize", _hidden_paths(examination)),
    )


def clip(finding: Finding, examination: Examination) -> Remedy:
    """Clip gradients."""
    del finding
    name = optimizer_class(examination)
    return Remedy(
        "Clip gradients to a global norm of 1: large ones keep their direction and lose their "
        "length. Mostly for recurrent nets.",
        f"model.compile(eg.optimizers.{name}({examination.training.learning_rate:g}, "
        "global_clipnorm=1.0), ...)",
        Treatment("clip", (), 1.0),
    )


def unclip(finding: Finding, examination: Examination) -> Remedy:
    """Clip less."""
    del finding
    return Remedy(
        "Clip to a norm near that of usual gradients: the one in use takes nearly all of them "
        "away.",
        f"model.compile(eg.optimizers.{optimizer_class(examination)}"
        f"({examination.training.learning_rate:g}, global_clipnorm=1.0), ...)",
        Treatment("clip", (), 1.0),
    )


def slower(finding: Finding, examination: Examination) -> Remedy:
    """Lower the rate, to what makes updates a small part of the kernels."""
    del finding
    return _rate(
        examination,
        min(0.1, _factor(examination)),
        "Lower the learning rate: updates should be about a thousandth of the weights that they "
        "change. model.find_learning_rate(x, y) tries rates; a schedule that warms up or decays "
        "helps as well.",
    )


def faster(finding: Finding, examination: Examination) -> Remedy:
    """Raise the rate."""
    del finding
    return _rate(
        examination,
        max(10.0, _factor(examination)),
        "Raise the learning rate: updates should be about a thousandth of the weights that they "
        "change. If accuracy then falls, let the rate decay. model.find_learning_rate(x, y) tries "
        "rates.",
    )


def _rate(examination: Examination, factor: float, text: str) -> Remedy:
    training = examination.training
    rate = f"{training.learning_rate * factor:.3g}"
    return Remedy(
        f"{text} Here {rate} instead of {training.learning_rate:g}.",
        f"model.optimizer.learning_rate = {rate}",
        Treatment("learning_rate", (), factor),
    )


def _factor(examination: Examination) -> float:
    """Return the power of ten that brings the largest first update near to a good one.

    A rate that is far too high has thrown the net away after a step or two, and what comes then
    tells nothing. Momentum makes of the first update one that is longer by 1 / (1 - momentum).
    """
    for ratios in series(examination, "update_ratio")[:FIRST]:
        known = [
            float(ratio)
            for ratio, layer in zip(ratios, examination.layers, strict=False)
            if np.isfinite(ratio) and ratio > 0 and layer.trainable
        ]
        if known:
            usual = max(known) / max(1e-3, 1 - examination.training.momentum)
            return float(10.0 ** np.clip(round(math.log10(GOOD_UPDATE / usual)), -6, 6))
    return 1.0


def adaptive(finding: Finding, examination: Examination) -> Remedy:
    """Take Adam."""
    del finding, examination
    return Remedy(
        "Use Adam or Nadam: their steps do not depend on the size of gradients, and a rate of "
        "0.001 rarely needs tuning.",
        "model.compile(eg.optimizers.Adam(0.001), ...)",
        Treatment("optimizer", (), "adam"),
    )


def schedule(finding: Finding, examination: Examination) -> Remedy:
    """Let the rate fall."""
    del finding, examination
    return Remedy(
        "Let the rate fall when the loss stands still, by a schedule: ReduceLROnPlateau, "
        "exponential decay, or 1cycle.",
        "model.fit(x, y, callbacks=[eg.callbacks.ReduceLROnPlateau(factor=0.1, patience=5)])",
    )


def scale(finding: Finding, examination: Examination) -> Remedy:
    """Standardize the inputs."""
    del finding, examination
    return Remedy(
        "Standardize the inputs: mean 0 and standard deviation 1 of each feature, by a layer in "
        "front that learns both from the training data, and leave out constant features.",
        "scaling = eg.layers.Normalization()\nscaling.adapt(x)\n"
        "model = eg.Sequential([scaling, *layers])",
        Treatment("scale_inputs"),
    )


def shortcut(finding: Finding, examination: Examination) -> Remedy:
    """Give gradients a way around layers."""
    del finding
    return Remedy(
        "Add shortcuts: y = x + F(x) gives the gradient a way with factor 1 around each block. "
        "Fewer layers may do as well.",
        f'eg.layers.Residual([eg.layers.Dense({_units(examination)}, activation="relu")])',
        Treatment("shortcuts", _hidden_paths(examination)),
    )


def gated(finding: Finding, examination: Examination) -> Remedy:
    """Replace simple recurrent layers."""
    paths = tuple(layer.path for layer in examination.layers if layer.recurrent)
    units = next((layer.units for layer in examination.layers if layer.path == finding.layer), 32)
    return Remedy(
        "Use LSTM or GRU: their gates keep a way on which gradients over many steps neither vanish "
        "nor explode; a simple RNN multiplies by its recurrent kernel at each step.",
        f"eg.layers.LSTM({units})",
        Treatment("lstm", paths),
    )


def pretrain(finding: Finding, examination: Examination) -> Remedy:
    """Begin with a trained net."""
    del finding, examination
    return Remedy(
        "Reuse the lower layers of a net that was trained on a similar task, or pre-train them "
        "without labels, and train the rest first.",
        'model.load_weights("trained.safetensors", pattern="...")',
    )
