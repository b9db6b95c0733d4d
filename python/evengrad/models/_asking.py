"""Questions to a trained model beyond its predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from evengrad._config import suggests_keywords

if TYPE_CHECKING:
    from evengrad.models._model import Model


class AnswersQuestions:
    """What `Model` inherits to tell uncertainty, inner features, and whether SELU can work."""

    @suggests_keywords
    def predict_mc(
        self, x: Any, samples: int = 100, *, batch_size: int | None = None
    ) -> tuple[Any, Any]:
        """Return mean and standard deviation of the outputs over passes with dropout on.

        Monte Carlo dropout: the mean is often the better prediction, and the deviation tells how
        sure the model is. Dropout and noise run as in training; batch normalisation, and all else,
        as in inference. The class is the argmax of the mean.

        Memory does not depend on the number of samples, and time is that of as many predictions
        without Python between them. Every call draws anew, in an order that follows from the
        model's seed; training afterwards is the same as if there had been no call.

        Parameters
        ----------
        x
            Rows: an array, or a list or dict of them for several inputs.
        samples
            The number of passes, 1 or more.
        batch_size
            Rows computed at a time; by default as many as suit the caches.

        Returns
        -------
        tuple
            Mean and standard deviation (divisor `samples`), each an array as `predict` returns it,
            or a list of them for several outputs.

        Raises
        ------
        ValueError, TypeError
            Data that does not fit.

        References
        ----------
        Gal and Ghahramani, "Dropout as a Bayesian approximation", 2016.

        Examples
        --------
        Each pass gives 0 or 4 with even chances:

        >>> dense = eg.layers.Dense(1, kernel_initializer="ones")
        >>> model = eg.Sequential([eg.layers.Dropout(0.5), dense], seed=1)
        >>> mean, std = model.predict_mc(np.full((1000, 1), 2.0), samples=200)
        >>> mean.shape, round(float(mean.mean()), 1), round(float(std.mean()), 1)
        ((1000, 1), 2.0, 2.0)
        """
        from evengrad._training._monte_carlo import predict_mc

        return predict_mc(cast("Model", self), x, samples, batch_size)

    @suggests_keywords
    def features(self, x: Any, layer: int | str = -2, *, batch_size: int | None = None) -> Any:
        """Return the output of a layer inside the model: what it has learned to see in the data.

        A classifier of another kind, trained on the features of the last layer but one, often does
        better than on the data; `evengrad.sklearn.FeatureExtractor` puts this into a pipeline.

        Parameters
        ----------
        x
            As for `predict`.
        layer
            The layer's position in `layers`, negative ones from the end, or its name.
        batch_size
            Rows computed at a time; by default as many as suit the caches.

        Returns
        -------
        numpy.ndarray or list
            Shape (rows, ...); at its last use, where the layer is used several times. A list where
            the layer has several outputs.

        Raises
        ------
        ValueError
            No such layer; data that does not fit.

        Examples
        --------
        >>> parts = [eg.layers.Dense(8, "relu"), eg.layers.Dense(3, "softmax")]
        >>> model = eg.Sequential(parts)
        >>> model.features(np.ones((5, 4))).shape
        (5, 8)
        """
        from evengrad.models._features import features

        return features(cast("Model", self), x, layer, batch_size)

    def check_selu(self, x: Any) -> list[str]:
        """Tell which conditions of self-normalisation are violated, one message for each.

        SELU keeps mean 0 and variance 1 through any depth only if: inputs are standardised; every
        hidden layer has SELU, with first weights from LeCun's normal law; layers follow one on the
        other, without skips or recurrences; nothing changes the weights' variances, as ℓ1, ℓ2 and
        max-norm do; and dropout is `layers.AlphaDropout`. Batch normalisation is superfluous.

        Parameters
        ----------
        x
            The data that the model is trained on, or a few hundred rows of it.

        Returns
        -------
        list of str
            Empty where all conditions hold.

        Raises
        ------
        ValueError, TypeError
            Data that does not fit.

        References
        ----------
        Klambauer et al., "Self-normalizing neural networks", 2017.

        Examples
        --------
        >>> hidden = [eg.layers.Dense(50, "selu") for _ in range(2)]
        >>> model = eg.Sequential([*hidden, eg.layers.Dense(1)])
        >>> for message in model.check_selu(np.random.default_rng(1).normal(size=(500, 4))):
        ...     print(message)
        initialiser: dense, dense_1 are not begun with LeCun's normal values; use
        kernel_initializer='lecun_normal' in all hidden layers
        """
        from evengrad.models._selu import check_selu

        return check_selu(cast("Model", self), x)
