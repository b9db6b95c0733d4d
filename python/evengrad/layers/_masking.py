"""Masks of steps that do not count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad import _core
from evengrad._common.checks import check_float
from evengrad._tensor.step_masks import step_masks
from evengrad.layers._shared import SameShape, Shared, takes_shared

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from evengrad._core import Tensor


class Masking(SameShape):
    """Say which steps of sequences are padding: those whose features all equal a number.

    The mask goes with the output to the layers behind: recurrent layers carry their state over
    masked steps, pooling and normalizing layers leave them out, and losses and metrics of outputs
    that still have steps count the others alone. So padding changes no result.

    Parameters
    ----------
    mask_value
        The number that stands for padding.
    name, dtype, trainable
        As for every `Layer`.

    Raises
    ------
    ValueError
        A `mask_value` that is not finite. From a call: an input without steps.

    Notes
    -----
    Input (rows, steps, ..., features); the output has the same shape, with zeros at masked steps.
    The mask is (rows, steps) for (rows, steps, features).

    Layers in whose output a step has another place, such as `Flatten`, hand no mask on, and warn.
    An LSTM, GRU or SimpleRNN costs what the steps that count cost.

    Examples
    --------
    >>> steps = eg.layers.Masking()([[[1.0], [3.0], [0.0]]])
    >>> eg.layers.GlobalAveragePooling1D()(steps).tolist()
    [[2.0]]
    >>> net = eg.Sequential([eg.Input((None, 2)), eg.layers.Masking(), eg.layers.LSTM(3)], seed=1)
    >>> row = np.ones((1, 4, 2), "float32")
    >>> padded = np.concatenate([row, np.zeros((1, 5, 2), "float32")], axis=1)
    >>> net.predict(padded).tolist() == net.predict(row).tolist()
    True
    """

    _makes_masks = True

    @takes_shared
    def __init__(self, mask_value: float = 0.0, **shared: Unpack[Shared]) -> None:
        super().__init__(**shared)
        self.mask_value = check_float(mask_value, "mask_value", open_low=True, open_high=True)

    def call(self, x: Tensor) -> Tensor:  # type: ignore[override]  # no noise: no training
        """Return the input with zeros at masked steps."""
        mask = self.compute_mask(x)
        output = _core.where(mask.unsqueeze(-1), x, 0.0)
        step_masks.attach(output, mask)
        return output

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """Return where a feature differs from the number."""
        del previous_mask
        # Their difference is 0 where two numbers are equal, and nowhere else.
        difference = (inputs.detach() - self.mask_value).abs()
        return difference.amax(-1) != 0.0

    def _check_input(self, shape: Any) -> None:
        self._check_single(shape)
        if len(shape) < 3:
            raise self._story(
                "an input of shape (rows, steps, features)",
                shape,
                "add the missing dimension, such as x[:, :, None] for one feature",
            )
