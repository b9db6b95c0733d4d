"""`Model.diagnose`: a few steps of training on a copy, and what is wrong with them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from evengrad._tensor.random import check_seed
from evengrad.health._causality import judge
from evengrad.health._diagnosis import Diagnosis
from evengrad.health._thresholds import Thresholds
from evengrad.models._treatments import treated
from evengrad.training._data import prepare_inputs
from evengrad.training._examine import examine

if TYPE_CHECKING:
    from evengrad.health._finding import Treatment
    from evengrad.models._model import Model
    from evengrad.models._network import ModelView


def diagnose(
    model: Model,
    twin: Model,
    view: ModelView,
    x: Any,
    y: Any,
    thresholds: Thresholds | None,
    seed: int | None,
    **arguments: Any,
) -> Diagnosis:
    """Return what is wrong with a model; `twin`, a copy, is trained.

    What happens to the copy, an exception and Ctrl-C too, leaves the model as it is.
    """
    if seed is not None:
        view.set_seed(check_seed(seed, "seed"))
    bounds = Thresholds() if thresholds is None else thresholds
    examination = examine(view, x, y, twin.fit, **arguments)
    return Diagnosis(examination, judge(examination, bounds), partial(_treated, model, x))


def _treated(model: Model, x: Any, treatment: Treatment) -> Model:
    """Return a copy with a treatment; a model that knows no inputs yet gets those of the data."""
    if not model.built:
        model = model.clone()
        prepare_inputs(model._view(), x, check_finite=False)  # noqa: SLF001 - its class is public
    return treated(model, treatment, data=x)
