"""Single batches: one step, its figures, or its predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from evengrad._config import suggests_keywords

if TYPE_CHECKING:
    from evengrad.models._model import Model


class TakesBatches:
    """What `Model` inherits to be trained and asked batch by batch."""

    @suggests_keywords
    def train_on_batch(
        self,
        x: Any,
        y: Any,
        sample_weight: Any = None,
        class_weight: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """Make one step on one batch.

        Parameters
        ----------
        x, y, sample_weight, class_weight
            As for `fit`, arrays alone.
        return_dict
            Whether figures come in a dict by name.

        Returns
        -------
        float, list or dict
            This batch's loss before the step, then this batch's metrics; not running means.

        Raises
        ------
        ValueError, TypeError
            Data that does not fit; nothing is changed.

        Examples
        --------
        >>> model = eg.Sequential([eg.layers.Dense(1, kernel_initializer="ones")])
        >>> model.compile(eg.optimizers.SGD(0.1), "mse")
        >>> [round(model.train_on_batch(np.ones((4, 2)), np.zeros(4)), 4) for _ in range(2)]
        [4.0, 0.64]
        """
        from evengrad._training._evaluate import on_batch

        logs = on_batch(cast("Model", self), x, y, sample_weight, class_weight, training=True)
        return logs if return_dict else as_list(logs)

    @suggests_keywords
    def test_on_batch(
        self, x: Any, y: Any, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Return loss and metrics of one batch, without training; see `train_on_batch`.

        Examples
        --------
        >>> model = eg.Sequential([eg.layers.Dense(1, kernel_initializer="ones")])
        >>> model.compile("sgd", "mse")
        >>> model.test_on_batch(np.ones((4, 2)), np.zeros(4))
        4.0
        """
        from evengrad._training._evaluate import on_batch

        logs = on_batch(cast("Model", self), x, y, sample_weight, None, training=False)
        return logs if return_dict else as_list(logs)

    def predict_on_batch(self, x: Any) -> Any:
        """Return the outputs for one batch, computed at once.

        Examples
        --------
        >>> model = eg.Sequential([eg.layers.Dense(1, kernel_initializer="ones")])
        >>> model.predict_on_batch(np.ones((2, 3))).tolist()
        [[3.0], [3.0]]
        """
        first = x[0] if isinstance(x, (list, tuple)) and len(x) else x
        rows = max(1, len(np.asarray(first)))
        return cast("Model", self).predict(x, batch_size=rows, verbose=0)


def as_list(logs: dict[str, Any]) -> Any:
    """Return figures as Keras does: the loss alone, or a list that begins with it."""
    values = list(logs.values())
    return values[0] if len(values) == 1 else values
