"""Changes of layers: what they are made with, and what stands before and behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad import initializers
from evengrad._common.config import accepted_names
from evengrad._tensor import activations
from evengrad.constraints import MaxNorm
from evengrad.health._cures_of_tasks import ALPHA_RATE
from evengrad.initializers import Constant, VarianceScaling, Zeros
from evengrad.layers import (
    LSTM,
    Activation,
    AlphaDropout,
    BatchNormalization,
    Dropout,
    GaussianDropout,
    SimpleRNN,
)
from evengrad.layers._activation import Elementwise
from evengrad.layers._dropout import Noise
from evengrad.layers._module import state_of
from evengrad.layers._recurrent import Recurrent
from evengrad.models._activation_advice import LAYERS, Suggestion
from evengrad.models._anatomy import ACTIVATIONS, NORMALIZATIONS, Anatomy
from evengrad.models._layer_change import LayerChange, takes, without

if TYPE_CHECKING:
    from collections.abc import Iterable

    from evengrad.layers._layer import Layer

# An output's bias may begin at the log odds of a rare class, which is never as far out as this.
FARTHEST_BIAS = 10.0
# He's values are too large for ELU by 29 %, and so for others: in more layers than this they make
# signals several times as large, and first values that keep the mean square exactly are chosen.
DEEP = 8
# What zeroes or scales a share of the inputs, whose mean and variance it changes.
DROPOUTS = (Dropout, GaussianDropout)
# The arguments that say how much is dropped.
RATES = ("rate", "dropout", "recurrent_dropout")
# Follows the statistics within a few dozen steps, however short the epochs are.
QUICK_MOMENTUM = 0.9


class Rename(LayerChange):
    """Base of the changes that put a layer of another class in a layer's place."""

    def replaced(self, layer: Layer) -> Layer | None:
        """Return the other layer."""
        if not self.changes(layer):
            return None
        other = self.other(layer)
        self.count += other is not None
        return other

    def other(self, layer: Any) -> Layer | None:
        """Return the layer in the place of one that is to change."""
        raise NotImplementedError


class ChangeInitializer(LayerChange):
    """First values of kernels that suit the activations; biases begin at zero."""

    missing = "the model has no kernels"

    def concerned(self) -> Iterable[Layer]:
        """Return all layers whose kernels train."""
        return [one for one in self.anatomy.layers if takes(one, "kernel_initializer")]

    def refusal(self, layer: Layer) -> str | None:
        """Return why a layer has no first values to be chosen."""
        return without(layer, "kernel_initializer")

    def changed(self, layer: Any) -> dict[str, Any]:
        """Return the initializers."""
        return first_values(self.anatomy, layer, self._kernel(layer))

    def _kernel(self, layer: Layer) -> Any:
        if self.value not in ("auto", "variance_preserving"):
            return initializers.get(self.value, "treatment.value")
        activation = self.anatomy.activation(layer)
        return initializers.for_activation(activation, self.value == "variance_preserving")


class ChangeActivation(Rename):
    """Another activation, and first values of the kernels that suit it."""

    missing = "the model has no hidden layers with an activation"

    def __init__(self, anatomy: Anatomy, chosen: list[Layer], value: Any) -> None:
        super().__init__(anatomy, chosen, value)
        self._make()
        self.targets = applied(anatomy, self.targets.values())
        # Kernels in front of the activations that change.
        self.paired = {
            id(one): one
            for one in anatomy.layers
            if one.trainable and takes(one, "kernel_initializer")
            if self._acts(one) or id(anatomy.applied.get(id(one))) in self.targets
        }

    def _acts(self, layer: Layer) -> bool:
        return id(layer) in self.targets

    def concerned(self) -> Iterable[Layer]:
        """Return the hidden layers that have an activation."""
        return [one for one in self.anatomy.hidden() if self.anatomy.activation(one) is not None]

    def refusal(self, layer: Layer) -> str | None:
        """Return why a layer keeps its activation."""
        if isinstance(layer, Recurrent):
            return "needs an activation with bounds, which it goes through in every step"
        return None if isinstance(layer, Elementwise) else without(layer, "activation")

    def _make(self) -> Any:
        """Return the activation as an argument: a name, or a layer of its own."""
        if self.value in LAYERS:
            return Suggestion(self.value, (), ()).activation
        return activations.get(self.value)

    def changes(self, layer: Layer) -> bool:
        """Tell whether its activation changes, or its kernel with one behind it."""
        return self._acts(layer) or id(layer) in self.paired

    def changed(self, layer: Layer) -> dict[str, Any]:
        """Return the activation, and the initializer that suits it."""
        changed: dict[str, Any] = {"activation": self._make()} if self._acts(layer) else {}
        if id(layer) in self.paired:
            first: Any = initializers.for_activation(self.value)
            if len(self.paired) > DEEP and self.value != "selu":
                first = VarianceScaling(scale_for(self.value), "fan_in")
            changed |= first_values(self.anatomy, layer, first)
        return changed

    def other(self, layer: Any) -> Layer | None:
        """Return the layer in the place of one that is an activation itself."""
        if not isinstance(layer, ACTIVATIONS):
            return None
        state = state_of(layer)
        settings: dict[str, Any] = {"name": state.given_name, "dtype": state.given_dtype}
        if self.value in LAYERS:
            return type(self._make())(**settings)  # type: ignore[no-any-return]  # a layer
        return Activation(self._make(), **settings)


