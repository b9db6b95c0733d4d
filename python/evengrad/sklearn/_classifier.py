"""A classifier: a net of dense layers with scikit-learn's arguments."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from evengrad.sklearn._base import DenseEstimator
from evengrad.sklearn._outputs import logits_of
from evengrad.sklearn._parameters import CONSTRAINTS
from evengrad.sklearn._partial_fit import PartialFit
from evengrad.sklearn._tasks import Classification
from evengrad.sklearn._threads import threads

if TYPE_CHECKING:
    from typing_extensions import Self

    from evengrad._common.arrays import Array
    from evengrad.sklearn._labels import Labels


class DenseClassifier(ClassifierMixin, DenseEstimator):  # type: ignore[misc]  # published untyped
    """A net of dense layers that tells classes: scikit-learn's `MLPClassifier`, and more.

    Arguments up to `max_fun` have the names, order, defaults and meaning that they have there. The
    loss is the cross-entropy, for several labels the sum of theirs, mean over rows by their
    weights.

    Parameters
    ----------
    hidden_layer_sizes
        Units of each hidden layer; a number is one layer.
    activation
        ``"identity"``, ``"logistic"``, ``"tanh"``, ``"relu"``, another name from
        `evengrad.activations`, a function or an activation layer; or a list, one for each hidden
        layer.
    solver
        ``"adam"``, ``"sgd"``, ``"lbfgs"`` (SciPy's L-BFGS-B over all rows at once), another name
        from `evengrad.optimizers`, with `learning_rate_init`, or an optimizer.
    alpha
        α of the penalty ½ · α · Σw² / m on kernels, over a batch of m rows, or of rows whose
        weights add up to m.
    batch_size
        Rows in a step; ``"auto"`` is 200, or all where they are fewer.
    learning_rate
        With ``solver="sgd"``: ``"constant"``; ``"invscaling"``, after each epoch
        `learning_rate_init` / (t + 1)^power_t with t rows seen; ``"adaptive"``, divided by 5
        whenever the training would stop, until it is 1e-6.
    learning_rate_init
        The rate that ``"adam"``, ``"sgd"`` and solvers of other names begin with.
    power_t
        The exponent of ``"invscaling"``.
    max_iter
        Epochs at most; with ``"lbfgs"`` iterations.
    shuffle
        Whether each epoch visits the rows in a new random order.
    random_state
        What first weights, held-out rows, the rows' order and dropout follow from: an integer, a
        ``RandomState``, or None.
    tol, n_iter_no_change
        The training ends when the loss, or with `early_stopping` the score, has not improved by
        `tol` for more than so many epochs in a row. With ``"lbfgs"`` `tol` bounds the gradient.
    verbose
        Whether loss and score of each epoch are printed.
    warm_start
        Whether `fit` goes on from the weights of the fit before.
    momentum, nesterovs_momentum
        Of ``"sgd"``: in [0, 1]; whether it is Nesterov's.
    early_stopping, validation_fraction
        Whether such a share of the rows, with the classes' shares, is held out, and the training
        ends by the score on them, with the weights that had the best one.
    beta_1, beta_2, epsilon
        Of ``"adam"``.
    max_fun
        Calls of the loss at most, with ``"lbfgs"``.
    dropout
        The rate of dropout after each hidden layer, or a list of rates.
    norm
        What normalizes each hidden layer before its activation: ``"batch"``, ``"layer"``, a layer,
        or a list of them.
    kernel_initializer
        ``"auto"``: scikit-learn's first values for its activations, even over ±√(6 / (inputs +
        units)), with 2 in place of 6 for ``"logistic"``, biases too; for others what
        `initializers.for_activation` pairs them with. Else as for `layers.Dense`.
    kernel_regularizer
        A penalty on kernels, which takes the place of that of `alpha`.
    kernel_constraint
        As for `layers.Dense`.
    schedule
        The learning rate as a function of the steps made so far, such as one of
        `evengrad.optimizers.schedules`, for a solver by name; in place of `learning_rate_init`.
    clipnorm
        Bounds the norm of each gradient, for a solver by name.
    class_weight
        A dict from label to the weight of its rows, or ``"balanced"``: n / (K · n_c) for K classes
        with n_c of n rows. For several labels a list of dicts.
    label_smoothing
        The share of a target that is spread over the classes, in [0, 1].
    callbacks
        A callback of `evengrad.callbacks`, or a list. With ``"lbfgs"`` its iterations are their
        epochs, and those that act on steps are refused, as `schedule` and `dropout` are.
    monitor
        The figure that decides when training ends and which weights were best: ``"loss"``, or with
        `early_stopping` ``"score"`` and ``"val_loss"``. By default as in scikit-learn.
    restore_best_weights
        Whether a training with `early_stopping` ends with its best weights.
    categorical
        Which columns of a table are categories, each of which learns an embedding: ``"auto"``,
        those of text, categories or enumerations in a data frame; a list of names or places; or a
        `TableEncoder` with settings of its own. Where there are some, or a list is given, even an
        empty one, columns of numbers are scaled, and missing ones imputed, by a `TableEncoder`;
        else numbers go to the net as they are. None: all columns are numbers.
    dtype
        ``"auto"``: float32 for data in float32 or through an encoder, else float64; or one of both.
    n_threads
        Threads at most; by default as `set_num_threads` says.
    model
        A function of a `ModelMeta` that returns a model that is not compiled, in place of the
        layers that the arguments describe.

    Attributes
    ----------
    classes_
        The labels, in the order of `predict_proba`.
    model_
        The trained `evengrad.Model`.
    encoder_
        The `TableEncoder` that tables go through; None where numbers go straight to the net.
    history_
        The `History` of the last training.
    coefs_, intercepts_
        Kernels and biases of the dense layers, as copies; lists may be assigned.
    loss_, loss_curve_, best_loss_
        The loss of the last epoch, of all, and the lowest, as scikit-learn counts it.
    validation_scores_, best_validation_score_, validation_loss_curve_
        With `early_stopping`, else None: the score and the loss on the rows held out.
    n_iter_, t_
        Epochs of the last fit, and rows seen in all.
    n_layers_, n_outputs_, out_activation_
        Layers with the input; units of the last one, and its activation by scikit-learn's name.
    n_features_in_, feature_names_in_
        Columns of the data, and their names where it has such.

    Raises
    ------
    ValueError, TypeError
        From `fit`: arguments or data that do not fit.

    See Also
    --------
    DenseRegressor : For numbers.

    Notes
    -----
    With dropout, `model_.predict_mc` gives mean and deviation of the probabilities over passes with
    dropout on. In weighted batches, batch normalization and dropout see each row once whatever its
    weight: repeating rows is then not the same as weighting them.

    References
    ----------
    Hinton, "Connectionist learning procedures", 1989; Glorot and Bengio, "Understanding the
    difficulty of training deep feedforward neural networks", 2010.

    Examples
    --------
    >>> from evengrad.sklearn import DenseClassifier
    >>> x = np.random.default_rng(0).normal(size=(200, 4)).astype("float32")
    >>> y = np.where(x[:, 0] * x[:, 1] > 0, "same", "other")
    >>> net = DenseClassifier((32,), learning_rate_init=0.02, max_iter=60, tol=0, random_state=1)
    >>> import warnings
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     net = net.fit(x, y)
    >>> bool(net.score(x, y) > 0.9), net.predict_proba(x[:1]).shape
    (True, (1, 2))
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **CONSTRAINTS,
        "class_weight": [dict, list, StrOptions({"balanced"}), None],
        "label_smoothing": [Interval(Real, 0, 1, closed="both")],
    }

    _task: Classification

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: Any = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        dropout: Any = 0.0,
        norm: Any = None,
        kernel_initializer: Any = "auto",
        kernel_regularizer: Any = None,
        kernel_constraint: Any = None,
        schedule: Any = None,
        clipnorm: float | None = None,
        class_weight: Any = None,
        label_smoothing: float = 0.0,
        callbacks: Any = None,
        monitor: str | None = None,
        restore_best_weights: bool = True,
        categorical: Any = "auto",
        dtype: str = "auto",
        n_threads: int | None = None,
        model: Any = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.dropout = dropout
        self.norm = norm
        self.kernel_initializer = kernel_initializer
        self.kernel_regularizer = kernel_regularizer
        self.kernel_constraint = kernel_constraint
        self.schedule = schedule
        self.clipnorm = clipnorm
        self.class_weight = class_weight
        self.label_smoothing = label_smoothing
        self.callbacks = callbacks
        self.monitor = monitor
        self.restore_best_weights = restore_best_weights
        self.categorical = categorical
        self.dtype = dtype
        self.n_threads = n_threads
        self.model = model

    @property
    def classes_(self) -> Array:
        """The labels of the classes, in the order of `predict_proba`."""
        if "_task" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__} is not fitted")
        return self._task.labels.classes

    def _new_task(self, y: Any) -> Classification:
        del y
        return Classification(self.label_smoothing)

    # ---- scikit-learn's methods

    @PartialFit
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Self:
        """Train for one epoch on some rows, from where the training stands.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.
        classes
            The labels of all classes; required in the first call, may be left out later.

        Returns
        -------
        self
            The estimator.

        Raises
        ------
        ValueError
            No `classes` in the first call; labels that are not among them; ``early_stopping``.
        """
        return self._train(X, y, sample_weight, incremental=True, classes=classes)

    def predict(self, X: Any) -> Any:
        """Return the label of each row; for several labels an indicator matrix.

        Parameters
        ----------
        X
            Rows, as for `fit`.

        Raises
        ------
        NotFittedError
            The estimator is not fitted.
        ValueError
            Rows that do not fit.
        """
        return self._known_labels().decode(self._outputs(X))

    def _known_labels(self) -> Labels:
        if "_task" not in self.__dict__:
            check_is_fitted(self)
        return self._task.labels

    def predict_proba(self, X: Any) -> Array:
        """Return the probability of each class, columns as `classes_`; of each label by itself.

        Parameters
        ----------
        X
            Rows, as for `fit`.

        Raises
        ------
        NotFittedError
            The estimator is not fitted.
        ValueError
            Rows that do not fit.
        """
        labels, outputs = self._known_labels(), self._outputs(X)
        if labels.task != "binary":
            return outputs
        if len(labels.classes) == 1:
            return np.ones_like(outputs)
        return np.concatenate([1.0 - outputs, outputs], axis=1)

    def predict_log_proba(self, X: Any) -> Array:
        """Return the logarithms of `predict_proba`.

        Parameters
        ----------
        X
            Rows, as for `fit`.

        Raises
        ------
        NotFittedError
            The estimator is not fitted.
        ValueError
            Rows that do not fit.
        """
        with np.errstate(divide="ignore"):
            logarithms: Array = np.log(self.predict_proba(X))
        return logarithms

    def decision_function(self, X: Any) -> Array:
        """Return the logits: one for each row of two classes, else (rows, classes).

        Parameters
        ----------
        X
            Rows, as for `fit`.

        Raises
        ------
        NotFittedError
            The estimator is not fitted.
        ValueError
            Rows that do not fit.
        """
        labels = self._known_labels()
        with threads(self.n_threads):
            logits = logits_of(self.model_, self._checked(X))
        if logits is None:
            outputs = self._outputs(X)
            with np.errstate(divide="ignore"):
                logits = np.log(outputs)
                if labels.task != "multiclass":
                    logits -= np.log1p(-outputs)
        return logits.reshape(-1) if labels.task == "binary" else logits

    def __sklearn_tags__(self) -> Any:
        """Return what scikit-learn asks about estimators."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
