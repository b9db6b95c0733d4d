"""Arguments that all trainings share, checked; and one training by them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evengrad import optimizers
from evengrad._common.checks import check_float, check_int
from evengrad._common.config import remade
from evengrad.pretrain._report import Stage

if TYPE_CHECKING:
    from evengrad.models._model import Model
    from evengrad.optimizers import Optimizer


@dataclass
class Settings:
    """How each stage is trained."""

    epochs: int
    batch_size: int
    optimizer: Optimizer
    callbacks: Any
    verbose: Any
    validation_data: Any = None
    validation_split: float = 0.0

    def __post_init__(self) -> None:
        self.epochs = check_int(self.epochs, "epochs", at_least=1)
        self.batch_size = check_int(self.batch_size, "batch_size", at_least=1)
        self.optimizer = optimizers.get(self.optimizer)
        share = check_float(
            self.validation_split, "validation_split", low=0.0, high=1.0, open_high=True
        )
        self.validation_split = share
        if share and self.validation_data is not None:
            raise ValueError("validation_split, validation_data: expected one of the two, got both")

    def compile(self, model: Model, loss: Any, metrics: Any = None) -> None:
        """Compile a model of a stage with an optimizer of its own."""
        model.compile(remade(self.optimizer), loss, metrics)

    def train(
        self, model: Model, x: Any, y: Any, *, name: str, figure: str, held: Any = None, **more: Any
    ) -> Stage:
        """Train a compiled model, and return the figures of that."""
        started = time.perf_counter()
        history = model.fit(
            x,
            y,
            batch_size=self.batch_size,
            epochs=self.epochs,
            verbose=self.verbose,
            callbacks=self.callbacks,
            validation_data=held,
            check_finite=False,
            **more,
        )
        seconds = time.perf_counter() - started
        return Stage(name, figure, dict(history.history), seconds)
