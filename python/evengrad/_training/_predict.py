"""Prediction, block by block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core
from evengrad._checks import check_int
from evengrad._training._arrays import build_for, inputs_of, is_batches
from evengrad._training._progress import BAR, style
from evengrad.autograd import no_grad
from evengrad.callbacks._callback import CallbackList, check_callbacks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evengrad._training._arrays import Array
    from evengrad.models._model import Model

# Numbers in the widest layer of a block: 4 MB of float32, which a last-level cache holds.
BLOCK_VALUES = 2**20


def predict(
    model: Model, x: Any, *, batch_size: Any, verbose: Any, steps: Any, callbacks: Any
) -> Any:
    """Return the outputs as arrays; see `Model.predict`."""
    size = None if batch_size is None else check_int(batch_size, "batch_size", at_least=1)
    limit = None if steps is None else check_int(steps, "steps", at_least=1)
    shown = style(verbose) if verbose == 1 else 0
    told = CallbackList(check_callbacks(callbacks), model, {"steps": limit, "verbose": shown})
    told.tell("on_predict_begin", {})
    if is_batches(x):
        blocks = _batches(model, x, limit)
        results = [[np.array(y.numpy()) for y in run(model, xs)] for xs in blocks]
        if not results:
            raise ValueError("x: expected at least one batch, the iterable has none")
        arrays = [np.concatenate(parts) for parts in zip(*results, strict=True)]
    else:
        arrays = _arrays(model, inputs_of(model, x), size, told, shown)
    told.tell("on_predict_end", {})
    return arrays if len(arrays) > 1 else arrays[0]


def run(model: Model, xs: list[Array]) -> list[_core.Tensor]:
    """Return the outputs of a block of rows."""
    build_for(model, xs)
    with no_grad():
        if len(xs) == 1 and model._answers is not None:
            output = model._answers.ask(model, np.ascontiguousarray(xs[0]))
            if output is not None:
                return [output]
        dtype = model.dtype
        inputs = [_core.tensor(np.ascontiguousarray(x, dtype=dtype)) for x in xs]
        return model._forward(inputs, False, [False] * len(model.output_names))


def _batches(model: Model, batches: Any, limit: int | None) -> Iterator[list[Array]]:
    for number, item in enumerate(batches):
        if number == limit:
            return
        # A batch for training has its inputs in front.
        yield inputs_of(model, item[0] if isinstance(item, tuple) else item)


def _block_size(model: Model, xs: list[Array]) -> int:
    """Return how many rows suit the caches."""
    widths = [int(np.prod(x.shape[1:], dtype=np.int64)) for x in xs]
    widths += [int(w.shape[-1]) for w in model.weights if w.ndim > 1]
    return max(32, BLOCK_VALUES // max(1, *widths))


def _arrays(
    model: Model, xs: list[Array], size: int | None, told: CallbackList, shown: int
) -> list[Array]:
    build_for(model, xs)
    rows = int(xs[0].shape[0])
    step = _block_size(model, xs) if size is None else min(size, rows)
    singly = told.wants_batches("predict")
    starts: Any = range(0, rows, step)
    if shown == BAR:
        from tqdm.auto import tqdm

        starts = tqdm(starts, desc="predict", unit="block")
    arrays: list[Array] = []
    for number, start in enumerate(starts):
        if singly:
            told.tell("on_predict_batch_begin", number, {})
        parts = [y.numpy() for y in run(model, [x[start : start + step] for x in xs])]
        if not arrays:
            arrays = [np.empty((rows, *part.shape[1:]), part.dtype) for part in parts]
        for array, part in zip(arrays, parts, strict=True):
            if part.shape[0] != min(step, rows - start):
                raise ValueError(
                    f"{model.path}: expected an output for each of {min(step, rows - start)} "
                    f"rows, got shape {part.shape}"
                )
            array[start : start + step] = part
        if singly:
            told.tell("on_predict_batch_end", number, {})
    return arrays
