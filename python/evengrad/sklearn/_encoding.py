"""Tables as what a net takes: numbers on one scale, and a row of an embedding for each category."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import (
    _check_feature_names_in,  # as `OneToOneFeatureMixin` does
    check_is_fitted,
)

from evengrad._common.checks import check_dtype, check_int
from evengrad.sklearn._categories import (
    RESERVED,
    Column,
    check_sizes,
    embedding_size,
    frequent,
    rows_of,
)
from evengrad.sklearn._input_graph import input_graph
from evengrad.sklearn._numbers import (
    Statistics,
    check_scaling,
    fitting,
    known_numbers,
    measure,
    scale,
)
from evengrad.sklearn._table_columns import check_columns, chosen_places, others, sources_of

if TYPE_CHECKING:
    from evengrad._common.arrays import Array
    from evengrad.layers._symbolic import Symbolic
    from evengrad.sklearn._table_columns import Source


class TableEncoder(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # published untyped
    """Turn a table into what a net takes: numbers on one scale, categories as rows of embeddings.

    Tables are frames of pandas with any of its dtypes, of polars, tables of Arrow, or arrays. A
    number becomes (x − mean) / deviation, or the quantile of the normal distribution that its rank
    has. A missing one becomes the median of those that are known, and a column of zeros and ones
    is added that says where. A category becomes the number of its row in an `Embedding`: row 0 is
    for values that `fit` has not seen, row 1 for missing ones, the others go by the sorted
    categories.

    `transform` returns one array, as every transformer does; for a net, `inputs` and `input_graph`
    belong together. `DenseClassifier` and `DenseRegressor` do all this by themselves.

    Parameters
    ----------
    categorical
        ``"auto"``: the columns of text, categories and enumerations are categorical; booleans and
        numbers are numbers. None: all are numbers. Or a list of columns, by name or by place.
    numeric
        ``"standard"``, ``"quantile"`` (for long tails and outliers), or None: numbers as they are.
    embedding_size
        Length of the vectors: one for all columns, a dict by the columns' names, or None: for k
        categories min(50, 1 + k // 2).
    min_frequency
        Categories that occur less often in `fit` share row 0, which then learns what to do about
        those that it has not seen.
    dtype
        ``"float32"`` or ``"float64"``, of what is returned.

    Attributes
    ----------
    columns_
        What is known of each column, as a tuple of `Column`.
    categories_
        The categories of each categorical column, in the order of their rows from row 2 on.
    n_numbers_, n_inputs_
        Columns of numbers that come out, indicators of missing ones included; these and the places
        of all vectors.
    n_features_in_, feature_names_in_
        As in every estimator of scikit-learn.

    Raises
    ------
    TypeError
        From `fit` and others: a column of dates, lists or the like, or of text among numbers.
    ValueError
        Infinite numbers; no such column; columns other than those of `fit`, or in another order.

    See Also
    --------
    evengrad.layers.Embedding, evengrad.layers.Normalization

    Notes
    -----
    What is learned comes out alike from every library that holds the same table. As in
    scikit-learn's `StandardScaler` and `SimpleImputer`, missing numbers do not count for the scale,
    the deviation of a constant column counts as 1, and a column without missing values in `fit` has
    no indicator later. Quantiles are those of all rows; `QuantileTransformer` draws 10,000.

    References
    ----------
    Guo and Berkhahn, "Entity embeddings of categorical variables", 2016; the sizes of the
    embeddings are those of fast.ai's "Practical deep learning for coders", 2018, lesson 4.

    Examples
    --------
    >>> from evengrad.sklearn import TableEncoder
    >>> rows = [["red", 1.0], ["blue", 3.0], ["red", float("nan")]]
    >>> encoder = TableEncoder().fit(rows)
    >>> encoder.get_feature_names_out().tolist()
    ['x1', 'missingindicator_x1', 'x0']
    >>> encoder.transform([["red", 3.0], ["green", None]]).tolist()
    [[1.0, 0.0, 3.0], [0.0, 1.0, 0.0]]
    """

    def __init__(
        self,
        categorical: Any = "auto",
        numeric: str | None = "standard",
        *,
        embedding_size: Any = None,
        min_frequency: int = 1,
        dtype: str = "float32",
    ) -> None:
        self.categorical = categorical
        self.numeric = numeric
        self.embedding_size = embedding_size
        self.min_frequency = min_frequency
        self.dtype = dtype

    def fit(self, X: Any, y: Any = None) -> TableEncoder:
        """Learn categories and scales of a table.

        Parameters
        ----------
        X
            The table.
        y
            Not used.

        Returns
        -------
        TableEncoder
            This one.
        """
        del y
        self._learn(X, sources_of(X, self))
        return self

    def transform(self, X: Any) -> Any:
        """Return one array: numbers, indicators of missing ones, then numbers of categories.

        Parameters
        ----------
        X
            The table, with the columns of `fit`.

        Returns
        -------
        ndarray
            Shape (rows, n_numbers_ + categorical columns).
        """
        return self._joined(self._sources(X))

    def fit_transform(self, X: Any, y: Any = None, **params: Any) -> Any:
        """Do `fit` and `transform` of one table, which is read once.

        Parameters
        ----------
        X
            The table.
        y
            Not used.
        **params
            None are known.

        Returns
        -------
        ndarray
            As from `transform`.
        """
        if params:
            return super().fit_transform(X, y, **params)
        sources = sources_of(X, self)
        self._learn(X, sources)
        return self._joined(sources)

    def inputs(self, X: Any) -> Any:
        """Return a table as the inputs of a net that begins with `input_graph`.

        Parameters
        ----------
        X
            The table, with the columns of `fit`.

        Returns
        -------
        ndarray or list
            The numbers, of shape (rows, n_numbers_); where there are categorical columns a list:
            the numbers, if there are some, and for each such column a vector of row numbers.

        Examples
        --------
        >>> from evengrad.sklearn import TableEncoder
        >>> rows = [["red", 1.0], ["blue", 3.0]]
        >>> numbers, colours = TableEncoder().fit(rows).inputs(rows)
        >>> numbers.tolist(), colours.tolist()
        ([[-1.0], [1.0]], [3, 2])
        """
        return self._parts(self._sources(X))

    def fit_inputs(self, X: Any) -> Any:
        """Do `fit` and `inputs` of one table, which is read once.

        Parameters
        ----------
        X
            The table.

        Returns
        -------
        ndarray or list
            As from `inputs`.
        """
        sources = sources_of(X, self)
        self._learn(X, sources)
        return self._parts(sources)

    def input_graph(self, dtype: str | None = None) -> tuple[list[Symbolic], Symbolic]:
        """Begin the graph of a net: an input for the numbers, and one for each categorical column.

        Each of the latter goes through an `Embedding` that has the column's name, so that summaries
        and the doctor name columns.

        Parameters
        ----------
        dtype
            Of the net; that of this encoder by default.

        Returns
        -------
        list, symbolic tensor
            The inputs; numbers and vectors side by side.

        Raises
        ------
        NotFittedError
            The encoder is not fitted.

        Examples
        --------
        >>> from evengrad.sklearn import TableEncoder
        >>> rows = [["red", 1.0], ["blue", 3.0]]
        >>> encoder = TableEncoder().fit(rows)
        >>> inputs, x = encoder.input_graph()
        >>> model = eg.Model(inputs, eg.layers.Dense(1)(x), seed=0)
        >>> [layer.name for layer in model.layers], model.predict(encoder.inputs(rows)).shape
        (['0', 'concatenate', 'dense'], (2, 1))
        """
        check_is_fitted(self)
        return input_graph(self, self.dtype if dtype is None else dtype)

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        """Return names for the columns of `transform`.

        Parameters
        ----------
        input_features
            Names for the columns of `fit`, where they had none.

        Returns
        -------
        ndarray of object
            The columns of numbers, ``missingindicator_`` and the name of each that has one, then
            the categorical columns.

        Raises
        ------
        NotFittedError
            The encoder is not fitted.
        ValueError
            Another number of names.
        """
        check_is_fitted(self)
        names = _check_feature_names_in(self, input_features)
        places = self._number_places()
        flags = [
            f"missingindicator_{names[at]}"
            for at, has in zip(places, self.has_missing_, strict=True)
            if has
        ]
        return np.array([*names[places], *flags, *names[self.categorical_]], dtype=object)

    @property
    def columns_(self) -> tuple[Column, ...]:
        """What is known of each column, as a tuple of `Column`."""
        check_is_fitted(self)
        learned = dict(zip(self.categorical_, self.categories_, strict=True))
        flags = dict(zip(self._number_places(), self.has_missing_.tolist(), strict=True))
        return tuple(
            self._category_column(label, tuple(learned[at]))
            if at in learned
            else Column(label, has_indicator=flags[at])
            for at, label in enumerate(self._labels)
        )

    @property
    def n_numbers_(self) -> int:
        """Columns of numbers that come out, indicators of missing ones included."""
        check_is_fitted(self)
        return len(self.has_missing_) + int(self.has_missing_.sum())

    @property
    def n_inputs_(self) -> int:
        """Columns of the tensor that `input_graph` returns."""
        return self.n_numbers_ + sum(column.embedding_size or 0 for column in self.columns_)

    def _category_column(self, label: Any, categories: tuple[Any, ...]) -> Column:
        given = self.embedding_size
        if isinstance(given, dict):
            given = given.get(label)
        size = embedding_size(len(categories)) if given is None else given
        return Column(label, len(categories) + RESERVED, size, categories)

    def _number_places(self) -> list[int]:
        """Return the places of the columns that are numbers."""
        return others(self.categorical_, self.n_features_in_)

    def _learn(self, X: Any, sources: list[Source]) -> None:
        check_scaling(self.numeric)
        check_dtype(self.dtype)
        check_sizes(self.embedding_size, [source.label for source in sources])
        fewest = check_int(self.min_frequency, "min_frequency", at_least=1)
        chosen = chosen_places(self.categorical, sources)
        categories = [frequent(sources[at], fewest) for at in chosen]
        measured = [
            measure(sources[at].numbers(), sources[at].where, self.numeric)
            for at in others(chosen, len(sources))
        ]
        # What may fail is over, but for names of several kinds.
        check_columns(self, X, reset=True)
        self.categorical_ = chosen
        self.categories_ = categories
        self._labels = [source.label for source in sources]
        columns = list(zip(*measured, strict=True)) or [()] * len(Statistics._fields)
        medians, means, scales, quantiles, flags = columns
        self.medians_ = np.array(medians, "float64")
        self.means_ = np.array(means, "float64")
        self.scales_ = np.array(scales, "float64")
        self.quantiles_ = np.array(quantiles, "float64").reshape(
            len(measured), -1 if measured else 0
        )
        self.has_missing_ = np.array(flags, bool)

    def _sources(self, X: Any) -> list[Source]:
        """Return the columns of a table, which must be those of `fit`."""
        check_is_fitted(self)
        sources = sources_of(X, self)
        check_columns(self, X, reset=False)
        return sources

    def _joined(self, sources: list[Source]) -> Array:
        numbers = self._numbers(sources, len(self.categorical_))
        for place, codes in enumerate(self._codes(sources), self.n_numbers_):
            numbers[:, place] = codes
        return numbers

    def _parts(self, sources: list[Source]) -> Any:
        codes = self._codes(sources)
        if not codes:
            return self._numbers(sources)
        return [self._numbers(sources), *codes] if self.n_numbers_ else codes

    def _numbers(self, sources: list[Source], further: int = 0) -> Array:
        """Return the columns of numbers and the indicators, and further columns to be filled."""
        statistics = statistics_of(self)
        kept = [sources[at] for at in self._number_places()]
        rows = len(sources[0].values)
        found = np.empty((rows, self.n_numbers_ + further), self.dtype)
        flag = len(kept)
        for place, (source, known) in enumerate(zip(kept, statistics, strict=True)):
            values = source.numbers()
            missing, _ = known_numbers(values, source.where)
            values = np.where(missing, known.median, values)
            scaled = scale(values, known, self.numeric)
            found[:, place] = fitting(scaled, self.dtype, source.where)
            if known.has_missing:
                found[:, flag] = missing
                flag += 1
        return found

    def _codes(self, sources: list[Source]) -> list[Array]:
        pairs = zip(self.categorical_, self.categories_, strict=True)
        return [rows_of(sources[at], categories) for at, categories in pairs]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        # What comes out has the dtype that is asked for.
        tags.transformer_tags.preserves_dtype = []
        return tags


def statistics_of(encoder: TableEncoder) -> list[Statistics]:
    """Return what an encoder has learned of each column of numbers."""
    columns = (
        *(encoder.medians_, encoder.means_, encoder.scales_),
        *(encoder.quantiles_, encoder.has_missing_),
    )
    return [Statistics(*one) for one in zip(*columns, strict=True)]
