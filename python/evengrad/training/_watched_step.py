"""Steps that do what others do, and measure each layer besides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evengrad import _core
from evengrad._tensor.grad_mode import no_grad
from evengrad.health._watch import Uses
from evengrad.layers._call_context import call_context
from evengrad.optimizers._optimizer import core_of
from evengrad.training._step import Batch, Snapshot, Step, note

if TYPE_CHECKING:
    from evengrad._core import Tensor
    from evengrad.health._watch import Watch
    from evengrad.layers._module import ModuleTree
    from evengrad.training._data import Prepared
    from evengrad.training._objective import Objective


class WatchedStep(Step):
    """A step that does what another kind does, with the same bits, and measures each layer."""

    def __init__(self, plain: Step, batch: Batch, watch: Watch, alike: Step | None = None) -> None:
        super().__init__(plain.objective, batch, True, plain.watch_loss, alike)
        self.eager = self.eager or plain.eager
        self.noted_loss = plain.noted_loss
        self.watch = watch

    def renew(self) -> None:
        """Forget what was captured, and the figures of what may train no more."""
        super().renew()
        self.watch.clear()

    def _body(self) -> None:
        watch, objective = self.watch, self.objective
        pairs = self.measure(
            objective, self.batch, self.tree, watch, self.watch_loss, self.noted_loss
        )
        if not pairs:
            return
        if not objective.has_warned_of_unreached:
            self.warn_of_unreached(pairs)
        optimizer = objective.config.optimizer
        with watch.measuring(core_of(optimizer), pairs):
            optimizer.apply_gradients(pairs)

    @staticmethod
    def measure(
        objective: Objective,
        batch: Batch,
        tree: ModuleTree,
        watch: Watch,
        watch_loss: bool = False,
        noted_loss: Tensor | None = None,
    ) -> list[tuple[Tensor | None, Tensor]]:
        """Run a batch forward and back under a watch; return the gradients, for an update."""
        xs, ys, weights = batch.next()
        with watch.looking():
            loss = objective.loss_and_metrics(
                xs, ys, weights, tree, training=True, watch_loss=watch_loss
            )
        if noted_loss is not None:
            note(noted_loss, loss)
        parameters = tree.trainable
        if not parameters:
            return []
        optimizer = objective.config.optimizer
        pairs = optimizer.compute_gradients(loss, [*parameters, *watch.deltas])
        own = pairs[: len(parameters)]
        watch.note_gradients(own, pairs[len(parameters) :])
        return own


def run_over(data: Prepared) -> list[Tensor]:
    """Run the model over rows as it answers, for who looks at its layers; nothing changes."""
    objective, tree = data.objective, data.objective.model.tree
    xs, _, _ = Batch.whole(data).next()
    penalties, call_context.penalties = call_context.penalties, []
    with _core.Access(tree.tensors, writes=True):
        # Layers that are drawn with training=True make noise all the same.
        snapshot = Snapshot(objective, tree)
        try:
            with no_grad():
                return objective.model.forward(xs, False, objective.without_activation)
        finally:
            call_context.penalties = penalties
            snapshot.restore()


def uses_in(data: Prepared) -> Uses:
    """Return how often a pass over a row of the data calls each layer."""
    uses = Uses()
    with uses.counting():
        uses.end(run_over(data.taken(slice(0, 1))))
    return uses
