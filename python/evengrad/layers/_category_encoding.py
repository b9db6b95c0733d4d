"""Whole numbers as vectors of zeros and ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core
from evengrad._common.arrays import as_numbers
from evengrad._common.checks import check_int
from evengrad._common.names import choose
from evengrad.layers._layer import Layer
from evengrad.layers._preprocessing import pieces
from evengrad.layers._shared import SameShape, Shared, takes_shared

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from evengrad._core import Tensor

ENCODINGS = ("one_hot", "multi_hot", "count")


def encoded(numbers: Tensor, depth: int, mode: str) -> Tensor:
    """Return whole numbers, as floats, as vectors; what is none of 0 to depth − 1 is all zeros."""
    if mode == "one_hot" and numbers.shape[-1] == 1 and numbers.ndim > 1:
        numbers = numbers.squeeze(-1)
    classes = _core.arange(depth, dtype=numbers.dtype)
    ones: Tensor = (numbers.unsqueeze(-1) == classes).astype(numbers.dtype)
    if mode == "one_hot":
        return ones
    counts = ones.sum(-2)
    return counts if mode == "count" else counts.clamp(0.0, 1.0)


def encoded_shape(shape: Any, depth: int, mode: str) -> Any:
    """Return the shape of encoded rows of a shape."""
    whole = mode == "one_hot" and shape[-1] != 1
    return (*shape, depth) if whole else (*shape[:-1], depth)


class CategoryEncoding(Layer):
    """Turn whole numbers into vectors: a one at the place of each number.

    Parameters
    ----------
    num_tokens
        How many numbers there are, 0 to ``num_tokens − 1``: the length of the vectors.
    output_mode
        ``"multi_hot"``: a vector for each row, with a one for each number in it. ``"count"``: how
        often each is in it. ``"one_hot"``: a vector for each number.
    name, dtype, trainable
        As for every `Layer`.

    Raises
    ------
    ValueError
        `num_tokens` below 1, an unknown mode.

    Notes
    -----
    Input (rows, numbers), or (rows, ..., numbers); the output has `num_tokens` in the place of the
    last dimension, with ``"one_hot"`` behind it, unless it is 1. A number that is none of these,
    which is an error in Keras, has no one anywhere: steps do not look at values.

    Examples
    --------
    >>> eg.layers.CategoryEncoding(4)([[0, 2], [1, 1]]).tolist()
    [[1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 0.0]]
    >>> eg.layers.CategoryEncoding(4, "count")([[0, 2], [1, 1]]).tolist()
    [[1.0, 0.0, 1.0, 0.0], [0.0, 2.0, 0.0, 0.0]]
    """

    @takes_shared
    def __init__(
        self, num_tokens: int, output_mode: str = "multi_hot", **shared: Unpack[Shared]
    ) -> None:
        super().__init__(**shared)
        self.num_tokens = check_int(num_tokens, "num_tokens", at_least=1)
        self.output_mode = choose(output_mode, ENCODINGS, "output_mode")

    def call(self, x: Tensor) -> Tensor:  # type: ignore[override]  # no noise: no training
        """Return the vectors."""
        return encoded(x, self.num_tokens, self.output_mode)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape with the vectors."""
        return encoded_shape(input_shape, self.num_tokens, self.output_mode)

    def _check_input(self, shape: Any) -> None:
        self._check_single(shape)
        if len(shape) < 2:
            raise self._story("an input of shape (rows, numbers)", shape, "write x[:, None]")


