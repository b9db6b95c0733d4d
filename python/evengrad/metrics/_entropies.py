"""Metrics of probabilities, counts and margins: the means of losses of classifiers."""

from __future__ import annotations

from typing import ClassVar

from evengrad import losses
from evengrad._common.checks import check_float
from evengrad._common.names import choose
from evengrad.losses._crossentropy import check_from_logits
from evengrad.losses._hinge import CONVENTIONS
from evengrad.metrics._of_losses import LossMetric


class _CrossEntropy(LossMetric):
    """What the metrics of cross-entropies share."""

    needs_probabilities = True
    _settings: ClassVar[tuple[str, ...]] = ("from_logits", "label_smoothing")

    def __init__(
        self,
        name: str | None = None,
        from_logits: bool | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(name)
        self.from_logits = check_from_logits(from_logits)
        self.label_smoothing = check_float(label_smoothing, "label_smoothing", low=0.0, high=1.0)


class BinaryCrossentropy(_CrossEntropy):
    """The mean of −y · ln p − (1 − y) · ln(1 − p) over all outputs and rows.

    Parameters
    ----------
    name
        The name in reports.
    from_logits
        True: predictions are logits. False: probabilities. None: probabilities, and in a model
        whose loss takes logits the metric gets the probabilities that are made of them. What the
        model contradicts is an error.
    label_smoothing
        s draws the targets towards ½: y · (1 − s) + s / 2, in [0, 1].

    Raises
    ------
    TypeError
        A `from_logits` that is none of the three.
    ValueError
        `label_smoothing` out of range. From a call or `fit`: targets outside of [0, 1], shapes that
        differ; from a call alone, probabilities outside of [0, 1].

    Notes
    -----
    Targets and predictions of one shape, (rows, 1) or (rows, outputs); a last dimension of 1 may be
    left out of the targets. Probabilities within 10⁻⁷ of 0 and 1 count as that far from them.

    Examples
    --------
    >>> round(eg.metrics.BinaryCrossentropy()([[1.0], [0.0]], [[0.9], [0.2]]), 4)
    0.1643
    """

    _kind = losses.BinaryCrossentropy


class CategoricalCrossentropy(_CrossEntropy):
    """The mean of −Σ y · ln p over the rows, of one-hot rows or class probabilities y.

    Parameters
    ----------
    name
        The name in reports.
    from_logits
        As for `BinaryCrossentropy`.
    label_smoothing
        s, the share of the targets' mass that is spread evenly over the K classes, in [0, 1].

    Raises
    ------
    TypeError
        A `from_logits` that is none of the three.
    ValueError
        `label_smoothing` out of range. From a call or `fit`: targets outside of [0, 1], shapes that
        differ; from a call alone, negative probabilities.

    Notes
    -----
    Targets and predictions: (rows, classes), or (rows, steps, classes). Probabilities are divided
    by the sum of their row, and those below 10⁻⁷ count as 10⁻⁷, as in the loss.

    Examples
    --------
    >>> metric = eg.metrics.CategoricalCrossentropy()
    >>> round(metric([[1.0, 0.0], [0.0, 1.0]], [[0.9, 0.1], [0.2, 0.8]]), 4)
    0.1643
    """

    _kind = losses.CategoricalCrossentropy


class SparseCategoricalCrossentropy(_CrossEntropy):
    """The mean of −ln p[label] over the rows, of class numbers.

    Parameters
    ----------
    name
        The name in reports.
    from_logits
        As for `BinaryCrossentropy`.

    Raises
    ------
    TypeError
        A `from_logits` that is none of the three.
    ValueError
        From a call or `fit`: labels out of range or not whole, shapes that do not fit; from a call
        alone, negative probabilities.

    Notes
    -----
    Targets: class numbers, (rows,) or (rows, 1). Predictions: (rows, classes). Of sequences, (rows,
    steps) and (rows, steps, classes). Probabilities count as in `CategoricalCrossentropy`. Rows
    that the loss's `ignore_class` names do not count.

    Examples
    --------
    >>> metric = eg.metrics.SparseCategoricalCrossentropy()
    >>> round(metric([0, 1], [[0.9, 0.1], [0.2, 0.8]]), 4)
    0.1643
    """

    _kind = losses.SparseCategoricalCrossentropy
    _settings = ("from_logits",)

    def __init__(self, name: str | None = None, from_logits: bool | None = None) -> None:
        super().__init__(name, from_logits)


class KLDivergence(LossMetric):
    """The mean of Σ y · ln(y / p) over the rows: how far distributions are from the true ones.

    Parameters
    ----------
    name
        The name in reports.

    Raises
    ------
    ValueError
        From a call or `fit`: targets outside of [0, 1], shapes that differ; from a call alone,
        predictions outside of [0, 1].

    Notes
    -----
    Targets and predictions: probabilities, (rows, classes); in a model whose loss takes logits the
    metric gets the probabilities. Numbers count as in `losses.KLDivergence`.

    Examples
    --------
    >>> round(eg.metrics.KLDivergence()([[0.5, 0.5]], [[0.25, 0.75]]), 4)
    0.1438
    """

    needs_probabilities = True
    _kind = losses.KLDivergence


class Poisson(LossMetric):
    """The mean of p − y · ln(p + 10⁻⁷) over all outputs and rows, for counts y.

    Parameters
    ----------
    name
        The name in reports.

    Raises
    ------
    ValueError
        From a call or `fit`: negative or other than finite counts, shapes that differ; from a call
        alone, negative predictions.

    Notes
    -----
    Targets and predictions of one shape, (rows, ...); a last dimension of 1 may be left out of the
    targets.

    Examples
    --------
    >>> round(eg.metrics.Poisson()([[2.0], [0.0]], [[1.0], [3.0]]), 4)
    2.0
    """

    _kind = losses.Poisson


class Hinge(LossMetric):
    """The mean of max(0, 1 − y · s) over all outputs and rows.

    Parameters
    ----------
    name
        The name in reports.

    Raises
    ------
    ValueError
        From a call or `fit`: targets that are not all −1 or 1, or all 0 or 1, shapes that differ.

    Notes
    -----
    Targets −1 or 1, or 0 and 1, where 0 is taken for −1; predictions s of the same shape are scores
    of any size, as the model puts them out.

    Examples
    --------
    >>> eg.metrics.Hinge()([[1.0], [0.0]], [[0.25], [-3.0]])
    0.375
    """

    _kind = losses.Hinge


class SquaredHinge(LossMetric):
    """The mean of max(0, 1 − y · s)² over all outputs and rows.

    Parameters
    ----------
    name
        The name in reports.

    Raises
    ------
    ValueError
        As for `Hinge`.

    Notes
    -----
    Targets and predictions as for `Hinge`.

    Examples
    --------
    >>> eg.metrics.SquaredHinge()([[1.0], [0.0]], [[0.5], [-3.0]])
    0.125
    """

    _kind = losses.SquaredHinge


class CategoricalHinge(LossMetric):
    """The mean distance by which the right class fails to lead: max(0, 1 + max_{j≠y} s_j − s_y).

    Parameters
    ----------
    name
        The name in reports.
    convention
        As for `losses.CategoricalHinge`: ``"textbook"``, ``"keras"`` or ``"torch"``.

    Raises
    ------
    ValueError
        An unknown convention. From a call or `fit`: targets that are no one-hot rows, shapes that
        differ.

    Notes
    -----
    Targets: one-hot rows, (rows, classes). Predictions: scores, (rows, classes), as the model puts
    them out.

    Examples
    --------
    >>> eg.metrics.CategoricalHinge()([[0.0, 1.0, 0.0]], [[-3.0, 0.5, 0.0]])
    0.5
    """

    _kind = losses.CategoricalHinge
    _settings = ("convention",)

    def __init__(self, name: str | None = None, convention: str = "textbook") -> None:
        super().__init__(name)
        self.convention = choose(convention, CONVENTIONS, "convention")


BCE = BinaryCrossentropy
KLD = KLDivergence
