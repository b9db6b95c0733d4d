"""Treatments: a model made again with a change that helps against what a diagnosis has found."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from evengrad import losses
from evengrad._common.config import remade
from evengrad._common.names import choose
from evengrad.losses._loss import Loss
from evengrad.models._anatomy import Anatomy
from evengrad.models._compile_changes import OPTIMIZERS, with_decay
from evengrad.models._layer_change import ByHandError, LayerChange
from evengrad.models._layer_changes import (
    ChangeActivation,
    ChangeDropout,
    ChangeHead,
    ChangeInitializer,
    ChangeToLSTM,
    ChangeUnits,
    Normalize,
    RemoveRegularizers,
)
from evengrad.models._network import check_built
from evengrad.models._remodel import remodelled, unchanged
from evengrad.models._structure_changes import AddDropout, AddShortcuts, ScaleInputs
from evengrad.training._data import prepare_inputs

if TYPE_CHECKING:
    from evengrad.health._finding import Treatment
    from evengrad.models._model import Model
    from evengrad.models._network import ModelView
    from evengrad.training._compile_config import CompileConfig

LAYERS: dict[str, type[LayerChange]] = {
    "initializer": ChangeInitializer,
    "activation": ChangeActivation,
    "normalize": Normalize,
    "head": ChangeHead,
    "units": ChangeUnits,
    "alpha_dropout": ChangeDropout,
    "remove_regularizers": RemoveRegularizers,
    "lstm": ChangeToLSTM,
    "dropout": AddDropout,
    "shortcuts": AddShortcuts,
}
# What a person does where it cannot be done here, by the change.
BY_HAND = {
    "initializer": 'layers.Dense(..., kernel_initializer="auto")',
    "activation": 'layers.Dense(..., activation="elu", kernel_initializer="auto")',
    "normalize": "layers.Dense(..., norm=layers.BatchNormalization())",
    "scale_inputs": "x = (x - x.mean(axis=0)) / x.std(axis=0)",
    "head": "layers.Dense(units, activation=None)",
    "units": "layers.Dense(2 * units, ...)",
    "alpha_dropout": "layers.AlphaDropout(rate)",
    "remove_regularizers": "layers.Dense(..., kernel_regularizer=None)",
    "dropout": "layers.Dropout(0.5)",
    "shortcuts": "layers.Residual([layers.Dense(units, ...), layers.Dense(units)])",
    "lstm": "layers.LSTM(units)",
    "label_shape": "model.fit(x, y) with targets that fit the outputs and the loss",
}
# The shape or the numbers of targets, which no model has in it.
OF_DATA = "label_shape"
CHANGES = (*LAYERS, *OPTIMIZERS, "scale_inputs", "loss", OF_DATA)


def treated(model: Model, treatment: Treatment, data: Any = None) -> Model:
    """Return a compiled copy of a model with the change of a treatment; the model is untouched.

    What first values have to do with starts anew, from the model's seed: another initializer,
    activation, normalization, number of units, shortcuts, gates, scaled inputs; dropout and weight
    decay too, since what was learned by heart would have to be forgotten first. Frozen layers and
    adapted statistics of data stay. Another rate, clipping, optimizer, loss, or activation of the
    outputs keeps all weights, unless there is NaN or infinity among them. The optimizer begins at
    its first step. A subclass whose constructor draws a graph, or lines up layers between which
    others come, becomes a plain model.

    Parameters
    ----------
    model
        Built and compiled.
    treatment
        What to change. Where its `layers` are empty, all that it may concern; of those named, the
        ones that can be changed so and are not frozen, if there is one.
    data
        The inputs that were diagnosed; ``"scale_inputs"`` takes their statistics.

    Raises
    ------
    ValueError
        A change that only a person can make, as of data, or of layers that code makes or calls; an
        unknown change or layer, a value that does not fit; nothing in the model to be changed so.
    TypeError
        A value of another kind.
    RuntimeError
        The model is not compiled.
    """
    change = choose(treatment.change, CHANGES, "treatment.change")
    view = model._view()  # noqa: SLF001 - its class is public, this is not
    config = view.config()
    check_built(model, "a treatment")
    try:
        twin = _changed(model, view, treatment, data)
    except ByHandError as error:
        raise ValueError(
            f"{change}: only you can do that here: {error}; write {BY_HAND[change]}"
        ) from error
    _compile(twin, config, treatment)
    return twin


def _changed(model: Model, view: ModelView, treatment: Treatment, data: Any) -> Model:
    """Return a copy with the change, as far as it is one of layers; not compiled."""
    change, value = treatment.change, treatment.value
    anatomy = Anatomy(model)
    chosen = anatomy.find(treatment.layers)
    if change == OF_DATA:
        raise ByHandError("it is a change of the data")
    if change in LAYERS:
        work = LAYERS[change](anatomy, chosen, value)
        work.count += _ends_decay(treatment, view.config())
        return remodelled(model, work)
    if change == "scale_inputs":
        if data is None:
            raise ValueError("data: expected the inputs whose statistics scale them, got None")
        scaling = ScaleInputs(model, anatomy, prepare_inputs(view, data))
        twin = remodelled(model, scaling)
        scaling.adapt(twin)
        return twin
    keep = LayerChange(anatomy, chosen, value)
    keep.keeps_weights = change != "weight_decay"
    return unchanged(model, keep)


def _loss(config: CompileConfig, treatment: Treatment) -> Any:
    """Return the loss for the outputs, which a treatment of the head has changed."""
    loss, known = copy.deepcopy(config.loss), config.losses
    if treatment.change != "head" or not isinstance(known, Loss):
        return loss
    categorical = (losses.CategoricalCrossentropy, losses.SparseCategoricalCrossentropy)
    if treatment.value == "sigmoid" and isinstance(known, categorical):
        # The logistic makes one share of one output, which the others have no use for.
        return losses.BinaryCrossentropy()
    if getattr(known, "from_logits", None) is None:
        return loss
    # It sees by itself what the outputs are now.
    return type(known)(**{**known.get_config(), "from_logits": None})


def _ends_decay(treatment: Treatment, config: CompileConfig) -> bool:
    """Tell whether the optimizer's decay of weights is a penalty that is to go."""
    decays = bool(config.optimizer.weight_decay)
    return treatment.change == "remove_regularizers" and not treatment.layers and decays


def _compile(twin: Model, config: CompileConfig, treatment: Treatment) -> None:
    """Compile a model as another one was, but for what the treatment changes."""
    change, value = treatment.change, treatment.value
    if change in OPTIMIZERS:
        optimizer = OPTIMIZERS[change](config.optimizer, value)
    elif _ends_decay(treatment, config):
        optimizer = with_decay(config.optimizer, 0.0)
    else:
        optimizer = remade(config.optimizer)
    twin.compile(
        optimizer,
        value if change == "loss" else _loss(config, treatment),
        copy.deepcopy(config.metrics),
        loss_weights=copy.deepcopy(config.loss_weights),
        weighted_metrics=copy.deepcopy(config.weighted_metrics),
        run_eagerly=config.run_eagerly,
    )
