"""Layer normalization."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from evengrad import constraints, initializers, regularizers
from evengrad._common.checks import check_float
from evengrad._tensor.axes import check_axes, counted_from_left, over_axes
from evengrad._tensor.normalization import layer_norm
from evengrad.layers._shared import SameShape, Shared, takes_shared

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from evengrad._common.choices import Choice
    from evengrad._core import Tensor


class LayerNormalization(SameShape):
    """Give every row mean 0 and variance 1 over its features: gamma · x̂ + beta.

    x̂ = (x − mean) / √(variance + epsilon), with the mean and the (biased) variance of the last
    dimension, or of those of `axis` together. Training and inference are the same, and rows do not
    depend on each other.

    Parameters
    ----------
    epsilon
        Added to the variance; 0 or more.
    center
        Whether there is an offset, `beta`.
    scale
        Whether there is a factor, `gamma`.
    beta_initializer, gamma_initializer
        A name from `evengrad.initializers`, an initializer, or a function of shape and dtype.
    axis
        The dimension that is normalized, or several that are together; not 0, the rows.
    beta_regularizer, gamma_regularizer, beta_constraint, gamma_constraint
        As those of `Dense`, for offset and factor.
    name, dtype, trainable
        As for every `Layer`.

    Raises
    ------
    ValueError
        `epsilon` out of bounds, `axis` holds 0, an unknown name. From a call: a dimension that is
        normalized is missing, or differs from the one that the layer was built for.

    Notes
    -----
    Input and output (..., features), `gamma` and `beta` (features,); with several dimensions their
    sizes, in the order of the input.

    References
    ----------
    Ba, Kiros and Hinton, "Layer normalization", 2016.

    Examples
    --------
    >>> layer = eg.layers.LayerNormalization(epsilon=0.0)
    >>> layer([[0.0, 2.0], [10.0, -30.0]]).tolist()
    [[-1.0, 1.0], [1.0, -1.0]]
    """

    gamma: Tensor | None
    beta: Tensor | None

    @takes_shared
    def __init__(
        self,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Choice = "zeros",
        gamma_initializer: Choice = "ones",
        *,
        axis: Any = -1,
        beta_regularizer: Choice | None = None,
        gamma_regularizer: Choice | None = None,
        beta_constraint: Choice | None = None,
        gamma_constraint: Choice | None = None,
        **shared: Unpack[Shared],
    ) -> None:
        super().__init__(**shared)
        self.epsilon = check_float(epsilon, "epsilon", low=0.0, open_high=True)
        self.center = bool(center)
        self.scale = bool(scale)
        self.beta_initializer = initializers.get(beta_initializer, "beta_initializer")
        self.gamma_initializer = initializers.get(gamma_initializer, "gamma_initializer")
        self._axes = check_axes(axis)
        self.axis = axis
        self.beta_regularizer = regularizers.get(beta_regularizer, "beta_regularizer")
        self.gamma_regularizer = regularizers.get(gamma_regularizer, "gamma_regularizer")
        self.beta_constraint = constraints.get(beta_constraint, "beta_constraint")
        self.gamma_constraint = constraints.get(gamma_constraint, "gamma_constraint")

    def build(self, input_shape: Any) -> None:
        """Make factor and offset."""
        shape = self._sizes(input_shape)
        self.gamma = self.beta = None
        if self.scale:
            self.gamma = self.add_weight(
                "gamma",
                shape,
                self.gamma_initializer,
                regularizer=self.gamma_regularizer,
                constraint=self.gamma_constraint,
            )
        if self.center:
            self.beta = self.add_weight(
                "beta",
                shape,
                self.beta_initializer,
                regularizer=self.beta_regularizer,
                constraint=self.beta_constraint,
            )

    def _sizes(self, shape: Any) -> tuple[Any, ...]:
        """Return the sizes of the dimensions that are normalized."""
        return tuple(shape[axis] for axis in counted_from_left(self._axes, len(shape)))

    def call(self, x: Tensor) -> Tensor:  # type: ignore[override]  # no noise: no training
        """Return gamma · x̂ + beta."""
        sizes = self._sizes(x.shape)
        if len(sizes) == 1 and self._axes[0] in (-1, x.ndim - 1):
            return layer_norm(x, sizes, self.gamma, self.beta, self.epsilon)
        width = math.prod(sizes)
        gamma, beta = (
            None if one is None else one.reshape(width) for one in (self.gamma, self.beta)
        )
        return over_axes(
            x, self._axes, lambda rows: layer_norm(rows, width, gamma, beta, self.epsilon)
        )

    def _check_input(self, shape: Any) -> None:
        built_for = self._state.input_shape if self.built else None
        if self._axes == [-1]:
            self._check_features(shape, None if built_for is None else built_for[-1])
            return
        self._check_single(shape)
        missing = any(not -len(shape) < axis < len(shape) for axis in self._axes)
        if missing or None in self._sizes(shape):
            raise self._story(
                f"an input with dimensions {self.axis} of known sizes", shape, "choose axis=-1"
            )
        if built_for is not None and self._sizes(shape) != self._sizes(built_for):
            raise self._story(
                f"an input of {self._sizes(built_for)} in dimensions {self.axis}",
                shape,
                "the layer was built for these sizes: pass them, or make a new layer",
            )


def is_over_last(layer: LayerNormalization, ndim: int) -> bool:
    """Tell whether the last of so many dimensions is normalized, and no other."""
    return counted_from_left(layer._axes, ndim) == [ndim - 1]  # noqa: SLF001 - its class is public, this is not
