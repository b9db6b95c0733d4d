"""What the classifier and the regressor share: arguments, training, and what is known after it."""

from __future__ import annotations

import contextlib
import inspect
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np
from sklearn import get_config
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data

from evengrad.sklearn._build import dense_layers
from evengrad.sklearn._outputs import BLOCK, outputs_of
from evengrad.sklearn._parameters import CONSTRAINTS
from evengrad.sklearn._threads import threads

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from typing_extensions import Self

    from evengrad._common.arrays import Array
    from evengrad.callbacks import History
    from evengrad.health import Diagnosis
    from evengrad.layers import Dense
    from evengrad.models import Model
    from evengrad.sklearn._stopping import Progress
    from evengrad.sklearn._training import Task

Estimator = TypeVar("Estimator", bound=BaseEstimator)


class DenseEstimator(BaseEstimator):  # type: ignore[misc]  # published untyped
    """Base of the estimators that train a net of dense layers."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = CONSTRAINTS

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        # scikit-learn asks for it several times in each fit and copy, and takes this one if there.
        if "__init__" in vars(cls):
            made: Any = cls.__init__
            made.__signature__ = inspect.signature(made)

    model_: Model
    history_: History
    n_features_in_: int
    _task: Task
    _progress: Progress

    def _new_task(self, y: Any) -> Task:
        """Return what is learnt, of which nothing is known yet."""
        raise NotImplementedError

    def _check_model(self) -> None:
        """Raise an error for a new model that does not fit the arguments, before it is trained."""

    # ---- training

    def _train(
        self, X: Any, y: Any, sample_weight: Any, *, incremental: bool, classes: Any = None
    ) -> Self:
        """Train on a copy of what is known, and take it over when all is done."""
        from evengrad.sklearn._training import Training

        with copy_to_fit(self) as work, threads(self.n_threads):
            goes_on = "model_" in self.__dict__ and (incremental or self.warm_start)
            task = self._task if goes_on else self._new_task(y)
            before = self._progress if goes_on else None
            training = Training(work, task, before, incremental=incremental)
            training.run(training.rows(X, y, sample_weight, classes))
            work._task, work._progress = task, training.progress  # noqa: SLF001 - of this class
        return self

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train on rows and their targets, afresh unless ``warm_start``.

        Parameters
        ----------
        X
            Rows: an array, a data frame or a sparse matrix, (rows, features).
        y
            Targets, one for each row.
        sample_weight
            A weight for each row; the loss is the mean by them.

        Returns
        -------
        self
            The fitted estimator. After an error it is what it was before.

        Raises
        ------
        ValueError, TypeError
            Data or arguments that do not fit, in scikit-learn's words; weights that are not finite
            after the training.
        """
        return self._train(X, y, sample_weight, incremental=False)

    # ---- what the net says

    def _outputs(self, X: Any) -> Array:
        """Return what the model puts out for rows."""
        known = self.__dict__
        if "model_" not in known:
            check_is_fitted(self)
        model = self.model_
        if (
            type(X) is np.ndarray
            and X.ndim == 2
            and X.dtype == model.dtype
            and X.shape[1] == self.n_features_in_
            and 0 < len(X) <= BLOCK
            and known["encoder_"] is None
            and known["n_threads"] is None
            and "feature_names_in_" not in known
            and np.isfinite(np.vdot(X, X))
        ):
            return outputs_of(model, X)
        return self._checked_outputs(X)

    def _checked_outputs(self, X: Any) -> Array:
        with threads(self.n_threads):
            return outputs_of(self.model_, self._checked(X))

    def _checked(self, X: Any) -> Any:
        """Return rows as the model takes them, or raise scikit-learn's errors."""
        if self.encoder_ is not None:
            from evengrad.sklearn._table_columns import check_columns

            check_columns(self, X, reset=False)
            return self.encoder_.inputs(X)
        return validate_data(
            self, X, accept_sparse=["csr", "csc"], dtype=np.dtype(self.model_.dtype), reset=False
        )

    # ---- fitted attributes that scikit-learn has

    def _dense_layers(self) -> list[Dense]:
        if "model_" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__} is not fitted")
        return dense_layers(self.model_)

    @property
    def coefs_(self) -> list[Array]:
        """Kernels of the dense layers, (inputs, units); assign a list to change them."""
        return [_frozen(layer.kernel) for layer in self._dense_layers()]

    @coefs_.setter
    def coefs_(self, kernels: list[Array]) -> None:
        for layer, kernel in zip(self._dense_layers(), kernels, strict=True):
            layer.kernel.copy_(np.asarray(kernel, dtype=layer.kernel.dtype))

    @property
    def intercepts_(self) -> list[Array]:
        """Biases of the dense layers, zeros where one has none; assign a list to change them."""
        return [
            np.zeros(layer.units, layer.kernel.dtype) if layer.bias is None else _frozen(layer.bias)
            for layer in self._dense_layers()
        ]

    @intercepts_.setter
    def intercepts_(self, biases: list[Array]) -> None:
        for layer, bias in zip(self._dense_layers(), biases, strict=True):
            if layer.bias is not None:
                layer.bias.copy_(np.asarray(bias, dtype=layer.bias.dtype))

    # ---- what evengrad adds

    def diagnose(self, X: Any, y: Any, sample_weight: Any = None, **settings: Any) -> Diagnosis:
        """Train a copy for a few steps; tell which layer is ill, why, and what helps.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.
        **settings
            Those of `Model.diagnose`.

        Returns
        -------
        Diagnosis
            The findings with their remedies. It prints as a table.

        Raises
        ------
        NotFittedError
            The estimator is not fitted.
        ValueError, TypeError
            Data that does not fit.
        """
        check_is_fitted(self)
        targets = self._task.encode(np.asarray(y))
        with threads(self.n_threads):
            return self.model_.diagnose(
                self._checked(X), targets, sample_weight=sample_weight, **settings
            )

    def report(self, path: str | os.PathLike[str], X: Any = None, y: Any = None) -> None:
        """Write a page about the training: one HTML file; see `History.report`.

        Parameters
        ----------
        path
            The file.
        X, y
            Rows and targets, whose confusion matrix or residuals the page then has.

        Raises
        ------
        NotFittedError
            The estimator is not fitted.
        OSError
            The file cannot be written.
        """
        check_is_fitted(self)
        if X is None or y is None:
            self.history_.report(path)
            return
        targets = self._task.encode(np.asarray(y))
        with threads(self.n_threads):
            self.history_.report(path, self._checked(X), targets)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the estimator to one file: its net, arguments, encoder and fitted attributes.

        `evengrad.sklearn.load` reads it, and `evengrad.load_model` the net alone. It is a
        safetensors file with checksums, which holds names, numbers and text but no code.

        Parameters
        ----------
        path
            The file; by custom it ends in ``.safetensors``.

        Raises
        ------
        NotFittedError
            The estimator is not fitted.
        ValueError
            An argument that a file cannot describe, such as a callback or a lambda.
        OSError
            The file cannot be written; an older one is untouched.
        """
        from evengrad.sklearn._file import save

        check_is_fitted(self)
        save(self, path)

    def to_onnx(self, path: str | os.PathLike[str], **settings: Any) -> None:
        """Write what the net computes as an ONNX file; see `Model.export`.

        Parameters
        ----------
        path
            The file, which ends in ``.onnx``. Its outputs are probabilities, or predictions.
        **settings
            Those of `Model.export`.

        Raises
        ------
        NotFittedError
            The estimator is not fitted.
        ValueError, ImportError, OSError
            As from `Model.export`.
        """
        check_is_fitted(self)
        self.model_.export(path, **settings)

    def __sklearn_tags__(self) -> Any:
        """Return what scikit-learn asks about estimators."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


@contextlib.contextmanager
def copy_to_fit(estimator: Estimator) -> Iterator[Estimator]:
    """Yield a copy to fit, of arguments that are checked.

    The estimator becomes what the copy is in the end; after an error it is what it was.
    """
    if not get_config()["skip_parameter_validation"]:
        estimator._validate_params()  # noqa: SLF001 - scikit-learn's name for all estimators
    work = object.__new__(type(estimator))
    work.__dict__.update(vars(estimator))
    yield work
    estimator.__dict__.clear()
    estimator.__dict__.update(vars(work))


def _frozen(tensor: Any) -> Array:
    """Return a copy of a variable that refuses changes, which would not reach the model."""
    values = np.array(tensor.detach().numpy())
    values.flags.writeable = False
    return values
