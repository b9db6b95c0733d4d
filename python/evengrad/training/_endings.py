"""What makes the outputs of models whose end is code: whether they are probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evengrad import _core
from evengrad.layers._call_context import call_context

if TYPE_CHECKING:
    from evengrad._core import Tensor
    from evengrad.training._protocol import TrainableModel

# Outputs of these are probabilities; what a cross-entropy may fuse with.
PROBABILITIES = ("softmax", "sigmoid")


def ending_of(model: TrainableModel, name: str) -> str | None:
    """Run the model on a row of zeros; return the softmax or sigmoid that an output comes out of.

    What has another shape alone comes out of it, too.
    """
    shape = model.input_shape
    shapes = shape if isinstance(shape, list) else [shape]
    # One step stands for sizes that are left open.
    rows = [_core.zeros([size or 1 for size in one], dtype=model.dtypes.inputs) for one in shapes]
    call_context.probabilities = []
    try:
        outputs = model.forward(rows, False, [False] * len(model.output_names))
        seen = call_context.probabilities
    finally:
        call_context.probabilities = None
    output = outputs[model.output_names.index(name)]
    if output.grad_fn in PROBABILITIES:
        return str(output.grad_fn)
    for activation, other in seen:
        if output is other or (output.grad_fn == "reshape" and same_values(output, other)):
            return str(activation)
    return None


def same_values(one: Tensor, other: Tensor) -> bool:
    """Tell whether one tensor has the values of another in another shape."""
    left, right = one.detach().numpy(), other.detach().numpy()
    return np.array_equal(left.reshape(-1), right.reshape(-1))
