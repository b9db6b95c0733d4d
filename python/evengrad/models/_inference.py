"""Captured answers: what a model says to inputs of one shape, without Python layer by layer.

A capture stands for the operations only as long as they stay the same. So it is made for networks
of this package's own layers alone, whose operations depend on nothing but their attributes, and it
is dropped as soon as an attribute of any layer is set. Variables may change as they like: a capture
reads them where they lie.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core
from evengrad._common.names import is_own
from evengrad._core import Tensor
from evengrad._tensor.step_masks import step_masks
from evengrad.layers._call_context import call_context
from evengrad.layers._layer import check_values
from evengrad.layers._module import module_tree
from evengrad.layers._watchers import watch_attributes

if TYPE_CHECKING:
    from collections.abc import Callable

    from evengrad._common.arrays import Array
    from evengrad.layers._layer import Layer
    from evengrad.models._network import Network

    Answer = Callable[[Any], Tensor | None]
    # Runs a network: inputs, and which outputs come before their activation.
    Run = Callable[[list[Tensor], list[bool]], list[Tensor]]

# Answers that a model keeps, by input shape. Each holds an input and an output.
MOST_SHAPES = 8


class Known:
    """What holds of a model until an attribute of a layer is set."""

    def __init__(self) -> None:
        self.by_shape: dict[tuple[int, ...], _core.Inference] = {}
        self.seen: tuple[int, ...] | None = None
        # None until it is known whether captures may stand in for the layers.
        self.allowed: bool | None = None
        # Whether a layer looks at values first, as a capture cannot.
        self.checks = False


class Answers:
    """The captured answers of a model, by the shape of its only input."""

    # The answer that was given last: tried first, because most callers stay with one shape.
    latest: Answer | None = None
    # Whether what the layers put out has a mask, which an answer has not.
    lacks_mask = False

    def __init__(self) -> None:
        self._known = Known()

    def forget(self) -> None:
        """Drop all answers: a layer may have changed."""
        # In this order: a thread that captures meanwhile looks at the first after the second.
        self._known = Known()
        self.latest = None
        self.lacks_mask = False

    def ask(
        self, network: Network, run: Run, convert: Callable[[Tensor], Tensor], x: Any
    ) -> Tensor | None:
        """Return the output for a tensor or array, or None where the layers must be run.

        The second input of a shape in a row is worth a capture, of what `run` does with an input
        that `convert` has brought to the network's dtype.
        """
        if not isinstance(x, (Tensor, np.ndarray)):
            return None
        known, shape = self._known, tuple(x.shape)
        inference = known.by_shape.get(shape)
        if inference is None:
            if shape != known.seen or not self._may(network, known):
                known.seen = shape
                return None
            inference = self._capture(run, convert(_core.zeros(shape, dtype="float64")))
            if inference is None:
                known.allowed = False
                return None
            for oldest in list(known.by_shape)[: 1 - MOST_SHAPES]:
                known.by_shape.pop(oldest, None)
            known.by_shape[shape] = inference
        if known.checks:
            check_values(network, x.detach().numpy() if isinstance(x, Tensor) else x)
        else:
            self.latest = inference.answer
            if self._known is not known:
                # Another thread has set an attribute.
                self.latest = None
        return inference.answer(x)

    def ask_each(self, x: Array, rows: int, out: Array) -> bool:
        """Write the outputs for inputs of so many rows each, where their inference is captured.

        Return whether they were: else nothing is written.
        """
        known = self._known
        inference = None if known.checks else known.by_shape.get((rows, *x.shape[1:]))
        return inference is not None and inference.answer_each(x, out)

    def _capture(self, run: Run, x: Tensor) -> _core.Inference | None:
        """Capture the answer to inputs of a shape; None where there is nothing to replay."""
        with _core.Recording() as step:
            [output] = run([x], [False])
        if step.plan is None:
            return None
        if step_masks.of(output) is not None:
            self.lacks_mask = True
        try:
            return _core.Inference(step.plan, x, output)
        except (TypeError, ValueError):
            # The output is a view with gaps, or of integers.
            return None

    def _may(self, network: Network, known: Known) -> bool:
        if _core.is_recording() or _core.is_capturing() or not network.built:
            return False
        if call_context.training:
            return False
        if known.allowed is None:
            watch_attributes(self)
            layers = [layer for _, layer in module_tree(network).layers]
            known.checks = any(layer.checks_values for layer in layers)
            known.allowed = len(network.output_names) == 1 and all(map(is_plain, layers))
        return known.allowed


def is_plain(layer: Layer) -> bool:
    """Tell whether a layer's operations follow from its attributes: no code of the user's runs."""
    values = vars(layer).values()
    # A graph may have layers run as in training.
    drawn = vars(layer).get("_graph")
    return (
        is_own(layer)
        and layer.activity_regularizer is None
        and not getattr(layer, "stateful", False)
        and (drawn is None or not drawn.has_arguments)
        and all(is_own(value) for value in values if callable(value))
    )
