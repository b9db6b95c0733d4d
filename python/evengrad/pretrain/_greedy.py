"""Layer after layer: each is trained on what those below it put out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from evengrad._common.row_readers import choose_rows
from evengrad.models._model import Model
from evengrad.models._network import view_of
from evengrad.models._revive import compiled_optimizer
from evengrad.optimizers._optimizer import averages_in_place
from evengrad.pretrain._chain import layers_of, spans_of
from evengrad.pretrain._report import Report
from evengrad.pretrain._work import copied, outputs_of, seed_for, write
from evengrad.training._classes import split_rows
from evengrad.training._data import prepare_inputs, refuse_batches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from evengrad.layers._layer import Layer
    from evengrad.pretrain._chain import Span
    from evengrad.pretrain._report import Stage
    from evengrad.pretrain._settings import Settings

    # Trains copies of layers, of which the first is dense, on rows and rows held out.
    Train = Callable[[list[Layer], Any, Any, "Turn"], Stage]
    # Raises an error for layers, and what comes to the first of them, that cannot be trained so.
    Check = Callable[[list[Layer], list[Span]], None]

# Rows that are looked at together.
PIECE = 65536


class Turn(NamedTuple):
    """Whose turn it is."""

    path: str
    seed: int
    # Whether it is the first stage.
    begins: bool


def greedy(
    model: Model, x: Any, layers: Any, seed: int | None, settings: Settings, check: Check
) -> Greedy:
    """Return a pre-training of layers one after the other, with everything checked."""
    rows, held = rows_of(model, x, settings, seed)
    chain = layers_of(model)
    spans = spans_of(chain, layers)
    check(chain, spans)
    return Greedy(model, chain, spans, seed, rows, held)


class Greedy:
    """A pre-training of the layers of a chain, on a copy of its model."""

    def __init__(
        self,
        model: Model,
        chain: list[Layer],
        spans: list[Span],
        seed: int | None,
        rows: Any,
        held: Any,
    ) -> None:
        self.model, self.chain, self.spans, self.seed = model, chain, spans, seed
        self.copies = layers_of(copied(model, seed_for(model, seed, "copy")))
        self.rows, self.held = rows, held
        # The layer that the rows come to.
        self._at = 0
        self._advance(spans[0].start)

    def _advance(self, to: int) -> None:
        between = self.copies[self._at : to]
        self.rows = outputs_of(between, self.rows)
        if self.held is not None:
            self.held = outputs_of(between, self.held)
        self._at = to

    def run(self, train: Train) -> Report:
        """Train the layers, each on what the ones below come to; a finished one is kept."""
        stages: list[Stage] = []
        for span in self.spans:
            self._advance(span.start)
            trained = self.copies[span.start : span.stop]
            turn = Turn(span.path, seed_for(self.model, self.seed, span.path), not stages)
            stages.append(train(trained, self.rows, self.held, turn))
            write(self.model, zip(self.chain[span.start : span.stop], trained, strict=True))
        return Report(tuple(stages))


def rows_of(model: Model, x: Any, settings: Settings, seed: int | None) -> tuple[Any, Any]:
    """Return rows to train on, and rows held out for validation or None; the model is built."""
    check_model(model, "model")
    rows = single_input(model, x)
    given = settings.validation_data
    if given is not None:
        # As `fit` takes it, whose targets are not looked at.
        first = given[0] if isinstance(given, tuple) else given
        try:
            return rows, single_input(model, first)
        except (TypeError, ValueError) as error:
            raise type(error)(f"validation_data: {error}") from error
    if not settings.validation_split:
        return rows, None
    number = seed_for(model, seed, "validation")
    parts = split_rows(len(rows), settings.validation_split, number, True, None)
    return choose_rows(rows, parts[0]), choose_rows(rows, parts[1])


def check_model(model: Any, argument: str) -> None:
    """Raise an error for what is no model."""
    if not isinstance(model, Model):
        raise TypeError(f"{argument}: expected a model, got {model!r}")
    optimizer = compiled_optimizer(model)
    if optimizer is not None and averages_in_place(optimizer):
        raise RuntimeError(
            f"{argument}: the weights of {model.path} are exchanged with their averages; call "
            "swap_ema_weights again first"
        )


def check_vectors(body: Model) -> None:
    """Raise an error for a built model that does not put out one vector for each row."""
    shape = body.output_shape
    if isinstance(shape, list) or len(shape) != 2:
        raise ValueError(
            f"{body.path}: expected outputs of shape (rows, features), got {shape}; end it with a "
            "Flatten, or with one output"
        )


def single_input(model: Model, x: Any) -> Any:
    """Return the rows of a model's only input, as an array or a reader; the model is built."""
    refuse_batches(x, "pass the rows as one array")
    found = prepare_inputs(view_of(model), x)
    if len(found) != 1:
        raise ValueError(f"{model.path}: expected a model with one input, got {len(found)}")
    return found[0]


def size_of(rows: Any) -> int:
    """Return the number of features of rows."""
    return int(rows.shape[-1])


def pieces_of(rows: Any) -> Iterator[Any]:
    """Yield all rows, some at a time."""
    for start in range(0, len(rows), PIECE):
        yield np.asarray(rows[start : start + PIECE])
