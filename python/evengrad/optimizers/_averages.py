"""Using the averages of weights that an optimizer keeps."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from evengrad import _core
    from evengrad._core import Tensor


class KeepsAverages:
    """What optimizers do with the averages of ``use_ema=True``."""

    use_ema: bool
    _core: _core.Optimizer
    # Parameters that stand exchanged with their averages, by identity.
    _swapped: dict[int, Tensor]

    def _average(self, parameter: Tensor) -> Tensor:
        if not self.use_ema:
            raise ValueError(
                f"{type(self).__name__}: no averages of the weights are kept; make it with "
                "use_ema=True"
            )
        return self._core.slots(parameter)[-1]

    def swap_ema_weights(self, parameters: Sequence[Tensor]) -> None:
        """Exchange parameters and their averages; a second call puts them back, bit for bit.

        A step in between is refused.

        Parameters
        ----------
        parameters
            What has been trained, such as ``model.trainable_weights``.

        Raises
        ------
        ValueError
            The optimizer was made without ``use_ema=True``.

        Examples
        --------
        >>> w = eg.tensor([1.0], requires_grad=True)
        >>> optimizer = eg.optimizers.SGD(1.0, use_ema=True, ema_momentum=0.75)
        >>> for _ in range(2):
        ...     optimizer.apply_gradients([(eg.tensor([1.0]), w)])
        >>> optimizer.swap_ema_weights([w])
        >>> w.tolist()
        [-0.25]
        """
        pairs = [(parameter, self._average(parameter)) for parameter in parameters]
        for parameter, average in pairs:
            values = np.array(parameter.detach().numpy())
            parameter.copy_(average.numpy())
            average.copy_(values)
            if self._swapped.pop(id(parameter), None) is None:
                self._swapped[id(parameter)] = parameter

    @contextlib.contextmanager
    def averaged_weights(self, parameters: Sequence[Tensor]) -> Iterator[None]:
        """Have parameters be their averages inside a ``with`` block, and put them back after it.

        Parameters
        ----------
        parameters
            What has been trained, such as ``model.trainable_weights``.

        Raises
        ------
        ValueError
            The optimizer was made without ``use_ema=True``.

        Examples
        --------
        >>> w = eg.tensor([1.0], requires_grad=True)
        >>> optimizer = eg.optimizers.SGD(1.0, use_ema=True, ema_momentum=0.75)
        >>> for _ in range(2):
        ...     optimizer.apply_gradients([(eg.tensor([1.0]), w)])
        >>> with optimizer.averaged_weights([w]):
        ...     print(w.tolist())
        [-0.25]
        >>> w.tolist()
        [-1.0]
        """
        chosen = list(parameters)
        self.swap_ema_weights(chosen)
        try:
            yield
        finally:
            self.swap_ema_weights(chosen)

    def finalize_variable_values(self, parameters: Sequence[Tensor]) -> None:
        """Make parameters their averages, for good; nothing without ``use_ema=True``.

        `Model.fit` does so after its last epoch.

        Examples
        --------
        >>> w = eg.tensor([1.0], requires_grad=True)
        >>> optimizer = eg.optimizers.SGD(1.0, use_ema=True, ema_momentum=0.75)
        >>> for _ in range(2):
        ...     optimizer.apply_gradients([(eg.tensor([1.0]), w)])
        >>> optimizer.finalize_variable_values([w])
        >>> w.tolist()
        [-0.25]
        """
        if not self.use_ema:
            return
        for parameter in parameters:
            average = self._average(parameter)
            if self._swapped.pop(id(parameter), None) is None:
                parameter.copy_(average.numpy())
            else:
                average.copy_(parameter.detach().numpy())
