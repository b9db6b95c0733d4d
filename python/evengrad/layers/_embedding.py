"""Embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core, constraints, initializers, regularizers
from evengrad._common.checks import FLOATS, check_int
from evengrad.layers._layer import Layer
from evengrad.layers._shared import Shared, takes_shared

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from evengrad._common.arrays import Array
    from evengrad._common.choices import Choice
    from evengrad._core import Tensor

# Whole numbers up to this are exact in float32, the dtype in which a model hands them on.
EXACT = 2**24
# Rows that are checked at a time: data may be a mapped file.
PIECE = 2**16


class Embedding(Layer):
    """Look up a learned vector for each number: embeddings[x].

    The same as a `Dense` layer without bias on one-hot rows, without the rows. A vector's gradient
    is the sum of those of all places that show it.

    Parameters
    ----------
    input_dim
        How many vectors there are; inputs are whole numbers from 0 to input_dim − 1. At most 2²⁴
        in float32, in which larger whole numbers are not exact.
    output_dim
        The length of a vector.
    embeddings_initializer, embeddings_regularizer, embeddings_constraint
        As those of a kernel in `Dense`.
    mask_zero
        Whether 0 stands for padding: a step of a sequence that shows it is masked, as by `Masking`.
        Number the categories from 1 then, and count 0 in `input_dim`.
    name, dtype, trainable
        As for every `Layer`.

    Raises
    ------
    ValueError
        A size below 1, or an `input_dim` above 2²⁴ in float32. From a call: numbers that are not
        whole.
    IndexError
        From a call: a number outside [0, input_dim). Data that goes straight to this layer is
        checked before `fit` begins; what other layers compute for it, or a captured function,
        cannot be: such a number gives NaN.

    Notes
    -----
    Input (rows, ...), of integers or of floats that are whole; `embeddings` (input_dim,
    output_dim); output (rows, ..., output_dim).

    Examples
    --------
    >>> layer = eg.layers.Embedding(3, 2)
    >>> layer.build((None, 1))
    >>> layer.set_weights([[[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]])
    >>> layer([[2, 0]]).tolist()
    [[[4.0, 5.0], [0.0, 1.0]]]
    """

    checks_values = True
    embeddings: Tensor

    @takes_shared
    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Choice = "random_uniform",
        embeddings_regularizer: Choice | None = None,
        embeddings_constraint: Choice | None = None,
        mask_zero: bool = False,
        **shared: Unpack[Shared],
    ) -> None:
        super().__init__(**shared)
        self.input_dim = check_int(input_dim, "input_dim", at_least=1)
        self.output_dim = check_int(output_dim, "output_dim", at_least=1)
        first, penalty, after = initializers.get, regularizers.get, constraints.get
        self.embeddings_initializer = first(embeddings_initializer, "embeddings_initializer")
        self.embeddings_regularizer = penalty(embeddings_regularizer, "embeddings_regularizer")
        self.embeddings_constraint = after(embeddings_constraint, "embeddings_constraint")
        self.mask_zero = bool(mask_zero)

    def build(self, input_shape: Any) -> None:
        """Make the vectors."""
        del input_shape
        if self.dtype == "float32" and self.input_dim > EXACT:
            raise ValueError(
                f"{self.path}: input_dim: expected 2**24 or less in float32, which holds no larger "
                f'whole numbers exactly, got {self.input_dim}; use dtype="float64"'
            )
        self.embeddings = self.add_weight(
            "embeddings",
            (self.input_dim, self.output_dim),
            self.embeddings_initializer,
            regularizer=self.embeddings_regularizer,
            constraint=self.embeddings_constraint,
        )

    def call(self, x: Tensor) -> Tensor:  # type: ignore[override]  # no noise: no training
        """Return the vectors of the numbers."""
        return _core.take(self.embeddings, x)

    @property
    def _makes_masks(self) -> bool:  # type: ignore[override]  # here it depends
        return self.mask_zero

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """Return where the numbers are not 0, with `mask_zero`."""
        del previous_mask
        return inputs != 0 if self.mask_zero else None

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the input's shape with `output_dim` at the end."""
        return (*input_shape, self.output_dim)

    def _convert(self, x: Any) -> Tensor:
        """Return an input as int64, checked; one that is being captured has no values to check."""
        tensor = x if isinstance(x, _core.Tensor) else _core.tensor(np.asanyarray(x))
        tensor = tensor.detach()
        if not _core.is_capturing():
            self._check_values(tensor.numpy())
            return tensor if tensor.dtype == "int64" else tensor.astype("int64")
        # The core counts negative numbers from the end; here they are as wrong as too large ones.
        whole = tensor if tensor.dtype in FLOATS else tensor.astype("float64")
        return _core.where(whole >= 0.0, whole, float(self.input_dim)).astype("int64")

    def _check_values(self, values: Array) -> None:
        values = values if values.ndim else np.atleast_1d(values)
        for start in range(0, len(values), PIECE):
            piece = values[start : start + PIECE]
            broken = piece[piece != np.floor(piece)]
            if broken.size:
                raise ValueError(
                    f"{self.path}: expected whole numbers, got {broken[0]:g} among them; number "
                    "the categories with np.unique(values, return_inverse=True)[1]"
                )
            outside = piece[(piece < 0) | (piece >= self.input_dim)]
            if outside.size:
                raise IndexError(
                    f"{self.path}: expected numbers from 0 to {self.input_dim - 1}, got "
                    f"{outside[0]:g} among them; number the categories from 0, or raise input_dim"
                )

    def _check_input(self, shape: Any) -> None:
        self._check_single(shape)
