"""`predict`: outputs of a model, block by block of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core
from evengrad._common.arrays import is_batches
from evengrad._tensor.grad_mode import no_grad
from evengrad.callbacks._callback import CallbackList, check_callbacks
from evengrad.training._data import count_or, prepare_inputs
from evengrad.training._loop import NO_BATCH, BroughtSource, end_of, epoch_requests
from evengrad.training._progress import BAR, style
from evengrad.training._rank_figures import rows_of
from evengrad.training._step import DEFAULT_BATCH, drive

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evengrad.distributed import Communicator
    from evengrad.training._data import Array
    from evengrad.training._protocol import TrainableModel

# Numbers in the widest layer of a block: 4 MB of float32, which a last-level cache holds.
BLOCK_VALUES = 2**20


class Gathered:
    """Arrays of outputs, put together from those of blocks: of so many rows, if that is known."""

    def __init__(self, rows: int | None = None) -> None:
        self._rows = rows
        self._done = 0
        # For each output its blocks; one array that is filled, where all rows are known.
        self._parts: list[list[Array]] = []

    def add(self, outputs: list[Array]) -> None:
        """Take in the outputs for the next block."""
        rows = self._rows
        if not self._parts:
            self._parts = [
                [] if rows is None else [np.empty((rows, *y.shape[1:]), y.dtype)] for y in outputs
            ]
        begin = self._done
        self._done += len(outputs[0])
        for parts, output in zip(self._parts, outputs, strict=True):
            if rows is None:
                parts.append(np.array(output))
            else:
                parts[0][begin : self._done] = output

    def results(self) -> list[Array]:
        """Return all rows of each output."""
        if not self._parts:
            raise ValueError("x: expected at least one batch, the iterable has none")
        if self._rows is not None:
            # Fewer where a callback has stopped the prediction.
            return [parts[0][: self._done] for parts in self._parts]
        return [parts[0] if len(parts) == 1 else np.concatenate(parts) for parts in self._parts]


class BlockSource(BroughtSource):
    """Blocks of rows to predict, as the source of one epoch of steps."""

    def __init__(
        self,
        model: TrainableModel,
        blocks: Iterator[list[Array]],
        limit: int | None,
        rows: int | None = None,
    ) -> None:
        super().__init__(limit)
        self.model = model
        self.rows = rows
        self.gathered = Gathered(rows)
        self._blocks = blocks

    def _next(self) -> Any:
        return next(self._blocks, NO_BATCH)

    def _step(self) -> bool:
        if not self._fetch():
            self._warn_if_short()
            return False
        xs = self._take()
        count = int(xs[0].shape[0])
        if self.rows is None:
            with _core.Access(self.model.tree.tensors):
                made = outputs_of(self.model, xs)
        else:
            made = outputs_of(self.model, xs)
        outputs = [y.numpy() for y in made]
        for output in outputs:
            if output.shape[0] != count:
                raise ValueError(
                    f"{self.model.path}: expected an output for each of {count} rows, got shape "
                    f"{output.shape}"
                )
        self.gathered.add(outputs)
        return True


def predict(
    model: TrainableModel,
    x: Any,
    batch_size: Any,
    verbose: Any,
    steps: Any,
    callbacks: Any,
    check_finite: bool,
    comm: Communicator | None = None,
) -> Any:
    """Return the outputs as arrays; see `Model.predict`."""
    size = count_or(None, batch_size, "batch_size")
    limit = count_or(None, steps, "steps")
    shown = style(verbose) if verbose == 1 else 0
    listening = CallbackList(check_callbacks(callbacks), model.public)
    listening.set_params({"steps": limit, "verbose": shown})
    model.public.stop_predicting = False
    listening.tell("on_predict_begin", {})
    shared = False
    if is_batches(x):
        source = BlockSource(model, blocks_of(model, x, check_finite), limit)
    else:
        xs = prepare_inputs(model, x, check_finite)
        if limit is not None:
            size = DEFAULT_BATCH if size is None else size
            end = end_of(limit, size, int(xs[0].shape[0]), "steps")
            xs = [rows[:end] for rows in xs]
        shared = comm is not None and 1 < comm.size <= int(xs[0].shape[0])
        if comm is not None and shared:
            own = rows_of(int(xs[0].shape[0]), comm)
            xs = [rows[own] for rows in xs]
        count, blocks = row_blocks(model, xs, size)
        if shown == BAR:
            from tqdm.auto import tqdm

            blocks = iter(tqdm(blocks, desc="predict", unit="block", total=count))
        source = BlockSource(model, blocks, count, int(xs[0].shape[0]))
    # Rows in arrays get their outputs from one net, each batch of an iterable from one of its own.
    with _core.Access([] if source.rows is None else model.tree.tensors):
        drive(epoch_requests(source, listening, "predict"))
    arrays = source.gathered.results()
    if comm is not None and shared:
        arrays = list(map(np.concatenate, zip(*comm.gather(arrays), strict=True)))
    listening.tell("on_predict_end", {})
    return model.packed_outputs(arrays)


def blocks_of(model: TrainableModel, batches: Any, check_finite: bool) -> Iterator[list[Array]]:
    """Yield the inputs of batches, or raise an error that says which does not fit."""
    for number, item in enumerate(batches):
        # A batch for training has its inputs in front.
        x = item[0] if isinstance(item, tuple) and item else item
        try:
            yield prepare_inputs(model, x, check_finite)
        except (TypeError, ValueError) as error:
            raise type(error)(f"x: batch {number}: {error}") from error


def outputs_of(model: TrainableModel, xs: list[Array]) -> list[_core.Tensor]:
    """Return the outputs of a block of rows that fit the model."""
    with no_grad():
        if len(xs) == 1:
            output = model.answer(np.ascontiguousarray(xs[0]))
            if output is not None:
                return [output]
        dtype = model.dtypes.inputs
        inputs = [_core.tensor(np.ascontiguousarray(x, dtype=dtype)) for x in xs]
        return model.forward(inputs, False, [False] * len(model.output_names))


def row_blocks(
    model: TrainableModel, xs: list[Array], size: int | None
) -> tuple[int, Iterator[list[Array]]]:
    """Return how many blocks of rows there are, and them; by default of a size for the caches."""
    if size is None:
        widths = [int(np.prod(x.shape[1:], dtype=np.int64)) for x in xs]
        widths += [int(w.shape[-1]) for w in model.tree.tensors if w.ndim > 1]
        size = max(32, BLOCK_VALUES // max(1, *widths))
    starts = range(0, int(xs[0].shape[0]), size)
    return len(starts), ([x[at : at + size] for x in xs] for at in starts)
