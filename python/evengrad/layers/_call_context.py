"""The call context of layers: training or not, and who listens, for each thread."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from evengrad.layers._restoring import Restoration


class _Context(threading.local):
    """What layers inside a running layer inherit from it."""

    # None where nobody has said it.
    training: bool | None = None
    # What variables start with while a saved model is being built; None at other times.
    restoring: Restoration | None = None
    # Outputs of layers that end in a softmax or sigmoid, while a loss looks for them.
    probabilities: list[Any] | None = None
    # Penalties on outputs of layers, while a step gathers them.
    penalties: list[Any] | None = None
    # Mixtures of rows that layers have made, while a step gathers them for its losses.
    mixtures: list[Any] | None = None
    # Whether each layer must be run and none answered for: while one of the next two is in force.
    layerwise: bool = False
    # Whether layers with `monte_carlo` make their noise outside training too.
    sampling: bool = False
    # Called with each layer and its output.
    watching: Callable[[Any, Any], None] | None = None
    # Called with each layer and what comes to its activation.
    observing: Callable[[Any, Any], None] | None = None
    # Called with each recurrent layer, what comes to its steps, and a function that returns what
    # all of them put out.
    unrolling: Callable[[Any, Any, Any], None] | None = None
    # Whether a layer is being built or drawn: those inside it are looked at with it.
    building: bool = False
    # Where other processes have the rest of a batch: returns the sum of a tensor over all of them,
    # to which their gradients come too. With it, how much this process' rows count: 0 where they
    # stand in for none.
    sum_over_ranks: Callable[[Any], Any] | None = None
    counts_rows: bool = True


call_context = _Context()


def main_output(output: Any) -> Any:
    """Return what a layer puts out; of several the first, as the others are its states."""
    return output[0] if isinstance(output, (list, tuple)) else output


@contextlib.contextmanager
def restoring(saved: Restoration) -> Iterator[None]:
    """Have variables made inside take their first values from a file."""
    call_context.restoring = saved
    try:
        yield
    finally:
        call_context.restoring = None


@contextlib.contextmanager
def shown_to(output: Any, preactivation: Any = None, steps: Any = None) -> Iterator[None]:
    """Have layers that run inside show their outputs and pre-activations to these functions.

    And recurrent ones what goes on in their steps.
    """
    context = call_context
    before = context.watching, context.observing, context.unrolling, context.layerwise
    context.watching, context.observing, context.unrolling = output, preactivation, steps
    context.layerwise = True
    try:
        yield
    finally:
        context.watching, context.observing, context.unrolling, context.layerwise = before
