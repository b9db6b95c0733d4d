"""What makes the outputs of models whose end is code: whether they are probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evengrad import _core
from evengrad.layers._call_context import call_context

if TYPE_CHECKING:
    from evengrad.training._protocol import TrainableModel

# Outputs of these are probabilities; what a cross-entropy may fuse with.
PROBABILITIES = ("softmax", "sigmoid")


def made_by_probabilities(model: TrainableModel, name: str) -> bool:
    """Run the model on a row of zeros and tell whether an output comes out of a softmax."""
    shape = model.input_shape
    shapes = shape if isinstance(shape, list) else [shape]
    # One step stands for sizes that are left open.
    rows = [_core.zeros([size or 1 for size in one], dtype=model.dtype) for one in shapes]
    call_context.probabilities = []
    try:
        outputs = model.forward(rows, False, [False] * len(model.output_names))
        seen = call_context.probabilities
    finally:
        call_context.probabilities = None
    output = outputs[model.output_names.index(name)]
    return output.grad_fn in PROBABILITIES or any(output is other for other in seen)
