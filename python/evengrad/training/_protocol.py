"""What training, evaluation and prediction need of a model: protocols that models fulfil.

Files of this folder know models by these alone, so that the import graph has no cycle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from evengrad._core import Generator, Tensor
    from evengrad.callbacks import Callback, History
    from evengrad.health._examination import LayerFacts
    from evengrad.health._watch import Uses
    from evengrad.layers._layer import Layer
    from evengrad.layers._module import ModuleTree
    from evengrad.optimizers import Optimizer
    from evengrad.training._compile_config import CompileConfig

    Array = np.ndarray[Any, Any]


class DataDtypes(Protocol):
    """The dtypes of data."""

    @property
    def inputs(self) -> str:
        """What inputs come in."""

    @property
    def outputs(self) -> str:
        """What targets and weights come in."""


class Settings(Protocol):
    """The arguments that a model was compiled with."""

    def described(self) -> dict[str, str]:
        """Return the arguments as text, by name."""

    def thresholds(self) -> list[float | None]:
        """Return above what each output says yes; None where its loss does not ask yes or no."""


class PublicModel(Protocol):
    """What callbacks see of a model."""

    history: History
    stop_training: bool
    stop_evaluating: bool
    stop_predicting: bool
    feature_names_in_: list[Any] | None
    steps_per_execution: int

    @property
    def name(self) -> str:
        """The model's name."""

    @property
    def path(self) -> str:
        """What messages call it."""

    @property
    def built(self) -> bool:
        """Whether the variables exist."""

    @property
    def layers(self) -> list[Layer]:
        """The layers, without those inside other layers."""

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer that it was compiled with."""

    @property
    def trainable_weights(self) -> list[Tensor]:
        """The variables that training changes."""

    @property
    def gradual_pruning(self) -> Callback | None:
        """What prunes it while it trains, if anything does."""

    def prune(self, sparsity: float, scope: str = "global", *, pattern: Any = None) -> Any:
        """Have the smallest weights be zero for good."""

    def metric_directions(self) -> dict[str, str | None]:
        """Return which figures of its training are better larger, and which smaller."""

    def predict(self, x: Any) -> Any:
        """Return the outputs for data."""

    def summary(self, print_fn: Any = None) -> Any:
        """Print a table of the layers, and return it."""

    def get_weights(self) -> list[Array]:
        """Return copies of all variables."""

    def set_weights(self, weights: list[Array]) -> None:
        """Replace the values of all variables."""

    def freeze(self, pattern: Any = None) -> list[str]:
        """Freeze layers."""

    def unfreeze(
        self, pattern: Any = None, learning_rate: float | None = None, *, decay: float = 1.0
    ) -> list[str]:
        """Unfreeze layers."""

    def save(self, path: Any) -> None:
        """Write the whole model to a file."""

    def save_weights(self, path: Any) -> None:
        """Write all variables to a file."""


class FrozenPart(Protocol):
    """The layers whose outputs are the same in each epoch, and the way on from there."""

    tensors: list[Tensor]
    has_code_of_users: bool

    def compute(self, inputs: list[Tensor], training: bool) -> list[Tensor]:
        """Return what the rest of the model takes from it, for rows."""

    def resume(
        self, tensors: list[Tensor], training: bool, without_activation: list[bool]
    ) -> list[Any]:
        """Return the outputs of the model for what `compute` returned."""

    def described(self) -> dict[str, str]:
        """Return what its outputs follow from, beside the data."""

    def is_current(self) -> bool:
        """Tell whether it is still the frozen part, with the same variables and settings."""


class TrainableModel(Protocol):
    """A model from within: its structure, its forward pass, its random streams."""

    @property
    def public(self) -> PublicModel:
        """What users hold, and what their callbacks get."""

    @property
    def path(self) -> str:
        """What messages call the model."""

    @property
    def dtypes(self) -> DataDtypes:
        """What inputs come in, and targets and weights: as the layers there compute."""

    @property
    def input_names(self) -> list[str] | None:
        """Names of the inputs; None where the model takes what it is given."""

    @property
    def input_shape(self) -> Any:
        """The shape that it was built for, or a list of them; rows as None."""

    def flat_inputs(self, x: Any) -> Any:
        """Return inputs in a dict or nested lists as a list; others as they are."""

    def flat_targets(self, y: Any) -> Any:
        """Return targets in nested lists or dicts, as the outputs lie, as a list."""

    def packed_inputs(self, inputs: list[Any]) -> Any:
        """Return inputs as the model takes them: one, a list, or in their structure."""

    def packed_outputs(self, outputs: list[Any]) -> Any:
        """Return outputs as the model returns them: one, a list, or in their structure."""

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs."""

    @property
    def output_shapes(self) -> list[Any]:
        """Shapes of the outputs, rows as None."""

    @property
    def tree(self) -> ModuleTree:
        """All layers and variables."""

    def described(self, config: CompileConfig) -> tuple[dict[str, Array], dict[str, str]]:
        """Return the arrays and the metadata of a file of the model, trained by these arguments."""

    def layer_facts(self, seen: Uses | None = None) -> list[tuple[Layer, LayerFacts]]:
        """Return the layers that are watched, with what is known of each before it runs.

        What code of users does with them is known as far as a pass was seen.
        """

    def build_for(self, shape: Any) -> None:
        """Build the model for inputs of this shape, or check that they fit."""

    def check_values(self, values: Any) -> None:
        """Raise an error where data that comes straight to a layer is wrong."""

    def compute_output_shape(self, shape: Any) -> Any:
        """Return the shapes of the outputs for inputs of a shape."""

    def heads(self) -> list[Layer | None]:
        """Return, for each output, the layer whose activation a loss may fuse with."""

    @property
    def own_steps(self) -> tuple[str, ...]:
        """Methods of the class that Keras would call, and nothing here does."""

    @property
    def own_loss(self) -> Callable[..., Tensor] | None:
        """The class's own `compute_loss`, if it writes one."""

    def forward(
        self, inputs: list[Tensor], training: bool, without_activation: list[bool]
    ) -> list[Tensor]:
        """Return the outputs; where asked, before the final activation."""

    def frozen_part(self, inputs: list[Tensor]) -> FrozenPart:
        """Return the frozen part, tried on a few rows, or raise an error that says why not."""

    def answer(self, x: Array) -> Tensor | None:
        """Return the output from a captured inference, where there is one."""

    def answer_each(self, x: Array, rows: int, out: Array) -> bool:
        """Write the outputs for inputs of so many rows each, where their inference is captured."""

    def edges(self) -> list[str]:
        """Return the edges of the graphs that the model and those inside it were drawn as."""

    def seed(self) -> int:
        """Return the seed that the model's random streams follow from."""

    def given_seed(self) -> int | None:
        """Return the seed that the user gave."""

    def set_seed(self, seed: int) -> None:
        """Follow another seed from now on, where the user gave none."""

    def shuffle(self) -> Generator:
        """Return the stream that draws the order of each epoch."""

    def config(self) -> CompileConfig:
        """Return the arguments of `compile`, or raise an error where it was not called."""

    def with_config(self, config: CompileConfig) -> TrainableModel:
        """Return the model with other arguments of `compile`."""
