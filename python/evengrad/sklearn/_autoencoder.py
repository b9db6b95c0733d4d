"""A net that learns to code rows by few numbers, from which it can give them back."""

from __future__ import annotations

from functools import partial
from numbers import Integral
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_array
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted, validate_data

from evengrad.sklearn._base import copy_to_fit
from evengrad.sklearn._parameters import CONSTRAINTS
from evengrad.sklearn._threads import threads

if TYPE_CHECKING:
    import os

    from typing_extensions import Self

    from evengrad._common.arrays import Array
    from evengrad.models import Model
    from evengrad.sklearn._encoding import TableEncoder

# Arguments that the training takes as they are.
OF_TRAINING = (
    "solver",
    "batch_size",
    "learning_rate_init",
    "max_iter",
    "shuffle",
    "random_state",
    "tol",
    "verbose",
    "early_stopping",
    "validation_fraction",
    "n_iter_no_change",
    "schedule",
    "clipnorm",
    "callbacks",
    "monitor",
    "restore_best_weights",
    "dtype",
    "n_threads",
)
# The halves of the model, which are made of it wherever it comes from.
HALVES = ("encoder_", "decoder_")
CHECKED = ("hidden_layer_sizes", "activation", "alpha", "categorical", *OF_TRAINING)


class AutoencoderTransformer(
    ClassNamePrefixFeaturesOutMixin,  # type: ignore[misc]  # published untyped
    TransformerMixin,  # type: ignore[misc]  # as above
    BaseEstimator,  # type: ignore[misc]  # as above
):
    """Code rows by few numbers: a net that is trained to give back what comes to it.

    The encoder h = f(x) ends in `n_components` units, the decoder x̂ = g(h) mirrors it, and both are
    trained at once for the least squared error ½ · Σ(x̂ − x)². Without hidden layers and activations
    the codes span what principal components do. Scale the columns first: the error adds them up.

    Parameters
    ----------
    n_components
        Numbers in a code.
    hidden_layer_sizes
        Units of each hidden layer of the encoder; the decoder has them in turn.
    activation
        Of the hidden layers: as for `DenseClassifier`.
    code_activation, output_activation
        Of codes and of what the decoder gives back; ``"identity"`` lets both be any number, and
        ``"logistic"`` suits data in [0, 1].
    tied
        Whether the decoder's kernels are those of the encoder, transposed: half as many weights.
    noise
        What spoils the rows that come in, never those that are to come out: a layer such as
        ``layers.Dropout(0.3)``, or the deviation of Gaussian noise.
    activity_regularizer
        A penalty on codes, as of `layers.Dense`: ``"l1"`` or `regularizers.KLSparsity`.
    alpha
        α of the penalty ½ · α · Σw² / m on kernels, over a batch of m rows.
    norm
        What normalizes each hidden layer: ``"batch"``, ``"layer"`` or a layer; with `tied` those of
        the encoder alone.
    kernel_initializer, kernel_regularizer
        As for `DenseRegressor`.
    solver, batch_size, learning_rate_init, max_iter, shuffle, random_state, tol, verbose
        As for `DenseRegressor`, as are those that follow.
    early_stopping, validation_fraction, n_iter_no_change, schedule, clipnorm, callbacks, monitor
        The score of rows that are held out is R².
    restore_best_weights, dtype, n_threads
        As there.
    categorical
        Which columns of a table are categories, as for `DenseRegressor`: there is a `TableEncoder`
        in the same cases, which scales and imputes numbers. A category is not embedded here, since
        what the net gives back is compared with what came in: it is a column of zeros and ones for
        each value that `fit` has seen, a missing one being a value too.

    Attributes
    ----------
    model_
        The trained `evengrad.Model`, from rows to rows.
    encoder_, decoder_
        The two halves of it, which code rows, and give them back.
    table_encoder_
        The `TableEncoder` that tables go through; None where numbers go straight to the net.
    levels_
        For each categorical column which rows of an embedding its values would have: those are its
        columns of zeros and ones, after those of numbers.
    history_
        The `History` of the training.
    loss_, loss_curve_, n_iter_
        The loss of the last epoch, of all, and their number: half the mean of (x̂ − x)², and the
        penalties.
    validation_scores_
        With `early_stopping` R² of the rows held out, after each epoch; else None.
    n_features_in_, feature_names_in_
        Columns of the data, and their names where it has such.

    Raises
    ------
    ValueError, TypeError
        From `fit`: arguments or data that do not fit.

    See Also
    --------
    evengrad.pretrain.stacked_autoencoder : For the layers of a classifier, one after the other.
    DenseTransformer : With targets.

    References
    ----------
    Hinton and Salakhutdinov, "Reducing the dimensionality of data with neural networks", 2006;
    Vincent et al., "Stacked denoising autoencoders", 2010.

    Examples
    --------
    >>> from evengrad.sklearn import AutoencoderTransformer
    >>> circle = np.linspace(0, 6, 100)
    >>> x = np.stack([np.cos(circle), np.sin(circle), circle], axis=1)
    >>> coder = AutoencoderTransformer(1, (16,), "tanh", solver="lbfgs", tol=0.01, random_state=0)
    >>> codes = coder.fit_transform(x)
    >>> codes.shape, bool(np.abs(coder.inverse_transform(codes) - x).mean() < 0.1)
    ((100, 1), True)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **{name: CONSTRAINTS[name] for name in CHECKED if name in CONSTRAINTS},
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "tied": ["boolean"],
    }

    model_: Model
    encoder_: Model
    decoder_: Model
    table_encoder_: TableEncoder | None
    levels_: list[Array]

    def __init__(
        self,
        n_components: int = 2,
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        code_activation: Any = "identity",
        output_activation: Any = "identity",
        tied: bool = False,
        noise: Any = None,
        activity_regularizer: Any = None,
        alpha: float = 0.0001,
        norm: Any = None,
        kernel_initializer: Any = "auto",
        kernel_regularizer: Any = None,
        solver: Any = "adam",
        batch_size: int | str = "auto",
        learning_rate_init: float = 0.001,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: float = 10,
        schedule: Any = None,
        clipnorm: float | None = None,
        callbacks: Any = None,
        monitor: str | None = None,
        restore_best_weights: bool = True,
        dtype: str = "auto",
        n_threads: int | None = None,
        categorical: Any = "auto",
    ) -> None:
        self.n_components = n_components
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.code_activation = code_activation
        self.output_activation = output_activation
        self.tied = tied
        self.noise = noise
        self.activity_regularizer = activity_regularizer
        self.alpha = alpha
        self.norm = norm
        self.kernel_initializer = kernel_initializer
        self.kernel_regularizer = kernel_regularizer
        self.solver = solver
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.schedule = schedule
        self.clipnorm = clipnorm
        self.callbacks = callbacks
        self.monitor = monitor
        self.restore_best_weights = restore_best_weights
        self.dtype = dtype
        self.n_threads = n_threads
        self.categorical = categorical

    def fit(self, X: Any, y: Any = None) -> Self:
        """Train encoder and decoder on rows.

        Parameters
        ----------
        X
            Rows: an array or a data frame, (rows, features).
        y
            Not used.

        Returns
        -------
        self
            The fitted transformer. After an error it is what it was before.

        Raises
        ------
        ValueError, TypeError
            Data or arguments that do not fit, in scikit-learn's words.
        """
        del y
        with copy_to_fit(self) as work:
            work._learn(X)  # noqa: SLF001 - of this class
        return self

    def _learn(self, X: Any) -> None:
        # Whoever only imports this package does not wait for it.
        from evengrad.sklearn._autoencoder_net import autoencoder, untied
        from evengrad.sklearn._regressor import DenseRegressor

        rows = self._learn_columns(X)
        settings = {name: getattr(self, name) for name in OF_TRAINING}
        net = DenseRegressor(model=partial(autoencoder, self), categorical=None, **settings)
        # One column is a vector of targets.
        net.fit(rows, rows if rows.shape[1] > 1 else rows[:, 0])
        self.model_ = untied(net.model_)
        self._take_apart()
        self.history_, self.n_iter_ = net.history_, net.n_iter_
        # With L-BFGS there is no curve of its own.
        curve = getattr(net, "loss_curve_", net.history_.history["loss"])
        self.loss_, self.loss_curve_ = net.loss_, list(curve)
        self.validation_scores_ = getattr(net, "validation_scores_", None)

    def _learn_columns(self, X: Any) -> Array:
        """Return what the net gets of the rows to train on; keep what is known of their columns."""
        from evengrad.sklearn._data import FLOATS, encoder_for

        encoder = self.table_encoder_ = encoder_for(X, self)
        if encoder is None:
            dtype: Any = FLOATS if self.dtype == "auto" else np.dtype(self.dtype)
            found: Array = validate_data(self, X, dtype=dtype)
            return found
        from evengrad.sklearn._one_hot import joined, levels_of
        from evengrad.sklearn._table_columns import check_columns

        parts = encoder.fit_inputs(X)
        check_columns(self, X, reset=True)
        self.levels_ = levels_of(encoder, parts)
        return joined(encoder, self.levels_, parts)

    def _rows(self, X: Any) -> Array:
        """Return what the net gets of rows, or raise scikit-learn's errors."""
        check_is_fitted(self)
        encoder = self.table_encoder_
        if encoder is None:
            dtype = np.dtype(self.encoder_.dtype)
            found: Array = validate_data(self, X, dtype=dtype, reset=False)
            return found
        from evengrad.sklearn._one_hot import joined
        from evengrad.sklearn._table_columns import check_columns

        check_columns(self, X, reset=False)
        return joined(encoder, self.levels_, encoder.inputs(X))

    def _take_apart(self) -> None:
        """Make the two halves of the model."""
        from evengrad.sklearn._autoencoder_net import parts_of

        self.encoder_, self.decoder_ = parts_of(self.model_)

    def __getstate__(self) -> dict[str, Any]:
        # The halves share their layers with the model, which a copy is to have too.
        state = dict(super().__getstate__())
        for name in HALVES:
            state.pop(name, None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "model_" in state:
            self._take_apart()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the transformer to one file: its net, arguments, encoder and fitted attributes.

        `evengrad.sklearn.load` reads it, and `evengrad.load_model` the net alone, from rows to
        rows. It is a safetensors file with checksums, which holds names, numbers and text but no
        code.

        Parameters
        ----------
        path
            The file; by custom it ends in ``.safetensors``.

        Raises
        ------
        NotFittedError
            It is not fitted.
        ValueError
            An argument that a file cannot describe, such as a callback or a lambda.
        OSError
            The file cannot be written; an older one is untouched.
        """
        from evengrad.sklearn._file import save

        check_is_fitted(self)
        save(self, path)

    @property
    def _n_features_out(self) -> int:
        """How many columns come out, for the mixin that names them."""
        return int(self.n_components)

    def transform(self, X: Any) -> Any:
        """Return the codes of rows.

        Parameters
        ----------
        X
            Rows, as for `fit`.

        Returns
        -------
        ndarray
            Shape (rows, n_components).

        Raises
        ------
        NotFittedError
            It is not fitted.
        ValueError
            Rows that do not fit.
        """
        return self._predicted(self.encoder_, self._rows(X))

    def inverse_transform(self, X: Any) -> Any:
        """Return the rows that codes stand for.

        Parameters
        ----------
        X
            Codes, (rows, n_components).

        Returns
        -------
        ndarray
            Shape (rows, features). Of a table with an encoder, objects in the columns of `fit`:
            numbers as floats, NaN where one is rather missing, and of each category the value that
            the net gives most, None for a missing one.

        Raises
        ------
        NotFittedError
            It is not fitted.
        ValueError
            Codes that do not fit.
        """
        check_is_fitted(self)
        codes = check_array(X, dtype=np.dtype(self.decoder_.dtype), input_name="X")
        if codes.shape[1] != self.n_components:
            raise ValueError(
                f"X: expected codes of {self.n_components} columns, as transform returns them, got "
                f"{codes.shape[1]}"
            )
        rows = self._predicted(self.decoder_, codes)
        if self.table_encoder_ is None:
            return rows
        from evengrad.sklearn._one_hot import table_of

        return table_of(self.table_encoder_, self.levels_, rows)

    def score_samples(self, X: Any) -> Any:
        """Return how well each row is given back: −Σ(x̂ − x)², low where a row is out of the common.

        The sum is over what the net gets: of a table with an encoder, scaled numbers, and zeros and
        ones for categories.

        Parameters
        ----------
        X
            Rows, as for `fit`.

        Returns
        -------
        ndarray
            Shape (rows,).

        Raises
        ------
        NotFittedError
            It is not fitted.
        ValueError
            Rows that do not fit.
        """
        rows = self._rows(X)
        given_back = self._predicted(self.decoder_, self._predicted(self.encoder_, rows))
        return -((given_back - rows) ** 2).sum(axis=1)

    def _predicted(self, model: Any, rows: Array) -> Array:
        with threads(self.n_threads):
            found: Array = model.predict(rows, verbose=0, check_finite=False)
        return found

    def __sklearn_tags__(self) -> Any:
        """Return what scikit-learn asks about estimators."""
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
