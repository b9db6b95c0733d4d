"""Output heads: how a loss and one output of the model are joined, logits or probabilities."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from evengrad import _core, losses
from evengrad.layers._call_context import call_context
from evengrad.losses._crossentropy import CrossEntropy

if TYPE_CHECKING:
    from evengrad._core import Tensor
    from evengrad.layers._layer import Layer
    from evengrad.metrics import Metric
    from evengrad.training._protocol import TrainableModel

logger = logging.getLogger("evengrad")

# Outputs of these are probabilities; what a cross-entropy may fuse with.
PROBABILITIES = ("softmax", "sigmoid")


class OutputHead:
    """One output of the model: its loss, and what the loss and the metrics get of it."""

    def __init__(self, loss: losses.Loss | None, weight: float) -> None:
        self.loss = loss
        self.weight = weight
        # The layer, or the output, that messages name.
        self.where = ""
        # The final activation that is left out, because the loss takes logits.
        self.skipped: str | None = None
        self.logits = False
        # Whether the output, with its activation, is made of probabilities.
        self.probable = False

    def join(self, model: TrainableModel, head: Layer | None, name: str) -> None:
        """Decide from the model's end what the loss and the metrics get.

        Raises
        ------
        ValueError
            An argument of the loss about its predictions contradicts the model.
        """
        loss = self.loss
        self.where = head.path if head is not None else name
        activation = head.final_activation if head is not None else None
        scores = isinstance(loss, CrossEntropy) or (loss and loss.score_activation)
        if activation is not None:
            self.probable = activation in PROBABILITIES
        elif scores:
            self.probable = made_by_probabilities(model, name)
        if isinstance(loss, CrossEntropy):
            self._join(loss, activation)

    @property
    def raw(self) -> bool:
        """Whether the model puts out the logits or scores that the loss works on."""
        return self.skipped is None and self.squashing is not None

    @property
    def squashing(self) -> str | None:
        """The activation that makes probabilities of what the loss works on, if it has none."""
        if isinstance(self.loss, CrossEntropy):
            return self.loss.fused_activation if self.logits else None
        return None if self.loss is None or self.probable else self.loss.score_activation

    def activation_for(self, metric: Metric) -> str | None:
        """Return the activation through which a metric gets the output, as the loss got it.

        Raises
        ------
        ValueError
            An argument of the metric about its predictions contradicts the model.
        """
        if metric.accepts_logits:
            return None
        if not metric.needs_probabilities:
            return self.skipped
        if metric.from_logits is None:
            if self.raw:
                self._check_thresholds(metric)
            return self.squashing
        if metric.from_logits and self.probable:
            raise ValueError(
                f"{metric.name}: from_logits=True, but {self.where} makes probabilities; leave "
                "from_logits out"
            )
        if not metric.from_logits and self.raw:
            raise ValueError(
                f"{metric.name}: from_logits=False, but the loss takes the outputs of "
                f"{self.where} for scores without a {self.squashing}; leave from_logits out"
            )
        return None if metric.from_logits else self.skipped

    def _check_thresholds(self, metric: Metric) -> None:
        limits = metric.decides_at
        if limits and not any(0.0 < limit < 1.0 for limit in limits):
            raise ValueError(
                f"{metric.name}: expected a threshold in (0, 1), as the metric gets the "
                f"{self.squashing} of the outputs of {self.where}, got {limits[0]!r}; 0.5 stands "
                "for an output of 0"
            )

    def _join(self, loss: CrossEntropy, activation: str | None) -> None:
        """Decide whether a cross-entropy gets logits, from the model's end."""
        fused, where = loss.fused_activation, self.where
        if activation is None:
            # A subclass, or a function of the user's: its output shows what made it.
            self.logits = not self.probable if loss.from_logits is None else loss.from_logits
            return
        if activation in PROBABILITIES and loss.from_logits:
            raise ValueError(
                f"{loss.name}: from_logits=True, but {where} ends in {activation}, which makes "
                "probabilities; leave from_logits out, or remove the activation"
            )
        if activation == "linear" and loss.from_logits is False:
            raise ValueError(
                f"{loss.name}: from_logits=False, but {where} has no activation, so that its "
                f"outputs are logits; leave from_logits out, or give it activation={fused!r}"
            )
        if activation == fused:
            self.skipped, self.logits = activation, True
        elif fused == "softmax" and activation == "sigmoid":
            raise ValueError(
                f"{loss.name}: {where} ends in sigmoid, whose outputs are no shares of one; use "
                'softmax, or loss="binary_crossentropy" for classes that do not exclude each other'
            )
        elif activation in PROBABILITIES:
            self.logits = False
        else:
            self.logits = loss.from_logits is not False
            if activation not in ("linear", "log_softmax") and loss.from_logits is None:
                logger.warning(
                    "%s: %s ends in %s, and its outputs are taken for logits; remove the "
                    "activation, or pass from_logits=True if it is meant",
                    loss.name,
                    where,
                    activation,
                )

    def loss_of(self, y: Tensor, output: Tensor, weight: Tensor | None) -> Tensor:
        """Return the reduced loss."""
        loss = self.loss
        if loss is None:
            raise RuntimeError("an output without loss has no loss")
        if self.logits and isinstance(loss, CrossEntropy):
            return loss.from_logits_loss(y, output, weight)
        return loss.value(y, output, weight)


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
