"""Layers of ours as layers of Keras'; one of ours may be several there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import layers
from evengrad._common.config import name_of
from evengrad.layers import Layer
from evengrad.layers._module import state_of
from evengrad.layers._preprocessing import ROUNDING
from evengrad.layers._random_images import RandomImages
from evengrad.models._keras._activations import OUR_SLOPE, word_of
from evengrad.models._keras._images import settle_arguments, with_channel
from evengrad.models._keras._objects import listed, written
from evengrad.models._keras._rows import BY_KIND, ROWS
from evengrad.models._keras._written import Variable, Written
from evengrad.saving._keras._described import NoCounterpartError
from evengrad.saving._keras._variables import VARIABLES

if TYPE_CHECKING:
    from evengrad._common.arrays import Array
    from evengrad.models._keras._rows import Row

# What keeps each layer's first values out of a file: they are behind it.
ENDINGS = ("_initializer", "_regularizer", "_constraint")


class Writer:
    """Makes layers of Keras' of layers of ours.

    Attributes
    ----------
    notes
        What has no counterpart in Keras and changes no output.
    """

    def __init__(self) -> None:
        self.notes: list[str] = []

    def steps(self, layer: Layer) -> list[Written]:
        """Return the layers of Keras' that compute what one of ours does, one after the other."""
        kind: Any = type(layer)
        given: Any = layer
        if kind is layers.Dense:
            return self._dense(given)
        if kind is layers.Activation:
            return self.activation(layer, layer.name, given.activation)
        if kind is layers.Maxout:
            return self._maxout(given)
        if kind is layers.GaussianNoise and (given.by_column or isinstance(given.stddev, list)):
            raise self.refused(
                layer,
                "with deviations of columns has no counterpart in Keras; take one stddev for all",
            )
        if layer.stateful:
            raise self.refused(
                layer, "with stateful=True is not written yet; write a copy without it"
            )
        if kind not in BY_KIND:
            raise self.refused(layer, self._advice(layer))
        if isinstance(layer, layers.Normalization):
            return [self._normalization(layer)]
        if isinstance(layer, RandomImages):
            return self._images(layer)
        return [self._plain(layer)]

    def refused(self, layer: Layer, reason: str) -> ValueError:
        """Return the error about a layer that Keras has not."""
        return ValueError(f"{layer.path}: {type(layer).__name__} {reason}")

    @staticmethod
    def _advice(layer: Layer) -> str:
        if isinstance(layer, layers.RReLU):
            mean = (layer.lower + layer.upper) / 2
            return (
                "has no counterpart in Keras; in inference "
                f"layers.LeakyReLU(negative_slope={mean:.6g}) computes the same"
            )
        if isinstance(layer, (layers.MixUp, layers.SwapNoise)):
            return (
                "has no counterpart in Keras; in inference it changes nothing: save "
                f"model.replace({layer.name!r}, layers.Activation('linear'))"
            )
        return (
            "has no counterpart in Keras; put layers that Keras has in its place, or write a "
            ".safetensors file"
        )

    def _plain(self, layer: Layer, **changes: Any) -> Written:
        """Return the layer of Keras' that stands for one of ours alone."""
        kind = BY_KIND[type(layer)]
        config = {**self._config(layer, kind, ROWS[kind]), **changes}
        return Written(kind, layer.name, config, self._variables(layer, kind), _place(kind))

    def _config(self, layer: Layer, kind: str, row: Row) -> dict[str, Any]:
        config: dict[str, Any] = {"dtype": layer.dtype}
        if not layer.trainable:
            config["trainable"] = False
        for name in row.arguments:
            config[name] = listed(getattr(layer, name))
        for name in row.activations:
            config[name] = self._word(layer, name)
        for name in row.objects:
            self._add_object(layer, name, config)
        if kind == "BatchNormalization" and layer.convention == "torch":  # type: ignore[attr-defined]
            # There it is the weight of the new value.
            config["momentum"] = 1.0 - config["momentum"]
        if kind == "PReLU":
            config["shared_axes"] = self._shared_axes(layer)
        return config

    def _word(self, layer: Layer, name: str) -> str:
        activation = getattr(layer, name)
        word = word_of(activation)
        if word is None:
            shown = name_of(activation) or repr(activation)
            raise self.refused(
                layer, f"with {name}={shown} has no counterpart in Keras; take another activation"
            )
        return word

    def _add_object(self, layer: Layer, name: str, config: dict[str, Any]) -> None:
        """Add an initializer, a regularizer or a constraint; note one that Keras has not."""
        value = getattr(layer, name, None)
        if value is None:
            return
        family = f"{name.rpartition('_')[2]}s"
        try:
            config[name] = written(value, family)
        except NoCounterpartError as error:
            if family != "initializers":
                self.notes.append(f"{layer.path}: {name}: {error}")

    @staticmethod
    def _shared_axes(layer: Any) -> list[int] | None:
        shape = state_of(layer).input_shape[1:]
        if layer.shared_axes is None:
            return list(range(1, len(shape) + 1)) if layer.convention == "torch" else None
        return list(layer.shared_axes) or None

    def _variables(self, layer: Layer, kind: str) -> list[Variable]:
        own = {weight.name: weight.tensor for weight in state_of(layer).weights}
        names = [name for name in VARIABLES[kind].names if name in own] if own else []
        return [
            Variable(np.asarray(own[name].detach().numpy()), f"{layer.path}/{name}", own[name])
            for name in names
        ]

    def _images(self, layer: RandomImages) -> list[Written]:
        """Return a layer of augmentation, around which images get a channel axis."""
        step = self._plain(layer)
        if layer.seed is not None:
            step.config["seed"] = layer.seed
        note = settle_arguments(layer, step.config)
        if note is not None:
            self.notes.append(f"{layer.path}: {note}")
        steps = with_channel(step, state_of(layer).input_shape)
        if steps is None:
            raise self.refused(
                layer,
                "on images without channels, whose height and width are open, has no counterpart "
                "in Keras, which takes them for one image; give the model's input its sizes, or "
                "images a channel axis",
            )
        return steps

    def _normalization(self, layer: layers.Normalization) -> Written:
        """Return the layer with its statistics as variables; what counts as 1 here is 1 there."""
        step = self._plain(layer)
        step.config.pop("mean")
        step.config.pop("variance")
        mean, variance = step.variables
        constant = np.sqrt(variance.values) <= np.abs(mean.values) * ROUNDING
        values: Array = np.where(constant, variance.values.dtype.type(1), variance.values)
        step.variables = [
            mean,
            variance._replace(values=values),
            Variable(np.zeros((), np.int32)),
        ]
        return step

    def _dense(self, layer: layers.Dense) -> list[Written]:
        word = word_of(layer.activation)
        before = layer.norm is not None and layer.norm_position == "before"
        inline = word is not None and not before
        row = ROWS["Dense"]
        config = self._config_of_dense(layer, row, word if inline and word else "linear")
        steps = [Written("Dense", layer.name, config, self._variables(layer, "Dense"))]
        norm = [] if layer.norm is None else self._inner(layer, layer.norm)
        activation = []
        if not inline:
            name = f"{layer.name}_activation"
            activation = self.activation(layer, name, layer.activation)
        return [*steps, *norm, *activation] if before else [*steps, *activation, *norm]

    def _config_of_dense(self, layer: layers.Dense, row: Row, word: str) -> dict[str, Any]:
        config: dict[str, Any] = {"dtype": layer.dtype, "units": layer.units}
        config |= {"activation": word, "use_bias": layer.use_bias}
        if not layer.trainable:
            config["trainable"] = False
        for name in row.objects:
            self._add_object(layer, name, config)
        return config

    def _inner(self, outer: Layer, inner: Layer) -> list[Written]:
        """Return the steps of a layer inside another one, with names of their own."""
        steps = self.steps(inner)
        for step in steps:
            step.name = f"{outer.name}_{step.name}"
        return steps

    def activation(self, layer: Layer, name: str, activation: Any) -> list[Written]:
        """Return the steps that apply an activation."""
        dtype = {"dtype": layer.dtype}
        if isinstance(activation, Layer):
            steps = self.steps(activation)
            for place, step in enumerate(steps):
                step.name = name if place == 0 else f"{name}_{place}"
            return steps
        word = word_of(activation)
        if word is not None:
            return [Written("Activation", name, {**dtype, "activation": word})]
        known = name_of(activation)
        if known == "leaky_relu":
            return [Written("LeakyReLU", name, {**dtype, "negative_slope": OUR_SLOPE})]
        if known == "hard_tanh":
            return [
                Written("Rescaling", name, {**dtype, "scale": 1.0, "offset": 1.0}),
                Written("ReLU", f"{name}_clip", {**dtype, "max_value": 2.0}),
                Written("Rescaling", f"{name}_back", {**dtype, "scale": 1.0, "offset": -1.0}),
            ]
        raise self.refused(
            layer,
            f"with activation={known or repr(activation)} has no counterpart in Keras; take "
            "another activation",
        )

    def _maxout(self, layer: layers.Maxout) -> list[Written]:
        """Return a wide layer, and the largest of each unit's pieces."""
        if len(state_of(layer).input_shape) != 2:
            raise self.refused(
                layer, "on sequences has no counterpart in Keras; put a Dense layer in its place"
            )
        dtype, name = {"dtype": layer.dtype}, layer.name
        config: dict[str, Any] = {
            **dtype,
            "units": layer.units * layer.pieces,
            "activation": "linear",
            "use_bias": layer.use_bias,
        }
        if not layer.trainable:
            config["trainable"] = False
        for one in ROWS["Dense"].objects:
            self._add_object(layer, one, config)
        shape = [layer.pieces, layer.units]
        largest = {**dtype, "data_format": "channels_last"}
        return [
            Written("Dense", name, config, self._variables(layer, "Dense")),
            Written("Reshape", f"{name}_pieces", {**dtype, "target_shape": shape}),
            Written("GlobalMaxPooling1D", f"{name}_largest", largest),
        ]


def _place(kind: str) -> str:
    return VARIABLES[kind].place if kind in VARIABLES else ""
