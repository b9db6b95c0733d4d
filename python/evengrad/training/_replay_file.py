"""Files that reproduce one step: the model before it, how it trains, and the batch."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad._common.advice import advise
from evengrad.callbacks._training_state import set_settings, settings_of
from evengrad.saving import _safetensors
from evengrad.training._step_examination import values_of

if TYPE_CHECKING:
    from evengrad.training._step_examination import StepExamination

    Array = np.ndarray[Any, Any]

# The name under which the header holds the description, and its version. Files of every version
# that was released stay readable.
KEY = "evengrad_replay"
VERSION = 1
# The batch stands under this: inputs, targets and weights, each with its number.
BATCH = "batch:"
ROWS = BATCH + "rows"


def write_step(path: str, step: StepExamination) -> None:
    """Write what reproduces a step that has not been made; where that fails, a warning says so."""
    try:
        tensors, metadata = described(step)
        _safetensors.write(path, tensors, metadata)
    except (OSError, TypeError, ValueError) as error:
        advise("%s: what reproduces the step could not be written: %s", path, error)


def described(step: StepExamination) -> tuple[dict[str, Array], dict[str, str]]:
    """Return the arrays and the metadata of such a file."""
    objective, optimizer = step.objective, step.optimizer
    schedules = settings_of(optimizer)
    # One step needs the value of a schedule alone, which may be any function.
    now = {
        name: float(value(step.step)) if callable(value) else value
        for name, value in schedules.items()
    }
    set_settings(optimizer, now)
    try:
        tensors, texts = objective.model.described(objective.config)
    finally:
        set_settings(optimizer, schedules)
    given: dict[str, list[Any]] = {"x": step.xs, "y": step.ys, "w": step.weights}
    for name, group in given.items():
        for number, tensor in enumerate(group):
            if tensor is not None:
                tensors[f"{BATCH}{name}{number}"] = np.array(values_of(tensor))
    if step.numbers is not None:
        tensors[ROWS] = np.asarray(step.numbers, dtype=np.int64)
    counts = {name: len(group) for name, group in given.items()}
    return tensors, {**texts, KEY: json.dumps({"version": VERSION, **counts})}
