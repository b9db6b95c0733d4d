"""Pooling over the steps of sequences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad import _core
from evengrad._common.names import choose
from evengrad.layers._layer import Layer
from evengrad.layers._shared import Shared, takes_shared

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from evengrad._core import Tensor


class GlobalPooling1D(Layer):
    """Base of the layers that make one vector of the steps of a sequence."""

    _makes_masks = False

    @takes_shared
    def __init__(
        self,
        data_format: str = "channels_last",
        keepdims: bool = False,
        **shared: Unpack[Shared],
    ) -> None:
        super().__init__(**shared)
        formats = ("channels_last", "channels_first")
        self.data_format = choose(data_format, formats, "data_format")
        self.keepdims = bool(keepdims)

    @property
    def _axis(self) -> int:
        """The dimension of the steps."""
        return 1 if self.data_format == "channels_last" else 2

    def _counts(self, mask: Any) -> Tensor:
        """Return a mask of (rows, steps) in the shape of the input."""
        counts: Tensor = mask.unsqueeze(3 - self._axis)
        return counts

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """Return None: no steps are left."""
        del inputs, previous_mask

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return (None, features); with `keepdims` the input's shape with one step."""
        axis = self._axis
        if self.keepdims:
            return (*input_shape[:axis], 1, *input_shape[axis + 1 :])
        return (*input_shape[:axis], *input_shape[axis + 1 :])

    def _check_input(self, shape: Any) -> None:
        self._check_single(shape)
        if len(shape) != 3:
            raise self._story(
                "an input of shape (rows, steps, features)",
                shape,
                "let the layer before put out all steps, as a recurrent one does with "
                "return_sequences=True",
            )
        if shape[self._axis] == 0:
            raise self._story("at least one step", shape, "leave empty sequences out")


class GlobalAveragePooling1D(GlobalPooling1D):
    """Take the mean over the steps of a sequence, of those that count where there is a mask.

    Parameters
    ----------
    data_format
        ``"channels_last"`` for (rows, steps, features), ``"channels_first"`` for (rows, features,
        steps).
    keepdims
        Whether the steps stay as a dimension of size 1.
    name, dtype, trainable
        As for every `Layer`.

    Raises
    ------
    ValueError
        An unknown `data_format`. From a call: an input without steps, or of other dimensions.

    Notes
    -----
    Input (rows, steps, features), output (rows, features). 0 for a row without a step that counts.

    Examples
    --------
    >>> eg.layers.GlobalAveragePooling1D()([[[1.0, 2.0], [3.0, 6.0]]]).tolist()
    [[2.0, 4.0]]
    >>> steps = eg.layers.Masking()([[[1.0, 2.0], [3.0, 6.0], [0.0, 0.0]]])
    >>> eg.layers.GlobalAveragePooling1D()(steps).tolist()
    [[2.0, 4.0]]
    """

    def call(self, x: Tensor, mask: Any = None) -> Tensor:
        """Return the means."""
        if mask is None:
            return x.mean(dim=self._axis, keepdim=self.keepdims)
        counts = self._counts(mask)
        number = counts.astype(x.dtype).sum(dim=self._axis, keepdim=self.keepdims)
        total = _core.where(counts, x, 0.0).sum(dim=self._axis, keepdim=self.keepdims)
        return total / _core.where(number == 0.0, 1.0, number)


class GlobalMaxPooling1D(GlobalPooling1D):
    """Take the largest value of each feature over the steps, over those that count under a mask.

    Keras' layer of this name takes masked steps for others.

    Parameters
    ----------
    data_format
        ``"channels_last"`` for (rows, steps, features), ``"channels_first"`` for (rows, features,
        steps).
    keepdims
        Whether the steps stay as a dimension of size 1.
    name, dtype, trainable
        As for every `Layer`.

    Raises
    ------
    ValueError
        An unknown `data_format`. From a call: an input without steps, or of other dimensions.

    Notes
    -----
    Input (rows, steps, features), output (rows, features). 0 for a row without a step that counts.

    Examples
    --------
    >>> eg.layers.GlobalMaxPooling1D()([[[1.0, 6.0], [3.0, 2.0]]]).tolist()
    [[3.0, 6.0]]
    """

    def call(self, x: Tensor, mask: Any = None) -> Tensor:
        """Return the largest values."""
        if mask is None:
            return x.amax(dim=self._axis, keepdim=self.keepdims)
        counts = self._counts(mask)
        largest = _core.where(counts, x, float("-inf")).amax(self._axis, self.keepdims)
        any_counts = counts.astype(x.dtype).amax(self._axis, self.keepdims) != 0.0
        return _core.where(any_counts, largest, 0.0)
