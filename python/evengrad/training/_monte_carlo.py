"""Prediction with the noise on: mean and deviation over many passes."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core
from evengrad._common.advice import advise
from evengrad._common.checks import check_int
from evengrad._tensor.grad_mode import no_grad
from evengrad.layers._call_context import call_context
from evengrad.training._data import count_or, prepare_inputs, refuse_batches
from evengrad.training._predict import Gathered, row_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evengrad._core import Tensor
    from evengrad.training._data import Array
    from evengrad.training._protocol import TrainableModel

# Where the draws of `predict_mc` begin in each stream: no training comes as far.
APART = 2**62


def predict_mc(
    model: TrainableModel, x: Any, samples: Any, batch_size: Any, check_finite: bool
) -> tuple[Any, Any]:
    """Return mean and deviation of the outputs; see `Model.predict_mc`."""
    count = check_int(samples, "samples", at_least=1)
    size = count_or(None, batch_size, "batch_size")
    refuse_batches(x, "call it for each batch")
    xs = prepare_inputs(model, x, check_finite)
    if not any(layer.monte_carlo for _, layer in model.tree.layers):
        advise(
            "%s: predict_mc: no layer makes noise, such as layers.Dropout, so that all samples are "
            "equal and their deviation is 0",
            model.path,
        )
    gathered = Gathered(len(xs[0]))
    blocks: dict[int, Block] = {}
    # Nobody else draws from the streams meanwhile, or changes the variables.
    with _core.Access(model.tree.tensors, writes=True), draws_apart(model), no_grad():
        for rows in row_blocks(model, xs, size)[1]:
            part = [np.ascontiguousarray(x, dtype=model.dtypes.inputs) for x in rows]
            here = len(part[0])
            if here not in blocks:
                blocks[here] = Block(model, part)
            gathered.add(blocks[here].run(part, count))
    figures = gathered.results()
    means, deviations = figures[: len(figures) // 2], figures[len(figures) // 2 :]
    return model.packed_outputs(means), model.packed_outputs(deviations)


@contextlib.contextmanager
def draws_apart(model: TrainableModel) -> Iterator[None]:
    """Have random streams go on where the last call left off, and training's draws untouched."""
    streams = [stream for _, stream in model.tree.generators]
    before = [stream.draws for stream in streams]
    for stream in streams:
        stream.draws = APART + model.tree.states[0].sampled
    try:
        yield
    finally:
        model.tree.states[0].sampled = max((stream.draws - APART for stream in streams), default=0)
        for stream, draws in zip(streams, before, strict=True):
            stream.draws = draws


class Block:
    """So many rows, and the sums over their samples: memory does not grow with the samples.

    With the first sample y₁ as origin, d = y − y₁ and k samples,

    mean = y₁ + Σ d / k,    variance = Σ d² / k − (Σ d / k)²,

    where the difference loses nothing: d is of the size of the deviation. Sums are float64.
    """

    def __init__(self, model: TrainableModel, part: list[Array]) -> None:
        self.model = model
        self.inputs = [_core.tensor(x) for x in part]
        self.recording: _core.Recording | None = None
        self.eager = False
        # For each output y₁, Σ d and Σ d².
        self.sums: list[list[Tensor]] = []

    def run(self, part: list[Array], samples: int) -> list[Array]:
        """Return the means of all outputs for rows, and then the deviations."""
        for tensor, x in zip(self.inputs, part, strict=True):
            tensor.copy_(x)
        outputs = self.sample()
        if not self.sums:
            self.sums = [[_core.zeros(y.shape, dtype="float64") for _ in range(3)] for y in outputs]
        for (origin, total, square), y in zip(self.sums, outputs, strict=True):
            origin.copy_(y)
            total.copy_(np.zeros(y.shape))
            square.copy_(np.zeros(y.shape))
        self.gather(samples - 1)
        means, deviations = [], []
        for origin, total, square in self.sums:
            mean = total.numpy() / samples
            variance = square.numpy() / samples - mean**2
            means.append(origin.numpy() + mean)
            deviations.append(np.sqrt(np.maximum(variance, 0.0)))
        return [figure.astype(self.model.dtypes.outputs) for figure in (*means, *deviations)]

    def sample(self) -> list[Tensor]:
        """Return the outputs of one pass with noise."""
        before = call_context.sampling, call_context.layerwise
        call_context.sampling = call_context.layerwise = True
        try:
            model = self.model
            return model.forward(self.inputs, False, [False] * len(model.output_names))
        finally:
            call_context.sampling, call_context.layerwise = before

    def gather(self, samples: int) -> None:
        """Add samples to the sums: the first is captured and the others are replayed."""
        if samples and self.recording is None and not self.eager:
            try:
                with _core.Recording() as self.recording:
                    self.add()
            except _core.CaptureError:
                self.recording = None
                self.eager = True
            else:
                samples -= 1
        if self.recording is not None and samples:
            self.recording.replay(samples)
        elif self.eager:
            for _ in range(samples):
                self.add()

    def add(self) -> None:
        """Add one sample to the sums."""
        for (origin, total, square), y in zip(self.sums, self.sample(), strict=True):
            distance = y.astype("float64") - origin
            _core.accumulate(total, distance)
            _core.accumulate(square, distance.square())
