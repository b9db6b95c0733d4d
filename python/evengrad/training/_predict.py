"""`predict`: outputs of a model, block by block of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core
from evengrad._common.arrays import is_batches
from evengrad._common.checks import check_int
from evengrad._tensor.grad_mode import no_grad
from evengrad.callbacks._callback import CallbackList, check_callbacks
from evengrad.training._data import prepare_inputs
from evengrad.training._loop import run_epoch
from evengrad.training._progress import BAR, style

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evengrad.training._data import Array
    from evengrad.training._protocol import TrainableModel

# Numbers in the widest layer of a block: 4 MB of float32, which a last-level cache holds.
BLOCK_VALUES = 2**20


class BlockSource:
    """Blocks of rows to predict, as the source of one epoch of steps.

    Parameters
    ----------
    model
        What predicts.
    blocks
        The inputs of each block.
    steps
        How many there are at most; None where the iterable says by ending.
    rows
        How many rows there are in all; None where that is unknown.
    """

    # Predictions track nothing.
    objective = None

    def __init__(
        self,
        model: TrainableModel,
        blocks: Iterator[list[Array]],
        steps: int | None,
        rows: int | None = None,
    ) -> None:
        self.model = model
        self.steps = steps
        self.session = _core.Session([(self._step, None)], steps, [])
        self._rows = rows
        self._done = 0
        # For each output its blocks; one array that is filled, where all rows are known.
        self._parts: list[list[Array]] = []
        self._blocks = blocks
        self._ahead: list[list[Array]] = []

    def has_next(self) -> bool:
        """Tell whether there is another block; it is fetched then."""
        if not self._ahead and self.session.step != self.steps:
            self._ahead += [block for block in [next(self._blocks, None)] if block is not None]
        return bool(self._ahead)

    def _step(self) -> bool:
        if not self.has_next():
            return False
        xs = self._ahead.pop()
        count = int(xs[0].shape[0])
        outputs = [y.numpy() for y in outputs_of(self.model, xs)]
        for output in outputs:
            if output.shape[0] != count:
                raise ValueError(
                    f"{self.model.path}: expected an output for each of {count} rows, got shape "
                    f"{output.shape}"
                )
        if not self._parts:
            self._parts = [
                [] if self._rows is None else [np.empty((self._rows, *y.shape[1:]), y.dtype)]
                for y in outputs
            ]
        for parts, output in zip(self._parts, outputs, strict=True):
            if self._rows is None:
                parts.append(np.array(output))
            else:
                parts[0][self._done : self._done + count] = output
        self._done += count
        return True

    def results(self) -> list[Array]:
        """Return all rows of each output."""
        if not self._parts:
            raise ValueError("x: expected at least one batch, the iterable has none")
        return [parts[0] if len(parts) == 1 else np.concatenate(parts) for parts in self._parts]

    def run(self, until: _core.Steps | _core.Seconds | _core.Epochs) -> bool:
        """Predict blocks; return whether none is left."""
        return self.session.run(until)


def predict(
    model: TrainableModel, x: Any, *, batch_size: Any, verbose: Any, steps: Any, callbacks: Any
) -> Any:
    """Return the outputs as arrays; see `Model.predict`."""
    size = None if batch_size is None else check_int(batch_size, "batch_size", at_least=1)
    limit = None if steps is None else check_int(steps, "steps", at_least=1)
    shown = style(verbose) if verbose == 1 else 0
    listening = CallbackList(check_callbacks(callbacks), model.public)
    listening.set_params({"steps": limit, "verbose": shown})
    listening.tell("on_predict_begin", {})
    if is_batches(x):
        # A batch for training has its inputs in front.
        items = (item[0] if isinstance(item, tuple) else item for item in x)
        source = BlockSource(model, (prepare_inputs(model, item) for item in items), limit)
    else:
        xs = prepare_inputs(model, x)
        rows = int(xs[0].shape[0])
        step = block_size(model, xs) if size is None else size
        starts: Any = range(0, rows, step)
        count = len(starts)
        if shown == BAR:
            from tqdm.auto import tqdm

            starts = tqdm(starts, desc="predict", unit="block")
        blocks = ([x[at : at + step] for x in xs] for at in starts)
        source = BlockSource(model, blocks, count, rows)
    run_epoch(source, listening, "predict")
    arrays = source.results()
    listening.tell("on_predict_end", {})
    return arrays if len(arrays) > 1 else arrays[0]


def outputs_of(model: TrainableModel, xs: list[Array]) -> list[_core.Tensor]:
    """Return the outputs of a block of rows that fit the model."""
    with no_grad():
        if len(xs) == 1:
            output = model.answer(np.ascontiguousarray(xs[0]))
            if output is not None:
                return [output]
        dtype = model.dtype
        inputs = [_core.tensor(np.ascontiguousarray(x, dtype=dtype)) for x in xs]
        return model.forward(inputs, False, [False] * len(model.output_names))


def block_size(model: TrainableModel, xs: list[Array]) -> int:
    """Return how many rows suit the caches."""
    widths = [int(np.prod(x.shape[1:], dtype=np.int64)) for x in xs]
    widths += [int(w.shape[-1]) for w in model.tree.tensors if w.ndim > 1]
    return max(32, BLOCK_VALUES // max(1, *widths))
