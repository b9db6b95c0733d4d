"""Maxout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evengrad import _core, constraints, initializers, regularizers
from evengrad._common.checks import check_int
from evengrad.layers._dense import Affine
from evengrad.layers._shared import Shared, takes_shared

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from evengrad._common.choices import Choice
    from evengrad._core import Tensor


class Maxout(Affine):
    """Every output is the largest of several weighted sums: max over k of (x · kernel_k + bias_k).

    Each unit learns its own convex activation, of `pieces` straight lines.

    Parameters
    ----------
    units
        The number of outputs.
    pieces
        The number of sums that each output is the largest of.
    use_bias
        Whether there is a bias.
    kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer, kernel_constraint, \
bias_constraint
        As those of `Dense`.
    name, dtype, trainable
        As for every `Layer`.

    Raises
    ------
    ValueError
        `units` or `pieces` below 1; an unknown name. From a call: the last dimension differs from
        the one that the layer was built for.

    Notes
    -----
    Input (..., in), kernel (in, pieces · units), bias (pieces · units,), output (..., units). The
    first `units` columns of the kernel are the first pieces of all units, and so on. Where
    several sums are the largest, they share the gradient equally.

    References
    ----------
    Goodfellow et al., "Maxout networks", 2013.

    Examples
    --------
    The absolute value, as the larger of x and −x:

    >>> layer = eg.layers.Maxout(1, pieces=2)
    >>> layer.build((None, 1))
    >>> layer.set_weights([[[1.0, -1.0]], [0.0, 0.0]])
    >>> layer([[-3.0], [2.0]]).tolist()
    [[3.0], [2.0]]
    """

    @takes_shared
    def __init__(
        self,
        units: int,
        pieces: int = 2,
        use_bias: bool = True,
        kernel_initializer: Choice = "glorot_uniform",
        bias_initializer: Choice = "zeros",
        kernel_regularizer: Choice | None = None,
        bias_regularizer: Choice | None = None,
        kernel_constraint: Choice | None = None,
        bias_constraint: Choice | None = None,
        **shared: Unpack[Shared],
    ) -> None:
        super().__init__(**shared)
        self.units = check_int(units, "units", at_least=1)
        self.pieces = check_int(pieces, "pieces", at_least=1)
        self.use_bias = bool(use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer, "kernel_initializer")
        self.bias_initializer = initializers.get(bias_initializer, "bias_initializer")
        self.kernel_regularizer = regularizers.get(kernel_regularizer, "kernel_regularizer")
        self.bias_regularizer = regularizers.get(bias_regularizer, "bias_regularizer")
        self.kernel_constraint = constraints.get(kernel_constraint, "kernel_constraint")
        self.bias_constraint = constraints.get(bias_constraint, "bias_constraint")

    def call(self, x: Tensor) -> Tensor:  # type: ignore[override]  # no noise: no training
        """Return the largest sums."""
        vectors = x if x.ndim == 2 else x.reshape(-1, x.shape[-1])
        sums = _core.dense(vectors, self.kernel, self.bias)
        # The pieces of a unit lie `units` apart: the largest are found many units at a time.
        largest = sums.reshape(vectors.shape[0], self.pieces, self.units).amax(1)
        return largest if x.ndim == 2 else largest.reshape(*x.shape[:-1], self.units)