class Discretization(SameShape):
    """Turn numbers into those of the bins that they are in, counted from 0.

    With boundaries b₀ < b₁ < … a number x is in bin i for b_{i−1} ≤ x < b_i; below all of them in
    bin 0.

    Parameters
    ----------
    bin_boundaries
        The boundaries, in rising order. None: `adapt` finds them.
    num_bins
        How many bins `adapt` makes, of as many numbers each; not beside `bin_boundaries`.
    output_mode
        ``"int"``: the numbers of the bins, as floating-point numbers. ``"one_hot"``,
        ``"multi_hot"`` and ``"count"``: these as `CategoryEncoding` makes vectors of them.
    name, dtype, trainable
        As for every `Layer`.

    Raises
    ------
    ValueError
        Both or neither of boundaries and their number; boundaries that are not in order; an unknown
        mode. From a call: the layer was not adapted.

    Notes
    -----
    Input (rows, ...), any shape; the output has the same, or that of `CategoryEncoding`.

    Examples
    --------
    >>> eg.layers.Discretization([0.0, 1.0])([[-3.0, 0.0, 0.5, 7.0]]).tolist()
    [[0.0, 1.0, 1.0, 2.0]]
    >>> layer = eg.layers.Discretization(num_bins=2)
    >>> layer.adapt([[1.0], [2.0], [3.0], [4.0]])
    >>> layer.bin_boundaries
    [2.5]
    """

    @takes_shared
    def __init__(
        self,
        bin_boundaries: Any = None,
        num_bins: int | None = None,
        output_mode: str = "int",
        **shared: Unpack[Shared],
    ) -> None:
        super().__init__(**shared)
        if bin_boundaries is None and num_bins is None:
            raise ValueError("bin_boundaries, num_bins: expected one of the two, got neither")
        self.num_bins = None if num_bins is None else check_int(num_bins, "num_bins", at_least=2)
        if bin_boundaries is not None:
            values = as_numbers(bin_boundaries, "bin_boundaries", "float64")
            if values.ndim != 1 or not values.size or bool((np.diff(values) < 0).any()):
                raise ValueError(
                    f"bin_boundaries: expected numbers in order, got {bin_boundaries!r}"
                )
            bin_boundaries = values.tolist()
            if self.num_bins not in (None, len(bin_boundaries) + 1):
                raise ValueError(
                    f"num_bins: {len(bin_boundaries)} boundaries make {len(bin_boundaries) + 1} "
                    f"bins, got {num_bins}; leave it out"
                )
        self.bin_boundaries: list[float] | None = bin_boundaries
        self.output_mode = choose(output_mode, ("int", *ENCODINGS), "output_mode")

    def adapt(self, data: Any) -> None:
        """Take for boundaries those numbers below which equal shares of the data lie.

        Parameters
        ----------
        data
            Numbers as an array, or an iterable of batches. They are held in memory.

        Raises
        ------
        ValueError
            The boundaries were given; no numbers, or some that are not finite.

        Examples
        --------
        >>> layer = eg.layers.Discretization(num_bins=4)
        >>> layer.adapt(np.arange(9.0)[:, None])
        >>> layer.bin_boundaries
        [2.0, 4.0, 6.0]
        """
        if self.num_bins is None:
            raise ValueError(
                f"{self.path}: adapt: the boundaries were given; make the layer with num_bins"
            )
        parts = [np.asarray(piece, np.float64).ravel() for piece in pieces(data, None)]
        values = np.concatenate(parts) if parts else np.zeros(0)
        if not values.size or not bool(np.isfinite(values).all()):
            raise ValueError(f"{self.path}: adapt: expected finite numbers, and at least one")
        shares = np.arange(1, self.num_bins) / self.num_bins
        self.bin_boundaries = np.quantile(values, shares).tolist()

    def call(self, x: Tensor) -> Tensor:  # type: ignore[override]  # no noise: no training
        """Return the numbers of the bins."""
        boundaries = self.bin_boundaries
        if boundaries is None:
            raise ValueError(f"{self.path}: not adapted yet; call adapt(data) on the layer first")
        reached = x.unsqueeze(-1) >= _core.tensor(boundaries, dtype=x.dtype)
        bins: Tensor = reached.astype(x.dtype).sum(-1)
        if self.output_mode == "int":
            return bins
        return encoded(bins, len(boundaries) + 1, self.output_mode)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the input's shape, or that with the vectors."""
        if self.output_mode == "int":
            return input_shape
        known = self.bin_boundaries
        depth = (self.num_bins or 1) if known is None else len(known) + 1
        return encoded_shape(input_shape, depth, self.output_mode)

    def _check_input(self, shape: Any) -> None:
        self._check_single(shape)
