"""Sequences of one vector."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad._common.checks import check_int
from evengrad.layers._layer import Layer
from evengrad.layers._shared import Shared, takes_shared

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from evengrad._core import Tensor


class RepeatVector(Layer):
    """Make a sequence of a vector, the same at each step: between an encoder and a decoder.

    Parameters
    ----------
    n
        The number of steps.
    name, dtype, trainable
        As for every `Layer`.

    Raises
    ------
    ValueError
        `n` below 1. From a call: an input that is not (rows, features).

    Notes
    -----
    Input (rows, features), output (rows, n, features).

    Examples
    --------
    >>> eg.layers.RepeatVector(3)([[1.0, 2.0]]).tolist()
    [[[1.0, 2.0], [1.0, 2.0], [1.0, 2.0]]]
    """

    @takes_shared
    def __init__(self, n: int, **shared: Unpack[Shared]) -> None:
        super().__init__(**shared)
        self.n = check_int(n, "n", at_least=1)

    def call(self, x: Tensor) -> Tensor:  # type: ignore[override]  # no noise: no training
        """Return the vectors, each n times."""
        return x.unsqueeze(1).expand(x.shape[0], self.n, x.shape[1])

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return (None, n, features)."""
        return (None, self.n, input_shape[1])

    def _check_input(self, shape: Any) -> None:
        self._check_single(shape)
        if len(shape) != 2:
            raise self._story(
                "an input of shape (rows, features)",
                shape,
                "let the layer before put out one vector a row, as a recurrent one does with "
                "return_sequences=False",
            )
