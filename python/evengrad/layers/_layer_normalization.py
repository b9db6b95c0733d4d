"""Layer normalization."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad import initializers
from evengrad._common.checks import check_float
from evengrad._tensor.normalization import layer_norm
from evengrad.layers._shared import SameShape, Shared, takes_shared

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from evengrad._core import Tensor


class LayerNormalization(SameShape):
    """Give every row mean 0 and variance 1 over its features: gamma · x̂ + beta.

    x̂ = (x − mean) / √(variance + epsilon), with the mean and the (biased) variance of the last
    dimension. Training and inference are the same, and rows do not depend on each other.

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
    name, dtype, trainable
        As for every `Layer`.

    Raises
    ------
    ValueError
        `epsilon` out of bounds, an unknown name. From a call: the last dimension differs from the
        one that the layer was built for.

    Notes
    -----
    Input and output (..., features), `gamma` and `beta` (features,).

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
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        **shared: Unpack[Shared],
    ) -> None:
        super().__init__(**shared)
        self.epsilon = check_float(epsilon, "epsilon", low=0.0, open_high=True)
        self.center = bool(center)
        self.scale = bool(scale)
        self.beta_initializer = initializers.get(beta_initializer, "beta_initializer")
        self.gamma_initializer = initializers.get(gamma_initializer, "gamma_initializer")

    def build(self, input_shape: Any) -> None:
        """Make factor and offset."""
        shape = (input_shape[-1],)
        self.gamma = self.beta = None
        if self.scale:
            self.gamma = self.add_weight("gamma", shape, self.gamma_initializer)
        if self.center:
            self.beta = self.add_weight("beta", shape, self.beta_initializer)

    def call(self, x: Tensor) -> Tensor:  # type: ignore[override]  # no noise: no training
        """Return gamma · x̂ + beta."""
        return layer_norm(x, x.shape[-1], self.gamma, self.beta, self.epsilon)

    def _check_input(self, shape: Any) -> None:
        self._check_features(shape, self._state.input_shape[-1] if self.built else None)
