"""The features of a net that is trained for them: what a layer of it makes of rows."""

from __future__ import annotations

import inspect
from numbers import Integral
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from sklearn.base import TransformerMixin
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_is_fitted

from evengrad.layers._module import state_of
from evengrad.models._features import find
from evengrad.sklearn._base import DenseEstimator
from evengrad.sklearn._classifier import DenseClassifier
from evengrad.sklearn._tasks import Classification, Regression
from evengrad.sklearn._threads import threads

if TYPE_CHECKING:
    from evengrad._common.arrays import Array
    from evengrad.sklearn._training import Task

# The arguments of the classifier's constructor: there is one list of them.
ARGUMENTS = list(inspect.signature(DenseClassifier.__init__).parameters.values())[1:]


class DenseTransformer(TransformerMixin, DenseEstimator):  # type: ignore[misc]  # published untyped
    """Train a net of dense layers, and transform rows into what one of its layers makes of them.

    The net learns from targets, classes or numbers; what is used is not its answer but the features
    that it has found for it. `FeatureExtractor` does the same with a model that is trained already.

    Parameters
    ----------
    layer
        The layer, by place or by name: the last but one by default, which the answer is made of.
    task
        ``"classification"``, ``"regression"``, or ``"auto"``: targets with fractions are numbers,
        others are classes.
    hidden_layer_sizes, activation, solver, alpha, batch_size, learning_rate, learning_rate_init
        As for `DenseClassifier`, all by name, as are those that follow.
    power_t, max_iter, shuffle, random_state, tol, verbose, warm_start, momentum
        As there.
    nesterovs_momentum, early_stopping, validation_fraction, beta_1, beta_2, epsilon
        As there; the score of rows that are held out is the accuracy, or R² of numbers.
    n_iter_no_change, max_fun, dropout, norm, kernel_initializer, kernel_regularizer
        As there.
    kernel_constraint, schedule, clipnorm, callbacks, monitor, restore_best_weights, categorical
        As there.
    dtype, n_threads, model
        As there.
    class_weight, label_smoothing
        As there, of classes alone.

    Attributes
    ----------
    model_
        The trained `evengrad.Model`.
    history_
        The `History` of the last training.
    n_features_in_, feature_names_in_
        Columns of the data, and their names where it has such.

    Raises
    ------
    TypeError
        An unknown argument.
    ValueError, TypeError
        From `fit`: arguments or data that do not fit, no such layer.

    See Also
    --------
    FeatureExtractor : For a model that is trained.
    AutoencoderTransformer : Without targets.

    References
    ----------
    Bengio, Courville and Vincent, "Representation learning: a review and new perspectives", 2013.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from evengrad.sklearn import DenseTransformer
    >>> x = np.random.default_rng(0).normal(size=(200, 4)).astype("float32")
    >>> y = (x[:, 0] * x[:, 1] > 0).astype(int)
    >>> net = DenseTransformer(hidden_layer_sizes=(32,), learning_rate_init=0.05, random_state=1)
    >>> pipeline = make_pipeline(net, LogisticRegression()).fit(x, y)
    >>> bool(pipeline.score(x, y) > 0.9), net.transform(x).shape
    (True, (200, 32))
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **DenseClassifier._parameter_constraints,  # noqa: SLF001 - scikit-learn's name for a class
        "layer": [str, Integral],
        "task": [StrOptions({"auto", "classification", "regression"})],
    }

    def __init__(self, layer: int | str = -2, *, task: str = "auto", **arguments: Any) -> None:
        given = SIGNATURE.bind(self, layer, task=task, **arguments)
        given.apply_defaults()
        self.__dict__.update({k: v for k, v in given.arguments.items() if k != "self"})

    def _new_task(self, y: Any) -> Task:
        task = self.task
        if task == "auto":
            is_numeric = type_of_target(y).startswith("continuous")
            task = "regression" if is_numeric else "classification"
        if task == "classification":
            return Classification(self.label_smoothing)
        if self.class_weight is not None or self.label_smoothing:
            raise ValueError(
                "class_weight, label_smoothing: expected None and 0 with targets that are numbers; "
                'pass task="classification" if they stand for classes'
            )
        return Regression("squared_error")

    def _check_model(self) -> None:
        find(self.model_, self.layer)

    def transform(self, X: Any) -> Any:
        """Return the layer's output for rows, each as one vector.

        Parameters
        ----------
        X
            Rows, as for `fit`.

        Returns
        -------
        ndarray
            Shape (rows, units of the layer).

        Raises
        ------
        NotFittedError
            The transformer is not fitted.
        ValueError, TypeError
            Rows that do not fit.
        """
        check_is_fitted(self)
        return self._features(self._checked(X))

    def _features(self, rows: Any) -> Array:
        with threads(self.n_threads):
            found: Array = self.model_.features(rows, self.layer, check_finite=False)
        return found.reshape(len(found), -1)

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        """Return names for the features: the layer's, numbered.

        Parameters
        ----------
        input_features
            Not used.

        Returns
        -------
        ndarray of object
            A name for each column of `transform`.

        Raises
        ------
        NotFittedError
            The transformer is not fitted.
        """
        del input_features
        check_is_fitted(self)
        shapes = state_of(self.model_).input_shape
        zeros = [np.zeros((1, *one[1:])) for one in (shapes if self.encoder_ else [shapes])]
        width = self._features(zeros if self.encoder_ else zeros[0]).shape[1]
        name = find(self.model_, self.layer).name
        return np.asarray([f"{name}{at}" for at in range(width)], dtype=object)

    def __sklearn_tags__(self) -> Any:
        """Return what scikit-learn asks about estimators."""
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _signature() -> inspect.Signature:
    """Return the constructor's own arguments and the classifier's, as keywords."""
    own = list(inspect.signature(DenseTransformer.__init__).parameters.values())[:-1]
    taken = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in ARGUMENTS]
    return inspect.Signature([*own, *taken], return_annotation=None)


SIGNATURE = _signature()
# scikit-learn asks for the arguments by it.
DenseTransformer.__init__.__signature__ = SIGNATURE  # type: ignore[attr-defined]
