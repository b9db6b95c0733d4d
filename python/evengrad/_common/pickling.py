"""Pickling and deep copies of native objects, so that whatever holds them pickles and copies.

Importing this module registers it all. A pickle serves other processes and copies of the same
release; to keep a model, `Model.save` writes a file without code in it.
"""

from __future__ import annotations

import copyreg
import pickle
from typing import Any

import numpy as np

from evengrad import _core
from evengrad._core import Generator, Tensor


def _reduce_tensor(tensor: Tensor) -> tuple[Any, ...]:
    """Take a tensor apart into values, whether it asks for a gradient, and the gradient."""
    if not tensor.is_leaf:
        raise pickle.PicklingError(
            f"a tensor of shape {tensor.shape} made by {tensor.grad_fn!r} cannot be pickled or "
            "copied: its graph stays in this process; use tensor.detach()"
        )
    return _tensor, (np.array(tensor.detach().numpy()), tensor.requires_grad, tensor.grad)


def _tensor(values: np.ndarray[Any, Any], requires_grad: bool, grad: Tensor | None) -> Tensor:
    tensor = _core.tensor(values, dtype=values.dtype, requires_grad=requires_grad)
    if grad is not None:
        tensor.grad = grad
    return tensor


def _reduce_generator(stream: Generator) -> tuple[Any, ...]:
    """Take a stream of random numbers apart into its seed, its number and its position."""
    return _generator, (stream.seed, stream.stream, stream.draws)


def _generator(seed: int, stream: int, draws: int) -> Generator:
    made = Generator(seed, stream)
    made.draws = draws
    return made


copyreg.pickle(Tensor, _reduce_tensor)
copyreg.pickle(Generator, _reduce_generator)
