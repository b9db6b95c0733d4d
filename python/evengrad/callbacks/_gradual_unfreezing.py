"""Unfreezing layers one after the other while the model trains."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from evengrad._common.checks import check_float, check_int
from evengrad.callbacks._callback import Callback, Logs
from evengrad.layers._module import module_tree, state_of
from evengrad.optimizers._optimizer import rate_of
from evengrad.optimizers._rates import layers_inside

if TYPE_CHECKING:
    from collections.abc import Sequence


class GradualUnfreezing(Callback):
    """Unfreeze frozen layers as training goes on, the last ones first.

    Layers that were trained on another task are left alone until those above them, whose first
    gradients would spoil them, have settled. `Model.unfreeze` says what becomes of the optimizer's
    state of a layer that is unfrozen. A checkpoint keeps how far it has come.

    Parameters
    ----------
    epochs
        How many epochs lie between two stages, and before the first; or a list: the epochs, counted
        from 0, at whose beginning one layer more is unfrozen.
    layers
        What is unfrozen, stage by stage: names, patterns or layers, as for `Model.freeze`, or lists
        of these. They are frozen when the training begins. By default the layers that are frozen
        then, one at each stage, from the last to the first.
    learning_rate
        The rate of the layers that are unfrozen first; by default `decay` times the optimizer's. It
        is kept as a multiple of the optimizer's rate, as by `Model.unfreeze`.
    decay
        In (0, 1]: each stage has `decay` times the rate of the one before.

    Raises
    ------
    ValueError
        A value out of range. From `fit`: nothing is frozen, or a pattern matches no layer.

    References
    ----------
    Howard and Ruder, "Universal language model fine-tuning for text classification", 2018.

    Examples
    --------
    >>> hidden = [eg.layers.Dense(8, "relu", name=f"hidden{i}") for i in (1, 2)]
    >>> model = eg.Sequential([eg.Input((2,)), *hidden, eg.layers.Dense(1, name="out")])
    >>> model.compile(eg.optimizers.Adam(0.01), "mse")
    >>> frozen = model.freeze("hidden*")
    >>> gradual = eg.callbacks.GradualUnfreezing(epochs=1, decay=0.5)
    >>> tell = eg.callbacks.LambdaCallback(
    ...     on_epoch_end=lambda epoch, logs: print([x.name for x in model.layers if x.trainable])
    ... )
    >>> x, y = np.zeros((4, 2)), np.zeros(4)
    >>> history = model.fit(x, y, epochs=3, verbose=0, callbacks=[gradual, tell])
    ['out']
    ['hidden2', 'out']
    ['hidden1', 'hidden2', 'out']
    """

    all_ranks = True

    def __init__(
        self,
        epochs: int | Sequence[int] = 1,
        layers: Any = None,
        learning_rate: float | None = None,
        decay: float = 1.0,
    ) -> None:
        if isinstance(epochs, (list, tuple, range)):
            self.epochs: Any = [check_int(one, "epochs", at_least=0) for one in epochs]
            if any(later < earlier for earlier, later in itertools.pairwise(self.epochs)):
                raise ValueError(f"epochs: expected rising numbers, got {list(epochs)}")
        else:
            self.epochs = check_int(epochs, "epochs", at_least=1)
        self.layers = layers
        self.learning_rate = (
            None
            if learning_rate is None
            else check_float(learning_rate, "learning_rate", low=0.0, open_low=True)
        )
        self.decay = check_float(decay, "decay", low=0.0, high=1.0, open_low=True)
        # What is unfrozen, stage by stage, as paths in the model; and how many stages are over.
        self.stages: list[list[str]] = []
        self.done = 0

    def on_train_begin(self, logs: Logs = None) -> None:
        """Find what is to be unfrozen, and freeze what was named."""
        del logs
        self.done = 0
        if self.layers is None:
            frozen = [layer for layer in layers_inside(self.model) if is_frozen(layer)]
            self.stages = [[path_in(self.model, layer)] for layer in reversed(frozen)]
            if not frozen:
                raise ValueError(
                    "GradualUnfreezing: no layer is frozen; call model.freeze first, or pass layers"
                )
            return
        given = self.layers if isinstance(self.layers, (list, tuple)) else [self.layers]
        self.stages = [self.model.freeze(one) for one in given]

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Unfreeze what is due."""
        del logs
        due = self._due(epoch)
        while self.done < min(due, len(self.stages)):
            self._unfreeze(self.stages[self.done], self.done)
            self.done += 1

    def _due(self, epoch: int) -> int:
        """Return how many stages begin with that epoch or before."""
        if isinstance(self.epochs, list):
            return sum(one <= epoch for one in self.epochs)
        return int(epoch // self.epochs)

    def _unfreeze(self, paths: list[str], stage: int) -> None:
        optimizer = self.model.optimizer
        if self.learning_rate is not None:
            self.model.unfreeze(paths, self.learning_rate * self.decay**stage)
        elif self.decay != 1.0:
            rate = rate_of(optimizer, optimizer.iterations)
            self.model.unfreeze(paths, rate * self.decay ** (stage + 1))
        else:
            self.model.unfreeze(paths)

    def state_dict(self) -> dict[str, Any]:
        """Return what is unfrozen, and how many stages are over."""
        return {"stages": [list(stage) for stage in self.stages], "done": self.done}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.stages, self.done = [list(stage) for stage in state["stages"]], int(state["done"])


def is_frozen(layer: Any) -> bool:
    """Tell whether a layer, or one inside it, has variables that are frozen."""
    return any(state.weights and not state.trainable for state in module_tree(layer).states)


def path_in(model: Any, layer: Any) -> str:
    """Return the path of a layer in a model."""
    prefixes = {id(state_of(one)): prefix for prefix, one in module_tree(model).layers}
    return str(prefixes[id(state_of(layer))].rstrip("/"))
