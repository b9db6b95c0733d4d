"""Layers that leave numbers as they are: the same, in another order, or penalized."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad import regularizers
from evengrad._common.checks import check_float, check_int
from evengrad.layers._layer import Layer
from evengrad.layers._shared import SameShape, Shared, takes_shared

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from evengrad._core import Tensor


class Identity(SameShape):
    """Return the input as it is: a placeholder for a layer.

    Parameters
    ----------
    name, dtype, trainable
        As for every `Layer`.

    Notes
    -----
    Input (rows, ...), any shape; the output has the same.

    Examples
    --------
    >>> eg.layers.Identity()([[1.0, 2.0]]).tolist()
    [[1.0, 2.0]]
    """

    def call(self, x: Tensor) -> Tensor:  # type: ignore[override]  # no noise: no training
        """Return x."""
        return x


class ActivityRegularization(SameShape):
    """Return the input as it is, and penalize it: l1 · Σ|x| + l2 · Σx², a mean over the rows.

    Parameters
    ----------
    l1, l2
        The weights of the penalties, 0 or more.
    name, dtype, trainable
        As for every `Layer`.

    Raises
    ------
    ValueError
        A negative weight.

    Notes
    -----
    Input (rows, ...), any shape; the output has the same.

    Examples
    --------
    >>> layer = eg.layers.ActivityRegularization(l1=0.5)
    >>> layer([[1.0, -2.0], [0.0, 1.0]]).tolist()
    [[1.0, -2.0], [0.0, 1.0]]
    >>> [penalty.item() for penalty in layer.losses]
    [1.0]
    """

    @takes_shared
    def __init__(self, l1: float = 0.0, l2: float = 0.0, **shared: Unpack[Shared]) -> None:
        super().__init__(**shared)
        self.l1 = check_float(l1, "l1", low=0.0, open_high=True)
        self.l2 = check_float(l2, "l2", low=0.0, open_high=True)
        self.activity_regularizer = regularizers.L1L2(self.l1, self.l2)

    def call(self, x: Tensor) -> Tensor:  # type: ignore[override]  # no noise: no training
        """Return x."""
        return x


class Permute(Layer):
    """Bring the dimensions of each row into another order.

    Parameters
    ----------
    dims
        The dimensions of the input in the order of the output, counted from 1: ``(2, 1)`` swaps the
        two of sequences. The rows stay in front.
    name, dtype, trainable
        As for every `Layer`.

    Raises
    ------
    ValueError
        Something else than the numbers 1 to n, each once. From a call: an input of another number
        of dimensions.

    Notes
    -----
    Input (rows, ...) with n dimensions beside the rows.

    Examples
    --------
    >>> eg.layers.Permute((2, 1))(eg.zeros((5, 3, 4))).shape
    (5, 4, 3)
    """

    @takes_shared
    def __init__(self, dims: Any, **shared: Unpack[Shared]) -> None:
        super().__init__(**shared)
        given = dims if isinstance(dims, (tuple, list)) else [dims]
        self.dims = tuple(check_int(dim, "dims", at_least=1) for dim in given)
        if sorted(self.dims) != [*range(1, len(self.dims) + 1)]:
            raise ValueError(
                f"dims: expected the numbers 1 to {len(self.dims)}, each once, got {self.dims}"
            )

    def call(self, x: Tensor) -> Tensor:  # type: ignore[override]  # no noise: no training
        """Return the dimensions in their order."""
        return x.permute(0, *self.dims)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the sizes in their order."""
        return (input_shape[0], *(input_shape[dim] for dim in self.dims))

    def _check_input(self, shape: Any) -> None:
        self._check_single(shape)
        if len(shape) != len(self.dims) + 1:
            raise self._story(
                f"an input with {len(self.dims)} dimensions beside the rows",
                shape,
                "name each of its dimensions in dims",
            )
