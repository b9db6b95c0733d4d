"""Features of trained models in scikit-learn's pipelines."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from evengrad._common.arrays import as_array
from evengrad._common.row_readers import reader_for
from evengrad._common.tables import column_names
from evengrad.models import Model
from evengrad.models._features import find
from evengrad.training._feature_names import difference


class FeatureExtractor(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # published untyped
    """Transform rows into the output of a layer inside a trained model, as vectors.

    The model is used as it is: `fit` trains nothing, and clones of this transformer, as searches
    and cross-validation make them, share the model. Pickles, joblib and skops keep it with the
    pipeline.

    Parameters
    ----------
    model
        A built model with one input.
    layer
        As in `Model.features`: the last layer but one by default.
    batch_size
        Rows computed at a time; by default as many as suit the caches.

    Attributes
    ----------
    n_features_in_
        Features of the data; there after `fit`, as are those that follow.
    feature_names_in_
        Their names, where the data is a data frame with names.

    References
    ----------
    Razavian et al., "CNN features off-the-shelf: an astounding baseline for recognition", 2014.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from evengrad.sklearn import FeatureExtractor
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(200, 4))
    >>> y = (x[:, 0] * x[:, 1] > 0).astype(int)
    >>> parts = [eg.layers.Dense(32, "tanh"), eg.layers.Dense(2, "softmax")]
    >>> model = eg.Sequential(parts, seed=1)
    >>> model.compile(eg.optimizers.Adam(0.02), "sparse_categorical_crossentropy")
    >>> history = model.fit(x, y, epochs=60, verbose=0)
    >>> pipeline = make_pipeline(FeatureExtractor(model), LogisticRegression()).fit(x, y)
    >>> bool(pipeline.score(x, y) > 0.9)
    True
    """

    def __init__(self, model: Model, layer: int | str = -2, batch_size: int | None = None) -> None:
        self.model = model
        self.layer = layer
        self.batch_size = batch_size

    def fit(self, X: Any, y: Any = None) -> FeatureExtractor:
        """Check that the data fits the model; nothing is trained.

        Raises
        ------
        ValueError, TypeError
            `model` is none, the data does not fit it, or there is no such layer.
        """
        del y
        names = column_names(X)
        rows: Any = reader_for(X) or as_array(X, "X")
        width = self.transform(rows[:1]).shape[1]
        # Set after all that may fail.
        self.n_features_in_ = int(rows.shape[-1])
        self._n_features_out = width
        if names is not None:
            self.feature_names_in_ = np.asarray(names, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        return self

    def transform(self, X: Any) -> Any:
        """Return the layer's output, each row as one vector.

        Raises
        ------
        ValueError, TypeError
            The data does not fit the model.
        """
        if not isinstance(self.model, Model):
            raise TypeError(f"model: expected a model of evengrad, got {self.model!r}")
        names, known = column_names(X), getattr(self, "feature_names_in_", None)
        if names is not None and known is not None and names != known.tolist():
            raise ValueError(f"X: expected the columns of fit, {difference(names, known.tolist())}")
        found = self.model.features(X, self.layer, batch_size=self.batch_size)
        outputs = found if isinstance(found, list) else [found]
        return np.concatenate([one.reshape(len(one), -1) for one in outputs], axis=1)

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        """Return names for the features: the layer's, numbered."""
        del input_features
        name = find(self.model, self.layer).name
        return np.asarray([f"{name}{i}" for i in range(self._n_features_out)], dtype=object)

    def __sklearn_is_fitted__(self) -> bool:
        """Tell that `transform` may be called at once: the model knows all that is needed."""
        return True

    def __sklearn_clone__(self) -> FeatureExtractor:
        """Return a transformer with the same model, not with a copy."""
        return FeatureExtractor(self.model, self.layer, self.batch_size)
