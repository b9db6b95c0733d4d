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
from evengrad.training._rank_figures import rows_of, shares
from evengrad.training._step import DEFAULT_BATCH, drive

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evengrad.distributed import Communicator
    from evengrad.training._data import Array
    from evengrad.training._protocol import TrainableModel

# Numbers in the widest layer of a block: 4 MB of float32, which a last-level cache holds.
BLOCK_VALUES = 2**20
# Blocks that are computed without a return to Python, where nobody hears of each: few enough that
# Ctrl-C is heard soon, and that a copy in the model's dtype is small. Chosen.
TOGETHER = 8


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

    def room(self, rows: int) -> Array | None:
        """Return where the next rows of the only output go; None where that is not known yet."""
        if self._rows is None or len(self._parts) != 1:
            return None
        return self._parts[0][0][self._done : self._done + rows]

    def note(self, rows: int) -> None:
        """Take note that so many rows were written to their room."""
        self._done += rows

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
        size: int | None = None,
    ) -> None:
        super().__init__(limit)
        self.model = model
        self.rows = rows
        # Rows of a block, of which several may come together.
        self._size = size
        self.gathered = Gathered(rows)
        self._blocks = blocks

    def _next(self) -> Any:
        return next(self._blocks, NO_BATCH)

    def _step(self) -> bool:
        if not self._fetch():
            self._warn_if_short()
            return False
        xs = self._take()
        count, size = int(xs[0].shape[0]), self._size
        if size is None or count <= size:
            self._add(xs)
        elif not self._write(xs, size):
            for at in range(0, count, size):
                self._add([x[at : at + size] for x in xs])
        return True

    def _write(self, xs: list[Array], size: int) -> bool:
        """Write the outputs of several blocks where they go; return whether that could be."""
        room = self.gathered.room(len(xs[0]))
        if room is None or len(xs) > 1 or xs[0].dtype.kind != "f":
            return False
        x = np.ascontiguousarray(xs[0], dtype=self.model.dtypes.inputs)
        with no_grad():
            written = self.model.answer_each(x, size, room)
        if written:
            self.gathered.note(len(x))
        return written

    def _add(self, xs: list[Array]) -> None:
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
    together: Communicator | None = None
    if is_batches(x):
        source = BlockSource(model, blocks_of(model, x, check_finite), limit)
    else:
        xs = prepare_inputs(model, x, check_finite)
        if limit is not None:
            size = DEFAULT_BATCH if size is None else size
            end = end_of(limit, size, int(xs[0].shape[0]), "steps")
            xs = [rows[:end] for rows in xs]
        if shares(comm, int(xs[0].shape[0])):
            own, together = rows_of(int(xs[0].shape[0]), comm), comm
            xs = [rows[own] for rows in xs]
        # What is read from elsewhere, or made dense, is so a block at a time.
        in_memory = all(isinstance(rows, np.ndarray) for rows in xs)
        singly = shown == BAR or not in_memory or listening.wants_batches("predict")
        size = block_rows(model, xs) if size is None else size
        count, blocks = row_blocks(model, xs, size, 1 if singly else TOGETHER)
        if shown == BAR:
            from tqdm.auto import tqdm

            blocks = iter(tqdm(blocks, desc="predict", unit="block", total=count))
        source = BlockSource(model, blocks, count, int(xs[0].shape[0]), size)
    # Rows in arrays get their outputs from one net, each batch of an iterable from one of its own.
    with _core.Access([] if source.rows is None else model.tree.tensors):
        drive(epoch_requests(source, listening, "predict"))
    arrays = source.gathered.results()
    if together is not None:
        arrays = list(map(np.concatenate, zip(*together.gather(arrays), strict=True)))
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


def block_rows(model: TrainableModel, xs: list[Array]) -> int:
    """Return how many rows make a block for the caches."""
    widths = [int(np.prod(x.shape[1:], dtype=np.int64)) for x in xs]
    widths += [int(w.shape[-1]) for w in model.tree.tensors if w.ndim > 1]
    return max(32, BLOCK_VALUES // max(1, *widths))


def row_blocks(
    model: TrainableModel, xs: list[Array], size: int | None, together: int = 1
) -> tuple[int, Iterator[list[Array]]]:
    """Return how many blocks of rows there are, and them; by default of a size for the caches.

    Several may come together: whole ones, after the first, which runs layer by layer, and the
    second, which is captured.
    """
    size = block_rows(model, xs) if size is None else size
    rows = int(xs[0].shape[0])
    cuts = [*range(0, min(rows, 2 * size), size)]
    if rows > 2 * size:
        whole = rows - rows % size
        cuts += [*range(2 * size, whole, together * size), *([whole] if whole < rows else [])]
    ends = [*cuts[1:], rows][: len(cuts)]
    blocks = ([x[at:end] for x in xs] for at, end in zip(cuts, ends, strict=True))
    return len(cuts), blocks
