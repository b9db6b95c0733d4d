"""Models that are one chain of layers."""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING, Any

from evengrad._common.config import show
from evengrad._common.names import shown_object
from evengrad.layers._call_context import call_context
from evengrad.layers._layer import Layer, build_for, called_without_activation, check_values
from evengrad.layers._module import state_of
from evengrad.layers._symbolic import Input, Symbolic, fits, show_shape
from evengrad.models._model import Model
from evengrad.models._network import made_of_layers

if TYPE_CHECKING:
    from collections.abc import Iterable


@made_of_layers
class Sequential(Model):
    """A chain of layers: each takes the output of the one before.

    Parameters
    ----------
    layers
        The layers in order. An `evengrad.Input` in front says the input shape, so that the
        variables are made at once; without it the first data makes them.
    name
        A name for reports.
    dtype
        ``"float32"`` or ``"float64"`` for all layers that name none.
    seed
        An integer that first values, dropout and shuffling follow from; by default drawn from
        `evengrad.utils.set_random_seed`, or from the system if that was not called.

    Raises
    ------
    TypeError
        An item that is no layer.
    ValueError
        Two layers of one name; from the first data: shapes that do not fit, with the layer's name.

    Examples
    --------
    >>> model = eg.Sequential([eg.Input((4,)), eg.layers.Dense(3, "relu"), eg.layers.Dense(2)])
    >>> model.predict(np.zeros((5, 4))).shape
    (5, 2)
    >>> model
    Sequential([Input((4,)), Dense(3, activation='relu'), Dense(2)])
    """

    def __init__(
        self,
        layers: Any = None,
        *,
        name: str | None = None,
        dtype: Any = None,
        seed: int | None = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype, seed=seed)
        self._layers: list[Layer] = []
        self._append([] if layers is None else layers)
        self._build_at_once()

    def add(self, layer: Layer) -> None:
        """Append a layer.

        Examples
        --------
        >>> model = eg.Sequential()
        >>> model.add(eg.layers.Dense(2))
        >>> len(model.layers)
        1
        """
        self._append([layer])
        self._build_anew()

    def pop(self) -> Layer:
        """Remove the last layer and return it.

        Raises
        ------
        IndexError
            There is none.

        Examples
        --------
        >>> model = eg.Sequential([eg.Input((3,)), eg.layers.Dense(4), eg.layers.Dense(2)])
        >>> model.pop(), model.output_shape
        (Dense(2), (None, 4))
        """
        if not self._layers:
            raise IndexError("pop: the model has no layers")
        layer = self._layers.pop()
        self._state.changed()
        self._build_anew()
        return layer

    def _append(self, layers: Iterable[Any]) -> None:
        """Check that items are layers, in the chain once and with names of their own; add them."""
        here = {id(layer) for layer in self._layers}
        names = {state_of(layer).given_name for layer in self._layers} - {None}
        for layer in layers:
            if isinstance(layer, Symbolic):
                if self._layers or self._input is not None:
                    raise ValueError("layers: expected Input in the first place, and once")
                self._input = layer
                continue
            if not isinstance(layer, Layer):
                raise TypeError(f"layers: expected layers, got {shown_object(layer)}")
            if id(layer) in here:
                raise ValueError(
                    f"layers: {layer.name!r} is in the chain twice; to use one layer twice draw a "
                    "graph with evengrad.Model(inputs, outputs)"
                )
            given = state_of(layer).given_name
            if given in names:
                raise ValueError(
                    f"layers: two layers are named {given!r}; names are unique in a model"
                )
            here.add(id(layer))
            names |= {given} - {None}
            self._layers.append(layer)
        self._state.changed()

    def _build_anew(self) -> None:
        self._forget_build()
        self._build_at_once()

    def _build_at_once(self) -> None:
        if self._input is not None and self._layers and not self.built:
            if self._state.dtype is None:
                self._state.dtype = self._input.dtype
            if type(self).call is Sequential.call:
                self._build_for(self._input.shape)
            else:
                # What a `call` of its own uses besides is not there yet: data will build it.
                self._adopt_children()
                self._build_chain(self._input.shape)

    def _draw_chain(self) -> None:
        """Draw the graph of the chain, where it has changed since it was drawn."""
        if type(self).call is not Sequential.call or not self._layers:
            return
        known = [id(layer) for layer in self._layers]
        if self._drawn is not None and self._drawn[0] == known:
            return
        symbol: Any = self._input
        if symbol is None and self.built and isinstance(self._state.input_shape, tuple):
            symbol = Input(self._state.input_shape[1:], self.dtype)
        if symbol is None:
            return
        first = symbol
        for layer in self._layers:
            state_of(layer).use = None
            symbol = layer(symbol)
        self._drawn = known, first, symbol

    def _ends_drawn(self) -> tuple[list[Symbolic], list[Symbolic]] | None:
        if type(self).call is not Sequential.call:
            return super()._ends_drawn()
        self._draw_chain()
        if self._drawn is None:
            return None
        _, first, last = self._drawn
        return [first], last if isinstance(last, list) else [last]

    def _children(self) -> list[tuple[str, Layer]]:
        chain = list(zip(itertools.repeat(""), self._layers, strict=False))
        return chain if type(self).call is Sequential.call else self._with_attributes(chain)

    def build(self, input_shape: Any) -> None:
        """Build the layers one after the other; see `Model.build`."""
        if self._state.building != threading.get_ident():
            self._build_for(self._shapes(input_shape))
            return
        if type(self).call is not Sequential.call:
            super().build(input_shape)
            return
        if not self._layers:
            raise ValueError(f"{self.path}: expected at least one layer; add one")
        shape = self._build_chain(input_shape)
        self._output_shapes = shape if isinstance(shape, list) else [shape]

    def _build_chain(self, shape: Any) -> Any:
        """Build the layers one after the other, and return the shape of the last one's output."""
        for layer in self._layers:
            build_for(layer, shape)
            shape = layer.compute_output_shape(shape)
        return shape

    def _check_input(self, shape: Any) -> None:
        if self._state.built:
            super()._check_input(shape)
        elif self._input is not None and not fits(shape, self._input.shape):
            raise self._story(
                f"an input of shape {show_shape(self._input.shape)}, as its Input says",
                shape,
                "pass data of that shape or change the Input",
            )

    def _check_values(self, values: Any) -> None:
        if type(self).call is Sequential.call:
            check_values(self._layers[0], values)

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Return the output of the last layer.

        `training` holds for all layers; by default that of the call around.
        """
        before = call_context.training
        if training is not None:
            call_context.training = bool(training)
        try:
            for layer in self._layers:
                x = layer(x)
        finally:
            call_context.training = before
        return x

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the last layer's output shape."""
        if type(self).call is not Sequential.call:
            return super().compute_output_shape(input_shape)
        shape = input_shape
        for layer in self._layers:
            shape = layer.compute_output_shape(shape)
        return shape

    @property
    def final_activation(self) -> str | None:
        """The name of the activation that the last layer ends in."""
        if not self._layers or type(self).call is not Sequential.call:
            return None
        return self._layers[-1].final_activation

    def call_without_activation(self, x: Any) -> Any:
        """Return the output before the last layer's activation."""
        for layer in self._layers[:-1]:
            x = layer(x)
        return called_without_activation(self._layers[-1], x)

    def _chain(self) -> list[Layer] | None:
        return list(self._layers) if type(self).call is Sequential.call else None

    def _ends(self) -> tuple[list[Layer] | None, list[Layer]]:
        if type(self).call is not Sequential.call:
            return super()._ends()
        return self._layers[:1], self._layers[-1:]

    def _heads(self) -> list[Layer | None]:
        is_one = type(self).call is Sequential.call and len(self._output_shapes) == 1
        return [self] if is_one else super()._heads()

    def _run(self, inputs: list[Any], without_activation: list[bool]) -> list[Any]:
        if type(self).call is not Sequential.call:
            return super()._run(inputs, without_activation)
        x = inputs if len(inputs) > 1 else inputs[0]
        output = self.call_without_activation(x) if without_activation[0] else self.call(x)
        return list(output) if isinstance(output, (list, tuple)) else [output]

    def __repr__(self) -> str:
        items = [] if self._input is None else [f"Input({self._input.shape[1:]})"]
        items += [repr(layer) for layer in self._layers]
        shown = [f"{name}={show(v)}" for name, v in self._shown().items() if name != "layers"]
        return f"Sequential([{', '.join(items)}]{''.join(', ' + item for item in shown)})"
