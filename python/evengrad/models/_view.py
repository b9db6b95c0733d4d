"""What training sees of a model: the view from within that its protocol asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad.layers._layer import build_for
from evengrad.layers._module import ModuleTree, module_tree, seed_of, state_of
from evengrad.models._network import graph_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from evengrad._core import Generator, Tensor
    from evengrad.layers import Layer
    from evengrad.models._model import Model
    from evengrad.training._objective import CompileConfig


class ModelView:
    """A model as `training._protocol.TrainableModel`, made of the model's own methods.

    Parameters
    ----------
    public
        The model that users hold.
    graph_inputs
        The symbolic inputs of a model that was drawn; None of any other.
    methods
        The methods of the model that bear their names here.
    """

    def __init__(
        self, public: Model, graph_inputs: list[Any] | None, **methods: Callable[..., Any]
    ) -> None:
        self.public = public
        self._graph_inputs = graph_inputs
        self.heads: Callable[[], list[Layer | None]] = methods["heads"]
        self.forward: Callable[..., list[Tensor]] = methods["forward"]
        self.answer: Callable[[np.ndarray[Any, Any]], Tensor | None] = methods["answer"]
        self.shuffle: Callable[[], Generator] = methods["shuffle"]
        self.config: Callable[[], CompileConfig] = methods["config"]
        self.set_seed: Callable[[int], None] = methods["set_seed"]
        self.check_values: Callable[[Any], None] = methods["check_values"]
        self.compute_output_shape: Callable[[Any], Any] = public.compute_output_shape

    @property
    def path(self) -> str:
        """What messages call the model."""
        return self.public.path

    @property
    def dtype(self) -> str:
        """What it computes with."""
        return self.public.dtype

    @property
    def input_names(self) -> list[str] | None:
        """Names of the inputs; None where the model takes what it is given."""
        inputs = self._graph_inputs
        if inputs is None:
            return None
        if len(inputs) == 1:
            return [inputs[0].name or "input"]
        return [symbol.name or f"input_{i + 1}" for i, symbol in enumerate(inputs)]

    @property
    def input_shape(self) -> Any:
        """The shape that it was built for, or a list of them; rows as None."""
        return state_of(self.public).input_shape

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs."""
        return self.public.output_names

    @property
    def output_shapes(self) -> list[Any]:
        """Shapes of the outputs, rows as None."""
        shape = self.public.output_shape
        return shape if isinstance(shape, list) else [shape]

    @property
    def tree(self) -> ModuleTree:
        """All layers and variables."""
        return module_tree(self.public)

    def build_for(self, shape: Any) -> None:
        """Build the model for inputs of this shape, or check that they fit."""
        build_for(self.public, shape)

    def edges(self) -> list[str]:
        """Return the edges of the graphs that the model and those inside it were drawn as."""
        found = []
        for prefix, layer in self.tree.layers:
            graph = graph_of(layer)
            if graph is not None:
                found += [f"{prefix}{edge}" for edge in graph.edges()]
        return found

    def seed(self) -> int:
        """Return the seed that the model's random streams follow from."""
        return seed_of(self.public)

    def given_seed(self) -> int | None:
        """Return the seed that the user gave."""
        return state_of(self.public).given_seed
