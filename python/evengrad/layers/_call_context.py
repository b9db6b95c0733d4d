"""What layers keep about themselves, and what holds while they run."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

from evengrad._tensor.constrained import constrain, constraint_of
from evengrad.layers._changes import count_change, latest_change

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from evengrad import _core
    from evengrad._core import Tensor
    from evengrad.layers._module_tree import ModuleTree
    from evengrad.layers._restoring import Restoration


class _Context(threading.local):
    """What layers inside a running layer inherit from it."""

    training: bool = False
    # What variables start with while a saved model is being built; None at other times.
    restoring: Restoration | None = None
    # Outputs of layers that end in a softmax or sigmoid, while a loss looks for them.
    probabilities: list[Any] | None = None
    # Penalties on outputs of layers, while a step gathers them.
    penalties: list[Any] | None = None
    # Whether each layer must be run and none answered for: while one of the next two is in force.
    layerwise: bool = False
    # Whether layers with `monte_carlo` make their noise outside training too.
    sampling: bool = False
    # Told each layer and its output.
    watching: Callable[[Any, Any], None] | None = None


call_context = _Context()


@contextlib.contextmanager
def restoring(saved: Restoration) -> Iterator[None]:
    """Have variables made inside take their first values from a file."""
    call_context.restoring = saved
    try:
        yield
    finally:
        call_context.restoring = None


class Weight:
    """A variable of a layer."""

    # The penalty on it, a function of the tensor that returns one element.
    regularizer: Any = None
    # Whether the weight decay of optimizers reaches it.
    decays: bool = True

    def __init__(self, name: str, tensor: Tensor, trainable: bool, initializer: Any) -> None:
        self.name = name
        self.tensor = tensor
        self.trainable = trainable
        self.initializer = initializer

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "constraint": constraint_of(self.tensor)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        constraint = state.pop("constraint")
        vars(self).update(state)
        if constraint is not None:
            constrain(self.tensor, constraint)


class State:
    """What a layer keeps about itself, apart from what its own code keeps."""

    def __init__(self) -> None:
        self.name: str | None = None
        # Name and dtype as the constructor got them; the others may come from the model.
        self.given_name: str | None = None
        self.given_dtype: str | None = None
        # The place in the model: names of the layers above and its own, without the model's.
        self.path: str | None = None
        self.seed: int | None = None
        self.given_seed: int | None = None
        self.dtype: str | None = None
        self.trainable = True
        self.built = False
        self.building = False
        self.adopted = False
        # Values that were drawn before the layer came into a model are drawn again there, from
        # the model's seed, unless somebody has set them.
        self.provisional = False
        self.input_shape: Any = None
        self.weights: list[Weight] = []
        self.generators: dict[str, _core.Generator] = {}
        # Random draws that `predict_mc` has made: apart from those of training.
        self.sampled = 0
        # The penalty on the output of the last call that ran in Python.
        self.penalty: Tensor | None = None
        # The number of the latest change of the layer's attributes or structure, and the tree that
        # was walked from here.
        self.version = latest_change()
        self.tree: ModuleTree | None = None

    def changed(self) -> None:
        """Have trees that the layer is in walked again, and watchers told."""
        self.version = count_change()

    def __getstate__(self) -> dict[str, Any]:
        # The last call's graph stays in this process, and so do trees of its layers.
        return {**vars(self), "penalty": None, "tree": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        # Numbers of another process say nothing here.
        self.version = latest_change()
