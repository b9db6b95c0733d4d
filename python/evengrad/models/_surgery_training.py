"""How a model made of another one's layers is trained: as that one, its optimizer's state with it.

The layers are the same objects in both, so that slots are found by their variables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from evengrad._common.checks import plural
from evengrad._common.config import remade
from evengrad._tensor.grad_mode import no_grad
from evengrad.models._model_file import trained
from evengrad.optimizers._optimizer import averages_in_place, counts_of, has_slots, set_counts
from evengrad.optimizers._rates import carry_rates

if TYPE_CHECKING:
    from evengrad.models._model import Model
    from evengrad.optimizers import Optimizer
    from evengrad.training._compile_config import CompileConfig

# Where gradients are gathered until they make an update.
GATHERED = "gradient_accumulator"


class Carried(NamedTuple):
    """What became of a source's `compile`: variables by whether their slots are carried."""

    slots_carried: tuple[str, ...] = ()
    slots_begun: tuple[str, ...] = ()
    compiled: bool = False
    notes: tuple[str, ...] = ()


def check_in_place(config: CompileConfig | None, call: str) -> None:
    """Raise an error where weights stand exchanged with their averages."""
    if config is not None and averages_in_place(config.optimizer):
        raise RuntimeError(
            f"{call}: the weights are exchanged with their averages; call swap_ema_weights again "
            "first"
        )


def compile_as(new: Model, config: CompileConfig | None) -> Carried:
    """Compile a model with arguments that are no other model's, as far as they fit its outputs."""
    if config is None:
        return Carried(notes=("not compiled: the source is not",))
    optimizer: Optimizer = remade(config.optimizer)
    try:
        new.compile(
            optimizer,
            config.loss,
            config.metrics,
            loss_weights=config.loss_weights,
            weighted_metrics=config.weighted_metrics,
            run_eagerly=config.run_eagerly,
        )
    except (TypeError, ValueError) as error:
        return Carried(notes=(f"not compiled: the source's settings do not fit: {error}",))
    carry_rates(config.optimizer, optimizer, new.weights)
    return carry_slots(new, config.optimizer, optimizer)


def carry_slots(new: Model, old: Optimizer, optimizer: Optimizer) -> Carried:
    """Have an optimizer go on from where an old one stands, for the variables that both know."""
    counts = counts_of(old)
    carried, begun = [], []
    with no_grad():
        for path, tensor in trained(new):
            if not has_slots(old, tensor):
                begun.append(path)
                continue
            carried.append(path)
            before = old.slots(tensor)
            for name, slot in optimizer.slots(tensor).items():
                if name != GATHERED:
                    slot.copy_(before[name])
    notes = []
    if counts.accumulated:
        made = plural(counts.accumulated, "step")
        notes.append(f"the gradients of {made}, gathered for the next update, are dropped")
    set_counts(optimizer, counts._replace(accumulated=0))
    if not carried and not counts.iterations:
        begun = []
    return Carried(tuple(carried), tuple(begun), compiled=True, notes=tuple(notes))
