"""The learning-rate range test as a method of models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from evengrad._config import suggests_keywords

if TYPE_CHECKING:
    from evengrad._training._range_curve import RangeTest
    from evengrad.models._model import Model


class FindsLearningRate:
    """What `Model` inherits to find a learning rate."""

    @suggests_keywords
    def find_learning_rate(
        self,
        x: Any,
        y: Any,
        min_lr: float = 1e-5,
        max_lr: float = 10.0,
        *,
        batch_size: int | None = None,
        steps: int | None = None,
        stop_factor: float = 4.0,
        smoothing: float | None = None,
        sample_weight: Any = None,
        class_weight: Any = None,
    ) -> RangeTest:
        """Train for a while at growing learning rates, take all of it back, and suggest a rate.

        Step i of k is made at η = `min_lr` · (`max_lr` / `min_lr`)^(i/k), i from 0, with the
        compiled loss and optimizer, from the model and the optimizer's state as they are. The
        suggestion is a tenth of the rate at which the smoothed loss is least: just above that rate
        it shoots up. It follows from the model's seed, its state, and the data alone.

        Nothing changes: variables, statistics, random streams, the optimizer and `history` are the
        same bits afterwards, also after an error or Ctrl-C. A model that was not built is built.

        Parameters
        ----------
        x, y, sample_weight, class_weight
            As for `fit`, arrays alone.
        min_lr, max_lr
            The range; 1e-5 to 10 by default.
        batch_size
            Rows in a step; 32 by default. Take that of the training to come: it matters.
        steps
            k, 2 or more; by default the batches of one epoch, but at least 40 and at most 1000.
            Rows are visited several times, where there are too few, in random order.
        stop_factor
            The test ends once the smoothed loss is above this multiple of the best, or not finite.
        smoothing
            β in [0, 1) of the running average; by default 1 − 1 / (1 + k/50).

        Returns
        -------
        RangeTest
            ``learning_rates``, ``losses``, ``smoothed_losses``; ``suggestion``,
            ``turning_point`` (ten times the suggestion), ``steepest``; and ``plot()``.

        Raises
        ------
        ValueError, TypeError
            Data that does not fit; a value out of range; nothing is trainable; the first loss is
            not finite.
        RuntimeError
            The model has not been compiled.

        References
        ----------
        Smith, "Cyclical learning rates for training neural networks", 2017.

        Examples
        --------
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=(640, 8))
        >>> y = x @ rng.normal(size=8)
        >>> model = eg.Sequential([eg.layers.Dense(16, "relu"), eg.layers.Dense(1)], seed=1)
        >>> model.compile("sgd", loss="mse")
        >>> model.find_learning_rate(x, y, 1e-4, 10.0)
        <RangeTest of 31 steps, learning rates 0.0001 to 0.562: suggestion 0.0316>
        """
        from evengrad._training._range_test import Options, find_learning_rate

        return find_learning_rate(
            cast("Model", self),
            x,
            y,
            Options(
                min_lr=min_lr,
                max_lr=max_lr,
                batch_size=batch_size,
                steps=steps,
                stop_factor=stop_factor,
                smoothing=smoothing,
                sample_weight=sample_weight,
                class_weight=class_weight,
            ),
        )