class ChangeHead(ChangeActivation):
    """Another activation of the outputs; weights stay as they are."""

    keeps_weights = True
    missing = "what makes the outputs has no activation to be changed"

    def __init__(self, anatomy: Anatomy, chosen: list[Layer], value: Any) -> None:
        super().__init__(anatomy, chosen, "linear" if value is None else value)
        self.paired = {}

    def concerned(self) -> Iterable[Layer]:
        """Return the layers with kernels, or without, that make outputs."""
        ends = [one for one in self.anatomy.layers if id(one) in self.anatomy.heads]
        return [one for one in ends if isinstance(one, Elementwise) or takes(one, "activation")]


class ChangeUnits(LayerChange):
    """Another number of units: a whole number, or a factor."""

    missing = "the model has no hidden layers with units"

    def __init__(self, anatomy: Anatomy, chosen: list[Layer], value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise TypeError(
                f"treatment.value: expected a number of units, or a factor, got {value!r}"
            )
        super().__init__(anatomy, chosen, value)

    def concerned(self) -> Iterable[Layer]:
        """Return the hidden layers with units."""
        return [one for one in self.anatomy.hidden() if takes(one, "units")]

    def refusal(self, layer: Layer) -> str | None:
        """Return why a layer has no number of units to be changed."""
        return without(layer, "units")

    def changed(self, layer: Any) -> dict[str, Any]:
        """Return the number of units."""
        factor = isinstance(self.value, float)
        return {"units": max(1, round(self.value * layer.units)) if factor else self.value}


class Normalize(LayerChange):
    """Batch normalization between the sums and the activation of layers, which drop their bias."""

    missing = "all layers with an activation are normalized"

    def concerned(self) -> Iterable[Layer]:
        """Return the hidden layers that have an activation and can normalize their sums."""
        return [
            one
            for one in self.anatomy.hidden()
            if self.anatomy.activation(one) is not None and takes(one, "norm")
        ]

    def refusal(self, layer: Layer) -> str | None:
        """Return why a layer does not take a normalization."""
        return without(layer, "norm")

    def changes(self, layer: Any) -> bool:
        """Tell whether the layer is named, and not normalized by now."""
        if not super().changes(layer) or layer.norm is not None:
            return False
        behind = (
            chain[place + 1]
            for chain in self.anatomy.chains
            for place, one in enumerate(chain[:-1])
            if one is layer
        )
        return not any(isinstance(one, NORMALIZATIONS) for one in behind)

    def changed(self, layer: Layer) -> dict[str, Any]:
        """Return the normalization; the bias falls to it."""
        del layer
        norm = BatchNormalization(momentum=QUICK_MOMENTUM)
        return {"norm": norm, "norm_position": "before", "use_bias": None}


class RemoveRegularizers(LayerChange):
    """No penalties on variables and outputs, and no max-norm.

    Where the whole model is meant, a quarter of the dropout, too.
    """

    keeps_weights = True
    missing = "no layer has a regularizer"

    def concerned(self) -> Iterable[Layer]:
        """Return all layers."""
        return self.anatomy.layers

    def changes(self, layer: Layer) -> bool:
        """Tell whether there is anything to remove."""
        return super().changes(layer) and bool(self.changed(layer))

    def changed(self, layer: Layer) -> dict[str, Any]:
        """Return the arguments that are None or smaller now."""
        config = layer.get_config()
        rates = RATES if self.whole and isinstance(layer, (Noise, Recurrent)) else ()
        return {
            name: None
            for name, value in config.items()
            if (name.endswith("_regularizer") and value is not None) or isinstance(value, MaxNorm)
        } | {name: config[name] / 4 for name in rates if config.get(name)}


class ChangeDropout(Rename):
    """Alpha dropout, which keeps mean and variance, in the place of dropout."""

    keeps_weights = True
    keeps_names = False
    missing = "the model has no layers.Dropout"

    def __init__(self, anatomy: Anatomy, chosen: list[Layer], value: Any) -> None:
        # Dropout acts on the layers next to it, so that these may be named as well.
        near = [
            one
            for layer in chosen
            for one in ([layer] if type(layer) in DROPOUTS else anatomy.around(layer))
            if type(one) in DROPOUTS
        ]
        super().__init__(anatomy, near or chosen, value)

    def concerned(self) -> Iterable[Layer]:
        """Return the layers of dropout."""
        return [one for one in self.anatomy.layers if type(one) in DROPOUTS]

    def refusal(self, layer: Layer) -> str | None:
        """Return why a layer stays."""
        return None if type(layer) in DROPOUTS else "is no layers.Dropout, and next to none"

    def other(self, layer: Any) -> Layer | None:
        """Return the layer of alpha dropout."""
        taken = accepted_names(AlphaDropout) or []
        config = {name: value for name, value in layer.get_config().items() if name in taken}
        return AlphaDropout(**{**config, "rate": min(layer.rate, ALPHA_RATE)})


class ChangeToLSTM(Rename):
    """A layer that remembers longer in the place of a plain recurrent one."""

    keeps_names = False
    missing = "the model has no layers.SimpleRNN"

    def concerned(self) -> Iterable[Layer]:
        """Return the plain recurrent layers."""
        return [one for one in self.anatomy.layers if isinstance(one, SimpleRNN)]

    def refusal(self, layer: Any) -> str | None:
        """Return why a layer stays: it is of another kind, or its states are seen."""
        if not isinstance(layer, SimpleRNN):
            return "is no layers.SimpleRNN"
        if layer.return_state or isinstance(state_of(layer).input_shape, list):
            return "takes or returns one state, and layers.LSTM has two"
        return None

    def other(self, layer: Any) -> Layer | None:
        """Return the layer with gates; activation and first values are its own."""
        config = layer.get_config()
        passed_over = ("activation", "return_state")
        kept = {
            name: value
            for name, value in config.items()
            if name not in passed_over and not name.endswith("_initializer")
        }
        return LSTM(**kept)


def first_values(anatomy: Anatomy, layer: Any, kernel: Any) -> dict[str, Any]:
    """Return the initializers of a layer whose kernel is to begin with these values."""
    changed: dict[str, Any] = {"kernel_initializer": kernel}
    if isinstance(layer, Recurrent):
        changed["recurrent_initializer"] = "orthogonal"
    if takes(layer, "bias_initializer") and is_far(anatomy, layer):
        changed["bias_initializer"] = "zeros"
    return changed


def scale_for(activation: Any) -> float:
    """Return the scale of `VarianceScaling` that keeps the mean square behind an activation."""
    try:
        found: Any = initializers.for_activation(activation, variance_preserving=True)
    except ValueError:
        # There is none for functions of whole rows.
        return 1.0
    return float(found.scale)


def is_far(anatomy: Anatomy, layer: Any) -> bool:
    """Tell whether the bias may begin far from zero, without a reason in the data for that."""
    first = layer.bias_initializer
    if id(layer) not in anatomy.heads or not isinstance(first, (Constant, Zeros)):
        return True
    return abs(float(getattr(first, "value", 0.0))) > FARTHEST_BIAS


def applied(anatomy: Anatomy, layers: Iterable[Layer]) -> dict[int, Layer]:
    """Return layers by identity; for one without an activation the one behind it, if it has any."""
    chosen = []
    for layer in layers:
        behind = anatomy.applied.get(id(layer))
        is_bare = behind is not None and anatomy.activation(layer) is behind
        chosen.append(behind if is_bare and behind is not None else layer)
    return {id(layer): layer for layer in chosen}
